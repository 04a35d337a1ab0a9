//! A host's core on a bench: a store in memory, scripted plugins, a clock that the test moves. One thread, so one history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::alias::scripted::ScriptedUpstream;
use crate::alias::secret::{Secret, SecretRef, SecretSource};
use crate::alias::upstream::{UpstreamError, UpstreamResponse};
use crate::alias::{Alias, Aliases, Auth, EgressRequest, Environment, Sender};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::delivery::{Bells, Catalog, Delivery, Dispatcher, Pauses, Runnable};
use crate::integration::{
    Backoff, Binding, CallLimits, DeliveryPolicy, Integration, Jitter, Owner, PinnedPlugin, ReleaseId, SaidLimits, Sink, Source, Step,
};
use crate::message::{Headers, Key, Message, MessageId, Outcome, Tracked};
use crate::message_store::memory::MemoryStore;
use crate::message_store::routing::delivery_for;
use crate::message_store::{
    Accept, Accepted, Advance, Advanced, DeliveryId, Discard, Lease, Leased, MessageStore, Replay, Replayed, Settle, SourceState,
    StoreError, Superseded, WaitingMax,
};
use crate::plugin::{CallFailure, Draft, Output, PluginInvoker};
use crate::problem::Problem;
use crate::random::{Random, SeededRandom};
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

pub const START: Timestamp = Timestamp(1_700_000_000_000);
/// How often the test lets everybody else run before it says that nothing more happens.
const TURNS: usize = 2_000;

/// A core with its surroundings. The dispatcher runs from [`Lab::start`] on.
pub struct Lab {
    pub store: Arc<MemoryStore>,
    pub clock: Arc<ManualClock>,
    pub aliases: Arc<Aliases>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
    pub delivery: Delivery,
    random: Arc<SeededRandom>,
    bells: Arc<Bells>,
}

impl Lab {
    pub fn new(integrations: Vec<Integration>, plugins: impl PluginInvoker) -> Self {
        Self::over(Arc::new(MemoryStore::new()), |store| store, integrations, plugins)
    }

    /// With something between delivery and the store.
    pub fn over(
        store: Arc<MemoryStore>,
        before: impl FnOnce(Arc<MemoryStore>) -> Arc<dyn MessageStore>,
        integrations: Vec<Integration>,
        plugins: impl PluginInvoker,
    ) -> Self {
        let (clock, random) = (Arc::new(ManualClock::at(START)), Arc::new(SeededRandom::new(7)));
        let aliases = Arc::new(aliases(clock.clone(), random.clone()));
        Self::around(clock, random, aliases, store, before, integrations, Arc::new(plugins))
    }

    /// With aliases of the test's own, on whose clock it runs.
    pub fn around(
        clock: Arc<ManualClock>,
        random: Arc<SeededRandom>,
        aliases: Arc<Aliases>,
        store: Arc<MemoryStore>,
        before: impl FnOnce(Arc<MemoryStore>) -> Arc<dyn MessageStore>,
        integrations: Vec<Integration>,
        plugins: Arc<dyn PluginInvoker>,
    ) -> Self {
        let (metrics, events) = (Arc::new(Metrics::new()), Events::new(clock.clone()));
        let bells = Arc::new(Bells::default());
        store.wake_through(bells.clone());
        let runnables = integrations.into_iter().map(runnable);
        let delivery = Delivery {
            store: before(store.clone()),
            plugins,
            catalog: Arc::new(Catalog::new(runnables)),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
            events: events.clone(),
            waiting_max: WaitingMax::each(1_000),
            pauses: Arc::new(Pauses::new(bells.clone())),
            recorder: None,
        };
        Self { store, clock, aliases, metrics, events, delivery, random, bells }
    }

    pub fn start(&self) -> Dispatcher {
        Dispatcher::start(&self.delivery, &self.aliases, &self.bells)
    }

    /// A message enters `integration` through its channel.
    pub async fn send(&self, integration: &str, key: Option<&str>, body: &str) -> MessageId {
        let message = Message {
            id: MessageId::new(self.clock.now(), &*self.random),
            parent: None,
            key: key.map(|key| Key(key.to_owned())),
            content_type: "text/plain".into(),
            headers: Headers::default(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            tracked: Vec::new(),
            origin: "test".into(),
            accepted_at: self.clock.now(),
        };
        let id = message.id;
        let reader = &self.delivery.catalog.get(integration).unwrap().integration;
        let deliveries = vec![delivery_for(reader, &reader.sources[0], &message, self.clock.now())];
        let accept = Accept { message: Arc::new(message), dedup: None, deliveries, waiting_max: WaitingMax::each(1_000) };
        assert_eq!(self.store.accept(accept).await.unwrap(), Accepted::New);
        id
    }

    /// Lets everything happen that can happen at this time.
    pub async fn idle(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    /// Moves the clock in small steps, so that what is due in between happens in between.
    pub async fn pass(&self, time: Duration) {
        self.pass_in_steps(Duration::from_millis(500), TURNS / 10, time).await;
        self.idle().await;
    }

    /// Moves the clock by `step` at a time and gives way to the others `turns` times after each.
    pub async fn pass_in_steps(&self, step: Duration, turns: usize, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            self.clock.advance(step.min(left));
            left = left.saturating_sub(step);
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        }
    }

    /// How the deliveries of a message ended, in order.
    pub fn outcomes(&self, message: MessageId) -> Vec<(String, Outcome, u32)> {
        let ended = self.store.outcomes().into_iter().filter(|ended| ended.message == message);
        ended.map(|ended| (ended.integration, ended.outcome, ended.replay)).collect()
    }

    pub async fn replay_the_last_dead_letter(&self) {
        let dead_letter = self.store.dead_letters().last().unwrap().id;
        let now = self.clock.now();
        let replay = Replay { dead_letter, now, due_at: now, superseded: Superseded::Anyway, edit: None };
        assert!(matches!(self.store.replay(replay).await.unwrap(), Replayed::Queued(_)));
    }

    /// One request through `crm`, as a plugin would send it.
    pub async fn request(&self) -> bool {
        let request = EgressRequest {
            sender: Sender { integration: "lab".into(), message: 1 },
            method: "GET".into(),
            path: "/".into(),
            headers: Vec::new(),
            body: Bytes::new(),
            idempotency_key: "key".into(),
            timeout: Duration::from_secs(1),
        };
        self.aliases.send("crm", &[], request).await.is_ok()
    }
}

/// Reads channel `in`, then each of `steps`, then `sink`. Waits between attempts are 1 s, 2 s, 4 s.
pub fn integration(name: &str, steps: &[&str], sink: Sink) -> Integration {
    let backoff = Backoff { jitter: Jitter::None, ..Backoff::default() };
    Integration {
        name: name.into(),
        description: String::new(),
        owner: Owner { team: None, contact: "ops@acme.example".into() },
        sources: vec![Source::channel("in")],
        steps: steps.iter().map(|plugin| step(plugin)).collect(),
        sink,
        delivery: DeliveryPolicy { backoff, ..DeliveryPolicy::default() },
        limits: SaidLimits::default(),
        ordering: 0,
    }
}

/// The same, reading another channel.
pub fn reading(channel: &str, mut integration: Integration) -> Integration {
    integration.sources[0] = Source::channel(channel);
    integration
}

pub fn step(plugin: &str) -> Step {
    let binding = Binding { alias: "crm".into(), allow: Vec::new() };
    Step {
        plugin: plugin.into(),
        version: semver::VersionReq::STAR,
        config: serde_json::Map::new(),
        grants: BTreeSet::new(),
        bindings: if plugin == "crm" { BTreeMap::from([("target".to_owned(), binding)]) } else { BTreeMap::new() },
    }
}

pub fn plugin(name: &str) -> Sink {
    Sink::Plugin(step(name))
}

pub fn runnable(integration: Integration) -> Runnable {
    let pin = |step: &Step| PinnedPlugin { name: step.plugin.clone(), version: semver::Version::new(1, 0, 0), digest: "d".into() };
    let pinned: Vec<_> = integration.uses().map(|(_, step)| (pin(step), Arc::from("{}"))).collect();
    Runnable::new(integration, ReleaseId("00".repeat(32)), &pinned, &CallLimits::ceiling()).unwrap()
}

pub fn draft(body: &str) -> Draft {
    let tracked = vec![Tracked { name: "made".into(), value: body.to_owned() }];
    Draft { content_type: "text/plain".into(), headers: Headers::default(), body: Bytes::copy_from_slice(body.as_bytes()), tracked }
}

pub fn drafts(bodies: &[&str]) -> Output {
    Output::Drafts(bodies.iter().map(|body| draft(body)).collect())
}

pub fn receipt() -> Output {
    Output::Receipt { remote_id: Some("001".into()), remote_version: None, detail: None }
}

pub fn transient() -> CallFailure {
    CallFailure::Transient { code: "row-locked".into(), detail: "locked".into(), retry_after: None }
}

pub fn permanent() -> CallFailure {
    CallFailure::Permanent { code: "bad-value".into(), detail: "bad".into() }
}

pub fn text(message: &Message) -> String {
    String::from_utf8(message.body.to_vec()).unwrap()
}

/// One alias `crm`, whose target takes the secret `right` and can be made to refuse connections.
fn aliases(clock: Arc<ManualClock>, random: Arc<dyn Random>) -> Aliases {
    let alias = Alias {
        name: "crm".into(),
        owner: None,
        url: Some("http://crm.example/".parse().unwrap()),
        auth: Auth::None,
        rate: Vec::new(),
        expired_when: None,
        stale_if_error: None,
        network: Vec::new(),
        ca_file: None,
        authorities: None,
        proxy: None,
        verify: None,
    };
    let environment = Environment { name: "test".into(), values: BTreeMap::new(), aliases: BTreeMap::from([("crm".into(), alias)]) };
    let back_at = START.plus(DOWN_FOR);
    let now = clock.clone();
    let upstream = ScriptedUpstream::new(move |_| {
        if now.now() < back_at {
            return Err(UpstreamError::Unreachable("refused".into()));
        }
        Ok(UpstreamResponse::new(http::StatusCode::OK, "fine"))
    });
    Aliases::in_memory(&environment, Arc::new(NoSecrets), Arc::new(upstream), clock, random)
}

/// How long after [`START`] the target of `crm` cannot be reached.
pub const DOWN_FOR: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct NoSecrets;

impl SecretSource for NoSecrets {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        Err(Problem::new(crate::problem::Code::MissingSecret, reference.to_string()))
    }
}

/// A store that does not take the next settlements, and hands leases out, and takes them back, late.
pub struct Reluctant {
    pub store: Arc<MemoryStore>,
    pub refusals: AtomicU32,
    /// A lease comes back once there is a permit.
    pub leases: tokio::sync::Semaphore,
    /// A release is done once there is a permit.
    pub releases: tokio::sync::Semaphore,
    /// Releases that were asked for.
    pub released: AtomicU32,
    /// Bytes of the bodies that were handed out together, at most.
    pub leased_bytes: AtomicUsize,
}

impl Reluctant {
    pub fn new(store: Arc<MemoryStore>, refusals: u32) -> Self {
        let many = || tokio::sync::Semaphore::new(tokio::sync::Semaphore::MAX_PERMITS);
        Self {
            store,
            refusals: AtomicU32::new(refusals),
            leases: many(),
            releases: many(),
            released: AtomicU32::new(0),
            leased_bytes: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl MessageStore for Reluctant {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        self.store.accept(accept).await
    }

    async fn lease(&self, lease: Lease) -> Result<Vec<Leased>, StoreError> {
        let leased = self.store.lease(lease).await;
        self.leases.acquire().await.unwrap().forget();
        let bytes = leased.iter().flatten().map(|leased| leased.message.body.len()).sum();
        self.leased_bytes.fetch_max(bytes, Ordering::SeqCst);
        leased
    }

    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        self.released.fetch_add(1, Ordering::SeqCst);
        self.releases.acquire().await.unwrap().forget();
        self.store.release(delivery).await
    }

    async fn settle(&self, settle: Arc<Settle>) -> Result<(), StoreError> {
        let refused = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match refused {
            Ok(left) if left % 2 == 0 => Err(StoreError::Busy),
            Ok(_) => Err(StoreError::Full),
            Err(_) => self.store.settle(settle).await,
        }
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
