//! `lockgate rehearse`: what the workspace's release would make of messages that were recorded.

use std::path::PathBuf;

use clap::Args;

use super::progress::Progress;
use super::report::{report_lines, write_page};
use super::run::prepare_workspace;
use super::{Common, Failure, output};
use crate::app::rehearsing::{self, Rehearsal, Rehearsed};
use crate::config::prepare::MissingLock;
use crate::moment::Moment;
use crate::problem::{Code, Problem};
use crate::rehearsal::Verdict;

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
        let Rehearsed { report, kept } = rehearsing::run(&prepared, asked, &|text| progress.step(text), &done).await?;
        drop(progress);
        if let Some(file) = &self.html {
            write_page(file, &report)?;
        }
        // Beside the report, which is the same every time.
        output::complaint(&kept_where(&self.name, &kept));
        if common.json {
            output::json(&report);
        } else {
            report_lines(&report).iter().for_each(output::line);
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

fn kept_where(name: &str, kept: &std::io::Result<String>) -> String {
    match kept {
        Ok(id) => format!("kept for the console: /integrations/{name}/rehearsals/{id}"),
        Err(why) => format!("not kept for the console: {why}"),
    }
}
