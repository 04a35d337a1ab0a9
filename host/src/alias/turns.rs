//! [`Turns`]: whose turn it is where an alias lets through less than its integrations want.
//!
//! First come, first served, a share each time: an integration with forty thousand messages stands behind one that has a single
//! one. Depends on `clock` for its timestamps only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Timestamp;

/// How long the others wait for one whose turn it is and who was told so.
pub const TURN_WITHIN: Duration = Duration::from_secs(1);

/// An integration, and how to wake it.
#[derive(Clone, Debug)]
pub struct Who {
    pub integration: Arc<str>,
    pub bell: Arc<Notify>,
}

/// Those who wait, each once: no more than the alias has integrations.
#[derive(Debug, Default)]
pub struct Turns(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    who: Who,
    /// Since when it knows that it is its turn.
    rung_at: Option<Timestamp>,
}

impl Turns {
    /// Whether nobody comes before `integration`.
    pub fn is_turn_of(&mut self, integration: &str, now: Timestamp) -> bool {
        while let Some(first) = self.0.front()
            && first.who.integration.as_ref() != integration
            && first.rung_at.is_some_and(|rung_at| rung_at.plus(TURN_WITHIN) <= now)
        {
            // It has nothing to deliver any more, or has stopped.
            self.0.pop_front();
        }
        self.0.front().is_none_or(|first| first.who.integration.as_ref() == integration)
    }

    /// How many want a share, `integration` among them.
    pub fn count_with(&self, integration: &str) -> usize {
        self.0.iter().filter(|waiting| waiting.who.integration.as_ref() != integration).count() + 1
    }

    /// `who` waits for its turn; where it waits already it keeps its place.
    pub fn wait(&mut self, who: &Who) {
        match self.0.iter_mut().find(|waiting| waiting.who.integration == who.integration) {
            // It was here: it has heard the bell.
            Some(waiting) => waiting.rung_at = None,
            None => self.0.push_back(Waiting { who: who.clone(), rung_at: None }),
        }
    }

    /// `integration` had its turn, or wants none.
    pub fn leave(&mut self, integration: &str) {
        self.0.retain(|waiting| waiting.who.integration.as_ref() != integration);
    }

    /// Tells the first that it may be its turn.
    pub fn ring(&mut self, now: Timestamp) {
        if let Some(first) = self.0.front_mut().filter(|first| first.rung_at.is_none()) {
            first.rung_at = Some(now);
            first.who.bell.notify_one();
        }
    }

    /// Everybody's turn.
    pub fn ring_all(&mut self) {
        self.0.drain(..).for_each(|waiting| waiting.who.bell.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(integration: &str) -> Who {
        Who { integration: integration.into(), bell: Arc::new(Notify::new()) }
    }

    #[test]
    fn who_was_told_and_does_not_come_holds_nobody_up_for_long() {
        let mut turns = Turns::default();
        turns.wait(&who("gone"));
        turns.wait(&who("b"));
        assert!(!turns.is_turn_of("b", Timestamp(0)));
        assert!(!turns.is_turn_of("b", Timestamp(10_000)), "it was not told yet");
        turns.ring(Timestamp(10_000));
        assert!(!turns.is_turn_of("b", Timestamp(10_999)));
        assert!(turns.is_turn_of("b", Timestamp(11_000)));
    }

    #[test]
    fn who_asks_again_keeps_its_place_and_who_had_its_turn_goes_to_the_end() {
        let mut turns = Turns::default();
        for name in ["a", "b", "a", "a"] {
            turns.wait(&who(name));
        }
        assert!(turns.is_turn_of("a", Timestamp(0)) && turns.count_with("a") == 2 && turns.count_with("c") == 3);
        turns.leave("a");
        turns.wait(&who("a"));
        assert!(turns.is_turn_of("b", Timestamp(0)) && !turns.is_turn_of("a", Timestamp(0)));
    }

    #[test]
    fn nobody_is_rung_twice_for_one_turn() {
        let mut turns = Turns::default();
        let first = who("a");
        turns.wait(&first);
        turns.ring(Timestamp(5));
        turns.ring(Timestamp(900));
        assert!(turns.is_turn_of("b", Timestamp(1_005)), "counted from the first time");
    }
}
