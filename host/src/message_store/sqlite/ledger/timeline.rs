//! One message and all that happened to it: [`find`]; the bodies of an attempt's requests: [`exchanges`].

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::rows::{AttemptRow, ExchangeRow, KeptRow, OutcomeRow, State, Timeline, WaitingRow};
use super::{Body, CHILDREN_SHOWN_MAX, TimelineQuery, dead_letters, messages, page, prepared, time, word};
use crate::message::MessageId;
use crate::message_store::sqlite::exchanges::ids;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::other_bodies;
use crate::message_store::sqlite::rows::{count, json, stage};
use crate::message_store::{AttemptId, DeliveryId};

/// Attempts and outcomes shown at once, the newest.
const ENTRIES_MAX: usize = 200;
/// Bytes of traces shown at once. A plugin that sends thousands of requests an attempt makes long ones.
const TRACES_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) fn find(connection: &Connection, query: &TimelineQuery) -> Done<Option<Timeline>> {
    let Some(seq) = seq(connection, query.id)? else { return Ok(None) };
    let Some(message) = messages::one(connection, seq)? else { return Ok(None) };
    // A body that is not asked for is not read. Of an empty one `substr` makes NULL.
    let whole = "SELECT headers, CASE WHEN ?2 > 0 THEN ifnull(substr(body, 1, ?2), x'') ELSE x'' END FROM message WHERE seq = ?1";
    let mut whole = prepared(connection, whole)?;
    let most = i64::try_from(query.body_bytes_max).unwrap_or(i64::MAX);
    let (headers, body) = whole.query_row((seq, most), |row| Ok((json(row, 0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let body_truncated = u64::try_from(body.len()).unwrap_or(u64::MAX) < message.body_bytes;
    let (attempts, earlier_attempts) = attempts(connection, seq, query.attempts_before)?;
    let (children, more_children) = messages::children(connection, query.id, CHILDREN_SHOWN_MAX)?;
    Ok(Some(Timeline {
        message,
        headers,
        body: Body::of(body, body_truncated),
        body_truncated,
        waiting: list(prepared(connection, WAITING)?, seq, waiting)?,
        attempts,
        earlier_attempts,
        outcomes: list(prepared(connection, OUTCOMES)?, seq, outcome)?,
        dead_letters: dead_letters::of_message(connection, seq)?,
        children,
        more_children,
    }))
}

/// All of a message's body, with its content type.
pub(super) fn body(connection: &Connection, id: MessageId) -> Done<Option<(String, Bytes)>> {
    let mut find = prepared(connection, "SELECT content_type, body FROM message WHERE id = ?1")?;
    Ok(find.query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?.into()))).optional()?)
}

/// What the requests of an attempt of this message sent and were answered, in the order of its trace; none if it has no such attempt.
pub(super) fn exchanges(connection: &Connection, id: MessageId, attempt: AttemptId) -> Done<Option<Vec<ExchangeRow>>> {
    let Some(seq) = seq(connection, id)? else { return Ok(None) };
    let mut own = prepared(connection, "SELECT 1 FROM attempt WHERE id = ?1 AND message = ?2")?;
    if !own.exists((attempt.0, seq))? {
        return Ok(None);
    }
    let mut find = prepared(
        connection,
        "SELECT sent_type, sent_bytes, sent, answer_type, answer_bytes, answer FROM exchange WHERE id >= ?1 AND id < ?2 ORDER BY id",
    )?;
    let all = ids(attempt.0);
    Ok(Some(find.query_map((all.start, all.end), exchange)?.collect::<Result<_, _>>()?))
}

fn seq(connection: &Connection, id: MessageId) -> Done<Option<i64>> {
    let mut find = prepared(connection, "SELECT seq FROM message WHERE id = ?1")?;
    Ok(find.query_row([id.0.as_bytes()], |row| row.get(0)).optional()?)
}

const WAITING: &str = "SELECT d.id, d.integration, d.stage, d.lane, d.state = 'behind', d.due_at, d.attempts, d.waits, d.replay
    FROM standing s CROSS JOIN delivery d ON d.integration = s.integration AND d.message = s.message
    WHERE s.message = ?1 AND d.state <> 'stopped' ORDER BY d.id LIMIT ?2";
const ATTEMPTS: &str = "SELECT id, integration, stage, replay, release, started_at, ended_at, times, result, code, detail, trace,
        octet_length(trace)
    FROM attempt WHERE message = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
/// Of more than fit, the newest.
const OUTCOMES: &str = "SELECT integration, stage, replay, outcome, code, detail, receipt, settled_at
    FROM (SELECT * FROM outcome WHERE message = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id";

fn list<T>(mut find: CachedStatement<'_>, seq: i64, read: fn(&Row<'_>) -> rusqlite::Result<T>) -> Done<Vec<T>> {
    Ok(find.query_map((seq, page(ENTRIES_MAX)), read)?.collect::<Result<_, _>>()?)
}

/// The newest attempts before `before`, oldest first; and before which there are more.
fn attempts(connection: &Connection, seq: i64, before: Option<AttemptId>) -> Done<(Vec<AttemptRow>, Option<AttemptId>)> {
    let mut find = prepared(connection, ATTEMPTS)?;
    let before = before.map_or(i64::MAX, |before| before.0);
    let mut rows = find.query((seq, before, page(ENTRIES_MAX) + 1))?;
    let (mut found, mut bytes) = (Vec::<AttemptRow>::new(), 0);
    let mut earlier = None;
    while let Some(row) = rows.next()? {
        bytes += count::<usize>(row, 12)?;
        if let Some(last) = found.last()
            && (found.len() >= ENTRIES_MAX || bytes > TRACES_BYTES_MAX)
        {
            earlier = Some(last.id);
            break;
        }
        found.push(attempt(row)?);
    }
    found.reverse();
    other_bodies::mark(found.iter_mut().map(|attempt| &mut attempt.trace));
    Ok((found, earlier))
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
        id: AttemptId(row.get(0)?),
        integration: row.get(1)?,
        stage: stage(row, 2)?,
        replay: count(row, 3)?,
        release: row.get(4)?,
        started_at: time(row, 5)?,
        ended_at: time(row, 6)?,
        times: count(row, 7)?,
        result: row.get(8)?,
        code: row.get(9)?,
        detail: row.get(10)?,
        trace: json(row, 11)?,
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

fn exchange(row: &Row<'_>) -> rusqlite::Result<ExchangeRow> {
    let answered = row.get::<_, Option<i64>>(4)?.is_some();
    Ok(ExchangeRow { sent: kept(row, 0)?, answer: if answered { Some(kept(row, 3)?) } else { None } })
}

/// A kept body: content type, length and beginning from column `from` on.
fn kept(row: &Row<'_>, from: usize) -> rusqlite::Result<KeptRow> {
    let bytes: u64 = count(row, from + 1)?;
    let beginning: Vec<u8> = row.get(from + 2)?;
    let truncated = u64::try_from(beginning.len()).unwrap_or(u64::MAX) < bytes;
    Ok(KeptRow { content_type: row.get(from)?, bytes, body: Body::of(beginning, truncated), truncated })
}
