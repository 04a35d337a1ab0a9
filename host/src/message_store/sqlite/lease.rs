//! Handing out what is due: [`hand_out`], on a connection that only reads.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::failure::{Done, Failure};
use super::leases::{Leases, Table};
use super::ready::{Fresh, NEVER};
use super::rows::{self, MESSAGE_COLUMNS, count};
use crate::clock::Timestamp;
use crate::message_store::{DeliveryId, Lease, Leased, Stage, StoreError};
use crate::problem::{Code, Problem};

/// Deliveries handed out by one call at most.
const LEASE_MAX: usize = 256;

/// Leases on their way to whoever asked. Dropped before they get there, they end.
pub(super) struct HandedOut {
    leases: Arc<Leases>,
    ids: Vec<DeliveryId>,
    leased: Vec<Leased>,
}

impl HandedOut {
    /// They have arrived.
    pub(super) fn take(mut self) -> Vec<Leased> {
        self.ids.clear();
        std::mem::take(&mut self.leased)
    }
}

impl Drop for HandedOut {
    fn drop(&mut self) {
        let mut table = self.leases.lock();
        for id in &self.ids {
            table.give_back(*id);
        }
    }
}

/// What is due and free, oldest first. `connection` must not be in a transaction: see [`Leases`].
pub(super) fn hand_out(connection: &Connection, leases: &Arc<Leases>, lease: &Lease) -> Done<HandedOut> {
    let mut out = HandedOut { leases: Arc::clone(leases), ids: Vec::new(), leased: Vec::new() };
    let picked = pick(connection, &mut out, lease)?;
    for due in picked {
        out.leased.push(load(connection, due, lease)?);
    }
    Ok(out)
}

struct Due {
    id: DeliveryId,
    message: i64,
    leased: Fields,
}

/// Leases what came and is known to be all that is due; none where [`hand_out`] is to be asked.
pub(super) fn hand_out_from_memory(leases: &Leases, lease: &Lease) -> Option<Vec<Leased>> {
    let fresh = leases.lock().lease_fresh(lease, lease.limit.min(LEASE_MAX))?;
    Some(fresh.into_iter().map(|fresh| first_start(fresh, lease)).collect())
}

/// One that was never handed out before.
fn first_start(fresh: Fresh, lease: &Lease) -> Leased {
    Leased {
        id: fresh.id,
        integration: lease.integration.clone(),
        message: fresh.message,
        stage: Stage::Steps,
        attempts: 0,
        waits: 0,
        replay: 0,
        first_started_at: lease.now,
        failing_since: None,
        unsettled_starts: 0,
        may_repeat: false,
    }
}

/// What is copied from the row.
struct Fields {
    stage: crate::message_store::Stage,
    attempts: u32,
    waits: u32,
    replay: u32,
    unsettled_starts: u32,
    may_repeat: bool,
    first_started_at: Option<i64>,
    failing_since: Option<i64>,
    due_at: i64,
}

/// Finds and leases, with the table locked before the read begins.
fn pick(connection: &Connection, out: &mut HandedOut, lease: &Lease) -> Done<Vec<Due>> {
    let limit = lease.limit.min(LEASE_MAX);
    let (mut picked, mut bytes) = (Vec::new(), 0_usize);
    let has_all = |picked: &Vec<Due>, bytes| picked.len() == limit || bytes >= lease.bytes_max;
    let leases = Arc::clone(&out.leases);
    let mut table = leases.lock();
    // Those that are leased are ready in the database too, and at most so many.
    let rows_max = i64::try_from(limit.saturating_add(table.count(&lease.integration))).unwrap_or(i64::MAX);
    let mut find = connection.prepare_cached(
        "SELECT id, message, stage, attempts, waits, replay, starts_unsettled, first_started_at, failing_since, due_at FROM delivery
         WHERE state = 'ready' AND integration = ?1 AND due_at <= ?2 ORDER BY due_at, origin, ordinal LIMIT ?3",
    )?;
    let mut found = find.query((&lease.integration, lease.now.0, rows_max))?;
    while let Some(row) = found.next()? {
        let id = DeliveryId(row.get(0)?);
        if has_all(&picked, bytes) {
            break;
        }
        if table.holds(id) {
            continue;
        }
        let unsettled_starts = count(row, 6)?;
        let leased = Fields {
            stage: rows::stage(row, 2)?,
            attempts: count(row, 3)?,
            waits: count(row, 4)?,
            replay: count(row, 5)?,
            unsettled_starts,
            // A start is noted a moment after it: of a host that died, what was there then may have been started all the same.
            may_repeat: unsettled_starts > 0 || Some(id) <= table.interrupted_until(),
            first_started_at: row.get(7)?,
            failing_since: row.get(8)?,
            due_at: row.get(9)?,
        };
        let message = row.get(1)?;
        if lease.bytes_max < usize::MAX {
            bytes = bytes.saturating_add(body_bytes(connection, message)?);
        }
        table.lease(id, &lease.integration, lease.now, leased.first_started_at.is_none());
        out.ids.push(id);
        picked.push(Due { id, message, leased });
    }
    drop(found);
    if has_all(&picked, bytes) {
        // There may be more.
        table.ready().forget(&lease.integration);
    } else {
        let until = first_due(connection, &table, &lease.integration)?.unwrap_or(NEVER);
        table.ready().know(&lease.integration, until);
    }
    Ok(picked)
}

/// How large the body of a message is, without loading it.
fn body_bytes(connection: &Connection, message: i64) -> Done<usize> {
    let mut find = connection.prepare_cached("SELECT length(body) FROM message WHERE seq = ?1")?;
    let bytes: Option<i64> = find.query_row([message], |row| row.get(0)).optional()?;
    Ok(bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0))
}

/// The message of a delivery that is leased: nothing of either changes now.
fn load(connection: &Connection, due: Due, lease: &Lease) -> Done<Leased> {
    let sql = format!("SELECT {MESSAGE_COLUMNS} FROM message m WHERE m.seq = ?1");
    let mut find = connection.prepare_cached(&sql)?;
    let message = find.query_row([due.message], |row| rows::message(row, 0)).optional()?.ok_or_else(|| gone(due.id))?;
    Ok(Leased {
        id: due.id,
        integration: lease.integration.clone(),
        message: Arc::new(message),
        stage: due.leased.stage,
        attempts: due.leased.attempts,
        waits: due.leased.waits,
        replay: due.leased.replay,
        first_started_at: due.leased.first_started_at.map_or(lease.now, Timestamp),
        failing_since: due.leased.failing_since.map(|since| Timestamp(since).plus(lease.now.since(Timestamp(due.leased.due_at)))),
        unsettled_starts: due.leased.unsettled_starts,
        may_repeat: due.leased.may_repeat,
    })
}

fn gone(id: DeliveryId) -> Failure {
    let problem = Problem::new(Code::StoreDamaged, format!("delivery {} has no message", id.0))
        .fix("keep a copy of the data folder and restore the last backup");
    Failure::Refused(StoreError::Failed(problem))
}

/// When the next delivery is due, as far as memory knows; none where [`next_due`] is to be asked.
pub(super) fn next_due_from_memory(leases: &Leases, integration: &str) -> Option<Option<Timestamp>> {
    let due_at = leases.lock().ready().next_due(integration)?;
    Some((due_at != NEVER).then_some(due_at))
}

/// See [`crate::message_store::MessageStore::next_due`].
pub(super) fn next_due(connection: &Connection, leases: &Leases, integration: &str) -> Done<Option<Timestamp>> {
    first_due(connection, &leases.lock(), integration)
}

/// When the first delivery is due that is not handed out.
fn first_due(connection: &Connection, table: &Table, integration: &str) -> Done<Option<Timestamp>> {
    let rows_max = i64::try_from(table.count(integration)).unwrap_or(i64::MAX).saturating_add(1);
    let mut find = connection.prepare_cached(
        "SELECT id, due_at FROM delivery WHERE state = 'ready' AND integration = ?1 ORDER BY due_at, origin, ordinal LIMIT ?2",
    )?;
    let mut found = find.query((integration, rows_max))?;
    while let Some(row) = found.next()? {
        if !table.holds(DeliveryId(row.get(0)?)) {
            return Ok(Some(Timestamp(row.get(1)?)));
        }
    }
    Ok(None)
}
