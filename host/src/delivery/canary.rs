//! [`Canary`]: a release that is tried on a share of an integration's keys, beside the active one, and how both do.
//!
//! A key is on one side as long as the trial lasts: its hash says on which. What the candidate would make a dead letter is tried once more
//! by the active release, so that a trial costs no message. It is worse than the active release where more of its attempts fail, or they
//! take longer, by a margin over a minimum; whoever keeps the trial ends it then. Pure but for its counts; depends on what is leased and
//! settled.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::catalog::Runnable;
use crate::integration::Integration;
use crate::message_store::{DeliveryId, Leased, Settle, Settlement};

/// All of the keys, in the unit of [`Canary::share`].
pub const WHOLE: u32 = 1000;
/// Attempts of the candidate before its figures are held against those of the active release.
pub const ATTEMPTS_MIN: u64 = 50;
/// By so much more of its attempts may fail.
pub const FAILING_MARGIN: f64 = 0.05;
/// Failures after which the candidate is not tried any longer where most of its attempts fail, and not those of the active release.
pub const FAILURES_AT_ONCE: u64 = 5;
const MOST: f64 = 0.5;
/// Of its attempts nine in ten may take so many times as long, and so much more.
pub const SLOWER: f64 = 1.5;
pub const SLOWER_BY: Duration = Duration::from_millis(20);
/// Attempts of one side whose time is remembered.
const TIMES_KEPT: usize = 1000;
/// Deliveries that the candidate could not do and that are left to the active release; over it they are dead letters as any other.
const SPARED_MAX: usize = 10_000;

/// A trial.
#[derive(Debug)]
pub struct Canary {
    pub candidate: Arc<Runnable>,
    /// Of the keys, in thousandths.
    pub share: u32,
    inside: Mutex<Inside>,
    /// Rung with each attempt of the candidate.
    noted: Notify,
    /// The trial is over, however it ended.
    pub over: CancellationToken,
}

#[derive(Debug, Default)]
struct Inside {
    active: Tally,
    candidate: Tally,
    spared: BTreeSet<DeliveryId>,
}

/// How one side does.
#[derive(Clone, Debug, Default)]
struct Tally {
    attempts: u64,
    failed: u64,
    /// Of the latest attempts, in milliseconds.
    times: VecDeque<u64>,
}

/// On which side a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Active,
    Candidate,
}

/// The figures of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SideFigures {
    /// Without those that met a target that is down.
    pub attempts: u64,
    pub failed: u64,
    /// Nine in ten took no longer.
    pub p90_ms: u64,
}

/// How both sides do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    pub active: SideFigures,
    pub candidate: SideFigures,
}

/// A delivery's part in a trial.
#[derive(Clone, Debug)]
pub struct Trial {
    pub canary: Arc<Canary>,
    pub side: Side,
}

impl Canary {
    pub fn new(candidate: Arc<Runnable>, share: u32) -> Arc<Self> {
        let (inside, noted, over) = (Mutex::default(), Notify::new(), CancellationToken::new());
        Arc::new(Self { candidate, share, inside, noted, over })
    }

    /// On which side `leased` is, of a trial in `integration`.
    pub fn side(&self, integration: &Integration, leased: &Leased) -> Side {
        if self.lock().spared.contains(&leased.id) {
            return Side::Active;
        }
        if share_of(&key_of(integration, leased)) < self.share { Side::Candidate } else { Side::Active }
    }

    /// How both sides do.
    pub fn figures(&self) -> Figures {
        let inside = self.lock();
        Figures { active: inside.active.figures(), candidate: inside.candidate.figures() }
    }

    /// Until the candidate is worse; says how. Never, where it is not.
    pub async fn worse(&self) -> String {
        loop {
            let noted = self.noted.notified();
            if let Some(why) = self.figures().worse() {
                return why;
            }
            noted.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trial {
    /// Counts an attempt. What the candidate would make a dead letter is put back for the active release.
    pub fn judge(&self, leased: &Leased, settle: &mut Settle) {
        let mut inside = self.canary.lock();
        let tally = if self.side == Side::Candidate { &mut inside.candidate } else { &mut inside.active };
        // One that met a target that is down says nothing of the release.
        if !matches!(settle.settlement, Settlement::Waits { .. }) {
            let took = settle.attempt.ended_at.since(settle.attempt.started_at);
            tally.note(matches!(settle.settlement, Settlement::Retries { .. } | Settlement::DeadLettered { .. }), took);
        }
        if self.side == Side::Active {
            inside.spared.remove(&leased.id);
            return;
        }
        if matches!(settle.settlement, Settlement::DeadLettered { .. }) && inside.spared.len() < SPARED_MAX {
            inside.spared.insert(leased.id);
            settle.settlement = Settlement::Retries { due_at: settle.attempt.ended_at };
        }
        drop(inside);
        self.canary.noted.notify_waiters();
    }
}

impl Tally {
    fn note(&mut self, failed: bool, took: Duration) {
        self.attempts += 1;
        self.failed += u64::from(failed);
        if self.times.len() == TIMES_KEPT {
            self.times.pop_front();
        }
        self.times.push_back(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    fn figures(&self) -> SideFigures {
        let mut times: Vec<u64> = self.times.iter().copied().collect();
        times.sort_unstable();
        let p90_ms = times.get(times.len() * 9 / 10).or(times.last()).copied().unwrap_or(0);
        SideFigures { attempts: self.attempts, failed: self.failed, p90_ms }
    }
}

impl Figures {
    /// Why the candidate is worse; none where it is not, or where that cannot be said yet.
    pub fn worse(&self) -> Option<String> {
        let Self { active, candidate } = self;
        let (fails, failed) = (rate(candidate), rate(active));
        let said = |figures: &SideFigures| format!("{} of {} attempts", figures.failed, figures.attempts);
        let at_once = candidate.failed >= FAILURES_AT_ONCE && fails > MOST && failed < MOST;
        let in_time = candidate.attempts >= ATTEMPTS_MIN && fails > failed + FAILING_MARGIN;
        if at_once || in_time {
            return Some(format!("{} of the candidate failed, and {} of the active release", said(candidate), said(active)));
        }
        let enough = candidate.attempts >= ATTEMPTS_MIN && active.attempts >= ATTEMPTS_MIN;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an attempt")]
        let most = active.p90_ms as f64 * SLOWER + SLOWER_BY.as_secs_f64() * 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an attempt")]
        let slower = candidate.p90_ms as f64 > most;
        let why = || {
            let (slow, usual) = (candidate.p90_ms, active.p90_ms);
            format!("nine in ten attempts of the candidate took up to {slow} ms, and {usual} ms of the active release")
        };
        (enough && slower).then(why)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of attempts")]
fn rate(figures: &SideFigures) -> f64 {
    if figures.attempts == 0 { 0.0 } else { figures.failed as f64 / figures.attempts as f64 }
}

/// What keeps a delivery on its side: the key that its source says, else the one that its message has, else the message itself.
fn key_of(integration: &Integration, leased: &Leased) -> String {
    let message = &leased.message;
    let source = integration.sources.iter().find(|source| source.entry.origin() == message.origin);
    let own = source.and_then(|source| source.key.as_ref()).and_then(|rule| rule.find_key(&message.headers, &message.body).ok());
    own.or_else(|| message.key.clone()).map_or_else(|| message.id.to_string(), |key| key.0)
}

/// Where a key stands among all keys, in thousandths.
fn share_of(key: &str) -> u32 {
    let hash = Sha256::digest(key.as_bytes());
    let first = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    u32::try_from(first % u64::from(WHOLE)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(active: (u64, u64, u64), candidate: (u64, u64, u64)) -> Figures {
        let side = |(attempts, failed, p90_ms)| SideFigures { attempts, failed, p90_ms };
        Figures { active: side(active), candidate: side(candidate) }
    }

    #[test]
    fn is_worse_by_a_margin_over_a_minimum_and_no_sooner() {
        for (active, candidate, is_worse) in [
            ((0, 0, 0), (0, 0, 0), false),
            // Four failures in a row may be chance; five are not, unless the active release fails as well.
            ((40, 0, 5), (4, 4, 5), false),
            ((40, 0, 5), (5, 5, 5), true),
            ((0, 0, 0), (5, 5, 5), true),
            ((40, 30, 5), (5, 5, 5), false),
            // Fewer failures take more attempts to tell.
            ((400, 4, 5), (49, 9, 5), false),
            ((400, 4, 5), (50, 9, 5), true),
            ((400, 4, 5), (100, 6, 5), false),
            // Slower, by half and a bit.
            ((400, 0, 100), (50, 0, 170), false),
            ((400, 0, 100), (50, 0, 171), true),
            ((49, 0, 100), (500, 0, 999), false),
            ((400, 0, 1), (50, 0, 21), false),
        ] {
            assert_eq!(figures(active, candidate).worse().is_some(), is_worse, "{active:?} {candidate:?}");
        }
    }

    #[test]
    fn keys_are_spread_over_all_shares() {
        let keys = (0..10_000).map(|number| share_of(&format!("customer {number}")));
        let (below, all) = keys.fold((0, 0), |(below, all), share| (below + u32::from(share < 100), all + 1));
        assert!((800..1200).contains(&below), "{below} of {all}");
    }
}
