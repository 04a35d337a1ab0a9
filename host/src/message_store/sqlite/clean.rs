//! Taking away what has expired: [`clean`], a bounded piece at a time.

use super::failure::Done;
use super::writing::Writing;
use super::{key_value, outcome};
use crate::clock::Timestamp;

/// Rows of each kind that one call deletes at most: some milliseconds of the writer's time.
pub(super) const CLEAN_ROWS_MAX: i64 = 500;
/// Minutes the tally keeps: a day.
const TALLY_MINUTES: i64 = 24 * 60;

/// What a call of [`super::SqliteStore::clean`] took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub dedup_tokens: usize,
    pub key_values: usize,
    /// There may be more: call again.
    pub more: bool,
}

pub(super) fn clean(writing: &Writing<'_>, now: Timestamp) -> Done<Cleaned> {
    let dedup_tokens = writing
        .connection
        .prepare_cached("DELETE FROM dedup WHERE (scope, token) IN (SELECT scope, token FROM dedup WHERE expires_at <= ?1 LIMIT ?2)")?
        .execute((now.0, CLEAN_ROWS_MAX))?;
    let key_values = key_value::clean(writing, now, CLEAN_ROWS_MAX)?;
    let minutes = writing
        .connection
        .prepare_cached(
            "DELETE FROM tally WHERE (minute, integration, outcome) IN
                    (SELECT minute, integration, outcome FROM tally WHERE minute < ?1 LIMIT ?2)",
        )?
        .execute((outcome::minute(now) - TALLY_MINUTES, CLEAN_ROWS_MAX))?;
    let full = usize::try_from(CLEAN_ROWS_MAX).unwrap_or(usize::MAX);
    // Of many integrations there may be more minutes to take away than come to be old between two calls.
    Ok(Cleaned { dedup_tokens, key_values, more: [dedup_tokens, key_values, minutes].contains(&full) })
}
