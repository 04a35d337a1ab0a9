//! Times as places in the order of messages: [`Span`].
//!
//! Messages are stored almost in the order of their times, so a time is found by halving and no index on it has to be kept up.

use rusqlite::{Connection, OptionalExtension};

use super::prepared;
use crate::clock::Timestamp;
use crate::message_store::sqlite::failure::Done;

/// Almost: a message waits a moment for its commit, and one made by a delivery has the time at which the delivery's plugins were done.
/// A search by time looks at so many messages more on either side.
const DISORDER_ROWS: i64 = 2048;

/// The seqs among which all messages of a span of time are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub least: i64,
    pub most: i64,
}

impl Span {
    /// From `since` to just before `until`.
    pub(super) fn find(connection: &Connection, since: Option<Timestamp>, until: Option<Timestamp>) -> Done<Self> {
        let least = since.map(|since| first_from(connection, since)).transpose()?;
        let end = until.map(|until| first_from(connection, until)).transpose()?;
        Ok(Self {
            least: least.map_or(i64::MIN, |seq| seq.saturating_sub(DISORDER_ROWS)),
            most: end.map_or(i64::MAX, |seq| seq.saturating_add(DISORDER_ROWS)),
        })
    }
}

/// The seq of the first message accepted at `at` or later, were they in order; one past the last where none was.
fn first_from(connection: &Connection, at: Timestamp) -> Done<i64> {
    let mut ends = prepared(connection, "SELECT (SELECT min(seq) FROM message), (SELECT max(seq) FROM message)")?;
    let (Some(mut low), Some(last)) = ends.query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))? else {
        return Ok(0);
    };
    let mut high = last + 1;
    let mut next = prepared(connection, "SELECT seq, accepted_at FROM message WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let found = next.query_row([middle], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
        match found {
            Some((seq, accepted_at)) if accepted_at < at.0 => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(at: impl IntoIterator<Item = (i64, i64)>) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE message (seq INTEGER PRIMARY KEY, accepted_at INTEGER NOT NULL)").unwrap();
        for row in at {
            connection.execute("INSERT INTO message VALUES (?1, ?2)", row).unwrap();
        }
        connection
    }

    #[test]
    fn finds_a_time_among_messages_with_gaps_between_them() {
        let connection = messages([(3, 10), (7, 20), (8, 20), (40, 30)]);
        for (at, seq) in [(0, 3), (10, 3), (11, 4), (20, 4), (21, 9), (30, 9), (31, 41), (i64::MAX, 41)] {
            assert_eq!(first_from(&connection, Timestamp(at)).unwrap(), seq, "{at}");
        }
        assert_eq!(first_from(&messages([]), Timestamp(5)).unwrap(), 0);
    }
}
