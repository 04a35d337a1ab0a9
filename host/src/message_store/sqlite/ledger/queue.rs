//! What waits and what is dead, by integration: [`find`]. Nothing is counted here: the writer keeps the counts, and the oldest is the
//! first of an index.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::rows::QueueRow;
use crate::clock::Timestamp;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::count;

const OLDEST: &str = "SELECT accepted_at FROM message WHERE seq =
    (SELECT message FROM delivery WHERE integration = ?1 AND +state <> 'stopped' ORDER BY message LIMIT 1)";

pub(super) fn find(connection: &Connection, waiting: &[(String, u64)], now: Timestamp) -> Done<Vec<QueueRow>> {
    let mut rows = BTreeMap::<String, QueueRow>::new();
    for (integration, many) in waiting {
        wait(connection, integration, *many, now, &mut rows)?;
    }
    dead_letters(connection, &mut rows)?;
    stopped(connection, &mut rows)?;
    Ok(rows.into_values().collect())
}

fn of(rows: &mut BTreeMap<String, QueueRow>, integration: String) -> &mut QueueRow {
    let fresh = QueueRow { integration: integration.clone(), ..QueueRow::default() };
    rows.entry(integration).or_insert(fresh)
}

fn wait(connection: &Connection, integration: &str, many: u64, now: Timestamp, rows: &mut BTreeMap<String, QueueRow>) -> Done<()> {
    let mut find = super::prepared(connection, OLDEST)?;
    let oldest: Option<i64> = find.query_row([integration], |row| row.get(0)).optional()?;
    let queue = of(rows, integration.to_owned());
    queue.waiting = many;
    // None of them is a delivery yet: they wait behind what the reader takes over. Or they were settled since they were counted.
    let Some(oldest) = oldest.map(Timestamp) else { return Ok(()) };
    queue.oldest_accepted_at = Some(oldest.to_string());
    queue.oldest_waiting_ms = Some(u64::try_from(now.since(oldest).as_millis()).unwrap_or(u64::MAX));
    Ok(())
}

fn dead_letters(connection: &Connection, rows: &mut BTreeMap<String, QueueRow>) -> Done<()> {
    let mut find = super::prepared(connection, "SELECT integration, open FROM dead_letter_count")?;
    let mut found = find.query([])?;
    while let Some(row) = found.next()? {
        of(rows, row.get(0)?).dead_letters = count(row, 1)?;
    }
    Ok(())
}

/// An index of its own, which is empty but where an integration orders strictly and somebody has work to do.
fn stopped(connection: &Connection, rows: &mut BTreeMap<String, QueueRow>) -> Done<()> {
    let mut find = super::prepared(connection, "SELECT integration, count(*) FROM delivery WHERE state = 'stopped' GROUP BY integration")?;
    let mut found = find.query([])?;
    while let Some(row) = found.next()? {
        of(rows, row.get(0)?).stopped = count(row, 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::message_store::sqlite::schema::migrate;

    /// What the database does to find the oldest of an integration that has `waiting` deliveries.
    fn steps(waiting: u32) -> i32 {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let fill = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {waiting})
             INSERT INTO message (seq, id, content_type, headers, tracked, origin, accepted_at, body)
                 SELECT n, randomblob(16), '', '[]', '{{}}', '', n, zeroblob(0) FROM n;
             INSERT INTO delivery (integration, message, stage, origin, state, due_at)
                 SELECT iif(seq % 2, 'crm', 'audit'), seq, 'steps', seq, 'ready', 0 FROM message;"
        );
        connection.execute_batch(&fill).unwrap();
        let mut find = connection.prepare(OLDEST).unwrap();
        assert_eq!(find.query_row(["audit"], |row| row.get::<_, i64>(0)).unwrap(), 2);
        find.get_status(StatementStatus::VmStep)
    }

    #[test]
    fn finds_the_oldest_in_as_many_steps_however_many_wait() {
        assert_eq!(steps(10), steps(20_000));
    }
}
