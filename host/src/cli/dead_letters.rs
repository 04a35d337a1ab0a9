//! `lockgate dead-letters`: what could not be delivered.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, encoded};
use super::{Common, Failure, output};
use crate::problem::{Code, Problem};

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List dead letters, grouped by what went wrong
    List(List),
    /// Show one dead letter with its message and attempts
    Show(Show),
    /// Put dead letters back on their way, after the cause is mended
    Replay(Replay),
    /// Give dead letters up for good, with a reason
    Discard(Discard),
}

/// Lists dead letters, grouped by fingerprint: one line for each cause.
#[derive(Debug, Args)]
pub struct List {
    /// One line for each dead letter instead of for each cause
    #[arg(long)]
    each: bool,
    /// Only those of this integration
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// Only those of this class: permanent, gave-up, unkeyed, trapped, …
    #[arg(long)]
    class: Option<String>,
    /// Only those of this fingerprint
    #[arg(long)]
    fingerprint: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

#[derive(Debug, Args)]
pub struct Show {
    /// The dead letter's id
    id: i64,
}

/// Which dead letters: ids, or all that fit.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["ids", "integration", "class", "fingerprint"]))]
struct Selection {
    /// Ids of dead letters
    ids: Vec<i64>,
    /// All open ones of this integration
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    integration: Option<String>,
    /// All open ones of this class
    #[arg(long, conflicts_with = "ids")]
    class: Option<String>,
    /// All open ones of this fingerprint
    #[arg(long, conflicts_with = "ids")]
    fingerprint: Option<String>,
}

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    selection: Selection,
    /// Discard those whose key has had newer messages delivered since
    #[arg(long, conflicts_with = "anyway")]
    skip_superseded: bool,
    /// Replay those, too, though what they carry may be older than what the target has
    #[arg(long)]
    anyway: bool,
}

#[derive(Debug, Args)]
pub struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept with the outcome
    #[arg(long)]
    reason: String,
}

impl DeadLetters {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(common).await,
            Self::Show(show) => show.run(common).await,
            Self::Replay(replay) => replay.run(common).await,
            Self::Discard(discard) => discard.run(common).await,
        }
    }
}

impl List {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let mut path = format!("/api/v1/dead-letters?limit={}", self.limit);
        if !self.each {
            path.push_str("&group=fingerprint");
        }
        for (name, value) in [("integration", &self.integration), ("class", &self.class), ("fingerprint", &self.fingerprint)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        let answer = Client::find(common)?.get(&path).await?;
        if common.json {
            output::json(&answer);
            return Ok(());
        }
        let (rows, header): (Vec<Vec<String>>, _) = if self.each {
            (
                rows(&answer["dead-letters"], &["id", "died-at", "integration", "class", "code", "detail"]),
                &["ID", "DIED", "INTEGRATION", "CLASS", "CODE", "DETAIL"],
            )
        } else {
            (
                rows(&answer["groups"], &["count", "fingerprint", "integration", "class", "code", "example-detail"]),
                &["COUNT", "FINGERPRINT", "INTEGRATION", "CLASS", "CODE", "FOR EXAMPLE"],
            )
        };
        if rows.is_empty() {
            output::line("no dead letters");
            return Ok(());
        }
        output::table(header, &rows);
        output::line(
            "show one: lockgate dead-letters show ID (ids: list --each); after the repair: lockgate dead-letters replay --fingerprint FINGERPRINT",
        );
        Ok(())
    }
}

fn rows(entries: &Value, fields: &[&str]) -> Vec<Vec<String>> {
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|entry| fields.iter().map(|field| output::text(entry, field)).collect()).collect()
}

impl Show {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let letter = client.get(&format!("/api/v1/dead-letters/{}", self.id)).await?;
        if common.json {
            output::json(&letter);
            return Ok(());
        }
        let letter = if letter["dead-letter"].is_object() { &letter["dead-letter"] } else { &letter };
        for field in
            ["id", "status", "integration", "class", "code", "detail", "fingerprint", "died-at", "attempts", "waits", "replay", "reason"]
        {
            if !letter[field].is_null() {
                output::line(format_args!("{field:<12} {}", output::text(letter, field)));
            }
        }
        let message = client.get(&format!("/api/v1/messages/{}", output::text(letter, "message"))).await?;
        output::line("");
        super::message::print(&message);
        Ok(())
    }
}

impl Replay {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let superseded = match (self.skip_superseded, self.anyway) {
            (true, _) => "skip",
            (_, true) => "anyway",
            _ => "ask",
        };
        let mut body = self.selection.body();
        body.insert("superseded".to_owned(), json!(superseded));
        act(common, "replay", body).await
    }
}

impl Discard {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let mut body = self.selection.body();
        body.insert("reason".to_owned(), json!(self.reason));
        act(common, "discard", body).await
    }
}

impl Selection {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if !self.ids.is_empty() {
            body.insert("ids".to_owned(), json!(self.ids));
        }
        for (name, value) in [("integration", &self.integration), ("class", &self.class), ("fingerprint", &self.fingerprint)] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        body
    }
}

/// Asks the host, tells what became of each, and ends with 1 if any was not done.
async fn act(common: &Common, what: &str, body: Map<String, Value>) -> Result<(), Failure> {
    let answer = Client::find(common)?.post(&format!("/api/v1/dead-letters/{what}"), &Value::Object(body)).await?;
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    if common.json {
        output::json(&answer);
    } else {
        for result in &results {
            let detail = ["newer", "detail"]
                .iter()
                .find(|field| !result[**field].is_null())
                .map(|field| format!(": {}", output::text(result, field)));
            output::line(format_args!("{} {}{}", result["id"], output::text(result, "result"), detail.unwrap_or_default()));
        }
    }
    let superseded = results.iter().filter(|result| result["result"] == "superseded").count();
    if superseded > 0 && !common.json {
        let problem =
            Problem::new(Code::Superseded, format!("{superseded} not replayed: newer messages of their keys were delivered since"));
        output::complaint(&problem.fix("--skip-superseded discards them, --anyway replays them all the same").to_string());
    }
    let done = results.iter().all(|result| matches!(result["result"].as_str(), Some("queued" | "discarded" | "skipped")));
    if done { Ok(()) } else { Err(Failure::No) }
}
