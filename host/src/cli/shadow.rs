//! `lockgate shadow`: how the release does that runs beside the active one without effect, and its end.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, or_fix};
use super::output::text;
use super::releases::{NAMES, TriedRelease, end_trial, path};
use super::report::{report_lines, write_page};
use super::{Common, Failure, output};
use crate::problem::{Code, Problem};
use crate::rehearsal::{Report, Verdict};

/// What a release that runs beside the active one would make otherwise; end it: make it the active one, or give it up
///
/// `lockgate deploy NAME --shadow` begins it. It runs on each message that the active release has settled. What it asks of the outside is
/// answered from what the active release got; it sends nothing and writes nothing.
#[derive(Debug, Subcommand)]
pub enum ShadowCommand {
    Show(Show),
    Finish(Finish),
    Abort(Abort),
}

/// What it would make otherwise, field by field, with counts and samples
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate shadow show orders-to-crm
  lockgate shadow show orders-to-crm --html report.html
  lockgate shadow show orders-to-crm --json | jq '.report.changes[] | {of, path, count}'")]
pub struct Show {
    /// The integration
    name: String,
    /// Write the report as a page that can be sent to people
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Exit with 1 if any message would go otherwise, none could be compared, or not all that came has been told
    #[arg(long)]
    expect_same: bool,
}

/// Make it the active release
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate shadow show orders-to-crm       what it would make otherwise
  lockgate shadow finish orders-to-crm 3f9c1a7be210")]
pub struct Finish {
    #[command(flatten)]
    tried: TriedRelease,
}

/// Give it up: it runs no more
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate shadow abort orders-to-crm
  lockgate shadow abort orders-to-crm 3f9c1a7be210")]
pub struct Abort {
    #[command(flatten)]
    tried: TriedRelease,
}

impl ShadowCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let (tried, act) = match self {
            Self::Show(show) => return show.run(common).await,
            Self::Finish(Finish { tried }) => (tried, "finish"),
            Self::Abort(Abort { tried }) => (tried, "abort"),
        };
        end_trial(common, (&tried, "shadow"), act, "has no shadow any more").await
    }
}

impl Show {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let answer = client.get(&path(&self.name, "shadow")).await.map_err(|problem| or_fix(problem, NAMES))?;
        let report: Report = serde_json::from_value(answer["report"].clone())
            .map_err(|error| Problem::new(Code::Internal, format!("the host tells of its shadow in a way that is not ours: {error}")))?;
        if let Some(file) = &self.html {
            write_page(file, &report)?;
            output::complaint(&format!("written to {}", file.display()));
        }
        if common.json {
            output::json(&answer);
        } else {
            tell(&self.name, &answer["shadow"]);
            report_lines(&report).iter().skip(1).for_each(output::line);
        }
        let left = |field: &str| answer["shadow"][field].as_u64().unwrap_or(0);
        let is_left = left("waiting") + left("under-way") + left("missed") > 0;
        let none_compared = report.count(Verdict::NotComparable) == report.messages;
        if !self.expect_same || (report.is_same() && !none_compared && !is_left) {
            return Ok(());
        }
        output::complaint(match (report.is_same(), none_compared) {
            (false, _) => "some would go otherwise",
            (true, true) => "nothing could be compared yet",
            (true, false) => "not all that came has been told",
        });
        Err(Failure::No)
    }
}

/// How a shadow stands, for people.
pub fn tell(name: &str, shadow: &Value) {
    let release = shadow["release"].as_str().and_then(|id| id.get(..12)).unwrap_or("-");
    output::line(format_args!("release {release} runs beside the active one since {}, without effect", text(shadow, "since")));
    if shadow["since"] != shadow["counted-since"] {
        output::line(format_args!("  counted anew since {}, when the host started", text(shadow, "counted-since")));
    }
    output::line(format_args!("  {} messages told, {} not shown to it for want of room", text(shadow, "messages"), text(shadow, "missed")));
    if shadow["waiting"].as_u64() > Some(0) {
        output::line(format_args!("  {} wait to be told", text(shadow, "waiting")));
    }
    if shadow["under-way"].as_u64() > Some(0) {
        output::line(format_args!("  {} messages that became several wait for all of those", text(shadow, "under-way")));
    }
    output::line(format_args!("  lockgate shadow finish {name} {release}, or lockgate shadow abort {name} {release}"));
}

/// The verdicts of a shadow that some message has, for a line.
pub fn verdicts(shadow: &Value) -> String {
    let told = shadow["verdicts"].as_object().into_iter().flatten();
    let told = told.filter(|(_, count)| count.as_u64() > Some(0)).map(|(verdict, count)| format!("{count} {}", verdict.replace('-', " ")));
    told.collect::<Vec<_>>().join(", ")
}
