//! `lockgate dead-letters`: what could not be delivered.

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, filtered, or_fix};
use super::edit::Edit;
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};
use crate::message::FailureClass;
use crate::moment::Moment;
use crate::problem::{Code, Problem};

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    List(List),
    Show(Show),
    Edit(Edit),
    Replay(Replay),
    Discard(Discard),
}

/// List open dead letters, one line for each cause
///
/// Dead letters with the same fingerprint have the same cause: one repair and one replay mends them all. What is searched by key, tracked value
/// or time is listed one by one; the key and the values are those of the message or of one that it was made from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate dead-letters list
  lockgate dead-letters list --track 'order=#1001'
  lockgate dead-letters list --since 24h --class gave-up
  lockgate dead-letters list --each --integration orders-to-crm
  lockgate dead-letters list --json | jq '[.groups[].count] | add'")]
pub struct List {
    /// One line for each dead letter instead of for each cause
    #[arg(long)]
    each: bool,
    /// Only those of this integration
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// Only those of this class
    #[arg(long, value_parser = classes())]
    class: Option<String>,
    /// Only those of this fingerprint
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Only those whose message has this key
    #[arg(long)]
    key: Option<String>,
    /// Only those whose message has this tracked value, such as order=#1001
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::messages::tracked)]
    track: Option<String>,
    /// Only those dead since: 30m, 24h, 7d, or a time such as 2026-03-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only those dead before: 30m, 24h, 7d ago, or a time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only what comes behind this, as the end of the last page says
    #[arg(long, value_name = "PLACE")]
    before: Option<String>,
    /// At most so many, 1 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Show one dead letter: why it was parked, its message, every attempt
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  lockgate dead-letters show 17")]
pub struct Show {
    /// The dead letter's id
    id: i64,
}

/// Which dead letters: ids, or all that fit.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["ids", "integration", "class", "fingerprint"]))]
struct Selection {
    /// Ids of dead letters
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// All open ones of this integration
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    integration: Option<String>,
    /// All open ones of this class
    #[arg(long, conflicts_with = "ids", value_parser = classes())]
    class: Option<String>,
    /// All open ones of this fingerprint
    #[arg(long, value_name = "HEX", conflicts_with = "ids")]
    fingerprint: Option<String>,
}

fn classes() -> PossibleValuesParser {
    PossibleValuesParser::new(FailureClass::ALL.iter().map(|class| class.as_str()))
}

/// Put dead letters back on their way, after the cause is mended
///
/// A replay carries a new replay number and runs the active release. Where newer messages of its key were delivered since, it is not
/// replayed unless told how: what it carries may be older than what the target has.
#[derive(Debug, Args)]
#[command(override_usage = "\
lockgate dead-letters replay [OPTIONS] <ID>...
       lockgate dead-letters replay [OPTIONS] <--integration …|--class …|--fingerprint …>")]
#[command(after_help = "\
Examples:
  lockgate dead-letters replay 17 18
  lockgate dead-letters replay --fingerprint 8b22615b61396025
  lockgate dead-letters replay --integration orders-to-crm --skip-superseded
  lockgate dead-letters replay --class gave-up --rate 20/s")]
pub struct Replay {
    #[command(flatten)]
    selection: Selection,
    /// Discard those whose key has had newer messages delivered since
    #[arg(long, conflicts_with = "anyway")]
    skip_superseded: bool,
    /// Replay those, too
    #[arg(long)]
    anyway: bool,
    /// Not all at once: oldest first, so many in a time, such as 20/s or 600/m; of more than 10000 the others are to be asked for when those have
    /// gone
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
}

/// Give dead letters up for good, with a reason
#[derive(Debug, Args)]
#[command(override_usage = "\
lockgate dead-letters discard --reason <WHY> <ID>...
       lockgate dead-letters discard --reason <WHY> <--integration …|--class …|--fingerprint …>")]
#[command(after_help = "\
Examples:
  lockgate dead-letters discard 17 --reason 'cancelled by the customer'
  lockgate dead-letters discard --class unkeyed --reason 'counter sales'")]
pub struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept with the outcome
    #[arg(long, value_name = "WHY")]
    reason: String,
}

impl DeadLetters {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(common).await,
            Self::Show(show) => show.run(common).await,
            Self::Edit(edit) => edit.run(common).await,
            Self::Replay(replay) => replay.run(common).await,
            Self::Discard(discard) => discard.run(common).await,
        }
    }
}

impl List {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let mut path = format!("/api/v1/dead-letters?limit={}", self.limit);
        let now = moment::now();
        let time = |time: Option<Moment>| time.map(|time| time.at(now).0.to_string());
        let searched = [("key", self.key), ("track", self.track), ("since", time(self.since)), ("until", time(self.until))];
        // Causes are counted, and know nothing of a message.
        let each = self.each || searched.iter().any(|(_, value)| value.is_some());
        if !each {
            path.push_str("&group=fingerprint");
        }
        let filters = searched.into_iter().chain([
            ("integration", self.integration),
            ("class", self.class),
            ("fingerprint", self.fingerprint),
            ("before", self.before),
        ]);
        let filters: Vec<_> = filters.filter(|(_, value)| value.is_some()).collect();
        let empty = match filters.last() {
            Some(("before", _)) => "no more dead letters: that was the last page",
            Some(_) => "no open dead letter fits",
            None => "no dead letters",
        };
        let path = filtered(path, filters);
        let answer = Client::find(common)?.get(&path).await?;
        if common.json {
            output::json(&answer);
        } else if each {
            print_each(&answer, empty);
        } else {
            print_groups(&answer, empty);
        }
        Ok(())
    }
}

/// `empty`: what it means that there is none.
fn print_groups(answer: &Value, empty: &str) {
    let groups = list(&answer["groups"]);
    let Some(first) = groups.first() else { return output::line(empty) };
    let row =
        |group: &Value| ["count", "fingerprint", "integration", "class", "example-detail"].iter().map(|field| text(group, field)).collect();
    table::print(&["COUNT", "FINGERPRINT", "INTEGRATION", "CLASS", "FOR EXAMPLE"], &groups.iter().map(row).collect::<Vec<_>>());
    more(answer);
    output::line(format_args!("\nsee one:           lockgate dead-letters show {}", first["example"]));
    output::line(format_args!("after the repair:  lockgate dead-letters replay --fingerprint {}", text(first, "fingerprint")));
}

fn print_each(answer: &Value, empty: &str) {
    let letters = list(&answer["dead-letters"]);
    if letters.is_empty() {
        output::line(if answer["searched-to"].is_null() { empty } else { "none so far" });
        return more(answer);
    }
    let now = moment::now();
    let row = |letter: &Value| {
        let rest = ["integration", "class", "detail"].map(|field| text(letter, field));
        [text(letter, "id"), moment::short(&text(letter, "died-at"), now)].into_iter().chain(rest).collect()
    };
    table::print(&["ID", "DIED", "INTEGRATION", "CLASS", "DETAIL"], &letters.iter().map(row).collect::<Vec<_>>());
    more(answer);
}

/// How to go on.
fn more(answer: &Value) {
    match answer["searched-to"].as_str() {
        _ if answer["next"].is_null() => {}
        Some(searched_to) => {
            output::line(format_args!("searched back to {}; to go on: --before {}", moment::long(searched_to), text(answer, "next")));
        }
        None => output::line(format_args!("more: --before {}", text(answer, "next"))),
    }
}

impl Show {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let shown = Client::find(common)?.get(&format!("/api/v1/dead-letters/{}", self.id)).await;
        let shown = shown.map_err(|problem| or_fix(problem, LISTED))?;
        if common.json {
            output::json(&shown);
            return Ok(());
        }
        print_letter(&shown["dead-letter"]);
        output::line("");
        super::message::print(&shown["message"]);
        Ok(())
    }
}

pub(super) const LISTED: &str = "`lockgate dead-letters list --each` shows the open ones with their ids";

fn print_letter(letter: &Value) {
    let id = &letter["id"];
    output::line(format_args!("dead letter {id}, {}", text(letter, "status")));
    let code = if letter["code"] == letter["class"] { String::new() } else { format!(", {}", text(letter, "code")) };
    output::line(format_args!("  why          {}{code}: {}", text(letter, "class"), text(letter, "detail")));
    output::line(format_args!("  died         {} in {}", moment::long(&text(letter, "died-at")), text(letter, "integration")));
    let replayed = letter["replay"].as_u64().filter(|replay| *replay > 0).map(|replay| format!(", at replay {replay}")).unwrap_or_default();
    output::line(format_args!("  attempts     {}, waits {}{replayed}", text(letter, "attempts"), text(letter, "waits")));
    output::line(format_args!("  fingerprint  {}", text(letter, "fingerprint")));
    if !letter["edited-as"].is_null() {
        output::line(format_args!("  edited as    message {}", text(letter, "edited-as")));
    }
    match letter["status"].as_str() {
        Some("open") => {
            output::line(format_args!("  next         mend the cause, then: lockgate dead-letters replay {id}"));
            output::line(format_args!("               or mend the message: lockgate dead-letters edit {id} --reason WHY"));
        }
        _ if letter["reason"].is_null() => {}
        _ => output::line(format_args!("  reason       {}", text(letter, "reason"))),
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
        if let Some(rate) = self.rate {
            body.insert("rate".to_owned(), json!(rate));
        }
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
    } else if results.is_empty() {
        output::line("no open dead letter fits");
    } else {
        results.iter().for_each(|result| output::line(told(result)));
        if answer["more"] == true {
            output::line("more of them fit: run it again");
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

/// What became of one, in words.
pub(super) fn told(result: &Value) -> String {
    let became = match result["result"].as_str().unwrap_or_default() {
        "queued" if !result["message"].is_null() => {
            format!("edited as message {}, which is on its way as replay {}", text(result, "message"), text(result, "replay"))
        }
        "queued" => format!("on its way again, replay {}", text(result, "replay")),
        "superseded" => format!("not replayed, {} newer of its key were delivered since", text(result, "newer")),
        "skipped" => "discarded, newer ones of its key were delivered since".to_owned(),
        "would-be-queued" => "nothing was done, as asked".to_owned(),
        "already-replayed" if !result["edited-as"].is_null() => {
            format!("already edited at {} as message {}", moment::long(&text(result, "at")), text(result, "edited-as"))
        }
        "already-replayed" => format!("already replayed at {} as replay {}", moment::long(&text(result, "at")), text(result, "replay")),
        "integration-retired" => format!(
            "not replayed: {} is retired, and nobody would deliver it; deploy its file first, or discard it",
            text(result, "integration")
        ),
        "already-discarded" => format!("already discarded at {}: {}", moment::long(&text(result, "at")), text(result, "reason")),
        "not-found" => "there is no such dead letter".to_owned(),
        "failed" => "failed; the host's log says why".to_owned(),
        other => output::printable(other),
    };
    format!("dead letter {}: {became}", result["id"])
}
