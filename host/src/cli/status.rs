//! `lockgate status`: what waits, since when, and why; how fast it goes.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::output::{list, text};
use super::screen::{self, Screen};
use super::signals::Signals;
use super::{Common, Failure, moment, output, table};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::message_store::sqlite::LEFT_COUNTED_MAX;
use crate::problem::{Code, Problem};

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Integrations named behind an alias; the others are counted.
const NAMES_MAX: usize = 4;

/// Show integrations and aliases: what waits and why, how fast it goes, and what needs a person
///
/// An integration is `idle` (nothing waits), `delivering`, `held` by an alias that sends nothing for now, `paused` by a person, `retiring` (it
/// takes nothing new, and what waits is delivered first) or `inactive` (not active any more: retired, or something of it waits or is dead
/// all the same). An alias is `healthy`, `throttled` (its target asked to wait, or its own rate holds up what waits), `open` (too many
/// requests failed: its breaker lets one through now and then), `credential-refused` or `paused`. Waiting costs no attempt and no message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate status -C examples/shop-to-crm
  lockgate status --watch
  lockgate status --json | jq '.integrations[] | select(.waiting > 0)'")]
pub struct Status {
    /// Show it again every two seconds until Ctrl-C, on a screen of its own where there is a terminal; with --json one object a line
    #[arg(short, long)]
    watch: bool,
}

impl Status {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let status = ask(common).await?;
        if self.watch {
            let mut signals = Signals::new()?;
            return tokio::select! {
                ended = watch(common, status) => ended,
                _ = signals.next() => Ok(()),
            };
        }
        if common.json {
            output::json(&status);
        } else {
            lines(&status, moment::now()).iter().for_each(output::line);
        }
        Ok(())
    }
}

async fn ask(common: &Common) -> Result<Value, Problem> {
    Client::find(common)?.get("/api/v1/status").await
}

/// A host that goes away is looked for again: it may be restarting.
async fn watch(common: &Common, first: Value) -> Result<(), Failure> {
    let clock = SystemClock::new();
    // Left however this ends: by a signal it is dropped.
    let screen = (!common.json && std::io::stdout().is_terminal()).then(|| Screen::enter(std::io::stdout()));
    let mut status: Result<Value, Problem> = Ok(first);
    loop {
        match status {
            Ok(status) => show(common, &status, screen.as_ref()),
            Err(problem) if problem.code == Code::HostUnreachable => output::complaint(&format!("{}; looking again", problem.message)),
            Err(problem) => return Err(problem.into()),
        }
        clock.sleep(WATCH_EVERY).await;
        status = ask(common).await;
    }
}

fn show(common: &Common, status: &Value, screen: Option<&Screen<std::io::Stdout>>) {
    if common.json {
        return output::line(status);
    }
    let now = moment::now();
    let mut shown = vec![format!("as of {}, every {} s; Ctrl-C ends it", moment::short(&text(status, "time"), now), WATCH_EVERY.as_secs())];
    shown.extend(lines(status, now));
    output::line(match screen {
        Some(_) => screen::frame(&shown, screen::size()),
        None => shown.join("\n") + "\n",
    });
}

/// The status as two tables, then what waits by itself and what needs a person.
fn lines(status: &Value, now: Timestamp) -> Vec<String> {
    let (integrations, aliases) = (list(&status["integrations"]), list(&status["aliases"]));
    let rows: Vec<Vec<String>> = integrations.iter().map(integration).collect();
    let mut lines = table::text(&["INTEGRATION", "STATE", "WAITING", "OLDEST", "PER MIN", "P99", "DEAD", "DRAINS IN"], &rows);
    lines.push(legend(integrations, now));
    if !aliases.is_empty() {
        let row =
            |alias: &Value| vec![text(alias, "name"), text(alias, "state"), moment::short(&text(alias, "since"), now), text(alias, "url")];
        lines.push(String::new());
        lines.extend(table::text(&["ALIAS", "STATE", "SINCE", "URL"], &aliases.iter().map(row).collect::<Vec<_>>()));
    }
    let passing = aliases
        .iter()
        .filter_map(|alias| held_up(alias, now))
        .chain(integrations.iter().filter_map(retiring))
        .chain(integrations.iter().filter_map(held_by_readers))
        .chain(integrations.iter().flat_map(taking_over))
        .collect();
    section(&mut lines, "Goes on by itself; no message is lost:", passing);
    let paused = aliases.iter().filter_map(paused_alias).chain(integrations.iter().filter_map(paused_integration));
    let full = (status["intake"] == "full").then(|| {
        "  intake is full: as much waits in all integrations together as may; every sender gets 503\n    mend what they wait for, or raise limits.waiting-in-all".to_owned()
    });
    let left_over = integrations.iter().flat_map(left_over);
    let waits = list(&status["waits-for-approval"]).iter().map(waits_for_approval);
    let needs_a_person: Vec<String> =
        full.into_iter().chain(aliases.iter().filter_map(refused)).chain(paused).chain(left_over).chain(waits).collect();
    if needs_a_person.is_empty() {
        lines.extend([String::new(), "Nothing needs a person.".to_owned()]);
    }
    section(&mut lines, "Needs a person:", needs_a_person);
    lines
}

fn section(lines: &mut Vec<String>, title: &str, entries: Vec<String>) {
    if !entries.is_empty() {
        lines.extend([String::new(), title.to_owned()]);
        lines.extend(entries);
    }
}

/// What the figures of the table are of. Latencies are the host's memory: after a start they do not go back an hour.
fn legend(integrations: &[Value], now: Timestamp) -> String {
    let since = integrations.iter().filter_map(|entry| entry["p99-since"].as_str()).min();
    let since = since.map_or_else(String::new, |since| format!(", since {}", moment::short(since, now)));
    format!("PER MIN: the last 5 minutes. P99: from accepted to delivered{since}.")
}

/// An alias that waits for its target.
fn held_up(alias: &Value, now: Timestamp) -> Option<String> {
    let passing = matches!(alias["state"].as_str(), Some("open" | "throttled"));
    // Without a time it goes on all the while, as fast as its rate allows.
    let until = alias["until"].as_str().map_or_else(String::new, |until| format!("; next request at {}", moment::short(until, now)));
    passing.then(|| {
        let (name, state, hanging) = (text(alias, "name"), text(alias, "state"), hanging(alias));
        format!("  alias {name} {state}: {hanging}{until}\n    {}", text(alias, "detail"))
    })
}

/// An alias whose credential its target does not take.
fn refused(alias: &Value) -> Option<String> {
    let name = text(alias, "name");
    let owner = alias["owner"]["contact"].as_str().map(|contact| format!(" (owner: {})", output::printable(contact))).unwrap_or_default();
    (alias["state"] == "credential-refused").then(|| {
        let (hanging, detail) = (hanging(alias), text(alias, "detail"));
        let secrets = list(&alias["secrets"]).iter().filter_map(Value::as_str);
        let set: Vec<String> = secrets.map(|secret| format!("lockgate secret set {}", output::on_one_line(secret))).collect();
        let set = if set.is_empty() { String::new() } else { format!("a new credential: {}\n    ", set.join(", or ")) };
        format!("  alias {name}: credential refused{owner}: {hanging}\n    {detail}\n    {set}after the repair: lockgate alias test {name}")
    })
}

/// An alias that a person keeps back.
fn paused_alias(alias: &Value) -> Option<String> {
    let name = text(alias, "name");
    (alias["state"] == "paused").then(|| {
        let (since, reason, hanging) = (moment::long(&text(alias, "since")), text(alias, "detail"), hanging(alias));
        format!("  alias {name}: paused since {since} ({reason}): {hanging}\n    to go on: lockgate resume {name} --alias")
    })
}

/// An integration that a person keeps back.
fn paused_integration(entry: &Value) -> Option<String> {
    let (name, paused) = (text(entry, "name"), &entry["paused"]);
    (!paused.is_null()).then(|| {
        let (since, reason, waiting) = (moment::long(&text(paused, "since")), text(paused, "reason"), text(entry, "waiting"));
        format!(
            "  integration {name}: paused since {since} ({reason}): {waiting} waiting\n    to go on: lockgate resume {name} --integration"
        )
    })
}

/// An integration that drains to be retired.
/// What a release that waits for approval is to be.
fn to_be(one: &Value) -> String {
    match one["to-be"].as_str() {
        Some("active") | None => "the active one".to_owned(),
        Some(how) => format!("a {how}"),
    }
}

fn waits_for_approval(one: &Value) -> String {
    let (name, release) = (text(one, "integration"), one["release"].as_str().and_then(|id| id.get(..12)).unwrap_or("-"));
    format!(
        "  release {release} of {name}, brought by {}, waits for approval to be {}: lockgate releases {name}",
        text(one, "by"),
        to_be(one)
    )
}

fn retiring(entry: &Value) -> Option<String> {
    let (name, retirement) = (text(entry, "name"), &entry["retirement"]);
    (entry["state"] == "retiring").then(|| {
        let since = moment::long(&text(retirement, "since"));
        let reason = retirement["reason"].as_str().map(|why| format!(" ({})", output::on_one_line(why))).unwrap_or_default();
        let twice = if entry["paused"].is_null() { "" } else { ", twice" };
        let waiting = text(entry, "waiting");
        format!(
            "  integration {name}: being retired since {since}{reason}: {waiting} waiting\n    to take it back: lockgate resume {name} --integration{twice}"
        )
    })
}

/// Readers that keep an integration from writing.
fn held_by_readers(entry: &Value) -> Option<String> {
    let readers: Vec<String> = list(&entry["held-by-readers"]).iter().filter_map(Value::as_str).map(output::on_one_line).collect();
    let (name, waiting) = (text(entry, "name"), text(entry, "waiting"));
    let told = || {
        format!(
            "  integration {name}: {waiting} waiting, and as much waits in {} as may (limits.waiting): it goes on when there is room",
            readers.join(", ")
        )
    };
    (!readers.is_empty()).then(told)
}

/// Channels that an integration reads from their beginning, and has not come to the end of.
fn taking_over(entry: &Value) -> Vec<String> {
    let name = text(entry, "name");
    let line = |one: &Value| {
        let (channel, left) = (text(one, "channel"), one["left"].as_u64().unwrap_or(0));
        let or_more = if left >= LEFT_COUNTED_MAX { " or more" } else { "" };
        format!("  {name} takes over channel {channel} from its beginning: {left}{or_more} to come")
    };
    list(&entry["takes-over"]).iter().map(line).collect()
}

/// `12 wait in orders-to-crm, orders-to-erp`.
fn hanging(alias: &Value) -> String {
    let integrations = list(&alias["integrations"]);
    if integrations.is_empty() {
        return "no integration sends through it".to_owned();
    }
    let names: Vec<String> = integrations.iter().take(NAMES_MAX).filter_map(Value::as_str).map(output::on_one_line).collect();
    let more = match integrations.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more integrations"),
    };
    format!("{} waiting in {}{more}", text(alias, "waiting"), names.join(", "))
}

/// What of an integration nobody will deliver unless a person does something.
fn left_over(entry: &Value) -> Vec<String> {
    let name = text(entry, "name");
    let mut lines = Vec::new();
    // What a target or much that waits keeps from being asked goes on by itself, and is listed where that is.
    for source in list(&entry["sources"]).iter().filter(|source| source["result"] == "failed") {
        let (source, code, detail, next) = (text(source, "source"), text(source, "code"), text(source, "detail"), text(source, "next-at"));
        lines.push(format!("  {source} of {name} fails: {code}; next at {next}\n    {detail}"));
    }
    if let Some(count @ 1..) = entry["dead-letters"].as_u64() {
        lines.push(format!(
            "  {count} dead {} in {name}: lockgate dead-letters list --integration {name}",
            if count == 1 { "letter" } else { "letters" }
        ));
    }
    if let Some(stopped @ 1..) = entry["stopped-keys"].as_u64() {
        let keys = if stopped == 1 { "key of" } else { "keys of" };
        lines.push(format!("  {stopped} {keys} {name} stopped by dead letters: nothing newer of them goes before those are closed"));
    }
    if entry["state"] == "inactive" && entry["waiting"].as_u64().is_some_and(|waiting| waiting > 0) {
        lines.push(format!("  {} waiting in {name}, which is not active: bring its file back and deploy it", text(entry, "waiting")));
    }
    lines
}

fn integration(entry: &Value) -> Vec<String> {
    let duration = |field: &str| entry[field].as_u64().map_or_else(|| "-".to_owned(), moment::duration_ms);
    vec![
        text(entry, "name"),
        text(entry, "state"),
        text(entry, "waiting"),
        duration("oldest-waiting-ms"),
        if is_held(entry) { "-".to_owned() } else { per_minute(entry["per-minute"].as_f64().unwrap_or(0.0)) },
        duration("p99-ms"),
        text(entry, "dead-letters"),
        drains_in(entry),
    ]
}

/// Whether an alias or a person lets nothing through, so that no figure of the past says how it goes on.
fn is_held(entry: &Value) -> bool {
    matches!(entry["state"].as_str(), Some("held" | "paused" | "retiring")) && entry["drained-in-s"].is_null()
}

/// `0.4`, `12`, `3600`.
fn per_minute(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// How long what waits takes at the rate it has.
fn drains_in(entry: &Value) -> String {
    match (entry["waiting"].as_u64(), entry["drained-in-s"].as_u64()) {
        (Some(0) | None, _) => "-".to_owned(),
        (_, Some(seconds)) => moment::duration_ms(seconds.saturating_mul(1_000)),
        _ if is_held(entry) => "-".to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn status() -> Value {
        let integration = |name: &str, waiting: u64| {
            json!({
                "name": name, "state": "held", "held-by": ["crm"], "waiting": waiting, "oldest-waiting-ms": 7_100_000, "per-minute": 3599.96,
                "p99-ms": 119_000, "p99-since": "2023-11-14T22:00:00.000Z", "dead-letters": 12, "drained-in-s": 7_000,
            })
        };
        let names: Vec<String> = (1..=6).map(|number| format!("order-to-system-{number}")).collect();
        json!({
            "integrations": names.iter().map(|name| integration(name, 100_000)).collect::<Vec<_>>(),
            "aliases": [{
                "name": "crm", "state": "open", "since": "2023-11-14T22:13:00.000Z", "until": "2023-11-14T22:13:25.000Z",
                "url": "http://crm", "detail": "refused\u{1b}[2J", "integrations": names, "waiting": 600_000,
            }],
        })
    }

    #[test]
    fn fits_a_terminal_of_80_columns() {
        let lines = lines(&status(), NOW);
        for line in &lines[..8] {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert_eq!(lines[1], "order-to-system-1  held   100000   118 min  3600     119 s  12    116 min");
    }

    #[test]
    fn tells_one_cause_under_many_integrations_once() {
        let text = lines(&status(), NOW).join("\n");
        let cause = "alias crm open: 600000 waiting in order-to-system-1, order-to-system-2, order-to-system-3, order-to-system-4 and 2 \
                     more integrations; next request at 22:13:25Z";
        assert!(text.contains(cause), "{text}");
        assert_eq!(text.matches("alias crm").count(), 1);
        assert!(!text.contains('\u{1b}'), "what came from a target does nothing to the terminal");
    }

    #[test]
    fn names_the_reader_that_keeps_a_writer_and_how_far_one_is_that_takes_a_channel_over() {
        let writer = json!({ "name": "shop-orders", "waiting": 60, "held-by-readers": ["orders-to-audit"] });
        let told = held_by_readers(&writer).unwrap();
        assert!(told.contains("shop-orders: 60 waiting, and as much waits in orders-to-audit as may"), "{told}");
        assert_eq!(held_by_readers(&json!({ "name": "shop-orders", "held-by-readers": [] })), None);
        let left = |left: u64| json!({ "name": "erp", "takes-over": [{ "channel": "orders", "left": left }] });
        assert_eq!(taking_over(&left(97)), ["  erp takes over channel orders from its beginning: 97 to come"]);
        assert_eq!(taking_over(&left(LEFT_COUNTED_MAX)), ["  erp takes over channel orders from its beginning: 100000 or more to come"]);
    }

    #[test]
    fn says_nothing_of_how_fast_it_goes_while_nothing_goes() {
        let mut status = status();
        status["integrations"][0]["drained-in-s"] = Value::Null;
        status["integrations"][1]["state"] = "delivering".into();
        status["integrations"][1]["drained-in-s"] = Value::Null;
        let lines = lines(&status, NOW);
        assert_eq!(lines[1], "order-to-system-1  held        100000   118 min  -        119 s  12    -");
        assert_eq!(lines[2], "order-to-system-2  delivering  100000   118 min  3600     119 s  12    unknown");
    }

    #[test]
    fn names_a_rate_that_lets_through_less_than_comes() {
        let alias = json!({
            "name": "crm", "state": "throttled", "until": null, "limited-by": "20/s", "detail": "its rate of 20/s is the bottleneck",
            "integrations": ["orders"], "waiting": 400,
        });
        let told = "  alias crm throttled: 400 waiting in orders\n    its rate of 20/s is the bottleneck";
        assert_eq!(held_up(&alias, NOW).as_deref(), Some(told));
    }

    #[test]
    fn names_the_secret_to_set_where_a_credential_is_refused() {
        let alias = json!({
            "name": "crm", "state": "credential-refused", "detail": "401", "secrets": ["crm.password"], "integrations": ["orders"], "waiting": 4,
            "owner": null,
        });
        let told = "  alias crm: credential refused: 4 waiting in orders\n    401\n    a new credential: lockgate secret set crm.password\n    \
                    after the repair: lockgate alias test crm";
        assert_eq!(refused(&alias).as_deref(), Some(told));
    }

    #[test]
    fn says_since_when_latencies_are_known() {
        let told = legend(list(&status()["integrations"]), NOW);
        assert_eq!(told, "PER MIN: the last 5 minutes. P99: from accepted to delivered, since 22:00:00Z.");
        assert!(!legend(&[], NOW).contains("since"));
    }
}
