//! `GET /api/v1/messages`, `/api/v1/messages/{id}` and the requests of one attempt: what came, and what happened to it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::api::{Api, ApiParts};
use super::detail;
use super::known;
use super::parameters::{Parameters, limit, wrong};
use super::pausing::paused;
use super::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::ingress::answer::{self, Refusal};
use crate::message::{IdPrefix, MessageId};
use crate::message_store::AttemptId;
use crate::message_store::sqlite::Ledger;
use crate::message_store::sqlite::ledger::{self, IdsFound, MessageQuery, Timeline};
use crate::problem::Code;

/// A page of messages, newest first.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let ledger = api.parts.store.ledger();
    let query = query(&ledger, Parameters::parse(request.uri().query())).await?;
    known::integration(&api.parts, query.integration.as_deref()).await?;
    let page = ledger.messages(query).await.map_err(|error| refusal(&error))?;
    Ok(answer::json(StatusCode::OK, &page))
}

/// What a listing's parameters ask for.
///
/// # Errors
/// 400 for what is not known or not understood, and for the beginning of an id that too many have; what [`the_one`] says of `parent`.
pub(crate) async fn query(ledger: &Ledger, mut given: Parameters) -> Result<MessageQuery, Refusal> {
    let ids = match given.one("id")? {
        Some(text) => Some(ids(ledger, &text).await?),
        None => None,
    };
    let parent = match given.one("parent")? {
        Some(text) => Some(the_one(ledger, &text).await?),
        None => None,
    };
    let query = MessageQuery {
        ids,
        parent,
        integration: given.one("integration")?,
        key: given.one("key")?,
        tracked: given.one("track")?.map(|text| tracked(&text)).transpose()?,
        state: given.word("outcome", ledger::State::parse, ledger::State::ALL)?,
        since: given.time("since")?,
        until: given.time("until")?,
        before_seq: given.read("before", "the `next` of the page before")?,
        limit: limit(&mut given)?,
    };
    given.finish()?;
    in_order(query.since, query.until)?;
    Ok(query)
}

/// # Errors
/// 400 for a span of time that ends before it begins.
pub(super) fn in_order(since: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), Refusal> {
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        return Err(wrong("`until` is before `since`, and nothing can be between them: swap them"));
    }
    Ok(())
}

/// A tracked value as it is asked for.
///
/// # Errors
/// 400 without `=`.
pub(super) fn tracked(text: &str) -> Result<(String, String), Refusal> {
    let (name, value) = text.split_once('=').ok_or_else(|| wrong(format!("`track={text}`: expected name=value")))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The messages that `text` is the id of, or the beginning of the id.
async fn ids(ledger: &Ledger, text: &str) -> Result<Vec<MessageId>, Refusal> {
    let IdsFound { ids, more } = starting(ledger, text).await?;
    if more {
        return Err(wrong(format!("the ids of more than {} messages start with `{text}`: give more of it", ids.len())));
    }
    Ok(ids)
}

async fn starting(ledger: &Ledger, text: &str) -> Result<IdsFound, Refusal> {
    let prefix: IdPrefix = text.parse().map_err(|error| wrong(format!("`{text}`: {error}")))?;
    ledger.ids_starting(prefix).await.map_err(|error| refusal(&error))
}

/// The one message that `text` is the id of, or the beginning of the id.
///
/// # Errors
/// 404 where there is none, 409 where there are several; some of them are named.
pub(crate) async fn the_one(ledger: &Ledger, text: &str) -> Result<MessageId, Refusal> {
    let IdsFound { ids, more } = starting(ledger, text).await?;
    match ids.as_slice() {
        [] => Err(no_message(text)),
        [id] => Ok(*id),
        several => Err(ambiguous(text, several, more)),
    }
}

/// Ids named for a beginning that several have.
const NAMED_MAX: usize = 10;

fn ambiguous(text: &str, ids: &[MessageId], more: bool) -> Refusal {
    let named: Vec<String> = ids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let many = if more { format!("more than {}", ids.len()) } else { ids.len().to_string() };
    let others = if ids.len() > named.len() { ", …" } else { "" };
    let detail = format!("the ids of {many} messages start with `{text}`, give more of it: {}{others}", named.join(", "));
    Refusal::new(StatusCode::CONFLICT, Code::Ambiguous, detail)
}

fn no_message(text: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no message {text}"))
}

/// One message and all that happened to it.
pub async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let (id, asked) = detail::asked(id, &request)?;
    let ledger = api.parts.store.ledger();
    let id = the_one(&ledger, &id).await?;
    match ledger.message(asked.of(id)).await.map_err(|error| refusal(&error))? {
        Some(timeline) => Ok(answer::json(StatusCode::OK, &shown(&api.parts, &timeline))),
        None => Err(no_message(&id.to_string())),
    }
}

/// With what only the host knows: whether a person keeps back what waits.
pub(super) fn shown(parts: &ApiParts, timeline: &Timeline) -> Value {
    let mut shown = json!(timeline);
    for waiting in shown["waiting"].as_array_mut().into_iter().flatten() {
        let pause = waiting["integration"].as_str().and_then(|integration| parts.pauses.of(integration));
        waiting["paused"] = paused(pause.as_ref());
    }
    shown
}

/// What the requests of one attempt sent and were answered.
pub async fn exchanges(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let Path((id, attempt)) = path.map_err(|_| wrong("the path is not UTF-8"))?;
    let ledger = api.parts.store.ledger();
    let id = the_one(&ledger, &id).await?;
    let number = attempt.parse().map_err(|_| wrong(format!("`{attempt}` is not the id of an attempt: expected a number")))?;
    match ledger.exchanges(id, AttemptId(number)).await.map_err(|error| refusal(&error))? {
        Some(exchanges) => Ok(answer::json(StatusCode::OK, &json!({ "exchanges": exchanges }))),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("message {id} has no attempt {number}"))),
    }
}
