//! What the store in memory holds, and what each method does with it: [`Memory`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::queue::Queue;
use crate::clock::Timestamp;
use crate::message::{self, FailureClass, Message, MessageId, Outcome, Tracked};
use crate::message_store::{
    Accept, Accepted, Advance, Advanced, Append, AppendedMessage, ClosedLetter, DeadLetterId, Dedup, DeliveryId, KeyValueWrite, Lane,
    Lease, Leased, NEWER_COUNTED_MAX, NewDelivery, Replay, Replayed, SUPERSEDED, Settle, Settlement, SourceState, Stage, StoreError,
    Superseded, unkeyed_fingerprint,
};

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub integration: String,
    pub message: MessageId,
    pub outcome: Outcome,
    pub replay: u32,
    lane: Option<String>,
    origin: usize,
}

/// A dead letter. It is open until it is replayed or discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: DeadLetterId,
    pub message: MessageId,
    pub class: FailureClass,
    pub code: String,
    pub detail: String,
    pub fingerprint: String,
    /// What people did about it; none while it is open.
    pub closed: Option<ClosedLetter>,
    place: Place,
}

impl DeadLetter {
    /// Whose delivery it was.
    pub fn integration(&self) -> &str {
        &self.place.integration
    }

    /// The replay in which it died.
    pub fn replay(&self) -> u32 {
        self.place.replay
    }
}

/// Where a delivery stands. `message` and `origin` are places in [`Memory::messages`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) integration: String,
    pub(super) message: usize,
    pub(super) stage: Stage,
    pub(super) lane: Option<String>,
    pub(super) origin: usize,
    pub(super) ordinal: usize,
    pub(super) replay: u32,
}

pub(super) struct Delivery {
    pub(super) place: Place,
    pub(super) ready: bool,
    /// The dead letter of a strict lane: nothing behind it goes.
    pub(super) stopped: bool,
    pub(super) due_at: Timestamp,
    pub(super) attempts: u32,
    pub(super) waits: u32,
    pub(super) unsettled_starts: u32,
    pub(super) first_started_at: Option<Timestamp>,
    pub(super) failing_since: Option<Timestamp>,
    pub(super) leased: Option<Started>,
}

#[derive(Clone, Copy)]
pub(super) struct Started {
    pub(super) first: bool,
    /// When it began to fail, as the lease says.
    failing_since: Option<Timestamp>,
}

pub(super) type Value = (Vec<u8>, Option<Timestamp>);

#[derive(Default)]
pub(super) struct Memory {
    pub(super) messages: Vec<Arc<Message>>,
    pub(super) by_id: HashMap<MessageId, usize>,
    pub(super) dedup: HashMap<(String, [u8; 32]), (MessageId, Timestamp)>,
    pub(super) deliveries: Queue,
    pub(super) outcomes: Vec<Ended>,
    pub(super) dead_letters: Vec<DeadLetter>,
    pub(super) key_values: BTreeMap<(String, String), Value>,
    /// Bytes of keys and values, by integration.
    pub(super) key_values_used: HashMap<String, u64>,
    pub(super) tracked: HashMap<usize, Vec<Tracked>>,
    pub(super) sources: BTreeMap<(String, String), SourceState>,
    pub(super) wakes: BTreeSet<String>,
}

impl Memory {
    pub(super) fn accept(&mut self, accept: Accept) -> Accepted {
        let at = accept.message.accepted_at;
        if let Some(first) = self.seen(accept.dedup.as_ref(), at) {
            return Accepted::Duplicate(first);
        }
        let (known, deliveries): (Vec<_>, Vec<_>) =
            accept.deliveries.into_iter().partition(|delivery| self.seen(delivery.record.as_ref(), at).is_some());
        if deliveries.is_empty()
            && let Some(first) = known.first().and_then(|delivery| self.seen(delivery.record.as_ref(), at))
        {
            return Accepted::Duplicate(first);
        }
        for delivery in &deliveries {
            let same = |integration: &str| integration == delivery.integration;
            let coming = deliveries.iter().filter(|other| same(&other.integration) && !matches!(other.lane, Lane::Unkeyed(_)));
            let (coming, waiting) = (coming.count(), self.deliveries.waiting(&delivery.integration));
            if coming > 0 && u64::try_from(coming + waiting).unwrap_or(u64::MAX) > accept.waiting_max.integration {
                return Accepted::Full(delivery.integration.clone());
            }
        }
        let coming = deliveries.iter().filter(|delivery| !matches!(delivery.lane, Lane::Unkeyed(_))).count();
        if coming > 0 && u64::try_from(coming + self.deliveries.len()).unwrap_or(u64::MAX) > accept.waiting_max.host {
            return Accepted::HostFull;
        }
        let id = accept.message.id;
        let Some(seq) = self.insert(accept.message) else { return Accepted::Duplicate(id) };
        self.remember(accept.dedup, id);
        for delivery in deliveries {
            self.remember(delivery.record.clone(), id);
            self.deliver(seq, delivery);
        }
        let known: Vec<String> = known.into_iter().map(|delivery| delivery.integration).collect();
        if known.is_empty() { Accepted::New } else { Accepted::Partly(known) }
    }

    pub(super) fn advance(&mut self, advance: Advance) -> Advanced {
        let name = (advance.integration.clone(), advance.source);
        if self.sources.get(&name).and_then(|state| state.cursor.clone()) != advance.from {
            return Advanced::Moved;
        }
        let (own, all) = (self.deliveries.waiting(&advance.integration), self.deliveries.len());
        let is_full = own as u64 >= advance.waiting_max.integration || all as u64 >= advance.waiting_max.host;
        if is_full && !advance.found.is_empty() {
            return Advanced::Full;
        }
        let mut fresh = Vec::new();
        for (message, delivery) in advance.found {
            if let Some(first) = self.seen(delivery.record.as_ref(), advance.now) {
                self.remember(delivery.record, first);
                continue;
            }
            let id = message.id;
            let Some(seq) = self.insert(message) else { continue };
            fresh.push(id);
            self.remember(delivery.record.clone(), id);
            self.deliver(seq, delivery);
        }
        for write in advance.key_values {
            self.write(write);
        }
        for append in advance.appends {
            self.append(append, advance.now);
        }
        let mut state = advance.to;
        state.last.fresh = u64::try_from(fresh.len()).unwrap_or(u64::MAX);
        self.sources.insert(name, state);
        Advanced::Done(fresh)
    }

    fn append(&mut self, append: Append, at: Timestamp) {
        if self.seen(append.dedup.as_ref(), at).is_some() {
            return;
        }
        let (id, seq) = match append.message {
            AppendedMessage::New(message) => (message.id, self.insert(message)),
            AppendedMessage::Existing(id) => (id, self.by_id.get(&id).copied()),
        };
        let Some(seq) = seq else { return };
        self.remember(append.dedup, id);
        for delivery in append.deliveries {
            self.deliver(seq, delivery);
        }
    }

    fn seen(&self, dedup: Option<&Dedup>, at: Timestamp) -> Option<MessageId> {
        let dedup = dedup?;
        let (first, expires_at) = self.dedup.get(&(dedup.scope.clone(), dedup.token))?;
        (*expires_at > at).then_some(*first)
    }

    fn remember(&mut self, dedup: Option<Dedup>, id: MessageId) {
        if let Some(dedup) = dedup {
            self.dedup.insert((dedup.scope, dedup.token), (id, dedup.expires_at));
        }
    }

    /// Where the message is now; none if its id is there already.
    fn insert(&mut self, message: Arc<Message>) -> Option<usize> {
        if self.by_id.contains_key(&message.id) {
            return None;
        }
        let seq = self.messages.len();
        self.by_id.insert(message.id, seq);
        self.track(seq, message.tracked.clone());
        self.messages.push(message);
        Some(seq)
    }

    fn deliver(&mut self, message: usize, delivery: NewDelivery) {
        let (lane, unkeyed) = match delivery.lane {
            Lane::Free => (None, None),
            Lane::Key(key) => (Some(key), None),
            Lane::Unkeyed(detail) => (None, Some(detail)),
        };
        let integration = delivery.integration;
        let place = Place { integration, message, stage: Stage::Steps, lane, origin: message, ordinal: 0, replay: 0 };
        if let Some(detail) = unkeyed {
            let class = FailureClass::Unkeyed;
            let fingerprint = unkeyed_fingerprint(&place.integration);
            self.bury(place, class, class.as_str().to_owned(), detail, fingerprint);
        } else {
            let ready = self.deliveries.lane(&place).next().is_none();
            self.stand(place, ready, delivery.due_at);
        }
    }

    fn stand(&mut self, place: Place, ready: bool, due_at: Timestamp) {
        if ready {
            self.wakes.insert(place.integration.clone());
        }
        self.deliveries.insert(Delivery {
            place,
            ready,
            stopped: false,
            due_at,
            attempts: 0,
            waits: 0,
            unsettled_starts: 0,
            first_started_at: None,
            failing_since: None,
            leased: None,
        });
    }

    /// The first of the lane is ready, the others are behind it; one that is in flight keeps its place.
    fn arrange(&mut self, place: &Place) {
        let (first, ready) = (self.deliveries.lane(place).next(), self.deliveries.ready(place));
        let get = |id: &DeliveryId| self.deliveries.get(*id);
        if first == ready || ready.as_ref().and_then(get).is_some_and(|ready| ready.leased.is_some()) {
            return;
        }
        let is_free = first.as_ref().and_then(get).is_some_and(|first| !first.stopped);
        if let Some(ready) = ready {
            self.deliveries.change(ready, |delivery| delivery.ready = false);
        }
        if let Some(first) = first.filter(|_| is_free) {
            self.deliveries.change(first, |delivery| delivery.ready = true);
            self.wakes.insert(place.integration.clone());
        }
    }

    /// The dead letter at `place` is closed: if its delivery stopped the lane, it does no more.
    fn free(&mut self, place: &Place) {
        let stops = |id: &DeliveryId| {
            self.deliveries.get(*id).is_some_and(|delivery| {
                let at = &delivery.place;
                delivery.stopped && (at.origin, at.ordinal, at.message) == (place.origin, place.ordinal, place.message)
            })
        };
        let Some(id) = self.deliveries.lane(place).find(stops) else { return };
        self.deliveries.remove(id);
        self.arrange(place);
    }

    pub(super) fn lease(&mut self, lease: &Lease) -> Vec<Leased> {
        let due = self.deliveries.due(&lease.integration, lease.now, lease.limit);
        let (mut leased, mut bytes) = (Vec::new(), 0_usize);
        for id in due {
            if bytes >= lease.bytes_max {
                break;
            }
            let Some(one) = self.hand_out(id, lease.now) else { continue };
            bytes = bytes.saturating_add(one.message.body.len());
            leased.push(one);
        }
        leased
    }

    fn hand_out(&mut self, id: DeliveryId, now: Timestamp) -> Option<Leased> {
        let message = Arc::clone(self.messages.get(self.deliveries.get(id)?.place.message)?);
        self.deliveries.change(id, |delivery| {
            let unsettled_starts = delivery.unsettled_starts;
            delivery.unsettled_starts += 1;
            let late = now.since(delivery.due_at);
            let failing_since = delivery.failing_since.map(|since| since.plus(late));
            delivery.leased = Some(Started { first: delivery.first_started_at.is_none(), failing_since });
            Leased {
                id,
                integration: delivery.place.integration.clone(),
                message,
                stage: delivery.place.stage,
                attempts: delivery.attempts,
                waits: delivery.waits,
                replay: delivery.place.replay,
                first_started_at: *delivery.first_started_at.get_or_insert(now),
                failing_since,
                unsettled_starts,
                may_repeat: unsettled_starts > 0,
            }
        })
    }

    pub(super) fn release(&mut self, id: DeliveryId) -> Result<(), StoreError> {
        let started = self.end_lease(id)?;
        let place = self.deliveries.change(id, |delivery| {
            delivery.unsettled_starts = delivery.unsettled_starts.saturating_sub(1);
            if started.first {
                delivery.first_started_at = None;
            }
            delivery.place.clone()
        });
        let place = place.ok_or(StoreError::NotLeased)?;
        self.wakes.insert(place.integration.clone());
        self.arrange(&place);
        Ok(())
    }

    fn end_lease(&mut self, id: DeliveryId) -> Result<Started, StoreError> {
        self.deliveries.change(id, |delivery| delivery.leased.take()).flatten().ok_or(StoreError::NotLeased)
    }

    pub(super) fn settle(&mut self, settle: Settle) -> Result<(), StoreError> {
        let started = self.end_lease(settle.delivery)?;
        let place = self.deliveries.change(settle.delivery, |delivery| {
            delivery.failing_since = started.failing_since;
            delivery.unsettled_starts = 0;
            delivery.place.clone()
        });
        let place = place.ok_or(StoreError::NotLeased)?;
        self.track(place.message, settle.tracked);
        let attempt = settle.attempt;
        for write in settle.key_values {
            self.write(write);
        }
        for append in settle.appends {
            self.append(append, attempt.ended_at);
        }
        match settle.settlement {
            Settlement::Waits { due_at } => self.again(settle.delivery, due_at, |delivery| {
                delivery.waits += 1;
                let waited = due_at.since(attempt.started_at);
                delivery.failing_since = delivery.failing_since.map(|since| since.plus(waited));
            }),
            Settlement::Retries { due_at } => self.again(settle.delivery, due_at, |delivery| {
                delivery.attempts += 1;
                delivery.failing_since.get_or_insert(attempt.ended_at);
            }),
            done => {
                match done {
                    Settlement::DeadLettered { stops_lane: true, .. } if place.lane.is_some() => self.deliveries.stop(settle.delivery),
                    _ => self.deliveries.remove(settle.delivery),
                }
                self.finish(&place, done, attempt.ended_at);
            }
        }
        self.arrange(&place);
        Ok(())
    }

    fn track(&mut self, message: usize, more: Vec<Tracked>) {
        message::track(self.tracked.entry(message).or_default(), more);
    }

    fn again(&mut self, id: DeliveryId, due_at: Timestamp, change: impl FnOnce(&mut Delivery)) {
        let integration = self.deliveries.change(id, |delivery| {
            delivery.due_at = due_at;
            change(delivery);
            delivery.place.integration.clone()
        });
        self.wakes.extend(integration);
    }

    fn finish(&mut self, place: &Place, settlement: Settlement, at: Timestamp) {
        match settlement {
            Settlement::Delivered { .. } => self.end(place, Outcome::Delivered),
            Settlement::Skipped { .. } => self.end(place, Outcome::Skipped),
            Settlement::FannedOut { children } => {
                self.end(place, Outcome::FannedOut);
                for (ordinal, child) in children.into_iter().enumerate() {
                    if let Some(message) = self.insert(Arc::new(child)) {
                        let ready = place.lane.is_none();
                        self.stand(Place { message, stage: Stage::Sink, ordinal, ..place.clone() }, ready, at);
                    }
                }
            }
            Settlement::DeadLettered { class, code, detail, fingerprint, .. } => {
                self.bury(place.clone(), class, code, detail, fingerprint);
            }
            Settlement::Waits { .. } | Settlement::Retries { .. } => {}
        }
    }

    fn end(&mut self, place: &Place, outcome: Outcome) {
        let Some(message) = self.messages.get(place.message) else { return };
        self.outcomes.push(Ended {
            integration: place.integration.clone(),
            message: message.id,
            outcome,
            replay: place.replay,
            lane: place.lane.clone(),
            origin: place.origin,
        });
    }

    fn bury(&mut self, place: Place, class: FailureClass, code: String, detail: String, fingerprint: String) {
        self.end(&place, Outcome::DeadLettered);
        let Some(message) = self.messages.get(place.message) else { return };
        let id = DeadLetterId(i64::try_from(self.dead_letters.len()).unwrap_or(i64::MAX).saturating_add(1));
        self.dead_letters.push(DeadLetter { id, message: message.id, class, code, detail, fingerprint, closed: None, place });
    }

    pub(super) fn replay(&mut self, replay: &Replay) -> Result<Replayed, StoreError> {
        let mut place = self.open(replay.dead_letter)?.place.clone();
        if let Some(edit) = &replay.edit {
            place.lane.clone_from(&edit.lane);
        }
        let newer = self.outcomes.iter().filter(|ended| {
            place.lane.is_some()
                && ended.integration == place.integration
                && ended.lane == place.lane
                && ended.origin > place.origin
                && matches!(ended.outcome, Outcome::Delivered | Outcome::Skipped)
        });
        let newer = newer.map(|ended| ended.origin).collect::<BTreeSet<_>>().len();
        match replay.superseded {
            Superseded::Ask if newer > 0 => {
                return Ok(Replayed::Superseded(u64::try_from(newer).unwrap_or(u64::MAX).min(u64::from(NEWER_COUNTED_MAX))));
            }
            Superseded::Skip if newer > 0 => {
                let reason = SUPERSEDED.to_owned();
                self.give_up(replay.dead_letter, ClosedLetter::Discarded { at: replay.now, reason })?;
                return Ok(Replayed::Skipped);
            }
            _ => {}
        }
        place.replay += 1;
        let edited_as = replay.edit.as_ref().map(|edit| edit.message.id);
        let was = self.close(replay.dead_letter, ClosedLetter::Replayed { at: replay.now, replay: place.replay, edited_as })?;
        if let Some(edit) = &replay.edit {
            self.end(&was, Outcome::Edited);
            place.message = self.insert(Arc::clone(&edit.message)).unwrap_or(place.message);
        }
        self.stand(place.clone(), place.lane.is_none(), replay.due_at);
        self.arrange(&place);
        self.free(&was);
        Ok(Replayed::Queued(place.replay))
    }

    pub(super) fn give_up(&mut self, id: DeadLetterId, discarded: ClosedLetter) -> Result<(), StoreError> {
        let place = self.close(id, discarded)?;
        self.end(&place, Outcome::Discarded);
        self.free(&place);
        Ok(())
    }

    fn open(&mut self, id: DeadLetterId) -> Result<&mut DeadLetter, StoreError> {
        let letter = self.dead_letters.iter_mut().find(|letter| letter.id == id).ok_or(StoreError::NoSuchDeadLetter)?;
        match &letter.closed {
            None => Ok(letter),
            Some(closed) => Err(StoreError::NotOpen(closed.clone())),
        }
    }

    fn close(&mut self, id: DeadLetterId, closed: ClosedLetter) -> Result<Place, StoreError> {
        let letter = self.open(id)?;
        letter.closed = Some(closed);
        Ok(letter.place.clone())
    }

    pub(super) fn write(&mut self, write: KeyValueWrite) {
        let used = self.key_values_used.entry(write.integration.clone()).or_default();
        let bytes = |value: &[u8]| u64::try_from(write.key.len() + value.len()).unwrap_or(u64::MAX);
        let place = (write.integration, write.key.clone());
        if let Some((before, _)) = self.key_values.remove(&place) {
            *used = used.saturating_sub(bytes(&before));
        }
        if let Some(value) = write.value {
            *used = used.saturating_add(bytes(&value));
            self.key_values.insert(place, (value, write.expires_at));
        }
    }
}
