//! Running plugins: the engine, the compiler in its child process, the compile cache, the registry of loaded components and [`PluginInvoker`].
//!
//! The way of one call: `invoke` asks `registry` for the component linked with what the use is offered (`offer`), makes a store
//! with its imports' state (`state`, `wasi`), instantiates and calls through `bindings` while `meter` counts, and tells what went
//! wrong with `fault`.
//!
//! Depends on `capability` for what a plugin may import and on `message`; knows nothing of deliveries' states.

pub mod bindings;
pub mod build;
pub mod cache;
pub mod compile;
pub mod component;
mod config_schema;
pub mod endpoints;
pub mod engine;
pub mod fault;
pub mod host_key;
pub mod in_words;
pub mod invoke;
pub mod kept;
pub mod library;
pub mod limits;
pub mod lock;
pub mod manifest;
pub mod meter;
pub mod native_code;
pub mod offer;
pub mod registry;
mod schema_work;
pub mod scripted;
mod set_ups;
pub mod shares;
pub mod signature;
pub mod source_digest;
pub mod state;
#[cfg(test)]
pub(crate) mod tests;
pub mod trust;
pub mod wasi;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::capability::egress::Stale;
use crate::capability::heard::Heard;
use crate::clock::Timestamp;
use crate::integration::{Binding, Grant, PinnedPlugin};
use crate::message::{FailureClass, Headers, Message, Tracked};
use crate::message_store::exchange::Exchange;

use self::limits::Limits;

/// Who runs a plugin's code: Wasm in a running host, a script in tests of the delivery core.
#[async_trait]
pub trait PluginInvoker: Send + Sync + 'static {
    /// Runs one export of one plugin in a fresh instance. Never panics for what the plugin does.
    ///
    /// `carried` are the effects of the calls before it in the same delivery: this call reads them back and its report
    /// gives them back with its own added.
    async fn invoke(&self, call: Call, carried: Effects) -> Report;
}

/// Everything one call of a plugin is given.
#[derive(Clone, Debug)]
pub struct Call {
    pub plugin: PinnedPlugin,
    pub export: Export,
    /// The integration the call is for; all it can reach is this integration's.
    pub integration: String,
    /// What the plugin is shown. Behind another step: that step's draft, with the id, key and time of the message. A poll is shown
    /// none: its own has no content, and an id that stands for the poll in logs.
    pub message: Arc<Message>,
    /// The other messages of a batch, behind the first; none for every export but [`Export::DeliverBatch`].
    pub others: Vec<Arc<Message>>,
    /// Where a poll goes on; none at its first, and for what is no poll.
    pub cursor: Option<Arc<str>>,
    pub attempt: u32,
    pub replay: u32,
    /// Hex text, see `delivery::idempotency`.
    pub idempotency_base: String,
    /// Where in the integration: `step 1`, `sink`. Random bytes are seeded by it.
    pub place: String,
    /// The JSON object for `config`, values filled in.
    pub config: Arc<str>,
    pub grants: BTreeSet<Grant>,
    pub bindings: Arc<BTreeMap<String, Binding>>,
    pub limits: Arc<Limits>,
    /// Where the call's virtual wall clock starts.
    pub virtual_now: Timestamp,
}

impl Call {
    /// Every message it is about, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        std::iter::once(&self.message).chain(&self.others)
    }
}

/// The exports a host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Export {
    Transform,
    Deliver,
    DeliverBatch,
    Poll,
}

impl Export {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Transform, Self::Deliver, Self::DeliverBatch, Self::Poll];
}

/// What a call did.
#[derive(Debug)]
pub struct Report {
    pub result: Result<Output, CallFailure>,
    /// The carried effects and this call's own, to be committed with the settlement, or dropped.
    pub effects: Effects,
    /// Outbound requests, in the order in which they were sent.
    pub requests: Vec<OutboundRequest>,
    /// What it heard of the outside, if its invoker listens.
    pub heard: Heard,
    /// What the host itself saw at the last outbound request (or the last `send-all`) that stands in the way, if anything.
    pub obstacle: Option<Obstacle>,
    pub cpu: Duration,
    pub wall: Duration,
}

/// What a call gave back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    Drafts(Vec<Draft>),
    Skip {
        code: String,
        detail: String,
    },
    Receipt {
        remote_id: Option<String>,
        remote_version: Option<String>,
        detail: Option<String>,
    },
    /// What became of each message of a batch, in its order.
    Each(Vec<Result<Output, CallFailure>>),
    Page(Page),
}

/// What one poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// In the order in which they are to be delivered.
    pub items: Vec<Item>,
    /// Where the next poll starts.
    pub cursor: String,
    /// There is more to fetch now.
    pub more: bool,
}

/// A message found by a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The source's id of the record at this version.
    pub id: String,
    pub key: Option<String>,
    pub draft: Draft,
}

/// What a plugin gives back for the host to make a message of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub content_type: String,
    pub headers: Headers,
    pub body: bytes::Bytes,
    pub tracked: Vec<Tracked>,
}

impl Draft {
    /// Bytes of everything in it.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.0.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        let tracked = self.tracked.iter().map(|tracked| tracked.name.len().saturating_add(tracked.value.len()));
        headers.chain(tracked).fold(self.content_type.len().saturating_add(self.body.len()), usize::saturating_add)
    }

    /// About what it takes up where it is held on to: of one with little in it, mostly itself.
    pub fn held_bytes(&self) -> usize {
        let fields = self.headers.0.len().saturating_add(self.tracked.len());
        self.bytes().saturating_add(HELD_BYTES).saturating_add(fields.saturating_mul(HELD_BYTES / 2))
    }
}

/// What a thing of a few fields takes up beside its content where many are held on to, about.
pub const HELD_BYTES: usize = 128;

impl Output {
    /// How many messages it holds, and the bytes of everything in it.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Drafts(drafts) => (drafts.len(), drafts.iter().map(Draft::bytes).fold(0, usize::saturating_add)),
            Self::Page(Page { items, cursor, .. }) => {
                (items.len(), items.iter().map(Item::bytes).fold(cursor.len(), usize::saturating_add))
            }
            Self::Skip { .. } | Self::Receipt { .. } | Self::Each(_) => (0, 0),
        }
    }

    /// About what it takes up where it is held on to.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Drafts(drafts) => drafts.iter().map(Draft::held_bytes).fold(0, usize::saturating_add),
            Self::Page(_) | Self::Skip { .. } | Self::Receipt { .. } | Self::Each(_) => self.size().1,
        }
    }
}

impl Item {
    fn bytes(&self) -> usize {
        self.draft.bytes().saturating_add(self.id.len()).saturating_add(self.key.as_ref().map_or(0, String::len))
    }
}

/// Why a call gave nothing back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallFailure {
    /// The plugin said so, and that it may pass.
    Transient { code: String, detail: String, retry_after: Option<Duration> },
    /// The plugin said so, and that it will not pass.
    Permanent { code: String, detail: String },
    /// The host stopped it: a trap, or a limit. `detail` names the limit, the use and the setting.
    Fault { class: FailureClass, detail: String },
}

impl CallFailure {
    /// The word for its kind in metrics.
    pub fn class_word(&self) -> &'static str {
        match self {
            Self::Transient { .. } => "transient",
            Self::Permanent { .. } => "permanent",
            Self::Fault { class, .. } => class.as_str(),
        }
    }
}

/// What a call wants to have written.
#[derive(Debug, Default)]
pub struct Effects {
    pub key_values: Vec<crate::message_store::KeyValueWrite>,
    pub sends: Vec<QueueSend>,
    /// Locks on rows the call counted on; held until the settlement is through.
    pub locks: Vec<tokio::sync::OwnedMutexGuard<()>>,
}

/// A message for a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSend {
    pub channel: String,
    pub draft: Draft,
    pub delay: Option<Duration>,
    pub dedup_token: Option<String>,
}

/// One outbound request, for the ledger. Holds no credential.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutboundRequest {
    pub slot: String,
    pub alias: String,
    pub method: String,
    /// Path and query as sent, under the alias's base.
    pub path: String,
    pub idempotency_key: String,
    /// SHA-256 over the body sent, hex.
    pub body_sha256: String,
    /// HTTP status, or what stood in the way (`unreachable`, `timed-out`, …).
    pub answer: String,
    /// The first 1 KiB of an answer that is not 2xx, as text, credentials blanked.
    pub answer_excerpt: Option<String>,
    /// The answer is one the host had kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<Stale>,
    pub took_ms: u64,
    /// What was sent and answered; kept beside the trace.
    #[serde(skip)]
    pub exchange: Exchange,
}

/// What stands in the way of a target. A delivery that meets one waits; no attempt is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub kind: ObstacleKind,
    pub alias: String,
    /// Not before this, if the target or the alias said so.
    pub not_before: Option<Timestamp>,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObstacleKind {
    /// No connection, or it broke.
    Unreachable,
    /// The host has stopped sending for now.
    BreakerOpen,
    /// The same, and the delivery ran all the same, since an answer might have been kept: there is none.
    NotKept,
    /// The target answered 429, or the alias still waits out its `Retry-After`.
    RateLimited,
    /// The target answered 503.
    Unavailable,
    /// The target refuses the alias's credential.
    CredentialRefused,
}

impl ObstacleKind {
    /// The word for it in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::BreakerOpen | Self::NotKept => "breaker-open",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
            Self::CredentialRefused => "credential-refused",
        }
    }
}

/// SHA-256 over `bytes`, as 64 hex digits: how components are named everywhere.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
