//! How deliveries end when the host does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::lab::*;
use crate::clock::Clock;
use crate::message::{FailureClass, Outcome};
use crate::message_store::memory::MemoryStore;
use crate::message_store::{Lease, MessageStore};
use crate::plugin::scripted::ScriptedInvoker;
use crate::plugin::{Call, Effects, PluginInvoker, Report};

const DRAIN: Duration = Duration::from_secs(10);

/// A plugin whose calls take until there is a permit, and which knows how many are under way.
#[derive(Clone)]
pub struct Slow {
    answers: Arc<Semaphore>,
    under_way: Arc<AtomicUsize>,
}

impl Slow {
    pub fn new() -> Self {
        Self { answers: Arc::new(Semaphore::new(0)), under_way: Arc::default() }
    }

    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl PluginInvoker for Slow {
    async fn invoke(&self, _: Call, carried: Effects) -> Report {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let _here = UnderWay(self.under_way.clone());
        self.answers.acquire().await.unwrap().forget();
        let (cpu, wall) = (Duration::ZERO, Duration::ZERO);
        Report { result: Ok(receipt()), effects: carried, requests: Vec::new(), heard: Default::default(), obstacle: None, cpu, wall }
    }
}

#[tokio::test]
async fn a_stop_starts_nothing_more_and_finishes_what_is_under_way() {
    let slow = Slow::new();
    let mut one_at_a_time = integration("a", &[], plugin("crm"));
    one_at_a_time.delivery.concurrency = 1;
    let lab = Lab::new(vec![one_at_a_time], slow.clone());
    let dispatcher = lab.start();
    let first = lab.send("a", None, "1").await;
    lab.send("a", None, "2").await;
    lab.idle().await;
    assert_eq!(slow.under_way(), 1);
    slow.answers.add_permits(5);
    assert_eq!(dispatcher.stop(&*lab.clock, DRAIN).await, 0);
    assert_eq!(lab.outcomes(first), [("a".into(), Outcome::Delivered, 0)]);
    assert_eq!(lab.store.waiting_in_all(), 1);
}

#[tokio::test]
async fn what_is_under_way_after_the_drain_is_left_settled_as_waiting_and_counted_as_no_crash() {
    let slow = Slow::new();
    let lab = Lab::new(vec![integration("a", &[], plugin("crm"))], slow.clone());
    for _ in 0..5 {
        // More stops than a message may have unsettled starts.
        let dispatcher = lab.start();
        if lab.store.waiting_in_all() == 0 {
            lab.send("a", Some("k"), "order").await;
        }
        lab.idle().await;
        assert_eq!(slow.under_way(), 1);
        let (clock, stop) = (
            lab.clock.clone(),
            tokio::spawn({
                let clock = lab.clock.clone();
                async move { dispatcher.stop(&*clock, DRAIN).await }
            }),
        );
        lab.idle().await;
        assert!(!stop.is_finished(), "it has the whole drain time");
        clock.advance(DRAIN);
        assert_eq!(stop.await.unwrap(), 1);
        assert_eq!(slow.under_way(), 0, "nothing runs after the stop");
        lab.store.crash();
    }
    let leased = lab.store.lease(Lease { integration: "a".into(), now: lab.clock.now(), limit: 9, bytes_max: usize::MAX }).await.unwrap();
    assert_eq!((leased[0].unsettled_starts, leased[0].attempts, leased[0].waits), (0, 0, 5));
    assert_eq!(leased[0].first_started_at, START, "so that the next run sends the same under the same keys");
}

#[tokio::test]
async fn what_was_handed_out_during_the_stop_is_given_back_as_if_it_never_had_been() {
    let store = Arc::new(MemoryStore::new());
    let reluctant = Arc::new(Reluctant { leases: Semaphore::new(0), ..Reluctant::new(store.clone(), 0) });
    let before = reluctant.clone();
    let lab = Lab::over(store, move |_| before as _, vec![integration("a", &[], plugin("crm"))], ScriptedInvoker::default());
    lab.send("a", None, "order").await;
    let dispatcher = lab.start();
    lab.idle().await;
    let stop = tokio::spawn({
        let clock = lab.clock.clone();
        async move { dispatcher.stop(&*clock, DRAIN).await }
    });
    lab.idle().await;
    reluctant.leases.add_permits(1);
    assert_eq!(stop.await.unwrap(), 0);
    let leased = lab.store.lease(Lease { integration: "a".into(), now: lab.clock.now(), limit: 9, bytes_max: usize::MAX }).await.unwrap();
    assert_eq!((leased.len(), leased[0].unsettled_starts), (1, 0));
}

#[tokio::test]
async fn a_store_that_takes_nothing_does_not_hold_up_the_end() {
    let reluctant = |store| Arc::new(Reluctant::new(store, u32::MAX)) as _;
    let plugins = ScriptedInvoker::default().with("crm", |_| receipt().into());
    let lab = Lab::over(Arc::new(MemoryStore::new()), reluctant, vec![integration("a", &[], plugin("crm"))], plugins);
    let dispatcher = lab.start();
    lab.send("a", None, "order").await;
    lab.idle().await;
    let clock = lab.clock.clone();
    let stop = tokio::spawn(async move { dispatcher.stop(&*clock, DRAIN).await });
    lab.idle().await;
    lab.pass(DRAIN).await;
    assert_eq!(stop.await.unwrap(), 1);
    lab.store.crash();
    let leased = lab.store.lease(Lease { integration: "a".into(), now: lab.clock.now(), limit: 9, bytes_max: usize::MAX }).await.unwrap();
    assert_eq!(leased[0].unsettled_starts, 1, "it was delivered and nobody could write it down");
}

#[tokio::test]
async fn three_starts_that_never_settled_park_a_message_without_another_call() {
    let slow = Slow::new();
    let lab = Lab::new(vec![integration("a", &[], plugin("crm"))], slow.clone());
    let id = lab.send("a", None, "order").await;
    for _ in 0..3 {
        let now = lab.clock.now();
        assert_eq!(lab.store.lease(Lease { integration: "a".into(), now, limit: 1, bytes_max: usize::MAX }).await.unwrap().len(), 1);
        lab.store.crash();
    }
    let _dispatcher = lab.start();
    lab.idle().await;
    assert_eq!(slow.under_way(), 0);
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::DeadLettered, 0)]);
    assert_eq!(lab.store.dead_letters()[0].class, FailureClass::HostCrashed);
}
