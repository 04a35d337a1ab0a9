//! Named tokens over restarts: [`TokenRows`]. Of a token there is a hash, from which nobody finds it.

use std::sync::Arc;

use rusqlite::Connection;

use super::Inner;
use super::audit;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message_store::StoreError;
use crate::message_store::audit::Note;

/// Reads and writes named tokens.
#[derive(Clone, Debug)]
pub struct TokenRows {
    pub(super) inner: Arc<Inner>,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    pub name: String,
    /// The word for its role.
    pub role: String,
    /// SHA-256.
    pub hash: [u8; 32],
    pub created_at: Timestamp,
    /// None: never.
    pub expires_at: Option<Timestamp>,
}

impl TokenRows {
    /// All of them, by name.
    pub async fn all(&self) -> Result<Vec<TokenRow>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT name, role, hash, created_at, expires_at FROM token ORDER BY name")?;
            let found = find.query_map([], |row| {
                Ok(TokenRow {
                    name: row.get(0)?,
                    role: row.get(1)?,
                    hash: row.get(2)?,
                    created_at: Timestamp(row.get(3)?),
                    expires_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
                })
            })?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// Keeps a token. False if there is one of its name.
    pub async fn put(&self, token: TokenRow, note: Note) -> Result<bool, StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            let TokenRow { name, role, hash, created_at, expires_at } = &token;
            let put = writing
                .connection
                .prepare_cached(
                    "INSERT INTO token (name, role, hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING",
                )?
                .execute((name, role, hash, created_at.0, expires_at.map(|at| at.0)))?;
            if put == 1 {
                audit::append(writing, &note)?;
            }
            Ok(put == 1)
        };
        self.inner.writer.run(0, write).await
    }

    /// Forgets a token. False if there is none of this name.
    pub async fn remove(&self, name: &str, note: Note) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let write = move |writing: &mut Writing<'_>| {
            let removed = writing.connection.prepare_cached("DELETE FROM token WHERE name = ?1")?.execute([&name])?;
            if removed == 1 {
                audit::append(writing, &note)?;
            }
            Ok(removed == 1)
        };
        self.inner.writer.run(0, write).await
    }
}
