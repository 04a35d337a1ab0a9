//! `lockgate releases`, `rollback`, `approve` and `reject`: what there was, back to it, and who agrees to what is new.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::switching::tell;
use super::{Common, Failure, output, shadow, table};
use crate::problem::Problem;

pub const NAMES: &str = "`lockgate status` shows the names";

/// The releases of an integration: which is active, who deployed it when, and what was another then
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate releases orders-to-crm
  lockgate releases orders-to-crm --json | jq '.releases[] | {release, state, \"activated-by\"}'")]
pub struct ReleasesCommand {
    /// The integration
    name: String,
}

/// Make an earlier release the active one again, while messages flow
///
/// The host still has it and its plugins. Deliveries under way end on the release they started on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate rollback orders-to-crm                 to the release that was active before
  lockgate rollback orders-to-crm 3f9c1a7be210    to that one
  lockgate rollback orders-to-crm --plan          only show what would follow")]
pub struct Rollback {
    /// The integration
    name: String,
    /// The beginning of a release's id, at least 6 digits [default: the one that was active before the one that is]
    release: Option<String>,
    /// Only show what would follow
    #[arg(long)]
    plan: bool,
}

/// Approve a release that waits for it; the last approval needed activates it, or begins its trial
///
/// With a token whose role is approver. Where the host says so, who brought the release cannot approve it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate releases orders-to-crm      what waits, and what it newly asks for
  lockgate approve orders-to-crm 3f9c1a7be210 --note 'tax quotes go to the new provider, ticket 4711'")]
pub struct Approve {
    /// The integration
    name: String,
    /// The beginning of the release's id, at least 6 digits: who approves says what
    release: String,
    /// Why it may run: it stands in the audit trail
    #[arg(long, value_name = "TEXT")]
    note: String,
}

/// End what is tried on a share of the keys: make it the active release, or give it up
///
/// A canary ends by itself, and all keys go back to the active release, where more of its attempts fail than those of the active one, or they
/// take longer.
#[derive(Debug, Subcommand)]
pub enum CanaryCommand {
    Finish(Finish),
    Abort(Abort),
}

/// Make what is tried the active release, for all keys
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate releases orders-to-crm          how it does
  lockgate canary finish orders-to-crm 3f9c1a7be210")]
pub struct Finish {
    #[command(flatten)]
    tried: TriedRelease,
}

/// What is to be ended.
#[derive(Debug, Args)]
pub struct TriedRelease {
    /// The integration
    pub name: String,
    /// The beginning of the release's id, as it was shown: where somebody tries another by now, nothing is done
    pub release: Option<String>,
}

/// Give up what is tried: all keys go back to the active release
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate canary abort orders-to-crm
  lockgate canary abort orders-to-crm 3f9c1a7be210")]
pub struct Abort {
    #[command(flatten)]
    tried: TriedRelease,
}

/// Reject a release that waits for approval: it waits no more
///
/// With a token whose role is approver. Approvals that it has are gone: deployed again, it begins without.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate reject orders-to-crm 3f9c1a7be210 --note 'the vendor has to say first what telemetry is for'")]
pub struct Reject {
    /// The integration
    name: String,
    /// The beginning of the release's id, at least 6 digits: who rejects says what
    release: String,
    /// Why it may not run: it stands in the audit trail
    #[arg(long, value_name = "TEXT")]
    note: String,
}

impl Reject {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let answer = client.post(&path(&self.name, "reject"), &json!({ "release": self.release, "note": self.note })).await;
        let is_done = answer.is_ok() && !common.json;
        show(common, answer)?;
        if is_done {
            output::line(format_args!("release {} of {} waits no more: rejected", self.release, self.name));
        }
        Ok(())
    }
}

impl CanaryCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let (tried, act) = match &self {
            Self::Finish(Finish { tried }) => (tried, "finish"),
            Self::Abort(Abort { tried }) => (tried, "abort"),
        };
        end_trial(common, (tried, "canary"), act, "tries no release any more: all keys are with the active one").await
    }
}

/// Ends what is tried in an integration, one way or the other; `aborted` says what holds of it then.
pub async fn end_trial(common: &Common, (tried, kind): (&TriedRelease, &str), act: &str, aborted: &str) -> Result<(), Failure> {
    let TriedRelease { name, release } = tried;
    let mut body = json!({ "act": act });
    if let Some(release) = release {
        body["release"] = release.as_str().into();
    }
    let answer = Client::find(common)?.post(&path(name, kind), &body).await;
    let is_aborted = act == "abort" && answer.is_ok() && !common.json;
    show(common, answer)?;
    if is_aborted {
        output::line(format_args!("{name} {aborted}"));
    }
    Ok(())
}

impl ReleasesCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let answer = client.get(&path(&self.name, "releases")).await.map_err(|problem| or_fix(problem, NAMES))?;
        if common.json {
            output::json(&answer);
            return Ok(());
        }
        let rows: Vec<Vec<String>> = list(&answer["releases"]).iter().map(row).collect();
        table::print(&["RELEASE", "STATE", "ACTIVATED", "BY", "HOW", "CHANGED"], &rows);
        let canary = &answer["canary"];
        if !canary.is_null() {
            tell_canary(&self.name, canary);
        }
        let beside = &answer["shadow"];
        if !beside.is_null() {
            shadow::tell(&self.name, beside);
            output::line(format_args!("  {}", shadow::verdicts(beside)));
        }
        let waits = &answer["waits-for-approval"];
        if !waits.is_null() {
            tell_waiting(&self.name, waits);
        }
        Ok(())
    }
}

fn row(release: &Value) -> Vec<String> {
    let short = release["release"].as_str().and_then(|id| id.get(..12)).unwrap_or("-").to_owned();
    let (when, who) = match release["activated-at"].is_null() {
        true => (format!("stored {}", text(release, "stored-at")), text(release, "author")),
        false => (text(release, "activated-at"), text(release, "activated-by")),
    };
    let plugins = list(&release["changed"]["plugins"]).iter().map(|plugin| format!("{} {}", text(plugin, "name"), text(plugin, "version")));
    let keys = list(&release["changed"]["file"]).iter().filter_map(Value::as_str).map(str::to_owned);
    let changed: Vec<String> = plugins.chain(keys).collect();
    let changed = match (release["changed"].is_null(), changed.is_empty()) {
        (true, _) => "the first".to_owned(),
        (false, true) => "comments or spaces only".to_owned(),
        (false, false) => changed.join(", "),
    };
    vec![short, text(release, "state"), when, who, text(release, "how"), changed]
}

fn tell_canary(name: &str, canary: &Value) {
    let release = canary["release"].as_str().and_then(|id| id.get(..12)).unwrap_or("-");
    let tenths = canary["share-per-mille"].as_u64().unwrap_or(0);
    output::line(format_args!(
        "release {release} is tried on {}.{} % of the keys since {}",
        tenths / 10,
        tenths % 10,
        text(canary, "since")
    ));
    for side in ["active", "candidate"] {
        let figures = &canary["figures"][side];
        let (attempts, failed, p90) = (text(figures, "attempts"), text(figures, "failed"), text(figures, "p90-ms"));
        output::line(format_args!("  {side}: {attempts} attempts, {failed} failed, nine in ten within {p90} ms"));
    }
    output::line(format_args!("  lockgate canary finish {name} {release}, or lockgate canary abort {name} {release}"));
}

fn tell_waiting(name: &str, waits: &Value) {
    let release = waits["release"].as_str().and_then(|id| id.get(..12)).unwrap_or("-");
    let given = list(&waits["given"]);
    let to_be = match waits["to-be"].as_str() {
        Some("active") | None => "the active one".to_owned(),
        Some(how) => format!("a {how}; once approved, it may be made the active one without another approval"),
    };
    output::line(format_args!("release {release} waits for approval to be {to_be}: {} of {} given", given.len(), text(waits, "needed")));
    for asked in list(&waits["asks"]).iter().filter_map(Value::as_str) {
        output::line(format_args!("  asks for more: {}", output::on_one_line(asked)));
    }
    for one in given {
        output::line(format_args!("  approved by {} at {}: {}", text(one, "by"), text(one, "at"), text(one, "note")));
    }
    output::line(format_args!("  lockgate approve {name} {release} --note TEXT, or lockgate reject {name} {release} --note TEXT"));
}

impl Rollback {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let mut asked = json!({ "plan": self.plan });
        if let Some(release) = &self.release {
            asked["release"] = json!(release);
        }
        show(common, client.post(&path(&self.name, "rollback"), &asked).await)
    }
}

impl Approve {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        show(common, client.post(&path(&self.name, "approve"), &json!({ "release": self.release, "note": self.note })).await)
    }
}

/// Where the API has something of an integration.
pub fn path(name: &str, what: &str) -> String {
    format!("/api/v1/integrations/{}/{what}", encoded(name))
}

fn show(common: &Common, answer: Result<Value, Problem>) -> Result<(), Failure> {
    let answer = answer.map_err(|problem| or_fix(problem, NAMES))?;
    if common.json {
        output::json(&answer);
    } else {
        tell(&answer);
    }
    Ok(())
}
