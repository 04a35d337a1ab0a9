//! `lockgate test`: scenarios, and the failure suite, run without a host.

use std::path::PathBuf;

use clap::Args;

use super::progress::Progress;
use super::report::{require_writable, write_file};
use super::run::prepare_workspace;
use super::{Common, Failure, output, table};
use crate::app::testing::{self, About, Hears, Samples, Testing};
use crate::config::prepare::{MissingLock, Prepared};
use crate::failures;
use crate::failures::report::Row;
use crate::problem::{Code, Problem, Problems};
use crate::scenario::report::Report;

/// Run the scenarios of a workspace, or of a plugin's folder
///
/// A scenario in tests/<name>.toml says what comes in, what systems answer, and what is expected. It runs in the host's own core, each in a
/// world of its own: time is virtual, systems are scripted, nothing is sent and no secret is needed. --failures puts an integration, or any
/// plugin, through everything that usually goes wrong, from sample messages; no line need be written for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate test
  lockgate test orders-to-crm               those with this in their name, or their file's
  lockgate test -C examples/shop-to-crm
  lockgate test --junit target/scenarios.xml
  lockgate test --json | jq '.scenarios[] | select(.passed | not) | .mismatches'
  lockgate test --failures                  the scenarios, and what goes wrong around every integration
  lockgate test --failures orders-to-crm --html failures.html
  lockgate test --failures acme-crm@2.1.0.wasm --samples orders
  lockgate test --failures acme-crm@2.1.0.wasm --samples orders --config '{\"stage\": \"New\"}'

docs/testing.md says what a scenario may say, and what the failure suite takes for a defect.
Exit status: 0 all passed and no defect, 1 one did not, or there is one.")]
pub struct Test {
    /// Parts of the names of scenarios, or of their files [default: all]
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// The environment whose aliases and values count: environments/<ENV>.toml
    #[arg(long, value_name = "ENV", default_value = "dev")]
    env: String,
    /// Write what came of scenarios as build servers read it
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Put an integration, a plugin or a component through what goes wrong [default: scenarios, then every integration]
    #[arg(long, value_name = "NAME|FILE.wasm", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "the flag, and what it may name")]
    failures: Option<Option<String>>,
    /// A folder of messages, instead of those of scenarios and of orders/
    #[arg(long, value_name = "DIR", requires = "failures")]
    samples: Option<PathBuf>,
    /// The latest messages that the host on this machine recorded, instead
    #[arg(long, requires = "failures", conflicts_with = "samples")]
    recorded: bool,
    /// The config of a plugin that stands by itself
    #[arg(long, value_name = "JSON", requires = "failures")]
    config: Option<String>,
    /// Write what goes wrong as a page that can be sent to whoever wrote the plugin
    #[arg(long, value_name = "FILE", requires = "failures")]
    html: Option<PathBuf>,
}

impl Test {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        for file in self.junit.iter().chain(&self.html) {
            require_writable(file)?;
        }
        let Some(target) = &self.failures else { return self.scenarios(common, None) };
        if target.is_some() && !(self.patterns.is_empty() && self.junit.is_none()) {
            let problem = Problem::new(Code::WrongUsage, "--failures with a name runs no scenarios");
            return Err(Failure::from(problem.fix("run `lockgate test` for these, or leave the name out")));
        }
        let progress = Progress::new(common.json);
        let building = progress.of_builds();
        let done = |so_far: usize, all: usize| progress.detail(&format!("{so_far} of {all}"));
        let hears = Hears { building: &building, said: &|text| progress.step(text), done: &done };
        let samples = Samples::asked(self.recorded, self.samples.as_deref());
        let config = testing::config(self.config.as_deref())?;
        let asked = About { dir: common.directory.clone(), target: target.clone(), config, samples };
        let reports = testing::failures(&asked, || self.prepare(common, &progress), hears)?;
        drop(building);
        drop(progress);
        if let Some(file) = &self.html {
            write_file(file, failures::page::page(&reports).as_bytes())?;
        }
        let with_scenarios = target.is_none() && testing::has_scenarios(&common.directory);
        if with_scenarios {
            return self.scenarios(common, Some(&reports));
        }
        tell(common, None, Some(&reports));
        if is_sound(&reports) { Ok(()) } else { Err(Failure::No) }
    }

    fn prepare(&self, common: &Common, progress: &Progress) -> Result<Prepared, Problems> {
        prepare_workspace(&common.directory, &self.env, MissingLock::Ignore, progress)
    }

    /// Runs scenarios, and tells of them; then of what goes wrong, if that was looked for.
    fn scenarios(&self, common: &Common, failures: Option<&[failures::report::Report]>) -> Result<(), Failure> {
        let progress = Progress::new(common.json);
        let asked = Testing { dir: common.directory.clone(), patterns: self.patterns.clone() };
        let building = progress.of_builds();
        let done = |so_far: usize, all: usize| progress.detail(&format!("{so_far} of {all}"));
        let hears = Hears { building: &building, said: &|text| progress.detail(text), done: &done };
        let report = testing::scenarios(&asked, || self.prepare(common, &progress), hears)?;
        drop(building);
        drop(progress);
        if let Some(file) = &self.junit {
            write_file(file, report.junit().as_bytes())?;
        }
        tell(common, Some(&report), failures);
        if report.failed() == 0 && failures.is_none_or(is_sound) { Ok(()) } else { Err(Failure::No) }
    }
}

fn is_sound(reports: &[failures::report::Report]) -> bool {
    reports.iter().all(|report| report.defects == 0)
}

fn tell(common: &Common, scenarios: Option<&Report>, failures: Option<&[failures::report::Report]>) {
    if common.json {
        let mut told = serde_json::Map::new();
        if let Some(report) = scenarios {
            told.insert("scenarios".into(), serde_json::json!(report.scenarios));
            told.insert("passed".into(), (report.scenarios.len() - report.failed()).into());
            told.insert("failed".into(), report.failed().into());
        }
        if let Some(reports) = failures {
            told.insert("failures".into(), serde_json::json!(reports));
        }
        return output::json(&told);
    }
    if let Some(report) = scenarios {
        report.scenarios.iter().flat_map(|tested| tested.lines()).for_each(|line| output::line(output::on_one_line(&line)));
        output::line(report.summary());
    }
    for (index, report) in failures.into_iter().flatten().enumerate() {
        if index > 0 || scenarios.is_some() {
            output::line("");
        }
        tell_failures(report);
    }
}

fn tell_failures(report: &failures::report::Report) {
    let rows: Vec<Vec<String>> = report.rows.iter().map(row).collect();
    table::print(&["WHAT WENT WRONG", "WHAT HAPPENED", "VERDICT", "WHERE TO LOOK"], &rows);
    if report.more > 0 {
        output::line(format!("and {} more rows", report.more));
    }
    for (why, cases) in report.not_tried_by_why() {
        output::line(output::on_one_line(&format!("not tried, {why}: {}", cases.join("; "))));
    }
    for sample in report.samples.iter().filter(|sample| !sample.used) {
        output::line(output::on_one_line(&format!("sample {}: {}", sample.name, sample.intact)));
    }
    output::line(output::on_one_line(&report.summary()));
}

fn row(row: &Row) -> Vec<String> {
    vec![row.title(), row.outcome(), row.verdict().to_owned(), row.look.clone()]
}
