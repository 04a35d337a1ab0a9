//! What people have paused, over restarts: [`PauseRows`].

use std::sync::Arc;

use rusqlite::Connection;

use super::Inner;
use super::audit;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message_store::StoreError;
use crate::message_store::audit::Note;

/// Reads and writes what is paused.
#[derive(Clone, Debug)]
pub struct PauseRows {
    pub(super) inner: Arc<Inner>,
}

/// One thing that is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseRow {
    /// `integration` or `alias`.
    pub kind: String,
    pub name: String,
    pub since: Timestamp,
    pub reason: String,
}

impl PauseRows {
    /// Everything that is paused.
    pub async fn all(&self) -> Result<Vec<PauseRow>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT kind, name, since, reason FROM pause ORDER BY kind, name")?;
            let found = find.query_map([], |row| {
                Ok(PauseRow { kind: row.get(0)?, name: row.get(1)?, since: Timestamp(row.get(2)?), reason: row.get(3)? })
            })?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// It is paused from now on; if it was already, since then and for the new reason. `note` says who did it.
    pub async fn put(&self, pause: PauseRow, note: Note) -> Result<(), StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            writing
                .connection
                .prepare_cached(
                    "INSERT INTO pause (kind, name, since, reason) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (kind, name) DO UPDATE SET reason = excluded.reason",
                )?
                .execute((&pause.kind, &pause.name, pause.since.0, &pause.reason))?;
            audit::append(writing, &note).map(drop)
        };
        self.inner.writer.run(0, write).await
    }

    /// It is paused no more; if it was, `note` says who did it.
    pub async fn remove(&self, kind: &str, name: &str, note: Note) -> Result<(), StoreError> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let write = move |writing: &mut Writing<'_>| {
            let mut remove = writing.connection.prepare_cached("DELETE FROM pause WHERE kind = ?1 AND name = ?2")?;
            if remove.execute((&kind, &name))? == 1 {
                audit::append(writing, &note)?;
            }
            Ok(())
        };
        self.inner.writer.run(0, write).await
    }
}
