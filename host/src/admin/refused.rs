//! [`Refused`]: which attempts beyond a role are entered in the audit trail. All are answered; the trail is on disk for ever, so that nobody
//! who may only look can be let fill it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// For each token: that many are entered at once, and then one in this time.
const OF_ONE: (u32, Duration) = (5, Duration::from_secs(3600));
/// For all tokens together.
const OF_ALL: (u32, Duration) = (50, Duration::from_secs(600));
/// Names that are remembered; there are never more tokens, but tokens come and go.
const NAMES_MAX: usize = 2048;

/// Counts attempts.
#[derive(Debug, Default)]
pub struct Refused(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: Bucket,
    of: HashMap<String, Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used: u32,
    /// Since when `used` has been going down.
    since: Timestamp,
    /// Attempts that were not entered since one was.
    left_out: u64,
}

impl Bucket {
    /// Whether there is room for one more.
    fn has_room(&mut self, (most, each): (u32, Duration), now: Timestamp) -> bool {
        let passed = now.since(self.since).as_millis() / each.as_millis();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed >= self.used {
            (self.used, self.since) = (0, now);
        } else {
            self.used -= passed;
            self.since = self.since.plus(each.saturating_mul(passed));
        }
        self.used < most
    }
}

impl Refused {
    /// Whether an attempt of the token `name` is to be entered; if so, how many before it were not.
    pub fn enters(&self, name: &str, now: Timestamp) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { all, of } = &mut *counts;
        if of.len() >= NAMES_MAX && !of.contains_key(name) {
            of.retain(|_, bucket| !bucket.has_room(OF_ONE, now) || bucket.used > 0);
        }
        if of.len() >= NAMES_MAX && !of.contains_key(name) {
            return None;
        }
        let own = of.entry(name.to_owned()).or_default();
        if !own.has_room(OF_ONE, now) || !all.has_room(OF_ALL, now) {
            own.left_out += 1;
            return None;
        }
        own.used += 1;
        all.used += 1;
        Some(std::mem::take(&mut own.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(refused: &Refused, name: &str, times: usize, now: Timestamp) -> usize {
        (0..times).filter(|_| refused.enters(name, now).is_some()).count()
    }

    #[test]
    fn a_few_attempts_of_a_token_are_entered_and_then_one_an_hour() {
        let (refused, start) = (Refused::default(), Timestamp(1_000_000));
        assert_eq!(entered(&refused, "ci", 10_000, start), 5);
        assert_eq!(entered(&refused, "ci", 10_000, start.plus(Duration::from_secs(3599))), 0);
        let later = start.plus(Duration::from_secs(3600));
        assert_eq!(refused.enters("ci", later), Some(19_995), "and says how many were not");
        assert_eq!(entered(&refused, "ci", 10_000, later), 0);
        assert_eq!(entered(&refused, "ci", 10_000, start.plus(Duration::from_secs(24 * 3600))), 5, "not more for having waited");
    }

    #[test]
    fn attempts_of_many_tokens_together_are_bounded_too() {
        let (refused, start) = (Refused::default(), Timestamp(1_000_000));
        let of_all: usize = (0..5_000).map(|token| entered(&refused, &format!("t{token}"), 3, start)).sum();
        assert_eq!(of_all, 50);
        assert!(refused.0.lock().unwrap().of.len() <= NAMES_MAX);
        let day = start.plus(Duration::from_secs(24 * 3600));
        assert_eq!((0..5_000).map(|token| entered(&refused, &format!("u{token}"), 3, day)).sum::<usize>(), 50);
    }
}
