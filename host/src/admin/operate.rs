//! What people do about dead letters, one or many at a time: [`act`]. `POST /api/v1/dead-letters/replay` and `/discard` ask for it;
//! so does the console.
//!
//! Each dead letter is a transaction of its own: some may be done and others not, and the answer says so for each. Of two people who
//! do the same at once one is first, and the other is told what the first one did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use futures_util::{StreamExt, stream};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::{Api, ApiParts};
use super::audit;
use super::known;
use super::parameters::wrong;
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::alias::RateLimit;
use crate::config;
use crate::ingress::answer::{self, Refusal};
use crate::message::{FailureClass, MessageId};
use crate::message_store::audit::{Act, Came, Note};
use crate::message_store::sqlite::ledger::{DeadLetterQuery, ROWS_MAX};
use crate::message_store::{ClosedLetter, DeadLetterId, Discard, MessageStore, Replay, Replayed, StoreError, Superseded};
use crate::telemetry::events::{Event, Kind, Level};

/// Dead letters in one request at most; `more` in the answer says that there are others.
const PER_REQUEST_MAX: usize = 10_000;
/// Pages of dead letters looked for in one request at most.
const PAGES_MAX: usize = 100;
/// Commands under way at once, so that they share commits.
const AT_ONCE: usize = 64;
const REASON_CHARS_MAX: usize = 1000;
/// Ids that the log and the events name; the others are counted.
const IDS_TOLD_MAX: usize = 20;

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
    /// Such as `20/s`: they do not all go at once.
    rate: Option<String>,
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub ids: Option<Vec<DeadLetterId>>,
    pub fingerprint: Option<String>,
    pub class: Option<FailureClass>,
    pub integration: Option<String>,
}

/// What is to be done with them.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Back on their way, oldest first.
    Replay { superseded: Superseded, rate: Option<RateLimit> },
    /// Given up for good. Why is kept.
    Discard { reason: String },
}

/// One dead letter and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Done {
    pub id: DeadLetterId,
    #[serde(flatten)]
    pub became: Became,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Became {
    /// Nothing was done: what would be was asked for.
    WouldBeQueued,
    /// It goes with this replay number.
    Queued {
        replay: u32,
    },
    /// Nothing was done: so many newer messages of its key were delivered since.
    Superseded {
        newer: u64,
    },
    /// Discarded for that reason, as asked.
    Skipped,
    Discarded,
    /// Somebody else was first.
    AlreadyReplayed {
        at: String,
        replay: u32,
        /// With this message in its place.
        #[serde(skip_serializing_if = "Option::is_none", rename = "edited-as")]
        edited_as: Option<MessageId>,
    },
    AlreadyDiscarded {
        at: String,
        reason: String,
    },
    NotFound,
    /// Its integration is retired: nobody would deliver it.
    IntegrationRetired {
        integration: String,
    },
    /// The host's log says why.
    Failed,
}

impl From<Replayed> for Became {
    fn from(replayed: Replayed) -> Self {
        match replayed {
            Replayed::Queued(replay) => Self::Queued { replay },
            Replayed::Superseded(newer) => Self::Superseded { newer },
            Replayed::Skipped => Self::Skipped,
        }
    }
}

impl Became {
    /// Whether what was asked for was done.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Queued { .. } | Self::Skipped | Self::Discarded)
    }
}

/// What became of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Results {
    pub results: Vec<Done>,
    /// Others fit that are not in `results`: ask again.
    pub more: bool,
}

/// Puts dead letters back on their way.
pub async fn replay(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    let ReplayRequest { ids, fingerprint, class, integration, superseded, rate } = api.json(request).await?;
    let rate = rate.map(|text| config::rate(&text).map_err(|why| wrong(format!("`rate`: {why}")))).transpose()?;
    let selection = Selection { ids, fingerprint, class, integration };
    Ok(answer::json(StatusCode::OK, &act(&api.parts, selection, Action::Replay { superseded, rate }, &who).await?))
}

/// Gives dead letters up for good.
pub async fn discard(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    let DiscardRequest { ids, fingerprint, class, integration, reason } = api.json(request).await?;
    let selection = Selection { ids, fingerprint, class, integration };
    Ok(answer::json(StatusCode::OK, &act(&api.parts, selection, Action::Discard { reason }, &who).await?))
}

/// Does `action` to every dead letter of `selection`, oldest first, for `who`. Each is a transaction of its own: the audit trail has an entry of
/// what was asked for before the first, and one of what was done behind the last.
///
/// # Errors
/// 400 for a selection of nothing, of too many, or of two kinds, and for a reason that says nothing; 404 for an integration that never was; 503 where the store does not
/// answer.
pub(crate) async fn act(parts: &ApiParts, selection: Selection, action: Action, who: &Who) -> Result<Results, Refusal> {
    let action = checked(action)?;
    known::integration(parts, selection.integration.as_deref()).await?;
    let chosen = selection.to_string();
    let (ids, more) = selection.find(parts).await?;
    if ids.is_empty() {
        return Ok(Results { results: Vec::new(), more });
    }
    let (parts, who) = (parts.clone(), who.clone());
    to_its_end(async move {
        let note = || who.note(parts.clock.now(), action.act(), subject(&ids));
        let asked = audit::asked(&parts, about(note(), &action, &chosen, &ids)).await?;
        let all = stream::iter((0..).zip(ids.clone())).map(|(number, id)| act_on(&parts, id, &action, number));
        let results: Vec<Done> = all.buffered(AT_ONCE).collect().await;
        let done: Vec<DeadLetterId> = results.iter().filter(|done| done.became.is_done()).map(|done| done.id).collect();
        let came = if done.len() == results.len() { Came::Done } else { Came::Failed };
        audit::ended(&parts, asked, note().came(came).after(json!({ "done": done.len(), "of": results.len(), "ids": told(&done) }))).await;
        tell(&parts, &action, &chosen, results.len(), &done, &who);
        Ok(Results { results, more })
    })
    .await?
}

/// For the audit trail, in which one entry is of bounded size however many there are.
fn subject(ids: &[DeadLetterId]) -> String {
    match ids {
        [id] => format!("dead letter {}", id.0),
        ids => format!("{} dead letters", ids.len()),
    }
}

fn about(note: Note, action: &Action, chosen: &str, ids: &[DeadLetterId]) -> Note {
    let mut after = json!({ "chosen": chosen, "ids": told(ids) });
    match action {
        Action::Replay { superseded, rate } => {
            after["superseded"] = json!(superseded);
            after["rate"] = rate.map(|rate| rate.to_string()).into();
        }
        Action::Discard { reason } => after["reason"] = reason.as_str().into(),
    }
    note.after(after)
}

impl Action {
    fn act(&self) -> Act {
        match self {
            Self::Replay { .. } => Act::Replay,
            Self::Discard { .. } => Act::Discard,
        }
    }
}

/// For the log, and for who follows what happens.
fn tell(parts: &ApiParts, action: &Action, chosen: &str, asked: usize, done: &[DeadLetterId], who: &Who) {
    let (by, letters, done) = (who.name(), told(done), done.len());
    let (what, why) = match action {
        Action::Replay { .. } if done == 0 => ("no dead letter was replayed", None),
        Action::Replay { superseded: Superseded::Skip, .. } => {
            ("dead letters were replayed, or discarded where they were superseded", None)
        }
        Action::Replay { .. } => ("dead letters were replayed", None),
        Action::Discard { .. } if done == 0 => ("no dead letter was discarded", None),
        Action::Discard { reason } => ("dead letters were discarded", Some(reason.as_str())),
    };
    tracing::info!(by, dead_letters = letters, asked, done, chosen, reason = why, "{what}");
    let event = who.told(Event::new(Kind::Operator, Level::Info, what)).with("dead-letters", letters);
    let event = event.with("asked", asked as u64).with("done", done as u64).with("chosen", chosen.to_owned());
    parts.events.tell(match why {
        Some(reason) => event.with("reason", reason.to_owned()),
        None => event,
    });
}

/// `17, 18 and 40 more`
fn told(ids: &[DeadLetterId]) -> String {
    let named: Vec<String> = ids.iter().take(IDS_TOLD_MAX).map(|id| id.0.to_string()).collect();
    match ids.len().saturating_sub(IDS_TOLD_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn checked(action: Action) -> Result<Action, Refusal> {
    let Action::Discard { reason } = action else { return Ok(action) };
    Ok(Action::Discard { reason: why(&reason)? })
}

/// A reason as it is kept.
///
/// # Errors
/// 400 for one that says nothing, or too much.
pub(super) fn why(reason: &str) -> Result<String, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(wrong(format!("`reason`: say why, in at most {REASON_CHARS_MAX} characters")));
    }
    Ok(reason.to_owned())
}

/// `number` is its place among those of the request, from 0.
async fn act_on(parts: &ApiParts, id: DeadLetterId, action: &Action, number: u32) -> Done {
    let (dead_letter, now) = (id, parts.clock.now());
    let acted = match action {
        Action::Replay { superseded, rate } => {
            let after = rate.map_or(Duration::ZERO, |RateLimit { requests, period }| period.saturating_mul(number) / requests.max(1));
            let replay = Replay { dead_letter, now, due_at: now.plus(after), superseded: *superseded, edit: None };
            let replayed = parts.store.replay(replay).await;
            replayed.map(Became::from)
        }
        Action::Discard { reason } => {
            let discard = Discard { dead_letter, now, reason: reason.clone() };
            parts.store.discard(discard).await.map(|()| Became::Discarded)
        }
    };
    Done { id, became: acted.unwrap_or_else(|error| not_done(id, error)) }
}

pub(super) fn not_done(id: DeadLetterId, error: StoreError) -> Became {
    match error {
        StoreError::NoSuchDeadLetter => Became::NotFound,
        StoreError::Retired(integration) => Became::IntegrationRetired { integration },
        StoreError::NotOpen(ClosedLetter::Replayed { at, replay, edited_as }) => {
            Became::AlreadyReplayed { at: at.to_string(), replay, edited_as }
        }
        StoreError::NotOpen(ClosedLetter::Discarded { at, reason }) => Became::AlreadyDiscarded { at: at.to_string(), reason },
        error => {
            tracing::error!(dead_letter = id.0, %error, "a dead letter could not be replayed or discarded");
            Became::Failed
        }
    }
}

impl fmt::Display for Selection {
    /// How they were chosen: `by id`, or `integration orders, class unkeyed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ids.is_some() {
            return f.write_str("by id");
        }
        let class = self.class.map(|class| class.to_string());
        let given = [("integration", &self.integration), ("class", &class), ("fingerprint", &self.fingerprint)];
        let given = given.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_deref()?)));
        f.write_str(&given.collect::<Vec<_>>().join(", "))
    }
}

impl Selection {
    /// The dead letters meant, oldest first, and whether there are more than one request may change.
    async fn find(self, parts: &ApiParts) -> Result<(Vec<DeadLetterId>, bool), Refusal> {
        let filtered = self.fingerprint.is_some() || self.class.is_some() || self.integration.is_some();
        match self.ids {
            Some(_) if filtered => Err(wrong("give either `ids`, or `fingerprint`, `class` and `integration`")),
            Some(ids) if ids.len() > PER_REQUEST_MAX => Err(wrong(format!("`ids`: at most {PER_REQUEST_MAX} at a time"))),
            Some(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                Ok((ids, false))
            }
            None if filtered => self.find_all(parts).await,
            None => Err(wrong("say which: `ids`, or `fingerprint`, `class` or `integration`")),
        }
    }

    async fn find_all(self, parts: &ApiParts) -> Result<(Vec<DeadLetterId>, bool), Refusal> {
        let Self { fingerprint, class, integration, .. } = self;
        let mut query =
            DeadLetterQuery { integration, class, fingerprint, oldest_first: true, limit: ROWS_MAX, ..DeadLetterQuery::default() };
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = parts.store.ledger().dead_letters(query.clone()).await.map_err(|error| refusal(&error))?;
            found.extend(page.dead_letters.into_iter().map(|letter| letter.id));
            query.beyond = page.next;
            if page.next.is_none() || found.len() >= PER_REQUEST_MAX {
                break;
            }
        }
        Ok((found, query.beyond.is_some()))
    }
}
