//! The message store of a simulation, with somebody who writes down what it is told and counts: [`Watched`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::history::History;
use super::script::Order;
use crate::clock::Clock;
use crate::message_store::memory::MemoryStore;
use crate::message_store::{
    Accept, Accepted, DeliveryId, Discard, KeyValueRead, Lane, Lease, Leased, MessageStore, NewDelivery, Replay, Replayed, Settle,
    Settlement, StoreError,
};

/// In which order the host took orders in.
#[derive(Debug, Default)]
pub struct Taken(Mutex<HashMap<u32, usize>>);

impl Taken {
    /// The place of an order; behind all others if it was never taken.
    pub fn place(&self, number: u32) -> usize {
        self.lock().get(&number).copied().unwrap_or(usize::MAX)
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Watched {
    pub store: Arc<MemoryStore>,
    pub taken: Arc<Taken>,
    history: History,
    clock: Arc<dyn Clock>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Deliveries that came, and that ended.
    came: usize,
    ended: usize,
    delivered: BTreeMap<String, u64>,
    of: HashMap<DeliveryId, String>,
}

impl Watched {
    pub fn new(history: History, clock: Arc<dyn Clock>) -> Self {
        Self { store: Arc::new(MemoryStore::new()), taken: Arc::default(), history, clock, counts: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        self.history.tell(self.clock.now(), what);
    }

    /// Nothing is lost, and what calls wrote is there with their settlements or not at all.
    pub async fn check(&self) {
        let (came, ended, delivered) = {
            let counts = self.lock();
            (counts.came, counts.ended, counts.delivered.clone())
        };
        let now = self.clock.now();
        let waiting = self.store.waiting();
        if came != ended + waiting {
            self.history.broken(now, format_args!("{came} deliveries came; {ended} ended and {waiting} wait"));
        }
        for (integration, count) in delivered {
            let stored = self.store.get(&integration, "delivered", now).await.unwrap().unwrap_or_default();
            if stored != count.to_string().into_bytes() && super::flows::counts(&integration) {
                let stored = String::from_utf8_lossy(&stored).into_owned();
                self.history.broken(now, format_args!("{integration}: {count} were delivered, {stored:?} counted in the same settlements"));
            }
        }
    }

    fn came(&self, deliveries: &[NewDelivery]) {
        self.lock().came += deliveries.iter().filter(|delivery| !matches!(delivery.lane, Lane::Unkeyed(_))).count();
    }
}

#[async_trait]
impl MessageStore for Watched {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        let (deliveries, body) = (accept.deliveries.clone(), accept.message.body.clone());
        let accepted = self.store.accept(accept).await?;
        let order: Order = serde_json::from_slice(&body).unwrap();
        self.tell(format_args!("the host takes {}: {accepted:?}", order.number));
        if accepted == Accepted::New {
            self.came(&deliveries);
            let mut taken = self.taken.lock();
            let place = taken.len();
            taken.insert(order.number, place);
        }
        Ok(accepted)
    }

    async fn lease(&self, lease: Lease) -> Result<Vec<Leased>, StoreError> {
        let leased = self.store.lease(lease).await?;
        let mut counts = self.lock();
        for leased in &leased {
            self.tell(format_args!("{} starts {:?}", leased.integration, leased.id));
            counts.of.insert(leased.id, leased.integration.clone());
        }
        Ok(leased)
    }

    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        self.store.release(delivery).await
    }

    async fn settle(&self, settle: Settle) -> Result<(), StoreError> {
        let kept = settle.clone();
        self.store.settle(settle).await?;
        self.tell(format_args!("{:?} is settled: {:?}", kept.delivery, kept.settlement));
        kept.appends.iter().for_each(|append| self.came(&append.deliveries));
        let mut counts = self.lock();
        match &kept.settlement {
            Settlement::Waits { .. } | Settlement::Retries { .. } => return Ok(()),
            Settlement::FannedOut { children } => counts.came += children.len(),
            Settlement::Delivered { .. } => {
                let integration = counts.of.get(&kept.delivery).cloned().unwrap_or_default();
                *counts.delivered.entry(integration).or_default() += 1;
            }
            Settlement::Skipped { .. } | Settlement::DeadLettered { .. } => {}
        }
        counts.ended += 1;
        Ok(())
    }

    async fn next_due(&self, integration: &str) -> Result<Option<crate::clock::Timestamp>, StoreError> {
        self.store.next_due(integration).await
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        self.store.replay(replay).await
    }

    async fn discard(&self, discard: Discard) -> Result<(), StoreError> {
        self.store.discard(discard).await
    }
}
