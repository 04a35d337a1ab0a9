//! What happened to a message in one integration, in the order of time: attempts with their calls and requests, outcomes, what it
//! waits for.

use maud::{Markup, html};
use serde_json::Value;

use super::parts;
use super::story::VALUE_SHOWN;
use super::words;
use crate::alias::Stale;
use crate::clock::Timestamp;
use crate::message_store::AttemptId;
use crate::message_store::sqlite::ledger::{AttemptRow, OutcomeRow, StandingRow, Timeline, WaitingRow};
use crate::moment;
use crate::printable::on_one_line;

const RELEASE_SHOWN: usize = 12;

/// The way of `timeline`'s message through the integration of `standing`. The attempt whose bodies are shown is open.
pub fn way(timeline: &Timeline, standing: &StandingRow, open: Option<AttemptId>, is_paused: bool, now: Timestamp) -> Markup {
    let name = standing.integration.as_str();
    let attempts = timeline.attempts.iter().filter(|row| row.integration == name);
    let outcomes = timeline.outcomes.iter().filter(|row| row.integration == name);
    let mut entries: Vec<(&str, Markup)> = attempts.map(|row| (row.started_at.as_str(), attempt(timeline, row, open))).collect();
    entries.extend(outcomes.map(|row| (row.settled_at.as_str(), outcome(row, is_told(timeline, row)))));
    // RFC 3339 in UTC with milliseconds sorts as text; what began goes before what came of it.
    entries.sort_by(|one, other| one.0.cmp(other.0));
    html! {
        section.story #{ "in-" (name) } {
            h2 { (words::integration(name)) " " (words::standing(standing)) }
            ol.history {
                (accepted(timeline))
                @for (time, entry) in entries { (at(timeline, time, &entry)) }
                @for row in timeline.waiting.iter().filter(|row| row.integration == name) { (waiting(timeline, row, is_paused, now)) }
            }
        }
    }
}

/// An entry, with its time beside it.
fn at(timeline: &Timeline, time: &str, entry: &Markup) -> Markup {
    html! {
        li {
            div.when { (parts::stamp(time, &moment::beside(time, &timeline.message.accepted_at))) }
            div.what { (entry) }
        }
    }
}

fn accepted(timeline: &Timeline) -> Markup {
    let entry = html! { p { (parts::badge(parts::Tone::Plain, "accepted")) " from " (parts::outside(&timeline.message.origin)) } };
    at(timeline, &timeline.message.accepted_at, &entry)
}

fn attempt(timeline: &Timeline, row: &AttemptRow, open: Option<AttemptId>) -> Markup {
    let calls = list(&row.trace["calls"]);
    html! {
        details open[open == Some(row.id)] id=(format!("attempt-{}", row.id.0)) {
            summary {
                "Attempt " (words::result(&row.result))
                @if row.times > 1 { " " (parts::number(row.times)) " times until " (parts::stamp(&row.ended_at, &moment::beside(&row.ended_at, &row.started_at))) }
                @if let Some(spent) = moment::between(&row.started_at, &row.ended_at).filter(|_| row.times == 1) { " in " (spent) }
                @if row.replay > 0 { " · replay " (row.replay) }
                @if let Some(detail) = &row.detail {
                    span.why {
                        @if let Some(code) = &row.code { strong { (parts::outside(code)) } ": " }
                        (parts::outside(detail))
                    }
                }
            }
            p.small.muted { "Release " code { (row.release.get(..RELEASE_SHOWN).unwrap_or(&row.release)) } }
            @if row.trace["may-repeat"] == true {
                p { "May repeat what an attempt before it sent, which the end of the host cut off." }
            }
            @if calls.is_empty() { p.muted { "No plugin was called." } }
            ul.calls { @for traced in calls { li { (call(traced)) } } }
            @if let Some(omitted) = row.trace["omitted"].as_u64() {
                p.muted { (parts::counted(omitted, "call", "calls")) " before the last are not listed." }
            }
            @if has_requests(row) {
                p { a href=(bodies_address(timeline, row.id)) { "What was sent and answered" } }
            }
        }
    }
}

/// Where the page shows the bodies of an attempt.
pub fn bodies_address(timeline: &Timeline, attempt: AttemptId) -> String {
    format!("/messages/{}?attempt={}#bodies", timeline.message.id, attempt.0)
}

/// Whether an attempt sent requests.
pub fn has_requests(row: &AttemptRow) -> bool {
    requests(row).next().is_some()
}

/// The requests of an attempt, in the order in which their bodies are kept.
pub fn requests(row: &AttemptRow) -> impl Iterator<Item = &Value> {
    list(&row.trace["calls"]).iter().flat_map(|call| list(&call["requests"]))
}

fn call(call: &Value) -> Markup {
    html! {
        p {
            span.muted { (text(call, "place")) } " "
            strong { (text(call, "plugin")) } " " (text(call, "version")) ": " (text(call, "result"))
            @if let Some(size) = call["batch"].as_u64() { span.muted { ", in a batch of " (size) "," } }
            span.muted { " in " (moment::duration_us(call["wall-us"].as_u64().unwrap_or_default())) ", CPU " (moment::duration_us(call["cpu-us"].as_u64().unwrap_or_default())) }
        }
        @let requests = list(&call["requests"]);
        @if !requests.is_empty() {
            ul.requests { @for sent in requests { li { (request(sent)) } } }
        }
    }
}

/// One outbound request on a line: what, through which alias, and what was answered.
pub fn request(request: &Value) -> Markup {
    html! {
        p {
            code { (text(request, "method")) " " (text(request, "path")) }
            span.muted { " via " } (text(request, "alias")) " → " (words::answer(&text(request, "answer")))
            @if let Some(stale) = Stale::of(request) { " kept " (moment::duration_ms(stale.age_ms())) " ago, instead of " (parts::outside(&stale.instead_of)) }
            span.muted { " in " (text(request, "took-ms")) " ms" }
        }
        @if let Some(excerpt) = request["answer-excerpt"].as_str().filter(|excerpt| !excerpt.trim().is_empty()) {
            p.excerpt.mono { (parts::outside(excerpt)) }
        }
        @if request["other-body"] == true {
            p { "Another body than before under the same Idempotency-Key: a target that honours it takes this for the first one." }
        }
        p.small.muted { "Idempotency-Key " code { (text(request, "idempotency-key")) } }
    }
}

/// Whether an attempt says why it ended so.
fn is_told(timeline: &Timeline, outcome: &OutcomeRow) -> bool {
    timeline.attempts.iter().any(|row| row.integration == outcome.integration && row.detail.is_some() && row.detail == outcome.detail)
}

fn outcome(row: &OutcomeRow, told: bool) -> Markup {
    let receipt = row.receipt.as_ref().and_then(Value::as_object).into_iter().flatten().filter(|(_, value)| !value.is_null());
    let text = |value: &Value| on_one_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    html! {
        p {
            (words::state(row.outcome))
            @if row.replay > 0 { span.muted { " · replay " (row.replay) } }
            @if !told {
                @if let Some(code) = &row.code { " " strong { (parts::outside(code)) } }
                @if let Some(detail) = &row.detail { " " (parts::outside(detail)) }
            }
        }
        @for (name, value) in receipt { p.small { span.muted { (parts::outside(name)) } " " span.mono { (text(value)) } } }
    }
}

fn waiting(timeline: &Timeline, row: &WaitingRow, is_paused: bool, now: Timestamp) -> Markup {
    let due = moment::parsed(&row.due_at).filter(|due| *due > now);
    html! {
        li {
            div.when {
                @if row.behind || due.is_none() { "now" } @else { (parts::stamp(&row.due_at, &moment::beside(&row.due_at, &timeline.message.accepted_at))) }
            }
            div.what {
                p {
                    (parts::badge(parts::Tone::Warn, "waiting")) " "
                    @if is_paused {
                        (words::integration(&row.integration)) " is paused by a person"
                    } @else if row.behind {
                        "behind an earlier message of its key: "
                        @if let Some(lane) = &row.lane { a href=(waiting_in_lane(&row.integration, lane)) { (parts::beginning(lane, VALUE_SHOWN)) } }
                    } @else if let Some(due) = due {
                        "for its next attempt " (parts::until(due, now))
                    } @else {
                        "for its turn, or an alias of " (words::integration(&row.integration)) " holds it"
                    }
                    @if row.attempts > 0 { span.muted { " · " (parts::counted(row.attempts, "attempt", "attempts")) " failed" } }
                    @if row.waits > 0 { span.muted { " · waited " (parts::counted(row.waits, "time", "times")) " for a target" } }
                    @if row.replay > 0 { span.muted { " · replay " (row.replay) } }
                }
            }
        }
    }
}

/// What else waits under that key.
fn waiting_in_lane(integration: &str, lane: &str) -> String {
    parts::query("/messages", &[("key", lane), ("integration", integration), ("outcome", "waiting")])
}

/// A field of a trace as text on one line.
pub fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => "-".to_owned(),
        Value::String(text) => on_one_line(text),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
