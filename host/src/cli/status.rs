//! `lockgate status`: what waits, since when, and why.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::{Common, Failure, output};

/// Shows every integration and alias: state, what waits, since when, how much goes through.
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let status = Client::find(common)?.get("/api/v1/status").await?;
        if common.json {
            output::json(&status);
        } else {
            print(&status);
        }
        Ok(())
    }
}

/// The status as two tables, and what needs a person below.
pub fn print(status: &Value) {
    let entries = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let integrations: Vec<Vec<String>> = entries("integrations").iter().map(integration).collect();
    output::table(&["INTEGRATION", "STATE", "WAITING", "OLDEST", "DELIVERED/H", "SKIPPED/H", "DEAD LETTERS", "TO DRAIN"], &integrations);
    let aliases = entries("aliases");
    if !aliases.is_empty() {
        output::line("");
        let rows: Vec<Vec<String>> = aliases
            .iter()
            .map(|entry| ["name", "state", "auth", "url", "detail"].iter().map(|field| output::text(entry, field)).collect())
            .collect();
        output::table(&["ALIAS", "STATE", "AUTH", "URL", "DETAIL"], &rows);
    }
}

fn integration(entry: &Value) -> Vec<String> {
    let waiting = entry["waiting"].as_u64().unwrap_or(0);
    let delivered = entry["delivered-last-hour"].as_u64().unwrap_or(0);
    let oldest = entry["oldest-waiting-ms"].as_u64().map_or_else(|| "-".to_owned(), output::duration_ms);
    vec![
        output::text(entry, "name"),
        output::text(entry, "state"),
        waiting.to_string(),
        oldest,
        delivered.to_string(),
        output::text(entry, "skipped-last-hour"),
        output::text(entry, "dead-letters"),
        to_drain(waiting, delivered),
    ]
}

/// How long what waits would take at the last hour's rate.
fn to_drain(waiting: u64, delivered_last_hour: u64) -> String {
    match (waiting, delivered_last_hour) {
        (0, _) => "-".to_owned(),
        (_, 0) => "unknown".to_owned(),
        (waiting, rate) => output::duration_ms(waiting.saturating_mul(3_600_000) / rate),
    }
}
