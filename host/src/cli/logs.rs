//! `lockgate logs`: what happens, as it happens.

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::client::{Client, encoded};
use super::event_stream::{EventStream, Sent};
use super::output::{on_one_line, text};
use super::signals::Signals;
use super::{Common, Failure, moment, output};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::message::ID_CHARS_SHOWN;
use crate::moment::Moment;
use crate::problem::{Code, Problem};
use crate::telemetry::events::{Kind, Level, MessagePrefix};

/// Lines shown from before, unless asked otherwise.
const LAST: u64 = 50;
/// Where nothing fits; on standard error, so that no script takes it for an event.
const NOTHING: &str =
    "nothing to show; deliveries that go well are told only to who follows (lockgate logs -f), and lockgate messages has them all";
/// How often a host that went away is looked for.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Show what happens: lines of plugins, failures, outcomes, aliases, what people did
///
/// A host keeps the latest 8192 events in memory, for as long as it runs. Messages that simply go their way (accepted, waiting, delivered)
/// are told only while somebody follows; `lockgate messages` has all of them, always.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate logs
  lockgate logs -f
  lockgate logs -f --integration orders-to-crm --level warn
  lockgate logs --since 10m --kind outcome --kind attempt
  lockgate logs -f --json | jq -r 'select(.kind == \"log\") | .text'

Where the host could not keep up with who reads, or was restarted, a line says
that events are missing. --json has one object a line, and {\"gap\": …} there.")]
pub struct Logs {
    /// Go on with what happens until Ctrl-C; a host that is restarted is found again
    #[arg(short, long)]
    follow: bool,
    /// At most so many from before [default: 50, with --since all there are]
    #[arg(short = 'n', long, value_name = "COUNT")]
    last: Option<u64>,
    /// Only what happened since: 30m, 24h, or a time such as 2026-03-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only of this integration
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// At least this level
    #[arg(long, default_value = "info", value_parser = PossibleValuesParser::new(Level::ALL.iter().map(|level| level.as_str())))]
    level: String,
    /// Only this kind; may be given more than once
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.as_str())))]
    kind: Vec<String>,
    /// Only about this message: its id, or at least its first 8 digits
    #[arg(long, value_name = "ID", value_parser = message)]
    message: Option<String>,
}

fn message(text: &str) -> Result<String, String> {
    text.parse::<MessagePrefix>().map(|_| text.to_owned())
}

impl Logs {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        tokio::select! {
            ended = self.show(common) => Ok(ended?),
            _ = signals.next() => Ok(()),
        }
    }

    async fn show(&self, common: &Common) -> Result<(), Problem> {
        let path = self.path(moment::now());
        let mut stream = Client::find(common)?.listen(&path, None).await?;
        let (mut seen, mut printed) = (None, 0);
        loop {
            let broken = print_all(&mut stream, common.json, &mut printed).await;
            seen = stream.seen().map(str::to_owned).or(seen);
            match broken {
                None if !self.follow => {
                    if printed == 0 {
                        output::complaint(NOTHING);
                    }
                    return Ok(());
                }
                Some(why) if !self.follow => return Err(Problem::new(Code::HostUnreachable, format!("the stream broke: {why}"))),
                why => {
                    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                    output::complaint(&format!("the host went away{why}; looking for it"));
                }
            }
            stream = find_again(common, &path, seen.as_deref()).await?;
            output::complaint("the host answers again");
        }
    }

    fn path(&self, now: Timestamp) -> String {
        let last = self.last.or(self.since.is_none().then_some(LAST)).map(|last| last.to_string());
        let since = self.since.map(|since| since.at(now).0.to_string());
        let mut path = format!("/api/v1/events?follow={}&level={}", self.follow, self.level);
        let filters = [("integration", &self.integration), ("message", &self.message), ("last", &last), ("since", &since)];
        let filters = filters.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
        for (name, value) in filters.chain(self.kind.iter().map(|kind| ("kind", kind))) {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
        path
    }
}

/// Until the stream ends; gives why, if it was not the host that ended it.
async fn print_all(stream: &mut EventStream, as_json: bool, printed: &mut u64) -> Option<String> {
    loop {
        match stream.next().await {
            Ok(Some(sent)) => {
                print(&sent, as_json);
                *printed += 1;
            }
            Ok(None) => return None,
            Err(why) => return Some(why),
        }
    }
}

/// A host on the same workspace that streams, after what was seen. Waits for one that is on its way down, or up.
async fn find_again(common: &Common, path: &str, seen: Option<&str>) -> Result<EventStream, Problem> {
    let clock = SystemClock::new();
    loop {
        clock.sleep(LOOK_AGAIN_AFTER).await;
        let opened = match Client::find(common) {
            Ok(client) => client.listen(path, seen).await,
            Err(problem) => Err(problem),
        };
        match opened {
            Err(problem) if matches!(problem.code, Code::HostUnreachable | Code::ShuttingDown | Code::TooManyStreams) => {}
            opened => return opened,
        }
    }
}

fn print(sent: &Sent, as_json: bool) {
    let Ok(value) = serde_json::from_str::<Value>(&sent.data) else { return };
    let is_gap = sent.name.as_deref() == Some("gap");
    match (as_json, is_gap) {
        (true, true) => output::line(json!({ "gap": value })),
        (true, false) => output::line(value),
        (false, true) => output::line(gap(&value)),
        (false, false) => output::line(line(&value, moment::now())),
    }
}

fn gap(gap: &Value) -> String {
    match gap["lost"].as_u64() {
        Some(1) => "… 1 event is missing here".to_owned(),
        Some(lost) => format!("… {lost} events are missing here"),
        None => "… events may be missing here: the host was restarted, or nobody listened".to_owned(),
    }
}

/// `23:54:47.467Z INFO  orders-to-crm 0198c2d4-5e6f-7000 delivered took-ms=12`. Nothing in it acts on a terminal.
fn line(event: &Value, now: Timestamp) -> String {
    let level = text(event, "level").to_uppercase();
    let mut line = format!("{} {level:<5}", moment::beside(&text(event, "time"), &now.to_string()));
    let (said, fields) = (text(event, "text"), event["fields"].as_object());
    let plugin = event["fields"]["plugin"].as_str().filter(|_| event["kind"] == "log");
    let id = event["message"].as_str().map(|id| id.chars().take(ID_CHARS_SHOWN).collect::<String>());
    let parts = [event["integration"].as_str(), id.as_deref()].into_iter().flatten().map(on_one_line);
    let parts = parts.chain(plugin.map(|plugin| format!("{}:", on_one_line(plugin))));
    parts.chain([said.clone()]).for_each(|part| line.extend([" ", &part]));
    for (name, value) in fields.into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), on_one_line);
        let is_said = value.is_empty() || said.split(' ').any(|word| word == value) || (name == "plugin" && plugin.is_some());
        if !is_said {
            line.push_str(&format!(" {}={}", on_one_line(name), quoted(value)));
        }
    }
    line
}

/// Quoted where it would not be seen to be one value.
fn quoted(value: String) -> String {
    if value.contains([' ', '"', '=']) { format!("\"{}\"", value.replace('"', "\\\"")) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn event(kind: &str, text: &str, fields: Value) -> Value {
        json!({
            "id": 1, "time": "2023-11-14T22:13:20.123Z", "level": "info", "kind": kind, "integration": "orders",
            "message": "0198c2d4-5e6f-7000-8000-0123456789ab", "text": text, "fields": fields,
        })
    }

    #[test]
    fn shows_an_event_on_one_line() {
        let outcome = event("outcome", "delivered", json!({ "outcome": "delivered", "took-ms": 12 }));
        assert_eq!(line(&outcome, NOW), "22:13:20.123Z INFO  orders 0198c2d4-5e6f-7000 delivered took-ms=12");
        let log = event("log", "upserted", json!({ "plugin": "crm@1.0.0", "id": "001", "name": "a \"b\"", "none": "" }));
        assert_eq!(line(&log, NOW), r#"22:13:20.123Z INFO  orders 0198c2d4-5e6f-7000 crm@1.0.0: upserted id=001 name="a \"b\"""#);
        let alias = event("alias", "alias crm is open", json!({ "alias": "crm", "state": "open", "owner": "crm-team" }));
        assert!(line(&alias, NOW).ends_with(" alias crm is open owner=crm-team"));
        let host = json!({ "time": "2023-11-13T22:13:20.123Z", "level": "error", "kind": "host", "integration": null, "message": null,
            "text": "it burns", "fields": {} });
        assert_eq!(line(&host, NOW), "2023-11-13 22:13:20.123Z ERROR it burns");
    }

    #[test]
    fn lets_nothing_act_on_the_terminal_or_make_lines_of_its_own() {
        let evil = "a\u{1b}[2J\n22:13:20Z INFO faked\u{202e}";
        let mut event = event("log", evil, json!({ "plugin": evil, evil: evil }));
        event["integration"] = evil.into();
        event["level"] = evil.into();
        let line = line(&event, NOW);
        assert!(!line.contains(['\u{1b}', '\n', '\u{202e}']), "{line:?}");
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(gap(&json!({ "lost": 7 })), "… 7 events are missing here");
        assert!(gap(&json!({ "lost": null })).contains("may be missing"));
    }
}
