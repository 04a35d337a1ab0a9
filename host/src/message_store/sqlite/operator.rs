//! What people do with dead letters: [`replay`] and [`discard`].

use rusqlite::{OptionalExtension, Row};

use super::failure::Done;
use super::outcome::{self, End, Place};
use super::rows::{self, NewRow};
use super::writing::Writing;
use super::{lane, open_letters};
use crate::clock::Timestamp;
use crate::message::Outcome;
use crate::message_store::{
    ClosedLetter, DeadLetterId, Discard, NEWER_COUNTED_MAX, Replay, Replayed, SUPERSEDED, Stage, StoreError, Superseded,
};

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
    close(writing, replay.dead_letter, &letter, "replayed", None, replay.now)?;
    let number = number_after(letter.replay);
    let row = NewRow {
        integration: &letter.integration,
        message: letter.message,
        stage: letter.stage,
        lane: letter.lane.as_deref(),
        origin: letter.origin,
        ordinal: letter.ordinal,
        ready: letter.lane.is_none(),
        due_at: replay.now,
        replay: i64::from(number),
        fresh: None,
    };
    rows::insert_delivery(writing, &row)?;
    lane::arrange(writing, &letter.integration, letter.lane.as_deref())?;
    Ok(Replayed::Queued(number))
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
    fingerprint: String,
}

/// A dead letter nobody has replayed or discarded. Whoever comes second is told what the first one did.
fn open(writing: &Writing<'_>, id: DeadLetterId) -> Done<Letter> {
    let mut find = writing.connection.prepare_cached(
        "SELECT integration, message, stage, lane, origin, ordinal, replay, fingerprint, status, closed_at, reason
         FROM dead_letter WHERE id = ?1",
    )?;
    let found = find.query_row([id.0], |row| {
        let letter = Letter {
            integration: row.get(0)?,
            message: row.get(1)?,
            stage: rows::stage(row, 2)?,
            lane: row.get(3)?,
            origin: row.get(4)?,
            ordinal: row.get(5)?,
            replay: row.get(6)?,
            fingerprint: row.get(7)?,
        };
        Ok(match closed(row, letter.replay)? {
            None => Ok(letter),
            Some(closed) => Err(StoreError::NotOpen(closed)),
        })
    });
    Ok(found.optional()?.unwrap_or(Err(StoreError::NoSuchDeadLetter))?)
}

/// What became of a dead letter that died in its `replay`-th replay; its status, time and reason are in columns 8 to 10.
fn closed(row: &Row<'_>, replay: i64) -> rusqlite::Result<Option<ClosedLetter>> {
    let at = Timestamp(row.get::<_, Option<i64>>(9)?.unwrap_or_default());
    Ok(match row.get_ref(8)?.as_str()? {
        "open" => None,
        "replayed" => Some(ClosedLetter::Replayed { at, replay: number_after(replay) }),
        _ => Some(ClosedLetter::Discarded { at, reason: row.get::<_, Option<String>>(10)?.unwrap_or_default() }),
    })
}

/// The number of the replay after the `replay`-th.
fn number_after(replay: i64) -> u32 {
    u32::try_from(replay).unwrap_or(u32::MAX).saturating_add(1)
}

/// Messages of the lane that are newer and were delivered, or had nothing to deliver. A busy key has millions: they are not all counted.
fn newer_than(writing: &Writing<'_>, letter: &Letter) -> Done<u64> {
    let Some(lane) = &letter.lane else { return Ok(0) };
    let mut count = writing.connection.prepare_cached(
        "SELECT count(DISTINCT origin) FROM
            (SELECT origin FROM outcome
             WHERE integration = ?1 AND lane = ?2 AND origin > ?3 AND lane IS NOT NULL AND outcome IN ('delivered', 'skipped') LIMIT ?4)",
    )?;
    Ok(count.query_row((&letter.integration, lane, letter.origin, NEWER_COUNTED_MAX), |row| rows::count(row, 0))?)
}

fn give_up(writing: &Writing<'_>, id: DeadLetterId, letter: &Letter, reason: &str, at: Timestamp) -> Done<()> {
    close(writing, id, letter, "discarded", Some(reason), at)?;
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

fn close(writing: &Writing<'_>, id: DeadLetterId, letter: &Letter, status: &str, reason: Option<&str>, at: Timestamp) -> Done<()> {
    writing
        .connection
        .prepare_cached("UPDATE dead_letter SET status = ?2, reason = ?3, closed_at = ?4 WHERE id = ?1")?
        .execute((id.0, status, reason, at.0))?;
    open_letters::went(writing, &letter.integration, &letter.fingerprint)
}
