//! One message and all that happened to it: [`find`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::{AttemptRow, Body, OutcomeRow, State, Timeline, WaitingRow};
use super::{ROWS_MAX, dead_letters, messages, page, time, word};
use crate::message::MessageId;
use crate::message_store::DeliveryId;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::{count, json, stage, tracked};

pub(super) fn find(connection: &Connection, id: MessageId) -> Done<Option<Timeline>> {
    let mut seq = connection.prepare_cached("SELECT seq FROM message WHERE id = ?1")?;
    let Some(seq) = seq.query_row([id.0.as_bytes()], |row| row.get(0)).optional()? else { return Ok(None) };
    let Some(message) = messages::one(connection, seq)? else { return Ok(None) };
    let mut whole = connection.prepare_cached("SELECT headers, body FROM message WHERE seq = ?1")?;
    let (headers, body) = whole.query_row([seq], |row| Ok((json(row, 0)?, row.get::<_, Vec<u8>>(1)?)))?;
    Ok(Some(Timeline {
        message,
        headers,
        tracked: tracked(connection, seq)?,
        body: String::from_utf8(body).map_or_else(|error| Body::Base64(STANDARD.encode(error.as_bytes())), Body::Text),
        waiting: list(connection, WAITING, seq, waiting)?,
        attempts: list(connection, ATTEMPTS, seq, attempt)?,
        outcomes: list(connection, OUTCOMES, seq, outcome)?,
        dead_letters: dead_letters::of_message(connection, seq)?,
        children: messages::children(connection, id.0.as_bytes())?,
    }))
}

const WAITING: &str = "SELECT d.id, d.integration, d.stage, d.lane, d.state = 'behind', d.due_at, d.attempts, d.waits, d.replay
    FROM standing s CROSS JOIN delivery d ON d.integration = s.integration AND d.message = s.message
    WHERE s.message = ?1 ORDER BY d.id LIMIT ?2";
/// Of more than fit, the newest.
const ATTEMPTS: &str = "SELECT integration, stage, replay, release, started_at, ended_at, times, result, code, detail, trace
    FROM (SELECT * FROM attempt WHERE message = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id";
const OUTCOMES: &str = "SELECT integration, stage, replay, outcome, code, detail, receipt, settled_at
    FROM (SELECT * FROM outcome WHERE message = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id";

fn list<T>(connection: &Connection, sql: &str, seq: i64, read: fn(&Row<'_>) -> rusqlite::Result<T>) -> Done<Vec<T>> {
    let mut find = connection.prepare_cached(sql)?;
    Ok(find.query_map((seq, page(ROWS_MAX)), read)?.collect::<Result<_, _>>()?)
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<WaitingRow> {
    Ok(WaitingRow {
        delivery: DeliveryId(row.get(0)?),
        integration: row.get(1)?,
        stage: stage(row, 2)?,
        lane: row.get(3)?,
        behind: row.get(4)?,
        due_at: time(row, 5)?,
        attempts: count(row, 6)?,
        waits: count(row, 7)?,
        replay: count(row, 8)?,
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        integration: row.get(0)?,
        stage: stage(row, 1)?,
        replay: count(row, 2)?,
        release: row.get(3)?,
        started_at: time(row, 4)?,
        ended_at: time(row, 5)?,
        times: count(row, 6)?,
        result: row.get(7)?,
        code: row.get(8)?,
        detail: row.get(9)?,
        trace: json(row, 10)?,
    })
}

fn outcome(row: &Row<'_>) -> rusqlite::Result<OutcomeRow> {
    let receipt = match row.get_ref(6)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(json(row, 6)?),
    };
    Ok(OutcomeRow {
        integration: row.get(0)?,
        stage: stage(row, 1)?,
        replay: count(row, 2)?,
        outcome: word(row, 3, State::parse)?,
        code: row.get(4)?,
        detail: row.get(5)?,
        receipt,
        settled_at: time(row, 7)?,
    })
}
