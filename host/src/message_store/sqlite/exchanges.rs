//! The bodies of an attempt's requests: [`keep`], [`replace`], and where they are, [`ids`].

use std::ops::Range;

use super::failure::Done;
use super::writing::Writing;
use crate::message_store::exchange::{EXCHANGES_PER_ATTEMPT_MAX, Exchange};

/// The ids that the exchanges of an attempt have: its own id times 4096, and their place.
pub(super) fn ids(attempt: i64) -> Range<i64> {
    let per_attempt = i64::try_from(EXCHANGES_PER_ATTEMPT_MAX).unwrap_or(i64::MAX);
    let first = attempt.saturating_mul(per_attempt);
    first..first.saturating_add(per_attempt)
}

/// Writes down the exchanges of a new attempt.
pub(super) fn keep(writing: &Writing<'_>, attempt: i64, exchanges: &[Exchange]) -> Done<()> {
    if exchanges.is_empty() {
        return Ok(());
    }
    let mut insert = writing.connection.prepare_cached(
        "INSERT INTO exchange (id, sent_type, sent_bytes, sent, answer_type, answer_bytes, answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (id, Exchange { sent, answer }) in ids(attempt).zip(exchanges) {
        insert.execute((
            id,
            &sent.content_type,
            stored(sent.bytes),
            &sent.beginning[..],
            answer.as_ref().and_then(|answer| answer.content_type.as_deref()),
            answer.as_ref().map(|answer| stored(answer.bytes)),
            answer.as_ref().map(|answer| &answer.beginning[..]),
        ))?;
    }
    Ok(())
}

/// Writes down `exchanges` in place of those the attempt had.
pub(super) fn replace(writing: &Writing<'_>, attempt: i64, exchanges: &[Exchange]) -> Done<()> {
    forget(writing, attempt)?;
    keep(writing, attempt, exchanges)
}

/// Takes away what the attempt had.
pub(super) fn forget(writing: &Writing<'_>, attempt: i64) -> Done<()> {
    let old = ids(attempt);
    writing.connection.prepare_cached("DELETE FROM exchange WHERE id >= ?1 AND id < ?2")?.execute((old.start, old.end))?;
    Ok(())
}

fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
