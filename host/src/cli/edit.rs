//! `lockgate dead-letters edit`: an edited message delivered in place of a dead letter.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::Method;
use serde_json::Value;

use super::client::{Client, encoded, or_fix};
use super::dead_letters::{LISTED, told};
use super::output::{list, text};
use super::{Common, Failure, editor, output, send};
use crate::problem::{Code, Problem};

/// Characters of a value that are shown on a line.
const VALUE_CHARS_SHOWN: usize = 200;

/// Deliver an edited message in place of a dead letter, with a reason
///
/// Messages do not change: what is edited becomes a new message, made of the original, in its place among those of its key. The host
/// checks it, shows what is different and asks. The original keeps its body, and names the new one.
///
/// Without --body the body is opened in $VISUAL or $EDITOR. At no terminal nobody can be asked: give --yes, or --dry-run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate dead-letters edit 17 --reason 'customer corrected the address'
  lockgate dead-letters edit 17 --body mended.json --reason 'tax id added' --dry-run
  lockgate message ID --full --json | jq -r .body.text | jq '.tax_id = 7' |
    lockgate dead-letters edit 17 --body - --reason 'tax id added' --yes")]
pub struct Edit {
    /// The dead letter's id
    id: i64,
    /// A file with the new body; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// The new body's content type, if it is another
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Why; kept with the dead letter and its outcome
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Even where newer messages of its key were delivered since
    #[arg(long)]
    anyway: bool,
    /// Show what would be different, and do nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// A new body, and the file it was edited in.
struct Body {
    bytes: Bytes,
    file: Option<editor::Edited>,
}

impl Edit {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        self.check_who_can_be_asked(common)?;
        let client = Client::find(common)?;
        let shown = client.get(&format!("/api/v1/dead-letters/{}?body=full", self.id)).await;
        let shown = shown.map_err(|problem| or_fix(problem, LISTED))?;
        let content_type = self.content_type.clone().unwrap_or_else(|| text(&shown["message"], "content-type"));
        let body = self.body(&shown["message"], &content_type)?;
        let sent = self.send(common, &client, &content_type, &body.bytes).await;
        // What a person typed is not thrown away with what it was not good for.
        if let (Err(Failure::Problems(_)), Some(file)) = (&sent, body.file) {
            let kept = file.keep()?;
            output::complaint(&format!("what you edited is kept: --body {}", kept.display()));
        }
        sent
    }

    /// Before anything is typed that would be lost.
    fn check_who_can_be_asked(&self, common: &Common) -> Result<(), Problem> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let wrong = |why: &str| Problem::new(Code::WrongUsage, why);
        if self.body.is_none() && !terminal {
            return Err(wrong("without --body the body is opened in an editor, and there is no terminal to do that at").fix(
                "name a file with the new body: --body FILE (`lockgate message ID --full --json | jq -r .body.text` gives the old one)",
            ));
        }
        if !self.dry_run && !self.yes && (!terminal || common.json) {
            return Err(
                wrong("nobody can be asked whether the edit is meant").fix("--yes to do it, --dry-run to see what would be different")
            );
        }
        Ok(())
    }

    fn body(&self, message: &Value, content_type: &str) -> Result<Body, Problem> {
        if let Some(file) = &self.body {
            return Ok(Body { bytes: send::read(file)?, file: None });
        }
        let Some(body) = message["body"]["text"].as_str() else {
            return Err(Problem::new(Code::WrongUsage, "the body is no text, so no editor can show it").fix("--body FILE"));
        };
        let file = editor::edit(body, if content_type.contains("json") { ".json" } else { ".txt" })?;
        Ok(Body { bytes: file.bytes()?, file: Some(file) })
    }

    async fn send(&self, common: &Common, client: &Client, content_type: &str, body: &Bytes) -> Result<(), Failure> {
        if !self.yes {
            let would = self.post(client, content_type, body, true).await?;
            if common.json {
                output::json(&would);
            } else {
                print_difference(&would["difference"]);
            }
            if would["result"] != "would-be-queued" {
                if !common.json {
                    output::line(told(&would));
                }
                return Err(Failure::No);
            }
            if self.dry_run {
                return Ok(());
            }
            if !agreed()? {
                output::line("nothing was done");
                return Err(Failure::No);
            }
        }
        let done = self.post(client, content_type, body, false).await?;
        self.tell(common, &done)
    }

    fn tell(&self, common: &Common, done: &Value) -> Result<(), Failure> {
        if common.json {
            output::json(done);
        } else {
            if self.yes {
                print_difference(&done["difference"]);
            }
            output::line(told(done));
        }
        match done["result"].as_str() {
            Some("queued") => Ok(()),
            Some("superseded") if !common.json => {
                let why = format!("not delivered: {} newer messages of its key were delivered since", text(done, "newer"));
                Err(Problem::new(Code::Superseded, why).fix("--anyway delivers it all the same").into())
            }
            _ => Err(Failure::No),
        }
    }

    async fn post(&self, client: &Client, content_type: &str, body: &Bytes, dry_run: bool) -> Result<Value, Problem> {
        let Self { id, reason, anyway, .. } = self;
        let path = format!("/api/v1/dead-letters/{id}/edit?dry-run={dry_run}&anyway={anyway}&reason={}", encoded(reason));
        client.ask(Method::POST, &path, content_type, body.clone()).await
    }
}

fn print_difference(difference: &Value) {
    let fields = list(&difference["fields"]);
    let widest = fields.iter().map(|field| text(field, "path").chars().count()).max().unwrap_or_default().min(40);
    for field in fields {
        let path = text(field, "path");
        let path = if path.is_empty() { "(all of it)".to_owned() } else { path };
        output::line(format_args!("  {path:<widest$}  {} → {}", side(field.get("before")), side(field.get("after"))));
    }
    for line in list(&difference["lines"]) {
        output::line(format_args!("  {}", output::printable(line.as_str().unwrap_or_default())));
    }
    if let Some(more) = difference["more"].as_u64().filter(|more| *more > 0) {
        output::line(format_args!("  and {more} more"));
    }
    for fact in list(&difference["facts"]) {
        output::line(format_args!("  {}: {} → {}", text(fact, "name").replace('-', " "), text(fact, "before"), text(fact, "after")));
    }
}

/// A value on its side of the arrow, cut.
fn side(value: Option<&Value>) -> String {
    let Some(value) = value else { return "(nothing)".to_owned() };
    let all = output::on_one_line(&value.to_string());
    let mut shown: String = all.chars().take(VALUE_CHARS_SHOWN).collect();
    if shown.len() < all.len() {
        shown.push('…');
    }
    shown
}

fn agreed() -> Result<bool, Problem> {
    let lost = |error: std::io::Error| Problem::new(Code::WrongUsage, format!("the answer cannot be read: {error}")).fix("--yes");
    let mut error = std::io::stderr();
    write!(error, "deliver this in its place? [y/N] ").and_then(|()| error.flush()).map_err(lost)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(lost)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
