//! The report as a page that stands by itself and can be sent to a plugin's vendor: no script, nothing to be loaded, everything of messages
//! and plugins as text.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{Report, Row, Verdict};
use crate::printable::printable;

/// Nothing is run and nothing loaded, whatever a message holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE: &str = "\
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.25rem}h2{font-size:1.3rem;margin-top:2.5rem}h3{font-size:1.1rem;margin-top:2rem}
p.about{color:GrayText;margin-top:0}
ul.verdicts{display:flex;flex-wrap:wrap;gap:.75rem;list-style:none;padding:0}
ul.verdicts li{border:1px solid GrayText;border-radius:.5rem;padding:.5rem 1rem;min-width:6.5rem}
ul.verdicts b{display:block;font-size:1.5rem}
table{border-collapse:collapse;width:100%}table.rows{table-layout:fixed}table.rows th:nth-child(1){width:28%}table.rows th:nth-child(2){width:24%}table.rows th:nth-child(3){width:8rem}
th{text-align:left;font-weight:600}th,td{padding:.25rem .75rem .25rem 0;vertical-align:top;overflow-wrap:anywhere}
td{border-top:1px solid GrayText}td.verdict{white-space:nowrap}td.look,code{font-family:ui-monospace,monospace;font-size:.85rem}
.defect{color:#b3261e;font-weight:600}.note{color:#8a5a00}.sound{color:#1b6e2e}
@media (prefers-color-scheme:dark){.defect{color:#ff8a80}.note{color:#ffd180}.sound{color:#81c995}}
@media print{body{margin:0;max-width:none}}";

/// The page of what was put through it.
pub fn page(reports: &[Report]) -> String {
    let names: Vec<&str> = reports.iter().map(|report| report.about.as_str()).collect();
    let title = printable(&format!("What goes wrong around {}", names.join(", ")));
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
                p.about {
                    "The failure suite of Lockgate " (env!("CARGO_PKG_VERSION")) ", in the host's own core, with scripted systems and virtual time. "
                    "Nothing was sent to anybody. Made by " code { "lockgate test --failures" }
                    "; its documentation, docs/testing.md, says what each case is."
                }
                p {
                    "A " b.defect { "defect" } ": a message that is lost though it counts as delivered, one that is done twice, a call that traps or "
                    "goes over its limits, a value that is silently null. " b.note { "To know" } ": sound, as long as somebody has thought of it. "
                    b.sound { "Sound" } ": delivered, skipped, retried, or dead-lettered with a reason."
                }
                @for report in reports { (one(report, reports.len() > 1)) }
            }
        }
    };
    page.into_string()
}

fn one(report: &Report, is_named: bool) -> Markup {
    let used = report.samples.iter().filter(|sample| sample.used).count();
    html! {
        @if is_named { h2 { (printable(&report.about)) } }
        p { (report.cases) " cases on " (used) @if used == 1 { " sample message." } @else { " sample messages." } }
        ul.verdicts {
            li { b.defect[report.defects > 0] { (report.defects) } "defects" }
            li { b.note[report.notes > 0] { (report.notes) } "to know" }
            li { b.sound { (report.sound) } "sound" }
        }
        (rows("Defects", report, &|row| row.verdict.is_defect()))
        (rows("To know", report, &|row| row.verdict == Verdict::Note))
        (rows("Sound", report, &|row| row.verdict == Verdict::Sound))
        @if report.more > 0 { p { (report.more) " more rows are not listed." } }
        (rest(report))
    }
}

fn rows(title: &str, report: &Report, of: &dyn Fn(&Row) -> bool) -> Markup {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| of(row)).collect();
    html! {
        @if !rows.is_empty() {
            h3 { (title) }
            table.rows {
                tr { th { "what went wrong" } th { "what happened" } th { "verdict" } th { "where to look" } }
                @for row in rows {
                    tr {
                        td { (printable(&row.title())) }
                        td { (printable(&row.outcome())) }
                        td class={ "verdict " (row.verdict.as_str()) } { (row.verdict()) }
                        td.look { (printable(&row.look)) @if !row.look.is_empty() { br; "sample " (printable(&row.sample)) } }
                    }
                }
            }
        }
    }
}

fn rest(report: &Report) -> Markup {
    html! {
        @if !report.not_tried.is_empty() {
            h3 { "Not tried" }
            table { @for (why, cases) in report.not_tried_by_why() { tr { td { (cases.join("; ")) } td { (why) } } } }
        }
        h3 { "Samples" }
        table {
            tr { th { "message" } th { "as it is" } }
            @for sample in &report.samples { tr { td { (printable(&sample.name)) } td { (printable(&sample.intact)) } } }
        }
        h3 { "What was tried" }
        table {
            tr { th { "plugin" } th { "digest" } }
            @for plugin in &report.plugins { tr { td { (plugin.name) " " (plugin.version) } td.look { (plugin.digest) } } }
        }
    }
}
