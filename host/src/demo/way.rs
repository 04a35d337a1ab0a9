//! What became of a message, from nothing but its timeline in the ledger.

use std::fmt;

use serde::Serialize;

use crate::message_store::sqlite::ledger::{AttemptRow, StandingRow, State, Timeline};
use crate::moment;

/// What was begun within as long was not held up.
const AT_ONCE_MS: u64 = 500;

/// How one integration stands with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Way {
    pub integration: String,
    pub outcome: State,
    /// Messages it was made into, where those are several.
    pub children: u64,
    /// Why it was skipped.
    pub skipped: Vec<String>,
    /// Attempts that found the target down or unwilling, and used no attempt.
    pub waited: u64,
    /// How long the first attempt was held back behind others of its key, and by an alias that sent nothing.
    pub held_ms: u64,
    /// The replay that brought it there; 0: none.
    pub replay: u64,
}

/// `orders-to-crm delivered, waited 3 times; orders-to-audit delivered`
pub fn told(ways: &[Way]) -> String {
    ways.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One for each integration that has the message. Those that read a channel come after the one that wrote it.
pub fn of(timeline: &Timeline) -> Vec<Way> {
    let mut standings: Vec<&StandingRow> = timeline.message.integrations.iter().collect();
    standings.sort_by_key(|standing| first_attempt(timeline, standing));
    standings.iter().map(|standing| one(timeline, standing)).collect()
}

fn first_attempt(timeline: &Timeline, standing: &StandingRow) -> usize {
    let of_it = |attempt: &AttemptRow| attempt.integration == standing.integration;
    // The integration that a message entered by, or was made by, is not asked of attempts: its name is in the origin.
    if timeline.message.origin.ends_with(&standing.integration) {
        0
    } else {
        timeline.attempts.iter().position(of_it).map_or(usize::MAX, |index| index + 1)
    }
}

fn one(timeline: &Timeline, standing: &StandingRow) -> Way {
    let name = &standing.integration;
    let attempts = || timeline.attempts.iter().filter(|attempt| attempt.integration == *name);
    let outcomes = || timeline.outcomes.iter().filter(|outcome| outcome.integration == *name);
    let began = attempts().next().and_then(|first| moment::between_ms(&timeline.message.accepted_at, &first.started_at));
    Way {
        integration: name.clone(),
        outcome: standing.state,
        children: standing.children,
        skipped: outcomes().filter(|outcome| outcome.outcome == State::Skipped).filter_map(|outcome| outcome.code.clone()).collect(),
        waited: attempts().filter(|attempt| attempt.result == "waited").map(|attempt| attempt.times).sum(),
        held_ms: began.filter(|held| *held >= AT_ONCE_MS).unwrap_or(0),
        replay: outcomes().map(|outcome| outcome.replay).max().unwrap_or(0),
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.integration, self.outcome)?;
        if self.children > 1 {
            write!(f, " as {}", self.children)?;
        }
        for code in &self.skipped {
            write!(f, " ({code})")?;
        }
        match self.waited {
            0 => {}
            1 => f.write_str(", waited once")?,
            several => write!(f, ", waited {several} times")?,
        }
        if self.held_ms > 0 {
            write!(f, ", held back for {}", moment::duration_ms(self.held_ms))?;
        }
        match self.replay {
            0 => Ok(()),
            replay => write!(f, ", parked and replayed (replay {replay})"),
        }
    }
}
