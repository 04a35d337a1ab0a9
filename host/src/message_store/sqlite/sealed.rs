//! Sealed rows: [`Sealed`]. What is in them is the alias room's own; nobody here can open them.

use std::sync::Arc;

use rusqlite::Connection;

use super::Inner;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message_store::StoreError;

/// Reads and writes sealed rows.
#[derive(Clone, Debug)]
pub struct Sealed {
    pub(super) inner: Arc<Inner>,
}

/// One of them. Of each kind, one for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEntry {
    pub kind: String,
    pub name: String,
    pub sealed: Vec<u8>,
    pub written_at: Timestamp,
}

impl Sealed {
    /// Every row, by kind and name.
    pub async fn all(&self) -> Result<Vec<SealedEntry>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT kind, name, sealed, written_at FROM sealed ORDER BY kind, name")?;
            let entry = |row: &rusqlite::Row<'_>| {
                Ok(SealedEntry { kind: row.get(0)?, name: row.get(1)?, sealed: row.get(2)?, written_at: Timestamp(row.get(3)?) })
            };
            let found = find.query_map([], entry)?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.readers.read(read).await
    }

    /// Writes a row in the place of the one of its kind and name. As with a settlement, the disk's reserve is there for it.
    pub async fn put(&self, entry: SealedEntry) -> Result<(), StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            let SealedEntry { kind, name, sealed, written_at } = &entry;
            writing
                .connection
                .prepare_cached("INSERT OR REPLACE INTO sealed (kind, name, sealed, written_at) VALUES (?1, ?2, ?3, ?4)")?
                .execute((kind, name, sealed, written_at.0))?;
            Ok(())
        };
        self.inner.writer.run(0, write).await
    }

    /// Removes a row, if it is there.
    pub async fn remove(&self, kind: String, name: String) -> Result<(), StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            writing.connection.prepare_cached("DELETE FROM sealed WHERE kind = ?1 AND name = ?2")?.execute((&kind, &name))?;
            Ok(())
        };
        self.inner.writer.run(0, write).await
    }

    /// Removes every row, whatever it is.
    pub async fn remove_all(&self) -> Result<(), StoreError> {
        let write = |writing: &mut Writing<'_>| {
            writing.connection.prepare_cached("DELETE FROM sealed")?.execute([])?;
            Ok(())
        };
        self.inner.writer.run(0, write).await
    }
}
