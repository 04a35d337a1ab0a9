//! The report as a page that stands by itself: no script, nothing to be loaded, everything of messages as text.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::compare::Verdict;
use super::report::{Group, Report, Sample};
use crate::message::ID_CHARS_SHOWN;
use crate::printable::printable;

/// Nothing is run and nothing loaded, whatever a message holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE: &str = "\
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.25rem}h2{font-size:1.15rem;margin-top:2.25rem}
p.about{color:GrayText;margin-top:0}
ul.verdicts{display:flex;flex-wrap:wrap;gap:.75rem;list-style:none;padding:0}
ul.verdicts li{border:1px solid GrayText;border-radius:.5rem;padding:.5rem 1rem;min-width:6.5rem}
ul.verdicts b{display:block;font-size:1.5rem}
section.group{border-top:1px solid GrayText;padding:.5rem 0}
section.group h3{font-size:1rem;margin:.25rem 0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;table-layout:fixed}
th{text-align:left;font-weight:600}th,td{padding:.2rem .5rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
th:first-child{width:11rem}code,td{font-family:ui-monospace,monospace;font-size:.85rem}
del{color:#b3261e;text-decoration:none}ins{color:#1b6e2e;text-decoration:none}
@media (prefers-color-scheme:dark){del{color:#ff8a80}ins{color:#81c995}}
@media print{body{margin:0;max-width:none}}";

/// What each verdict means, for who has not read the manual.
fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "would go exactly as it went",
        Verdict::Changed => "would be delivered as before, with another content or to another effect",
        Verdict::NewlyFailing => "was delivered, and would fail",
        Verdict::NewlyPassing => "failed, and would be delivered",
        Verdict::Diverged => "would ask a system what nobody asked before, so its end is not known",
        Verdict::NotComparable => "too little was recorded of it",
    }
}

/// The page.
pub fn page(report: &Report) -> String {
    let candidate = &report.candidate;
    let title =
        if candidate.shadow { format!("Shadow of {}", candidate.integration) } else { format!("Rehearsal of {}", candidate.integration) };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p.about { (about(report)) }
                (told(report, None))
            }
        }
    };
    page.into_string()
}

/// What was run on what.
pub fn about(report: &Report) -> Markup {
    let candidate = &report.candidate;
    html! {
        "Release " code { (candidate.release.short()) } ", environment " code { (candidate.environment) } ", "
        @if candidate.shadow { "beside the active release since " (candidate.since) }
        @else if candidate.dead_letters { "over what are dead letters now" }
        @else { "over what was recorded in " (shown_since(&candidate.since)) }
        ". Nothing was sent and nothing written: systems answered as they had answered " @if candidate.shadow { "the active one." } @else { "then." }
        " No time passed meanwhile: whether anything would come too late is not told."
    }
}

/// What was found, for a page that has a style for it. Messages lead to `messages` and their id, if anywhere.
pub fn told(report: &Report, messages: Option<&str>) -> Markup {
    html! {
        ul.verdicts {
            @for verdict in Verdict::ALL {
                li title=(meaning(verdict)) { b { (report.count(verdict)) } (verdict.as_str().replace('-', " ")) }
            }
        }
        (summary(report))
        (groups("Would fail, and did not", &report.newly_failing, messages))
        (groups("Failed, and would not", &report.newly_passing, messages))
        (groups("Asked by nobody before", &report.diverged, messages))
        (groups("What would be another", &report.changes, messages))
        (groups("Not comparable", &report.not_comparable, messages))
        (plugins(report))
    }
}

fn shown_since(since: &str) -> String {
    if since.is_empty() { "all the time that is kept".to_owned() } else { format!("the time since {since}") }
}

fn summary(report: &Report) -> Markup {
    html! {
        @if report.messages > 0 && report.is_same() { p { "Every message that can be compared would go as it went." } }
        @if report.sink_left_out > 0 {
            p { (report.sink_left_out) " messages were compared up to the sink, which takes several at once." }
        }
        @if report.left_out > 0 { p { (report.left_out) " older messages were left out." } }
        @if report.more > 0 { p { (report.more) " more changes are not listed." } }
        @for passed in &report.passed_over {
            p { "Not read: " code { (printable(&passed.file)) } ", " (passed.why) "." }
        }
    }
}

fn groups(title: &str, groups: &[Group], base: Option<&str>) -> Markup {
    html! {
        @if !groups.is_empty() {
            h2 { (title) }
            @for group in groups {
                section.group {
                    h3 { (printable(&group.of)) @if !group.path.is_empty() { " " code { (printable(&group.path)) } } " · " (messages(group.count)) }
                    table {
                        @if group.samples.iter().any(|sample| sample.before.is_some() || sample.after.is_some()) {
                            tr { th { "message" } th { "before" } th { "after" } }
                        }
                        @for sample in &group.samples { (row(sample, base)) }
                    }
                }
            }
        }
    }
}

fn row(sample: &Sample, base: Option<&str>) -> Markup {
    let id = sample.message.to_string();
    let short = id.get(..ID_CHARS_SHOWN).unwrap_or(&id);
    html! {
        tr {
            td title=(id) { @if let Some(base) = base { a href={ (base) (id) } { (short) } } @else { (short) } @if let Some(part) = sample.part { " part " (part + 1) } }
            td { (value("del", sample.before.as_ref(), sample.after.as_ref())) }
            td { (value("ins", sample.after.as_ref(), sample.before.as_ref())) }
        }
    }
}

fn plugins(report: &Report) -> Markup {
    html! {
        h2 { "Plugins of the candidate" }
        table {
            tr { th { "plugin" } th { "digest" } }
            @for plugin in &report.candidate.plugins { tr { td { (plugin.name) " " (plugin.version) } td { (plugin.digest) } } }
        }
        @if !report.releases.is_empty() {
            p { "The messages went through: " @for (release, count) in &report.releases { code { (release.get(..12).unwrap_or(release)) } " (" (messages(*count)) ") " } }
        }
    }
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// A value as JSON has it, so that a text is told from a number, and nothing from what is empty; where only the other is there, that it is not.
fn value(mark: &str, one: Option<&Value>, other: Option<&Value>) -> Markup {
    match (one, other) {
        (Some(one), _) if mark == "del" => html! { del { (printable(&one.to_string())) } },
        (Some(one), _) => html! { ins { (printable(&one.to_string())) } },
        (None, Some(_)) => html! { i { "absent" } },
        (None, None) => Markup::default(),
    }
}
