//! What people do with dead letters: [`replay`], as they are or edited, and [`discard`].

use rusqlite::{OptionalExtension, Row};

use super::failure::Done;
use super::outcome::{self, End, Place};
use super::rows::{self, NewRow};
use super::writing::Writing;
use super::{lane, open_letters, retirements};
use crate::clock::Timestamp;
use crate::message::{MessageId, Outcome};
use crate::message_store::{
    ClosedLetter, DeadLetterId, Discard, Edit, NEWER_COUNTED_MAX, Replay, Replayed, SUPERSEDED, Stage, StoreError, Superseded,
};
use crate::problem::{Code, Problem};

/// See [`crate::message_store::MessageStore::replay`].
pub(super) fn replay(writing: &mut Writing<'_>, replay: &Replay) -> Done<Replayed> {
    let letter = open(writing, replay.dead_letter)?;
    if retirements::is_retired(writing, &letter.integration)? {
        return Err(StoreError::Retired(letter.integration).into());
    }
    let lane = replay.edit.as_ref().map_or(&letter.lane, |edit| &edit.lane).as_deref();
    let newer = newer_than(writing, &letter, lane)?;
    match replay.superseded {
        Superseded::Ask if newer > 0 => return Ok(Replayed::Superseded(newer)),
        Superseded::Skip if newer > 0 => {
            give_up(writing, replay.dead_letter, &letter, SUPERSEDED, replay.now)?;
            return Ok(Replayed::Skipped);
        }
        _ => {}
    }
    let (message, parent) = match &replay.edit {
        Some(edit) => put_in_place(writing, replay, &letter, edit)?,
        None => {
            close(writing, replay.dead_letter, &letter, &Closing { status: "replayed", reason: None, edited_as: None, at: replay.now })?;
            (letter.message, None)
        }
    };
    let number = number_after(letter.replay);
    let row = NewRow {
        integration: &letter.integration,
        message,
        stage: letter.stage,
        lane,
        origin: letter.origin,
        ordinal: letter.ordinal,
        ready: lane.is_none(),
        due_at: replay.due_at,
        replay: i64::from(number),
        // People have it go now, whatever is behind a barrier.
        ordering: 0,
        parent,
        fresh: None,
    };
    rows::insert_delivery(writing, &row)?;
    lane::arrange(writing, &letter.integration, lane)?;
    // Now that the replay stands where the dead letter stood, or in the lane of its new key.
    lane::free(writing, &letter.place())?;
    Ok(Replayed::Queued(number))
}

/// Stores the edited message; the original ends with the reason and the edited one's id. Gives where the edited one is, and where
/// the message is that the original was made from, if a fan-out made it.
fn put_in_place(writing: &mut Writing<'_>, replay: &Replay, letter: &Letter, edit: &Edit) -> Done<(i64, Option<i64>)> {
    writing.refuse_when_the_disk_is_low()?;
    let id = edit.message.id;
    let there = || Problem::new(Code::Internal, format!("an edited message has the id {id} of another one")).fix("report this");
    let message = rows::insert_message(writing, &edit.message)?.ok_or_else(|| StoreError::Failed(there()))?;
    let closing = Closing { status: "replayed", reason: Some(&edit.reason), edited_as: Some(id), at: replay.now };
    close(writing, replay.dead_letter, letter, &closing)?;
    let receipt = rows::to_json(&serde_json::json!({ "message": id }))?;
    let end = End { outcome: Outcome::Edited, code: None, detail: Some(&edit.reason), receipt: Some(&receipt), at: replay.now };
    outcome::record(writing, &letter.place(), &end)?;
    Ok((message, rows::fanned_out_from(writing, letter.message, &letter.integration)?))
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

impl Letter {
    fn place(&self) -> Place<'_> {
        Place {
            integration: &self.integration,
            message: self.message,
            stage: self.stage,
            lane: self.lane.as_deref(),
            origin: self.origin,
            ordinal: self.ordinal,
            replay: self.replay,
        }
    }
}

/// A dead letter nobody has replayed or discarded. Whoever comes second is told what the first one did.
fn open(writing: &Writing<'_>, id: DeadLetterId) -> Done<Letter> {
    let mut find = writing.connection.prepare_cached(
        "SELECT integration, message, stage, lane, origin, ordinal, replay, fingerprint, status, closed_at, reason, edited_as
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

/// What became of a dead letter that died in its `replay`-th replay; its status, time, reason and edited message are in columns 8 to 11.
fn closed(row: &Row<'_>, replay: i64) -> rusqlite::Result<Option<ClosedLetter>> {
    let at = Timestamp(row.get::<_, Option<i64>>(9)?.unwrap_or_default());
    Ok(match row.get_ref(8)?.as_str()? {
        "open" => None,
        "replayed" => Some(ClosedLetter::Replayed { at, replay: number_after(replay), edited_as: rows::maybe_message_id(row, 11)? }),
        _ => Some(ClosedLetter::Discarded { at, reason: row.get::<_, Option<String>>(10)?.unwrap_or_default() }),
    })
}

/// The number of the replay after the `replay`-th.
fn number_after(replay: i64) -> u32 {
    u32::try_from(replay).unwrap_or(u32::MAX).saturating_add(1)
}

/// Messages of `lane` that are newer and were delivered, or had nothing to deliver. A busy key has millions: they are not all counted.
fn newer_than(writing: &Writing<'_>, letter: &Letter, lane: Option<&str>) -> Done<u64> {
    let Some(lane) = lane else { return Ok(0) };
    let mut count = writing.connection.prepare_cached(
        "SELECT count(DISTINCT origin) FROM
            (SELECT origin FROM outcome
             WHERE integration = ?1 AND lane = ?2 AND origin > ?3 AND lane IS NOT NULL AND outcome IN ('delivered', 'skipped') LIMIT ?4)",
    )?;
    Ok(count.query_row((&letter.integration, lane, letter.origin, NEWER_COUNTED_MAX), |row| rows::count(row, 0))?)
}

fn give_up(writing: &mut Writing<'_>, id: DeadLetterId, letter: &Letter, reason: &str, at: Timestamp) -> Done<()> {
    close(writing, id, letter, &Closing { status: "discarded", reason: Some(reason), edited_as: None, at })?;
    let end = End { outcome: Outcome::Discarded, code: None, detail: Some(reason), receipt: None, at };
    outcome::record(writing, &letter.place(), &end)?;
    lane::free(writing, &letter.place())
}

/// What became of a dead letter.
struct Closing<'a> {
    status: &'static str,
    reason: Option<&'a str>,
    edited_as: Option<MessageId>,
    at: Timestamp,
}

fn close(writing: &Writing<'_>, id: DeadLetterId, letter: &Letter, closing: &Closing<'_>) -> Done<()> {
    let edited_as = closing.edited_as.as_ref().map(|id| id.0.as_bytes());
    writing
        .connection
        .prepare_cached("UPDATE dead_letter SET status = ?2, reason = ?3, closed_at = ?4, edited_as = ?5 WHERE id = ?1")?
        .execute((id.0, closing.status, closing.reason, closing.at.0, edited_as))?;
    open_letters::went(writing, &letter.integration, &letter.fingerprint)
}
