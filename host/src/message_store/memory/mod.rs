//! The message store of simulations: everything in memory, in one place, plainly.
//!
//! Depends on what the trait depends on. It shows what the SQLite store shows (`suite` holds both to it) and keeps
//! nothing when the process ends; [`MemoryStore::crash`] plays the restart of a host. What operators ask is searched from end to end.

mod queue;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

pub use state::{DeadLetter, Ended};

use super::{
    Accept, Accepted, Advance, Advanced, ClosedLetter, DeliveryId, Discard, KeyValueRead, KeyValueWrite, Lease, Leased, MessageStore,
    Replay, Replayed, Settle, SourceState, StoreError, Wake,
};
use crate::clock::Timestamp;
use crate::message::{Message, MessageId, Tracked};
use state::Memory;

/// Messages and deliveries in memory.
#[derive(Default)]
pub struct MemoryStore {
    memory: Mutex<Memory>,
    wake: Mutex<Option<Arc<dyn Wake>>>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `wake` is told which integrations may have something due.
    pub fn wake_through(&self, wake: Arc<dyn Wake>) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// Key-value data of `integration` that is there from the beginning.
    pub fn begin_with(&self, integration: &str, data: Vec<(String, Vec<u8>)>) {
        let mut memory = self.lock();
        for (key, value) in data {
            memory.write(KeyValueWrite { integration: integration.to_owned(), key, value: Some(value), expires_at: None });
        }
    }

    /// What a host that died and came back finds: nothing is leased, starts that did not settle are counted.
    pub fn crash(&self) {
        let mut memory = self.lock();
        for id in memory.deliveries.ids() {
            memory.deliveries.change(id, |delivery| delivery.leased = None);
        }
    }

    /// How deliveries ended, in order.
    pub fn outcomes(&self) -> Vec<Ended> {
        self.lock().outcomes.clone()
    }

    /// Every dead letter there was, in order.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.lock().dead_letters.clone()
    }

    /// A message, if it was taken.
    pub fn message(&self, id: MessageId) -> Option<Arc<Message>> {
        let memory = self.lock();
        memory.by_id.get(&id).and_then(|seq| memory.messages.get(*seq)).cloned()
    }

    /// The values a message is found by.
    pub fn tracked(&self, id: MessageId) -> Vec<Tracked> {
        let memory = self.lock();
        memory.by_id.get(&id).and_then(|seq| memory.tracked.get(seq)).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction: then those it woke are told.
    fn transact<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let (value, wakes) = {
            let mut memory = self.lock();
            let value = work(&mut memory);
            (value, std::mem::take(&mut memory.wakes))
        };
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(wake) = wake {
            wakes.iter().for_each(|integration| wake.wake(integration));
        }
        value
    }
}

#[async_trait]
impl MessageStore for MemoryStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        Ok(self.transact(|memory| memory.accept(accept)))
    }

    async fn lease(&self, lease: Lease) -> Result<Vec<Leased>, StoreError> {
        Ok(self.lock().lease(&lease))
    }

    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        self.transact(|memory| memory.release(delivery))
    }

    async fn settle(&self, settle: Arc<Settle>) -> Result<(), StoreError> {
        self.transact(|memory| memory.settle(Arc::unwrap_or_clone(settle)))
    }

    async fn source(&self, integration: &str, source: &str) -> Result<Option<SourceState>, StoreError> {
        Ok(self.lock().sources.get(&(integration.to_owned(), source.to_owned())).cloned())
    }

    async fn advance(&self, advance: Arc<Advance>) -> Result<Advanced, StoreError> {
        Ok(self.transact(|memory| memory.advance(Arc::unwrap_or_clone(advance))))
    }

    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.lock().deliveries.next_due(integration))
    }

    fn waiting(&self, integration: &str) -> u64 {
        u64::try_from(self.lock().deliveries.waiting(integration)).unwrap_or(u64::MAX)
    }

    fn waiting_in_all(&self) -> u64 {
        u64::try_from(self.lock().deliveries.len()).unwrap_or(u64::MAX)
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        self.transact(|memory| memory.replay(&replay))
    }

    async fn discard(&self, discard: Discard) -> Result<(), StoreError> {
        let discarded = ClosedLetter::Discarded { at: discard.now, reason: discard.reason };
        self.transact(|memory| memory.give_up(discard.dead_letter, discarded))
    }
}

#[async_trait]
impl KeyValueRead for MemoryStore {
    async fn get(&self, integration: &str, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let memory = self.lock();
        let found = memory.key_values.get(&(integration.to_owned(), key.to_owned()));
        Ok(found.filter(|(_, expires_at)| expires_at.is_none_or(|at| at > now)).map(|(value, _)| value.clone()))
    }

    async fn list(
        &self,
        integration: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let memory = self.lock();
        let from = (integration.to_owned(), after.map_or(prefix, |after| after.max(prefix)).to_owned());
        let found = memory.key_values.range(from..).take_while(|((of, key), _)| of == integration && key.starts_with(prefix));
        let found = found
            .filter(|((_, key), (_, expires_at))| expires_at.is_none_or(|at| at > now) && after.is_none_or(|after| key.as_str() > after));
        Ok(found.map(|((_, key), _)| key.clone()).take(limit).collect())
    }

    async fn used_bytes(&self, integration: &str) -> Result<u64, StoreError> {
        Ok(self.lock().key_values_used.get(integration).copied().unwrap_or(0))
    }
}
