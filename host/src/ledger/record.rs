//! [`Record`]: one attempt of a delivery. [`Entry`]: what it is found by.
//!
//! The types here, and all that they hold, are what segments are written of: a change to one is a new `segment::FORMAT`, and variants
//! of enums are added behind the others.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::shared;
use crate::capability::heard::Heard;
use crate::clock::Timestamp;
use crate::integration::{PinnedPlugin, ReleaseId};
use crate::message::{Message, MessageId};
use crate::message_store::{KeyValueWrite, Stage};
use crate::plugin::{CallFailure, Export, Output, QueueSend};

/// One attempt. What a plugin saw in it that does not stand here follows from what does: a step is shown what the one before made,
/// random bytes follow from the host's key, the message, the replay number and the place, clocks move by fixed steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub integration: String,
    pub release: ReleaseId,
    #[serde(with = "shared::message")]
    pub message: Arc<Message>,
    pub stage: Stage,
    pub replay: u32,
    /// Attempts that had failed before.
    pub attempt: u32,
    /// Where the virtual clocks of its calls start.
    pub clock_at: Timestamp,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub ended: Ended,
    /// In order. None where they are not kept: see `cut`.
    pub calls: Vec<RecordedCall>,
    /// What its calls wanted written, whether or not it was.
    pub key_values: Vec<KeyValueWrite>,
    /// What they sent to channels, likewise.
    pub sends: Vec<QueueSend>,
    /// Why it does not hold all that it should.
    pub cut: Option<Cut>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    Delivered,
    Skipped {
        code: String,
        detail: String,
    },
    /// Into so many messages, each with attempts of its own.
    FannedOut {
        children: u32,
    },
    /// The target was not there, or the host was stopped; no attempt was used.
    Waited {
        code: String,
        detail: String,
    },
    Failed {
        code: String,
        detail: String,
        /// It became a dead letter.
        is_dead: bool,
    },
}

/// Why a record is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// It holds more than is kept of one attempt.
    TooLarge,
    /// A call saw what cannot be shown to it again.
    Unrepeatable,
}

/// One call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// `step 1`, `step 2 #3`, `sink`.
    pub place: String,
    pub plugin: PinnedPlugin,
    pub export: Export,
    #[serde(with = "shared::text")]
    pub config: Arc<str>,
    /// Messages in the call. Of more than one, the first has what the call heard.
    pub messages: u32,
    pub heard: Heard,
    /// None where the call never reported.
    pub result: Option<Result<Output, CallFailure>>,
    pub cpu_us: u64,
    pub wall_us: u64,
}

/// What a record is found by, without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub integration: String,
    pub message: MessageId,
    /// The message that it was made from.
    pub parent: Option<MessageId>,
    pub stage: Stage,
    pub replay: u32,
    pub attempt: u32,
    pub ended_at: Timestamp,
    /// It was no attempt, in the end: see [`Ended::Waited`].
    pub has_waited: bool,
    pub has_failed: bool,
    /// Where in its block it begins, and how long it is.
    pub at: u32,
    pub bytes: u32,
}

impl Record {
    /// The message that this one became in that place, where it became several.
    pub fn part(&self, ordinal: u32) -> MessageId {
        self.message.id.derive(&self.integration, "child", ordinal, self.replay)
    }

    /// What it is found by, at that place of its block.
    pub fn entry(&self, at: u32, bytes: u32) -> Entry {
        Entry {
            integration: self.integration.clone(),
            message: self.message.id,
            parent: self.message.parent,
            stage: self.stage,
            replay: self.replay,
            attempt: self.attempt,
            ended_at: self.ended_at,
            has_waited: matches!(self.ended, Ended::Waited { .. }),
            has_failed: self.ended.has_failed(),
            at,
            bytes,
        }
    }
}

impl Ended {
    pub fn has_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}
