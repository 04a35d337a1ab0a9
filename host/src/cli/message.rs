//! `lockgate message`: one message's way.

use clap::Args;
use serde_json::Value;

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::{Common, Failure, moment, output};

/// Show one message's way: what came, attempts and requests, what it waits for, how it ended
///
/// For each integration that has the message: every attempt with its release, the plugins it ran and the requests they sent; then the
/// outcome, or what it waits for. Messages that were made of it are listed with their states.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate messages --track 'order=#1001'                 find it
  lockgate message 01a20088-af23-7142-a245-0e01717ec6d2
  lockgate message ID --full --json | jq -r .body.text    the body as it came")]
pub struct Message {
    /// The message's id, as `send`, `messages` and the answer to the sender give it
    id: String,
    /// Show all of the body; without it the first 64 KiB
    #[arg(long)]
    full: bool,
}

impl Message {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let body = if self.full { "?body=full" } else { "" };
        let found = Client::find(common)?.get(&format!("/api/v1/messages/{}{body}", encoded(&self.id))).await;
        let message = found
            .map_err(|problem| or_fix(problem, "`lockgate messages` lists the newest with their ids; --track and --key find others"))?;
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
    output::line(format_args!("message   {}", text(message, "id")));
    output::line(format_args!("accepted  {} by {}", moment::long(&text(message, "accepted-at")), text(message, "origin")));
    for (label, field) in [("made of", "parent"), ("key", "key")] {
        if !message[field].is_null() {
            output::line(format_args!("{label:<9} {}", text(message, field)));
        }
    }
    for tracked in list(&message["tracked"]) {
        output::line(format_args!("tracked   {}={}", text(tracked, "name"), text(tracked, "value")));
    }
    for standing in list(&message["integrations"]) {
        way(message, standing);
    }
    for (index, child) in list(&message["children"]).iter().enumerate() {
        let states: Vec<String> = list(&child["integrations"]).iter().map(state).collect();
        output::line(format_args!("{}  {}  {}", if index == 0 { "\nmade of it\n" } else { "" }, text(child, "id"), states.join(", ")));
    }
    body(message);
}

/// `orders-to-crm delivered`, `shop-orders delivered as 2`.
pub fn state(standing: &Value) -> String {
    let parts =
        standing["children"].as_u64().filter(|children| *children > 1).map(|children| format!(" as {children}")).unwrap_or_default();
    format!("{} {}{parts}", text(standing, "integration"), text(standing, "state"))
}

/// What happened in one integration, in the order of time.
fn way(message: &Value, standing: &Value) {
    output::line(format_args!("\n{}", state(standing)));
    let accepted = text(message, "accepted-at");
    let of_it = |entry: &&Value| entry["integration"] == standing["integration"];
    let attempts = list(&message["attempts"]).iter().filter(of_it).map(|entry| (text(entry, "started-at"), attempt(entry)));
    let outcomes = list(&message["outcomes"]).iter().filter(of_it).map(|entry| (text(entry, "settled-at"), vec![outcome(entry)]));
    let mut happened: Vec<(String, Vec<String>)> = attempts.chain(outcomes).collect();
    // RFC 3339 in UTC with milliseconds sorts as text.
    happened.sort_by(|one, other| one.0.cmp(&other.0));
    for (time, lines) in happened {
        for (index, line) in lines.iter().enumerate() {
            let time = if index == 0 { moment::beside(&time, &accepted) } else { String::new() };
            output::line(format_args!("  {time:<13}  {line}"));
        }
    }
    for entry in list(&message["waiting"]).iter().filter(of_it) {
        output::line(format_args!("  {}", waiting(entry, &accepted)));
    }
    for letter in list(&message["dead-letters"]).iter().filter(of_it).filter(|letter| letter["status"] == "open") {
        output::line(format_args!("  dead letter {}: lockgate dead-letters show {}", letter["id"], letter["id"]));
    }
}

fn attempt(attempt: &Value) -> Vec<String> {
    let times = attempt["times"].as_u64().filter(|times| *times > 1).map(|times| format!(" {times} times")).unwrap_or_default();
    let release: String = text(attempt, "release").chars().take(12).collect();
    let replay = attempt["replay"].as_u64().filter(|replay| *replay > 0).map(|replay| format!(", replay {replay}")).unwrap_or_default();
    let mut lines = vec![format!("attempt {}{times} (release {release}{replay})", text(attempt, "result"))];
    if !attempt["detail"].is_null() {
        lines.push(format!("  {}: {}", text(attempt, "code"), text(attempt, "detail")));
    }
    for call in list(&attempt["trace"]["calls"]) {
        lines.push(format!(
            "  {:<6}  {} {}: {} ({} µs CPU)",
            text(call, "place"),
            text(call, "plugin"),
            text(call, "version"),
            text(call, "result"),
            call["cpu-us"]
        ));
        for request in list(&call["requests"]) {
            let field = |name| text(request, name);
            lines.push(format!(
                "    {} {} via {} → {} ({} ms)",
                field("method"),
                field("path"),
                field("alias"),
                field("answer"),
                field("took-ms")
            ));
            if let Some(excerpt) = request["answer-excerpt"].as_str().filter(|excerpt| !excerpt.trim().is_empty()) {
                lines.push(format!("      {}", output::on_one_line(excerpt)));
            }
        }
    }
    lines
}

fn outcome(outcome: &Value) -> String {
    let told: Vec<String> =
        ["code", "detail"].iter().filter(|field| !outcome[**field].is_null()).map(|field| text(outcome, field)).collect();
    let receipt = outcome["receipt"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let receipt = receipt
        .map(|(name, value)| format!("{name} {}", output::on_one_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))));
    let told: Vec<String> = told.into_iter().chain(receipt).collect();
    let word = text(outcome, "outcome");
    if told.is_empty() { word } else { format!("{word}: {}", told.join(", ")) }
}

fn waiting(waiting: &Value, accepted: &str) -> String {
    let failed = waiting["attempts"]
        .as_u64()
        .filter(|attempts| *attempts > 0)
        .map(|attempts| format!("; {attempts} attempts failed"))
        .unwrap_or_default();
    if waiting["behind"] == true {
        format!("waits behind an earlier message of its key{failed}")
    } else {
        format!("next attempt from {}{failed}", moment::beside(&text(waiting, "due-at"), accepted))
    }
}

fn body(message: &Value) {
    let facts = format!("{} bytes, {}", message["body-bytes"], text(message, "content-type"));
    if let Some(text) = message["body"]["text"].as_str() {
        match indented(text) {
            Some(indented) => output::line(format_args!("\nbody      {facts}; indented here\n{}", output::printable(&indented))),
            None => output::line(format_args!("\nbody      {facts}\n{}", output::printable(text.trim_end()))),
        }
    } else if let Some(bytes) = message["body"]["base64"].as_str() {
        output::line(format_args!("\nbody      {facts}; not text, so as base64\n{bytes}"));
    }
    if message["body-truncated"] == true {
        output::line("… (all of it: --full)");
    }
}

/// JSON on one line, indented; none where that would change more than the white space.
fn indented(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())?;
    let lossless = serde_json::to_string(&value).is_ok_and(|compact| compact == text);
    if lossless { serde_json::to_string_pretty(&value).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_body_as_it_came_where_indenting_it_would_change_it() {
        for text in ["not JSON", "3", r#"{"a":1,"a":2}"#, "{ \"a\": 1 }", r#"{"a":"\u00e9"}"#] {
            assert_eq!(indented(text), None, "{text}");
        }
        assert_eq!(indented(r#"{"b":10.00,"a":820982911946154508}"#).unwrap(), "{\n  \"b\": 10.00,\n  \"a\": 820982911946154508\n}");
    }
}
