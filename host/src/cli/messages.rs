//! `lockgate messages`: what came.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::client::{Client, filtered};
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};
use crate::clock::Timestamp;
use crate::message_store::sqlite::ledger::State;
use crate::moment::Moment;

/// Tracked values shown of a message, and characters of each.
const TRACKED_SHOWN: usize = 3;
const TRACKED_CHARS_SHOWN: usize = 32;

/// List messages, newest first: when, id, key, tracked values, and how each integration stands with it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate messages
  lockgate messages --track 'order=#1001'
  lockgate messages --integration orders-to-crm --outcome waiting
  lockgate messages --since 2026-03-01T08:00:00Z --until 2026-03-01T09:00:00Z
  lockgate messages --since 30m --json | jq -r '.messages[].id'")]
pub struct Messages {
    /// Only the one with this id, or those whose ids start so; at least 8 digits
    #[arg(long)]
    id: Option<String>,
    /// Only those that were made from this one
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// Only those of this integration
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// Only those with this key
    #[arg(long)]
    key: Option<String>,
    /// Only those with this tracked value, such as order=#1001
    #[arg(long, value_name = "NAME=VALUE", value_parser = tracked)]
    track: Option<String>,
    /// Only those with this outcome, in that integration or in any
    #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.iter().map(|state| state.as_str())))]
    outcome: Option<String>,
    /// Only those accepted since: 30m, 24h, 7d, or a time such as 2026-03-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only those accepted before: 30m, 24h, 7d ago, or a time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only those before this one: the number that the end of the last page says
    #[arg(long, value_name = "SEQ", value_parser = seq)]
    before: Option<i64>,
    /// At most so many, 1 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

fn seq(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "expected a number, as the end of the last page says; a time is given with --until".to_owned())
}

pub(super) fn tracked(text: &str) -> Result<String, String> {
    if text.contains('=') { Ok(text.to_owned()) } else { Err("expected NAME=VALUE, such as order=#1001".to_owned()) }
}

impl Messages {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let now = moment::now();
        let path = format!("/api/v1/messages?limit={}", self.limit);
        let before = self.before.map(|seq| seq.to_string());
        let time = |time: Option<Moment>| time.map(|time| time.at(now).0.to_string());
        let (since, until) = (time(self.since), time(self.until));
        let filters = [
            ("id", &self.id),
            ("parent", &self.parent),
            ("integration", &self.integration),
            ("key", &self.key),
            ("track", &self.track),
            ("outcome", &self.outcome),
            ("since", &since),
            ("until", &until),
            ("before", &before),
        ];
        let is_filtered = filters.iter().any(|(name, value)| *name != "before" && value.is_some());
        let path = filtered(path, filters.map(|(name, value)| (name, value.clone())));
        let answer = Client::find(common)?.get(&path).await?;
        if common.json {
            output::json(&answer);
            return Ok(());
        }
        let messages = list(&answer["messages"]);
        if messages.is_empty() {
            output::line(nothing(is_filtered, before.is_some(), &answer));
        } else {
            let rows: Vec<Vec<String>> = messages.iter().flat_map(|message| rows(message, now)).collect();
            table::print(&["ACCEPTED", "ID", "KEY", "TRACKED", "INTEGRATION", "STATE"], &rows);
        }
        match (answer["next"].as_i64(), answer["searched-to"].as_str()) {
            (Some(before), Some(searched_to)) => {
                output::line(format_args!("searched back to {}; to go on: --before {before}", moment::long(searched_to)));
            }
            (Some(before), None) => output::line(format_args!("more: --before {before}")),
            (None, _) => {}
        }
        Ok(())
    }
}

/// What an empty page means.
fn nothing(is_filtered: bool, paged: bool, answer: &Value) -> &'static str {
    match (is_filtered, paged) {
        _ if !answer["searched-to"].is_null() => "none so far",
        (_, true) => "no more messages: that was the last page",
        (true, false) => "no message fits",
        (false, false) => "no messages yet",
    }
}

/// `order=#1001, customer=7`; of many the first.
fn tracked_values(message: &Value) -> String {
    let tracked = list(&message["tracked"]);
    let shown = tracked.iter().take(TRACKED_SHOWN).map(|tracked| format!("{}={}", text(tracked, "name"), text(tracked, "value")));
    let more = (tracked.len() > TRACKED_SHOWN).then(|| format!("and {} more", tracked.len() - TRACKED_SHOWN));
    let shown: Vec<String> = shown.map(|value| table::cut(&value, TRACKED_CHARS_SHOWN)).chain(more).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}

/// One row for each integration that has the message; the message itself stands in the first.
fn rows(message: &Value, now: Timestamp) -> Vec<Vec<String>> {
    let first = [moment::short(&text(message, "accepted-at"), now), text(message, "id"), text(message, "key"), tracked_values(message)];
    let row = |(index, standing): (usize, &Value)| {
        let parts =
            standing["children"].as_u64().filter(|children| *children > 1).map(|children| format!(" as {children}")).unwrap_or_default();
        let message = if index == 0 { first.clone() } else { Default::default() };
        message.into_iter().chain([text(standing, "integration"), text(standing, "state") + &parts]).collect()
    };
    let standings = list(&message["integrations"]);
    if standings.is_empty() {
        vec![first.into_iter().chain(["-".to_owned(), "-".to_owned()]).collect()]
    } else {
        standings.iter().enumerate().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_a_message_is_found_by() {
        let tracked: Vec<Value> = (1..=5).map(|n| serde_json::json!({ "name": "order", "value": format!("#{n}") })).collect();
        let mut message = serde_json::json!({ "accepted-at": "-", "id": "i", "key": "k", "tracked": tracked, "integrations": [] });
        assert_eq!(rows(&message, Timestamp(0)), [["-", "i", "k", "order=#1, order=#2, order=#3, and 2 more", "-", "-"]]);
        message["tracked"] = serde_json::json!([{ "name": "note", "value": "x".repeat(500) }]);
        assert_eq!(rows(&message, Timestamp(0))[0][3].chars().count(), TRACKED_CHARS_SHOWN);
    }

    #[test]
    fn says_what_it_takes_where_a_page_is_to_begin() {
        assert_eq!(seq("17"), Ok(17));
        assert!(seq("foo").is_err_and(|told| told.contains("expected a number") && told.contains("--until")));
    }

    #[test]
    fn an_empty_page_says_why_it_is_empty() {
        let (end, given_up) = (serde_json::json!({ "searched-to": null }), serde_json::json!({ "searched-to": "2026-03-01T08:00:00Z" }));
        assert_eq!(nothing(false, false, &end), "no messages yet");
        assert_eq!(nothing(true, false, &end), "no message fits");
        assert_eq!(nothing(true, true, &end), "no more messages: that was the last page");
        assert_eq!(nothing(true, true, &given_up), "none so far");
    }
}
