//! [`Health`]: what is known about an alias's target: healthy, throttled, open (its breaker is), or refusing the credential. Pure.
//!
//! Depends on `breaker`, and on `clock` and `random` for their types. Three things are remembered side by side, since a target can
//! be down while it still asks to wait; what is shown is the worst of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::{Breaker, News, Sign};
use super::retry_after::{Asked, RETRY_AFTER_MAX};
use super::secret::Secret;
use crate::clock::Timestamp;
use crate::integration::{Backoff, Jitter};
use crate::random::{Random, uniform};

/// How often a credential that was refused is tried again without having changed: the target may have been mended.
pub const REFUSED_PROBE_EVERY: Duration = Duration::from_secs(5 * 60);
/// What is added to a wait a target asked for: up to a tenth, and no more than this. Never earlier than asked.
const THROTTLE_JITTER_MAX: Duration = Duration::from_secs(30);
/// A target that throttles without saying for how long, or for no time at all, is left alone for as long as this, longer each time.
const THROTTLE: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30), jitter: Jitter::Full };
/// A slow start doubles what it lets through at most once in this time.
const RAMP_STEP: Duration = Duration::from_secs(1);
/// A slow start is over when it would let as many deliveries run at once.
const RAMP_OVER: usize = 64;
/// How long those who meet a paused alias stay away, if nobody resumes it before: that rings their bells.
const PAUSED_LOOK: Duration = Duration::from_secs(60 * 60);
/// A target that was back for as long has proved itself: the next waits are short again.
const PROVED_AFTER: Duration = Duration::from_secs(60);

/// Why an alias sends nothing for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// The target asked to wait, or the alias's own rate is used up.
    Throttled,
    /// Too many requests failed: the breaker is open.
    Open,
    /// The target, or its token endpoint, refuses the credential.
    CredentialRefused,
    /// A person paused it.
    Paused,
}

impl Hold {
    /// The word of the state in JSON, metrics and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Open => "open",
            Self::CredentialRefused => "credential-refused",
            Self::Paused => "paused",
        }
    }
}

/// A gate that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub kind: Hold,
    pub until: Timestamp,
}

/// How many deliveries may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    None(Closed),
    /// One, to find out whether the target is back.
    Trial,
    /// A target that is just back is not met by everybody.
    Ramp(usize),
    Free,
}

/// Leave to send a request.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// Which target it is for.
    era: u64,
    /// Under which of the alias's credentials.
    credential_era: u64,
    generation: u64,
    /// Its outcome decides whether an open breaker closes.
    is_try: bool,
    try_number: Option<u64>,
}

/// What is shown about an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// None: healthy.
    pub hold: Option<Hold>,
    pub since: Timestamp,
    pub until: Option<Timestamp>,
    pub detail: Option<String>,
    /// `closed`, `open`, `half-open`
    pub breaker: &'static str,
}

#[derive(Debug)]
pub struct Health {
    /// Counts the targets there were.
    era: u64,
    /// Counts the credentials there were: another target, another `auth`, another secret.
    credential_era: u64,
    /// Counts what closed or opened the gate.
    generation: u64,
    healthy_since: Timestamp,
    throttle: Option<Spell>,
    /// Times it throttled in a row.
    throttled: u32,
    breaker: Breaker,
    ramp: Option<Ramp>,
    refusal: Option<Refusal>,
    /// Since when a person has it paused, and why. What it is besides goes on being known.
    paused: Option<(Timestamp, String)>,
}

/// A time in which nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spell {
    pub since: Timestamp,
    pub until: Timestamp,
    pub detail: String,
}

/// A slow start.
#[derive(Debug)]
struct Ramp {
    since: Timestamp,
    answered: usize,
}

#[derive(Debug)]
struct Refusal {
    spell: Spell,
    /// The secret that was refused; none if there was none to read.
    secret: Option<Secret>,
}

/// What of it outlives the host. A refused credential does not: a start is a good moment to try it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct KeptHealth {
    throttle: Option<Spell>,
    throttled: u32,
    breaker: Option<Spell>,
    openings: u32,
    /// When the slow start began, or is to begin.
    slowly_since: Option<Timestamp>,
}

impl Health {
    /// Healthy from `now` on, until proved otherwise.
    pub fn new(now: Timestamp) -> Self {
        Self {
            era: 0,
            credential_era: 0,
            generation: 0,
            healthy_since: now,
            throttle: None,
            throttled: 0,
            breaker: Breaker::default(),
            ramp: None,
            refusal: None,
            paused: None,
        }
    }

    /// Of a target of which nothing is known yet. What a person paused stays so.
    pub fn of_another_target(&self, now: Timestamp) -> Self {
        let (era, credential_era, generation) = (self.era + 1, self.credential_era + 1, self.generation + 1);
        Self { era, credential_era, generation, paused: self.paused.clone(), ..Self::new(now) }
    }

    /// The alias has another credential: what was said to the old one, and what is still heard of it, says nothing of this one. True if the
    /// old one was refused.
    pub fn has_another_credential(&mut self, now: Timestamp) -> bool {
        self.credential_era += 1;
        self.credential_is_taken(now)
    }

    /// Whether `ticket` was given under the credential the alias has now.
    pub fn is_of_this_credential(&self, ticket: Ticket) -> bool {
        ticket.credential_era == self.credential_era
    }

    /// How many deliveries may run at once.
    pub fn limit(&self, now: Timestamp) -> Limit {
        if let Some(closed) = self.closed(now) {
            return Limit::None(closed);
        }
        if self.breaker.opening().is_some() || self.refusal.is_some() {
            return Limit::Trial;
        }
        match &self.ramp {
            Some(ramp) if !self.has_proved_itself(ramp, now) => Limit::Ramp(ramp.width(now)),
            _ => Limit::Free,
        }
    }

    /// What closes the gate, the worst first.
    pub fn closed(&self, now: Timestamp) -> Option<Closed> {
        if self.paused.is_some() {
            return Some(Closed { kind: Hold::Paused, until: now.plus(PAUSED_LOOK) });
        }
        let refused = self.refusal.as_ref().map(|refusal| (Hold::CredentialRefused, refusal.spell.until));
        let open = self.breaker.opening().map(|opening| (Hold::Open, opening.until));
        let throttled = self.throttle.as_ref().map(|spell| (Hold::Throttled, spell.until));
        // One that has run out, with the target still down or the credential still refused, is due for a try.
        let (kind, until) = [refused, open, throttled].into_iter().flatten().find(|(_, until)| *until > now)?;
        Some(Closed { kind, until })
    }

    /// Leave to send, or why not. Of those who come when a hold has run out one is let through to find out, and the others wait
    /// up to `lease` for what it finds: a target that comes back is not met by everybody at once.
    pub fn enter(&mut self, now: Timestamp, lease: Duration) -> Result<Ticket, Closed> {
        if let Some(closed) = self.closed(now) {
            return Err(closed);
        }
        let try_number = self.breaker.begin_try(now, lease);
        if let Some(refusal) = &mut self.refusal {
            refusal.spell.until = now.plus(REFUSED_PROBE_EVERY);
        }
        Ok(self.ticket(try_number.is_some(), try_number))
    }

    /// Leave to send whatever is known, for a test a person asked for.
    pub fn force(&self) -> Ticket {
        self.ticket(true, None)
    }

    fn ticket(&self, is_try: bool, try_number: Option<u64>) -> Ticket {
        Ticket { era: self.era, credential_era: self.credential_era, generation: self.generation, is_try, try_number }
    }

    /// The holder of `ticket` sends no more.
    pub fn leave(&mut self, ticket: Ticket, now: Timestamp) {
        if let Some(number) = ticket.try_number.filter(|_| ticket.era == self.era) {
            self.breaker.end_try(number, now);
        }
    }

    /// Whether something was learned since `ticket` was given that closes the gate for its holder too.
    pub fn recheck(&self, ticket: Ticket, now: Timestamp) -> Result<(), Closed> {
        match self.closed(now) {
            Some(closed) if self.generation != ticket.generation => Err(closed),
            _ => Ok(()),
        }
    }

    /// Learns from an exchange.
    pub fn note(&mut self, ticket: Ticket, sign: Sign, now: Timestamp, random: &dyn Random, detail: &str) -> News {
        if ticket.era != self.era {
            return News::Nothing;
        }
        if self.ramp.as_ref().is_some_and(|ramp| now.since(ramp.since) >= PROVED_AFTER) && !self.is_open() {
            self.breaker.settled();
        }
        let news = self.breaker.note(sign, ticket.is_try, now, random, detail);
        match news {
            News::Opened | News::StillOpen => {
                self.generation += 1;
                self.ramp = None;
            }
            News::Closed => self.start_slowly(now),
            News::Nothing => {}
        }
        if sign == Sign::Answers {
            self.answered(now);
        }
        news
    }

    /// A slow start ends though few answers came in: deliveries that seldom ask this target are not held up by it.
    fn has_proved_itself(&self, ramp: &Ramp, now: Timestamp) -> bool {
        now.since(ramp.since) >= PROVED_AFTER && !self.breaker.is_failing(now)
    }

    fn answered(&mut self, now: Timestamp) {
        self.throttled = 0;
        if let Some(ramp) = &mut self.ramp {
            ramp.answered += 1;
            if ramp.width(now) >= RAMP_OVER {
                self.ramp = None;
                self.breaker.settled();
            }
        }
    }

    /// A person keeps back what is sent, from `since` on.
    pub fn pause(&mut self, since: Timestamp, reason: String) {
        self.paused = Some((since, reason));
        self.generation += 1;
    }

    /// It goes on, slowly at first. True if it was paused.
    pub fn resume(&mut self, now: Timestamp) -> bool {
        let news = self.paused.take().is_some();
        if news {
            self.start_slowly(now);
        }
        news
    }

    /// Since when it is paused, and why.
    pub fn paused(&self) -> Option<(Timestamp, String)> {
        self.paused.clone()
    }

    fn start_slowly(&mut self, now: Timestamp) {
        self.ramp = Some(Ramp { since: now, answered: 0 });
        self.recovered(now);
    }

    /// The target, which answers, asks everybody to wait; gives until when. Never shortens an earlier wait.
    pub fn throttle(&mut self, ticket: Ticket, now: Timestamp, asked: &Asked, random: &dyn Random, detail: String) -> Timestamp {
        if ticket.era == self.era {
            self.breaker.is_there();
        }
        if ticket.is_try && ticket.era == self.era {
            self.breaker.close();
        }
        let wait = match asked.wait {
            Some(wait) if wait >= THROTTLE.base => jittered(wait, wait / 10, random),
            // Nothing said, or nothing to be waited: however often it says so, it is not asked in a circle.
            _ => {
                let half = THROTTLE.ceiling(self.throttled) / 2;
                jittered(half, half, random)
            }
        };
        let until = now.plus(wait);
        if ticket.era != self.era {
            return until;
        }
        self.throttled = self.throttled.saturating_add(1);
        let running = self.throttle.take().filter(|spell| spell.until > now);
        let (since, until) = running.map_or((now, until), |spell| (spell.since, spell.until.max(until)));
        self.throttle = Some(Spell { since, until, detail });
        self.ramp = Some(Ramp { since: until, answered: 0 });
        self.generation += 1;
        until
    }

    /// A person has seen the target answer: a wait it asked for by mistake ends. True if there was one.
    pub fn end_throttle(&mut self, now: Timestamp) -> bool {
        self.throttled = 0;
        let ended = self.throttle.take().is_some_and(|spell| spell.until > now);
        if ended {
            self.start_slowly(now);
        }
        ended
    }

    /// The target took the credential. True if that is news.
    pub fn accepted(&mut self, ticket: Ticket, now: Timestamp) -> bool {
        self.is_of_this_credential(ticket) && self.credential_is_taken(now)
    }

    fn credential_is_taken(&mut self, now: Timestamp) -> bool {
        let news = self.refusal.take().is_some();
        if news {
            self.start_slowly(now);
        }
        news
    }

    /// The credential made of `secret` was refused. True if the alias was not refused before: tell its owner.
    pub fn refuse(&mut self, ticket: Ticket, now: Timestamp, secret: Option<Secret>, detail: String) -> bool {
        if !self.is_of_this_credential(ticket) {
            return false;
        }
        let before = self.refusal.take();
        let news = before.is_none();
        let since = before.map_or(now, |refusal| refusal.spell.since);
        self.refusal = Some(Refusal { spell: Spell { since, until: now.plus(REFUSED_PROBE_EVERY), detail }, secret });
        self.generation += 1;
        news
    }

    /// Whether the credential is refused, and was made of another secret than `now_read`.
    pub fn is_refused_with_other_than(&self, now_read: &Secret) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.secret.as_ref() != Some(now_read))
    }

    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Whether the breaker is open, or half-open.
    pub fn is_open(&self) -> bool {
        self.breaker.opening().is_some()
    }

    /// Whether its breaker, open or half-open, is all that keeps requests back.
    pub fn is_down(&self, now: Timestamp) -> bool {
        self.is_open() && self.refusal.is_none() && self.closed(now).is_none_or(|closed| closed.kind == Hold::Open)
    }

    pub fn condition(&self, now: Timestamp) -> Condition {
        let breaker = self.breaker.opening().map_or("closed", |opening| opening.as_str(now));
        let held = |hold, since, until, detail: &str| Condition {
            hold: Some(hold),
            since,
            until: Some(until),
            detail: Some(detail.to_owned()),
            breaker,
        };
        if let Some((since, reason)) = &self.paused {
            return Condition { until: None, ..held(Hold::Paused, *since, now, reason) };
        }
        if let Some(Refusal { spell, .. }) = &self.refusal {
            return held(Hold::CredentialRefused, spell.since, spell.until, &spell.detail);
        }
        if let Some(opening) = self.breaker.opening() {
            return held(Hold::Open, opening.since, opening.until, &opening.detail);
        }
        match &self.throttle {
            Some(spell) if spell.until > now => held(Hold::Throttled, spell.since, spell.until, &spell.detail),
            passed => {
                let since = passed.as_ref().map_or(self.healthy_since, |spell| spell.until.max(self.healthy_since));
                Condition { hold: None, since, until: None, detail: None, breaker }
            }
        }
    }

    pub fn kept(&self) -> KeptHealth {
        let opening = self.breaker.opening();
        KeptHealth {
            throttle: self.throttle.clone(),
            throttled: self.throttled,
            breaker: opening.map(|opening| Spell { since: opening.since, until: opening.until, detail: opening.detail.clone() }),
            openings: self.breaker.openings(),
            slowly_since: self.ramp.as_ref().map(|ramp| ramp.since),
        }
    }

    /// Takes up what was kept; nothing in it holds longer than a target may ask for.
    pub fn restore(&mut self, kept: KeptHealth, now: Timestamp) {
        let latest = now.plus(RETRY_AFTER_MAX);
        let bounded = |spell: Spell| Spell { since: spell.since.min(now), until: spell.until.min(latest), ..spell };
        self.throttle = kept.throttle.map(bounded).filter(|spell| now.since(spell.until) < PROVED_AFTER);
        self.throttled = if self.throttle.is_some() { kept.throttled } else { 0 };
        if let Some(Spell { since, until, detail }) = kept.breaker.map(bounded) {
            self.breaker.reopen(since, until, kept.openings, detail, now);
        }
        let slowly_since = kept.slowly_since.filter(|since| now.since(*since) < PROVED_AFTER);
        self.ramp = slowly_since.map(|since| Ramp { since: since.clamp(now, latest), answered: 0 });
    }

    fn recovered(&mut self, now: Timestamp) {
        self.generation += 1;
        if self.breaker.opening().is_none() && self.refusal.is_none() {
            self.healthy_since = now;
        }
    }
}

impl Ramp {
    /// From one upward: no faster than answers come in, and at most twice as many each second.
    fn width(&self, now: Timestamp) -> usize {
        let steps = now.since(self.since).as_millis() / RAMP_STEP.as_millis();
        let by_time = u32::try_from(steps).ok().and_then(|steps| 1_usize.checked_shl(steps)).unwrap_or(RAMP_OVER);
        by_time.min(self.answered + 1).min(RAMP_OVER)
    }
}

/// `wait` and up to `more`.
fn jittered(wait: Duration, more: Duration, random: &dyn Random) -> Duration {
    wait + uniform(random, more.min(THROTTLE_JITTER_MAX))
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
