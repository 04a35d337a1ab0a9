//! What the ledger shows: plain rows, as the API and the commands' `--json` give them.

use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::Body;
use crate::message::{FailureClass, Headers, MessageId, Outcome, Tracked};
use crate::message_store::{AttemptId, DeadLetterId, DeliveryId, Stage};

/// How a message stands with an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Waiting,
    Delivered,
    Skipped,
    FannedOut,
    DeadLettered,
    Discarded,
    /// A message made from it by a person took its place.
    Edited,
}

impl State {
    /// Every state.
    pub const ALL: &[Self] =
        &[Self::Waiting, Self::Delivered, Self::Skipped, Self::FannedOut, Self::DeadLettered, Self::Discarded, Self::Edited];

    /// The states a child can be in; first those that ask most of people. For one that was edited, the message in its place speaks.
    pub(super) const BY_URGENCY: &[Self] = &[Self::Waiting, Self::DeadLettered, Self::Discarded, Self::Delivered, Self::Skipped];

    /// The word for it in JSON and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => Outcome::Delivered.as_str(),
            Self::Skipped => Outcome::Skipped.as_str(),
            Self::FannedOut => Outcome::FannedOut.as_str(),
            Self::DeadLettered => Outcome::DeadLettered.as_str(),
            Self::Discarded => Outcome::Discarded.as_str(),
            Self::Edited => Outcome::Edited.as_str(),
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message in a list. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MessageRow {
    /// For paging: see `MessageQuery::before_seq`.
    pub seq: i64,
    pub id: MessageId,
    pub parent: Option<MessageId>,
    pub key: Option<String>,
    pub origin: String,
    pub content_type: String,
    pub body_bytes: u64,
    pub accepted_at: String,
    /// The values it is found by.
    pub tracked: Vec<Tracked>,
    pub integrations: Vec<StandingRow>,
}

/// Messages, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MessagePage {
    pub messages: Vec<MessageRow>,
    /// For the next page, if there is more: see `MessageQuery::before_seq`.
    pub next: Option<i64>,
    /// The search was given up there, before it had as many as were asked for; it goes on from `next`.
    pub searched_to: Option<String>,
}

/// How a message stands with one integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StandingRow {
    pub integration: String,
    /// Where it was fanned out: what its children make together.
    pub state: State,
    /// How many children it was fanned out into.
    pub children: u64,
}

/// A message and all that happened to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timeline {
    #[serde(flatten)]
    pub message: MessageRow,
    pub headers: Headers,
    pub body: Body,
    /// `body` is only the beginning; `body-bytes` is the length of all of it.
    pub body_truncated: bool,
    pub waiting: Vec<WaitingRow>,
    /// Oldest first.
    pub attempts: Vec<AttemptRow>,
    /// There are earlier ones: see `TimelineQuery::attempts_before`.
    pub earlier_attempts: Option<AttemptId>,
    /// Oldest first.
    pub outcomes: Vec<OutcomeRow>,
    pub dead_letters: Vec<DeadLetterRow>,
    /// In the order in which they were made.
    pub children: Vec<MessageRow>,
    /// There are more than these: see `MessageQuery::parent`.
    pub more_children: bool,
}

/// A delivery that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WaitingRow {
    pub delivery: DeliveryId,
    pub integration: String,
    pub stage: Stage,
    pub lane: Option<String>,
    /// It waits for others of its lane.
    pub behind: bool,
    pub due_at: String,
    pub attempts: u64,
    pub waits: u64,
    pub replay: u64,
}

/// An attempt, or several in a row that only waited, for the same reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptRow {
    pub id: AttemptId,
    pub integration: String,
    pub stage: Stage,
    pub replay: u64,
    pub release: String,
    pub started_at: String,
    pub ended_at: String,
    pub times: u64,
    pub result: String,
    pub code: Option<String>,
    pub detail: Option<String>,
    /// A request that sent another body than one shown before it under the same idempotency key has `other-body`.
    pub trace: serde_json::Value,
}

/// What a request sent and was answered; what else is known of it stands in the attempt's trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExchangeRow {
    pub sent: KeptRow,
    /// None where no answer came.
    pub answer: Option<KeptRow>,
}

/// A body, as far as it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeptRow {
    pub content_type: Option<String>,
    /// The length of all of it.
    pub bytes: u64,
    pub body: Body,
    /// `body` is only the beginning; the rest was not kept.
    pub truncated: bool,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutcomeRow {
    pub integration: String,
    pub stage: Stage,
    pub replay: u64,
    pub outcome: State,
    pub code: Option<String>,
    pub detail: Option<String>,
    pub receipt: Option<serde_json::Value>,
    pub settled_at: String,
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Open,
    Replayed,
    Discarded,
}

impl Status {
    /// The word for it in JSON and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// The status of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Replayed, Self::Discarded].into_iter().find(|status| status.as_str() == word)
    }
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadLetterRow {
    pub id: DeadLetterId,
    pub message: MessageId,
    pub integration: String,
    /// The message's key in this integration.
    pub lane: Option<String>,
    pub stage: Stage,
    pub class: FailureClass,
    pub code: String,
    pub detail: String,
    pub fingerprint: String,
    pub attempts: u64,
    pub waits: u64,
    pub replay: u64,
    pub died_at: String,
    pub status: Status,
    pub closed_at: Option<String>,
    /// Why it was discarded or edited.
    pub reason: Option<String>,
    /// Of one that was edited, the message that took its place.
    pub edited_as: Option<MessageId>,
}

/// Dead letters in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadLetterPage {
    pub dead_letters: Vec<DeadLetterRow>,
    /// For the next page, if there may be more: see `DeadLetterQuery::beyond`.
    pub next: Option<DeadLetterId>,
    /// The search was given up there, before it had as many as were asked for; it goes on from `next`.
    pub searched_to: Option<String>,
}

/// Groups of dead letters, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupPage {
    pub groups: Vec<DeadLetterGroupRow>,
    /// For the next page, if there may be more: see `GroupQuery::before`.
    pub next: Option<GroupCursor>,
}

/// A place among the groups, as text `17-8b22615b61396025`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCursor {
    pub(super) open: u64,
    pub(super) fingerprint: String,
}

impl std::fmt::Display for GroupCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.open, self.fingerprint)
    }
}

impl FromStr for GroupCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (open, fingerprint) = text.split_once('-').ok_or(())?;
        Ok(Self { open: open.parse().map_err(drop)?, fingerprint: fingerprint.to_owned() })
    }
}

impl Serialize for GroupCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Open dead letters of one fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadLetterGroupRow {
    pub fingerprint: String,
    pub integration: String,
    pub class: FailureClass,
    pub code: String,
    pub count: u64,
    pub first_at: String,
    pub last_at: String,
    /// The newest of them.
    pub example: DeadLetterId,
    pub example_detail: String,
}

/// What waits for one integration, and what is dead of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QueueRow {
    pub integration: String,
    pub waiting: u64,
    pub oldest_accepted_at: Option<String>,
    /// How long the oldest message has waited; a child waits since it was made.
    pub oldest_waiting_ms: Option<u64>,
    pub dead_letters: u64,
    /// Dead letters that stop their keys: nothing newer of them goes.
    pub stopped: u64,
}
