//! Integrations that are being retired, and those that were, over restarts: [`RetirementRows`].
//!
//! While one is being retired its row has no `done_at`. That nothing of it waits, that its release is active no more and that it is
//! retired are one transaction; from then on [`is_retired`] lets no delivery of it come, whoever was under way meanwhile.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::Inner;
use super::audit;
use super::backfill;
use super::failure::Done;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message_store::StoreError;
use crate::message_store::audit::Note;

/// Reads and writes what is retired.
#[derive(Clone, Debug)]
pub struct RetirementRows {
    pub(super) inner: Arc<Inner>,
}

/// One integration that is being retired, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetirementRow {
    pub integration: String,
    pub since: Timestamp,
    pub reason: Option<String>,
    /// When nothing of it waited any more and its release was deactivated; none while it drains.
    pub done_at: Option<Timestamp>,
}

impl RetirementRows {
    /// All of them, by integration.
    pub async fn all(&self) -> Result<Vec<RetirementRow>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT integration, since, reason, done_at FROM retirement ORDER BY integration")?;
            let found = find.query_map([], |row| {
                Ok(RetirementRow {
                    integration: row.get(0)?,
                    since: Timestamp(row.get(1)?),
                    reason: row.get(2)?,
                    done_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
                })
            })?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// It drains from now on; if it did already, since then and for the new reason, if there is one. `note` says who did it.
    pub async fn begin(&self, integration: &str, since: Timestamp, reason: Option<String>, note: Note) -> Result<(), StoreError> {
        let integration = integration.to_owned();
        let write = move |writing: &mut Writing<'_>| {
            writing
                .connection
                .prepare_cached(
                    "INSERT INTO retirement (integration, since, reason) VALUES (?1, ?2, ?3)
                     ON CONFLICT (integration) DO UPDATE SET reason = coalesce(excluded.reason, reason)",
                )?
                .execute((&integration, since.0, &reason))?;
            audit::append(writing, &note)?;
            backfill::is_leaving(writing, &integration)
        };
        self.inner.writer.run(0, write).await
    }

    /// It runs on as before. False if it was not being retired, or is retired by now. `note` says who did it.
    pub async fn take_back(&self, integration: &str, note: Note) -> Result<bool, StoreError> {
        let integration = integration.to_owned();
        let write = move |writing: &mut Writing<'_>| {
            let mut remove = writing.connection.prepare_cached("DELETE FROM retirement WHERE integration = ?1 AND done_at IS NULL")?;
            let was_leaving = remove.execute([&integration])? == 1;
            if was_leaving {
                backfill::stays(writing, &integration)?;
                audit::append(writing, &note)?;
            }
            Ok(was_leaving)
        };
        self.inner.writer.run(0, write).await
    }

    /// If it drains and nothing of it waits: it is retired, and its release is active no more. False if it is not so far; if it is, `note` says by whom.
    pub async fn finish(&self, integration: &str, done_at: Timestamp, note: Note) -> Result<bool, StoreError> {
        let integration = integration.to_owned();
        let write = move |writing: &mut Writing<'_>| {
            if writing.waiting(&integration) > 0 || backfill::is_under_way(writing, &integration)? {
                return Ok(false);
            }
            let finished = writing
                .connection
                .prepare_cached("UPDATE retirement SET done_at = ?2 WHERE integration = ?1 AND done_at IS NULL")?
                .execute((&integration, done_at.0))?;
            if finished == 1 {
                writing.connection.prepare_cached("DELETE FROM active_release WHERE integration = ?1")?.execute([&integration])?;
                // Should it be activated again one day, it runs.
                let mut resume = writing.connection.prepare_cached("DELETE FROM pause WHERE kind = 'integration' AND name = ?1")?;
                resume.execute([&integration])?;
                audit::append(writing, &note)?;
            }
            Ok(finished == 1)
        };
        self.inner.writer.run(0, write).await
    }
}

/// Whether `integration` is retired, so that nobody would deliver what came for it. Nothing waits of one that is: most are not asked
/// for.
pub(super) fn is_retired(writing: &Writing<'_>, integration: &str) -> Done<bool> {
    if writing.waiting(integration) > 0 {
        return Ok(false);
    }
    let mut find = writing.connection.prepare_cached("SELECT 1 FROM retirement WHERE integration = ?1 AND done_at IS NOT NULL")?;
    Ok(find.query_row([integration], |_| Ok(())).optional()?.is_some())
}
