//! Which releases an integration has had: who deployed them, when they were active, and what there is to go back to.

use rusqlite::{Connection, OptionalExtension};

use super::releases::{RELEASES_KEPT, Releases};
use super::rows;
use crate::clock::Timestamp;
use crate::integration::{PinnedPlugin, Release, ReleaseId};
use crate::message_store::StoreError;

/// Releases that are listed at once: as many as are kept, and those that are kept beside them.
const LISTED_MAX: i64 = RELEASES_KEPT + 4;
/// A longer file is not looked into where releases are listed: whoever lists them holds all of them at once.
const FILE_BYTES_MAX: i64 = 64 * 1024;

/// A release of an integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRelease {
    pub plugins: Vec<PinnedPlugin>,
    /// The text of its file; none where it is long.
    pub file: Option<String>,
    pub id: ReleaseId,
    pub stored_at: Timestamp,
    /// Who brought it first; none for those that came before that was written down.
    pub author: Option<String>,
    pub is_active: bool,
    /// When it was activated last, by whom and how; none where it never was.
    pub activated: Option<Activated>,
}

/// One activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activated {
    pub at: Timestamp,
    pub who: Option<String>,
    pub how: String,
}

impl Releases {
    /// The releases of `integration`, the one first that was activated or stored last.
    pub async fn of(&self, integration: &str) -> Result<Vec<StoredRelease>, StoreError> {
        let integration = integration.to_owned();
        let read = move |connection: &Connection| {
            let mut find = connection.prepare_cached(
                "SELECT json_extract(r.content, '$.plugins'), r.id, r.stored_at, r.author, r.id = coalesce(c.release, ''), a.at, a.who, a.how,
                        CASE WHEN length(r.content) <= ?3 THEN json_extract(r.content, '$.file') END
                 FROM release r
                 LEFT JOIN activation a ON a.seq = (SELECT max(seq) FROM activation WHERE integration = r.integration AND release = r.id)
                 LEFT JOIN active_release c ON c.integration = r.integration
                 WHERE r.integration = ?1 ORDER BY coalesce(a.at, r.stored_at) DESC, coalesce(a.seq, 0) DESC LIMIT ?2",
            )?;
            let found = find.query_map((&integration, LISTED_MAX, FILE_BYTES_MAX), |row| {
                let activated = row.get::<_, Option<i64>>(5)?.map(|at| (Timestamp(at), row.get(6), row.get(7)));
                let activated = match activated {
                    Some((at, who, how)) => Some(Activated { at, who: who?, how: how? }),
                    None => None,
                };
                Ok(StoredRelease {
                    plugins: rows::json(row, 0)?,
                    file: row.get(8)?,
                    id: ReleaseId(row.get(1)?),
                    stored_at: Timestamp(row.get(2)?),
                    author: row.get(3)?,
                    is_active: row.get(4)?,
                    activated,
                })
            })?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.inner.people.read(read).await
    }

    /// The release that was active before the one that is, or last where none is; none where there was none.
    pub async fn before_the_active(&self, integration: &str) -> Result<Option<ReleaseId>, StoreError> {
        let integration = integration.to_owned();
        let read = move |connection: &Connection| {
            let mut find = connection.prepare_cached(
                "SELECT release FROM activation
                 WHERE integration = ?1 AND release <> coalesce((SELECT release FROM active_release WHERE integration = ?1), '')
                 ORDER BY seq DESC LIMIT 1",
            )?;
            Ok(find.query_row([&integration], |row| row.get(0).map(ReleaseId)).optional()?)
        };
        self.inner.people.read(read).await
    }

    /// The release of `integration` whose id begins with `prefix`; none where there is none, or more than one.
    pub async fn by_prefix(&self, integration: &str, prefix: &str) -> Result<Option<(Release, ReleaseId)>, StoreError> {
        let (integration, prefix) = (integration.to_owned(), prefix.to_ascii_lowercase());
        let read = move |connection: &Connection| {
            let mut find = connection
                .prepare_cached("SELECT content, id FROM release WHERE integration = ?1 AND substr(id, 1, length(?2)) = ?2 LIMIT 2")?;
            let found = find.query_map((&integration, &prefix), |row| Ok((rows::json(row, 0)?, ReleaseId(row.get(1)?))))?;
            let mut found = found.collect::<Result<Vec<_>, _>>()?;
            Ok(if found.len() == 1 { found.pop() } else { None })
        };
        self.inner.people.read(read).await
    }

    /// The digests of all plugins that any stored release pins.
    pub async fn pinned(&self) -> Result<std::collections::BTreeSet<String>, StoreError> {
        let read = |connection: &Connection| {
            let mut find = connection.prepare_cached("SELECT content FROM release")?;
            let found = find.query_map([], |row| rows::json::<Release>(row, 0))?;
            let mut digests = std::collections::BTreeSet::new();
            for release in found {
                digests.extend(release?.plugins.into_iter().map(|plugin| plugin.digest));
            }
            Ok(digests)
        };
        self.inner.people.read(read).await
    }
}
