//! Lists of messages: [`find`]. Each kind of question is led by the index that answers it.

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::rows::{MessageRow, StandingRow, State};
use super::{MessageQuery, ROWS_MAX, page, time, word};
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::rows::{count, message_id};

/// Messages are almost in order of their time of acceptance; a search by time goes this much further back than asked.
const DISORDER_MS: i64 = 60_000;

/// The columns of [`row`], of `message` as `m`.
const COLUMNS: &str = "m.seq, m.id, m.parent, m.key, m.origin, m.content_type, octet_length(m.body), m.accepted_at";

/// Messages, newest first.
pub(super) fn find(connection: &Connection, query: &MessageQuery) -> Done<Vec<MessageRow>> {
    if query.key.is_none() && query.tracked.is_none() && (query.integration.is_some() || query.state.is_some()) {
        return by_standing(connection, query);
    }
    let (sql, values) = statement(query);
    let mut found = Vec::new();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while found.len() < query.limit.min(ROWS_MAX)
        && let Some(next) = rows.next()?
    {
        let accepted_at: i64 = next.get(7)?;
        match query.since {
            Some(since) if accepted_at < since.0.saturating_sub(DISORDER_MS) => break,
            Some(since) if accepted_at < since.0 => {}
            _ => found.push(row(next)?),
        }
    }
    with_standings(connection, found)
}

/// Children of a message, in the order in which they were made.
pub(super) fn children(connection: &Connection, parent: &[u8; 16]) -> Done<Vec<MessageRow>> {
    let sql = format!("SELECT {COLUMNS} FROM message m WHERE m.parent = ?1 ORDER BY m.seq LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map((parent, page(ROWS_MAX)), row)?.collect::<Result<_, _>>()?;
    with_standings(connection, found)
}

/// One message.
pub(super) fn one(connection: &Connection, seq: i64) -> Done<Option<MessageRow>> {
    let sql = format!("SELECT {COLUMNS} FROM message m WHERE m.seq = ?1");
    let found = connection.prepare_cached(&sql)?.query_map([seq], row)?.collect::<Result<_, _>>()?;
    Ok(with_standings(connection, found)?.pop())
}

/// A question led by tracked value, key, or nothing.
fn statement(query: &MessageQuery) -> (String, Vec<Value>) {
    let mut values = vec![Value::Integer(query.before_seq.unwrap_or(i64::MAX))];
    let mut sql = format!("SELECT {COLUMNS} FROM message m");
    // CROSS JOIN keeps the order of the tables: the tracked value leads.
    let mut seq = "m.seq";
    if let Some((name, value)) = &query.tracked {
        values.extend([Value::Text(name.clone()), Value::Text(value.clone())]);
        sql = format!("SELECT {COLUMNS} FROM tracked t CROSS JOIN message m ON m.seq = t.message AND t.name = ?2 AND t.value = ?3");
        seq = "t.message";
    }
    let _ = write!(sql, " WHERE {seq} < ?1");
    let mut bind = |sql: &mut String, clause: &str, value: String| {
        values.push(Value::Text(value));
        let _ = write!(sql, "{clause} ?{}", values.len());
    };
    if let Some(key) = &query.key {
        bind(&mut sql, " AND m.key =", key.clone());
    }
    if query.integration.is_some() || query.state.is_some() {
        sql.push_str(" AND EXISTS (SELECT 1 FROM standing s WHERE s.message = m.seq");
        if let Some(integration) = &query.integration {
            bind(&mut sql, " AND s.integration =", integration.clone());
        }
        if let Some(state) = query.state {
            bind(&mut sql, " AND s.state =", state.as_str().to_owned());
        }
        sql.push(')');
    }
    let _ = write!(sql, " ORDER BY {seq} DESC");
    (sql, values)
}

/// A question led by how messages stand: the newest of every integration and state that is meant, merged.
fn by_standing(connection: &Connection, query: &MessageQuery) -> Done<Vec<MessageRow>> {
    let integrations = match &query.integration {
        Some(integration) => vec![integration.clone()],
        None => integrations(connection)?,
    };
    let states = query.state.as_ref().map_or(State::ALL, std::slice::from_ref);
    let before = query.before_seq.unwrap_or(i64::MAX);
    let mut find = connection.prepare_cached(
        "SELECT message FROM standing WHERE integration = ?1 AND state = ?2 AND message < ?3 ORDER BY message DESC LIMIT ?4",
    )?;
    let mut seqs = Vec::new();
    for integration in &integrations {
        for state in states {
            let found = find.query_map((integration, state.as_str(), before, page(query.limit)), |row| row.get::<_, i64>(0))?;
            seqs.extend(found.collect::<Result<Vec<_>, _>>()?);
        }
    }
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.dedup();
    seqs.truncate(query.limit.min(ROWS_MAX));
    let sql = format!("SELECT {COLUMNS} FROM message m WHERE m.seq = ?1 AND m.accepted_at >= ?2");
    let mut load = connection.prepare_cached(&sql)?;
    let since = query.since.map_or(i64::MIN, |since| since.0);
    let mut found = Vec::new();
    for seq in seqs {
        found.extend(load.query_map((seq, since), row)?.collect::<Result<Vec<_>, _>>()?);
    }
    with_standings(connection, found)
}

/// The integrations that have read anything, found by leaping through the index.
fn integrations(connection: &Connection) -> Done<Vec<String>> {
    let mut next = connection.prepare_cached("SELECT min(integration) FROM standing WHERE integration > ?1")?;
    let mut found = Vec::new();
    let mut last = String::new();
    while let Some(integration) = next.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
        found.push(integration.clone());
        last = integration;
    }
    Ok(found)
}

/// A row of [`COLUMNS`], without standings.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        seq: row.get(0)?,
        id: message_id(row, 1)?,
        parent: row.get::<_, Option<[u8; 16]>>(2)?.map(|bytes| crate::message::MessageId(uuid::Uuid::from_bytes(bytes))),
        key: row.get(3)?,
        origin: row.get(4)?,
        content_type: row.get(5)?,
        body_bytes: count(row, 6)?,
        accepted_at: time(row, 7)?,
        integrations: Vec::new(),
    })
}

fn with_standings(connection: &Connection, mut messages: Vec<MessageRow>) -> Done<Vec<MessageRow>> {
    for message in &mut messages {
        message.integrations = standings(connection, message)?;
    }
    Ok(messages)
}

/// How a message stands with all that read it; where it was fanned out, its children say.
fn standings(connection: &Connection, message: &MessageRow) -> Done<Vec<StandingRow>> {
    let mut find = connection.prepare_cached("SELECT integration, state FROM standing WHERE message = ?1 ORDER BY integration")?;
    let stored =
        find.query_map([message.seq], |row| Ok((row.get::<_, String>(0)?, word(row, 1, State::parse)?)))?.collect::<Result<Vec<_>, _>>()?;
    let mut standings = Vec::with_capacity(stored.len());
    for (integration, state) in stored {
        if state != State::FannedOut {
            standings.push(StandingRow { integration, state, children: 0 });
            continue;
        }
        let children = children_states(connection, message, &integration)?;
        let total = children.iter().map(|(_, many)| many).sum();
        let state = State::roll_up(children.into_iter().map(|(state, _)| state));
        standings.push(StandingRow { integration, state, children: total });
    }
    Ok(standings)
}

/// How many children stand how.
fn children_states(connection: &Connection, parent: &MessageRow, integration: &str) -> Done<Vec<(State, u64)>> {
    let mut find = connection.prepare_cached(
        "SELECT s.state, count(*) FROM message m CROSS JOIN standing s ON s.message = m.seq AND s.integration = ?2
         WHERE m.parent = ?1 GROUP BY s.state",
    )?;
    let found = find.query_map((parent.id.0.as_bytes(), integration), |row| Ok((word(row, 0, State::parse)?, count(row, 1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}
