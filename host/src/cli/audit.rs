//! `lockgate audit`: who changed what, and whether the entries are those that were written.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::client::{Client, filtered};
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};
use crate::backup;
use crate::clock::Timestamp;
use crate::config::workspace::read_files;
use crate::message_store::audit::{Came, Link, Verdict};
use crate::message_store::sqlite::{DATABASE_FILE, verify_file};
use crate::moment::Moment;
use crate::problem::{Code, Problem};

/// List who changed what, newest first
///
/// Every change that somebody made is there for good, `retention` notwithstanding: who (the name of a token, `local` for the data folder's own), by what way, what, how it
/// was and how it is since. Each entry carries a hash of the one before.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  lockgate audit
  lockgate audit --since 24h --who ci
  lockgate audit --json --limit 1000 | jq -r '.entries[] | select(.act == \"set-secret\") | .who'
  lockgate audit verify"
)]
pub struct Audit {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Subcommand)]
enum What {
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Listing {
    /// Only what who has the token of this name did
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only since: 30m, 24h, 7d, or a time such as 2026-03-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only until: 30m, 24h, 7d ago, or a time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only entries before this one, as the end of the last page says
    #[arg(long, value_name = "ENTRY")]
    before: Option<i64>,
    /// At most so many, 1 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Look at every entry: whether each is what was written behind the one before it
///
/// Says how many entries there are and the hash of the last, or the first entry that does not fit, and exits with 1. Asks the running host; where none runs, reads the
/// data folder. Who can write to the data folder can write the whole trail anew, hashes and all: keep the last hash elsewhere, and
/// ask with --head whether it is still in the trail.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate audit verify
  lockgate audit verify --json | jq -r .head > head     keep it on another machine
  lockgate audit verify --head \"$(cat head)\"
  lockgate audit verify --data /var/lib/lockgate
  lockgate audit verify --backup /backups/lockgate-2026-11-22.tar")]
struct Verify {
    /// A hash that was kept: whether an entry still has it
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    /// Read this data folder, whether or not a host runs on it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Read this backup; a copy of its database is made among the temporary files meanwhile
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    backup: Option<PathBuf>,
}

fn link(text: &str) -> Result<Link, Problem> {
    Link::parse(text).ok_or_else(|| {
        Problem::new(Code::WrongUsage, format!("--head {text}: expected 64 hexadecimal digits")).fix("`lockgate audit verify` prints them")
    })
}

impl Audit {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        match self.what {
            None => self.listing.run(common).await,
            Some(What::Verify(verify)) => verify.run(common).await,
        }
    }
}

impl Listing {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let now = moment::now();
        let time = |time: Option<Moment>| time.map(|time| time.at(now).0.to_string());
        let filters = [
            ("who", self.who),
            ("since", time(self.since)),
            ("until", time(self.until)),
            ("before", self.before.map(|before| before.to_string())),
        ];
        let path = filtered(format!("/api/v1/audit?limit={}", self.limit), filters);
        let answer = Client::find(common)?.get(&path).await?;
        if common.json {
            output::json(&answer);
            return Ok(());
        }
        let rows: Vec<Vec<String>> = list(&answer["entries"]).iter().map(|entry| row(entry, now)).collect();
        if rows.is_empty() {
            output::line("no entry fits");
        } else {
            table::print(&["ENTRY", "WHEN", "WHO", "WAY", "WHAT", "TO", "CHANGE"], &rows);
        }
        if let Some(before) = answer["next"].as_i64() {
            output::line(format_args!("more: --before {before}"));
        }
        Ok(())
    }
}

fn row(entry: &Value, now: Timestamp) -> Vec<String> {
    let came = text(entry, "came");
    let what = if came == Came::Done.as_str() { text(entry, "act") } else { format!("{} ({came})", text(entry, "act")) };
    let when = moment::short(&text(entry, "at"), now);
    vec![text(entry, "seq"), when, text(entry, "who"), text(entry, "way"), what, text(entry, "subject"), change(entry)]
}

/// `"a" → "b"`, or the one of them that there is.
fn change(entry: &Value) -> String {
    let side = |field: &str| Some(&entry[field]).filter(|value| !value.is_null()).map(|value| output::on_one_line(&value.to_string()));
    match (side("before"), side("after")) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(before), None) => format!("{before} → -"),
        (None, Some(after)) => after,
        (None, None) => "-".to_owned(),
    }
}

impl Verify {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let head = self.head.as_deref().map(link).transpose()?;
        let verdict = match (self.data, self.backup) {
            (Some(data), _) => read(data.join(DATABASE_FILE), head).await?,
            (_, Some(file)) => of_backup(file, head).await?,
            (None, None) => of_host(common, head).await?,
        };
        told(common, &verdict, head)
    }
}

/// The running host's; where none runs, that of its data folder.
async fn of_host(common: &Common, head: Option<Link>) -> Result<Value, Failure> {
    let query = head.map(|head| format!("?head={head}")).unwrap_or_default();
    let asked = async { Client::find(common)?.get(&format!("/api/v1/audit/verify{query}")).await };
    match asked.await {
        Err(problem) if problem.code == Code::HostUnreachable && common.host.is_none() => {
            let data = read_files(&common.directory)?.0.data;
            if !common.json {
                output::complaint(&format!("no host answers on {}: the data folder is read", data.display()));
            }
            Ok(read(data.join(DATABASE_FILE), head).await?)
        }
        answer => Ok(answer?),
    }
}

async fn of_backup(file: PathBuf, head: Option<Link>) -> Result<Value, Problem> {
    let place = tempfile::tempdir().map_err(|error| {
        Problem::new(Code::FileUnreadable, format!("no folder for a copy of the backup's database: {error}")).fix("set TMPDIR")
    })?;
    let data = place.path().join("data");
    let to = data.clone();
    blocking(move || backup::restore(&file, &to, &CancellationToken::new())).await?;
    read(data.join(DATABASE_FILE), head).await
}

async fn read(database: PathBuf, head: Option<Link>) -> Result<Value, Problem> {
    let verdict: Verdict = blocking(move || verify_file(&database, head)).await?;
    Ok(serde_json::to_value(verdict).unwrap_or_default())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let stopped = |stopped: tokio::task::JoinError| Problem::new(Code::Internal, stopped.to_string()).fix("report this");
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

/// What was found; a failure where it is not good.
fn told(common: &Common, verdict: &Value, kept: Option<Link>) -> Result<(), Failure> {
    let misfit = &verdict["misfit"];
    let is_missing = verdict["kept-head-is-in-it"] == false;
    if common.json {
        output::json(verdict);
        return if misfit.is_null() && !is_missing { Ok(()) } else { Err(Failure::No) };
    }
    let fit = format!("{} entries fit; the last has the hash {}", text(verdict, "entries"), text(verdict, "head"));
    if !misfit.is_null() {
        output::line(&fit);
        let message = format!("entry {} of the audit trail does not fit: {}", text(misfit, "entry"), text(misfit, "why"));
        return Err(Problem::new(Code::AuditMisfit, message)
            .fix("somebody changed the database: compare with a backup, and keep both")
            .into());
    }
    output::line(&fit);
    if let Some(kept) = kept.filter(|_| is_missing) {
        let message = format!("no entry of the audit trail has the hash {kept}, though they fit each other");
        let fix = "if it was printed for this host, the trail was written anew since, or a backup was restored: compare with a backup";
        return Err(Problem::new(Code::AuditMisfit, message).fix(fix).into());
    }
    if kept.is_some() {
        output::line("the kept hash is that of one of them: nothing up to there was changed since");
    }
    Ok(())
}
