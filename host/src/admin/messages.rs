//! `GET /api/v1/messages` and `/api/v1/messages/{id}`: what came, and what happened to it.

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
use crate::message::MessageId;
use crate::message_store::sqlite::ledger::{self, MessageQuery};
use crate::problem::Code;

/// A page of messages, newest first.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let query = query(Parameters::parse(request.uri().query()))?;
    let limit = query.limit;
    let messages = api.parts.store.ledger().messages(query).await.map_err(|error| refusal(&error))?;
    let next = if messages.len() < limit { None } else { messages.last().map(|last| last.seq) };
    Ok(answer::json(StatusCode::OK, &json!({ "messages": messages, "next": next })))
}

fn query(mut given: Parameters) -> Result<MessageQuery, Refusal> {
    let query = MessageQuery {
        integration: given.one("integration")?,
        key: given.one("key")?,
        tracked: given.one("track")?.map(|text| tracked(&text)).transpose()?,
        state: given.word("outcome", ledger::State::parse, ledger::State::ALL)?,
        since: given.time("since")?,
        before_seq: given.read("before", "the `next` of the page before")?,
        limit: limit(&mut given)?,
    };
    given.finish()?;
    Ok(query)
}

fn tracked(text: &str) -> Result<(String, String), Refusal> {
    let (name, value) = text.split_once('=').ok_or_else(|| wrong(format!("`track={text}`: expected name=value")))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// One message and all that happened to it.
pub async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let (id, full) = shown_body::asked(id, &request)?;
    let id: MessageId = id.parse().map_err(|_| wrong(format!("`{id}` is not the id of a message: expected a UUID")))?;
    let found = api.parts.store.ledger().message(id).await.map_err(|error| refusal(&error))?;
    match found {
        Some(timeline) => Ok(answer::json(StatusCode::OK, &Shown::of(timeline, full))),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no message {id}"))),
    }
}
