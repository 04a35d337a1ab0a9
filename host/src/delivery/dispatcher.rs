//! [`Dispatcher`]: starts what is due. Permits first (the integration's, then seats at its aliases' gates), then leases, in memory. A
//! batch leases what fills it before it has the seat that it starts with: see `batch::gather`.
//!
//! One task for each integration, so that a slow target of one starves no other.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::batch::Place;
use super::canary::{Side, Trial};
use super::catalog::{Part, Runnable};
use super::deliver::Delivery;
use super::pauses::Width;
use crate::alias::{Admission, Aliases, Entrance};
use crate::clock::{Clock, within};
use crate::crash_point::{CrashPoint, reached};
use crate::integration::Integration;
use crate::message_store::{Lease, Leased, StoreError, Wake};
use crate::telemetry::events::{Event, Kind, Level};

/// How long the dispatcher looks away when the store does not answer.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// The longest it sleeps without looking, whatever it was told.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// How often an integration that was resumed looks whether it may run wider. One that is paused hears the bell.
const RAMP_LOOK: Duration = Duration::from_millis(500);

/// How long deliveries that are given up have to settle as such.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(2);

/// The bells that wake the integrations' tasks. Made before the store, which rings them.
#[derive(Debug, Default)]
pub struct Bells(Mutex<BTreeMap<String, Arc<Notify>>>);

impl Bells {
    fn of(&self, integration: &str) -> Arc<Notify> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(integration) {
            return bell.clone();
        }
        bells.entry(integration.to_owned()).or_default().clone()
    }
}

impl Wake for Bells {
    fn wake(&self, integration: &str) {
        // A bell keeps one ring, so one that comes before its task waits is not lost.
        self.of(integration).notify_one();
    }
}

/// Runs every active integration until it is stopped.
pub struct Dispatcher {
    delivery: Delivery,
    aliases: Arc<Aliases>,
    bells: Arc<Bells>,
    /// The loop of each integration is told here what it runs.
    active: Mutex<BTreeMap<String, watch::Sender<Arc<Runnable>>>>,
    stop: watch::Sender<bool>,
    loops: TaskTracker,
    under_way: TaskTracker,
    ends: Ends,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

/// How deliveries under way are ended by force.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// They leave their way where it is and settle.
    give_up: CancellationToken,
    /// They are dropped where they stand.
    pub(super) cut: CancellationToken,
}

/// One integration's loop and what it needs.
pub(super) struct Lane {
    pub(super) delivery: Delivery,
    aliases: Arc<Aliases>,
    /// What is to run: another one where a release was switched since the last look.
    active: watch::Receiver<Arc<Runnable>>,
    pub(super) runnable: Arc<Runnable>,
    /// To the aliases of the integration. It rings the bell when a gate opens earlier than it said.
    pub(super) entrance: Entrance,
    bell: Arc<Notify>,
    permits: Arc<Semaphore>,
    /// Permits that are taken away as they come back: what runs may do less at once than what ran before.
    owed: usize,
    /// Of the deliveries in batches, those that may run their steps at once.
    pub(super) steps: Arc<Semaphore>,
    /// For deliveries that are over but for their settlement: as many as may be under way. One that gets none keeps its place until it
    /// is settled, so that a store that is slow holds up who fills it.
    settling: Arc<Semaphore>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) loops: TaskTracker,
    under_way: TaskTracker,
    pub(super) ends: Ends,
    /// Who has so much waiting that nothing more is made for it.
    held_back_by: Option<String>,
    /// What is due has waited for a batch to fill.
    pub(super) has_waited: bool,
    /// Among what was leased for the last batch was one that may be why the host crashed: there may be more of them, and each goes alone.
    pub(super) had_suspect: bool,
}

impl Dispatcher {
    /// Starts a task for each integration of the catalog.
    pub fn start(delivery: &Delivery, aliases: &Arc<Aliases>, bells: &Arc<Bells>) -> Self {
        let dispatcher = Self {
            delivery: delivery.clone(),
            aliases: aliases.clone(),
            bells: bells.clone(),
            active: Mutex::default(),
            stop: watch::channel(false).0,
            loops: TaskTracker::new(),
            under_way: TaskTracker::new(),
            ends: Ends::default(),
        };
        delivery.catalog.all().into_iter().for_each(|runnable| dispatcher.run(runnable));
        dispatcher
    }

    /// What starts from now on of its integration, starts on `runnable`; what is under way ends on what it started on.
    pub fn run(&self, runnable: Arc<Runnable>) {
        let name = runnable.integration.name.clone();
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = active.get(&name) {
            told.send_replace(runnable);
            self.bells.wake(&name);
            return;
        }
        let (told, to_run) = watch::channel(runnable);
        active.insert(name.clone(), told);
        let lane = Lane::new(self, to_run, self.bells.of(&name));
        self.loops.spawn(self.ends.cut.clone().run_until_cancelled_owned(lane.run()));
    }

    /// Starts nothing more and waits for what is under way, at most `drain`. What is not done by then is given up: left where it
    /// is and settled as waiting, so that the next start runs it again and takes its end for no crash. Nothing runs any more when
    /// this returns. Tells how many were given up.
    pub async fn stop(&self, clock: &dyn Clock, drain: Duration) -> usize {
        self.stop.send_replace(true);
        self.loops.close();
        self.under_way.close();
        if within(clock, drain, self.quiet()).await.is_some() {
            return 0;
        }
        let left = self.under_way.len();
        self.ends.give_up.cancel();
        if within(clock, GIVE_UP_WITHIN, self.quiet()).await.is_none() {
            // The store does not answer. What it was told is done whole or not at all; the rest counts as a start that never
            // settled, which is what it is.
            self.ends.cut.cancel();
            self.quiet().await;
        }
        left
    }

    async fn quiet(&self) {
        self.loops.wait().await;
        self.under_way.wait().await;
    }
}

impl Lane {
    fn new(dispatcher: &Dispatcher, active: watch::Receiver<Arc<Runnable>>, bell: Arc<Notify>) -> Self {
        let runnable = active.borrow().clone();
        let concurrency = runnable.integration.delivery.concurrency;
        Self {
            delivery: dispatcher.delivery.clone(),
            entrance: dispatcher.aliases.entrance(&runnable.integration.name, runnable.aliases(), bell.clone()),
            aliases: dispatcher.aliases.clone(),
            active,
            runnable,
            bell,
            permits: Arc::new(Semaphore::new(concurrency)),
            owed: 0,
            steps: Arc::new(Semaphore::new(concurrency)),
            settling: Arc::new(Semaphore::new(concurrency)),
            stop: dispatcher.stop.subscribe(),
            loops: dispatcher.loops.clone(),
            under_way: dispatcher.under_way.clone(),
            ends: dispatcher.ends.clone(),
            held_back_by: None,
            has_waited: false,
            had_suspect: false,
        }
    }

    async fn run(mut self) {
        loop {
            let Some(permit) = self.permit().await else { return };
            self.turn_to_what_is_active();
            if self.owed > 0 {
                self.owed -= 1;
                permit.forget();
                continue;
            }
            let batching = self.runnable.batching();
            if self.is_held_back() {
                drop(permit);
                self.wait(LOOK_AGAIN_AFTER).await;
                continue;
            }
            let Some(permits) = self.more(permit) else {
                self.wait(RAMP_LOOK).await;
                continue;
            };
            let seats = match self.entrance.admit(permits.len()) {
                Admission::Seats(seats) => seats,
                Admission::NotBefore(at) => {
                    drop(permits);
                    self.wait(at.since(self.delivery.clock.now()).max(Duration::from_millis(1))).await;
                    continue;
                }
            };
            let (limit, bytes_max) = batching.map_or((seats.left(), usize::MAX), |batching| self.first_of_a_batch(batching));
            match self.lease(limit, bytes_max).await {
                Ok(leased) if leased.is_empty() => {
                    drop((permits, seats));
                    let wait = self.until_due().await;
                    self.wait(wait).await;
                }
                Ok(leased) if *self.stop.borrow() => return self.give_back(&leased).await,
                Ok(leased) => match batching {
                    Some(batching) => self.start_batch(batching, leased, permits, seats).await,
                    None => {
                        leased.into_iter().zip(permits.into_iter().zip(seats)).for_each(|(leased, held)| self.start(leased, None, held))
                    }
                },
                Err(StoreError::Closed) => return,
                Err(why) => {
                    warn!(%why, integration = self.runnable.integration.name, "the message store gave no deliveries; looking again");
                    drop((permits, seats));
                    self.wait(LOOK_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Takes up the release that was switched to, if one was. Between a lease and its start there is no look: both are of one release.
    fn turn_to_what_is_active(&mut self) {
        // Who could switch may be gone with the host.
        if !self.active.has_changed().unwrap_or(false) {
            return;
        }
        let next = self.active.borrow_and_update().clone();
        let (before, after) = (self.runnable.integration.delivery.concurrency, next.integration.delivery.concurrency);
        self.entrance = self.aliases.entrance(&next.integration.name, next.aliases(), self.bell.clone());
        if before != after {
            self.resize(before, after);
        }
        self.runnable = next;
    }

    fn resize(&mut self, before: usize, after: usize) {
        let free = self.owed.min(after.saturating_sub(before));
        self.owed = self.owed - free + before.saturating_sub(after);
        self.permits.add_permits(after.saturating_sub(before) - free);
        // Those that run their steps or settle have the old ones: for a moment there are both.
        self.steps = Arc::new(Semaphore::new(after));
        self.settling = Arc::new(Semaphore::new(after));
    }

    /// Whether what it would make has no room. People are told once, and once that it goes on.
    fn is_held_back(&mut self) -> bool {
        let Delivery { store, catalog, events, waiting_max, .. } = &self.delivery;
        let by = catalog.full(&self.runnable, &**store, waiting_max.integration);
        if by != self.held_back_by {
            let integration = &self.runnable.integration.name;
            let (level, text) = match &by {
                Some(reader) => (Level::Warn, format!("waits: {reader}, which reads what it writes, has as much waiting as it may")),
                None => (Level::Info, "goes on: what it writes has room again".to_owned()),
            };
            info!(integration, "{text}");
            events.tell(Event::new(Kind::Host, level, text).of(integration));
            self.held_back_by.clone_from(&by);
        }
        by.is_some()
    }

    /// A permit of the integration, or none when the host stops.
    async fn permit(&mut self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => None,
            permit = self.permits.clone().acquire_owned() => permit.ok(),
        }
    }

    /// As many permits as are free, so that what is due is leased together; for a batch, one. None where people have paused it, or
    /// where as many run as may shortly after that.
    fn more(&self, first: OwnedSemaphorePermit) -> Option<Vec<OwnedSemaphorePermit>> {
        let Integration { name, delivery: policy, .. } = &self.runnable.integration;
        let running = policy.concurrency.saturating_sub(self.permits.available_permits() + 1);
        let room = match self.delivery.pauses.width(name, self.delivery.clock.now()) {
            Width::None => 0,
            Width::Ramp(width) => width.saturating_sub(running),
            Width::Full => usize::MAX,
        };
        let room = if self.runnable.batching().is_some() { room.min(1) } else { room };
        let mut permits = vec![first];
        while permits.len() < room
            && let Ok(permit) = self.permits.clone().try_acquire_owned()
        {
            permits.push(permit);
        }
        (room > 0).then_some(permits)
    }

    pub(super) async fn lease(&self, limit: usize, bytes_max: usize) -> Result<Vec<Leased>, StoreError> {
        let integration = self.runnable.integration.name.clone();
        self.delivery.store.lease(Lease { integration, now: self.delivery.clock.now(), limit, bytes_max }).await
    }

    /// What was handed out and has not started. All at once: each release is a command of the store, and they are committed together.
    pub(super) async fn give_back(&self, leased: &[Leased]) {
        let released = join_all(leased.iter().map(|leased| self.delivery.store.release(leased.id))).await;
        for why in released.into_iter().filter_map(Result::err) {
            warn!(%why, integration = self.runnable.integration.name, "a lease could not be given back; the next start runs it");
        }
    }

    pub(super) async fn until_due(&self) -> Duration {
        match self.delivery.store.next_due(&self.runnable.integration.name).await {
            Ok(None) => LOOK_AT_LEAST_EVERY,
            Ok(Some(due)) => due.since(self.delivery.clock.now()).max(Duration::from_millis(1)),
            Err(_) => LOOK_AGAIN_AFTER,
        }
    }

    /// Until the bell rings, `at_most` has passed or the host stops.
    pub(super) async fn wait(&mut self, at_most: Duration) {
        tokio::select! {
            biased;
            () = self.bell.notified() => {}
            () = self.delivery.clock.sleep(at_most.min(LOOK_AT_LEAST_EVERY)) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Starts one delivery, which has `held` as long as it is on its way, and until it is settled where too many settle already.
    pub(super) fn start(&self, leased: Leased, place: Option<Place>, held: impl Send + 'static) {
        reached(CrashPoint::Leased);
        let part = self.delivery.catalog.part(&self.runnable, &leased);
        let runnable = match &part {
            Some(Part::Trial(Trial { canary, side: Side::Candidate })) => canary.candidate.clone(),
            _ => self.runnable.clone(),
        };
        let (delivery, ends, settling) = (self.delivery.clone(), self.ends.clone(), self.settling.clone());
        self.under_way.spawn(async move {
            let mut held = Some(held);
            let mut settles = None;
            let walked = || {
                settles = settling.try_acquire_owned().ok();
                if settles.is_some() {
                    held = None;
                }
            };
            let delivered =
                AssertUnwindSafe(delivery.deliver((&runnable, part.as_ref()), &leased, place, &ends.give_up, walked)).catch_unwind();
            if let Some(Err(_panic)) = ends.cut.run_until_cancelled(delivered).await {
                // A fault in the host itself while it settled: the lease stays taken, so that it is not run in circles; the next
                // start counts it as one that never settled.
                let (id, integration) = (leased.id, leased.integration);
                error!(code = "LG-7999", ?id, integration, "a delivery panicked; it waits for the next start of the host");
            }
        });
    }
}
