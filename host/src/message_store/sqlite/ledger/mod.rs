//! What happened to messages, for people: [`Ledger`], short reads on connections of their own, in bounded pages.

mod curves;
mod dead_letters;
mod messages;
mod queue;
mod rows;
mod timeline;

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Row;

pub use curves::{CURVE_MINUTES, Curve, Minute};
pub use rows::{
    AttemptRow, Body, DeadLetterGroupRow, DeadLetterRow, MessageRow, OutcomeRow, QueueRow, StandingRow, State, Status, Timeline, WaitingRow,
};

use super::readers::Readers;
use super::writing::Waiting;
use crate::clock::Timestamp;
use crate::message::{FailureClass, MessageId};
use crate::message_store::{DeadLetterId, StoreError};

/// Rows in an answer at most, whatever was asked for.
pub const ROWS_MAX: usize = 1000;

/// Questions about messages.
#[derive(Clone)]
pub struct Ledger {
    readers: Arc<Readers>,
    waiting: Waiting,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

/// Which messages. What is none does not matter.
#[derive(Clone, Debug)]
pub struct MessageQuery {
    pub integration: Option<String>,
    /// The key the message has.
    pub key: Option<String>,
    /// Name and value.
    pub tracked: Option<(String, String)>,
    /// How it stands with `integration`, or with any. A fanned-out message is `fanned-out` here, whatever became of its children.
    pub state: Option<State>,
    /// Accepted at this time or later.
    pub since: Option<Timestamp>,
    /// For the next page: the `seq` of the last row.
    pub before_seq: Option<i64>,
    /// At most [`ROWS_MAX`].
    pub limit: usize,
}

impl Default for MessageQuery {
    /// The newest hundred.
    fn default() -> Self {
        Self { integration: None, key: None, tracked: None, state: None, since: None, before_seq: None, limit: 100 }
    }
}

/// Which dead letters. What is none does not matter.
#[derive(Clone, Debug)]
pub struct DeadLetterQuery {
    pub integration: Option<String>,
    pub class: Option<FailureClass>,
    pub fingerprint: Option<String>,
    pub status: Option<Status>,
    /// For the next page: the id of the last row.
    pub before: Option<DeadLetterId>,
    /// At most [`ROWS_MAX`].
    pub limit: usize,
}

impl Default for DeadLetterQuery {
    /// The newest hundred that are open.
    fn default() -> Self {
        Self { integration: None, class: None, fingerprint: None, status: Some(Status::Open), before: None, limit: 100 }
    }
}

impl Ledger {
    pub(super) fn new(readers: Arc<Readers>, waiting: Waiting) -> Self {
        Self { readers, waiting }
    }

    /// Messages, newest first.
    pub async fn messages(&self, query: MessageQuery) -> Result<Vec<MessageRow>, StoreError> {
        self.readers.read_snapshot(move |connection| messages::find(connection, &query)).await
    }

    /// A message and all that happened to it.
    pub async fn message(&self, id: MessageId) -> Result<Option<Timeline>, StoreError> {
        self.readers.read_snapshot(move |connection| timeline::find(connection, id)).await
    }

    /// Dead letters, newest first.
    pub async fn dead_letters(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.readers.read(move |connection| dead_letters::find(connection, &query)).await
    }

    /// Open dead letters by fingerprint, largest group first, at most [`ROWS_MAX`] groups.
    pub async fn dead_letter_groups(&self) -> Result<Vec<DeadLetterGroupRow>, StoreError> {
        self.readers.read(dead_letters::groups).await
    }

    /// One dead letter, whatever its status.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetterRow>, StoreError> {
        self.readers.read(move |connection| dead_letters::one(connection, id)).await
    }

    /// What waits and what is dead, by integration, at a cost that does not grow with either. An integration that has neither is
    /// not there.
    pub async fn queue(&self, now: Timestamp) -> Result<Vec<QueueRow>, StoreError> {
        let waiting = self.waiting.counts();
        self.readers.read_snapshot(move |connection| queue::find(connection, &waiting, now)).await
    }

    /// How deliveries ended in the last hour, by integration. One whose last hour was empty is not there.
    pub async fn curves(&self, now: Timestamp) -> Result<BTreeMap<String, Curve>, StoreError> {
        self.readers.read(move |connection| curves::find(connection, now)).await
    }
}

/// A page's size for SQL.
fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(ROWS_MAX)).unwrap_or(i64::MAX)
}

/// A time column as RFC 3339.
fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(Timestamp(row.get(column)?).to_string())
}

/// A column that holds a word of an enum.
fn word<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    parse(text).ok_or_else(|| {
        let unknown = format!("unknown word `{text}`");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, unknown.into())
    })
}
