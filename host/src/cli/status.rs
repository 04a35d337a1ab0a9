//! `lockgate status`: what waits, since when, and why.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};
use crate::clock::Timestamp;

/// Show integrations and aliases, what waits and why, and what needs a person
///
/// An integration is `idle` (nothing waits), `delivering`, `held by` an alias that sends nothing for now, or `inactive` (not active any
/// more, but not empty). An alias is `healthy`, `throttled`, `unreachable` or `credential-refused`. Waiting costs no attempt and no message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate status -C examples/shop-to-crm
  lockgate status --json | jq '.integrations[] | select(.waiting > 0)'")]
pub struct Status {}

impl Status {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let status = Client::find(common)?.get("/api/v1/status").await?;
        if common.json {
            output::json(&status);
        } else {
            print(&status, moment::now());
        }
        Ok(())
    }
}

/// The status as two tables, then what waits by itself and what needs a person.
fn print(status: &Value, now: Timestamp) {
    let integrations: Vec<Vec<String>> = list(&status["integrations"]).iter().map(integration).collect();
    table::print(&["INTEGRATION", "STATE", "WAITING", "OLDEST", "DELIVERED/H", "DEAD", "DRAINS IN"], &integrations);
    let aliases = list(&status["aliases"]);
    if !aliases.is_empty() {
        output::line("");
        let row =
            |alias: &Value| vec![text(alias, "name"), text(alias, "state"), moment::short(&text(alias, "since"), now), text(alias, "url")];
        table::print(&["ALIAS", "STATE", "SINCE", "URL"], &aliases.iter().map(row).collect::<Vec<_>>());
    }
    section("Mends itself once the target answers; no message is lost:", aliases.iter().filter_map(|alias| held_up(alias, now)).collect());
    let refused = aliases.iter().filter_map(refused);
    let needs_a_person: Vec<String> = refused.chain(list(&status["integrations"]).iter().flat_map(left_over)).collect();
    if needs_a_person.is_empty() {
        output::line("\nNothing needs a person.");
    }
    section("Needs a person:", needs_a_person);
}

fn section(title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        output::line(format_args!("\n{title}"));
        lines.iter().for_each(output::line);
    }
}

/// An alias that waits for its target.
fn held_up(alias: &Value, now: Timestamp) -> Option<String> {
    let passing = matches!(alias["state"].as_str(), Some("unreachable" | "throttled"));
    let until = moment::short(&text(alias, "until"), now);
    passing.then(|| {
        format!("  alias {} {}, next request at {until}\n    {}", text(alias, "name"), text(alias, "state"), text(alias, "detail"))
    })
}

/// An alias whose credential its target does not take.
fn refused(alias: &Value) -> Option<String> {
    let name = text(alias, "name");
    let owner = alias["owner"]["contact"].as_str().map(|contact| format!(" (owner: {})", output::printable(contact))).unwrap_or_default();
    (alias["state"] == "credential-refused").then(|| {
        format!("  alias {name}: credential refused{owner}: {}\n    after the repair: lockgate alias test {name}", text(alias, "detail"))
    })
}

/// What of an integration nobody will deliver unless a person does something.
fn left_over(entry: &Value) -> Vec<String> {
    let name = text(entry, "name");
    let mut lines = Vec::new();
    if let Some(count @ 1..) = entry["dead-letters"].as_u64() {
        lines.push(format!(
            "  {count} dead {} in {name}: lockgate dead-letters list --integration {name}",
            if count == 1 { "letter" } else { "letters" }
        ));
    }
    if entry["state"] == "inactive" && entry["waiting"].as_u64().is_some_and(|waiting| waiting > 0) {
        lines.push(format!(
            "  {} waiting in {name}, which is not active: bring its file back and run with --deploy",
            text(entry, "waiting")
        ));
    }
    lines
}

fn integration(entry: &Value) -> Vec<String> {
    let held_by: Vec<&str> = list(&entry["held-by"]).iter().filter_map(Value::as_str).collect();
    let state = if entry["state"] == "held" { format!("held by {}", held_by.join(", ")) } else { text(entry, "state") };
    let oldest = entry["oldest-waiting-ms"].as_u64().map_or_else(|| "-".to_owned(), moment::duration_ms);
    vec![
        text(entry, "name"),
        state,
        text(entry, "waiting"),
        oldest,
        text(entry, "delivered-last-hour"),
        text(entry, "dead-letters"),
        drains_in(entry),
    ]
}

/// How long what waits takes at the last hour's rate.
fn drains_in(entry: &Value) -> String {
    match (entry["waiting"].as_u64(), entry["drained-in-s"].as_u64()) {
        (Some(0) | None, _) => "-".to_owned(),
        (_, Some(seconds)) => moment::duration_ms(seconds.saturating_mul(1_000)),
        _ => "unknown".to_owned(),
    }
}
