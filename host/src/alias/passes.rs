//! [`Passes`]: how many deliveries may start though the breaker is open, since an answer that is kept may be all they need.
//!
//! One that needed more comes back for nothing, so each integration has a few such misses, and a new one every tenth of a second: with forty
//! thousand messages that only post, ten plugin calls a second are made in vain, and no request. Depends on `clock` for its timestamps only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;

/// Deliveries of one integration that may find nothing kept in quick succession.
pub const MISSES_MAX: u32 = 32;
/// How often it may happen once more.
pub const MISS_EVERY: Duration = Duration::from_millis(100);

/// Those that missed, by integration: no more than the alias has integrations.
#[derive(Debug, Default)]
pub struct Passes(HashMap<Arc<str>, Misses>);

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
        self.0.insert(Arc::clone(integration), Misses { count: (count + 1).min(MISSES_MAX), since });
    }

    /// How many deliveries of `integration` may start, or when one may.
    pub fn room(&self, integration: &str, now: Timestamp) -> Result<usize, Timestamp> {
        let Misses { count, since } = self.misses(integration, now);
        match usize::try_from(MISSES_MAX - count).unwrap_or(0) {
            0 => Err(since.plus(MISS_EVERY)),
            room => Ok(room),
        }
    }

    /// The target answers: what was missed is of no account.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    fn misses(&self, integration: &str, now: Timestamp) -> Misses {
        let Some(Misses { count, since }) = self.0.get(integration).copied() else { return Misses { count: 0, since: now } };
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
