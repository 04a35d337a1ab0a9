//! What is kept of aliases over a restart: [`AliasStates`]. Each is a text of the alias room's own, which nobody here reads.

use std::sync::Arc;

use rusqlite::Connection;

use super::Inner;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message_store::StoreError;

/// Reads and writes the states of aliases.
#[derive(Clone, Debug)]
pub struct AliasStates {
    pub(super) inner: Arc<Inner>,
}

impl AliasStates {
    /// Every alias with its state, by name.
    pub async fn all(&self) -> Result<Vec<(String, String)>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT alias, state FROM alias_state ORDER BY alias")?;
            let found = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.readers.read(read).await
    }

    /// Writes the states of some aliases, by their names.
    pub async fn put(&self, states: Vec<(String, String)>, now: Timestamp) -> Result<(), StoreError> {
        let bytes = states.iter().map(|(_, state)| state.len()).sum();
        let write = move |writing: &mut Writing<'_>| {
            let mut put =
                writing.connection.prepare_cached("INSERT OR REPLACE INTO alias_state (alias, state, noted_at) VALUES (?1, ?2, ?3)")?;
            for (alias, state) in &states {
                put.execute((alias, state, now.0))?;
            }
            Ok(())
        };
        self.inner.writer.run(bytes, write).await
    }

    /// Forgets some aliases.
    pub async fn forget(&self, names: Vec<String>) -> Result<(), StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            let mut delete = writing.connection.prepare_cached("DELETE FROM alias_state WHERE alias = ?1")?;
            for alias in &names {
                delete.execute([alias])?;
            }
            Ok(())
        };
        self.inner.writer.run(0, write).await
    }
}
