//! The message store of a simulation, with somebody who writes down what it is told, counts, and compares: [`Watched`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::flows::{AUDIT, count_of, is_of_target};
use super::history::History;
use super::script::{Kind, Order, TARGETS};
use super::target::Label;
use crate::clock::{Clock, Timestamp};
use crate::message_store::memory::MemoryStore;
use crate::message_store::{
    Accept, Accepted, Advance, Advanced, DeliveryId, Discard, KeyValueRead, Lane, Lease, Leased, MessageStore, NewDelivery, Replay,
    Replayed, Settle, Settlement, SourceState, StoreError,
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

/// Whether the order itself may be to blame for what its target answered last, by target: where not, it waits and no attempt is used.
#[derive(Debug, Default)]
pub struct Blamed(Mutex<HashMap<(String, Label), bool>>);

impl Blamed {
    pub fn note(&self, target: &str, label: Label, may_be: bool) {
        self.lock().insert((target.to_owned(), label), may_be);
    }

    /// False where nothing was asked.
    fn take(&self, target: &str, label: Label) -> bool {
        self.lock().remove(&(target.to_owned(), label)).unwrap_or(false)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Label), bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Watched {
    pub store: Arc<MemoryStore>,
    pub taken: Arc<Taken>,
    pub blamed: Arc<Blamed>,
    pub history: History,
    pub clock: Arc<dyn Clock>,
    /// The ERP takes several orders in one call: such a call has no effects, and counts nothing.
    erp_batches: bool,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Deliveries that came, and that ended.
    came: usize,
    ended: usize,
    /// Orders that were delivered, by integration and customer.
    delivered: BTreeMap<(String, u32), u64>,
    /// Messages that were sent to the audit, and deliveries that send one.
    told: usize,
    telling: usize,
    /// What is under way.
    orders: HashMap<DeliveryId, (String, Order)>,
}

impl Watched {
    pub fn new(history: History, clock: Arc<dyn Clock>, erp_batches: bool) -> Self {
        let (store, counts) = (Arc::new(MemoryStore::new()), Mutex::default());
        Self { store, taken: Arc::default(), blamed: Arc::default(), history, clock, erp_batches, counts }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        self.history.tell(self.clock.now(), what);
    }

    fn broken(&self, why: std::fmt::Arguments<'_>) {
        self.history.broken(self.clock.now(), why);
    }

    /// Nothing is lost, and the audit was told of each delivery and of nothing else.
    pub fn check(&self) {
        let Counts { came, ended, told, telling, .. } = *self.lock();
        let waiting = usize::try_from(self.store.waiting_in_all()).unwrap();
        if came != ended + waiting {
            self.broken(format_args!("{came} deliveries came; {ended} ended and {waiting} wait"));
        }
        if told != telling {
            self.broken(format_args!("{telling} deliveries were to be told to the audit, and {told} messages came to it"));
        }
    }

    /// All that was counted in the same settlements, from the first to the last.
    pub async fn check_counts(&self) {
        let delivered = self.lock().delivered.clone();
        for ((integration, customer), count) in delivered.into_iter().filter(|((integration, _), _)| self.is_counted(integration)) {
            self.compare(&integration, customer, count).await;
        }
    }

    fn is_counted(&self, integration: &str) -> bool {
        is_of_target(integration) && !(self.erp_batches && integration == TARGETS[1])
    }

    /// What calls wrote is there with their settlements or not at all.
    async fn compare(&self, integration: &str, customer: u32, count: u64) {
        let stored = self.store.get(integration, &count_of(customer), self.clock.now()).await.unwrap();
        let stored = stored.map_or(0, |stored| String::from_utf8_lossy(&stored).parse().unwrap());
        if stored != count {
            self.broken(format_args!("{integration}: {count} of customer {customer} were delivered, {stored} counted with that"));
        }
    }

    fn came(&self, deliveries: &[NewDelivery]) {
        self.lock().came += deliveries.iter().filter(|delivery| !matches!(delivery.lane, Lane::Unkeyed(_))).count();
    }

    /// An attempt was used, or a message given up: its target must have had it and said something that may be its own fault.
    fn blame(&self, target: &str, order: &Order, settlement: &Settlement) {
        let label = (order.number, order.part);
        // Where its plugin cannot read it, its target never has it.
        let may_be = self.blamed.take(target, label) || order.kind == Kind::Unreadable;
        if matches!(settlement, Settlement::Retries { .. } | Settlement::DeadLettered { .. }) && !may_be {
            self.broken(format_args!("{target}: {label:?} pays for what is not its fault: {settlement:?}"));
        }
    }
}

#[async_trait]
impl MessageStore for Watched {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        let (deliveries, message) = (accept.deliveries.clone(), Arc::clone(&accept.message));
        let accepted = self.store.accept(accept).await?;
        let order: Order = serde_json::from_slice(&message.body).unwrap();
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
        for Leased { id, integration, message, .. } in &leased {
            self.tell(format_args!("{integration} starts {id:?}"));
            let order: Order = serde_json::from_slice(&message.body).unwrap();
            self.blamed.take(integration, (order.number, order.part));
            self.lock().orders.insert(*id, (integration.clone(), order));
        }
        Ok(leased)
    }

    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        self.store.release(delivery).await
    }

    async fn settle(&self, settle: Arc<Settle>) -> Result<(), StoreError> {
        self.store.settle(Arc::clone(&settle)).await?;
        let Settle { delivery, settlement, appends, .. } = &*settle;
        self.tell(format_args!("{delivery:?} is settled: {settlement:?}"));
        appends.iter().for_each(|append| self.came(&append.deliveries));
        let Some((integration, order)) = self.lock().orders.remove(delivery) else {
            self.broken(format_args!("{delivery:?} is settled and was not started"));
            return Ok(());
        };
        let delivered = matches!(settlement, Settlement::Delivered { .. });
        let count = {
            let mut counts = self.lock();
            match settlement {
                Settlement::Waits { .. } | Settlement::Retries { .. } => {}
                Settlement::FannedOut { children } => {
                    counts.came += children.len();
                    counts.ended += 1;
                }
                _ => counts.ended += 1,
            }
            counts.told += appends.iter().filter(|append| append.channel == AUDIT).count();
            counts.telling += usize::from(delivered && integration == TARGETS[0]);
            let count = counts.delivered.entry((integration.clone(), order.customer)).or_default();
            *count += u64::from(delivered);
            *count
        };
        if self.is_counted(&integration) {
            self.compare(&integration, order.customer, count).await;
        }
        if is_of_target(&integration) {
            self.blame(&integration, &order, settlement);
        }
        Ok(())
    }

    async fn source(&self, integration: &str, source: &str) -> Result<Option<SourceState>, StoreError> {
        self.store.source(integration, source).await
    }

    async fn advance(&self, advance: Arc<Advance>) -> Result<Advanced, StoreError> {
        self.store.advance(advance).await
    }

    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_due(integration).await
    }

    fn waiting(&self, integration: &str) -> u64 {
        self.store.waiting(integration)
    }

    fn waiting_in_all(&self) -> u64 {
        self.store.waiting_in_all()
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        self.store.replay(replay).await
    }

    async fn discard(&self, discard: Discard) -> Result<(), StoreError> {
        self.store.discard(discard).await
    }
}
