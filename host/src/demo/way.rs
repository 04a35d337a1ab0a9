//! What became of a message, in words, from nothing but its timeline in the ledger.

use crate::message_store::sqlite::ledger::{AttemptRow, StandingRow, State, Timeline};

/// One text for each integration that has the message: `orders-to-crm delivered, waited 3 times`.
///
/// Those that read a channel come after the one that wrote it.
pub fn of(timeline: &Timeline) -> Vec<String> {
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

fn one(timeline: &Timeline, standing: &StandingRow) -> String {
    let name = &standing.integration;
    let mut text = format!("{name} {}", standing.state);
    if standing.children > 1 {
        text.push_str(&format!(" as {}", standing.children));
    }
    let skipped = timeline.outcomes.iter().filter(|outcome| outcome.integration == *name && outcome.outcome == State::Skipped);
    for code in skipped.filter_map(|outcome| outcome.code.as_ref()) {
        text.push_str(&format!(" ({code})"));
    }
    let times = |result: &str| -> u64 {
        timeline
            .attempts
            .iter()
            .filter(|attempt| attempt.integration == *name && attempt.result == result)
            .map(|attempt| attempt.times)
            .sum()
    };
    match times("waited") {
        0 => {}
        1 => text.push_str(", waited once"),
        several => text.push_str(&format!(", waited {several} times")),
    }
    let replay = timeline.outcomes.iter().filter(|outcome| outcome.integration == *name).map(|outcome| outcome.replay).max();
    if let Some(replay @ 1..) = replay {
        text.push_str(&format!(", parked and replayed (replay {replay})"));
    }
    text
}
