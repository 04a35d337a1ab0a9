//! [`Pauses`]: the integrations that people have paused. Such a one starts nothing; what is under way is finished, and what comes in
//! waits. One that is resumed starts slowly. (Aliases are paused at their own gates.)
//!
//! Depends on the dispatcher's bells. What outlives the host is `app::pausing`'s business.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dispatcher::Bells;
use crate::clock::Timestamp;
use crate::message_store::Wake;

/// How long an integration that was resumed runs as wide as it does; then twice as wide, up to its concurrency.
const RAMP_STEP: Duration = Duration::from_secs(2);
/// A ramp is over when it would be as wide.
const RAMP_OVER: usize = 1024;

/// Since when something is paused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub since: Timestamp,
    pub reason: String,
}

/// How many deliveries of an integration may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    None,
    /// Was resumed a moment ago.
    Ramp(usize),
    Full,
}

/// Which integrations are paused. Shared by the dispatcher and those who pause.
#[derive(Debug, Default)]
pub struct Pauses {
    /// Held while something is paused or resumed, of disk and memory both: of many who do at once each finds both as one left them.
    pub deciding: tokio::sync::Mutex<()>,
    inside: Mutex<Inside>,
    bells: Arc<Bells>,
}

#[derive(Debug, Default)]
struct Inside {
    paused: BTreeMap<String, Pause>,
    /// Integrations that start slowly, since then.
    resumed: HashMap<String, Timestamp>,
}

impl Pauses {
    /// Nothing is paused. `bells` are rung when something is resumed.
    pub fn new(bells: Arc<Bells>) -> Self {
        Self { deciding: tokio::sync::Mutex::default(), inside: Mutex::default(), bells }
    }

    /// It is paused from now on. If it was already, since then, with the new reason.
    pub fn pause(&self, integration: &str, pause: Pause) {
        let mut inside = self.lock();
        let since = inside.paused.get(integration).map_or(pause.since, |before| before.since);
        inside.paused.insert(integration.to_owned(), Pause { since, ..pause });
    }

    /// It goes on, slowly. False if it was not paused.
    pub fn resume(&self, integration: &str, now: Timestamp) -> bool {
        {
            let mut inside = self.lock();
            if inside.paused.remove(integration).is_none() {
                return false;
            }
            inside.resumed.insert(integration.to_owned(), now);
        }
        self.bells.wake(integration);
        true
    }

    /// Since when it is paused, and why.
    pub fn of(&self, integration: &str) -> Option<Pause> {
        self.lock().paused.get(integration).cloned()
    }

    /// How many deliveries of `integration` may run at once.
    pub fn width(&self, integration: &str, now: Timestamp) -> Width {
        let mut inside = self.lock();
        if inside.paused.contains_key(integration) {
            return Width::None;
        }
        let Some(since) = inside.resumed.get(integration) else { return Width::Full };
        let steps = now.since(*since).as_millis() / RAMP_STEP.as_millis();
        let width = u32::try_from(steps).ok().and_then(|steps| 1_usize.checked_shl(steps)).unwrap_or(RAMP_OVER);
        if width >= RAMP_OVER {
            inside.resumed.remove(integration);
            return Width::Full;
        }
        Width::Ramp(width)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn an_integration_that_is_resumed_runs_one_then_two_then_four_at_once() {
        let pauses = Pauses::default();
        assert!(!pauses.resume("orders", START));
        pauses.pause("orders", Pause { since: START, reason: "a migration".into() });
        assert_eq!((pauses.width("orders", START), pauses.width("invoices", START)), (Width::None, Width::Full));
        assert!(pauses.resume("orders", START));
        let after = |seconds| pauses.width("orders", START.plus(Duration::from_secs(seconds)));
        assert_eq!([after(0), after(2), after(5)], [Width::Ramp(1), Width::Ramp(2), Width::Ramp(4)]);
        assert_eq!(after(20), Width::Full);
        assert_eq!(after(0), Width::Full, "it is over");
    }

    #[test]
    fn who_pauses_again_gives_another_reason_and_the_time_stays() {
        let pauses = Pauses::default();
        pauses.pause("orders", Pause { since: START, reason: "a migration".into() });
        pauses.pause("orders", Pause { since: START.plus(Duration::from_secs(5)), reason: "still".into() });
        assert_eq!(pauses.of("orders"), Some(Pause { since: START, reason: "still".into() }));
    }
}
