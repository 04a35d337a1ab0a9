//! Messages by the beginning of their id: [`find`].

use rusqlite::Connection;

use super::prepared;
use crate::message::{IdPrefix, MessageId};
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::message_id;

/// Ids that are named for a beginning that several share.
pub const IDS_FOUND_MAX: usize = 100;

/// The ids that have a beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdsFound {
    /// At most a hundred.
    pub ids: Vec<MessageId>,
    /// There are others.
    pub more: bool,
}

pub(super) fn find(connection: &Connection, prefix: IdPrefix) -> Done<IdsFound> {
    let (first, last) = prefix.range();
    let mut find = prepared(connection, "SELECT id FROM message WHERE id >= ?1 AND id <= ?2 ORDER BY id LIMIT ?3")?;
    let most = i64::try_from(IDS_FOUND_MAX).unwrap_or(i64::MAX);
    let found = find.query_map((first.0.as_bytes(), last.0.as_bytes(), most + 1), |row| message_id(row, 0))?;
    let mut ids = found.collect::<Result<Vec<_>, _>>()?;
    let more = ids.len() > IDS_FOUND_MAX;
    ids.truncate(IDS_FOUND_MAX);
    Ok(IdsFound { ids, more })
}
