//! `lockgate messages`: what came.

use clap::Args;
use serde_json::Value;

use super::client::{Client, encoded};
use super::{Common, Failure, output};

/// Lists messages, newest first.
#[derive(Debug, Args)]
pub struct Messages {
    /// Only those of this integration
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// Only those with this key
    #[arg(long)]
    key: Option<String>,
    /// Only those with this tracked value, such as order=#1001
    #[arg(long, value_name = "NAME=VALUE")]
    track: Option<String>,
    /// Only those with this outcome: waiting, delivered, skipped, fanned-out, dead-lettered, discarded
    #[arg(long)]
    outcome: Option<String>,
    /// Only those accepted since: 30m, 24h, 7d, or a time such as 2026-03-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those before this one, as the end of the last page says
    #[arg(long, value_name = "SEQ")]
    before: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

impl Messages {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let mut path = format!("/api/v1/messages?limit={}", self.limit);
        let before = self.before.map(|seq| seq.to_string());
        let filters = [
            ("integration", &self.integration),
            ("key", &self.key),
            ("track", &self.track),
            ("outcome", &self.outcome),
            ("since", &self.since),
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
        let messages = answer["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        if messages.is_empty() {
            output::line("no messages");
            return Ok(());
        }
        let rows: Vec<Vec<String>> = messages.iter().map(row).collect();
        output::table(&["ACCEPTED", "ID", "KEY", "CAME BY", "BYTES", "STATE"], &rows);
        if let Some(before) = answer["next"].as_i64() {
            output::line(format_args!("more: --before {before}"));
        }
        Ok(())
    }
}

fn row(message: &Value) -> Vec<String> {
    let states = message["integrations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let state = |entry: &Value| format!("{} {}", output::text(entry, "integration"), output::text(entry, "state"));
    let mut row: Vec<String> =
        ["accepted-at", "id", "key", "origin", "body-bytes"].iter().map(|field| output::text(message, field)).collect();
    row.push(states.iter().map(state).collect::<Vec<_>>().join(", "));
    row
}
