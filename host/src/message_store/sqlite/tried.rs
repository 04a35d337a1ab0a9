//! Releases that are tried beside the active ones, over restarts. One that is a shadow has none of the keys.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::audit;
use super::failure::Done;
use super::releases::{By, How, Releases, no_such_release};
use super::rows;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::integration::{ReleaseId, Trying};
use crate::message_store::StoreError;
use crate::message_store::audit::{Act, Note};

/// One that is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedRow {
    pub integration: String,
    pub release: ReleaseId,
    pub trying: Trying,
    pub at: Timestamp,
    pub who: String,
}

impl Releases {
    /// `row` is tried from now on. `note` says who did it.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with `LG-7004` if the integration has no such release.
    pub async fn start_trial(&self, row: TriedRow, note: Note) -> Result<(), StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            let TriedRow { integration, release, trying, at, who } = &row;
            let started = writing
                .connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO canary (integration, release, share, at, who)
                     SELECT integration, id, ?3, ?4, ?5 FROM release WHERE id = ?1 AND integration = ?2",
                )?
                .execute((&release.0, integration, share_of(*trying), at.0, who))?;
            if started != 1 {
                return Err(no_such_release(integration, release).into());
            }
            // What was approved to be tried waits no more.
            writing
                .connection
                .prepare_cached("DELETE FROM proposal WHERE integration = ?1 AND release = ?2")?
                .execute((integration, &release.0))?;
            audit::append(writing, &note).map(drop)
        };
        self.inner.writer.run(0, write).await
    }

    /// Nothing is tried in `integration` any more. False if nothing was; if something was, `note` says who ended it.
    pub async fn end_trial(&self, integration: &str, note: Note) -> Result<bool, StoreError> {
        let integration = integration.to_owned();
        let write = move |writing: &mut Writing<'_>| {
            let ended = writing.connection.prepare_cached("DELETE FROM canary WHERE integration = ?1")?.execute([&integration])? == 1;
            if ended {
                audit::append(writing, &note)?;
            }
            Ok(ended)
        };
        self.inner.writer.run(0, write).await
    }

    /// Those that are tried, by integration.
    pub async fn tried(&self) -> Result<Vec<TriedRow>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT integration, release, share, at, who FROM canary ORDER BY integration")?;
            let found = find.query_map([], |row| {
                Ok(TriedRow {
                    integration: row.get(0)?,
                    release: ReleaseId(row.get(1)?),
                    trying: trying(rows::count(row, 2)?),
                    at: Timestamp(row.get(3)?),
                    who: row.get(4)?,
                })
            })?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }
}

/// What is tried in `integration` ends, since another release is activated, or it is itself. `did` says how it did.
pub(super) fn end_by_activation(writing: &mut Writing<'_>, integration: &str, did: Option<Value>, (at, by): (Timestamp, &By)) -> Done<()> {
    let mut end = writing.connection.prepare_cached("DELETE FROM canary WHERE integration = ?1 RETURNING release, share")?;
    let ended: Option<(String, u32)> = end.query_row([integration], |row| Ok((row.get(0)?, rows::count(row, 1)?))).optional()?;
    drop(end);
    let Some((release, share)) = ended else { return Ok(()) };
    let act = if trying(share) == Trying::Shadow { Act::EndShadow } else { Act::EndCanary };
    let why = if matches!(by.how, How::Canary | How::Shadow) { "finished" } else { "another release was activated" };
    let note = Note::new(at, (&by.who, by.way), act, format!("integration {integration}"));
    audit::append(writing, &note.before(release).after(json!({ "why": why, "figures": did }))).map(drop)
}

/// The share of the keys as it is stored.
pub fn share_of(trying: Trying) -> u32 {
    match trying {
        Trying::Canary(share) => share,
        Trying::Shadow => 0,
    }
}

/// What a stored share means.
pub fn trying(share: u32) -> Trying {
    if share == 0 { Trying::Shadow } else { Trying::Canary(share) }
}
