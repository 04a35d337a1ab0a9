//! `lockgate message`: one message's way.

use clap::Args;
use serde_json::Value;

use super::client::{Client, encoded};
use super::{Common, Failure, output};

/// Shows one message: what came, every attempt with its release, plugins and requests, what waits, and how it ended.
#[derive(Debug, Args)]
pub struct Message {
    /// The message's id
    id: String,
    /// Show all of the body, however long
    #[arg(long)]
    full: bool,
}

impl Message {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let body = if self.full { "?body=full" } else { "" };
        let message = Client::find(common)?.get(&format!("/api/v1/messages/{}{body}", encoded(&self.id))).await?;
        if common.json {
            output::json(&message);
        } else {
            print(&message);
        }
        Ok(())
    }
}

/// The timeline as text.
pub fn print(message: &Value) {
    for (label, field) in [("message", "id"), ("parent", "parent"), ("accepted", "accepted-at"), ("came by", "origin"), ("key", "key"), ("type", "content-type")] {
        if !message[field].is_null() {
            output::line(format_args!("{label:<9} {}", output::text(message, field)));
        }
    }
    for tracked in list(&message["tracked"]) {
        output::line(format_args!("tracked   {}={}", output::text(tracked, "name"), output::text(tracked, "value")));
    }
    list(&message["attempts"]).iter().for_each(attempt);
    for waiting in list(&message["waiting"]) {
        let why = if waiting["behind"] == true { "behind others of its key".to_owned() } else { format!("due {}", output::text(waiting, "due-at")) };
        output::line(format_args!("waiting   in {}: {why} ({} attempts failed)", output::text(waiting, "integration"), waiting["attempts"]));
    }
    for outcome in list(&message["outcomes"]) {
        let detail = ["code", "detail"].iter().filter(|field| !outcome[**field].is_null()).map(|field| output::text(outcome, field));
        let receipt = outcome["receipt"].as_object().map(|receipt| facts(receipt)).unwrap_or_default();
        let told = detail.chain((!receipt.is_empty()).then_some(receipt)).collect::<Vec<_>>().join(": ");
        output::line(format_args!("outcome   {} {} {told}", output::text(outcome, "integration"), output::text(outcome, "outcome")));
    }
    for letter in list(&message["dead-letters"]) {
        let id = &letter["id"];
        output::line(format_args!("letter    {id} {} ({}); lockgate dead-letters show {id}", output::text(letter, "status"), output::text(letter, "class")));
    }
    for child in list(&message["children"]) {
        let states: Vec<String> = list(&child["integrations"]).iter().map(|entry| format!("{} {}", output::text(entry, "integration"), output::text(entry, "state"))).collect();
        output::line(format_args!("child     {} {}", output::text(child, "id"), states.join(", ")));
    }
    body(&message["body"]);
}

fn attempt(attempt: &Value) {
    let result = output::text(attempt, "result");
    let times = attempt["times"].as_u64().filter(|times| *times > 1).map(|times| format!(" ×{times}")).unwrap_or_default();
    let release: String = output::text(attempt, "release").chars().take(12).collect();
    output::line(format_args!("attempt   {} {} {result}{times} (release {release})", output::text(attempt, "started-at"), output::text(attempt, "integration")));
    if !attempt["detail"].is_null() {
        output::line(format_args!("            {}: {}", output::text(attempt, "code"), output::text(attempt, "detail")));
    }
    for call in list(&attempt["trace"]["calls"]) {
        output::line(format_args!("            {} {} {}: {} ({} µs CPU)", output::text(call, "place"), output::text(call, "plugin"), output::text(call, "version"), output::text(call, "result"), call["cpu-us"]));
        for request in list(&call["requests"]) {
            let field = |name| output::text(request, name);
            output::line(format_args!("              {} {} via {} → {} ({} ms)", field("method"), field("path"), field("alias"), field("answer"), field("took_ms")));
        }
    }
}

fn body(body: &Value) {
    if let Some(text) = body["text"].as_str() {
        output::line(format_args!("body\n{}", output::printable(text)));
    } else if let Some(bytes) = body["base64"].as_str() {
        output::line(format_args!("body (not text, as base64)\n{bytes}"));
    }
    if body["cut"] == true || body["truncated"] == true {
        output::line("… (all of it: --full)");
    }
}

/// The fields of a receipt that say something.
fn facts(receipt: &serde_json::Map<String, Value>) -> String {
    let told = receipt.iter().filter(|(_, value)| !value.is_null());
    told.map(|(name, value)| format!("{name} {}", output::on_one_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))).collect::<Vec<_>>().join(", ")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
