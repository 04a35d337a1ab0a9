//! What waits, by integration: [`find`].

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::rows::QueueRow;
use super::word;
use crate::clock::Timestamp;
use crate::message::Outcome;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::outcome;
use crate::message_store::sqlite::rows::count;

const MINUTES_OF_AN_HOUR: i64 = 60;

pub(super) fn find(connection: &Connection, now: Timestamp) -> Done<Vec<QueueRow>> {
    let mut rows = BTreeMap::<String, QueueRow>::new();
    waiting(connection, now, &mut rows)?;
    dead_letters(connection, &mut rows)?;
    settled(connection, now, &mut rows)?;
    Ok(rows.into_values().collect())
}

fn of(rows: &mut BTreeMap<String, QueueRow>, integration: String) -> &mut QueueRow {
    let fresh = QueueRow { integration: integration.clone(), ..QueueRow::default() };
    rows.entry(integration).or_insert(fresh)
}

fn waiting(connection: &Connection, now: Timestamp, rows: &mut BTreeMap<String, QueueRow>) -> Done<()> {
    let mut find = connection.prepare_cached(
        "SELECT d.integration, d.many, m.accepted_at
         FROM (SELECT integration, count(*) AS many, min(origin) AS oldest FROM delivery GROUP BY integration) d
         CROSS JOIN message m ON m.seq = d.oldest",
    )?;
    let mut found = find.query([])?;
    while let Some(row) = found.next()? {
        let oldest = Timestamp(row.get(2)?);
        let queue = of(rows, row.get(0)?);
        queue.waiting = count(row, 1)?;
        queue.oldest_accepted_at = Some(oldest.to_string());
        queue.oldest_waiting_ms = Some(u64::try_from(now.since(oldest).as_millis()).unwrap_or(u64::MAX));
    }
    Ok(())
}

fn dead_letters(connection: &Connection, rows: &mut BTreeMap<String, QueueRow>) -> Done<()> {
    let mut find = connection.prepare_cached("SELECT integration, open FROM dead_letter_count")?;
    let mut found = find.query([])?;
    while let Some(row) = found.next()? {
        of(rows, row.get(0)?).dead_letters = count(row, 1)?;
    }
    Ok(())
}

fn settled(connection: &Connection, now: Timestamp, rows: &mut BTreeMap<String, QueueRow>) -> Done<()> {
    let mut find = connection.prepare_cached(
        "SELECT integration, outcome, sum(count) FROM tally WHERE minute > ?1 AND outcome IN ('delivered', 'skipped')
         GROUP BY integration, outcome",
    )?;
    let mut found = find.query([outcome::minute(now) - MINUTES_OF_AN_HOUR])?;
    while let Some(row) = found.next()? {
        let delivered = word(row, 1, Outcome::parse)? == Outcome::Delivered;
        let queue = of(rows, row.get(0)?);
        let many = count(row, 2)?;
        if delivered {
            queue.delivered_last_hour = many;
        } else {
            queue.skipped_last_hour = many;
        }
    }
    Ok(())
}
