//! How everything stands at one moment, as plain data: [`Overview`]. The API's status and the console's first page both show it.
//!
//! What it costs depends on how many integrations there are, not on how many messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ApiParts;
use crate::alias::{AliasStatus, Aliases};
use crate::clock::Timestamp;
use crate::delivery::{Pause, Retirement};
use crate::integration::{Entry, Integration, Owner, Sink, Source};
use crate::message_store::sqlite::Backfill;
use crate::message_store::sqlite::ledger::{CURVE_MINUTES, Curve, Minute, QueueRow};
use crate::message_store::{SourceState, StoreError};
use crate::telemetry::Latency;

/// Whole minutes that the rate is the mean of, with what has passed of the current one: short enough to see a target come back,
/// long enough not to jump.
const RATE_MINUTES: usize = 5;

/// Integrations and aliases at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    pub at: Timestamp,
    pub intake_open: bool,
    /// As much waits in all integrations together as may: every sender is told to come back.
    pub intake_full: bool,
    /// The active ones by name, then those that are not active any more: the ones that are retired, and any that are not empty.
    pub integrations: Vec<IntegrationOverview>,
    /// By name.
    pub aliases: Vec<AliasOverview>,
}

/// One integration.
#[derive(Clone, Debug)]
pub struct IntegrationOverview {
    pub name: String,
    /// None for one that is not active any more.
    pub owner: Option<Owner>,
    pub state: IntegrationState,
    pub paused: Option<Pause>,
    /// Since when it drains to be retired, or that it is.
    pub retirement: Option<Retirement>,
    /// The aliases it sends through that send nothing for now. Why they do not is in [`Overview::aliases`].
    pub held_by: Vec<String>,
    /// Readers of its channel of which as much waits as may: nothing more is made for them.
    pub held_by_readers: Vec<String>,
    /// Deliveries that have no outcome yet.
    pub waiting: u64,
    /// RFC 3339.
    pub oldest_accepted_at: Option<String>,
    pub oldest_waiting: Option<Duration>,
    /// Open ones.
    pub dead_letters: u64,
    /// Dead letters that stop their keys, where order is strict: nothing newer of them goes.
    pub stopped: u64,
    pub delivered_last_hour: u64,
    pub skipped_last_hour: u64,
    /// Delivered and skipped, the mean of the last five minutes.
    pub per_minute: f64,
    /// What waits, at the rate of the last five minutes, or of the last hour where nothing ended in those, and no sooner than its
    /// aliases' rates allow; at such a rate, where that is what holds it up. None where nothing waits or nothing ended, and while an
    /// alias sends nothing: what was says nothing of what will be.
    pub drained_in: Option<Duration>,
    /// None where nothing was delivered in the last hour since the host started.
    pub latency: Option<Latency>,
    /// None where nothing ended in the last hour.
    pub curve: Option<Curve>,
    /// Its sources that the host asks itself, in the order of its file.
    pub sources: Vec<SourceOverview>,
    /// Channels that it began at their beginning, and whose end it has not come to.
    pub takes_over: Vec<Backfill>,
}

/// A source that the host asks itself: a poll or a schedule.
#[derive(Clone, Debug)]
pub struct SourceOverview {
    /// `poll shop`, `schedule 0 2 * * * UTC`.
    pub source: String,
    /// None for one that was not asked yet.
    pub state: Option<SourceState>,
}

impl SourceOverview {
    /// Those of `integration`, with what is known of them.
    fn of(integration: &Integration, states: &mut BTreeMap<(String, String), SourceState>) -> Vec<Self> {
        let asked = integration.sources.iter().filter(|source| matches!(source.entry, Entry::Poll(_) | Entry::Schedule(_)));
        let overview = |source: &Source| {
            let state = states.remove(&(integration.name.clone(), source.entry.name()));
            Self { source: source.entry.origin(), state }
        };
        asked.map(overview).collect()
    }

    /// Where it stands, if it failed the last time for a reason that does not pass by itself.
    pub fn failing(&self) -> Option<&SourceState> {
        self.state.as_ref().filter(|state| state.last.result == "failed")
    }
}

/// One alias and what hangs on it.
#[derive(Clone, Debug)]
pub struct AliasOverview {
    pub status: AliasStatus,
    /// The active integrations that send through it, by name.
    pub integrations: Vec<String>,
    /// Deliveries that wait in them, whatever for: where the alias is not healthy, for it.
    pub waiting: u64,
    /// As many of its integrations have deliveries that wait.
    pub busy: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrationState {
    /// Nothing waits.
    Idle,
    Delivering,
    /// Messages wait and an alias sends nothing for now.
    Held,
    /// A person has paused it.
    Paused,
    /// It takes nothing new, and is inactive when nothing waits.
    Retiring,
    /// Not active any more: retired, or not empty.
    Inactive,
}

impl IntegrationState {
    /// The word for it in JSON and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Delivering => "delivering",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::Retiring => "retiring",
            Self::Inactive => "inactive",
        }
    }
}

impl Overview {
    /// How everything stands now.
    ///
    /// # Errors
    /// The message store cannot be read.
    pub async fn take(parts: &ApiParts) -> Result<Self, StoreError> {
        let at = parts.clock.now();
        let ledger = parts.store.ledger();
        let (queues, mut curves) = tokio::try_join!(ledger.queue(at), ledger.curves(at))?;
        let takes_over = parts.store.backfills().all().await?;
        let sources = ledger.sources().await?.into_iter();
        let mut sources: BTreeMap<_, _> = sources.map(|(integration, source, state)| ((integration, source), state)).collect();
        let mut queues: BTreeMap<String, QueueRow> = queues.into_iter().map(|queue| (queue.integration.clone(), queue)).collect();
        let mut aliases: BTreeMap<String, AliasOverview> = parts.aliases.states().into_iter().map(AliasOverview::named).collect();
        let mut integrations = Vec::new();
        for integration in parts.intake.routes().integrations() {
            let name = &integration.name;
            let mut overview = IntegrationOverview::new(queues.remove(name).unwrap_or_default(), curves.remove(name), at);
            overview.paused = parts.pauses.of(name);
            overview.retirement = parts.retirements.of(name);
            overview.latency = parts.metrics.latency(name, at);
            overview.is_active(integration, &mut aliases);
            overview.sources = SourceOverview::of(integration, &mut sources);
            overview.takes_over = takes_over.iter().filter(|backfill| backfill.integration == *name).cloned().collect();
            integrations.push(overview);
        }
        // What waits of an integration that is gone is not to be forgotten; nor, for who looks for it, one that was retired.
        for name in parts.retirements.done() {
            queues.entry(name.clone()).or_insert_with(|| QueueRow { integration: name, ..QueueRow::default() });
        }
        let left = queues.into_values().map(|queue| (parts.retirements.of(&queue.integration), queue));
        let left = left.filter(|(retirement, queue)| retirement.is_some() || queue.waiting > 0 || queue.dead_letters > 0);
        integrations.extend(left.map(|(retirement, queue)| {
            let curve = curves.remove(&queue.integration);
            IntegrationOverview { retirement, ..IntegrationOverview::new(queue, curve, at) }
        }));
        are_held_by_readers(&mut integrations, parts);
        for integration in &mut integrations {
            integration.goes_through(&aliases, &parts.aliases);
        }
        let waiting: u64 = integrations.iter().map(|one| one.waiting).sum();
        let intake_full = waiting >= parts.intake.waiting_max().host;
        Ok(Self { at, intake_open: parts.intake.is_open(), intake_full, integrations, aliases: aliases.into_values().collect() })
    }
}

impl IntegrationOverview {
    /// One that is not active, as far as the message store knows it.
    fn new(queue: QueueRow, curve: Option<Curve>, at: Timestamp) -> Self {
        let ended = Ended::of(curve.as_ref(), at);
        Self {
            name: queue.integration,
            owner: None,
            state: IntegrationState::Inactive,
            paused: None,
            retirement: None,
            held_by: Vec::new(),
            held_by_readers: Vec::new(),
            waiting: queue.waiting,
            oldest_accepted_at: queue.oldest_accepted_at,
            oldest_waiting: queue.oldest_waiting_ms.map(Duration::from_millis),
            dead_letters: queue.dead_letters,
            stopped: queue.stopped,
            delivered_last_hour: ended.delivered,
            skipped_last_hour: ended.skipped,
            per_minute: ended.per_minute,
            drained_in: ended.drained_in(queue.waiting),
            latency: None,
            curve,
            sources: Vec::new(),
            takes_over: Vec::new(),
        }
    }

    /// It is `integration`; each alias it sends through learns of it.
    fn is_active(&mut self, integration: &Integration, aliases: &mut BTreeMap<String, AliasOverview>) {
        self.name.clone_from(&integration.name);
        self.owner = Some(integration.owner.clone());
        let bound: BTreeSet<&str> =
            integration.uses().flat_map(|(_, step)| step.bindings.values()).map(|binding| binding.alias.as_str()).collect();
        for name in bound {
            let Some(alias) = aliases.get_mut(name) else { continue };
            alias.integrations.push(integration.name.clone());
            alias.waiting += self.waiting;
            alias.busy += usize::from(self.waiting > 0);
            if alias.status.is_held() {
                self.held_by.push(name.to_owned());
            }
        }
        self.state = match (self.waiting, self.held_by.is_empty()) {
            _ if self.retirement.is_some() => IntegrationState::Retiring,
            _ if self.paused.is_some() => IntegrationState::Paused,
            (0, _) => IntegrationState::Idle,
            (_, true) => IntegrationState::Delivering,
            (_, false) => IntegrationState::Held,
        };
    }
}

impl IntegrationOverview {
    /// When it is drained through `aliases`, of which it has its turns.
    fn goes_through(&mut self, aliases: &BTreeMap<String, AliasOverview>, rates: &Aliases) {
        let is_held = |name: &String| aliases.get(name).is_some_and(|alias| alias.status.limited_by.is_none());
        // What is behind a stopped key waits for a person.
        if self.paused.is_some() || self.stopped > 0 || !self.held_by_readers.is_empty() || self.held_by.iter().any(is_held) {
            self.drained_in = None;
            return;
        }
        let mut at_its_rate = None;
        for alias in aliases.values().filter(|alias| !alias.status.rate.is_empty() && alias.integrations.contains(&self.name)) {
            // Those that share it take turns.
            let before = self.waiting.saturating_mul(alias.busy as u64).min(alias.waiting);
            let least = rates.time_for(&alias.status.name, &self.name, before);
            if alias.status.limited_by.is_some() {
                at_its_rate = at_its_rate.max(Some(least));
            }
            self.drained_in = self.drained_in.map(|mean| mean.max(least));
        }
        if self.waiting > 0 {
            self.drained_in = at_its_rate.or(self.drained_in).map(|time| Duration::from_secs(time.as_secs_f64().ceil() as u64));
        }
    }
}

/// What a sink writes to is known; where plugins send to is not, before they do.
fn are_held_by_readers(integrations: &mut [IntegrationOverview], parts: &ApiParts) {
    let routes = parts.intake.routes();
    let most = parts.intake.waiting_max().integration;
    let full: BTreeSet<String> = integrations.iter().filter(|one| one.waiting >= most).map(|one| one.name.clone()).collect();
    if full.is_empty() {
        return;
    }
    for one in integrations {
        let Some(Sink::Channel(channel)) = routes.integration(&one.name).map(|integration| integration.sink.clone()) else { continue };
        let reads = |name: &&String| routes.integration(name).is_some_and(|reader| reader.reads(&channel).is_some());
        one.held_by_readers = full.iter().filter(reads).cloned().collect();
        if !one.held_by_readers.is_empty() && one.state == IntegrationState::Delivering {
            one.state = IntegrationState::Held;
        }
    }
}

impl AliasOverview {
    fn named(status: AliasStatus) -> (String, Self) {
        (status.name.clone(), Self { status, integrations: Vec::new(), waiting: 0, busy: 0 })
    }

    /// Whether requests through it go out as they come.
    pub fn is_healthy(&self) -> bool {
        self.status.state == "healthy"
    }
}

/// What an hour's curve comes to.
#[derive(Default)]
struct Ended {
    delivered: u64,
    skipped: u64,
    per_minute: f64,
}

impl Ended {
    fn of(curve: Option<&Curve>, at: Timestamp) -> Self {
        let Some(curve) = curve else { return Self::default() };
        let sum = |minutes: &[Minute], of: fn(&Minute) -> u64| minutes.iter().map(of).sum::<u64>();
        let latest = &curve.minutes[CURVE_MINUTES - RATE_MINUTES - 1..];
        let minutes = at.since(curve.from).as_secs_f64() / 60.0 - (CURVE_MINUTES - latest.len()) as f64;
        Self {
            delivered: sum(&curve.minutes, |minute| minute.delivered),
            skipped: sum(&curve.minutes, |minute| minute.skipped),
            per_minute: sum(latest, |minute| minute.delivered + minute.skipped) as f64 / minutes,
        }
    }

    fn drained_in(&self, waiting: u64) -> Option<Duration> {
        let last_hour = (self.delivered + self.skipped) as f64 / CURVE_MINUTES as f64;
        let per_minute = if self.per_minute > 0.0 { self.per_minute } else { last_hour };
        let minutes = waiting as f64 / per_minute;
        (waiting > 0 && minutes.is_finite()).then(|| Duration::from_secs((minutes * 60.0).ceil() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the middle of a minute.
    const NOW: Timestamp = Timestamp(1_700_000_070_000);

    fn ended(minutes: &[(usize, Minute)]) -> Ended {
        let mut curve = Curve::flat(NOW);
        minutes.iter().for_each(|(ago, minute)| curve.minutes[CURVE_MINUTES - 1 - ago] = *minute);
        Ended::of(Some(&curve), NOW)
    }

    #[test]
    fn has_no_time_to_drain_where_nothing_waits_or_nothing_ended() {
        assert_eq!(Ended::of(None, NOW).drained_in(7), None);
        assert_eq!(ended(&[(0, Minute { dead_lettered: 3, ..Minute::default() })]).drained_in(7), None);
        assert_eq!(ended(&[(0, Minute { delivered: 3, ..Minute::default() })]).drained_in(0), None);
    }

    #[test]
    fn takes_the_rate_of_the_last_five_minutes_and_what_has_passed_of_this_one() {
        let minute = |delivered, skipped| Minute { delivered, skipped, dead_lettered: 9 };
        let ended = ended(&[(0, minute(20, 0)), (5, minute(30, 5)), (6, minute(1_000, 0))]);
        assert_eq!((ended.delivered, ended.skipped), (1_050, 5));
        assert_eq!(ended.per_minute, 10.0, "55 in five and a half minutes");
        assert_eq!(ended.drained_in(100), Some(Duration::from_secs(600)));
    }

    #[test]
    fn takes_the_rate_of_the_hour_where_the_last_minutes_were_empty() {
        let ended = ended(&[(30, Minute { delivered: 60, ..Minute::default() })]);
        assert_eq!(ended.per_minute, 0.0);
        assert_eq!(ended.drained_in(3), Some(Duration::from_secs(180)));
    }
}
