//! The releases in the data folder and which of them are active: [`Releases`].

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::Inner;
use super::{audit, backfill, rows};
use crate::clock::Timestamp;
use crate::crash_point::{CrashPoint, reached};
use crate::integration::{Release, ReleaseId};
use crate::message_store::StoreError;
use crate::message_store::audit::{Act, Note, Way};
use crate::problem::{Code, Problem};

/// A stored release that is to be its integration's active one.
#[derive(Clone, Debug)]
pub struct Activation {
    pub integration: String,
    pub release: ReleaseId,
    /// The channels it reads.
    pub channels: Vec<String>,
    /// Those that it is new to and reads from their beginning, each with its source's rule for the key.
    pub from_beginning: Vec<(String, Option<String>)>,
}

/// Stores and activates releases.
#[derive(Clone, Debug)]
pub struct Releases {
    pub(super) inner: Arc<Inner>,
}

impl Releases {
    /// Stores a release, which stays as it is for ever; storing it again changes nothing. It is not activated by this.
    pub async fn put(&self, release: &Release, stored_at: Timestamp) -> Result<ReleaseId, StoreError> {
        let release = release.clone();
        let write = move |writing: &mut super::writing::Writing<'_>| {
            let id = release.id();
            writing
                .connection
                .prepare_cached("INSERT OR IGNORE INTO release (id, integration, content, stored_at) VALUES (?1, ?2, ?3, ?4)")?
                .execute((&id.0, &release.integration, rows::to_json(&release)?, stored_at.0))?;
            Ok(id)
        };
        self.inner.writer.run(0, write).await
    }

    /// Makes stored releases the active ones of their integrations: all of them or none, since one may feed another. One that was
    /// retired, or on the way, is so no more.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with `LG-7004` if an integration has no such release.
    pub async fn activate(&self, activations: Vec<Activation>, activated_at: Timestamp) -> Result<(), StoreError> {
        let write = move |writing: &mut super::writing::Writing<'_>| {
            let mut activate = writing.connection.prepare_cached(
                "INSERT INTO active_release (integration, release, activated_at)
                 SELECT integration, id, ?3 FROM release WHERE id = ?1 AND integration = ?2
                 ON CONFLICT (integration) DO UPDATE SET release = excluded.release, activated_at = excluded.activated_at",
            )?;
            for Activation { integration, release, channels, from_beginning } in &activations {
                let was: Option<String> = writing
                    .connection
                    .prepare_cached("SELECT release FROM active_release WHERE integration = ?1")?
                    .query_row([integration], |row| row.get(0))
                    .optional()?;
                if activate.execute((&release.0, integration, activated_at.0))? != 1 {
                    return Err(no_such_release(integration, release).into());
                }
                writing.connection.prepare_cached("DELETE FROM retirement WHERE integration = ?1")?.execute([integration])?;
                backfill::reads(writing, integration, channels, from_beginning)?;
                let note = Note::new(activated_at, ("start", Way::Start), Act::Activate, format!("integration {integration}"));
                audit::append(writing, &Note { before: was.map(Into::into), ..note }.after(release.0.as_str()))?;
                reached(CrashPoint::ReleaseSwitching);
            }
            Ok(())
        };
        self.inner.writer.run(0, write).await
    }

    /// The active releases, by integration.
    pub async fn active(&self) -> Result<Vec<(Release, ReleaseId)>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection
                .prepare_cached("SELECT r.content, r.id FROM active_release a JOIN release r ON r.id = a.release ORDER BY a.integration")?;
            let found = find.query_map([], |row| Ok((rows::json(row, 0)?, ReleaseId(row.get(1)?))))?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// The active release of `integration`, and since when it is active.
    pub async fn active_of(&self, integration: &str) -> Result<Option<(Release, ReleaseId, Timestamp)>, StoreError> {
        let integration = integration.to_owned();
        let read = move |connection: &Connection| {
            let mut find = connection.prepare_cached(
                "SELECT r.content, r.id, a.activated_at FROM active_release a JOIN release r ON r.id = a.release WHERE a.integration = ?1",
            )?;
            let found = find.query_row([&integration], |row| Ok((rows::json(row, 0)?, ReleaseId(row.get(1)?), Timestamp(row.get(2)?))));
            Ok(found.optional()?)
        };
        self.inner.people.read(read).await
    }

    /// The integrations that have a release, active or not.
    pub async fn integrations(&self) -> Result<BTreeSet<String>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT DISTINCT integration FROM release")?;
            let found = find.query_map([], |row| row.get(0))?;
            Ok(found.collect::<Result<_, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// A stored release.
    pub async fn get(&self, id: &ReleaseId) -> Result<Option<Release>, StoreError> {
        let id = id.clone();
        let read = move |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT content FROM release WHERE id = ?1")?;
            Ok(find.query_row([&id.0], |row| rows::json(row, 0)).optional()?)
        };
        self.inner.people.read(read).await
    }
}

fn no_such_release(integration: &str, release: &ReleaseId) -> StoreError {
    StoreError::Failed(
        Problem::new(Code::NotFound, format!("{integration} has no release {}", release.short()))
            .fix(format!("lockgate releases {integration} lists those there are")),
    )
}
