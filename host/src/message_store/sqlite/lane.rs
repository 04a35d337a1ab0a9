//! Order: of a lane's deliveries one is ready, the first by age; the others are behind it. Where the first is `stopped`, the dead
//! letter of a strict lane, none is ready until a person has closed it.
//!
//! A lane's ready delivery may be in flight. Then it stays the ready one, whatever comes before it in the meantime.

use rusqlite::OptionalExtension;

use super::barrier;
use super::failure::Done;
use super::outcome::Place;
use super::rows::DeliveryRow;
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message_store::DeliveryId;

/// Whether the lane has a delivery of the rules up to `going`.
pub(super) fn is_taken(writing: &Writing<'_>, integration: &str, lane: &str, going: i64) -> Done<bool> {
    let mut find =
        writing.connection.prepare_cached("SELECT 1 FROM delivery WHERE integration = ?1 AND lane = ?2 AND ordering <= ?3 LIMIT 1")?;
    Ok(find.exists((integration, lane, going))?)
}

/// Makes the first of the lane ready, where none is.
pub(super) fn promote(writing: &mut Writing<'_>, integration: &str, lane: Option<&str>) -> Done<()> {
    let Some(lane) = lane else { return Ok(()) };
    match first(writing, integration, lane)? {
        Some(first) if first.behind => set_ready(writing, &first, integration),
        _ => Ok(()),
    }
}

/// Puts the lane in order after a delivery came that may be older than those there.
pub(super) fn arrange(writing: &mut Writing<'_>, integration: &str, lane: Option<&str>) -> Done<()> {
    let Some(lane) = lane else { return Ok(()) };
    match ready(writing, integration, lane)? {
        None => promote(writing, integration, Some(lane)),
        Some(ready) => {
            let Some(first) = first(writing, integration, lane)? else { return Ok(()) };
            // One that is in flight keeps its place.
            if !first.behind || !writing.freeze(ready, integration) {
                return Ok(());
            }
            set_state(writing, ready, "behind")?;
            set_ready(writing, &first, integration)
        }
    }
}

/// The first of a lane.
struct First {
    id: DeliveryId,
    behind: bool,
    due_at: Timestamp,
}

fn first(writing: &Writing<'_>, integration: &str, lane: &str) -> Done<Option<First>> {
    let mut find = writing.connection.prepare_cached(
        "SELECT id, state = 'behind', due_at FROM delivery WHERE integration = ?1 AND lane = ?2 AND ordering <= ?3
         ORDER BY origin, ordinal, id LIMIT 1",
    )?;
    let found = find.query_row((integration, lane, barrier::going(writing, integration)?), |row| {
        Ok(First { id: DeliveryId(row.get(0)?), behind: row.get(1)?, due_at: Timestamp(row.get(2)?) })
    });
    Ok(found.optional()?)
}

/// Leaves a delivery that was parked in its lane, so that nothing behind it goes.
pub(super) fn stop(writing: &mut Writing<'_>, delivery: &DeliveryRow) -> Done<()> {
    set_state(writing, delivery.id, "stopped")?;
    writing.went(&delivery.integration);
    barrier::lift_where_done(writing, &delivery.integration)
}

/// The dead letter at `place` is closed: if its delivery stopped the lane, it does no more.
pub(super) fn free(writing: &mut Writing<'_>, place: &Place<'_>) -> Done<()> {
    let Some(lane) = place.lane else { return Ok(()) };
    let freed = writing
        .connection
        .prepare_cached(
            "DELETE FROM delivery WHERE integration = ?1 AND lane = ?2 AND origin = ?3 AND ordinal = ?4 AND message = ?5 AND +state = 'stopped'",
        )?
        .execute((place.integration, lane, place.origin, place.ordinal, place.message))?;
    if freed > 0 { arrange(writing, place.integration, Some(lane)) } else { Ok(()) }
}

/// Frees lanes that dead letters stopped in an integration that does not order strictly any more, at most `limit`; how many there were.
pub(super) fn free_all(writing: &mut Writing<'_>, integration: &str, limit: i64) -> Done<usize> {
    let mut find =
        writing.connection.prepare_cached("SELECT id, lane FROM delivery WHERE state = 'stopped' AND integration = ?1 LIMIT ?2")?;
    let stopped = find.query_map((integration, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let stopped: Vec<(i64, Option<String>)> = stopped.collect::<Result<_, _>>()?;
    for (id, lane) in &stopped {
        writing.connection.prepare_cached("DELETE FROM delivery WHERE id = ?1")?.execute([id])?;
        arrange(writing, integration, lane.as_deref())?;
    }
    Ok(stopped.len())
}

fn ready(writing: &Writing<'_>, integration: &str, lane: &str) -> Done<Option<DeliveryId>> {
    let mut find =
        writing.connection.prepare_cached("SELECT id FROM delivery WHERE integration = ?1 AND lane = ?2 AND +state = 'ready' LIMIT 1")?;
    Ok(find.query_row((integration, lane), |row| Ok(DeliveryId(row.get(0)?))).optional()?)
}

fn set_ready(writing: &mut Writing<'_>, first: &First, integration: &str) -> Done<()> {
    set_state(writing, first.id, "ready")?;
    writing.ready(integration, first.due_at);
    Ok(())
}

fn set_state(writing: &Writing<'_>, delivery: DeliveryId, state: &str) -> Done<()> {
    writing.connection.prepare_cached("UPDATE delivery SET state = ?2 WHERE id = ?1")?.execute((delivery.0, state))?;
    Ok(())
}
