//! The durable home of messages and deliveries, as a trait: [`MessageStore`]. Each method is one transaction.
//!
//! Knows messages and integrations' names; knows nothing of plugins or HTTP. `sqlite` is the store of a running host,
//! `memory` the one of simulations; `suite` is the behaviour both must show. Key-value data, releases and the ledger's
//! queries are structs of their own on the SQLite store.

pub mod audit;
pub mod exchange;
pub mod memory;
pub mod records;
pub mod routing;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod suite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::integration::ReleaseId;
pub use crate::integration::WaitingMax;
use crate::message::{FailureClass, Message, MessageId, Tracked};
use crate::problem::{Code, Problem};
use exchange::Exchange;

/// Starts of a delivery that never settled before it becomes a dead letter `host-crashed`.
pub const UNSETTLED_STARTS_MAX: u32 = 3;
/// Newer messages of a dead letter's key are counted up to this.
pub const NEWER_COUNTED_MAX: u32 = 1000;
/// How long a command waits for the writer to claim it before the store is called busy.
pub const CLAIM_WITHIN: Duration = Duration::from_secs(5);

/// Where messages and deliveries are kept.
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Takes a message and one delivery for each integration that reads it, or finds that it was taken before.
    /// When this returns [`Accepted::New`], the message is on disk.
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError>;

    /// Hands out deliveries of one integration that are due, oldest first, each to nobody else until it is settled
    /// or released. The start is noted with the next group commit; this does not wait for it.
    async fn lease(&self, lease: Lease) -> Result<Vec<Leased>, StoreError>;

    /// Gives a lease back without an attempt: as if it had never been handed out. It may be handed out again at once.
    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError>;

    /// Records an attempt and what becomes of the delivery, with the effects of the call, all or nothing.
    /// A delivery that is not leased (it was settled, or an operator took it away) gives [`StoreError::NotLeased`].
    async fn settle(&self, settle: Arc<Settle>) -> Result<(), StoreError>;

    /// Where a source of an integration stands; none for one that was never asked.
    async fn source(&self, integration: &str, source: &str) -> Result<Option<SourceState>, StoreError>;

    /// Takes what a source found, with the effects of the call that found it and the place it goes on from, all or nothing. Where it
    /// does not stand where it was asked from any more, or as many deliveries wait as may, nothing is done.
    async fn advance(&self, advance: Arc<Advance>) -> Result<Advanced, StoreError>;

    /// When the next delivery of `integration` that is ready and not leased is due; none if there is none.
    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError>;

    /// How many deliveries of `integration` wait, as it was committed. Answers at once.
    fn waiting(&self, integration: &str) -> u64;

    /// The same of all integrations together.
    fn waiting_in_all(&self) -> u64;

    /// Puts a dead letter back on its way with the next replay number, as it is or with an edited message in its place.
    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError>;

    /// Gives a dead letter up for good.
    async fn discard(&self, discard: Discard) -> Result<(), StoreError>;
}

/// The row id of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub i64);

/// The row id of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub i64);

/// The row id of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct DeadLetterId(pub i64);

/// What [`MessageStore::accept`] takes.
#[derive(Clone, Debug)]
pub struct Accept {
    pub message: Arc<Message>,
    pub dedup: Option<Dedup>,
    pub deliveries: Vec<NewDelivery>,
    /// Over it the message is not taken.
    pub waiting_max: WaitingMax,
}

/// What makes a message the same as one that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// Tokens of different scopes never meet: `webhook /shop/orders`, `channel orders.canonical`.
    pub scope: String,
    /// SHA-256 over what makes the message the same.
    pub token: [u8; 32],
    pub expires_at: Timestamp,
}

/// A delivery to be made for one integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    pub integration: String,
    pub lane: Lane,
    /// Which of its integration's rules for the order put it there: what earlier ones did goes first.
    pub ordering: u32,
    /// Not before this.
    pub due_at: Timestamp,
    /// What makes it the same, within its integration, as what another of its sources brought: then it is not made.
    pub record: Option<Dedup>,
}

/// Where a delivery stands in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane {
    /// In no order.
    Free,
    /// Behind the others of this key in its integration.
    Key(String),
    /// Its integration orders by a key and it has none: it becomes a dead letter `unkeyed` at once, with this detail.
    Unkeyed(String),
}

/// What became of an accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    New,
    /// New to some of its integrations. These had its record already, and get no delivery.
    Partly(Vec<String>),
    /// It was taken before, under this id; or each of its integrations had its record already, the first under this id.
    Duplicate(MessageId),
    /// This integration has as many deliveries waiting as it may.
    Full(String),
    /// All integrations together have.
    HostFull,
}

/// What [`MessageStore::lease`] takes.
#[derive(Clone, Debug)]
pub struct Lease {
    pub integration: String,
    pub now: Timestamp,
    pub limit: usize,
    /// Nothing more is handed out once the bodies have so many bytes, all together: at most one message more is loaded.
    pub bytes_max: usize,
}

/// What part of its way a delivery is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The steps, then the sink.
    Steps,
    /// A child of a fan-out: the sink only.
    Sink,
}

impl Stage {
    /// The word for it in JSON and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Sink => "sink",
        }
    }
}

/// The fingerprint of the dead letters of `integration` whose key was not found: they have one cause.
pub(crate) fn unkeyed_fingerprint(integration: &str) -> String {
    let word = crate::message::FailureClass::Unkeyed.as_str();
    let mut hash = Sha256::new();
    for part in [integration, word, word] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A delivery handed out.
#[derive(Clone, Debug)]
pub struct Leased {
    pub id: DeliveryId,
    pub integration: String,
    pub message: Arc<Message>,
    pub stage: Stage,
    /// Attempts that failed so far.
    pub attempts: u32,
    /// Times it had to wait for a target so far.
    pub waits: u32,
    pub replay: u32,
    /// When it was first handed out; this time if it is now. Virtual clocks start here.
    pub first_started_at: Timestamp,
    /// When its first failed attempt ended, moved later by the time it spent waiting for targets, and by the time it was due
    /// and was not handed out; none if none failed.
    pub failing_since: Option<Timestamp>,
    /// Starts that never settled, not counting this one. At [`UNSETTLED_STARTS_MAX`] it must not be run again.
    pub unsettled_starts: u32,
    /// Whether a start before this one may have been cut off by the end of its host: what this one sends may have been sent before.
    pub may_repeat: bool,
}

/// What [`MessageStore::settle`] takes.
#[derive(Clone, Debug)]
pub struct Settle {
    pub delivery: DeliveryId,
    pub attempt: Attempt,
    pub settlement: Settlement,
    /// Messages to be appended to channels: queue sends, or the delivery itself where the sink is a channel.
    pub appends: Vec<Append>,
    pub key_values: Vec<KeyValueWrite>,
    /// Values that plugins found in the delivery's message, by which people find it from now on. Each is kept once, within the
    /// limits of [`crate::message::track`], whatever becomes of the delivery.
    pub tracked: Vec<Tracked>,
}

/// One attempt, for the ledger.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub release: ReleaseId,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    /// A word: `delivered`, `skipped`, `fanned-out`, `waited`, `failed`.
    pub result: &'static str,
    /// What failed, grouped: a plugin's code, a limit's class, `unreachable`.
    pub code: Option<String>,
    pub detail: Option<String>,
    /// Plugin calls and their outbound requests, as JSON (see `delivery::trace`).
    pub trace: Arc<str>,
    /// The bodies of the trace's requests, in its order.
    pub exchanges: Vec<Exchange>,
}

/// What becomes of a delivery.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// Done.
    Delivered { receipt: serde_json::Value },
    /// Done: nothing was to be delivered.
    Skipped { code: String, detail: String },
    /// Replaced by deliveries of these child messages at [`Stage::Sink`], in its lane, in this order.
    FannedOut { children: Vec<Message> },
    /// To be handed out again at `due_at`; no attempt is used.
    Waits { due_at: Timestamp },
    /// An attempt failed; to be handed out again at `due_at`.
    Retries { due_at: Timestamp },
    /// Parked for people. `stops_lane`: the next of its lane goes when they have closed it, and not before.
    DeadLettered { class: FailureClass, code: String, detail: String, fingerprint: String, stops_lane: bool },
}

/// A message appended to a channel: a new one, or one that is there already (a child whose sink is a channel).
#[derive(Clone, Debug)]
pub struct Append {
    pub message: AppendedMessage,
    pub channel: String,
    pub dedup: Option<Dedup>,
    /// Nobody gets it before this.
    pub due_at: Timestamp,
    /// One for every integration that reads the channel.
    pub deliveries: Vec<NewDelivery>,
}

#[derive(Clone, Debug)]
pub enum AppendedMessage {
    /// Inserted; if its (derived) id is there already, nothing is appended.
    New(Arc<Message>),
    Existing(MessageId),
}

/// A write to an integration's key-value data.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyValueWrite {
    pub integration: String,
    pub key: String,
    /// None deletes.
    pub value: Option<Vec<u8>>,
    pub expires_at: Option<Timestamp>,
}

/// Where a source goes on, and how it went the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// What it gave as the place to go on from; none before it gave any.
    pub cursor: Option<String>,
    /// When it is asked again.
    pub due_at: Timestamp,
    pub last: SourceResult,
}

/// How a source was asked the last time, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceResult {
    /// When it was asked.
    pub at: Timestamp,
    /// A word: see `source::result`.
    pub result: String,
    /// What failed, as in an [`Attempt`].
    pub code: Option<String>,
    pub detail: Option<String>,
    /// Messages it brought, and how many of them were new.
    pub items: u64,
    pub fresh: u64,
}

/// What [`MessageStore::advance`] takes.
#[derive(Clone, Debug)]
pub struct Advance {
    pub integration: String,
    pub source: String,
    /// Where it went on from when it was asked.
    pub from: Option<String>,
    /// Where it stands from now on. How many messages were new is the store's to say.
    pub to: SourceState,
    /// The messages it found, in order, each with its delivery. One whose record was seen before, in this page too, is not taken;
    /// its record is remembered for longer.
    pub found: Vec<(Arc<Message>, NewDelivery)>,
    pub appends: Vec<Append>,
    pub key_values: Vec<KeyValueWrite>,
    /// Where as many deliveries wait already, a page with messages is not taken. One that is taken is taken whole.
    pub waiting_max: WaitingMax,
    pub now: Timestamp,
}

/// What became of an advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// On disk; these messages were new.
    Done(Vec<MessageId>),
    /// As many deliveries wait as may.
    Full,
    /// It stands elsewhere by now.
    Moved,
}

/// What [`MessageStore::replay`] takes.
#[derive(Clone, Debug)]
pub struct Replay {
    pub dead_letter: DeadLetterId,
    pub now: Timestamp,
    /// It goes no earlier than this.
    pub due_at: Timestamp,
    /// What to do where newer messages of its key have been delivered since.
    pub superseded: Superseded,
    /// What goes in its place; none for the message as it is.
    pub edit: Option<Edit>,
}

/// A message that a person made from a dead letter's, to be delivered in its place: where it stood among those of its lane, from the
/// stage it had come to. The original stays as it is, and ends as [`Outcome::Edited`](crate::message::Outcome::Edited).
#[derive(Clone, Debug)]
pub struct Edit {
    /// Its id is [`Edit::id`].
    pub message: Arc<Message>,
    /// What keeps it in order; none for no order.
    pub lane: Option<String>,
    pub reason: String,
}

impl Edit {
    /// The id of the message that takes the place of `dead_letter`, which was about `original`: always the same, so that there is one.
    pub fn id(original: MessageId, integration: &str, dead_letter: DeadLetterId, replay: u32) -> MessageId {
        original.derive(integration, &format!("edit of dead letter {}", dead_letter.0), 0, replay)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Superseded {
    /// Leave it and say so.
    Ask,
    /// Discard it: its key has moved on.
    Skip,
    /// Replay it all the same.
    Anyway,
}

/// What a discard by [`Superseded::Skip`] gives as its reason.
pub(crate) const SUPERSEDED: &str = "superseded";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// On its way, with this replay number.
    Queued(u32),
    /// Nothing done: this many newer messages of its key were delivered since, counted up to [`NEWER_COUNTED_MAX`].
    Superseded(u64),
    /// Discarded, as asked.
    Skipped,
}

/// What [`MessageStore::discard`] takes.
#[derive(Clone, Debug)]
pub struct Discard {
    pub dead_letter: DeadLetterId,
    pub now: Timestamp,
    pub reason: String,
}

/// What became of a dead letter that is not open any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClosedLetter {
    /// `edited_as`: with this message in its place.
    Replayed {
        at: Timestamp,
        replay: u32,
        edited_as: Option<MessageId>,
    },
    Discarded {
        at: Timestamp,
        reason: String,
    },
}

impl std::fmt::Display for ClosedLetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Replayed { at, replay, edited_as: None } => write!(f, "replayed at {at} as replay {replay}"),
            Self::Replayed { at, replay, edited_as: Some(message) } => write!(f, "edited at {at} as {message}, replay {replay}"),
            Self::Discarded { at, reason } => write!(f, "discarded at {at}: {reason}"),
        }
    }
}

/// Why the store did not do it. What was not done was not half done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The writer did not claim the command in time; nothing of it was stored.
    #[error("the message store is busy")]
    Busy,
    #[error("the disk is full")]
    Full,
    #[error("the delivery is not leased")]
    NotLeased,
    #[error("there is no such dead letter")]
    NoSuchDeadLetter,
    /// Somebody else was first.
    #[error("the dead letter is not open any more: {0}")]
    NotOpen(ClosedLetter),
    /// Nobody would deliver it.
    #[error("integration {0} is retired")]
    Retired(String),
    #[error("the host is shutting down")]
    Closed,
    #[error("{0}")]
    Failed(Problem),
}

impl StoreError {
    /// What stands in the way of reading or writing `what`.
    pub fn problem(&self, what: &str) -> Problem {
        match self {
            Self::Failed(problem) => problem.clone(),
            Self::Full => Problem::new(Code::DiskFull, "the disk of the data folder is full").fix("free space on it"),
            other => Problem::new(Code::StoreFailed, format!("{what}: {other}")).fix("look at the disk and the host's log"),
        }
    }
}

/// Who wants to know that an integration may have something due. The store calls it after a commit.
pub trait Wake: Send + Sync + 'static {
    /// `integration` has a delivery that was not there, or not ready, before.
    fn wake(&self, integration: &str);
}

/// Reading an integration's key-value data as it was committed. Writing goes through [`Settle::key_values`].
#[async_trait]
pub trait KeyValueRead: Send + Sync + 'static {
    /// The value of `key`, unless it has expired at `now`.
    async fn get(&self, integration: &str, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` keys that start with `prefix` and come after `after`, in byte order, none expired at `now`.
    async fn list(
        &self,
        integration: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError>;

    /// Bytes of keys and values the integration has stored.
    async fn used_bytes(&self, integration: &str) -> Result<u64, StoreError>;
}
