//! An integration's key-value data: [`KeyValue`] reads it as it was committed; writes come with a settlement.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::OptionalExtension;

use super::failure::Done;
use super::readers::Readers;
use super::rows;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message_store::{KeyValueRead, KeyValueWrite, StoreError};

/// Reads key-value data.
#[derive(Clone)]
pub struct KeyValue {
    pub(super) readers: Arc<Readers>,
}

impl std::fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyValue").finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyValueRead for KeyValue {
    async fn get(&self, integration: &str, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let (integration, key) = (integration.to_owned(), key.to_owned());
        let read = move |connection: &rusqlite::Connection| {
            let mut find = connection.prepare_cached(
                "SELECT value FROM key_value WHERE integration = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)",
            )?;
            Ok(find.query_row((integration, key, now.0), |row| row.get(0)).optional()?)
        };
        self.readers.read(read).await
    }

    async fn list(
        &self,
        integration: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let (integration, prefix) = (integration.to_owned(), prefix.to_owned());
        let after = after.map(str::to_owned);
        self.readers.read(move |connection| list(connection, &integration, &prefix, after.as_deref(), limit, now)).await
    }

    async fn used_bytes(&self, integration: &str) -> Result<u64, StoreError> {
        let integration = integration.to_owned();
        let read = move |connection: &rusqlite::Connection| {
            let mut find = connection.prepare_cached("SELECT bytes FROM key_value_used WHERE integration = ?1")?;
            Ok(find.query_row([integration], |row| rows::count(row, 0)).optional()?.unwrap_or(0))
        };
        self.readers.read(read).await
    }
}

/// Keys compare by their UTF-8 bytes, as SQLite's BINARY collation does, so those of a prefix stand together.
fn list(
    connection: &rusqlite::Connection,
    integration: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Done<Vec<String>> {
    let mut find = connection.prepare_cached(
        "SELECT key FROM key_value WHERE integration = ?1 AND key >= ?2 AND (?3 IS NULL OR key > ?3)
         AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key",
    )?;
    let mut found = find.query((integration, prefix, after, now.0))?;
    let mut keys = Vec::new();
    while keys.len() < limit
        && let Some(row) = found.next()?
    {
        let key: String = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Writes or deletes a value and keeps count of the bytes.
pub(super) fn write(writing: &Writing<'_>, write: &KeyValueWrite) -> Done<()> {
    let before = stored_bytes(writing, &write.integration, &write.key)?;
    let after = match &write.value {
        Some(value) => {
            writing
                .connection
                .prepare_cached("INSERT OR REPLACE INTO key_value (integration, key, value, expires_at) VALUES (?1, ?2, ?3, ?4)")?
                .execute((&write.integration, &write.key, value, write.expires_at.map(|at| at.0)))?;
            i64::try_from(write.key.len() + value.len()).unwrap_or(i64::MAX)
        }
        None => {
            writing
                .connection
                .prepare_cached("DELETE FROM key_value WHERE integration = ?1 AND key = ?2")?
                .execute((&write.integration, &write.key))?;
            0
        }
    };
    count_bytes(writing, &write.integration, after - before)
}

/// Deletes values that expired by `now`, at most `rows_max`. Gives how many.
pub(super) fn clean(writing: &Writing<'_>, now: Timestamp, rows_max: i64) -> Done<usize> {
    let mut find = writing.connection.prepare_cached("SELECT integration, key FROM key_value WHERE expires_at <= ?1 LIMIT ?2")?;
    let expired = find
        .query_map((now.0, rows_max), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    for (integration, key) in &expired {
        write(writing, &KeyValueWrite { integration: integration.clone(), key: key.clone(), value: None, expires_at: None })?;
    }
    Ok(expired.len())
}

fn stored_bytes(writing: &Writing<'_>, integration: &str, key: &str) -> Done<i64> {
    let mut find = writing
        .connection
        .prepare_cached("SELECT octet_length(key) + octet_length(value) FROM key_value WHERE integration = ?1 AND key = ?2")?;
    Ok(find.query_row((integration, key), |row| row.get(0)).optional()?.unwrap_or(0))
}

fn count_bytes(writing: &Writing<'_>, integration: &str, more: i64) -> Done<()> {
    if more != 0 {
        writing
            .connection
            .prepare_cached(
                "INSERT INTO key_value_used (integration, bytes) VALUES (?1, ?2)
                 ON CONFLICT (integration) DO UPDATE SET bytes = bytes + excluded.bytes",
            )?
            .execute((integration, more))?;
    }
    Ok(())
}
