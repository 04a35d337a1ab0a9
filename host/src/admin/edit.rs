//! `POST /api/v1/dead-letters/{id}/edit`: an edited body delivered in place of a dead letter, whose message stays as it is.
//!
//! Of two people who edit the same at once one is first, and the other is told what the first one did.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::api::{Api, ApiParts};
use super::dead_letters::{id_of, one};
use super::operate::{Became, Done, not_done, why};
use super::parameters::{Parameters, named};
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::difference::{self, Difference};
use crate::ingress::answer::{self, Refusal};
use crate::ingress::{self, media_type};
use crate::layout::is_said_to_be_json;
use crate::message::{Message, MessageId};
use crate::message_store::audit::Act;
use crate::message_store::sqlite::ledger::{DeadLetterRow, Status, Timeline, TimelineQuery};
use crate::message_store::{DeadLetterId, Edit, Replay, StoreError, Superseded};
use crate::problem::Code;
use crate::telemetry::events::{Event, Kind, Level};

/// What is to be delivered in place of a dead letter.
#[derive(Debug)]
pub(crate) struct Asked {
    pub letter: DeadLetterId,
    pub body: Bytes,
    /// None for that of the original.
    pub content_type: Option<String>,
    /// None: nothing is done, and the answer says what would be.
    pub reason: Option<String>,
    pub superseded: Superseded,
    pub who: Who,
}

/// What became of the dead letter, and what is different now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Edited {
    #[serde(flatten)]
    pub done: Done,
    /// The message in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// Takes the request's body as the new one; `?reason=`; with `dry-run=true` nothing is done, with `anyway=true` newer messages of its
/// key may have been delivered since.
pub async fn edit(
    State(api): State<Arc<Api>>,
    who: Who,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let letter = id_of(&named(id)?)?;
    let mut query = Parameters::parse(request.uri().query());
    let reason = query.one("reason")?;
    let dry_run = query.read("dry-run", "true or false")?.unwrap_or(false);
    let anyway = query.read("anyway", "true or false")?.unwrap_or(false);
    query.finish()?;
    let reason = if dry_run { None } else { Some(why(&reason.unwrap_or_default())?) };
    let content_type = request.headers().contains_key(header::CONTENT_TYPE).then(|| media_type(request.headers())).transpose()?;
    let body = api.body(request, api.parts.intake.body_limits()).await?;
    let superseded = if anyway { Superseded::Anyway } else { Superseded::Ask };
    let asked = Asked { letter, body: body.bytes.clone(), content_type, reason, superseded, who };
    Ok(answer::json(StatusCode::OK, &act(&api.parts, asked).await?))
}

/// Delivers what is asked for in place of the dead letter, or says what that would be.
///
/// # Errors
/// 400 for a body that is not what its content type says, that has not the key its integration orders by, or that is the same as
/// before; 404; 503 where the store does not answer.
pub(crate) async fn act(parts: &ApiParts, asked: Asked) -> Result<Edited, Refusal> {
    let Asked { letter: id, body, content_type, reason, superseded, who } = asked;
    let letter = one(parts, id).await?;
    if let Some(became) = closed(&letter) {
        return Ok(Edited { done: Done { id, became }, message: None, difference: None });
    }
    let original = original(parts, letter.message).await?;
    let content_type = content_type.unwrap_or_else(|| original.message.content_type.clone());
    check(&content_type, &body, &original)?;
    let (message, lane) =
        parts.intake.edited(ingress::Edited { letter: &letter, original: &original, body, content_type, by: who.name() })?;
    let message = Arc::new(message);
    let difference = difference_of(original, message.clone()).await?;
    let Some(reason) = reason else {
        return Ok(Edited { done: Done { id, became: Became::WouldBeQueued }, message: None, difference: Some(difference) });
    };
    let parts = parts.clone();
    to_its_end(async move {
        let edit = Edit { message: message.clone(), lane, reason: reason.clone() };
        let now = parts.clock.now();
        let replay = Replay { dead_letter: id, now, due_at: now, superseded, edit: Some(edit) };
        let note = who.note(now, Act::Edit, format!("dead letter {}", id.0)).before(json!({ "message": letter.message }));
        let note = note.after(json!({ "message": message.id, "integration": letter.integration, "reason": reason }));
        let became = parts.store.replay_noted(replay, note).await.map_or_else(|error| not_done(id, error), Became::from);
        let queued = matches!(became, Became::Queued { .. });
        if queued {
            tell(&parts, &letter, message.id, &who, &reason);
        }
        Edited { done: Done { id, became }, message: queued.then_some(message.id), difference: Some(difference) }
    })
    .await
}

fn tell(parts: &ApiParts, letter: &DeadLetterRow, edited_as: MessageId, who: &Who, reason: &str) {
    let (by, integration, message) = (who.name(), &letter.integration, letter.message);
    tracing::info!(by, dead_letter = letter.id.0, %integration, %message, %edited_as, reason, "a dead letter was edited");
    let event = Event::new(Kind::Operator, Level::Info, "a dead letter was edited").of(&letter.integration).about(letter.message);
    let event = who.told(event).with("dead-letter", letter.id.0.unsigned_abs());
    parts.events.tell(event.with("edited-as", edited_as.to_string()).with("reason", reason.to_owned()));
}

/// What became of one that is not open any more.
fn closed(letter: &DeadLetterRow) -> Option<Became> {
    let at = letter.closed_at.clone().unwrap_or_default();
    match letter.status {
        Status::Open => None,
        Status::Replayed => {
            let replay = u32::try_from(letter.replay).unwrap_or(u32::MAX).saturating_add(1);
            Some(Became::AlreadyReplayed { at, replay, edited_as: letter.edited_as })
        }
        Status::Discarded => Some(Became::AlreadyDiscarded { at, reason: letter.reason.clone().unwrap_or_default() }),
    }
}

async fn original(parts: &ApiParts, id: MessageId) -> Result<Timeline, Refusal> {
    let whole = TimelineQuery { body_bytes_max: usize::MAX, ..TimelineQuery::of(id) };
    let found = parts.store.ledger().message(whole).await.map_err(|error| refusal(&error))?;
    found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no message {id}")))
}

/// That it can be what its content type says, and is another than before.
fn check(content_type: &str, body: &[u8], original: &Timeline) -> Result<(), Refusal> {
    if body == original.body.as_bytes() && content_type == original.message.content_type {
        return Err(invalid("nothing is different: replay the dead letter to deliver it as it is".to_owned()));
    }
    if !is_said_to_be_json(content_type) {
        return Ok(());
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(body).map(drop).map_err(|error| {
        let told = error.to_string();
        let what = told.split(" at line ").next().unwrap_or(&told);
        invalid(format!("line {}, column {}: {what}; the content type is {content_type}", error.line(), error.column()))
    })
}

fn invalid(detail: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Code::InvalidEdit, detail)
}

/// Bodies of some megabytes take their time: not on a thread that others wait for.
async fn difference_of(original: Timeline, edited: Arc<Message>) -> Result<Difference, Refusal> {
    let compare = move || {
        let mut difference = difference::between(original.body.as_bytes(), &edited.body);
        let was = original.message;
        difference.fact("content-type", Some(was.content_type), Some(edited.content_type.clone()));
        difference.fact("key", was.key, edited.key.as_ref().map(|key| key.0.clone()));
        difference
    };
    tokio::task::spawn_blocking(compare).await.map_err(|_| refusal(&StoreError::Closed))
}
