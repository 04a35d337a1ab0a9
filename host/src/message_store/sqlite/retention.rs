//! Forgetting what is old: messages with all that was written about them, and before that the bodies of requests.
//!
//! Found by reading, in the order of age; taken away by the writer in small pieces, each looked at again there. What waits, and what is
//! among the dead letters and open, is kept however old it is.

use rusqlite::{Connection, OptionalExtension};

use super::exchanges;
use super::failure::Done;
use super::writing::Writing;
use crate::clock::Timestamp;

/// Messages, or attempts, that one command takes away at most: some milliseconds of the writer's time.
pub(super) const FORGOTTEN_AT_ONCE: usize = 100;
/// Rows after which a command takes away no further message: one that was tried for days has thousands. It takes at most those of one
/// message, or attempt, more.
pub(super) const ROWS_AT_ONCE: u64 = 2_000;
/// Rows that one look passes over at most.
pub(super) const LOOKED_AT: i64 = 1_000;

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Old {
    /// Seqs of messages, or ids of attempts.
    pub found: Vec<i64>,
    /// Where to look on; none where nothing older is left.
    pub next: Option<i64>,
}

impl Old {
    /// What became of it where nothing was found: the writer need not be asked.
    pub(super) fn none_forgotten(&self) -> Forgotten {
        Forgotten { forgotten: 0, next: self.next }
    }
}

/// What became of a piece of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub forgotten: usize,
    /// Where to go on; none at the end.
    pub next: Option<i64>,
}

/// Whether the message whose seq is put in for `{seq}` waits or is an open dead letter with some integration. How it stands says so for
/// most; one that came to an integration twice, over a channel that it reads, stands as the last of the two ended.
const IS_OPEN: &str = "
    EXISTS (SELECT 1 FROM standing s WHERE s.message = {seq} AND s.state IN ('waiting', 'dead-lettered'))
    OR EXISTS (SELECT 1 FROM dead_letter l WHERE l.message = {seq} AND l.status = 'open')
    OR EXISTS (SELECT 1 FROM standing s JOIN delivery d ON d.integration = s.integration AND d.message = s.message WHERE s.message = {seq})";

/// Whether a message is still of use: it is open, or it ended since, or anything that was made of it is still there, by a fan-out, on a
/// channel or by an edit: whoever looks at that finds where it came from. Those are younger and go first; it goes with a later look. And
/// so is what is on a channel that somebody still takes over.
const IS_KEPT: &str = "
    OR EXISTS (SELECT 1 FROM message c WHERE c.parent = m.id)
    OR EXISTS (SELECT 1 FROM outcome o WHERE o.message = m.seq AND o.settled_at >= ?1)
    OR EXISTS (SELECT 1 FROM channel_message n JOIN backfill b ON b.channel = n.channel AND b.position < n.position WHERE n.message = m.seq)";

fn is_open(seq: &str) -> String {
    IS_OPEN.replace("{seq}", seq)
}

/// Of a message `m`; `?1` is the time before which it has to have ended.
fn is_kept() -> String {
    is_open("m.seq") + IS_KEPT
}

/// Messages after the seq `after` that were accepted and ended before `before`.
pub(super) fn old_messages(connection: &Connection, before: Timestamp, after: i64) -> Done<Old> {
    let sql = format!("SELECT m.seq, m.accepted_at, {} FROM message m WHERE m.seq > ?2 ORDER BY m.seq LIMIT ?3", is_kept());
    let mut find = connection.prepare_cached(&sql)?;
    let mut rows = find.query((before.0, after, LOOKED_AT))?;
    let mut old = Old::default();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let (seq, accepted_at, is_kept): (i64, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // The clock never goes backwards: what follows is younger.
        if accepted_at >= before.0 {
            return Ok(Old { next: None, ..old });
        }
        looked_at += 1;
        old.next = Some(seq);
        if !is_kept {
            old.found.push(seq);
        }
        if old.found.len() == FORGOTTEN_AT_ONCE {
            return Ok(old);
        }
    }
    Ok(if looked_at < LOOKED_AT { Old { next: None, ..old } } else { old })
}

/// Forgets those of `old` that are still of no use.
pub(super) fn forget_messages(writing: &Writing<'_>, old: &Old, before: Timestamp) -> Done<Forgotten> {
    let sql = format!("SELECT {} FROM message m WHERE m.seq = ?2", is_kept());
    in_pieces(writing, old, |seq| {
        let is_kept = writing.connection.prepare_cached(&sql)?.query_row((before.0, seq), |row| row.get(0)).optional()?;
        let is_to_go = is_kept == Some(false);
        if is_to_go {
            forget(writing, seq)?;
        }
        Ok((is_to_go, seq))
    })
}

/// Takes away what `old` found, one after the other, until that were many rows. `take` tells whether there was anything to be taken, and
/// the place to look on from behind it.
fn in_pieces(writing: &Writing<'_>, old: &Old, take: impl Fn(i64) -> Done<(bool, i64)>) -> Done<Forgotten> {
    let before = writing.connection.total_changes();
    let mut forgotten = 0;
    for (number, found) in old.found.iter().enumerate() {
        let (was_taken, place) = take(*found)?;
        forgotten += usize::from(was_taken);
        let is_last = number + 1 == old.found.len();
        if !is_last && writing.connection.total_changes() - before >= ROWS_AT_ONCE {
            return Ok(Forgotten { forgotten, next: Some(place) });
        }
    }
    Ok(Forgotten { forgotten, next: old.next })
}

fn forget(writing: &Writing<'_>, seq: i64) -> Done<()> {
    let attempts: Vec<i64> = {
        let mut find = writing.connection.prepare_cached("SELECT id FROM attempt WHERE message = ?1")?;
        let found = find.query_map([seq], |row| row.get(0))?;
        found.collect::<Result<_, _>>()?
    };
    attempts.iter().try_for_each(|attempt| exchanges::forget(writing, *attempt))?;
    const STATEMENTS: [&str; 7] = [
        "DELETE FROM attempt WHERE message = ?1",
        "DELETE FROM outcome WHERE message = ?1",
        "DELETE FROM dead_letter WHERE message = ?1",
        "DELETE FROM tracked WHERE message = ?1",
        "DELETE FROM standing WHERE message = ?1",
        "DELETE FROM channel_message WHERE message = ?1",
        "DELETE FROM message WHERE seq = ?1",
    ];
    for sql in STATEMENTS {
        writing.connection.prepare_cached(sql)?.execute([seq])?;
    }
    Ok(())
}

/// Attempts after the exchange `after` that ended before `before` and have exchanges, other than those of open dead letters and of what waits:
/// who mends them wants to see what was sent.
pub(super) fn old_exchanges(connection: &Connection, before: Timestamp, after: i64) -> Done<Old> {
    let sql = format!(
        "SELECT e.id, a.id, a.started_at, a.ended_at >= ?3 OR {} FROM exchange e JOIN attempt a ON a.id = e.id / 4096
         WHERE e.id > ?1 ORDER BY e.id LIMIT ?2",
        is_open("a.message")
    );
    let mut find = connection.prepare_cached(&sql)?;
    let mut rows = find.query((after, LOOKED_AT, before.0))?;
    let mut old = Old::default();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let (exchange, attempt, started_at, is_kept): (i64, i64, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        looked_at += 1;
        old.next = Some(exchange);
        // Ids are given in the order in which attempts were first written, and none is written before it starts: what follows ended
        // later. Not so after one that ended later, which may have been written long since and have gone on waiting.
        if started_at >= before.0 {
            return Ok(Old { next: None, ..old });
        }
        if !is_kept && old.found.last() != Some(&attempt) {
            old.found.push(attempt);
        }
        if old.found.len() == FORGOTTEN_AT_ONCE {
            return Ok(old);
        }
    }
    Ok(if looked_at < LOOKED_AT { Old { next: None, ..old } } else { old })
}

/// Forgets what the requests of the attempts of `old` sent and were answered, of those that may go still.
pub(super) fn forget_exchanges(writing: &Writing<'_>, old: &Old, before: Timestamp) -> Done<Forgotten> {
    let sql = format!("SELECT a.ended_at >= ?2 OR {} FROM attempt a WHERE a.id = ?1", is_open("a.message"));
    in_pieces(writing, old, |attempt| {
        let is_kept = writing.connection.prepare_cached(&sql)?.query_row((attempt, before.0), |row| row.get(0)).optional()?;
        let is_to_go = is_kept == Some(false);
        if is_to_go {
            exchanges::forget(writing, attempt)?;
        }
        Ok((is_to_go, exchanges::ids(attempt).end - 1))
    })
}
