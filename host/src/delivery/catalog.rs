//! [`Catalog`]: the active releases, ready to be run. Shared by delivery and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use super::canary::{Canary, Trial};
use super::feeds::Feeds;
use super::retirements::Retirements;
use super::shadow::{Configs, Shadow};
use crate::clock::Timestamp;
use crate::integration::{Batching, Binding, CallLimits, Entry, Grant, Integration, PinnedPlugin, Poll, ReleaseId, Sink, Step};
use crate::message::Message;
use crate::message_store::routing::delivery_for;
use crate::message_store::{Leased, NewDelivery};
use crate::plugin::Export;
use crate::plugin::limits::Limits;

/// One active release.
#[derive(Debug)]
pub struct Runnable {
    pub integration: Integration,
    pub release: ReleaseId,
    pub steps: Vec<Use>,
    /// None where the sink is a channel.
    pub sink: Option<Use>,
    pub polls: Vec<PollUse>,
    /// Whom its channels feed.
    pub feeds: Feeds,
}

/// The plugin of a source that polls.
#[derive(Clone, Debug)]
pub struct PollUse {
    /// Its place among the integration's sources, from 0.
    pub source: usize,
    pub poll: Poll,
    pub used: Use,
}

/// A plugin in its place, with everything its calls are given.
#[derive(Clone, Debug)]
pub struct Use {
    /// `step 1`, `sink`, `source 1`.
    pub place: String,
    pub plugin: PinnedPlugin,
    pub config: LiveConfig,
    pub grants: BTreeSet<Grant>,
    pub bindings: Arc<BTreeMap<String, Binding>>,
    pub limits: Arc<Limits>,
}

/// A plugin's config, the environment's values in it. These may come to be others while it runs: all copies of it are one.
#[derive(Clone, Debug)]
pub struct LiveConfig(Arc<RwLock<Arc<str>>>);

impl LiveConfig {
    fn new(config: Arc<str>) -> Self {
        Self(Arc::new(RwLock::new(config)))
    }

    /// What a call that begins now is given.
    pub fn now(&self) -> Arc<str> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls that begin from here on are given `config`.
    pub fn set(&self, config: Arc<str>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

impl Runnable {
    /// Joins an integration with its pinned plugins and resolved configurations, both in the order of `Integration::uses`.
    /// Its calls may use what the integration says, `ceiling` at most. None if their numbers differ: the release is damaged.
    pub fn new(integration: Integration, release: ReleaseId, pinned: &[(PinnedPlugin, Arc<str>)], ceiling: &CallLimits) -> Option<Self> {
        let limits = Arc::new(Limits::of(&CallLimits::of(&integration.limits, ceiling)));
        let mut uses = integration.uses().zip(pinned).map(|((place, step), pin)| used(place, step, pin, &limits));
        let steps: Vec<Use> = uses.by_ref().take(integration.steps.len()).collect();
        let sink = matches!(integration.sink, Sink::Plugin(_)).then(|| uses.next()).flatten();
        let polls = integration.polls().zip(uses);
        let polls: Vec<_> = polls.map(|((source, poll), used)| PollUse { source, poll: poll.clone(), used }).collect();
        if integration.uses().count() != pinned.len() {
            return None;
        }
        Some(Self { integration, release, steps, sink, polls, feeds: Feeds::default() })
    }

    /// How its sink is given several messages at once; none where it takes them one by one.
    pub fn batching(&self) -> Option<Batching> {
        self.sink.as_ref().and(self.integration.delivery.batch)
    }

    /// The export its sink is called at.
    pub fn sink_export(&self) -> Export {
        if self.batching().is_some() { Export::DeliverBatch } else { Export::Deliver }
    }

    /// Its plugins in their places, in the order of `Integration::uses`.
    pub fn uses(&self) -> impl Iterator<Item = &Use> {
        self.steps.iter().chain(&self.sink).chain(self.polls.iter().map(|poll| &poll.used))
    }

    /// The aliases its steps and its sink may use.
    pub fn aliases(&self) -> BTreeSet<&str> {
        self.steps.iter().chain(&self.sink).flat_map(Use::aliases).collect()
    }
}

impl Use {
    /// The aliases its plugin may use.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.bindings.values().map(|binding| binding.alias.as_str())
    }
}

fn used(place: String, step: &Step, (plugin, config): &(PinnedPlugin, Arc<str>), limits: &Arc<Limits>) -> Use {
    let (config, grants, bindings) = (LiveConfig::new(config.clone()), step.grants.clone(), Arc::new(step.bindings.clone()));
    Use { place, plugin: plugin.clone(), config, grants, bindings, limits: limits.clone() }
}

/// Everything that is active. What is active may come to be others while messages flow: who began with one keeps it.
#[derive(Debug, Default)]
pub struct Catalog {
    active: RwLock<Arc<BTreeMap<String, Arc<Runnable>>>>,
    /// What is tried beside what is active.
    tried: RwLock<BTreeMap<String, Beside>>,
    retirements: Arc<Retirements>,
}

/// What is tried beside what is active.
#[derive(Clone, Debug)]
pub enum Beside {
    Canary(Arc<Canary>),
    Shadow(Arc<Shadow>),
}

impl Beside {
    pub fn candidate(&self) -> &Arc<Runnable> {
        match self {
            Self::Canary(canary) => &canary.candidate,
            Self::Shadow(shadow) => &shadow.candidate,
        }
    }

    /// Whoever looks after it is told.
    fn is_over(&self) {
        match self {
            Self::Canary(canary) => canary.over.cancel(),
            Self::Shadow(shadow) => shadow.over.cancel(),
        }
    }
}

/// What a delivery has to do with what is tried beside its release.
#[derive(Clone, Debug)]
pub enum Part {
    Trial(Trial),
    /// It is shown to that one, whose plugins are configured so as it begins.
    Shadow(Arc<Shadow>, Configs),
}

impl Catalog {
    pub fn new(runnables: impl IntoIterator<Item = Runnable>) -> Self {
        let catalog = Self::default();
        catalog.activate(runnables.into_iter().map(Arc::new));
        catalog
    }

    /// Channels feed nothing that is among `retirements`, or comes to be.
    pub fn heeding(self, retirements: Arc<Retirements>) -> Self {
        Self { retirements, ..self }
    }

    /// From now on these are active, each in the place of the one of its name, all at once.
    pub fn activate(&self, runnables: impl IntoIterator<Item = Arc<Runnable>>) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::clone(&active);
        for runnable in runnables {
            let name = runnable.integration.name.clone();
            self.end_trial(&name);
            next.insert(name, runnable);
        }
        for runnable in next.values() {
            let readers = match &runnable.integration.sink {
                Sink::Channel(channel) => readers(&next, channel).map(|reader| reader.integration.name.clone()).collect(),
                Sink::Plugin(_) => BTreeSet::new(),
            };
            runnable.feeds.know_only(readers);
        }
        *active = Arc::new(next);
    }

    /// `tried` is tried from now on beside what is active of `integration`.
    pub fn try_beside(&self, integration: &str, tried: Beside) {
        let before = self.tried.write().unwrap_or_else(PoisonError::into_inner).insert(integration.to_owned(), tried);
        before.inspect(Beside::is_over);
    }

    /// What is tried in `integration` is so no more. Gives what it was.
    pub fn end_trial(&self, integration: &str) -> Option<Beside> {
        let ended = self.tried.write().unwrap_or_else(PoisonError::into_inner).remove(integration);
        ended.inspect(Beside::is_over)
    }

    /// What is tried in `integration`.
    pub fn tried(&self, integration: &str) -> Option<Beside> {
        self.tried.read().unwrap_or_else(PoisonError::into_inner).get(integration).cloned()
    }

    /// What `leased` has to do with what is tried beside `active`, if anything is.
    pub fn part(&self, active: &Runnable, leased: &Leased) -> Option<Part> {
        Some(match self.tried(&leased.integration)? {
            Beside::Shadow(shadow) => {
                let configs = shadow.configs();
                Part::Shadow(shadow, configs)
            }
            Beside::Canary(canary) => {
                let side = canary.side(&active.integration, leased);
                Part::Trial(Trial { canary, side })
            }
        })
    }

    /// All that runs of `integration`: what is active, and what is tried beside it.
    pub fn running(&self, integration: &str) -> Vec<Arc<Runnable>> {
        let candidate = self.tried(integration).map(|tried| tried.candidate().clone());
        self.get(integration).into_iter().chain(candidate).collect()
    }

    /// Whether `integration` takes nothing new.
    pub fn is_retiring(&self, integration: &str) -> bool {
        self.retirements.has(integration)
    }

    pub fn get(&self, integration: &str) -> Option<Arc<Runnable>> {
        self.now().get(integration).cloned()
    }

    /// All of them, as they are now, by name.
    pub fn all(&self) -> Vec<Arc<Runnable>> {
        self.now().values().cloned().collect()
    }

    fn now(&self) -> Arc<BTreeMap<String, Arc<Runnable>>> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The channels that somebody reads.
    pub fn channels(&self) -> BTreeSet<String> {
        let active = self.now();
        let entries = active.values().flat_map(|runnable| &runnable.integration.sources).map(|source| &source.entry);
        entries.filter_map(|entry| if let Entry::Channel { name, .. } = entry { Some(name.clone()) } else { None }).collect()
    }

    /// The deliveries that `message`, which `writer` writes to `channel`, gives: one for each reader. One that is being retired reads
    /// no more, but for what it writes itself, which belongs to what it has to finish.
    pub fn channel_deliveries(&self, writer: &str, channel: &str, message: &Message, due_at: Timestamp) -> Vec<NewDelivery> {
        self.now()
            .values()
            .filter(|runnable| runnable.integration.name == writer || !self.is_retiring(&runnable.integration.name))
            .filter_map(|runnable| {
                let source = runnable.integration.reads(channel)?;
                Some(delivery_for(&runnable.integration, source, message, due_at))
            })
            .collect()
    }
}

fn readers<'a>(active: &'a BTreeMap<String, Arc<Runnable>>, channel: &'a str) -> impl Iterator<Item = &'a Arc<Runnable>> {
    active.values().filter(move |runnable| runnable.integration.reads(channel).is_some())
}
