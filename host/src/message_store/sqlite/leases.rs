//! Which deliveries are handed out: [`Leases`], in memory only, so that a crash gives all of them back.
//!
//! The rule that keeps a delivery from being handed out twice: a lease is found by a read that starts with the table
//! locked, and a lease ends only after the commit that settled it. So a delivery that is free in the table is read as
//! that commit left it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ready::{Fresh, Ready};
use crate::clock::Timestamp;
use crate::message_store::{DeliveryId, Lease};

/// What is handed out.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Table>);

/// The locked table.
#[derive(Debug, Default)]
pub(super) struct Table {
    held: HashMap<DeliveryId, Held>,
    by_integration: HashMap<String, usize>,
    /// Leased, and the start not noted in the database yet.
    unnoted: BTreeSet<DeliveryId>,
    /// What may be leased without a read.
    ready: Ready,
    interrupted_until: Option<DeliveryId>,
}

#[derive(Debug)]
struct Held {
    integration: String,
    start: Start,
    state: State,
}

/// How a delivery was handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub at: Timestamp,
    /// It was never handed out before.
    pub first: bool,
    /// The start is in the database, or in the group that is being committed.
    pub noted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Leased,
    /// A command of the group that is being committed ends it.
    Settling,
    /// Not leased, and not to be until the group is committed: a replay takes its place.
    Frozen,
}

impl Leases {
    /// Nothing is handed out. A host died while deliveries up to `interrupted_until` were there.
    pub(super) fn new(interrupted_until: Option<DeliveryId>) -> Self {
        Self(Mutex::new(Table { interrupted_until, ..Table::default() }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Whether `delivery` must not be handed out.
    pub(super) fn holds(&self, delivery: DeliveryId) -> bool {
        self.held.contains_key(&delivery)
    }

    /// How many deliveries of `integration` are held.
    pub(super) fn count(&self, integration: &str) -> usize {
        self.by_integration.get(integration).copied().unwrap_or(0)
    }

    /// Hands out `delivery`, which is not held.
    pub(super) fn lease(&mut self, delivery: DeliveryId, integration: &str, at: Timestamp, first: bool) {
        self.hold(delivery, integration, Start { at, first, noted: false }, State::Leased);
        self.unnoted.insert(delivery);
    }

    /// Hands out what has come and is due, up to `limit`; none where the database is to be asked.
    pub(super) fn lease_fresh(&mut self, lease: &Lease, limit: usize) -> Option<Vec<Fresh>> {
        let fresh = self.ready.take(&lease.integration, lease.now, limit, lease.bytes_max)?;
        for Fresh { id, .. } in &fresh {
            self.lease(*id, &lease.integration, lease.now, true);
        }
        Some(fresh)
    }

    /// A delivery that has just come may be handed out from memory, unless a read was faster.
    pub(super) fn came(&mut self, integration: &str, fresh: Fresh) {
        if !self.holds(fresh.id) {
            self.ready.came(integration, fresh);
        }
    }

    /// Deliveries up to this one may have been under way when a host died.
    pub(super) fn interrupted_until(&self) -> Option<DeliveryId> {
        self.interrupted_until
    }

    /// What is known of the deliveries that are ready.
    pub(super) fn ready(&mut self) -> &mut Ready {
        &mut self.ready
    }

    fn hold(&mut self, delivery: DeliveryId, integration: &str, start: Start, state: State) {
        let held = Held { integration: integration.to_owned(), start, state };
        if self.held.insert(delivery, held).is_none() {
            *self.by_integration.entry(integration.to_owned()).or_default() += 1;
        }
    }

    /// Starts ending a lease. None if it is not leased, or another command is ending it.
    pub(super) fn settling(&mut self, delivery: DeliveryId) -> Option<Start> {
        let held = self.held.get_mut(&delivery).filter(|held| held.state == State::Leased)?;
        held.state = State::Settling;
        self.unnoted.remove(&delivery);
        Some(held.start)
    }

    /// The lease goes on: what was to end it was rolled back.
    pub(super) fn unsettle(&mut self, delivery: DeliveryId) {
        if let Some(held) = self.held.get_mut(&delivery) {
            held.state = State::Leased;
            if !held.start.noted {
                self.unnoted.insert(delivery);
            }
        }
    }

    /// Keeps `delivery` from being handed out until [`Table::give_back`]. False if it is handed out.
    pub(super) fn freeze(&mut self, delivery: DeliveryId, integration: &str) -> bool {
        match self.held.get(&delivery) {
            Some(held) => held.state == State::Frozen,
            None => {
                // It may be among the fresh ones.
                self.ready.forget(integration);
                let start = Start { at: Timestamp(0), first: false, noted: true };
                self.hold(delivery, integration, start, State::Frozen);
                true
            }
        }
    }

    /// Nobody holds `delivery` any more, and it may be ready.
    pub(super) fn give_back(&mut self, delivery: DeliveryId) {
        if let Some(held) = self.held.get(&delivery) {
            self.ready.forget(&held.integration);
        }
        self.end(delivery);
    }

    /// Nobody holds `delivery` any more. If it is there still, whoever ends it has said when it is due.
    pub(super) fn end(&mut self, delivery: DeliveryId) {
        self.unnoted.remove(&delivery);
        let Some(held) = self.held.remove(&delivery) else { return };
        if let Some(count) = self.by_integration.get_mut(&held.integration) {
            *count -= 1;
            if *count == 0 {
                self.by_integration.remove(&held.integration);
            }
        }
    }

    /// Whether there are starts to be noted.
    pub(super) fn has_notes(&self) -> bool {
        !self.unnoted.is_empty()
    }

    /// Takes the starts that are to be noted with this group.
    pub(super) fn take_notes(&mut self) -> Vec<(DeliveryId, Timestamp)> {
        let mut notes = Vec::with_capacity(self.unnoted.len());
        for delivery in std::mem::take(&mut self.unnoted) {
            if let Some(held) = self.held.get_mut(&delivery) {
                held.start.noted = true;
                notes.push((delivery, held.start.at));
            }
        }
        notes
    }

    /// The group was rolled back: its notes are to be taken again.
    pub(super) fn give_notes_back(&mut self, notes: &[(DeliveryId, Timestamp)]) {
        for (delivery, _) in notes {
            if let Some(held) = self.held.get_mut(delivery) {
                held.start.noted = false;
                if held.state == State::Leased {
                    self.unnoted.insert(*delivery);
                }
            }
        }
    }
}
