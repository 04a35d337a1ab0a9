//! `GET /api/v1/secrets`, `PUT` and `DELETE /api/v1/secrets/{name}`: what is in the secrets store; names and times, never a value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::api::{Api, ApiParts};
use super::audit;
use super::parameters::{Parameters, named};
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::alias::secret::Secret;
use crate::alias::vault::SECRET_BYTES_MAX;
use crate::config::{secret_names, secret_references, used_aliases_of};
use crate::ingress::answer::{self, Refusal};
use crate::ingress::body::BodyLimits;
use crate::message_store::MessageStore;
use crate::message_store::audit::{Act, Came};
use crate::problem::{Code, Problem};
use crate::telemetry::events::{Event, Kind, Level};

const SECRET_LIMITS: BodyLimits = BodyLimits { bytes: SECRET_BYTES_MAX, within: Duration::from_secs(30) };

/// Every secret the environment names, and every one that is set.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let live = &api.parts.environment;
    let running = live.running().await;
    let mut secrets: BTreeMap<String, Value> = secret_references(&running.environment)
        .into_iter()
        .map(|reference| (reference.name.clone(), json!({ "name": reference.name, "set-at": null, "otherwise": reference.to_string() })))
        .collect();
    for set in live.vault().list() {
        let entry = secrets.entry(set.name.clone()).or_insert_with(|| json!({ "name": set.name, "otherwise": null }));
        entry["set-at"] = set.set_at.to_string().into();
    }
    Ok(answer::json(StatusCode::OK, &json!({ "secrets": secrets.into_values().collect::<Vec<_>>() })))
}

type Name = Result<Path<String>, PathRejection>;

/// The secret that is meant; nothing else can be asked for.
fn meant(name: Name, request: &Request) -> Result<String, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    named(name)
}

/// Takes the request's body, byte for byte, for the secret of this name. Aliases that were refused without it go on.
pub async fn set(State(api): State<Arc<Api>>, who: Who, name: Name, request: Request) -> Result<Response<Body>, Refusal> {
    let name = meant(name, &request)?;
    let live = &api.parts.environment;
    let names = secret_names(&live.running().await.environment);
    if !names.contains(&name) {
        let known: Vec<_> = names.into_iter().collect();
        let detail = format!("the environment {} has no secret of that name; it has: {}", live.name(), known.join(", "));
        return Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, detail));
    }
    let body = api.body(request, SECRET_LIMITS).await?;
    let now = api.parts.clock.now();
    let (parts, secret, of) = (api.parts.clone(), Secret::new(&body.bytes[..]), name.clone());
    // Where nobody else holds the bytes they are wiped; what the connection read them into is its own.
    if let Ok(mut bytes) = body.bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    let released = to_its_end(async move {
        let was_set = parts.environment.vault().list().iter().any(|set| set.name == of);
        let note = || who.note(now, Act::SetSecret, subject(&of)).before(json!({ "set": was_set }));
        let asked = audit::asked(&parts, note()).await?;
        if let Err(problem) = parts.environment.vault().set(&of, secret, now).await {
            audit::ended(&parts, asked, note().came(Came::Failed).after(json!({ "code": problem.code.as_str() }))).await;
            return Err(refused(&problem));
        }
        audit::ended(&parts, asked, note().after(json!({ "set": true }))).await;
        let released = parts.aliases.secrets_changed().await;
        tell(&parts, &who, "a secret was set", &of);
        Ok::<_, Refusal>(released)
    });
    let released = released.await??;
    Ok(answer::json(StatusCode::OK, &json!({ "name": name, "set-at": now.to_string(), "released": released })))
}

/// Forgets what was set: what the environment's file names counts again.
pub async fn unset(State(api): State<Arc<Api>>, who: Who, name: Name, request: Request) -> Result<Response<Body>, Refusal> {
    let name = meant(name, &request)?;
    let (parts, of) = (api.parts.clone(), name.clone());
    let unset = to_its_end(async move {
        if !parts.environment.vault().list().iter().any(|set| set.name == of) {
            return Ok(false);
        }
        let note = || who.note(parts.clock.now(), Act::UnsetSecret, subject(&of)).before(json!({ "set": true }));
        let asked = audit::asked(&parts, note()).await?;
        let unset = parts.environment.vault().unset(&of).await;
        let entry = match &unset {
            Ok(_) => note().after(json!({ "set": false })),
            Err(problem) => note().came(Came::Failed).after(json!({ "code": problem.code.as_str() })),
        };
        audit::ended(&parts, asked, entry).await;
        let was_set = unset.map_err(|problem| refused(&problem))?;
        if was_set {
            parts.aliases.secret_unset().await;
            tell(&parts, &who, "a secret was unset", &of);
        }
        Ok::<_, Refusal>(was_set)
    });
    if !unset.await?? {
        return Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "no secret of that name is set"));
    }
    let left = api.parts.environment.left_without(&name).await;
    let left = left.map(|alias| waiting_for(&api.parts, &alias));
    Ok(answer::json(StatusCode::OK, &json!({ "name": name, "left-without": left })))
}

/// What hangs on an alias that lacks a secret.
fn waiting_for(parts: &ApiParts, alias: &str) -> Value {
    let routes = parts.intake.routes();
    let users = routes.integrations().filter(|integration| used_aliases_of(std::iter::once(&***integration)).contains(alias));
    let users: Vec<&str> = users.map(|integration| integration.name.as_str()).collect();
    let waiting: u64 = users.iter().map(|name| parts.store.waiting(name)).sum();
    json!({ "alias": alias, "integrations": users, "waiting": waiting })
}

/// For the audit trail.
fn subject(name: &str) -> String {
    format!("secret {name}")
}

fn tell(parts: &ApiParts, who: &Who, what: &'static str, name: &str) {
    tracing::info!(by = who.name(), secret = name, "{what}");
    parts.events.tell(who.told(Event::new(Kind::Operator, Level::Info, what)).with("secret", name.to_owned()));
}

fn refused(problem: &Problem) -> Refusal {
    let status = if problem.code == Code::WrongValue { StatusCode::BAD_REQUEST } else { StatusCode::SERVICE_UNAVAILABLE };
    let fix = problem.fix.as_ref().map(|fix| format!("; fix: {fix}")).unwrap_or_default();
    Refusal::new(status, problem.code, format!("{}{fix}", problem.message))
}
