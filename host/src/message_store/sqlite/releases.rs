//! The releases in the data folder and which of them are active: [`Releases`].

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::Inner;
use super::failure::Done;
use super::writing::Writing;
use super::{audit, backfill, barrier, rows, tried};
use crate::clock::Timestamp;
use crate::crash_point::{CrashPoint, reached};
use crate::integration::{Release, ReleaseId};
use crate::message_store::StoreError;
use crate::message_store::audit::{Act, Note, Way};
use crate::problem::{Code, Problem};

/// Releases that are kept of an integration.
pub(super) const RELEASES_KEPT: i64 = 100;

/// A stored release that is to be its integration's active one.
#[derive(Clone, Debug)]
pub struct Activation {
    pub integration: String,
    pub release: ReleaseId,
    /// The channels it reads.
    pub channels: Vec<String>,
    /// Those that it is new to and reads from their beginning, each with its source's rule for the key.
    pub from_beginning: Vec<(String, Option<String>)>,
    /// It orders its messages by another rule than the one that is active: what waits by the old rule goes first.
    pub reorders: bool,
    /// How what is tried in its integration did, which ends with this; for the audit trail.
    pub trial_did: Option<serde_json::Value>,
}

/// Who activates, by what way, and how it came to that.
#[derive(Clone, Debug)]
pub struct By {
    pub who: String,
    pub way: Way,
    pub how: How,
}

/// How a release came to be activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// At a start of the host.
    Start,
    Deploy,
    Rollback,
    /// It came from another host.
    Promote,
    /// It was approved, and that was all it waited for.
    Approve,
    /// It was tried on a share of the keys before.
    Canary,
    /// It was the shadow of the active one before.
    Shadow,
}

impl How {
    /// The word for it in the database, in JSON and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::Approve => "approve",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }

    /// The one of this word, of those that somebody may ask for.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Deploy, Self::Rollback, Self::Promote].into_iter().find(|how| how.as_str() == word)
    }
}

impl By {
    /// The start of a host, as it was called.
    pub fn start() -> Self {
        Self { who: "start".to_owned(), way: Way::Start, how: How::Start }
    }
}

/// An active release as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRelease {
    pub release: Release,
    pub id: ReleaseId,
    /// How often the rule for the order of its integration has changed.
    pub ordering: u32,
}

/// Stores and activates releases.
#[derive(Clone, Debug)]
pub struct Releases {
    pub(super) inner: Arc<Inner>,
}

impl Releases {
    /// Stores a release, which stays as it is as long as it is kept; storing it again changes nothing, and who came first stays its author. It is not
    /// activated by this.
    pub async fn put(&self, release: &Release, stored_at: Timestamp, author: &str) -> Result<ReleaseId, StoreError> {
        let (release, author) = (release.clone(), author.to_owned());
        self.inner.writer.run(0, move |writing| put(writing, &release, stored_at, &author)).await
    }

    /// Makes stored releases the active ones of their integrations: all of them or none, since one may feed another. One that was
    /// retired, or on the way, is so no more; what was tried beside it, or waited to be approved in its place, is not any more. Gives by
    /// how many rules each has been ordered before.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with `LG-7004` if an integration has no such release.
    pub async fn activate(&self, activations: Vec<Activation>, at: Timestamp, by: By) -> Result<Vec<u32>, StoreError> {
        let write = move |writing: &mut Writing<'_>| {
            let mut orderings = Vec::with_capacity(activations.len());
            for activation in &activations {
                orderings.push(activate(writing, activation, at, &by)?);
                reached(CrashPoint::ReleaseSwitching);
            }
            Ok(orderings)
        };
        self.inner.writer.run(0, write).await
    }

    /// The active releases, by integration.
    pub async fn active(&self) -> Result<Vec<ActiveRelease>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached(
                "SELECT r.content, r.id, a.ordering FROM active_release a JOIN release r ON r.id = a.release ORDER BY a.integration",
            )?;
            let found = find.query_map([], |row| {
                Ok(ActiveRelease { release: rows::json(row, 0)?, id: ReleaseId(row.get(1)?), ordering: rows::count(row, 2)? })
            })?;
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

pub(super) fn put(writing: &Writing<'_>, release: &Release, stored_at: Timestamp, author: &str) -> Done<ReleaseId> {
    let id = release.id();
    let is_new = writing
        .connection
        .prepare_cached("INSERT OR IGNORE INTO release (id, integration, content, stored_at, author) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((&id.0, &release.integration, rows::to_json(release)?, stored_at.0, author))?;
    if is_new == 1 {
        forget_old(writing, &release.integration, &id)?;
    }
    Ok(id)
}

/// Of an integration the latest releases are kept, and every one that is active or tried, waits for approval or was active before, whatever
/// came since.
fn forget_old(writing: &Writing<'_>, integration: &str, new: &ReleaseId) -> Done<()> {
    let forgotten = writing
        .connection
        .prepare_cached(
            "DELETE FROM release WHERE integration = ?1 AND id <> ?2
             AND id NOT IN (SELECT r.id FROM release r WHERE r.integration = ?1
                            ORDER BY coalesce((SELECT max(at) FROM activation WHERE integration = ?1 AND release = r.id), r.stored_at) DESC LIMIT ?3)
             AND id NOT IN (SELECT release FROM active_release WHERE integration = ?1)
             AND id NOT IN (SELECT release FROM canary WHERE integration = ?1)
             AND id NOT IN (SELECT release FROM proposal WHERE integration = ?1)
             AND id NOT IN (SELECT release FROM activation WHERE integration = ?1
                            AND release NOT IN (SELECT release FROM active_release WHERE integration = ?1) ORDER BY seq DESC LIMIT 1)",
        )?
        .execute((integration, &new.0, RELEASES_KEPT))?;
    if forgotten > 0 {
        for of_it in ["activation", "approval"] {
            let forget =
                format!("DELETE FROM {of_it} WHERE integration = ?1 AND release NOT IN (SELECT id FROM release WHERE integration = ?1)");
            writing.connection.prepare_cached(&forget)?.execute([integration])?;
        }
    }
    Ok(())
}

fn activate(writing: &mut Writing<'_>, activation: &Activation, at: Timestamp, by: &By) -> Done<u32> {
    let Activation { integration, release, channels, from_beginning, reorders, trial_did } = activation;
    let was: Option<(String, u32)> = writing
        .connection
        .prepare_cached("SELECT release, ordering FROM active_release WHERE integration = ?1")?
        .query_row([integration], |row| Ok((row.get(0)?, rows::count(row, 1)?)))
        .optional()?;
    let before = was.as_ref().map_or(0, |(_, ordering)| *ordering);
    let reorders = *reorders && was.is_some();
    let ordering = before.saturating_add(u32::from(reorders));
    let activated = writing
        .connection
        .prepare_cached(
            "INSERT INTO active_release (integration, release, activated_at, ordering)
             SELECT integration, id, ?3, ?4 FROM release WHERE id = ?1 AND integration = ?2
             ON CONFLICT (integration) DO UPDATE SET release = excluded.release, activated_at = excluded.activated_at, ordering = excluded.ordering",
        )?
        .execute((&release.0, integration, at.0, ordering))?;
    if activated != 1 {
        return Err(no_such_release(integration, release).into());
    }
    if reorders {
        barrier::raise(writing, integration, before)?;
    }
    tried::end_by_activation(writing, integration, trial_did.clone(), (at, by))?;
    for forget in ["DELETE FROM retirement WHERE integration = ?1", "DELETE FROM proposal WHERE integration = ?1"] {
        writing.connection.prepare_cached(forget)?.execute([integration])?;
    }
    backfill::reads(writing, integration, channels, from_beginning)?;
    writing
        .connection
        .prepare_cached("INSERT INTO activation (integration, release, at, who, how) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((integration, &release.0, at.0, &by.who, by.how.as_str()))?;
    let act = if by.how == How::Rollback { Act::RollBack } else { Act::Activate };
    let note = Note::new(at, (&by.who, by.way), act, format!("integration {integration}"));
    audit::append(writing, &Note { before: was.map(|(release, _)| release.into()), ..note }.after(release.0.as_str()))?;
    Ok(ordering)
}

pub(super) fn no_such_release(integration: &str, release: &ReleaseId) -> StoreError {
    StoreError::Failed(
        Problem::new(Code::NotFound, format!("{integration} has no release {}", release.short()))
            .fix(format!("lockgate releases {integration} lists those there are")),
    )
}
