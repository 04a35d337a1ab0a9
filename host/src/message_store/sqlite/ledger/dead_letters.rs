//! Dead letters in lists, in groups, and one at a time.

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::rows::{DeadLetterGroupRow, DeadLetterRow, Status};
use super::{DeadLetterQuery, ROWS_MAX, page, time, word};
use crate::message::FailureClass;
use crate::message_store::DeadLetterId;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::{count, message_id, stage};

/// Up to WHERE; the columns of [`row`].
const SELECT: &str = "SELECT d.id, m.id, d.integration, d.lane, d.stage, d.class, d.code, d.detail, d.fingerprint, d.attempts, d.waits,
           d.replay, d.died_at, d.status, d.closed_at, d.reason
    FROM dead_letter d CROSS JOIN message m ON m.seq = d.message";

/// Newest first.
pub(super) fn find(connection: &Connection, query: &DeadLetterQuery) -> Done<Vec<DeadLetterRow>> {
    let mut values = vec![Value::Integer(query.before.map_or(i64::MAX, |before| before.0)), Value::Integer(page(query.limit))];
    let mut sql = format!("{SELECT} WHERE d.id < ?1");
    let clauses = [
        ("status", query.status.map(|status| status.as_str().to_owned())),
        ("fingerprint", query.fingerprint.clone()),
        ("integration", query.integration.clone()),
        ("class", query.class.map(|class| class.as_str().to_owned())),
    ];
    for (column, value) in clauses {
        if let Some(value) = value {
            values.push(Value::Text(value));
            let _ = write!(sql, " AND d.{column} = ?{}", values.len());
        }
    }
    sql.push_str(" ORDER BY d.id DESC LIMIT ?2");
    let mut find = connection.prepare_cached(&sql)?;
    Ok(find.query_map(params_from_iter(values), row)?.collect::<Result<_, _>>()?)
}

pub(super) fn one(connection: &Connection, id: DeadLetterId) -> Done<Option<DeadLetterRow>> {
    let mut find = connection.prepare_cached(&format!("{SELECT} WHERE d.id = ?1"))?;
    Ok(find.query_row([id.0], row).optional()?)
}

/// Those a message has, oldest first.
pub(super) fn of_message(connection: &Connection, seq: i64) -> Done<Vec<DeadLetterRow>> {
    let mut find = connection.prepare_cached(&format!("{SELECT} WHERE d.message = ?1 ORDER BY d.id LIMIT ?2"))?;
    Ok(find.query_map((seq, page(ROWS_MAX)), row)?.collect::<Result<_, _>>()?)
}

/// Open ones by fingerprint, largest group first. Of a group's rows SQLite shows the one with the greatest id.
pub(super) fn groups(connection: &Connection) -> Done<Vec<DeadLetterGroupRow>> {
    let mut find = connection.prepare_cached(
        "SELECT g.fingerprint, d.integration, d.class, d.code, g.many, g.first_at, g.last_at, d.id, d.detail
         FROM (SELECT fingerprint, count(*) AS many, min(died_at) AS first_at, max(died_at) AS last_at, max(id) AS newest
               FROM dead_letter WHERE status = 'open' GROUP BY fingerprint) g
         CROSS JOIN dead_letter d ON d.id = g.newest ORDER BY g.many DESC, d.id DESC LIMIT ?1",
    )?;
    let found = find.query_map([page(ROWS_MAX)], |row| {
        Ok(DeadLetterGroupRow {
            fingerprint: row.get(0)?,
            integration: row.get(1)?,
            class: word(row, 2, FailureClass::parse)?,
            code: row.get(3)?,
            count: count(row, 4)?,
            first_at: time(row, 5)?,
            last_at: time(row, 6)?,
            example: DeadLetterId(row.get(7)?),
            example_detail: row.get(8)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<DeadLetterRow> {
    Ok(DeadLetterRow {
        id: DeadLetterId(row.get(0)?),
        message: message_id(row, 1)?,
        integration: row.get(2)?,
        lane: row.get(3)?,
        stage: stage(row, 4)?,
        class: word(row, 5, FailureClass::parse)?,
        code: row.get(6)?,
        detail: row.get(7)?,
        fingerprint: row.get(8)?,
        attempts: count(row, 9)?,
        waits: count(row, 10)?,
        replay: count(row, 11)?,
        died_at: time(row, 12)?,
        status: word(row, 13, Status::parse)?,
        closed_at: row.get::<_, Option<i64>>(14)?.map(|at| crate::clock::Timestamp(at).to_string()),
        reason: row.get(15)?,
    })
}
