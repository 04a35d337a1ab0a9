//! What can be asked. What is none does not matter.

use super::GroupCursor;
use super::rows::{State, Status};
use crate::clock::Timestamp;
use crate::message::{FailureClass, MessageId};
use crate::message_store::{AttemptId, DeadLetterId};

/// What is shown of a body unless all of it is asked for.
pub const BODY_SHOWN_BYTES_MAX: usize = 64 * 1024;

/// Which messages.
#[derive(Clone, Debug)]
pub struct MessageQuery {
    /// One of these.
    pub ids: Option<Vec<MessageId>>,
    /// Made from this one.
    pub parent: Option<MessageId>,
    pub integration: Option<String>,
    /// The key the message has.
    pub key: Option<String>,
    /// Name and value.
    pub tracked: Option<(String, String)>,
    /// How it stands with `integration`, or with any. A fanned-out message is `fanned-out` here, whatever became of its children.
    pub state: Option<State>,
    /// Accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Accepted before this time.
    pub until: Option<Timestamp>,
    /// For the next page: `next` of the page before.
    pub before_seq: Option<i64>,
    /// At most [`ROWS_MAX`](super::ROWS_MAX).
    pub limit: usize,
}

impl Default for MessageQuery {
    /// The newest hundred.
    fn default() -> Self {
        Self {
            ids: None,
            parent: None,
            integration: None,
            key: None,
            tracked: None,
            state: None,
            since: None,
            until: None,
            before_seq: None,
            limit: 100,
        }
    }
}

/// Which message, and what of it.
#[derive(Clone, Copy, Debug)]
pub struct TimelineQuery {
    pub id: MessageId,
    /// Of the body at most so much.
    pub body_bytes_max: usize,
    /// Attempts before this one: `earlier-attempts` of the answer before.
    pub attempts_before: Option<AttemptId>,
}

impl TimelineQuery {
    /// The newest attempts, and the beginning of the body.
    pub fn of(id: MessageId) -> Self {
        Self { id, body_bytes_max: BODY_SHOWN_BYTES_MAX, attempts_before: None }
    }
}

/// Which dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetterQuery {
    pub integration: Option<String>,
    pub class: Option<FailureClass>,
    pub fingerprint: Option<String>,
    /// The key its message has, or one that it was made from.
    pub key: Option<String>,
    /// Name and value, likewise.
    pub tracked: Option<(String, String)>,
    /// Dead at this time or later.
    pub since: Option<Timestamp>,
    /// Dead before this time.
    pub until: Option<Timestamp>,
    pub status: Status,
    pub oldest_first: bool,
    /// For the next page: `next` of the page before.
    pub beyond: Option<DeadLetterId>,
    /// At most [`ROWS_MAX`](super::ROWS_MAX).
    pub limit: usize,
}

impl Default for DeadLetterQuery {
    /// The newest hundred that are open.
    fn default() -> Self {
        Self {
            integration: None,
            class: None,
            fingerprint: None,
            key: None,
            tracked: None,
            since: None,
            until: None,
            status: Status::Open,
            oldest_first: false,
            beyond: None,
            limit: 100,
        }
    }
}

/// Which groups of open dead letters.
#[derive(Clone, Debug)]
pub struct GroupQuery {
    pub integration: Option<String>,
    pub class: Option<FailureClass>,
    pub fingerprint: Option<String>,
    /// For the next page: `next` of the page before.
    pub before: Option<GroupCursor>,
    /// At most [`ROWS_MAX`](super::ROWS_MAX).
    pub limit: usize,
}

impl Default for GroupQuery {
    /// The hundred largest.
    fn default() -> Self {
        Self { integration: None, class: None, fingerprint: None, before: None, limit: 100 }
    }
}

impl GroupQuery {
    /// Whether a group of `integration` and `class` is meant.
    pub(super) fn wants(&self, integration: &str, class: FailureClass) -> bool {
        self.integration.as_deref().is_none_or(|name| name == integration) && self.class.is_none_or(|wanted| wanted == class)
    }
}
