//! `POST /api/v1/dead-letters/replay` and `/discard`: what people do about dead letters, one or many at a time.
//!
//! Each dead letter is a transaction of its own: some may be done and others not, and the answer says so for each.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use futures_util::{StreamExt, stream};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::parameters::wrong;
use super::store_refusal::refusal;
use crate::ingress::answer::{self, Refusal};
use crate::message::FailureClass;
use crate::message_store::sqlite::ledger::{DeadLetterQuery, ROWS_MAX};
use crate::message_store::{DeadLetterId, Discard, MessageStore, Replay, Replayed, StoreError, Superseded};
use crate::telemetry::events::{Event, Kind, Level};

/// Dead letters in one request at most; `more` in the answer says that there are others.
const PER_REQUEST_MAX: usize = 10_000;
/// Commands under way at once, so that they share commits.
const AT_ONCE: usize = 64;
const REASON_CHARS_MAX: usize = 1000;

/// The body of a replay.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ReplayRequest {
    ids: Option<Vec<DeadLetterId>>,
    fingerprint: Option<String>,
    class: Option<FailureClass>,
    integration: Option<String>,
    #[serde(default = "ask")]
    superseded: Superseded,
}

/// The body of a discard.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct DiscardRequest {
    ids: Option<Vec<DeadLetterId>>,
    fingerprint: Option<String>,
    class: Option<FailureClass>,
    integration: Option<String>,
    reason: String,
}

fn ask() -> Superseded {
    Superseded::Ask
}

/// Which dead letters: these, or those that fit all that is given.
#[derive(Debug)]
struct Selection {
    ids: Option<Vec<DeadLetterId>>,
    fingerprint: Option<String>,
    class: Option<FailureClass>,
    integration: Option<String>,
}

/// What became of one dead letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Done {
    id: DeadLetterId,
    result: &'static str,
    /// The replay number it goes with.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<u32>,
    /// Newer messages of its key that were delivered since.
    #[serde(skip_serializing_if = "Option::is_none")]
    newer: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Results {
    results: Vec<Done>,
    /// Others fit that are not in `results`: ask again.
    more: bool,
}

/// Puts dead letters back on their way, oldest first.
pub async fn replay(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let ReplayRequest { ids, fingerprint, class, integration, superseded } = api.json(request).await?;
    let (ids, more) = Selection { ids, fingerprint, class, integration }.find(&api).await?;
    let results = stream::iter(ids).map(|id| replay_one(&api, id, superseded)).buffered(AT_ONCE).collect().await;
    Ok(answered(&api, "replayed", results, more))
}

/// Gives dead letters up for good.
pub async fn discard(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let DiscardRequest { ids, fingerprint, class, integration, reason } = api.json(request).await?;
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(wrong(format!("`reason`: say why, in at most {REASON_CHARS_MAX} characters")));
    }
    let (ids, more) = Selection { ids, fingerprint, class, integration }.find(&api).await?;
    let results = stream::iter(ids).map(|id| discard_one(&api, id, reason.clone())).buffered(AT_ONCE).collect().await;
    Ok(answered(&api, "discarded", results, more))
}

async fn replay_one(api: &Api, id: DeadLetterId, superseded: Superseded) -> Done {
    let done = |result| Done { id, result, replay: None, newer: None };
    match api.parts.store.replay(Replay { dead_letter: id, now: api.parts.clock.now(), superseded }).await {
        Ok(Replayed::Queued(number)) => Done { replay: Some(number), ..done("queued") },
        Ok(Replayed::Superseded(newer)) => Done { newer: Some(newer), ..done("superseded") },
        Ok(Replayed::Skipped) => done("skipped"),
        Err(error) => done(failed(id, &error)),
    }
}

async fn discard_one(api: &Api, id: DeadLetterId, reason: String) -> Done {
    let result = match api.parts.store.discard(Discard { dead_letter: id, now: api.parts.clock.now(), reason }).await {
        Ok(()) => "discarded",
        Err(error) => failed(id, &error),
    };
    Done { id, result, replay: None, newer: None }
}

fn failed(id: DeadLetterId, error: &StoreError) -> &'static str {
    if matches!(error, StoreError::NoSuchDeadLetter) {
        return "not-found";
    }
    tracing::error!(dead_letter = id.0, %error, "a dead letter could not be replayed or discarded");
    "failed"
}

fn answered(api: &Api, what: &str, results: Vec<Done>, more: bool) -> Response<Body> {
    let done = results.iter().filter(|done| matches!(done.result, "queued" | "skipped" | "discarded")).count();
    tracing::info!(asked = results.len(), done, "dead letters were {what}");
    let event = Event::new(Kind::Operator, Level::Info, format!("dead letters were {what}"));
    api.parts.events.tell(event.with("asked", results.len() as u64).with("done", done as u64));
    answer::json(StatusCode::OK, &Results { results, more })
}

impl Selection {
    /// The dead letters meant, oldest first, and whether there are more than one request may change.
    async fn find(self, api: &Api) -> Result<(Vec<DeadLetterId>, bool), Refusal> {
        let filtered = self.fingerprint.is_some() || self.class.is_some() || self.integration.is_some();
        match self.ids {
            Some(_) if filtered => Err(wrong("give either `ids`, or `fingerprint`, `class` and `integration`")),
            Some(ids) if ids.len() > PER_REQUEST_MAX => Err(wrong(format!("`ids`: at most {PER_REQUEST_MAX} at a time"))),
            Some(ids) => Ok((ids, false)),
            None if filtered => self.find_all(api).await,
            None => Err(wrong("say which: `ids`, or `fingerprint`, `class` or `integration`")),
        }
    }

    async fn find_all(self, api: &Api) -> Result<(Vec<DeadLetterId>, bool), Refusal> {
        let Self { fingerprint, class, integration, .. } = self;
        let mut query = DeadLetterQuery { integration, class, fingerprint, limit: ROWS_MAX, ..DeadLetterQuery::default() };
        let mut found = Vec::new();
        let more = loop {
            let page = api.parts.store.ledger().dead_letters(query.clone()).await.map_err(|error| refusal(&error))?;
            let last_page = page.len() < ROWS_MAX;
            query.before = page.last().map(|letter| letter.id);
            found.extend(page.into_iter().map(|letter| letter.id));
            if last_page || found.len() >= PER_REQUEST_MAX {
                break !last_page;
            }
        };
        found.reverse();
        Ok((found, more))
    }
}
