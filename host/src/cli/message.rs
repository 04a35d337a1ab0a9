//! `lockgate message`: one message's way.

use clap::Args;
use serde_json::Value;

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::{Common, Failure, bodies, moment, output};
use crate::alias::Stale;
use crate::clock::Timestamp;

/// Show one message's way: what came, attempts and requests, what it waits for, how it ended
///
/// For each integration that has the message: every attempt with its release, the plugins it ran and the requests they sent; then the
/// outcome, or what it waits for. Messages that were made of it are listed with their states.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate messages --track 'order=#1001'                 find it
  lockgate message 01a20088-af23-7142-a245-0e01717ec6d2
  lockgate message 01a20088-af23                          the beginning of its id, if no other starts so
  lockgate message ID --bodies                            with what was sent and what was answered
  lockgate message ID --full --json | jq -r .body.text    the body as it came")]
pub struct Message {
    /// The message's id, as `send`, `messages` and the answer to the sender give it, or at least its first 8 digits: as many as no other
    /// starts with. Messages of the same minute share 8, of the same millisecond 12
    id: String,
    /// Show what each request sent and was answered, up to the 64 KiB that are kept of each
    #[arg(long)]
    bodies: bool,
    /// Show all of the body; without it the first 64 KiB
    #[arg(long)]
    full: bool,
    /// Show earlier attempts, as the answer before says
    #[arg(long, value_name = "ATTEMPT")]
    attempts_before: Option<i64>,
}

impl Message {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let mut message = client.get(&self.path()).await.map_err(|problem| or_fix(problem, LISTED))?;
        if self.bodies {
            bodies::fetch(&client, &mut message).await?;
        }
        if common.json {
            output::json(&message);
        } else {
            print(&message);
        }
        Ok(())
    }
}

impl Message {
    fn path(&self) -> String {
        let asked = [self.full.then(|| "body=full".to_owned()), self.attempts_before.map(|attempt| format!("attempts-before={attempt}"))];
        let asked: Vec<String> = asked.into_iter().flatten().collect();
        format!("/api/v1/messages/{}?{}", encoded(&self.id), asked.join("&"))
    }
}

const LISTED: &str = "`lockgate messages` lists the newest with their ids; --track and --key find others";

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
    if let Some(attempt) = message["earlier-attempts"].as_i64() {
        output::line(format_args!("earlier   attempts: lockgate message {} --attempts-before {attempt}", text(message, "id")));
    }
    for standing in list(&message["integrations"]) {
        way(message, standing);
    }
    for (index, child) in list(&message["children"]).iter().enumerate() {
        let states: Vec<String> = list(&child["integrations"]).iter().map(state).collect();
        output::line(format_args!("{}  {}  {}", if index == 0 { "\nmade of it\n" } else { "" }, text(child, "id"), states.join(", ")));
    }
    if message["more-children"] == true {
        output::line(format_args!("  …  all of them: lockgate messages --parent {}", text(message, "id")));
    }
    let facts = bodies::facts(message["body-bytes"].as_u64(), message["content-type"].as_str());
    output::line(format_args!("\n{}", bodies::shown("body      ", &facts, &message["body"]).join("\n")));
    if message["body-truncated"] == true {
        output::line("… (all of it: --full)");
    }
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
        output::line(format_args!("  {}", waiting(entry, &accepted, moment::now())));
    }
    for letter in list(&message["dead-letters"]).iter().filter(of_it).filter(|letter| letter["status"] == "open") {
        output::line(format_args!("  dead letter {}: lockgate dead-letters show {}", letter["id"], letter["id"]));
    }
}

/// Said of a request whose body is not that of an earlier one under its key.
const OTHER_BODY: &str = "another body than before under the same Idempotency-Key: a target that honours it takes this for the first one";

fn attempt(attempt: &Value) -> Vec<String> {
    let times = attempt["times"].as_u64().filter(|times| *times > 1).map(|times| format!(" {times} times")).unwrap_or_default();
    let release: String = text(attempt, "release").chars().take(12).collect();
    let replay = attempt["replay"].as_u64().filter(|replay| *replay > 0).map(|replay| format!(", replay {replay}")).unwrap_or_default();
    let spent = moment::between(&text(attempt, "started-at"), &text(attempt, "ended-at"));
    let spent = spent.map(|spent| format!(" in {spent}")).unwrap_or_default();
    let mut lines = vec![format!("attempt {}{times}{spent} (release {release}{replay})", text(attempt, "result"))];
    if !attempt["detail"].is_null() {
        lines.push(format!("  {}: {}", text(attempt, "code"), text(attempt, "detail")));
    }
    if attempt["trace"]["may-repeat"] == true {
        lines.push("  may repeat what an attempt before it sent, which the end of the host cut off".to_owned());
    }
    for call in list(&attempt["trace"]["calls"]) {
        let batch = call["batch"].as_u64().map(|size| format!("batch of {size}, ")).unwrap_or_default();
        lines.push(format!(
            "  {:<6}  {} {}: {} ({batch}in {}, {} µs CPU)",
            text(call, "place"),
            text(call, "plugin"),
            text(call, "version"),
            text(call, "result"),
            moment::duration_us(call["wall-us"].as_u64().unwrap_or_default()),
            call["cpu-us"]
        ));
        for request in list(&call["requests"]) {
            let field = |name| text(request, name);
            lines.push(format!(
                "    {} {} via {} → {}{} ({} ms)",
                field("method"),
                field("path"),
                field("alias"),
                field("answer"),
                kept(request),
                field("took-ms")
            ));
            if request["other-body"] == true {
                lines.push(format!("      {OTHER_BODY}"));
            }
            if let Some(excerpt) = request["answer-excerpt"].as_str().filter(|excerpt| !excerpt.trim().is_empty()) {
                lines.push(format!("      {}", output::on_one_line(excerpt)));
            }
            lines.extend(bodies::of_request(request).into_iter().map(|line| format!("      {line}")));
        }
    }
    lines
}

/// Of an answer that the host had kept, when, and what it stands in for.
fn kept(request: &Value) -> String {
    let told = |stale: Stale| format!(", kept {} ago, instead of {}", moment::duration_ms(stale.age_ms()), stale.instead_of);
    Stale::of(request).map(told).unwrap_or_default()
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

/// What a delivery waits for.
fn waiting(waiting: &Value, accepted: &str, now: Timestamp) -> String {
    let failed = waiting["attempts"]
        .as_u64()
        .filter(|attempts| *attempts > 0)
        .map(|attempts| format!("; {attempts} attempts failed"))
        .unwrap_or_default();
    if !waiting["paused"].is_null() {
        let (integration, reason) = (text(waiting, "integration"), text(&waiting["paused"], "reason"));
        format!("waits: {integration} is paused ({reason}); to go on: lockgate resume {integration} --integration{failed}")
    } else if waiting["behind"] == true {
        format!("waits behind an earlier message of its key{failed}")
    } else {
        let due = text(waiting, "due-at");
        let at = moment::beside(&due, accepted);
        if moment::parsed(&due).is_some_and(|due| due <= now) {
            return format!("due since {at}, waits for its turn, or an alias holds it: lockgate status{failed}");
        }
        format!("next attempt from {at}{failed}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_that_what_waits_is_paused_by_a_person_and_how_it_goes_on() {
        let now = Timestamp(1_700_000_000_000);
        let mut row = json!({
            "integration": "orders", "behind": false, "attempts": 0, "due-at": now.to_string(),
            "paused": { "since": now.to_string(), "reason": "new\u{1b}[2J fields" },
        });
        let told = waiting(&row, &now.to_string(), now);
        assert!(told.starts_with("waits: orders is paused (new") && told.ends_with("lockgate resume orders --integration"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
        row["paused"] = Value::Null;
        assert!(waiting(&row, &now.to_string(), now).contains("waits for its turn"));
    }
}
