//! Messages and deliveries as rows: how they are written and read back.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::barrier;
use super::failure::{Done, Failure};
use super::ready::Fresh;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message::{self, Key, Message, MessageId, Tracked};
use crate::message_store::{DeliveryId, Stage};
use crate::problem::{Code, Problem};

/// The columns [`message`] reads, of `message` as `m`.
pub(super) const MESSAGE_COLUMNS: &str = "m.id, m.parent, m.key, m.content_type, m.headers, m.tracked, m.origin, m.accepted_at, m.body";

/// A message from [`MESSAGE_COLUMNS`], which start at column `from`.
pub(super) fn message(row: &Row<'_>, from: usize) -> rusqlite::Result<Message> {
    Ok(Message {
        id: message_id(row, from)?,
        parent: maybe_message_id(row, from + 1)?,
        key: row.get::<_, Option<String>>(from + 2)?.map(Key),
        content_type: row.get(from + 3)?,
        headers: json(row, from + 4)?,
        tracked: json(row, from + 5)?,
        origin: row.get(from + 6)?,
        accepted_at: Timestamp(row.get(from + 7)?),
        body: Bytes::from(row.get::<_, Vec<u8>>(from + 8)?),
    })
}

pub(super) fn message_id(row: &Row<'_>, column: usize) -> rusqlite::Result<MessageId> {
    row.get::<_, [u8; 16]>(column).map(|bytes| MessageId(uuid::Uuid::from_bytes(bytes)))
}

pub(super) fn maybe_message_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<MessageId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(|bytes| MessageId(uuid::Uuid::from_bytes(bytes))))
}

/// A column that holds JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A count that a column holds as SQLite's signed number.
pub(super) fn count<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let value: i64 = row.get(column)?;
    T::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// JSON for a column.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Done<String> {
    serde_json::to_string(value).map_err(|error| {
        let problem = Problem::new(Code::Internal, format!("a value cannot be written as JSON: {error}")).fix("report this");
        Failure::Refused(crate::message_store::StoreError::Failed(problem))
    })
}

/// Inserts a message and gives its seq; none if its id is there already.
pub(super) fn insert_message(writing: &Writing<'_>, message: &Message) -> Done<Option<i64>> {
    let inserted = writing
        .connection
        .prepare_cached(
            "INSERT INTO message (id, parent, key, content_type, headers, tracked, origin, accepted_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
        )?
        .execute((
            message.id.0.as_bytes(),
            message.parent.as_ref().map(|parent| parent.0.as_bytes()),
            message.key.as_ref().map(|key| &key.0),
            &message.content_type,
            to_json(&message.headers)?,
            to_json(&message.tracked)?,
            &message.origin,
            message.accepted_at.0,
            &message.body[..],
        ))?;
    if inserted == 0 {
        return Ok(None);
    }
    let seq = writing.connection.last_insert_rowid();
    // Nothing is known of it yet.
    track_beyond(writing, seq, Vec::new(), &message.tracked)?;
    Ok(Some(seq))
}

/// Makes a message findable by values that it is not by yet, up to the limits of [`message::track`].
pub(super) fn track(writing: &Writing<'_>, message: i64, more: &[Tracked]) -> Done<()> {
    if more.is_empty() {
        return Ok(());
    }
    let known = tracked(writing.connection, message)?;
    track_beyond(writing, message, known, more)
}

fn track_beyond(writing: &Writing<'_>, message: i64, mut known: Vec<Tracked>, more: &[Tracked]) -> Done<()> {
    let before = known.len();
    message::track(&mut known, more.iter().cloned());
    let mut insert = writing.connection.prepare_cached("INSERT INTO tracked (name, value, message) VALUES (?1, ?2, ?3)")?;
    for tracked in known.iter().skip(before) {
        insert.execute((&tracked.name, &tracked.value, message))?;
    }
    Ok(())
}

/// The values a message is found by, by name.
pub(super) fn tracked(connection: &Connection, message: i64) -> Done<Vec<Tracked>> {
    let mut find = connection.prepare_cached("SELECT name, value FROM tracked WHERE message = ?1 ORDER BY name, value")?;
    let found = find.query_map([message], |row| Ok(Tracked { name: row.get(0)?, value: row.get(1)? }))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The seq of a message that must be there.
pub(super) fn seq_of(writing: &Writing<'_>, id: MessageId) -> Done<Option<i64>> {
    let mut find = writing.connection.prepare_cached("SELECT seq FROM message WHERE id = ?1")?;
    Ok(find.query_row([id.0.as_bytes()], |row| row.get(0)).optional()?)
}

/// A delivery that is not settled.
#[derive(Debug)]
pub(super) struct DeliveryRow {
    pub id: DeliveryId,
    pub integration: String,
    pub message: i64,
    pub stage: Stage,
    pub lane: Option<String>,
    pub origin: i64,
    pub ordinal: i64,
    pub attempts: i64,
    pub waits: i64,
    pub replay: i64,
    pub failing_since: Option<i64>,
    pub due_at: i64,
    pub ordering: i64,
}

/// The delivery of `id`.
pub(super) fn delivery(writing: &Writing<'_>, id: DeliveryId) -> Done<Option<DeliveryRow>> {
    let mut find = writing.connection.prepare_cached(
        "SELECT integration, message, stage, lane, origin, ordinal, attempts, waits, replay, failing_since, due_at, ordering
         FROM delivery WHERE id = ?1",
    )?;
    let found = find.query_row([id.0], |row| {
        Ok(DeliveryRow {
            id,
            integration: row.get(0)?,
            message: row.get(1)?,
            stage: stage(row, 2)?,
            lane: row.get(3)?,
            origin: row.get(4)?,
            ordinal: row.get(5)?,
            attempts: row.get(6)?,
            waits: row.get(7)?,
            replay: row.get(8)?,
            failing_since: row.get(9)?,
            due_at: row.get(10)?,
            ordering: row.get(11)?,
        })
    });
    Ok(found.optional()?)
}

/// A delivery to be inserted.
pub(super) struct NewRow<'a> {
    pub integration: &'a str,
    pub message: i64,
    pub stage: Stage,
    pub lane: Option<&'a str>,
    pub origin: i64,
    pub ordinal: i64,
    pub ready: bool,
    pub due_at: Timestamp,
    pub replay: i64,
    /// Which rule put it in order.
    pub ordering: i64,
    /// The seq of the message its message was made from by a fan-out. How a message stands keeps the first that is given.
    pub parent: Option<i64>,
    /// The message of one that is due at once, at its first step.
    pub fresh: Option<&'a Arc<Message>>,
}

/// Inserts a delivery; its message now waits.
pub(super) fn insert_delivery(writing: &mut Writing<'_>, row: &NewRow<'_>) -> Done<DeliveryId> {
    writing
        .connection
        .prepare_cached(
            "INSERT INTO delivery (integration, message, stage, lane, origin, ordinal, state, due_at, replay, ordering)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            row.integration,
            row.message,
            row.stage.as_str(),
            row.lane,
            row.origin,
            row.ordinal,
            if row.ready { "ready" } else { "behind" },
            row.due_at.0,
            row.replay,
            row.ordering,
        ))?;
    let id = DeliveryId(writing.connection.last_insert_rowid());
    writing.came(row.integration);
    stands(writing, row.message, row.integration, "waiting", row.parent)?;
    match row.fresh {
        Some(message) if row.ready => {
            writing.fresh(row.integration, Fresh { id, message: Arc::clone(message), due_at: row.due_at });
        }
        None if row.ready => writing.ready(row.integration, row.due_at),
        _ => {}
    }
    Ok(id)
}

/// Takes a settled delivery away.
pub(super) fn delete_delivery(writing: &mut Writing<'_>, row: &DeliveryRow) -> Done<()> {
    writing.connection.prepare_cached("DELETE FROM delivery WHERE id = ?1")?.execute([row.id.0])?;
    writing.went(&row.integration);
    barrier::lift_where_done(writing, &row.integration)
}

/// How `message` stands with `integration`; of a child, which does not change, the message it was made from.
pub(super) fn stands(writing: &Writing<'_>, message: i64, integration: &str, state: &str, parent: Option<i64>) -> Done<()> {
    writing
        .connection
        .prepare_cached(
            "INSERT INTO standing (message, integration, state, parent) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (message, integration) DO UPDATE SET state = excluded.state",
        )?
        .execute((message, integration, state, parent))?;
    Ok(())
}

/// The seq of the message that `integration` made `message` from by a fan-out.
pub(super) fn fanned_out_from(writing: &Writing<'_>, message: i64, integration: &str) -> Done<Option<i64>> {
    let mut find = writing.connection.prepare_cached("SELECT parent FROM standing WHERE message = ?1 AND integration = ?2")?;
    Ok(find.query_row((message, integration), |row| row.get(0)).optional()?.flatten())
}

/// That `integration` made so many children of `message`.
pub(super) fn has_children(writing: &Writing<'_>, message: i64, integration: &str, children: i64) -> Done<()> {
    writing
        .connection
        .prepare_cached("UPDATE standing SET children = children + ?3 WHERE message = ?1 AND integration = ?2")?
        .execute((message, integration, children))?;
    Ok(())
}

pub(super) fn stage(row: &Row<'_>, column: usize) -> rusqlite::Result<Stage> {
    Ok(if row.get_ref(column)?.as_str()? == Stage::Sink.as_str() { Stage::Sink } else { Stage::Steps })
}
