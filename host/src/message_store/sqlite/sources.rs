//! Where sources that the host asks itself go on: [`advance`], and what is known of them.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::failure::Done;
use super::writing::Writing;
use super::{accept, key_value, rows};
use crate::clock::Timestamp;
use crate::message::{Message, MessageId};
use crate::message_store::{Advance, Advanced, Dedup, NewDelivery, SourceResult, SourceState};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const STATE: &str = "cursor, due_at, asked_at, result, code, detail, items, fresh";

/// See [`crate::message_store::MessageStore::advance`].
pub(super) fn advance(writing: &mut Writing<'_>, advance: &Advance) -> Done<Advanced> {
    let before = state(writing.connection, &advance.integration, &advance.source)?;
    if before.and_then(|state| state.cursor) != advance.from {
        return Ok(Advanced::Moved);
    }
    let brings = !advance.found.is_empty();
    let most = advance.waiting_max;
    if brings && (writing.waiting(&advance.integration) >= most.integration || writing.waiting_in_all() >= most.host) {
        return Ok(Advanced::Full);
    }
    if brings || !advance.appends.is_empty() {
        writing.refuse_when_the_files_are_gone()?;
        writing.refuse_when_the_disk_is_low()?;
    }
    let mut fresh = Vec::new();
    for (message, delivery) in &advance.found {
        fresh.extend(take(writing, message, delivery, advance.now)?);
    }
    for write in &advance.key_values {
        key_value::write(writing, write)?;
    }
    for append in &advance.appends {
        accept::append(writing, append, advance.now)?;
    }
    put(writing, advance, fresh.len())?;
    Ok(Advanced::Done(fresh))
}

/// The message's id if it was new. The record of one that was not is remembered for longer: what is found again and again stays known.
fn take(writing: &mut Writing<'_>, message: &Arc<Message>, delivery: &NewDelivery, now: Timestamp) -> Done<Option<MessageId>> {
    let record = delivery.record.as_ref();
    if accept::seen(writing, record, now)?.is_some() {
        remember_longer(writing, record)?;
        return Ok(None);
    }
    let Some(seq) = rows::insert_message(writing, message)? else { return Ok(None) };
    accept::remember(writing, record, message.id, now)?;
    accept::deliver(writing, seq, delivery, Some(message), now)?;
    Ok(Some(message.id))
}

/// Once a day is enough: a sweep that finds thousands again does not write them all at each round.
fn remember_longer(writing: &Writing<'_>, record: Option<&Dedup>) -> Done<()> {
    let Some(record) = record else { return Ok(()) };
    writing
        .connection
        .prepare_cached("UPDATE dedup SET expires_at = ?3 WHERE scope = ?1 AND token = ?2 AND expires_at < ?3 - ?4")?
        .execute((&record.scope, &record.token, record.expires_at.0, DAY_MS))?;
    Ok(())
}

fn put(writing: &Writing<'_>, advance: &Advance, fresh: usize) -> Done<()> {
    let SourceState { cursor, due_at, last } = &advance.to;
    writing
        .connection
        .prepare_cached(
            "INSERT OR REPLACE INTO source (integration, source, cursor, due_at, asked_at, result, code, detail, items, fresh)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            &advance.integration,
            &advance.source,
            cursor,
            due_at.0,
            last.at.0,
            &last.result,
            &last.code,
            &last.detail,
            i64::try_from(last.items).unwrap_or(i64::MAX),
            i64::try_from(fresh).unwrap_or(i64::MAX),
        ))?;
    Ok(())
}

/// What is known of a source.
pub(super) fn state(connection: &Connection, integration: &str, source: &str) -> Done<Option<SourceState>> {
    let mut find = connection.prepare_cached(&format!("SELECT {STATE} FROM source WHERE integration = ?1 AND source = ?2"))?;
    Ok(find.query_row([integration, source], |row| read(row, 0)).optional()?)
}

/// Every source that was ever asked, with its integration and its name.
pub(super) fn all(connection: &Connection) -> Done<Vec<(String, String, SourceState)>> {
    let mut find = connection.prepare_cached(&format!("SELECT integration, source, {STATE} FROM source"))?;
    let found = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?, read(row, 2)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<SourceState> {
    Ok(SourceState {
        cursor: row.get(first)?,
        due_at: Timestamp(row.get(first + 1)?),
        last: SourceResult {
            at: Timestamp(row.get(first + 2)?),
            result: row.get(first + 3)?,
            code: row.get(first + 4)?,
            detail: row.get(first + 5)?,
            items: rows::count(row, first + 6)?,
            fresh: rows::count(row, first + 7)?,
        },
    })
}
