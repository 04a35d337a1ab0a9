//! `/api/v1/dead-letters`: lists, groups, and one with its message. What is done about them is in `operate`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde_json::json;

use super::api::{Api, ApiParts};
use super::detail;
use super::known;
use super::messages::{self, in_order, tracked};
use super::parameters::{Parameters, limit, wrong};
use super::store_refusal::refusal;
use crate::ingress::answer::{self, Refusal};
use crate::message::FailureClass;
use crate::message_store::DeadLetterId;
use crate::message_store::sqlite::ledger::{DeadLetterQuery, DeadLetterRow, GroupQuery};
use crate::problem::Code;

/// Open dead letters, newest first, or with `?group=fingerprint` their groups, largest first.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let mut given = Parameters::parse(request.uri().query());
    let ledger = api.parts.store.ledger();
    match given.one("group")?.as_deref() {
        None => {
            let query = query(given)?;
            known::integration(&api.parts, query.integration.as_deref()).await?;
            let page = ledger.dead_letters(query).await.map_err(|error| refusal(&error))?;
            Ok(answer::json(StatusCode::OK, &page))
        }
        Some("fingerprint") => {
            let query = group_query(given)?;
            known::integration(&api.parts, query.integration.as_deref()).await?;
            let page = ledger.dead_letter_groups(query).await.map_err(|error| refusal(&error))?;
            Ok(answer::json(StatusCode::OK, &page))
        }
        Some(other) => Err(wrong(format!("`group={other}`: expected `fingerprint`"))),
    }
}

/// What a listing's parameters ask for.
///
/// # Errors
/// 400 for what is not known or not understood.
pub(crate) fn query(mut given: Parameters) -> Result<DeadLetterQuery, Refusal> {
    let query = DeadLetterQuery {
        integration: given.one("integration")?,
        class: given.word("class", FailureClass::parse, FailureClass::ALL)?,
        fingerprint: given.one("fingerprint")?,
        key: given.one("key")?,
        tracked: given.one("track")?.map(|text| tracked(&text)).transpose()?,
        since: given.time("since")?,
        until: given.time("until")?,
        beyond: given.read("before", BEFORE)?.map(DeadLetterId),
        limit: limit(&mut given)?,
        ..DeadLetterQuery::default()
    };
    given.finish()?;
    in_order(query.since, query.until)?;
    Ok(query)
}

const BEFORE: &str = "the `next` of the page before";

/// The same for groups, which are counted as they come and go: what their messages are known by says nothing of them.
///
/// # Errors
/// 400 for what is not known or not understood.
pub(crate) fn group_query(mut given: Parameters) -> Result<GroupQuery, Refusal> {
    let query = GroupQuery {
        integration: given.one("integration")?,
        class: given.word("class", FailureClass::parse, FailureClass::ALL)?,
        fingerprint: given.one("fingerprint")?,
        before: given.read("before", BEFORE)?,
        limit: limit(&mut given)?,
    };
    given.finish()?;
    Ok(query)
}

/// One dead letter, whatever its status, with its message.
pub async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let (id, asked) = detail::asked(id, &request)?;
    let letter = one(&api.parts, id_of(&id)?).await?;
    let found = api.parts.store.ledger().message(asked.of(letter.message)).await.map_err(|error| refusal(&error))?;
    let message = found.ok_or_else(|| missing(letter.id))?;
    Ok(answer::json(StatusCode::OK, &json!({ "dead-letter": letter, "message": messages::shown(&api.parts, &message) })))
}

/// A dead letter, whatever its status.
///
/// # Errors
/// 404, and 503 where the store does not answer.
pub(crate) async fn one(parts: &ApiParts, id: DeadLetterId) -> Result<DeadLetterRow, Refusal> {
    let found = parts.store.ledger().dead_letter(id).await.map_err(|error| refusal(&error))?;
    found.ok_or_else(|| missing(id))
}

fn missing(id: DeadLetterId) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no dead letter {}", id.0))
}

/// The id in a path.
///
/// # Errors
/// 400 for what is none.
pub(crate) fn id_of(text: &str) -> Result<DeadLetterId, Refusal> {
    text.parse().map(DeadLetterId).map_err(|_| wrong(format!("`{text}` is not the id of a dead letter: expected a number")))
}
