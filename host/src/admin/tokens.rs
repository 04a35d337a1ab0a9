//! `GET` and `POST /api/v1/tokens`, `DELETE /api/v1/tokens/{name}`: named tokens. Only who has the data folder's own token makes and
//! revokes them. What opens anything is in one answer, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, ApiParts};
use super::named_tokens::{KnownToken, TOKENS_MAX, hash};
use super::parameters::{Parameters, named, wrong};
use super::role::Role;
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::{LOCAL, Who};
use crate::alias::secret::Secret;
use crate::clock::Timestamp;
use crate::config::{name_of, quantity};
use crate::ingress::answer::{self, Refusal};
use crate::message_store::audit::Act;
use crate::message_store::sqlite::TokenRow;
use crate::problem::Code;
use crate::telemetry::events::{Event, Kind, Level};

/// How long a token is good unless its maker says otherwise.
const EXPIRES_DEFAULT: &str = "90d";
/// Who wants one for longer says `never`.
const EXPIRES_MIN: Duration = Duration::from_secs(60);
const EXPIRES_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
const EXPIRES_RULE: &str = "expected 1m to 366d, such as 90d, or never";
/// Who the audit trail says where no named token has done it.
const RESERVED: [&str; 3] = [LOCAL, "start", "host"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CreateRequest {
    name: String,
    role: String,
    expires: Option<String>,
}

/// Every token, expired ones too; never what opens anything.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let now = api.parts.clock.now();
    let tokens: Vec<Value> = api.parts.tokens.list().iter().map(|token| shown(token, now)).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "tokens": tokens })))
}

/// Makes a token. The answer is the only place where it is ever said.
pub async fn create(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    let CreateRequest { name, role, expires } = api.json(request).await?;
    let name = name_of(&name).map_err(|rule| wrong(format!("`name`: {rule}")))?;
    if RESERVED.contains(&name.as_str()) {
        return Err(wrong(format!("`name`: {name} is what the audit trail calls who has no named token; choose another")));
    }
    let roles = || Role::GIVEN.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    let role = Role::parse(&role).ok_or_else(|| wrong(format!("`role`: expected one of {}", roles())))?;
    let lives = lives(expires.as_deref().unwrap_or(EXPIRES_DEFAULT))?;
    let parts = api.parts.clone();
    let (token, known) = to_its_end(async move { make(&parts, &who, name, role, lives).await }).await??;
    let mut body = shown(&known, known.created_at);
    body["token"] = String::from_utf8_lossy(token.expose()).into();
    Ok(answer::json(StatusCode::CREATED, &body))
}

/// How long a token is to be good; none: for ever.
fn lives(text: &str) -> Result<Option<Duration>, Refusal> {
    if text == "never" {
        return Ok(None);
    }
    let lives = quantity::duration(text).map_err(|why| wrong(format!("`expires`: {why}; {EXPIRES_RULE}")))?;
    if (EXPIRES_MIN..=EXPIRES_MAX).contains(&lives) { Ok(Some(lives)) } else { Err(wrong(format!("`expires={text}`: {EXPIRES_RULE}"))) }
}

async fn make(parts: &ApiParts, who: &Who, name: String, role: Role, lives: Option<Duration>) -> Result<(Secret, KnownToken), Refusal> {
    let tokens = &parts.tokens;
    let _changing = tokens.changing.lock().await;
    let refused = |detail: String| Refusal::new(StatusCode::CONFLICT, Code::TokenExists, detail);
    if tokens.list().len() >= TOKENS_MAX {
        return Err(refused(format!("there are {TOKENS_MAX} tokens, expired ones counted; revoke some: lockgate token revoke NAME")));
    }
    let (token, created_at) = (tokens.make(), parts.clock.now());
    let expires_at = lives.map(|lives| created_at.plus(lives));
    let known = KnownToken { name: name.clone(), role, created_at, expires_at };
    let row = TokenRow { name, role: role.as_str().to_owned(), hash: hash(token.expose()), created_at, expires_at };
    let note = who.note(created_at, Act::CreateToken, subject(&known.name)).after(about(&known));
    if !parts.store.tokens().put(row.clone(), note).await.map_err(|error| refusal(&error))? {
        let name = &known.name;
        return Err(refused(format!(
            "there is a token {name}; to make another of this name, revoke it first: lockgate token revoke {name}"
        )));
    }
    tokens.add(row);
    tell(parts, who, "a token was made", &known);
    Ok((token, known))
}

/// Revokes a token: it is good for nothing from the answer on, and sessions and streams that were opened with it end.
pub async fn revoke(
    State(api): State<Arc<Api>>,
    who: Who,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let (parts, name) = (api.parts.clone(), named(name)?);
    let known = to_its_end(async move { end(&parts, &who, &name).await }).await??;
    Ok(answer::json(StatusCode::OK, &shown(&known, api.parts.clock.now())))
}

async fn end(parts: &ApiParts, who: &Who, name: &str) -> Result<KnownToken, Refusal> {
    let _changing = parts.tokens.changing.lock().await;
    let missing = || Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no token of that name");
    let known = parts.tokens.list().into_iter().find(|token| token.name == name).ok_or_else(missing)?;
    let note = who.note(parts.clock.now(), Act::RevokeToken, subject(name)).before(about(&known));
    let was_there = parts.store.tokens().remove(name, note).await.map_err(|error| refusal(&error))?;
    parts.tokens.remove(name);
    if !was_there {
        return Err(missing());
    }
    tell(parts, who, "a token was revoked", &known);
    Ok(known)
}

fn subject(name: &str) -> String {
    format!("token {name}")
}

/// For the audit trail.
fn about(token: &KnownToken) -> Value {
    json!({ "role": token.role.as_str(), "expires-at": token.expires_at.map(|at| at.to_string()) })
}

fn shown(token: &KnownToken, now: Timestamp) -> Value {
    json!({
        "name": token.name,
        "role": token.role.as_str(),
        "created-at": token.created_at.to_string(),
        "expires-at": token.expires_at.map(|at| at.to_string()),
        "expired": token.expires_at.is_some_and(|at| at <= now),
    })
}

fn tell(parts: &ApiParts, who: &Who, what: &'static str, token: &KnownToken) {
    tracing::info!(by = who.name(), token = token.name, role = token.role.as_str(), "{what}");
    let event = who.told(Event::new(Kind::Operator, Level::Warn, what)).with("token", token.name.clone());
    parts.events.tell(event.with("role", token.role.as_str()));
}
