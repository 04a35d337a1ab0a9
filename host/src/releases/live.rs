//! [`LiveReleases`]: which releases run, and how another takes the place of one while messages flow.
//!
//! One switch at a time. What is on disk is switched first, in one transaction; what follows in memory cannot fail. Deliveries under way end
//! on the release they started on, which stays loaded as long as there are any; what starts afterwards starts on the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::sync::{MutexGuard, Notify, Semaphore};

use super::Active;
use super::consider::{Considered, Switch, Wanted};
use super::fits::FactsByDigest;
use super::ready::Loader;
use super::shadow::Shadowed;
use crate::alias::Aliases;
use crate::alias::secret::{Secret, SecretSource};
use crate::capability::queue::Channels;
use crate::clock::Clock;
use crate::config::{EnvironmentFile, HostConfig};
use crate::crash_point::{CrashPoint, reached};
use crate::delivery::{Catalog, Dispatcher, Retirements, Runnable};
use crate::ingress::{Intake, Routes};
use crate::integration::PinnedPlugin;
use crate::integration::{Order, Release};
use crate::message_store::StoreError;
use crate::message_store::sqlite::{Activation, By, How, SqliteStore};
use crate::plugin::limits::CALLS_BESIDE;
use crate::problem::{Code, Problem, Problems};
use crate::source::Sources;
use crate::telemetry::events::{Event, Events, Kind, Level};

/// What releases are switched in.
#[derive(Debug)]
pub struct Parts {
    pub store: SqliteStore,
    pub config: HostConfig,
    pub loader: Loader,
    pub secrets: Arc<dyn SecretSource>,
    pub catalog: Arc<Catalog>,
    pub channels: Channels,
    pub intake: Arc<Intake>,
    pub retirements: Arc<Retirements>,
    /// Rung when a reader has come that begins at a channel's beginning.
    pub take_over: Arc<Notify>,
    pub clock: Arc<dyn Clock>,
    pub events: Arc<Events>,
    /// The rules of these hold for shadows, too.
    pub aliases: Arc<Aliases>,
    pub host_key: Secret,
    /// The name of the environment.
    pub environment: String,
}

/// The releases of a host that runs.
#[derive(Debug)]
pub struct LiveReleases {
    parts: Parts,
    /// What runs them; none before the start is through.
    runs: OnceLock<(Arc<Dispatcher>, Arc<Sources>)>,
    changing: tokio::sync::Mutex<()>,
    outgoing: Mutex<Outgoing>,
    shadowed: Mutex<BTreeMap<String, Shadowed>>,
    /// For the calls of shadows, which are beside those of deliveries.
    places_beside: Arc<Semaphore>,
    /// What components say of themselves, by digest: each is read once.
    pub(super) facts: Mutex<FactsByDigest>,
}

/// What was replaced.
#[derive(Debug, Default)]
struct Outgoing {
    /// By integration what was active last: whoever goes back to it does not wait for it to be loaded.
    last: BTreeMap<String, Arc<Runnable>>,
    /// What may still have deliveries under way.
    before: Vec<Weak<Runnable>>,
}

/// Why nothing was switched.
#[derive(Debug)]
pub enum NotSwitched {
    /// Components that are not here.
    Lacks(Vec<PinnedPlugin>),
    /// What is wrong with what was wanted.
    Wrong(Problems),
    /// Somebody else was faster, or something stands in the way that is not wrong in itself.
    Conflict(Problem),
    /// There is no such release, or none to go back to.
    NotFound(Problem),
    Store(StoreError),
    /// The token of who asked has ended while others were at work.
    TokenEnded,
}

impl From<Problems> for NotSwitched {
    fn from(problems: Problems) -> Self {
        Self::Wrong(problems)
    }
}

impl From<Problem> for NotSwitched {
    fn from(problem: Problem) -> Self {
        Self::Wrong(problem.into())
    }
}

impl From<StoreError> for NotSwitched {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl NotSwitched {
    pub(super) fn overtaken(integration: &str, active: Option<&Active>) -> Self {
        let now = active.map_or("no release".to_owned(), |active| format!("release {}", active.id.short()));
        let message = format!("{integration} has {now} active by now: somebody else switched it meanwhile");
        Self::Conflict(Problem::new(Code::ReleaseMoved, message).fix("look at the difference again, then deploy again"))
    }

    pub(super) fn stopped() -> Self {
        Self::Store(StoreError::Closed)
    }
}

/// One switch at a time: whoever switches holds it, from the look at what is active on.
#[derive(Debug)]
pub struct Changing<'a> {
    releases: &'a Arc<LiveReleases>,
    _changing: MutexGuard<'a, ()>,
}

impl Drop for Changing<'_> {
    /// What was only looked at is not kept loaded.
    fn drop(&mut self) {
        self.releases.forget_what_is_over(Vec::new());
    }
}

impl LiveReleases {
    pub fn new(parts: Parts) -> Self {
        let (runs, changing, outgoing, shadowed, facts) = Default::default();
        // Half of the cores at most: deliveries are what the host is for.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let places_beside = Arc::new(Semaphore::new((cores / 2).clamp(1, CALLS_BESIDE as usize)));
        Self { parts, runs, changing, outgoing, shadowed, places_beside, facts }
    }

    /// Before this, nothing is switched.
    pub fn starts(&self, dispatcher: Arc<Dispatcher>, sources: Arc<Sources>) {
        // It starts once.
        let _ = self.runs.set((dispatcher, sources));
    }

    /// Keeps everybody else from switching.
    pub async fn change(self: &Arc<Self>) -> Changing<'_> {
        Changing { releases: self, _changing: self.changing.lock().await }
    }

    pub(super) fn config(&self) -> &HostConfig {
        &self.parts.config
    }

    pub(super) fn store(&self) -> &SqliteStore {
        &self.parts.store
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.parts.catalog
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    pub(super) fn shared_clock(&self) -> Arc<dyn Clock> {
        self.parts.clock.clone()
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.parts.channels
    }

    pub(super) fn aliases(&self) -> &Arc<Aliases> {
        &self.parts.aliases
    }

    pub(super) fn host_key(&self) -> &Secret {
        &self.parts.host_key
    }

    pub(super) fn environment_name(&self) -> &str {
        &self.parts.environment
    }

    pub(super) fn places_beside(&self) -> Arc<Semaphore> {
        self.places_beside.clone()
    }

    /// The shadow of what is active of `integration`.
    pub fn shadowed(&self, integration: &str) -> Option<Shadowed> {
        let shadowed = self.shadowed.lock().unwrap_or_else(PoisonError::into_inner).get(integration).cloned();
        shadowed.filter(|shadowed| !shadowed.shadow.over.is_cancelled())
    }

    pub(super) fn keep_shadowed(&self, integration: &str, shadowed: Shadowed) {
        self.shadowed.lock().unwrap_or_else(PoisonError::into_inner).insert(integration.to_owned(), shadowed);
    }

    pub(super) fn events(&self) -> &Events {
        &self.parts.events
    }

    pub(super) fn loader(&self) -> &Loader {
        &self.parts.loader
    }

    pub(super) fn secrets(&self) -> &dyn SecretSource {
        &*self.parts.secrets
    }

    pub(super) fn is_leaving(&self, integration: &str) -> bool {
        self.parts.retirements.has(integration)
    }

    /// Keeps everybody from retiring anything.
    pub(super) async fn retiring(&self) -> MutexGuard<'_, ()> {
        self.parts.retirements.change().await
    }

    /// What is active, those that are being retired counted.
    pub(super) async fn active(&self) -> Result<Vec<Active>, NotSwitched> {
        let stored = self.parts.store.releases().active().await?;
        Ok(stored.into_iter().map(Active::read).collect::<Result<_, _>>()?)
    }
}

impl Changing<'_> {
    pub(super) fn releases(&self) -> &Arc<LiveReleases> {
        self.releases
    }

    /// What would follow from having `wanted` active, with nothing done yet.
    ///
    /// # Errors
    /// What it lacks, what is wrong with it, that somebody else was faster, or that the store does not answer.
    pub async fn consider(&self, wanted: Vec<Wanted>, environment: &EnvironmentFile) -> Result<Considered, NotSwitched> {
        if self.releases.runs.get().is_none() {
            return Err(NotSwitched::stopped());
        }
        self.releases.consider(wanted, environment).await
    }

    /// A release of `integration` by the beginning of its id; without one, the one that was active before the one that is.
    ///
    /// # Errors
    /// That there is none, or that the store does not answer.
    pub async fn find(&self, integration: &str, release: Option<&str>) -> Result<Release, NotSwitched> {
        let releases = self.releases.parts.store.releases();
        let not_found = |message: String| {
            NotSwitched::NotFound(
                Problem::new(Code::NotFound, message).fix(format!("lockgate releases {integration} lists those there are")),
            )
        };
        let Some(prefix) = release else {
            let before = releases.before_the_active(integration).await?;
            let Some(id) = before else {
                return Err(not_found(format!("{integration} had no other release before: there is nothing to go back to")));
            };
            let release = releases.get(&id).await?;
            return release.ok_or_else(|| not_found(format!("{integration} has no release {}", id.short())));
        };
        let found = releases.by_prefix(integration, prefix).await?;
        found
            .map(|(release, _)| release)
            .ok_or_else(|| not_found(format!("{integration} has no release {prefix}, or more than one that begins so")))
    }

    /// Stores what is new, without activating it. Who stored it first stays its author.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn keep(&self, switches: &[Switch], author: &str) -> Result<(), StoreError> {
        let Parts { store, clock, .. } = &self.releases.parts;
        for switch in switches {
            store.releases().put(&switch.after.release, clock.now(), author).await?;
            reached(CrashPoint::ReleaseStored);
        }
        Ok(())
    }

    /// Switches: all of it, or nothing.
    ///
    /// # Errors
    /// That the store does not answer: nothing was switched.
    pub async fn switch(&self, switches: Vec<Switch>, routes: Routes, by: By) -> Result<(), StoreError> {
        if switches.is_empty() {
            return Ok(());
        }
        let Parts { store, clock, retirements, .. } = &self.releases.parts;
        let _retiring = retirements.change().await;
        self.keep(&switches, &by.who).await?;
        let activation = |switch: &Switch| {
            let trial_did = Some(self.releases.figures_of(&switch.after.integration.name)).filter(|figures| !figures.is_null());
            Activation { trial_did, ..switch.after.activation(switch.before.as_ref().map(|before| &before.integration)) }
        };
        let activations: Vec<_> = switches.iter().map(activation).collect();
        let takes_over = activations.iter().any(|activation| !activation.from_beginning.is_empty());
        store.releases().activate(activations, clock.now(), by.clone()).await?;
        reached(CrashPoint::ReleaseSwitched);
        self.releases.take_up(&switches, routes, takes_over);
        self.releases.free_lanes(&switches).await;
        self.releases.tell(&switches, &by);
        Ok(())
    }
}

impl LiveReleases {
    /// What is on disk by now holds in memory, too. Deliveries first, so that nothing comes in that nobody would deliver.
    fn take_up(&self, switches: &[Switch], routes: Routes, takes_over: bool) {
        let Parts { catalog, channels, intake, retirements, .. } = &self.parts;
        let Some((dispatcher, sources)) = self.runs.get() else { return };
        let replaced: Vec<_> = switches.iter().filter_map(|switch| catalog.get(&switch.after.integration.name)).collect();
        let tried = switches.iter().filter_map(|switch| catalog.tried(&switch.after.integration.name));
        tried.for_each(|tried| self.is_over(tried.candidate()));
        catalog.activate(switches.iter().map(|switch| switch.runnable.clone()));
        channels.set(catalog.channels());
        for Switch { runnable, after, .. } in switches {
            retirements.remove(&after.integration.name);
            dispatcher.run(runnable.clone());
            sources.run(runnable);
        }
        intake.replace_routes(routes);
        switches.iter().for_each(|switch| intake.set_leaving(&switch.after.integration.name, None));
        if takes_over {
            self.parts.take_over.notify_one();
        }
        self.forget_what_is_over(replaced);
    }

    /// `runnable` is not started any more; it stays loaded as long as deliveries are under way on it.
    pub(super) fn is_over(&self, runnable: &Arc<Runnable>) {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).before.push(Arc::downgrade(runnable));
    }

    /// Components that nothing runs any more are unloaded, but for those of what was active last. What is under way has its release in
    /// hand.
    fn forget_what_is_over(&self, replaced: Vec<Arc<Runnable>>) {
        self.shadowed.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, shadowed| !shadowed.shadow.over.is_cancelled());
        let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        outgoing.before.extend(replaced.iter().map(Arc::downgrade));
        outgoing.last.extend(replaced.into_iter().map(|runnable| (runnable.integration.name.clone(), runnable)));
        outgoing.before.retain(|one| one.strong_count() > 0);
        let still: Vec<Arc<Runnable>> = outgoing.before.iter().filter_map(Weak::upgrade).collect();
        let used = |runnable: &Arc<Runnable>| runnable.uses().map(|used| used.plugin.digest.clone()).collect::<Vec<_>>();
        let running: Vec<_> = self.parts.catalog.all().iter().flat_map(|one| self.parts.catalog.running(&one.integration.name)).collect();
        let digests: BTreeSet<String> = running.iter().chain(outgoing.last.values()).chain(&still).flat_map(used).collect();
        self.parts.loader.plugins.retain(&digests);
    }

    /// A dead letter stops its key in an integration that orders strictly. In one that does so no more, nobody would let them go.
    async fn free_lanes(&self, switches: &[Switch]) {
        for Switch { after, .. } in switches.iter().filter(|switch| switch.after.integration.delivery.order != Order::Strict) {
            let name = &after.integration.name;
            if let Err(error) = self.parts.store.free_lanes(name).await {
                tracing::error!(%error, integration = name, "keys that dead letters stopped could not be let go; the next start does it");
            }
        }
    }

    fn tell(&self, switches: &[Switch], by: &By) {
        for Switch { before, after, reorders, .. } in switches {
            let (integration, release, how) = (&after.integration.name, after.id.short(), by.how.as_str());
            let was = before.as_ref().map(|before| before.id.short());
            tracing::info!(by = by.who, integration, release, was, how, reorders, "release activated");
            let text = if by.how == How::Rollback { "an earlier release is active again" } else { "another release is active" };
            let event = Event::new(Kind::Operator, Level::Info, text).of(integration).with("release", release.to_owned());
            let event = event.with("by", by.who.clone()).with("how", how);
            self.parts.events.tell(match was {
                Some(was) => event.with("was", was.to_owned()),
                None => event,
            });
        }
    }
}
