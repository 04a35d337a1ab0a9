//! Releases that wait for approval, and who approved them.
//!
//! Of an integration one release waits at a time: another one that is proposed takes its place. What was approved stays approved: the same
//! release, proposed again, begins with the approvals it has.

use rusqlite::{Connection, OptionalExtension};

use super::audit;
use super::failure::Done;
use super::releases::Releases;
use super::rows;
use super::tried::{share_of, trying};
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::integration::{ReleaseId, Trying};
use crate::message_store::StoreError;
use crate::message_store::audit::Note;

/// A release that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub integration: String,
    pub release: ReleaseId,
    pub at: Timestamp,
    /// Who asked for it to be activated.
    pub who: String,
    /// How many have to approve it.
    pub needed: u32,
    /// Who brought it, or asked for it, may not be one of them.
    pub not_author: bool,
    /// What it newly asks for, in words; empty where every release waits for approval.
    pub asks: Vec<String>,
    /// To be tried so; none: to be the active one.
    pub trying: Option<Trying>,
}

/// Somebody's approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub who: String,
    pub at: Timestamp,
    pub note: String,
}

impl Releases {
    /// `proposal` waits from now on, in the place of another one of its integration. `note` says who did it.
    pub async fn propose(&self, proposal: Proposal, note: Note) -> Result<(), StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            let Proposal { integration, release, at, who, needed, not_author, asks, trying } = &proposal;
            writing
                .connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO proposal (integration, release, at, who, needed, not_author, asks, share)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute((integration, &release.0, at.0, who, needed, not_author, rows::to_json(asks)?, trying.map(share_of)))?;
            audit::append(writing, &note).map(drop)
        };
        self.inner.writer.run(0, write).await
    }

    /// The releases that wait, by integration.
    pub async fn proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached(
                "SELECT integration, release, at, who, needed, not_author, asks, share FROM proposal ORDER BY integration",
            )?;
            let found = find.query_map([], |row| {
                Ok(Proposal {
                    integration: row.get(0)?,
                    release: ReleaseId(row.get(1)?),
                    at: Timestamp(row.get(2)?),
                    who: row.get(3)?,
                    needed: rows::count(row, 4)?,
                    not_author: row.get(5)?,
                    asks: rows::json(row, 6)?,
                    trying: row.get::<_, Option<u32>>(7)?.map(trying),
                })
            })?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// `approval` of a release of `integration`; one that the same person gave before stays as it was. Gives all there are. `note` says who
    /// did it.
    pub async fn approve(
        &self,
        integration: &str,
        release: &ReleaseId,
        approval: Approval,
        note: Note,
    ) -> Result<Vec<Approval>, StoreError> {
        let (integration, release) = (integration.to_owned(), release.clone());
        let write = move |writing: &mut Writing<'_>| {
            let Approval { who, at, note: text } = &approval;
            let is_new = writing
                .connection
                .prepare_cached(
                    "INSERT INTO approval (integration, release, who, at, note) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (integration, release, who) DO NOTHING",
                )?
                .execute((&integration, &release.0, who, at.0, text))?;
            if is_new == 1 {
                audit::append(writing, &note)?;
            }
            approvals(writing.connection, &integration, &release)
        };
        self.inner.writer.run(0, write).await
    }

    /// A release of `integration` waits no more, and the approvals it has are gone. False where it did not wait. `note` says who did it.
    pub async fn reject(&self, integration: &str, release: &ReleaseId, note: Note) -> Result<bool, StoreError> {
        let (integration, release) = (integration.to_owned(), release.clone());
        let write = move |writing: &mut Writing<'_>| {
            let of_it = (&integration, &release.0);
            let waited =
                writing.connection.prepare_cached("DELETE FROM proposal WHERE integration = ?1 AND release = ?2")?.execute(of_it)?;
            if waited == 1 {
                writing.connection.prepare_cached("DELETE FROM approval WHERE integration = ?1 AND release = ?2")?.execute(of_it)?;
                audit::append(writing, &note)?;
            }
            Ok(waited == 1)
        };
        self.inner.writer.run(0, write).await
    }

    /// Who approved a release of `integration`, the first one first.
    pub async fn approvals(&self, integration: &str, release: &ReleaseId) -> Result<Vec<Approval>, StoreError> {
        let (integration, release) = (integration.to_owned(), release.clone());
        self.inner.people.read(move |connection: &Connection| approvals(connection, &integration, &release)).await
    }

    /// Who brought a release first; none where that is not known.
    pub async fn author(&self, release: &ReleaseId) -> Result<Option<String>, StoreError> {
        let release = release.clone();
        let read = move |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT author FROM release WHERE id = ?1")?;
            Ok(find.query_row([&release.0], |row| row.get(0)).optional()?.flatten())
        };
        self.inner.people.read(read).await
    }
}

fn approvals(connection: &Connection, integration: &str, release: &ReleaseId) -> Done<Vec<Approval>> {
    let mut find =
        connection.prepare_cached("SELECT who, at, note FROM approval WHERE integration = ?1 AND release = ?2 ORDER BY at, who")?;
    let found =
        find.query_map((integration, &release.0), |row| Ok(Approval { who: row.get(0)?, at: Timestamp(row.get(1)?), note: row.get(2)? }))?;
    Ok(found.collect::<Result<_, _>>()?)
}
