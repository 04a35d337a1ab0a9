//! [`Passes`]: how many deliveries may start though the breaker is open, since an answer that is kept may be all they need.
//!
//! One that needed more comes back for nothing, so each integration has a few such misses, and a new one every tenth of a second: with forty
//! thousand messages that only post, ten plugin calls a second are made in vain, and no request. Whoever is under way may still miss, so it
//! counts as one that has until it is back: a slow plugin does not find out last what all its calls come to. Depends on `clock` for its
//! timestamps only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;

/// Deliveries of one integration that may find nothing kept in quick succession.
pub const MISSES_MAX: u32 = 32;
/// How often it may happen once more.
pub const MISS_EVERY: Duration = Duration::from_millis(100);

/// Those that passed and those that missed, by integration: no more than the alias has integrations.
#[derive(Debug, Default)]
pub struct Passes {
    misses: HashMap<Arc<str>, Misses>,
    under_way: HashMap<Arc<str>, usize>,
}

#[derive(Clone, Copy, Debug)]
struct Misses {
    count: u32,
    /// Since when the next one is being forgiven.
    since: Timestamp,
}

impl Passes {
    /// A request of `integration` was not sent, and nothing was kept for it.
    pub fn missed(&mut self, integration: &Arc<str>, now: Timestamp) {
        let Misses { count, since } = self.misses(integration, now);
        self.misses.insert(Arc::clone(integration), Misses { count: (count + 1).min(MISSES_MAX), since });
    }

    /// How many deliveries of `integration` may start, or when one may.
    pub fn room(&self, integration: &str, now: Timestamp) -> Result<usize, Timestamp> {
        let Misses { count, since } = self.misses(integration, now);
        let under_way = self.under_way.get(integration).copied().unwrap_or(0);
        match usize::try_from(MISSES_MAX - count).unwrap_or(0).saturating_sub(under_way) {
            // If one of those under way comes back before, the bell rings.
            0 => Err(if count > 0 { since.plus(MISS_EVERY) } else { now.plus(MISS_EVERY) }),
            room => Ok(room),
        }
    }

    /// As many of `integration` start.
    pub fn give(&mut self, integration: &Arc<str>, passes: usize) {
        *self.under_way.entry(Arc::clone(integration)).or_default() += passes;
    }

    /// As many have ended, or never began.
    pub fn take_back(&mut self, integration: &str, passes: usize) {
        if let Some(under_way) = self.under_way.get_mut(integration) {
            *under_way = under_way.saturating_sub(passes);
        }
    }

    /// Those of all integrations.
    pub fn under_way(&self) -> usize {
        self.under_way.values().sum()
    }

    /// The target answers: what was missed is of no account.
    pub fn forget(&mut self) {
        self.misses.clear();
    }

    fn misses(&self, integration: &str, now: Timestamp) -> Misses {
        let Some(Misses { count, since }) = self.misses.get(integration).copied() else { return Misses { count: 0, since: now } };
        let forgiven = u32::try_from(now.since(since).as_millis() / MISS_EVERY.as_millis()).unwrap_or(u32::MAX);
        if forgiven >= count {
            Misses { count: 0, since: now }
        } else {
            Misses { count: count - forgiven, since: since.plus(MISS_EVERY * forgiven) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integration_that_finds_nothing_is_let_in_ten_times_a_second_and_holds_up_no_other() {
        let (mut passes, posting) = (Passes::default(), Arc::from("posting"));
        assert_eq!(passes.room("posting", Timestamp(0)), Ok(32));
        (0..50).for_each(|_| passes.missed(&posting, Timestamp(0)));
        assert_eq!(passes.room("posting", Timestamp(99)), Err(Timestamp(100)));
        assert_eq!(passes.room("asking", Timestamp(0)), Ok(32));
        assert_eq!(passes.room("posting", Timestamp(100)), Ok(1));
        passes.missed(&posting, Timestamp(150));
        assert_eq!(passes.room("posting", Timestamp(150)), Err(Timestamp(200)));
        assert_eq!(passes.room("posting", Timestamp(450)), Ok(3));
        assert_eq!(passes.room("posting", Timestamp(3_600_000)), Ok(32), "and never more");
    }

    #[test]
    fn nothing_is_held_against_anybody_when_the_target_is_back() {
        let (mut passes, posting) = (Passes::default(), Arc::from("posting"));
        (0..50).for_each(|_| passes.missed(&posting, Timestamp(0)));
        passes.forget();
        assert_eq!(passes.room("posting", Timestamp(0)), Ok(32));
    }
}
