//! Forgetting what is old: messages with all that was written about them, and before that the bodies of requests.
//!
//! Found by reading, in the order of age; taken away by the writer in small pieces, each looked at again there. What waits, and what is
//! among the dead letters and open, is kept however old it is.

use rusqlite::Connection;

use super::exchanges;
use super::failure::Done;
use super::writing::Writing;
use crate::clock::Timestamp;

/// Messages that one command forgets at most: some milliseconds of the writer's time.
const FORGOTTEN_AT_ONCE: usize = 100;
/// Rows that one look passes over at most.
const LOOKED_AT: i64 = 1_000;

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Old {
    /// Seqs of messages, or ids of attempts.
    pub found: Vec<i64>,
    /// Where to look on; none where nothing older is left.
    pub next: Option<i64>,
}

/// What became of a piece of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub forgotten: usize,
    /// Where to go on; none at the end.
    pub next: Option<i64>,
}

/// Whether a message is still of use: it waits or is a dead letter with some integration, or it ended since, or anything that was made of it
/// is still there, by a fan-out, on a channel or by an edit: whoever looks at that finds where it came from. Those are younger and go
/// first; it goes with a later look. And whether it is on a channel that somebody still takes over.
const IS_KEPT: &str = "
    EXISTS (SELECT 1 FROM standing s WHERE s.message = m.seq AND s.state IN ('waiting', 'dead-lettered'))
    OR EXISTS (SELECT 1 FROM message c WHERE c.parent = m.id)
    OR EXISTS (SELECT 1 FROM outcome o WHERE o.message = m.seq AND o.settled_at >= ?1)
    OR EXISTS (SELECT 1 FROM channel_message n JOIN backfill b ON b.channel = n.channel AND b.position < n.position WHERE n.message = m.seq)";

/// Messages after the seq `after` that were accepted and ended before `before`.
pub(super) fn old_messages(connection: &Connection, before: Timestamp, after: i64) -> Done<Old> {
    let sql = format!("SELECT m.seq, m.accepted_at, {IS_KEPT} FROM message m WHERE m.seq > ?2 ORDER BY m.seq LIMIT ?3");
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

/// Forgets those of `messages` that are still of no use.
pub(super) fn forget_messages(writing: &Writing<'_>, messages: &[i64], before: Timestamp) -> Done<usize> {
    let sql = format!("SELECT {IS_KEPT} FROM message m WHERE m.seq = ?2");
    let mut forgotten = 0;
    for seq in messages {
        let is_kept = writing.connection.prepare_cached(&sql)?.query_row((before.0, seq), |row| row.get(0));
        match is_kept {
            Ok(false) => forget(writing, *seq)?,
            Ok(true) | Err(rusqlite::Error::QueryReturnedNoRows) => continue,
            Err(error) => return Err(error.into()),
        }
        forgotten += 1;
    }
    Ok(forgotten)
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
    let mut find = connection.prepare_cached(
        "SELECT e.id, a.id, a.ended_at,
                EXISTS (SELECT 1 FROM standing s WHERE s.message = a.message AND s.state IN ('waiting', 'dead-lettered'))
         FROM exchange e JOIN attempt a ON a.id = e.id / 4096 WHERE e.id > ?1 ORDER BY e.id LIMIT ?2",
    )?;
    let mut rows = find.query((after, LOOKED_AT))?;
    let mut old = Old::default();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let (exchange, attempt, ended_at, is_kept): (i64, i64, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        looked_at += 1;
        old.next = Some(exchange);
        // Ids are given in the order in which attempts were first written: one that waited long since may be followed by older ones,
        // which a later look finds.
        if ended_at >= before.0 {
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

/// Forgets what the requests of `attempts` sent and were answered.
pub(super) fn forget_exchanges(writing: &Writing<'_>, attempts: &[i64]) -> Done<usize> {
    attempts.iter().try_for_each(|attempt| exchanges::forget(writing, *attempt))?;
    Ok(attempts.len())
}
