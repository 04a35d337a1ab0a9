//! `/api/v1/dead-letters`: lists, groups, and one with its message. What is done about them is in `operate`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde_json::json;

use super::api::Api;
use super::parameters::{Parameters, limit, wrong};
use super::shown_body::{self, Shown};
use super::store_refusal::refusal;
use crate::ingress::answer::{self, Refusal};
use crate::message::FailureClass;
use crate::message_store::DeadLetterId;
use crate::message_store::sqlite::ledger::{DeadLetterGroupRow, DeadLetterQuery, Status};
use crate::problem::Code;

/// Open dead letters, newest first, or with `?group=fingerprint` their groups, largest first.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let mut given = Parameters::parse(request.uri().query());
    match given.one("group")?.as_deref() {
        None => page(&api, given).await,
        Some("fingerprint") => groups(&api, given).await,
        Some(other) => Err(wrong(format!("`group={other}`: expected `fingerprint`"))),
    }
}

async fn page(api: &Api, mut given: Parameters) -> Result<Response<Body>, Refusal> {
    let query = DeadLetterQuery {
        integration: given.one("integration")?,
        class: given.word("class", FailureClass::parse, FailureClass::ALL)?,
        fingerprint: given.one("fingerprint")?,
        status: Some(Status::Open),
        before: given.read("before", "the `next` of the page before")?.map(DeadLetterId),
        limit: limit(&mut given)?,
    };
    given.finish()?;
    let limit = query.limit;
    let found = api.parts.store.ledger().dead_letters(query).await.map_err(|error| refusal(&error))?;
    let next = if found.len() < limit { None } else { found.last().map(|last| last.id) };
    Ok(answer::json(StatusCode::OK, &json!({ "dead-letters": found, "next": next })))
}

async fn groups(api: &Api, mut given: Parameters) -> Result<Response<Body>, Refusal> {
    let integration = given.one("integration")?;
    let class = given.word("class", FailureClass::parse, FailureClass::ALL)?;
    let fingerprint = given.one("fingerprint")?;
    let limit = limit(&mut given)?;
    given.finish()?;
    let wanted = |group: &DeadLetterGroupRow| {
        integration.as_ref().is_none_or(|name| *name == group.integration)
            && class.is_none_or(|class| class == group.class)
            && fingerprint.as_ref().is_none_or(|text| *text == group.fingerprint)
    };
    let mut groups = api.parts.store.ledger().dead_letter_groups().await.map_err(|error| refusal(&error))?;
    groups.retain(wanted);
    groups.truncate(limit);
    Ok(answer::json(StatusCode::OK, &json!({ "groups": groups })))
}

/// One dead letter, whatever its status, with its message.
pub async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let (id, full) = shown_body::asked(id, &request)?;
    let id = id.parse().map_err(|_| wrong(format!("`{id}` is not the id of a dead letter: expected a number")))?;
    let missing = || Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no dead letter {id}"));
    let ledger = api.parts.store.ledger();
    let letter = ledger.dead_letter(DeadLetterId(id)).await.map_err(|error| refusal(&error))?.ok_or_else(missing)?;
    let message = ledger.message(letter.message).await.map_err(|error| refusal(&error))?.ok_or_else(missing)?;
    Ok(answer::json(StatusCode::OK, &json!({ "dead-letter": letter, "message": Shown::of(message, full) })))
}
