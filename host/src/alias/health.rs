//! What is known about an alias's target: healthy, throttled, unreachable, or refusing the credential; and who may send now.
//!
//! Depends on `clock` and `random`. One lock, held for a few instructions. Three things are remembered side by side, since a target can
//! be down while it still asks to wait; what is shown is the worst of them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::secret::Secret;
use crate::clock::Timestamp;
use crate::integration::{Backoff, Jitter};
use crate::random::{Random, uniform};

/// Waits between tries at a target that cannot be reached: `uniform(0, ceiling)`.
const HOLD: Backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(10), jitter: Jitter::Full };
/// How often a credential that was refused is tried again without having changed: the target may have been mended.
pub const REFUSED_PROBE_EVERY: Duration = Duration::from_secs(5 * 60);
/// What is added to a wait a target asked for: up to a tenth, and no more than this. Never earlier than asked.
const THROTTLE_JITTER_MAX: Duration = Duration::from_secs(30);

/// Why an alias sends nothing for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// The target asked to wait.
    Throttled,
    /// The target could not be reached.
    Unreachable,
    /// The target, or its token endpoint, refuses the credential.
    CredentialRefused,
}

impl Hold {
    /// The word of the state in JSON, metrics and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::CredentialRefused => "credential-refused",
        }
    }
}

/// Whether deliveries to an alias may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// Not before `until`; it may open earlier, which `Aliases::changes` tells.
    Closed {
        kind: Hold,
        until: Option<Timestamp>,
    },
}

/// A gate that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub kind: Hold,
    pub until: Timestamp,
}

/// Leave to send one request. Two failures with the same generation are one outage, not two.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    generation: u64,
}

/// What is shown about an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// None: healthy.
    pub hold: Option<Hold>,
    pub since: Timestamp,
    pub until: Option<Timestamp>,
    pub detail: Option<String>,
}

#[derive(Debug)]
struct Known {
    generation: u64,
    healthy_since: Timestamp,
    throttle: Option<Spell>,
    outage: Option<(Spell, u32)>,
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Spell {
    since: Timestamp,
    until: Timestamp,
    detail: String,
}

#[derive(Debug)]
struct Refusal {
    spell: Spell,
    /// The secret that was refused; none if there was none to read.
    secret: Option<Secret>,
}

/// The health of one alias.
#[derive(Debug)]
pub struct Health(Mutex<Known>);

impl Health {
    /// Healthy from `now` on, until proved otherwise.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Known { generation: 0, healthy_since: now, throttle: None, outage: None, refusal: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn gate(&self, now: Timestamp) -> Gate {
        match self.lock().closed(now) {
            Some(Closed { kind, until }) => Gate::Closed { kind, until: Some(until) },
            None => Gate::Open,
        }
    }

    /// Leave to send whatever is known, for a test a person asked for.
    pub fn force(&self) -> Ticket {
        Ticket { generation: self.lock().generation }
    }

    pub fn condition(&self, now: Timestamp) -> Condition {
        self.lock().condition(now)
    }

    /// Leave to send, or why not. Of those who come when a hold has run out one is let through to find out, and the others wait
    /// up to `lease` for what it finds: a target that comes back is not met by everybody at once.
    pub fn enter(&self, now: Timestamp, lease: Duration) -> Result<Ticket, Closed> {
        let mut known = self.lock();
        if let Some(closed) = known.closed(now) {
            return Err(closed);
        }
        if let Some((spell, _)) = &mut known.outage {
            spell.until = now.plus(lease);
        }
        if let Some(refusal) = &mut known.refusal {
            refusal.spell.until = now.plus(REFUSED_PROBE_EVERY);
        }
        Ok(Ticket { generation: known.generation })
    }

    /// Whether something was learned since `ticket` was given that closes the gate for its holder too.
    pub fn recheck(&self, ticket: Ticket, now: Timestamp) -> Result<(), Closed> {
        let known = self.lock();
        match known.closed(now) {
            Some(closed) if known.generation != ticket.generation => Err(closed),
            _ => Ok(()),
        }
    }

    /// The target answered, whatever it said. True if that is news.
    pub fn answered(&self, now: Timestamp) -> bool {
        let mut known = self.lock();
        let news = known.outage.take().is_some();
        known.note_recovery(now, news);
        news
    }

    /// The target took the credential. True if that is news.
    pub fn accepted(&self, now: Timestamp) -> bool {
        let mut known = self.lock();
        let news = known.refusal.take().is_some();
        known.note_recovery(now, news);
        news
    }

    /// The target asks everybody to wait; gives until when. Never shortens an earlier wait.
    pub fn throttle(&self, now: Timestamp, wait: Duration, random: &dyn Random, detail: String) -> Timestamp {
        let until = now.plus(wait).plus(uniform(random, (wait / 10).min(THROTTLE_JITTER_MAX)));
        let mut known = self.lock();
        let running = known.throttle.take().filter(|spell| spell.until > now);
        let (since, until) = running.map_or((now, until), |spell| (spell.since, spell.until.max(until)));
        known.throttle = Some(Spell { since, until, detail });
        known.generation += 1;
        until
    }

    /// The target could not be reached. True if that is news.
    pub fn failed(&self, ticket: Ticket, now: Timestamp, random: &dyn Random, detail: String) -> bool {
        let mut known = self.lock();
        if known.generation != ticket.generation && known.outage.is_some() {
            return false;
        }
        let (since, failures) = known.outage.take().map_or((now, 0), |(spell, failures)| (spell.since, failures.saturating_add(1)));
        let until = now.plus(uniform(random, HOLD.ceiling(failures)));
        known.outage = Some((Spell { since, until, detail }, failures));
        known.generation += 1;
        true
    }

    /// No answer in time: says nothing about a healthy target, but does not prove one that was down to be back.
    pub fn timed_out(&self, ticket: Ticket, now: Timestamp, random: &dyn Random, detail: String) -> bool {
        let down = self.lock().outage.is_some();
        down && self.failed(ticket, now, random, detail)
    }

    /// The credential made of `secret` was refused. True if the alias was not refused before: tell its owner.
    pub fn refuse(&self, now: Timestamp, secret: Option<Secret>, detail: String) -> bool {
        let mut known = self.lock();
        let before = known.refusal.take();
        let news = before.is_none();
        let since = before.map_or(now, |refusal| refusal.spell.since);
        known.refusal = Some(Refusal { spell: Spell { since, until: now.plus(REFUSED_PROBE_EVERY), detail }, secret });
        known.generation += 1;
        news
    }

    /// Whether the credential is refused, and was made of another secret than `now_read`.
    pub fn is_refused_with_other_than(&self, now_read: &Secret) -> bool {
        self.lock().refusal.as_ref().is_some_and(|refusal| refusal.secret.as_ref() != Some(now_read))
    }

    pub fn is_refused(&self) -> bool {
        self.lock().refusal.is_some()
    }
}

impl Known {
    fn closed(&self, now: Timestamp) -> Option<Closed> {
        // One that has run out, with the target still down or the credential still refused, is due for a try.
        let (kind, spell) = self.holds().find(|(_, spell)| spell.until > now)?;
        Some(Closed { kind, until: spell.until })
    }

    /// What is known to stand in the way, worst first.
    fn holds(&self) -> impl Iterator<Item = (Hold, &Spell)> {
        let refused = self.refusal.as_ref().map(|refusal| (Hold::CredentialRefused, &refusal.spell));
        let down = self.outage.as_ref().map(|(spell, _)| (Hold::Unreachable, spell));
        let throttled = self.throttle.as_ref().map(|spell| (Hold::Throttled, spell));
        [refused, down, throttled].into_iter().flatten()
    }

    fn condition(&self, now: Timestamp) -> Condition {
        match self.holds().next() {
            Some((kind, spell)) if kind != Hold::Throttled || spell.until > now => {
                Condition { hold: Some(kind), since: spell.since, until: Some(spell.until), detail: Some(spell.detail.clone()) }
            }
            _ => {
                let since = self.throttle.as_ref().map_or(self.healthy_since, |spell| spell.until.max(self.healthy_since));
                Condition { hold: None, since, until: None, detail: None }
            }
        }
    }

    fn note_recovery(&mut self, now: Timestamp, news: bool) {
        if news {
            self.generation += 1;
            if self.outage.is_none() && self.refusal.is_none() {
                self.healthy_since = now;
            }
        }
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
