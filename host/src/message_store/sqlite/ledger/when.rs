//! Times as places in the order of messages, or of dead letters: [`Span`].
//!
//! They are stored almost in the order of their times, so a time is found by halving and no index on it has to be kept up.

use rusqlite::{Connection, OptionalExtension};

use super::prepared;
use crate::clock::Timestamp;
use crate::message_store::sqlite::failure::Done;

/// Almost: a message or a dead letter waits a moment for its commit, and a message made by a delivery has the time at which the delivery's
/// plugins were done. A search by time looks at so many rows more on either side.
const DISORDER_ROWS: i64 = 2048;

/// What is stored in the order of its times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// Gives the first and the last place.
    ends: &'static str,
    /// Gives the first place from `?1` on, with its time.
    next: &'static str,
}

pub(super) const MESSAGES: Order = Order {
    ends: "SELECT (SELECT min(seq) FROM message), (SELECT max(seq) FROM message)",
    next: "SELECT seq, accepted_at FROM message WHERE seq >= ?1 ORDER BY seq LIMIT 1",
};
pub(super) const DEAD_LETTERS: Order = Order {
    ends: "SELECT (SELECT min(id) FROM dead_letter), (SELECT max(id) FROM dead_letter)",
    next: "SELECT id, died_at FROM dead_letter WHERE id >= ?1 ORDER BY id LIMIT 1",
};

/// The places among which all of a span of time are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub least: i64,
    pub most: i64,
}

impl Span {
    /// From `since` to just before `until`.
    pub(super) fn find(connection: &Connection, order: Order, since: Option<Timestamp>, until: Option<Timestamp>) -> Done<Self> {
        let least = since.map(|since| first_from(connection, order, since)).transpose()?;
        let end = until.map(|until| first_from(connection, order, until)).transpose()?;
        Ok(Self {
            least: least.map_or(i64::MIN, |seq| seq.saturating_sub(DISORDER_ROWS)),
            most: end.map_or(i64::MAX, |seq| seq.saturating_add(DISORDER_ROWS)),
        })
    }

    /// The same where places are counted from the last to the first.
    pub(super) fn turned(self) -> Self {
        Self { least: self.most.saturating_neg(), most: self.least.saturating_neg() }
    }
}

/// The first place with the time `at` or a later one, were they in order; one past the last where none has.
fn first_from(connection: &Connection, order: Order, at: Timestamp) -> Done<i64> {
    let mut ends = prepared(connection, order.ends)?;
    let (Some(mut low), Some(last)) = ends.query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))? else {
        return Ok(0);
    };
    let mut high = last + 1;
    let mut next = prepared(connection, order.next)?;
    while low < high {
        let middle = low + (high - low) / 2;
        let found = next.query_row([middle], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
        match found {
            Some((place, time)) if time < at.0 => low = place + 1,
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
            assert_eq!(first_from(&connection, MESSAGES, Timestamp(at)).unwrap(), seq, "{at}");
        }
        assert_eq!(first_from(&messages([]), MESSAGES, Timestamp(5)).unwrap(), 0);
    }
}
