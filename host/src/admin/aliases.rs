//! `GET /api/v1/aliases` and `POST /api/v1/aliases/{name}/test`: endpoints and whether they answer; never a secret.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::api::{Api, ApiParts};
use super::audit;
use super::parameters::{Parameters, named};
use super::who::Who;
use crate::alias::{AliasStatus, AliasTest};
use crate::ingress::answer::{self, Refusal};
use crate::message_store::audit::Act;
use crate::problem::Code;
use crate::telemetry::events::{Event, Kind, Level};

/// Every alias of the running environment, by name.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    Ok(answer::json(StatusCode::OK, &json!({ "aliases": api.parts.aliases.states().iter().map(shown).collect::<Vec<_>>() })))
}

/// Asks the alias's endpoint whether it answers and takes the credential.
pub async fn test(State(api): State<Arc<Api>>, who: Who, name: Result<Path<String>, PathRejection>) -> Result<Response<Body>, Refusal> {
    let test = test_alias(&api.parts, &named(name)?, &who).await?;
    let shown = json!({
        "alias": test.alias,
        "reachable": test.reachable,
        "authenticated": test.authenticated,
        "status": test.status,
        "detail": test.detail,
        "took-ms": test.took_ms,
    });
    Ok(answer::json(StatusCode::OK, &shown))
}

/// Asks the endpoint of alias `name` whether it answers and takes the credential, for `who`.
///
/// # Errors
/// 404 where there is no such alias, 503 where it cannot be entered in the audit trail.
pub async fn test_alias(parts: &ApiParts, name: &str, who: &Who) -> Result<AliasTest, Refusal> {
    if !parts.aliases.states().iter().any(|alias| alias.name == name) {
        return Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no alias {name}")));
    }
    audit::asked(parts, who.note(parts.clock.now(), Act::TestAlias, format!("alias {name}"))).await?;
    let test = parts.aliases.test(name).await;
    let (reachable, authenticated) = (test.reachable, test.authenticated);
    tracing::info!(by = who.name(), alias = name, reachable, authenticated, result = test.detail, "an alias was tested");
    let event = who.told(Event::new(Kind::Operator, Level::Info, "an alias was tested")).with("alias", name.to_owned());
    parts.events.tell(event.with("result", test.detail.clone()));
    Ok(test)
}

/// An alias as the API shows it.
pub(super) fn shown(alias: &AliasStatus) -> Value {
    json!({
        "name": alias.name,
        "owner": alias.owner,
        "url": alias.url,
        "auth": alias.auth,
        "secrets": alias.secrets,
        "verify": alias.verify,
        "state": alias.state,
        "breaker": alias.breaker,
        "rate": alias.rate,
        "limited-by": alias.limited_by,
        "since": alias.since.to_string(),
        "until": alias.until.map(|until| until.to_string()),
        "detail": alias.detail,
    })
}
