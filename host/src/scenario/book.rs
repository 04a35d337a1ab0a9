//! [`Book`]: the message store of a host in a chamber, with everything that is settled in it written down; and [`Watched`], which writes
//! down what sinks are handed, and which calls are stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::message::{FailureClass, Message, MessageId};
use crate::message_store::memory::MemoryStore;
use crate::message_store::{
    Accept, Accepted, Advance, Advanced, DeliveryId, Discard, Lease, Leased, MessageStore, Replay, Replayed, Settle, SourceState,
    StoreError,
};
use crate::plugin::{Call, CallFailure, Effects, Export, PluginInvoker, Report};

/// One settlement.
#[derive(Clone, Debug)]
pub struct Settled {
    pub integration: String,
    pub message: Arc<Message>,
    pub at: Timestamp,
    pub settle: Arc<Settle>,
}

/// One round of a source that was asked.
#[derive(Clone, Debug)]
pub struct Round {
    pub state: SourceState,
    pub brought: Vec<Arc<Message>>,
}

/// The store in memory, and what it was told.
#[derive(Debug, Default)]
pub struct Book {
    pub store: Arc<MemoryStore>,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    leased: HashMap<DeliveryId, (String, Arc<Message>)>,
    settled: Vec<Settled>,
    rounds: Vec<Round>,
}

impl Book {
    /// Every settlement so far, in order.
    pub fn settled(&self) -> Vec<Settled> {
        self.lock().settled.clone()
    }

    /// Every round of its sources, in order.
    pub fn rounds(&self) -> Vec<Round> {
        self.lock().rounds.clone()
    }

    /// How many rounds there were.
    pub fn rounds_count(&self) -> usize {
        self.lock().rounds.len()
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MessageStore for Book {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        self.store.accept(accept).await
    }

    async fn lease(&self, lease: Lease) -> Result<Vec<Leased>, StoreError> {
        let leased = self.store.lease(lease).await?;
        let mut pages = self.lock();
        for Leased { id, integration, message, .. } in &leased {
            pages.leased.insert(*id, (integration.clone(), message.clone()));
        }
        drop(pages);
        Ok(leased)
    }

    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        self.store.release(delivery).await
    }

    async fn settle(&self, settle: Arc<Settle>) -> Result<(), StoreError> {
        self.store.settle(Arc::clone(&settle)).await?;
        let mut pages = self.lock();
        if let Some((integration, message)) = pages.leased.get(&settle.delivery).cloned() {
            pages.settled.push(Settled { integration, message, at: settle.attempt.ended_at, settle });
        }
        Ok(())
    }

    async fn source(&self, integration: &str, source: &str) -> Result<Option<SourceState>, StoreError> {
        self.store.source(integration, source).await
    }

    async fn advance(&self, advance: Arc<Advance>) -> Result<Advanced, StoreError> {
        let done = self.store.advance(Arc::clone(&advance)).await?;
        let brought = match &done {
            Advanced::Done(fresh) => {
                advance.found.iter().map(|(message, _)| message).filter(|message| fresh.contains(&message.id)).cloned().collect()
            }
            Advanced::Full | Advanced::Moved => Vec::new(),
        };
        self.lock().rounds.push(Round { state: advance.to.clone(), brought });
        Ok(done)
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

/// Why the host stopped a call.
pub type Fault = (FailureClass, String);

/// An invoker that writes down which messages came to a sink, and which calls the host stopped.
pub struct Watched<I> {
    pub inner: I,
    seen: Arc<Seen>,
}

/// What plugins were handed, and how it went.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Sight>);

/// By message of an integration, where it is about one.
#[derive(Debug, Default)]
struct Sight {
    /// What came to the sink, as it was the last time.
    handed: HashMap<(String, MessageId), Arc<Message>>,
    /// The first of its calls that was stopped.
    faults: HashMap<(String, MessageId), Fault>,
    /// The first poll that was.
    poll: Option<Fault>,
}

impl Seen {
    pub fn handed(&self, integration: &str, message: MessageId) -> Option<Arc<Message>> {
        self.lock().handed.get(&(integration.to_owned(), message)).cloned()
    }

    /// Why the host stopped a call about this message, also where a later one went well. Of a batch of several nobody knows about which.
    pub fn fault(&self, integration: &str, message: MessageId) -> Option<Fault> {
        self.lock().faults.get(&(integration.to_owned(), message)).cloned()
    }

    /// Why the host stopped a poll.
    pub fn poll_fault(&self) -> Option<Fault> {
        self.lock().poll.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Sight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I> std::fmt::Debug for Watched<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl<I> Watched<I> {
    pub fn new(inner: I, seen: Arc<Seen>) -> Self {
        Self { inner, seen }
    }
}

#[async_trait]
impl<I: PluginInvoker> PluginInvoker for Watched<I> {
    async fn invoke(&self, call: Call, carried: Effects) -> Report {
        if matches!(call.export, Export::Deliver | Export::DeliverBatch) {
            let mut seen = self.seen.lock();
            for message in call.messages() {
                seen.handed.insert((call.integration.clone(), message.id), message.clone());
            }
        }
        let (export, of, is_one) = (call.export, (call.integration.clone(), call.message.id), call.others.is_empty());
        let report = self.inner.invoke(call, carried).await;
        if let Err(CallFailure::Fault { class, detail }) = &report.result {
            let fault = || (*class, detail.clone());
            let mut seen = self.seen.lock();
            match export {
                Export::Poll => drop(seen.poll.get_or_insert_with(fault)),
                _ if is_one => drop(seen.faults.entry(of).or_insert_with(fault)),
                _ => {}
            }
        }
        report
    }
}
