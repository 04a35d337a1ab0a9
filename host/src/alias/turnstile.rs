//! [`Turnstile`]: who may go through to an alias's target now: what is known of the target, the alias's rate and whose turn it is,
//! behind one lock that is held for a few instructions.
//!
//! Deliveries ask for seats before they start ([`Turnstile::admit`], through `admission`), requests for leave before they are sent
//! ([`Turnstile::enter`], [`Turnstile::slot`], from `endpoint`). Depends on `health`, `rate` and `turns`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::{News, Sign};
use super::health::{Closed, Condition, Health, Hold, KeptHealth, Limit, Ticket};
use super::passes::Passes;
use super::rate::{KeptWindow, Rate, RateLimit, RateUse, Refused};
use super::retry_after::Asked;
use super::secret::Secret;
use super::turns::{TURN_WITHIN, Turns, Who};
use crate::clock::Timestamp;
use crate::random::Random;

/// How long the one delivery that finds out whether a target is back may take before another is started.
const TRIAL_WITHIN: Duration = Duration::from_secs(10);
/// An alias whose rate is used up for less than this sends all the while.
const SHOWN_FROM: Duration = Duration::from_secs(2);
/// Whom the rate turns away asks again within [`SHOWN_FROM`]: if nobody was for as long as this, it is no bottleneck any more.
const BOTTLENECK_FOR: Duration = Duration::from_secs(5);

/// Whether deliveries to an alias may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// Not before `until`; it may open earlier.
    Closed {
        kind: Hold,
        until: Option<Timestamp>,
    },
}

/// Seats that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub seats: usize,
    /// How they are counted; none where nothing is.
    pub counted: Option<Counted>,
}

/// What a seat is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Under the alias's limits; without an epoch where only its rate limits it.
    Seats { epoch: Option<u64> },
    /// As passes.
    Passes,
}

/// What of an alias outlives the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kept {
    health: KeptHealth,
    rate: Vec<KeptWindow>,
    /// Nothing was sent after it was written.
    cleanly: bool,
}

/// A time in which there was more to send than the rate lets through.
#[derive(Clone, Copy, Debug)]
struct Bottleneck {
    since: Timestamp,
    /// When somebody was last turned away for it.
    last: Timestamp,
    limit: RateLimit,
}

/// How an alias is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Without `until` where it is throttled by its rate and sends all the while.
    pub condition: Condition,
    pub rate: Vec<RateUse>,
    /// The limit of its own that throttles it.
    pub limited_by: Option<RateLimit>,
}

/// The gate of one alias.
#[derive(Debug)]
pub struct Turnstile(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    health: Health,
    rate: Rate,
    turns: Turns,
    passes: Passes,
    /// Whether deliveries can do anything while the breaker is open.
    gives_passes: bool,
    bottleneck: Option<Bottleneck>,
    /// Seats taken while the alias limits them, counted anew whenever the limit becomes another one.
    taken: usize,
    epoch: u64,
    taken_at: Timestamp,
    is_to_be_kept: bool,
}

impl Turnstile {
    /// Healthy from `now` on, until proved otherwise.
    pub fn new(rate: &[RateLimit], now: Timestamp) -> Self {
        let (health, rate) = (Health::new(now), Rate::new(rate));
        // What is kept of a rate is there from the first request on.
        let is_to_be_kept = rate.is_limited();
        Self(Mutex::new(Inside {
            health,
            rate,
            turns: Turns::default(),
            passes: Passes::default(),
            gives_passes: false,
            bottleneck: None,
            taken: 0,
            epoch: 0,
            taken_at: now,
            is_to_be_kept,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats for up to `wanted` deliveries, or when to ask again at the latest; the bell rings if there is reason to ask earlier.
    pub fn admit(&self, who: &Who, wanted: usize, now: Timestamp) -> Result<Granted, Timestamp> {
        self.lock().admit(who, wanted, now)
    }

    /// `seats` are given back: their deliveries have ended, or never `began`.
    pub fn give_back(&self, integration: &str, seats: usize, counted: Counted, began: bool, now: Timestamp) {
        self.lock().give_back(integration, seats, counted, began, now);
    }

    /// Whether deliveries may start while the breaker is open: answers are kept.
    pub fn let_pass_while_open(&self, let_pass: bool) {
        self.lock().gives_passes = let_pass;
    }

    /// Nothing was sent for `integration` since the breaker is open, and nothing is kept; see [`Passes::missed`].
    pub fn missed(&self, integration: &Arc<str>, now: Timestamp) {
        self.lock().passes.missed(integration, now);
    }

    pub fn gate(&self, now: Timestamp) -> Gate {
        match self.lock().health.closed(now) {
            Some(Closed { kind, until }) => Gate::Closed { kind, until: Some(until) },
            None => Gate::Open,
        }
    }

    /// Leave to send a request, or why not; see [`Health::enter`].
    pub fn enter(&self, now: Timestamp, lease: Duration) -> Result<Ticket, Closed> {
        self.lock().health.enter(now, lease)
    }

    /// Leave to send whatever is known, for a test a person asked for.
    pub fn force(&self) -> Ticket {
        self.lock().health.force()
    }

    /// The holder of `ticket` sends no more.
    pub fn leave(&self, ticket: Ticket, now: Timestamp) {
        let mut inside = self.lock();
        inside.health.leave(ticket, now);
        inside.turns.ring(now);
    }

    pub fn recheck(&self, ticket: Ticket, now: Timestamp) -> Result<(), Closed> {
        self.lock().health.recheck(ticket, now)
    }

    /// When a request of `integration` may go within the alias's rate; see [`Rate::send`].
    pub fn slot(&self, integration: &Arc<str>, now: Timestamp, timeout: Duration) -> Result<Timestamp, Refused> {
        let mut inside = self.lock();
        let at = inside.rate.send(integration, now, timeout);
        if at != Ok(now) {
            inside.turned_away(now);
        }
        inside.is_to_be_kept |= inside.rate.is_to_be_kept();
        at
    }

    /// Learns from an exchange.
    pub fn note(&self, ticket: Ticket, sign: Sign, now: Timestamp, random: &dyn Random, detail: &str) -> News {
        let mut inside = self.lock();
        let news = inside.health.note(ticket, sign, now, random, detail);
        if news == News::Closed {
            inside.passes.forget();
        }
        if news != News::Nothing {
            inside.changed(now);
        }
        news
    }

    /// The target asks everybody to wait; gives until when.
    pub fn throttle(&self, ticket: Ticket, now: Timestamp, asked: &Asked, random: &dyn Random, detail: String) -> Timestamp {
        let mut inside = self.lock();
        let until = inside.health.throttle(ticket, now, asked, random, detail);
        inside.changed(now);
        until
    }

    /// See [`Health::end_throttle`].
    pub fn end_throttle(&self, now: Timestamp) -> bool {
        let mut inside = self.lock();
        let ended = inside.health.end_throttle(now);
        if ended {
            inside.changed(now);
        }
        ended
    }

    /// See [`Health::pause`].
    pub fn pause(&self, since: Timestamp, reason: String, now: Timestamp) {
        let mut inside = self.lock();
        inside.health.pause(since, reason);
        inside.changed(now);
    }

    /// See [`Health::resume`].
    pub fn resume(&self, now: Timestamp) -> bool {
        let mut inside = self.lock();
        let news = inside.health.resume(now);
        if news {
            inside.changed(now);
        }
        news
    }

    /// See [`Health::paused`].
    pub fn paused(&self) -> Option<(Timestamp, String)> {
        self.lock().health.paused()
    }

    /// The target took the credential. True if that is news.
    pub fn accepted(&self, ticket: Ticket, now: Timestamp) -> bool {
        let mut inside = self.lock();
        let news = inside.health.accepted(ticket, now);
        if news {
            inside.changed(now);
        }
        news
    }

    /// See [`Health::has_another_credential`].
    pub fn has_another_credential(&self, now: Timestamp) -> bool {
        let mut inside = self.lock();
        let news = inside.health.has_another_credential(now);
        if news {
            inside.changed(now);
        }
        news
    }

    /// See [`Health::is_of_this_credential`].
    pub fn is_of_this_credential(&self, ticket: Ticket) -> bool {
        self.lock().health.is_of_this_credential(ticket)
    }

    /// The credential made of `secret` was refused. True if that is news.
    pub fn refuse(&self, ticket: Ticket, now: Timestamp, secret: Option<Secret>, detail: String) -> bool {
        let mut inside = self.lock();
        if !inside.health.is_of_this_credential(ticket) {
            return false;
        }
        inside.start_counting();
        inside.health.refuse(ticket, now, secret, detail)
    }

    pub fn is_refused_with_other_than(&self, now_read: &Secret) -> bool {
        self.lock().health.is_refused_with_other_than(now_read)
    }

    pub fn is_refused(&self) -> bool {
        self.lock().health.is_refused()
    }

    /// Whether its breaker is open, or half-open.
    pub fn is_open(&self) -> bool {
        self.lock().health.is_open()
    }

    /// How the alias is shown: its health, and where that is good, whether its own rate throttles it.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let mut inside = self.lock();
        let mut condition = inside.health.condition(now);
        let mut limited_by = None;
        if condition.hold.is_none() {
            if let Some((until, limit)) = inside.rate.used_up_until(now)
                && until.since(now) >= SHOWN_FROM
            {
                (condition.until, limited_by) = (Some(until), Some(limit));
                condition.detail = Some(format!("its rate of {limit} is used up"));
            } else if let Some(Bottleneck { since, limit, .. }) = inside.bottleneck(now) {
                (condition.since, limited_by) = (since, Some(limit));
                condition.detail = Some(format!("its rate of {limit} is the bottleneck"));
            }
            condition.hold = limited_by.map(|_| Hold::Throttled);
        }
        Standing { condition, rate: inside.rate.shown(now), limited_by }
    }

    /// See [`Rate::time_for`].
    pub fn time_for(&self, integration: &str, deliveries: u64, now: Timestamp) -> Duration {
        self.lock().rate.time_for(integration, deliveries, now)
    }

    /// What is to be written of it, if that has changed since it was asked last.
    pub fn changed_to_keep(&self, now: Timestamp) -> Option<Kept> {
        let mut inside = self.lock();
        if !std::mem::take(&mut inside.is_to_be_kept) {
            return None;
        }
        Some(Kept { health: inside.health.kept(), rate: inside.rate.kept_ahead(now), cleanly: false })
    }

    /// Whether there is something to be written.
    pub fn is_to_be_kept(&self) -> bool {
        self.lock().is_to_be_kept
    }

    /// What is to be written of it when nothing more is sent.
    pub fn kept(&self, now: Timestamp) -> Kept {
        let mut inside = self.lock();
        Kept { health: inside.health.kept(), rate: inside.rate.kept(now), cleanly: true }
    }

    /// The alias has another rate now. What was sent counts within the limits that stay.
    pub fn limit(&self, limits: &[RateLimit], now: Timestamp) {
        let mut inside = self.lock();
        inside.rate = inside.rate.with_limits(limits, now);
        inside.changed(now);
    }

    /// The alias leads to another target now: what was known of the old one and its credential is forgotten, and what is still heard of
    /// them ignored.
    pub fn lead_elsewhere(&self, now: Timestamp) {
        let mut inside = self.lock();
        inside.health = inside.health.of_another_target(now);
        inside.changed(now);
    }

    /// Takes up what was written before a restart.
    pub fn restore(&self, kept: Kept, now: Timestamp) {
        let mut inside = self.lock();
        inside.rate.restore(&kept.rate, kept.cleanly, now);
        inside.health.restore(kept.health, now);
    }
}

impl Inside {
    fn admit(&mut self, who: &Who, wanted: usize, now: Timestamp) -> Result<Granted, Timestamp> {
        let limit = self.health.limit(now);
        if limit == Limit::Free && !self.rate.is_limited() {
            self.turns.ring_all();
            return Ok(Granted { seats: wanted, counted: None });
        }
        let passes = (self.gives_passes && self.health.is_down(now)).then(|| self.passes.room(&who.integration, now));
        if let Some(Ok(room)) = passes {
            self.turns.leave(&who.integration);
            if limit == Limit::Trial {
                self.turns.ring(now);
            }
            let seats = wanted.min(room);
            self.passes.give(&who.integration, seats);
            return Ok(Granted { seats, counted: Some(Counted::Passes) });
        }
        if let Limit::None(Closed { until, .. }) = limit {
            self.turns.wait(who);
            return Err(passes.and_then(Result::err).map_or(until, |pass_at| pass_at.min(until)));
        }
        if !self.turns.is_turn_of(&who.integration, now) {
            self.turns.wait(who);
            self.turns.ring(now);
            return Err(now.plus(TURN_WITHIN));
        }
        let by_rate = if self.rate.is_limited() { self.rate.seats(&who.integration, now) } else { usize::MAX };
        if by_rate == 0 {
            self.turned_away(now);
        }
        let room = self.room(limit, now).min(by_rate);
        let sharers = self.turns.count_with(&who.integration);
        let seats = room.div_ceil(sharers).min(wanted);
        if seats == 0 {
            self.turns.wait(who);
            return Err(self.ask_again(limit, &who.integration, now));
        }
        self.turns.leave(&who.integration);
        if room > seats {
            self.turns.ring(now);
        }
        let epoch = self.take(limit, seats, now);
        if self.rate.is_limited() {
            self.rate.hold(&who.integration, u32::try_from(seats).unwrap_or(u32::MAX));
        }
        Ok(Granted { seats, counted: Some(Counted::Seats { epoch }) })
    }

    /// Somebody has to wait for the rate.
    fn turned_away(&mut self, now: Timestamp) {
        let since = self.bottleneck(now).map_or(now, |bottleneck| bottleneck.since);
        self.bottleneck = self.rate.tightest(now).map(|limit| Bottleneck { since, last: now, limit });
    }

    fn bottleneck(&self, now: Timestamp) -> Option<Bottleneck> {
        self.bottleneck.filter(|bottleneck| bottleneck.last.plus(BOTTLENECK_FOR) > now)
    }

    /// Seats that the target's health leaves.
    fn room(&mut self, limit: Limit, now: Timestamp) -> usize {
        match limit {
            Limit::None(_) => 0,
            Limit::Free => usize::MAX,
            Limit::Ramp(width) => self.slow_room(width),
            Limit::Trial => {
                if self.taken_at.plus(TRIAL_WITHIN) <= now {
                    self.start_counting();
                }
                1_usize.saturating_sub(self.taken)
            }
        }
    }

    /// Seats of a slow start. Those who passed while the target was down meet it, too, now that it is back; but should they hang
    /// elsewhere, one other goes on.
    fn slow_room(&self, width: usize) -> usize {
        width.saturating_sub(self.taken + self.passes.under_way()).max(usize::from(self.taken == 0))
    }

    /// Counts `seats` that are taken, where they are counted.
    fn take(&mut self, limit: Limit, seats: usize, now: Timestamp) -> Option<u64> {
        matches!(limit, Limit::Ramp(_) | Limit::Trial).then(|| {
            self.taken += seats;
            self.taken_at = now;
            self.epoch
        })
    }

    /// When one who found no seat asks again, if no bell rings before.
    fn ask_again(&self, limit: Limit, integration: &str, now: Timestamp) -> Timestamp {
        let by_health = match limit {
            Limit::Trial if self.taken > 0 => self.taken_at.plus(TRIAL_WITHIN),
            Limit::Ramp(width) if self.slow_room(width) == 0 => now.plus(TURN_WITHIN),
            _ => now,
        };
        let by_rate = if self.rate.is_limited() { self.rate.next_seat(integration, now) } else { None };
        let at = by_health.max(by_rate.unwrap_or(now));
        if at > now { at } else { now.plus(TURN_WITHIN) }
    }

    fn give_back(&mut self, integration: &str, seats: usize, counted: Counted, began: bool, now: Timestamp) {
        match counted {
            Counted::Passes => self.passes.take_back(integration, seats),
            Counted::Seats { epoch } => {
                if epoch == Some(self.epoch) {
                    self.taken = self.taken.saturating_sub(seats);
                }
                self.rate.give_back(integration, u32::try_from(seats).unwrap_or(u32::MAX), began);
            }
        }
        self.turns.ring(now);
    }

    /// What is known of the target has changed: another limit, and perhaps an earlier turn for those who wait.
    fn changed(&mut self, now: Timestamp) {
        self.start_counting();
        self.is_to_be_kept = true;
        self.turns.ring(now);
    }

    fn start_counting(&mut self) {
        self.epoch += 1;
        self.taken = 0;
    }
}

#[cfg(test)]
#[path = "turnstile_tests.rs"]
mod tests;
