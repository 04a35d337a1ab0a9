//! Words and tones for what the ledger knows: states, results, answers, causes.

use maud::{Markup, html};

use super::integration;
use super::parts::{self, Tone};
use crate::message::FailureClass;
use crate::message_store::sqlite::ledger::{StandingRow, State};

/// How a message stands, as a badge.
pub fn state(state: State) -> Markup {
    parts::badge(tone_of(state), state.as_str())
}

/// Nothing is shouted that mends itself.
pub fn tone_of(state: State) -> Tone {
    match state {
        State::Delivered => Tone::Good,
        State::Waiting => Tone::Warn,
        State::DeadLettered => Tone::Bad,
        State::Skipped | State::FannedOut | State::Discarded => Tone::Plain,
    }
}

/// An integration by name, with the way to its page.
pub fn integration(name: &str) -> Markup {
    html! { a.name href=(integration::path(name)) { (parts::outside(name)) } }
}

/// How a message stands with an integration: `delivered`, `delivered as 3`.
pub fn standing(standing: &StandingRow) -> Markup {
    html! {
        (state(standing.state))
        @if standing.children > 1 { " " span.muted { "as " (parts::number(standing.children)) } }
    }
}

/// The result of an attempt, as a badge.
pub fn result(word: &str) -> Markup {
    let tone = match word {
        "delivered" => Tone::Good,
        "waited" => Tone::Warn,
        "failed" => Tone::Bad,
        _ => Tone::Plain,
    };
    parts::badge(tone, word)
}

/// What a request was answered, as a badge: a status, or what stood in the way.
pub fn answer(word: &str) -> Markup {
    let tone = match word.parse::<u16>() {
        Ok(200..400) => Tone::Good,
        Ok(429 | 503) => Tone::Warn,
        Ok(_) => Tone::Bad,
        Err(_) if matches!(word, "rate-limited" | "breaker-open" | "cut-off") => Tone::Warn,
        Err(_) => Tone::Bad,
    };
    parts::badge(tone, word)
}

/// What to do about dead letters of a class.
pub fn remedy(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Permanent => "The plugin or its target refused the message. Mend the record, the mapping or the target, then replay.",
        FailureClass::GaveUp => "It was tried until the integration gave up. See what the target answers, mend that, then replay.",
        FailureClass::Unkeyed => {
            "The integration orders by a key and the message has none where it is looked for. \
             Mend the source's key and replay new ones, or discard: a replay of these goes on in no order."
        }
        FailureClass::Trapped => "The plugin broke on this message. Give its author the message, deploy a mended version, then replay.",
        FailureClass::OutOfMemory | FailureClass::CpuExceeded | FailureClass::TimedOut | FailureClass::HostCallsExceeded => {
            "The plugin went over a limit on this message. Deploy a version that needs less, then replay."
        }
        FailureClass::OutputTooLarge => "The plugin made more of this message than it may. Deploy a version that makes less, then replay.",
        FailureClass::HostCrashed => {
            "The host stopped several times while these were under way. Find out why in its log before replaying one."
        }
        FailureClass::Unrunnable => "The plugin could not be run at all. Deploy a release that runs here, then replay.",
    }
}
