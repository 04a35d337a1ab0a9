//! What becomes of a delivery after an attempt: [`settle`], and giving one back without: [`release`].

use rusqlite::OptionalExtension;

use super::failure::Done;
use super::outcome::{self, Died, End, Place};
use super::rows::{self, DeliveryRow, NewRow};
use super::writing::Writing;
use super::{accept, exchanges, key_value, lane, other_bodies};
use crate::clock::Timestamp;
use crate::crash_point::{CrashPoint, reached};
use crate::message::{Message, Outcome};
use crate::message_store::{Attempt, DeliveryId, Settle, Settlement, Stage, StoreError};

/// See [`crate::message_store::MessageStore::settle`].
pub(super) fn settle(writing: &mut Writing<'_>, settle: &Settle) -> Done<()> {
    let start = writing.end_lease(settle.delivery)?;
    let row = rows::delivery(writing, settle.delivery)?.ok_or(StoreError::NotLeased)?;
    record_attempt(writing, &row, settle)?;
    rows::track(writing, row.message, &settle.tracked)?;
    for write in &settle.key_values {
        key_value::write(writing, write)?;
    }
    for append in &settle.appends {
        accept::append(writing, append, settle.attempt.ended_at)?;
    }
    end(writing, &row, settle, start.at)
}

/// See [`crate::message_store::MessageStore::release`].
pub(super) fn release(writing: &mut Writing<'_>, delivery: DeliveryId) -> Done<()> {
    let start = writing.end_lease(delivery)?;
    let row = rows::delivery(writing, delivery)?.ok_or(StoreError::NotLeased)?;
    if start.noted {
        writing
            .connection
            .prepare_cached(
                "UPDATE delivery SET starts_unsettled = max(0, starts_unsettled - 1),
                        first_started_at = CASE WHEN ?2 THEN NULL ELSE first_started_at END WHERE id = ?1",
            )?
            .execute((delivery.0, start.first))?;
    }
    back_into_lane(writing, &row)
}

/// Out of flight: one that was replayed meanwhile and is older goes first. Whoever hands out is told.
fn back_into_lane(writing: &mut Writing<'_>, row: &DeliveryRow) -> Done<()> {
    if row.lane.is_some() {
        writing.connection.prepare_cached("UPDATE delivery SET state = 'behind' WHERE id = ?1")?.execute([row.id.0])?;
    } else {
        writing.ready(&row.integration, Timestamp(row.due_at));
    }
    lane::promote(writing, &row.integration, row.lane.as_deref())
}

fn end(writing: &mut Writing<'_>, row: &DeliveryRow, settle: &Settle, started_at: Timestamp) -> Done<()> {
    let attempt = &settle.attempt;
    let at = attempt.ended_at;
    let place = Place::from(row);
    let ended = |outcome| End { outcome, code: None, detail: None, receipt: None, at };
    match &settle.settlement {
        Settlement::Waits { due_at } => return wait(writing, row, attempt, *due_at, started_at),
        Settlement::Retries { due_at } => return retry(writing, row, attempt, *due_at, started_at),
        Settlement::Delivered { receipt } => {
            rows::delete_delivery(writing, row)?;
            let receipt = rows::to_json(receipt)?;
            outcome::record(writing, &place, &End { receipt: Some(&receipt), ..ended(Outcome::Delivered) })?;
        }
        Settlement::Skipped { code, detail } => {
            rows::delete_delivery(writing, row)?;
            let why = End { code: Some(code), detail: Some(detail), ..ended(Outcome::Skipped) };
            outcome::record(writing, &place, &why)?;
        }
        Settlement::FannedOut { children } => {
            rows::delete_delivery(writing, row)?;
            outcome::record(writing, &place, &ended(Outcome::FannedOut))?;
            replace(writing, row, children, at)?;
        }
        Settlement::DeadLettered { class, code, detail, fingerprint, stops_lane } => {
            match row.lane {
                Some(_) if *stops_lane => lane::stop(writing, row)?,
                _ => rows::delete_delivery(writing, row)?,
            }
            reached(CrashPoint::DeadLetter);
            // The attempt that killed it counts, unless it only waited.
            let attempts = row.attempts + i64::from(attempt.result == "failed");
            let died = Died { class: *class, code, detail, fingerprint, attempts, waits: row.waits, at };
            outcome::bury(writing, &place, &died)?;
        }
    }
    lane::promote(writing, &row.integration, row.lane.as_deref())
}

/// Children in the place of their parent, counted. One whose (derived) id is there already has had its delivery.
fn replace(writing: &mut Writing<'_>, parent: &DeliveryRow, children: &[Message], at: Timestamp) -> Done<()> {
    let mut made = 0;
    for (ordinal, child) in (0_i64..).zip(children) {
        let Some(message) = rows::insert_message(writing, child)? else { continue };
        let row = NewRow {
            integration: &parent.integration,
            message,
            stage: Stage::Sink,
            lane: parent.lane.as_deref(),
            origin: parent.origin,
            ordinal,
            // In a lane the promotion that follows says which one goes first.
            ready: parent.lane.is_none(),
            due_at: at,
            replay: parent.replay,
            ordering: parent.ordering,
            parent: Some(parent.message),
            fresh: None,
        };
        rows::insert_delivery(writing, &row)?;
        reached(CrashPoint::FanOut);
        made += 1;
    }
    rows::has_children(writing, parent.message, &parent.integration, made)
}

/// When it began to fail, moved later by the time it was due and was not handed out (its alias's gate was closed, the host was
/// down): only time in which attempts failed is held against it.
fn failing_since(row: &DeliveryRow, started_at: Timestamp) -> Option<i64> {
    let late_ms = i64::try_from(started_at.since(Timestamp(row.due_at)).as_millis()).unwrap_or(i64::MAX);
    row.failing_since.map(|since| since.saturating_add(late_ms))
}

/// The time until it is due again is not held against it either.
fn wait(writing: &mut Writing<'_>, row: &DeliveryRow, attempt: &Attempt, due_at: Timestamp, started_at: Timestamp) -> Done<()> {
    let waited_ms = i64::try_from(due_at.since(attempt.started_at).as_millis()).unwrap_or(i64::MAX);
    let failing_since = failing_since(row, started_at).map(|since| since.saturating_add(waited_ms));
    again(writing, row, (row.attempts, row.waits + 1), failing_since, due_at, started_at)
}

fn retry(writing: &mut Writing<'_>, row: &DeliveryRow, attempt: &Attempt, due_at: Timestamp, started_at: Timestamp) -> Done<()> {
    let failing_since = failing_since(row, started_at).unwrap_or(attempt.ended_at.0);
    again(writing, row, (row.attempts + 1, row.waits), Some(failing_since), due_at, started_at)
}

/// Out of flight, back into the lane: one that was replayed meanwhile and is older goes first.
fn again(
    writing: &mut Writing<'_>,
    row: &DeliveryRow,
    (attempts, waits): (i64, i64),
    failing_since: Option<i64>,
    due_at: Timestamp,
    started_at: Timestamp,
) -> Done<()> {
    let state = if row.lane.is_some() { "behind" } else { "ready" };
    writing
        .connection
        .prepare_cached(
            "UPDATE delivery SET state = ?2, due_at = ?3, attempts = ?4, waits = ?5, failing_since = ?6, starts_unsettled = 0,
                    first_started_at = coalesce(first_started_at, ?7) WHERE id = ?1",
        )?
        .execute((row.id.0, state, due_at.0, attempts, waits, failing_since, started_at.0))?;
    if row.lane.is_none() {
        writing.ready(&row.integration, due_at);
    }
    lane::promote(writing, &row.integration, row.lane.as_deref())
}

/// Waiting for the same reason again is counted, not listed: a target may be down for days. What was sent is the last one's, and so
/// one that sent something else is listed.
fn record_attempt(writing: &Writing<'_>, row: &DeliveryRow, settle: &Settle) -> Done<()> {
    let attempt = &settle.attempt;
    let trace = &*attempt.trace;
    if matches!(settle.settlement, Settlement::Waits { .. })
        && let Some((last, sent)) = same_wait(writing, row, attempt)?
        && (attempt.exchanges.is_empty() || !other_bodies::differ(&sent, trace))
    {
        writing
            .connection
            .prepare_cached("UPDATE attempt SET times = times + 1, ended_at = ?2, detail = ?3, trace = ?4 WHERE id = ?1")?
            .execute((last, attempt.ended_at.0, &attempt.detail, trace))?;
        return exchanges::replace(writing, last, &attempt.exchanges);
    }
    writing
        .connection
        .prepare_cached(
            "INSERT INTO attempt (message, integration, delivery, stage, replay, release, started_at, ended_at, result, code, detail, trace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute((
            row.message,
            &row.integration,
            row.id.0,
            row.stage.as_str(),
            row.replay,
            &attempt.release.0,
            attempt.started_at.0,
            attempt.ended_at.0,
            attempt.result,
            &attempt.code,
            &attempt.detail,
            trace,
        ))?;
    exchanges::keep(writing, writing.connection.last_insert_rowid(), &attempt.exchanges)
}

/// The delivery's last attempt and its trace, if it waited too, for the same reason and by the same release.
fn same_wait(writing: &Writing<'_>, row: &DeliveryRow, attempt: &Attempt) -> Done<Option<(i64, String)>> {
    if row.waits == 0 {
        return Ok(None);
    }
    let mut find = writing.connection.prepare_cached(
        "SELECT id, result = ?3 AND code IS ?4 AND release = ?5, trace FROM attempt
         WHERE message = ?1 AND delivery = ?2 ORDER BY id DESC LIMIT 1",
    )?;
    let last = find.query_row((row.message, row.id.0, attempt.result, &attempt.code, &attempt.release.0), |found| {
        Ok(if found.get(1)? { Some((found.get(0)?, found.get(2)?)) } else { None })
    });
    Ok(last.optional()?.flatten())
}
