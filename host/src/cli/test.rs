//! `lockgate test`: scenarios, run without a host.

use std::path::PathBuf;

use clap::Args;

use super::progress::Progress;
use super::report::write_file;
use super::run::prepare_workspace;
use super::{Common, Failure, output};
use crate::app::testing::{self, Hears, Testing};
use crate::config::prepare::MissingLock;
use crate::scenario::report::Report;

/// Run the scenarios of a workspace, or of a plugin's folder
///
/// A scenario in tests/<name>.toml says what comes in, what systems answer, and what is expected. It runs in the host's own core, each in a
/// world of its own: time is virtual, systems are scripted, nothing is sent and no secret is needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate test
  lockgate test orders-to-crm               those with this in their name, or their file's
  lockgate test -C examples/shop-to-crm
  lockgate test --junit target/scenarios.xml
  lockgate test --json | jq '.scenarios[] | select(.passed | not) | .mismatches'

docs/testing.md says what a scenario may say. Exit status: 0 all passed, 1 one did not.")]
pub struct Test {
    /// Parts of the names of scenarios, or of their files [default: all]
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// The environment whose aliases and values count: environments/<ENV>.toml
    #[arg(long, value_name = "ENV", default_value = "dev")]
    env: String,
    /// Write what came of it as build servers read it
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Test {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let progress = Progress::new(common.json);
        let asked = Testing { dir: common.directory.clone(), patterns: self.patterns };
        let prepare = || prepare_workspace(&common.directory, &self.env, MissingLock::Ignore, &progress);
        let building = progress.of_builds();
        let done = |so_far: usize, all: usize| progress.detail(&format!("{so_far} of {all}"));
        let hears = Hears { building: &building, said: &|text| progress.detail(text), done: &done };
        let report = testing::scenarios(&asked, prepare, hears)?;
        drop(building);
        drop(progress);
        if let Some(file) = &self.junit {
            write_file(file, report.junit().as_bytes())?;
        }
        tell(common, &report);
        if report.failed() == 0 { Ok(()) } else { Err(Failure::No) }
    }
}

fn tell(common: &Common, report: &Report) {
    if common.json {
        return output::json(&serde_json::json!({
            "scenarios": report.scenarios,
            "passed": report.scenarios.len() - report.failed(),
            "failed": report.failed(),
        }));
    }
    report.scenarios.iter().flat_map(|tested| tested.lines()).for_each(|line| output::line(output::on_one_line(&line)));
    output::line(report.summary());
}
