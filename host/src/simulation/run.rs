//! One simulation from its script to its end: [`simulate`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::flows::{Plugins, environment, integrations, runnable};
use super::history::History;
use super::ledger::Watched;
use super::script::{Kind, Order, Post, START, Script, TARGETS, in_force};
use super::target::{Label, Target, World};
use crate::alias::secret::{Secret, SecretPlace, SecretRef, SecretSource};
use crate::alias::{Aliases, KeptAlias};
use crate::capability::http::Outside;
use crate::capability::key_value::Stored;
use crate::capability::rows::RowLocks;
use crate::clock::{Clock, Timestamp};
use crate::delivery::{Bells, Catalog, Delivery, Dispatcher, Pauses};
use crate::ingress::{ByHand, Intake, IntakeLimits, IntakeParts, ReceiptStatus, Routes};
use crate::integration::WaitingMax;
use crate::message::{FailureClass, MessageId};
use crate::message_store::MessageStore;
use crate::plugin::limits::Limits;
use crate::problem::{Code, Problem};
use crate::random::SeededRandom;
use crate::random::dice::Dice;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;
use crate::virtual_time::{Idle, VirtualClock};

/// What a simulation was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Everything that happened, as a hash.
    pub fingerprint: String,
    pub events: usize,
    /// Virtual time until all was delivered.
    pub took: Duration,
    pub requests: usize,
    pub dead_letters: usize,
}

impl Summary {
    /// Adds the numbers of another one.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.took += other.took;
        self.requests += other.requests;
        self.dead_letters += other.dead_letters;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, took, requests, dead_letters, .. } = self;
        write!(f, "{events} events in {:.1} virtual hours, {requests} requests, {dead_letters} dead letters", took.as_secs_f64() / 3_600.0)
    }
}

/// Everything that survives a crash of the host.
struct Simulation {
    script: Arc<Script>,
    clock: VirtualClock,
    history: History,
    store: Arc<Watched>,
    world: Arc<World>,
    random: Arc<SeededRandom>,
    secrets: Arc<Secrets>,
    /// What is known of aliases, by name.
    kept: Arc<Mutex<BTreeMap<String, KeptAlias>>>,
    /// What is still to be posted, by time, and what was acknowledged.
    to_post: Arc<Mutex<BTreeMap<(Timestamp, usize), Order>>>,
    acknowledged: Arc<Mutex<BTreeMap<u32, MessageId>>>,
}

/// Files that people put other secrets into.
#[derive(Debug)]
struct Secrets {
    clock: VirtualClock,
    script: Arc<Script>,
}

impl SecretSource for Secrets {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        let of_crm = reference.place == SecretPlace::File(TARGETS[0].into());
        let held = if of_crm { in_force(&self.script.secret_held, self.clock.now()) } else { Some(super::script::FIRST_SECRET) };
        held.map(|secret| Secret::new(secret.as_bytes())).ok_or_else(|| Problem::new(Code::MissingSecret, "none"))
    }
}

/// Runs `script`. All that is drawn on the way follows from `seed`.
pub fn simulate(seed: u64, script: Script) -> Result<Summary, String> {
    let simulation = Simulation::new(seed, script);
    let ended = simulation.script.crashes.clone().into_iter().try_for_each(|(at, down)| {
        simulation.live(Some(at))?;
        simulation.store.store.crash();
        simulation.clock.advance_to(at.plus(down));
        simulation.history.tell(simulation.clock.now(), "the host starts again");
        Ok(())
    });
    ended.and_then(|()| simulation.live(None))?;
    simulation.check_the_end();
    simulation.history.verdict()?;
    Ok(simulation.summary())
}

impl Simulation {
    fn new(seed: u64, script: Script) -> Self {
        let (clock, history) = (VirtualClock::at(START), History::default());
        let script = Arc::new(script);
        let store = Arc::new(Watched::new(history.clone(), Arc::new(clock.clone()), script.erp_batches.is_some()));
        let scripted = [&script.crm, &script.erp];
        let targets = TARGETS
            .into_iter()
            .zip(scripted)
            .zip(1..)
            .map(|((name, scripted), part)| (name, Target::new(name, scripted, &script, Dice::new(seed, part), &store)));
        let world = Arc::new(World(targets.collect()));
        let to_post = script.posts.iter().enumerate().map(|(index, Post { at, order })| ((*at, index), order.clone())).collect();
        let secrets = Arc::new(Secrets { clock: clock.clone(), script: script.clone() });
        let random = Arc::new(SeededRandom::new(seed));
        let to_post = Arc::new(Mutex::new(to_post));
        Self { script, clock, history, store, world, random, secrets, to_post, kept: Arc::default(), acknowledged: Arc::default() }
    }

    /// One life of the host: until `crash`, or until there is nothing left to do.
    fn live(&self, crash: Option<Timestamp>) -> Result<(), String> {
        let idle = Idle::default();
        let runtime = idle.runtime().unwrap();
        let end = START.plus(self.script.within);
        runtime.block_on(async {
            let host = self.start();
            let shop = tokio::spawn(Shop::of(self, &host).post());
            loop {
                // Everything that can happen at this time has happened.
                idle.wait().await;
                self.store.check();
                self.history.verdict()?;
                let posted = shop.is_finished();
                if posted && self.store.store.waiting_in_all() == 0 && crash.is_none() {
                    self.store.check_counts().await;
                    return Ok(());
                }
                let next = self.clock.next().unwrap_or(end);
                match crash {
                    Some(crash) if crash <= next => {
                        self.clock.advance_to(crash);
                        return Ok(());
                    }
                    _ if next > end => {
                        let waiting = self.store.store.waiting_in_all();
                        self.history.broken(end, format_args!("{waiting} deliveries wait, and all should be done"));
                        return self.history.verdict();
                    }
                    _ => self.clock.advance_to(next),
                }
            }
        })
        // The runtime is dropped here, with whatever was under way.
    }

    /// A host as `app` puts it together, over the simulated world.
    fn start(&self) -> Host {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let (metrics, events) = (Arc::new(Metrics::new()), Events::new(clock.clone()));
        let environment = environment(&self.script);
        let secrets: Arc<dyn SecretSource> = self.secrets.clone();
        let aliases = Arc::new(Aliases::in_memory(&environment, secrets.clone(), self.world.clone(), clock.clone(), self.random.clone()));
        aliases.restore(self.kept.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect());
        let outside = Outside { egress: aliases.clone(), clock: clock.clone(), metrics: metrics.clone() };
        let stored = Stored { reads: self.store.store.clone(), locks: Arc::new(RowLocks::default()), clock: clock.clone() };
        let bells = Arc::new(Bells::default());
        self.store.store.wake_through(bells.clone());
        let delivery = Delivery {
            store: self.store.clone(),
            plugins: Arc::new(Plugins { outside, stored, limits: Limits::default() }),
            catalog: Arc::new(Catalog::new(integrations(&self.script).into_iter().map(runnable))),
            clock: clock.clone(),
            random: self.random.clone(),
            metrics: metrics.clone(),
            events: events.clone(),
            waiting_max: WaitingMax::default(),
            pauses: Arc::new(Pauses::new(bells.clone())),
            recorder: None,
        };
        let dispatcher = Dispatcher::start(&delivery, &aliases, &bells);
        tokio::spawn({
            let aliases = aliases.clone();
            async move { aliases.watch_refused().await }
        });
        tokio::spawn({
            let kept = self.kept.clone();
            async move {
                loop {
                    let changed = aliases.next_to_keep().await;
                    kept.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(changed.into_iter().map(|alias| (alias.name.clone(), alias)));
                }
            }
        });
        let integrations: Vec<_> = integrations(&self.script).into_iter().map(Arc::new).collect();
        let routes = Routes::build(&integrations, &environment).unwrap();
        let parts = IntakeParts { store: self.store.clone(), secrets, clock, random: self.random.clone(), metrics, events };
        Host { intake: Intake::new(parts, IntakeLimits::default(), routes), _dispatcher: dispatcher }
    }

    /// All that was acknowledged was done once by everybody whose business it is, and only poison is dead.
    fn check_the_end(&self) {
        let now = self.clock.now();
        let orders: BTreeMap<u32, &Order> = self.script.posts.iter().map(|post| (post.order.number, &post.order)).collect();
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        if acknowledged.len() != orders.len() || self.store.taken.count() != orders.len() {
            let (taken, sent) = (self.store.taken.count(), orders.len());
            self.history.broken(now, format_args!("{sent} orders, {taken} taken, {} acknowledged", acknowledged.len()));
        }
        let mut poison = 0;
        for target in TARGETS {
            let expected: BTreeSet<Label> = orders.values().flat_map(|order| parts(order, target)).collect();
            poison += orders.values().filter(|order| order.is_poison_for(target)).count();
            let done: BTreeSet<Label> = self.world.0[target].done().into_iter().collect();
            if let Some(label) = expected.symmetric_difference(&done).next() {
                let lost = expected.contains(label);
                self.history
                    .broken(now, format_args!("{target}: {label:?} {}", if lost { "was never done" } else { "was nobody's order" }));
            }
        }
        let dead = self.store.store.dead_letters();
        let right = |class| matches!(class, FailureClass::Permanent | FailureClass::GaveUp);
        if dead.len() != poison || !dead.iter().all(|letter| right(letter.class)) {
            let why: BTreeSet<_> = dead.iter().map(|letter| (letter.integration().to_owned(), letter.class, letter.code.clone())).collect();
            self.history.broken(now, format_args!("{} dead letters for {poison} that are poison: {why:?}", dead.len()));
        }
    }

    fn summary(&self) -> Summary {
        let (events, fingerprint) = self.history.fingerprint();
        let requests = self.world.0.values().map(Target::requests).sum();
        let dead_letters = self.store.store.dead_letters().len();
        Summary { fingerprint, events, took: self.clock.now().since(START), requests, dead_letters }
    }
}

/// What `target` is to do for an order.
fn parts(order: &Order, target: &str) -> Vec<Label> {
    match order.kind {
        Kind::Skip => Vec::new(),
        Kind::Split(parts) => (1..=parts).map(|part| (order.number, part)).collect(),
        _ if order.is_poison_for(target) => Vec::new(),
        _ => vec![(order.number, 0)],
    }
}

struct Host {
    intake: Arc<Intake>,
    _dispatcher: Dispatcher,
}

/// Who posts orders, each until it is acknowledged.
struct Shop {
    intake: Arc<Intake>,
    clock: VirtualClock,
    history: History,
    to_post: Arc<Mutex<BTreeMap<(Timestamp, usize), Order>>>,
    acknowledged: Arc<Mutex<BTreeMap<u32, MessageId>>>,
}

impl Shop {
    fn of(simulation: &Simulation, host: &Host) -> Self {
        Self {
            intake: host.intake.clone(),
            clock: simulation.clock.clone(),
            history: simulation.history.clone(),
            to_post: simulation.to_post.clone(),
            acknowledged: simulation.acknowledged.clone(),
        }
    }

    async fn post(self) {
        loop {
            let next =
                self.to_post.lock().unwrap_or_else(PoisonError::into_inner).first_key_value().map(|(at, order)| (*at, order.clone()));
            let Some(((at, index), order)) = next else { return };
            self.clock.sleep(at.since(self.clock.now())).await;
            let again = self.post_one(&order).await;
            let mut to_post = self.to_post.lock().unwrap_or_else(PoisonError::into_inner);
            to_post.remove(&(at, index));
            if let Some(wait) = again {
                to_post.insert((self.clock.now().plus(wait), index), order);
            }
        }
    }

    /// Gives how long to wait before it is posted again, if it was refused.
    async fn post_one(&self, order: &Order) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("x-id", order.number.into());
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let body = Bytes::from(serde_json::to_vec(order).unwrap());
        let by_hand = ByHand { integration: "orders".into(), headers, body, dedup: true };
        let now = self.clock.now();
        match self.intake.put_by_hand(by_hand).await {
            Err(refusal) => Some(refusal.retry_after.unwrap_or(Duration::from_secs(1))),
            Ok(receipt) => {
                let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                let first = acknowledged.insert(order.number, receipt.id);
                let expected = first.map_or(ReceiptStatus::Accepted, |_| ReceiptStatus::Duplicate);
                if receipt.status != expected || first.is_some_and(|first| first != receipt.id) {
                    self.history.broken(now, format_args!("order {}: {receipt:?}, and before {first:?}", order.number));
                }
                None
            }
        }
    }
}
