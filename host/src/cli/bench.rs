//! `lockgate bench`: the performance table of this machine. `bench_load` aims its load generator at anything else, `bench_floor` is what it
//! is measured against.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::bench_load::Load;
use super::example::project;
use super::progress::Progress;
use super::signals::until_a_signal;
use super::{Common, Failure, output, table};
use crate::bench::figures::{Row, readable};
use crate::bench::{self, EXAMPLE, Plan, ROWS, Report, Size, chart};
use crate::problem::{Code, Problem};

/// Measure Lockgate on this machine: throughput, latency, a sandbox's cost, growth and start, each against what it should hold
///
/// Runs `examples/order-to-invoice` for real, as a child process, on a temporary data folder on disk; in turns with the floor, which is the same
/// work written by hand with hyper and SQLite and nothing else. What counts is the ratio. All rows take some fifteen minutes; progress is
/// told on standard error, Ctrl-C ends it and leaves nothing behind.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  lockgate bench                              all rows
  lockgate bench --row end-to-end --seconds 10
  lockgate bench --json --chart performance.svg --check
  lockgate bench load --url http://127.0.0.1:1880/orders --target 127.0.0.1:9030

On a quiet machine: what else runs on it is measured along."
)]
pub struct Bench {
    #[command(subcommand)]
    other: Option<Other>,
    /// Measure this row only; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(ROWS))]
    row: Vec<String>,
    /// How long each round loads
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// Rounds of each; their median counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,
    /// Only show that everything runs: short, small, and no figure to go by
    #[arg(long, conflicts_with_all = ["seconds", "rounds", "check"])]
    quick: bool,
    /// Draw the rows as SVG into this file
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// End with 1 if a goal does not hold
    #[arg(long)]
    check: bool,
    /// Where temporary data goes: a folder on the disk to be measured [default: the system's, or /var/tmp where that is in memory]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Other {
    Load(Load),
}

impl Bench {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        if let Some(Other::Load(load)) = self.other {
            return load.run(common).await;
        }
        refuse_debug(self.quick)?;
        let folder = temporary(self.folder.as_deref())?;
        let plan = Plan {
            rows: if self.row.is_empty() { ROWS.map(str::to_owned).into() } else { self.row.iter().cloned().collect::<BTreeSet<_>>() },
            size: self.size(),
            project: project(&common.directory, EXAMPLE, "bench")?,
            folder: folder.path().to_owned(),
        };
        let progress = Progress::new(common.json);
        let report = until_a_signal(move |stop| bench::run(&plan, stop, &|text| progress.step(text))).await?;
        if let Some(file) = &self.chart {
            std::fs::write(file, chart::draw(&report)).map_err(|error| {
                Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", file.display())).fix("name another file")
            })?;
        }
        print(common, &report, self.quick);
        if report.is_exact() && (report.holds() || !self.check) { Ok(()) } else { Err(Failure::No) }
    }

    fn size(&self) -> Size {
        let size = if self.quick { Size::QUICK } else { Size::FULL };
        Size { lasts: self.seconds.map_or(size.lasts, Duration::from_secs), rounds: self.rounds.map_or(size.rounds, usize::from), ..size }
    }
}

/// What a debug build measures is the build.
fn refuse_debug(quick: bool) -> Result<(), Problem> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    if quick {
        output::complaint("this is a debug build: its figures mean nothing");
        return Ok(());
    }
    Err(Problem::new(Code::WrongUsage, "a debug build measures nothing but itself")
        .fix("cargo run --release -- bench; or --quick, to see that everything runs"))
}

/// A folder that is deleted in the end, on a disk: what is in memory is no data folder.
fn temporary(folder: Option<&Path>) -> Result<tempfile::TempDir, Problem> {
    let system = std::env::temp_dir();
    let in_memory = bench::file_system(&system).is_some_and(|kind| kind == "tmpfs");
    let parent = folder.unwrap_or(if in_memory { Path::new("/var/tmp") } else { &system });
    let made = tempfile::Builder::new().prefix("lockgate-bench-").tempdir_in(parent);
    made.map_err(|error| {
        Problem::new(Code::DataFolderUnwritable, format!("no folder can be made in {}: {error}", parent.display()))
            .fix("name one with --folder, on the disk to be measured")
    })
}

fn print(common: &Common, report: &Report, quick: bool) {
    if common.json {
        return output::json(report);
    }
    let rows: Vec<Vec<String>> = report.rows.iter().map(|row| cells(row, quick)).collect();
    table::print(&["ROW", "VALUE", "AGAINST", "UNIT", "RATIO", "GOAL", "HOLDS", "NOTE"], &rows);
    output::line("");
    sent(report.messages).into_iter().for_each(output::line);
    report.circumstances().into_iter().for_each(output::line);
}

/// What became of the messages, where the rows sent any.
fn sent(messages: bench::Totals) -> Option<String> {
    match messages {
        bench::Totals { accepted: 0, lost: 0, doubled: 0 } => None,
        bench::Totals { accepted, lost: 0, doubled: 0 } => {
            Some(format!("{accepted} messages were sent in all rounds, and each was delivered once"))
        }
        bench::Totals { accepted, lost, doubled } => {
            Some(format!("{accepted} messages were sent in all rounds, {lost} WERE LOST, {doubled} WERE DELIVERED TWICE"))
        }
    }
}

/// A `quick` run only sees that everything runs: its figures are held to no goal.
fn cells(row: &Row, quick: bool) -> Vec<String> {
    let holds = match row.holds.filter(|_| !quick) {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "–",
    };
    vec![
        row.name.to_owned(),
        readable(row.value),
        readable(row.against),
        row.unit.to_owned(),
        readable(row.ratio),
        row.goal_text(),
        holds.to_owned(),
        row.note.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_is_held_to_no_goal() {
        let row = Row::at_least("x", "1/s", [1.0, 2.0], 0.7, String::new());
        let holds = |quick| cells(&row, quick)[6].clone();
        assert_eq!((holds(false), holds(true)), ("NO".to_owned(), "–".to_owned()));
    }

    #[test]
    fn says_nothing_of_messages_where_none_were_sent() {
        let told = |accepted, lost| sent(bench::Totals { accepted, lost, doubled: 0 });
        assert_eq!(told(0, 0), None);
        assert!(told(7, 0).is_some_and(|told| told.contains("each was delivered once")));
        assert!(told(7, 1).is_some_and(|told| told.contains("1 WERE LOST")));
    }
}
