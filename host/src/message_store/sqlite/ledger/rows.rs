//! What the ledger shows: plain rows, as the API and the commands' `--json` give them.

use serde::{Deserialize, Serialize};

use crate::message::{FailureClass, Headers, MessageId, Outcome, Tracked};
use crate::message_store::{DeadLetterId, DeliveryId, Stage};

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
}

impl State {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Waiting, Self::Delivered, Self::Skipped, Self::FannedOut, Self::DeadLettered, Self::Discarded];

    /// The word for it in JSON and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => Outcome::Delivered.as_str(),
            Self::Skipped => Outcome::Skipped.as_str(),
            Self::FannedOut => Outcome::FannedOut.as_str(),
            Self::DeadLettered => Outcome::DeadLettered.as_str(),
            Self::Discarded => Outcome::Discarded.as_str(),
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }

    /// What children in these states make of their parent: the one that asks most of people.
    pub(super) fn roll_up(children: impl IntoIterator<Item = Self>) -> Self {
        let asks = |state: &Self| match state {
            Self::Waiting => 4,
            Self::DeadLettered => 3,
            Self::Discarded => 2,
            Self::Delivered => 1,
            Self::Skipped | Self::FannedOut => 0,
        };
        children.into_iter().max_by_key(asks).unwrap_or(Self::FannedOut)
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
    pub integrations: Vec<StandingRow>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timeline {
    #[serde(flatten)]
    pub message: MessageRow,
    pub headers: Headers,
    pub tracked: Vec<Tracked>,
    pub body: Body,
    pub waiting: Vec<WaitingRow>,
    /// Oldest first.
    pub attempts: Vec<AttemptRow>,
    /// Oldest first.
    pub outcomes: Vec<OutcomeRow>,
    pub dead_letters: Vec<DeadLetterRow>,
    pub children: Vec<MessageRow>,
}

/// A body: as text where it is UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    Text(String),
    Base64(String),
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
    pub trace: serde_json::Value,
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
    pub reason: Option<String>,
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
}
