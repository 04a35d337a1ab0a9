//! What people do with dead letters: [`replay`] and [`discard`].

use rusqlite::OptionalExtension;

use super::failure::Done;
use super::lane;
use super::outcome::{self, End, Place};
use super::rows::{self, NewRow};
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message::Outcome;
use crate::message_store::{DeadLetterId, Discard, Replay, Replayed, Stage, StoreError, Superseded};

/// What a discard by [`Superseded::Skip`] gives as its reason.
pub(super) const SUPERSEDED: &str = "superseded";

/// See [`crate::message_store::MessageStore::replay`].
pub(super) fn replay(writing: &mut Writing<'_>, replay: &Replay) -> Done<Replayed> {
    let letter = open(writing, replay.dead_letter)?;
    let newer = newer_than(writing, &letter)?;
    match replay.superseded {
        Superseded::Ask if newer > 0 => return Ok(Replayed::Superseded(newer)),
        Superseded::Skip if newer > 0 => {
            give_up(writing, replay.dead_letter, &letter, SUPERSEDED, replay.now)?;
            return Ok(Replayed::Skipped);
        }
        _ => {}
    }
    close(writing, replay.dead_letter, "replayed", None, replay.now)?;
    let number = letter.replay + 1;
    let row = NewRow {
        integration: &letter.integration,
        message: letter.message,
        stage: letter.stage,
        lane: letter.lane.as_deref(),
        origin: letter.origin,
        ordinal: letter.ordinal,
        ready: letter.lane.is_none(),
        due_at: replay.now,
        replay: number,
    };
    rows::insert_delivery(writing, &row)?;
    lane::arrange(writing, &letter.integration, letter.lane.as_deref())?;
    Ok(Replayed::Queued(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// See [`crate::message_store::MessageStore::discard`].
pub(super) fn discard(writing: &mut Writing<'_>, discard: &Discard) -> Done<()> {
    let letter = open(writing, discard.dead_letter)?;
    give_up(writing, discard.dead_letter, &letter, &discard.reason, discard.now)
}

struct Letter {
    integration: String,
    message: i64,
    stage: Stage,
    lane: Option<String>,
    origin: i64,
    ordinal: i64,
    replay: i64,
}

/// A dead letter nobody has replayed or discarded.
fn open(writing: &Writing<'_>, id: DeadLetterId) -> Done<Letter> {
    let mut find = writing.connection.prepare_cached(
        "SELECT integration, message, stage, lane, origin, ordinal, replay FROM dead_letter WHERE id = ?1 AND status = 'open'",
    )?;
    let found = find.query_row([id.0], |row| {
        Ok(Letter {
            integration: row.get(0)?,
            message: row.get(1)?,
            stage: rows::stage(row, 2)?,
            lane: row.get(3)?,
            origin: row.get(4)?,
            ordinal: row.get(5)?,
            replay: row.get(6)?,
        })
    });
    Ok(found.optional()?.ok_or(StoreError::NoSuchDeadLetter)?)
}

/// Messages of the lane that are newer and were delivered, or had nothing to deliver.
fn newer_than(writing: &Writing<'_>, letter: &Letter) -> Done<u64> {
    let Some(lane) = &letter.lane else { return Ok(0) };
    let mut count = writing.connection.prepare_cached(
        "SELECT count(DISTINCT origin) FROM outcome
         WHERE integration = ?1 AND lane = ?2 AND origin > ?3 AND lane IS NOT NULL AND outcome IN ('delivered', 'skipped')",
    )?;
    Ok(count.query_row((&letter.integration, lane, letter.origin), |row| rows::count(row, 0))?)
}

fn give_up(writing: &Writing<'_>, id: DeadLetterId, letter: &Letter, reason: &str, at: Timestamp) -> Done<()> {
    close(writing, id, "discarded", Some(reason), at)?;
    let place = Place {
        integration: &letter.integration,
        message: letter.message,
        stage: letter.stage,
        lane: letter.lane.as_deref(),
        origin: letter.origin,
        ordinal: letter.ordinal,
        replay: letter.replay,
    };
    let end = End { outcome: Outcome::Discarded, code: None, detail: Some(reason), receipt: None, at };
    outcome::record(writing, &place, &end)
}

fn close(writing: &Writing<'_>, id: DeadLetterId, status: &str, reason: Option<&str>, at: Timestamp) -> Done<()> {
    writing
        .connection
        .prepare_cached("UPDATE dead_letter SET status = ?2, reason = ?3, closed_at = ?4 WHERE id = ?1")?
        .execute((id.0, status, reason, at.0))?;
    Ok(())
}
