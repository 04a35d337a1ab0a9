//! What happened to messages, for people: [`Ledger`], short reads on connections of their own, in bounded pages.
//!
//! No answer costs more the more is stored: everything is found by index, and a search that an index does not lead to gives up in time
//! and says how far it came (`search`). A test counts what SQLite does for each question.

mod body;
mod curves;
mod dead_letters;
mod groups;
mod ids;
mod lineage;
mod messages;
mod query;
mod queue;
mod rows;
mod search;
#[cfg(test)]
pub(super) mod steps;
mod timeline;
mod when;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, Row};

pub use body::Body;
pub use curves::{CURVE_MINUTES, Curve, Minute};
pub use ids::IdsFound;
pub use query::{DeadLetterQuery, GroupQuery, MessageQuery, TimelineQuery};
pub use rows::{
    AttemptRow, DeadLetterGroupRow, DeadLetterPage, DeadLetterRow, ExchangeRow, GroupCursor, GroupPage, KeptRow, MessagePage, MessageRow,
    OutcomeRow, QueueRow, StandingRow, State, Status, Timeline, WaitingRow,
};

use super::readers::Readers;
use super::sources;
use super::writing::Waiting;
use crate::clock::Timestamp;
use crate::message::{IdPrefix, MessageId};
use crate::message_store::{AttemptId, DeadLetterId, SourceState, StoreError};

/// Rows in an answer at most, whatever was asked for.
pub const ROWS_MAX: usize = 1000;
/// Children that a message's timeline lists.
pub const CHILDREN_SHOWN_MAX: usize = 100;

/// Questions about messages.
#[derive(Clone)]
pub struct Ledger {
    readers: Arc<Readers>,
    waiting: Waiting,
    hour: Arc<Mutex<curves::Hour>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

impl Ledger {
    pub(super) fn new(readers: Arc<Readers>, waiting: Waiting) -> Self {
        Self { readers, waiting, hour: Arc::default() }
    }

    /// Messages, newest first.
    pub async fn messages(&self, query: MessageQuery) -> Result<MessagePage, StoreError> {
        self.readers.read_snapshot(move |connection| messages::find(connection, &query)).await
    }

    /// The ids that start so, the least first.
    pub async fn ids_starting(&self, prefix: IdPrefix) -> Result<IdsFound, StoreError> {
        self.readers.read(move |connection| ids::find(connection, prefix)).await
    }

    /// A message and all that happened to it.
    pub async fn message(&self, query: TimelineQuery) -> Result<Option<Timeline>, StoreError> {
        self.readers.read_snapshot(move |connection| timeline::find(connection, &query)).await
    }

    /// All of a message's body, with its content type.
    pub async fn body(&self, id: MessageId) -> Result<Option<(String, Bytes)>, StoreError> {
        self.readers.read(move |connection| timeline::body(connection, id)).await
    }

    /// What the requests of an attempt of this message sent and were answered, in the order of its trace: at most
    /// [`KEPT_ATTEMPT_BYTES_MAX`](crate::message_store::exchange::KEPT_ATTEMPT_BYTES_MAX) bytes of bodies. None if there is no such attempt.
    pub async fn exchanges(&self, id: MessageId, attempt: AttemptId) -> Result<Option<Vec<ExchangeRow>>, StoreError> {
        self.readers.read_snapshot(move |connection| timeline::exchanges(connection, id, attempt)).await
    }

    /// Dead letters, newest first.
    pub async fn dead_letters(&self, query: DeadLetterQuery) -> Result<DeadLetterPage, StoreError> {
        self.readers.read_snapshot(move |connection| dead_letters::find(connection, &query)).await
    }

    /// Open dead letters by fingerprint, largest group first.
    pub async fn dead_letter_groups(&self, query: GroupQuery) -> Result<GroupPage, StoreError> {
        self.readers.read_snapshot(move |connection| groups::find(connection, &query)).await
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

    /// Where every source stands that was ever asked, with its integration and its name.
    pub async fn sources(&self) -> Result<Vec<(String, String, SourceState)>, StoreError> {
        self.readers.read(sources::all).await
    }

    /// How deliveries ended in the last hour, by integration. One whose last hour was empty is not there.
    pub async fn curves(&self, now: Timestamp) -> Result<BTreeMap<String, Curve>, StoreError> {
        let hour = Arc::clone(&self.hour);
        let look = move |connection: &Connection| hour.lock().unwrap_or_else(PoisonError::into_inner).look(connection, now);
        self.readers.read(look).await
    }
}

/// A statement of the ledger. Tests count what they cost.
fn prepared<'c>(connection: &'c Connection, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
    #[cfg(test)]
    steps::asked(sql);
    connection.prepare_cached(sql)
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
