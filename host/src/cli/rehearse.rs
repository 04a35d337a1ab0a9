//! `lockgate rehearse`: what the workspace's release would make of messages that were recorded.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{on_one_line, printable};
use super::progress::Progress;
use super::run::prepare_workspace;
use super::{Common, Failure, output};
use crate::app::rehearsing::{self, Rehearsal};
use crate::config::prepare::MissingLock;
use crate::message::ID_CHARS_SHOWN;
use crate::moment::Moment;
use crate::partial;
use crate::problem::{Code, Problem};
use crate::rehearsal::{Group, Report, Sample, Verdict, page};

/// Rehearse a release on recorded messages: what would it make of them?
///
/// Runs the workspace's release of an integration over the messages that the host on this machine recorded in its data folder. The outside
/// is answered from the record: each request with what the same request was answered then, clocks and random bytes as they were. Nothing is
/// sent and nothing written, and the host may run meanwhile. Shows what would be another, field by field.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate rehearse orders-to-crm --env prod --since 24h
  lockgate rehearse orders-to-crm --env prod --since 7d --expect-same    for CI: 1 if anything differs
  lockgate rehearse orders-to-crm --env prod --dead-letters              would this fix deliver them?
  lockgate rehearse orders-to-crm --env prod --since 24h --html report.html
  lockgate rehearse orders-to-crm --env prod --since 24h --json | jq '.changes[] | {of, path, count}'

Same: exactly as it went. Changed: the same end by another content or request.
Newly failing, newly passing: another end. Diverged: it asks what nobody asked
before, so nobody knows the answer. A request with another body is given the
answer of the one it stands for, and reported. docs/rehearsal.md says how.")]
pub struct Rehearse {
    /// The integration
    name: String,
    /// The environment: environments/<ENV>.toml
    #[arg(long, value_name = "ENV")]
    env: String,
    /// Only what ended since: 30m, 24h, 7d, or a time such as 2026-03-01T08:00:00Z [default: 24h; with --dead-letters: all]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only messages that are dead letters now
    #[arg(long)]
    dead_letters: bool,
    /// Rehearse so many messages at most, the latest
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Exit with 1 if any message would go otherwise, or none can be compared
    #[arg(long)]
    expect_same: bool,
    /// Write the report as a page that can be sent to people
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Data folder of the host [default: that of lockgate.toml, else DIR/data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Rehearse {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let asked = self.asked()?;
        let progress = Progress::new(common.json);
        let mut prepared = prepare_workspace(&common.directory, &self.env, MissingLock::Ignore, &progress)?;
        if let Some(data) = self.data {
            prepared.workspace.host.data = data;
        }
        let done = |so_far: usize, all: usize| {
            if so_far.is_multiple_of(100) || so_far == all {
                progress.detail(&format!("{so_far} of {all}"));
            }
        };
        let report = rehearsing::run(&prepared, asked, &|text| progress.step(text), &done).await?;
        drop(progress);
        if let Some(file) = &self.html {
            write(file, &page(&report))?;
        }
        if common.json {
            output::json(&report);
        } else {
            lines(&report).iter().for_each(output::line);
        }
        let none_compared = report.count(Verdict::NotComparable) == report.messages;
        if self.expect_same && (!report.is_same() || none_compared) { Err(Failure::No) } else { Ok(()) }
    }

    fn asked(&self) -> Result<Rehearsal, Problem> {
        let text = self.since.clone().or_else(|| (!self.dead_letters).then(|| "24h".to_owned()));
        let since = text.map(|text| match text.parse::<Moment>() {
            Ok(moment) => Ok((moment, text)),
            Err(why) => Err(Problem::new(Code::WrongUsage, format!("--since {text}: {why}")).fix("for example --since 24h")),
        });
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        Ok(Rehearsal { integration: self.name.clone(), since: since.transpose()?, most, dead_letters: self.dead_letters })
    }
}

/// There whole, or not at all; its owner's alone, since there are messages in it.
fn write(file: &Path, page: &str) -> Result<(), Problem> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = partial::in_folder(folder).and_then(|mut partial| {
        partial.write_all(page.as_bytes())?;
        partial.persist(file).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| {
        Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", file.display())).fix("name another file")
    })
}

fn lines(report: &Report) -> Vec<String> {
    let candidate = &report.candidate;
    let mut lines = vec![format!("{} release {} on {}", candidate.integration, candidate.release.short(), messages(report.messages))];
    lines.extend(
        Verdict::ALL
            .iter()
            .map(|verdict| (verdict.as_str().replace('-', " "), report.count(*verdict)))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("  {count:>7}  {verdict}")),
    );
    let mut groups = |title: &str, groups: &[Group]| {
        if !groups.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            groups.iter().for_each(|group| lines.extend(told(group)));
        }
    };
    groups("would fail, and did not:", &report.newly_failing);
    groups("failed, and would not:", &report.newly_passing);
    groups("asked by nobody before:", &report.diverged);
    groups("what would be another:", &report.changes);
    groups("not comparable:", &report.not_comparable);
    lines.extend(remarks(report));
    lines
}

fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut remark = |count: usize, what: &str| {
        if count > 0 {
            remarks.push(format!("{} {what}", messages(count)));
        }
    };
    remark(report.sink_left_out, "compared up to the sink, which takes several at once");
    remark(report.left_out, "older, left out; --limit takes more");
    if report.more > 0 {
        remarks.push(format!("{} more changes are not listed", report.more));
    }
    remarks.extend(report.passed_over.iter().map(|passed| format!("not read: {}, {}", on_one_line(&passed.file), passed.why)));
    if !remarks.is_empty() {
        remarks.insert(0, String::new());
    }
    remarks
}

fn told(group: &Group) -> Vec<String> {
    let path = if group.path.is_empty() { String::new() } else { format!(" {}", on_one_line(&group.path)) };
    let mut lines = vec![format!("  {}{path}  ({})", on_one_line(&group.of), messages(group.count))];
    lines.extend(group.samples.iter().map(sample));
    lines
}

fn sample(sample: &Sample) -> String {
    let id = sample.message.to_string();
    let id = id.get(..ID_CHARS_SHOWN).unwrap_or(&id).to_owned();
    let part = sample.part.map(|part| format!(" part {}", part.saturating_add(1))).unwrap_or_default();
    let shown =
        |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), |value| on_one_line(&value.to_string()));
    match (&sample.before, &sample.after) {
        (None, None) => format!("      {id}{part}"),
        (before, after) => printable(&format!("      {id}{part}  {} -> {}", shown(before), shown(after))),
    }
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}
