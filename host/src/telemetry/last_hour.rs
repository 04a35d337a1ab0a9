//! [`LastHour`]: how long deliveries of each integration took, over an hour that rolls on. In memory: a restart begins anew, and
//! [`Latency::since`] says from when the figures are.
//!
//! A histogram of [`BUCKETS`] counts for every five minutes in which something was delivered; what was not used costs nothing. Up to
//! 15 ms a figure is exact, beyond that the middle of a bucket whose width is an eighth of its power of two: off by at most a
//! sixteenth, 6.25 %.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Timestamp;

/// Milliseconds of a slot: what is forgotten at once when the hour rolls on.
const SLOT_MS: i64 = 5 * 60_000;
/// The one that is being filled included, so that figures cover the last 55 to 60 minutes.
const SLOTS: i64 = 12;
/// Below this many milliseconds each has a bucket of its own.
const EXACT_BELOW: u64 = 16;
/// Buckets of a power of two.
const PER_OCTAVE: u64 = 8;
/// 2^31 ms, 24 days: what took longer counts as that long.
const OCTAVES: u64 = 27;
/// 232 counts, just under 1 KiB.
const BUCKETS: usize = (EXACT_BELOW + OCTAVES * PER_OCTAVE) as usize;

/// From accepted to delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    pub p50: Duration,
    pub p99: Duration,
    /// Deliveries the figures are of.
    pub delivered: u64,
    /// Nothing delivered before this is in them: an hour ago or less, after a start the time of its first delivery.
    pub since: Timestamp,
}

/// The rolling hours of all integrations. There are as many as the workspace has integrations.
#[derive(Debug, Default)]
pub struct LastHour(RwLock<BTreeMap<String, Mutex<Hour>>>);

impl LastHour {
    /// A delivery of `integration` reached its sink at `at`, `took` after its message was accepted.
    pub fn record(&self, integration: &str, at: Timestamp, took: Duration) {
        {
            let hours = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(hour) = hours.get(integration) {
                return hour.lock().unwrap_or_else(PoisonError::into_inner).record(at, took);
            }
        }
        let mut hours = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let hour = hours.entry(integration.to_owned()).or_default();
        hour.get_mut().unwrap_or_else(PoisonError::into_inner).record(at, took);
    }

    /// How long deliveries of `integration` took in the hour before `now`; none if there were none.
    pub fn latency(&self, integration: &str, now: Timestamp) -> Option<Latency> {
        let hours = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let hour = hours.get(integration)?.lock().unwrap_or_else(PoisonError::into_inner);
        hour.latency(now)
    }
}

/// One integration's, oldest slot first.
#[derive(Debug, Default)]
struct Hour {
    slots: VecDeque<Slot>,
    first: Option<Timestamp>,
}

#[derive(Debug)]
struct Slot {
    /// Slots since 1970.
    number: i64,
    counts: Box<[u32; BUCKETS]>,
}

impl Hour {
    fn record(&mut self, at: Timestamp, took: Duration) {
        self.first.get_or_insert(at);
        let number = at.0.div_euclid(SLOT_MS);
        // Two deliveries may come in the other order than they ended: the earlier one then counts with the later.
        if self.slots.back().is_none_or(|slot| slot.number < number) {
            self.slots.push_back(Slot { number, counts: Box::new([0; BUCKETS]) });
            while self.slots.front().is_some_and(|slot| slot.number <= number - SLOTS) {
                self.slots.pop_front();
            }
        }
        let slot = self.slots.back_mut().and_then(|slot| slot.counts.get_mut(bucket(took)));
        if let Some(count) = slot {
            *count = count.saturating_add(1);
        }
    }

    fn latency(&self, now: Timestamp) -> Option<Latency> {
        let oldest = now.0.div_euclid(SLOT_MS) - SLOTS + 1;
        let mut counts = [0_u64; BUCKETS];
        for slot in self.slots.iter().filter(|slot| slot.number >= oldest) {
            counts.iter_mut().zip(slot.counts.iter()).for_each(|(sum, count)| *sum += u64::from(*count));
        }
        let delivered = counts.iter().sum();
        let since = self.first?.max(Timestamp(oldest * SLOT_MS));
        (delivered > 0).then(|| Latency { p50: quantile(&counts, delivered, 50), p99: quantile(&counts, delivered, 99), delivered, since })
    }
}

/// The nearest rank: the least figure that `percent` of all do not exceed.
fn quantile(counts: &[u64; BUCKETS], all: u64, percent: u64) -> Duration {
    let rank = (all.saturating_mul(percent)).div_ceil(100).max(1);
    let mut seen = 0;
    let found = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    middle(found.unwrap_or(BUCKETS - 1))
}

fn bucket(took: Duration) -> usize {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let index = if ms < EXACT_BELOW {
        ms
    } else {
        let octave = u64::from(ms.ilog2());
        let eighth = (ms >> (octave - 3)) & (PER_OCTAVE - 1);
        EXACT_BELOW + (octave - 4) * PER_OCTAVE + eighth
    };
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

fn middle(bucket: usize) -> Duration {
    let index = bucket as u64;
    let Some(beyond) = index.checked_sub(EXACT_BELOW) else { return Duration::from_millis(index) };
    let width = 1 << (beyond / PER_OCTAVE + 1);
    let from = (PER_OCTAVE + beyond % PER_OCTAVE) * width;
    Duration::from_millis(from + width / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_100_000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn later(minutes: u64) -> Timestamp {
        START.plus(Duration::from_secs(minutes * 60))
    }

    #[test]
    fn knows_nothing_of_an_integration_that_delivered_nothing() {
        let hours = LastHour::default();
        hours.record("other", START, ms(5));
        assert_eq!(hours.latency("orders", START), None);
    }

    #[test]
    fn forgets_what_is_more_than_an_hour_ago() {
        let hours = LastHour::default();
        hours.record("orders", START, ms(5_000));
        assert_eq!(hours.latency("orders", later(61)), None);
        hours.record("orders", later(59), ms(10));
        let latency = hours.latency("orders", later(61)).unwrap();
        assert_eq!((latency.delivered, latency.p99), (1, ms(10)));
        assert!(latency.since > START && latency.since <= later(6), "{latency:?}");
    }

    #[test]
    fn keeps_no_more_than_an_hour_however_long_it_runs() {
        let mut hour = Hour::default();
        (0..1_000).for_each(|minute| hour.record(later(minute), ms(1)));
        assert_eq!(hour.slots.len(), usize::try_from(SLOTS).unwrap());
    }

    #[test]
    fn says_from_when_its_figures_are_after_a_start() {
        let hours = LastHour::default();
        hours.record("orders", later(3), ms(1));
        assert_eq!(hours.latency("orders", later(10)).unwrap().since, later(3));
    }

    #[test]
    fn counts_one_that_comes_late_over_the_border_of_a_slot() {
        let hours = LastHour::default();
        hours.record("orders", later(5), ms(1));
        hours.record("orders", START, ms(1));
        assert_eq!(hours.latency("orders", later(5)).unwrap().delivered, 2);
    }

    #[test]
    fn gives_the_nearest_rank() {
        let hours = LastHour::default();
        (1..=15).for_each(|took| hours.record("orders", START, ms(took)));
        let latency = hours.latency("orders", START).unwrap();
        assert_eq!((latency.p50, latency.p99), (ms(8), ms(15)));
    }

    #[test]
    fn is_off_by_a_sixteenth_at_most() {
        let steps = (0..).map(|step| (1.013_f64.powi(step) * 3.0) as u64);
        for took in steps.take_while(|took| *took < 1 << 31).chain([0, 15, 16, 17, 31, 32, 33, (1 << 31) - 1]) {
            let shown = middle(bucket(ms(took)));
            let off = shown.abs_diff(ms(took));
            assert!(off * 16 <= ms(took), "{took} ms is shown as {shown:?}");
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }
}
