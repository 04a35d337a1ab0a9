//! The deliveries of the store in memory, found by what is asked of them: [`Queue`]. Every change goes through it.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Delivery, Place};
use crate::clock::Timestamp;
use crate::message_store::DeliveryId;

/// Origin, ordinal, id: the order of a lane.
type Age = (usize, usize, DeliveryId);

#[derive(Default)]
pub(super) struct Queue {
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// Those that can be handed out, by integration.
    free: BTreeMap<String, BTreeSet<(Timestamp, Age)>>,
    /// By integration and lane.
    lanes: BTreeMap<(String, String), Lane>,
    waiting: BTreeMap<String, usize>,
    last: i64,
}

#[derive(Default)]
struct Lane {
    ages: BTreeSet<Age>,
    /// The one that can be handed out, or is.
    ready: Option<DeliveryId>,
}

impl Queue {
    pub(super) fn insert(&mut self, delivery: Delivery) {
        self.last += 1;
        let id = DeliveryId(self.last);
        *self.waiting.entry(delivery.place.integration.clone()).or_default() += 1;
        if let Some(lane) = lane_of(&delivery.place) {
            self.lanes.entry(lane).or_default().ages.insert(age(id, &delivery.place));
        }
        self.deliveries.insert(id, delivery);
        self.index(id);
    }

    pub(super) fn remove(&mut self, id: DeliveryId) {
        self.unindex(id);
        let Some(delivery) = self.deliveries.remove(&id) else { return };
        if let Some(waiting) = self.waiting.get_mut(&delivery.place.integration)
            && !delivery.stopped
        {
            *waiting -= 1;
        }
        let Some(lane) = lane_of(&delivery.place) else { return };
        if let Some(Lane { ages, ready }) = self.lanes.get_mut(&lane) {
            ages.remove(&age(id, &delivery.place));
            *ready = ready.filter(|ready| *ready != id);
            if ages.is_empty() {
                self.lanes.remove(&lane);
            }
        }
    }

    /// Leaves a delivery in its lane, where nothing goes past it; it waits no more.
    pub(super) fn stop(&mut self, id: DeliveryId) {
        let stopped = self.change(id, |delivery| {
            (delivery.ready, delivery.stopped) = (false, true);
            delivery.place.integration.clone()
        });
        if let Some(waiting) = stopped.and_then(|integration| self.waiting.get_mut(&integration)) {
            *waiting -= 1;
        }
    }

    pub(super) fn get(&self, id: DeliveryId) -> Option<&Delivery> {
        self.deliveries.get(&id)
    }

    /// Changes a delivery, in everything but its place.
    pub(super) fn change<T>(&mut self, id: DeliveryId, change: impl FnOnce(&mut Delivery) -> T) -> Option<T> {
        self.unindex(id);
        let changed = self.deliveries.get_mut(&id).map(change);
        self.index(id);
        changed
    }

    /// All of them.
    pub(super) fn ids(&self) -> Vec<DeliveryId> {
        self.deliveries.keys().copied().collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.values().sum()
    }

    /// How many `integration` has.
    pub(super) fn waiting(&self, integration: &str) -> usize {
        self.waiting.get(integration).copied().unwrap_or(0)
    }

    /// The first of `integration` that can be handed out by `now`.
    pub(super) fn due(&self, integration: &str, now: Timestamp, limit: usize) -> Vec<DeliveryId> {
        let free = self.free.get(integration).into_iter().flatten();
        free.take_while(|(due_at, _)| *due_at <= now).take(limit).map(|(_, (.., id))| *id).collect()
    }

    /// When the first of `integration` can be handed out.
    pub(super) fn next_due(&self, integration: &str) -> Option<Timestamp> {
        self.free.get(integration)?.first().map(|(due_at, _)| *due_at)
    }

    /// The deliveries of the lane of `place`, in order.
    pub(super) fn lane(&self, place: &Place) -> impl Iterator<Item = DeliveryId> {
        let lane = lane_of(place).and_then(|lane| self.lanes.get(&lane));
        lane.into_iter().flat_map(|lane| &lane.ages).map(|(.., id)| *id)
    }

    /// The one of the lane of `place` that can be handed out, or is.
    pub(super) fn ready(&self, place: &Place) -> Option<DeliveryId> {
        self.lanes.get(&lane_of(place)?)?.ready
    }

    fn unindex(&mut self, id: DeliveryId) {
        let Some(delivery) = self.deliveries.get(&id) else { return };
        if let Some(free) = self.free.get_mut(&delivery.place.integration) {
            free.remove(&(delivery.due_at, age(id, &delivery.place)));
        }
    }

    fn index(&mut self, id: DeliveryId) {
        if let Some(delivery) = self.deliveries.get(&id)
            && let Some(lane) = lane_of(&delivery.place).and_then(|lane| self.lanes.get_mut(&lane))
        {
            lane.ready = if delivery.ready { Some(id) } else { lane.ready.filter(|ready| *ready != id) };
        }
        let Some(delivery) = self.deliveries.get(&id).filter(|delivery| delivery.ready && delivery.leased.is_none()) else { return };
        let entry = (delivery.due_at, age(id, &delivery.place));
        match self.free.get_mut(&delivery.place.integration) {
            Some(free) => drop(free.insert(entry)),
            None => drop(self.free.insert(delivery.place.integration.clone(), BTreeSet::from([entry]))),
        }
    }
}

fn age(id: DeliveryId, place: &Place) -> Age {
    (place.origin, place.ordinal, id)
}

fn lane_of(place: &Place) -> Option<(String, String)> {
    Some((place.integration.clone(), place.lane.clone()?))
}
