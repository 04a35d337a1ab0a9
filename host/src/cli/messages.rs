//! `lockgate messages`: what came.

use std::str::FromStr;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::client::{Client, encoded};
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};
use crate::clock::Timestamp;
use crate::config::quantity;
use crate::message_store::sqlite::ledger::State;

/// List messages, newest first: when, id, key, and how each integration stands with it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate messages
  lockgate messages --track 'order=#1001'
  lockgate messages --integration orders-to-crm --outcome waiting
  lockgate messages --since 30m --json | jq -r '.messages[].id'")]
pub struct Messages {
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
    since: Option<Since>,
    /// Only those before this one, as the end of the last page says
    #[arg(long, value_name = "SEQ")]
    before: Option<i64>,
    /// At most so many, 1 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

fn tracked(text: &str) -> Result<String, String> {
    if text.contains('=') { Ok(text.to_owned()) } else { Err("expected NAME=VALUE, such as order=#1001".to_owned()) }
}

/// A time, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Ago(std::time::Duration),
    At(Timestamp),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = |at: jiff::Timestamp| Self::At(Timestamp(at.as_millisecond()));
        let ago = quantity::duration(text).map(Self::Ago);
        ago.or_else(|_| text.parse().map(at).map_err(|_| "expected 30m, 24h, 7d, or a time such as 2026-03-01T08:00:00Z".to_owned()))
    }
}

impl Since {
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => Timestamp(now.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))),
            Self::At(at) => at,
        }
    }
}

impl Messages {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let now = moment::now();
        let mut path = format!("/api/v1/messages?limit={}", self.limit);
        let before = self.before.map(|seq| seq.to_string());
        let since = self.since.map(|since| since.at(now).0.to_string());
        let filters = [
            ("integration", &self.integration),
            ("key", &self.key),
            ("track", &self.track),
            ("outcome", &self.outcome),
            ("since", &since),
            ("before", &before),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        let answer = Client::find(common)?.get(&path).await?;
        if common.json {
            output::json(&answer);
            return Ok(());
        }
        let messages = list(&answer["messages"]);
        if messages.is_empty() {
            output::line("no messages");
            return Ok(());
        }
        let rows: Vec<Vec<String>> = messages.iter().flat_map(|message| rows(message, now)).collect();
        table::print(&["ACCEPTED", "ID", "KEY", "INTEGRATION", "STATE"], &rows);
        if let Some(before) = answer["next"].as_i64() {
            output::line(format_args!("more: --before {before}"));
        }
        Ok(())
    }
}

/// One row for each integration that has the message; the message itself stands in the first.
fn rows(message: &Value, now: Timestamp) -> Vec<Vec<String>> {
    let first = [moment::short(&text(message, "accepted-at"), now), text(message, "id"), text(message, "key")];
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
    fn takes_a_time_or_how_long_ago_and_nothing_else() {
        assert!("yesterday".parse::<Since>().is_err());
        let now = Timestamp(10_000_000);
        assert_eq!("30m".parse::<Since>().unwrap().at(now), Timestamp(10_000_000 - 1_800_000));
        assert_eq!("1970-01-01T00:00:05Z".parse::<Since>().unwrap().at(now), Timestamp(5_000));
    }
}
