//! What `lockgate test` and `lockgate mapping observe` do: scenarios read, what they are about prepared and compiled, each run in a chamber of its own on all cores. No
//! host need run, and nothing outside is asked.

mod asked;
mod cache;
mod ground;
mod recorded;
mod samples;
mod subject;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::config::prepare::Prepared;
use crate::config::workspace::{read_text, toml_files};
use crate::plugin::build::Progress as Building;
use crate::problem::{Code, Problem, Problems};
use crate::scenario::check::{self, check};
use crate::scenario::file::{Scenario, ScenarioFile};
use crate::scenario::report::{Report, Tested};
use crate::scenario::run::run;
pub use asked::{About, Samples, config, failures, mapping};
use ground::Ground;
use subject::Staged;

/// Where a workspace keeps its scenarios.
const FOLDER: &str = "tests";

/// What is asked of a test.
#[derive(Clone, Debug)]
pub struct Testing {
    pub dir: PathBuf,
    /// Parts of the names of what is run; none: everything.
    pub patterns: Vec<String>,
}

/// Who hears what is done.
#[derive(Clone, Copy)]
pub struct Hears<'a> {
    /// A plugin is built.
    pub building: &'a Building<'a>,
    pub said: &'a (dyn Fn(&str) + Sync),
    /// How many of how many are done.
    pub done: &'a (dyn Fn(usize, usize) + Sync),
}

impl std::fmt::Debug for Hears<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hears")
    }
}

/// Whether there is a file of scenarios.
pub fn has_scenarios(dir: &Path) -> bool {
    toml_files(&dir.join(FOLDER)).is_ok_and(|files| !files.is_empty())
}

/// Runs the scenarios of a workspace, which `prepare` reads and builds, or of a plugin's folder.
///
/// # Errors
/// Everything that is wrong with the scenarios, with what they are about, and between them. Then none is run.
pub fn scenarios(asked: &Testing, prepare: impl FnOnce() -> Result<Prepared, Problems>, hears: Hears<'_>) -> Result<Report, Problems> {
    let files = read(&asked.dir)?;
    let chosen = choose(&files, &asked.patterns)?;
    let ground = Ground::new(&asked.dir, prepare, hears.building)?;
    let mut problems = Problems::default();
    let mut staged = Vec::new();
    for (file, scenario) in chosen {
        match ground.stage(&scenario.subject, &file.places, &scenario.path) {
            Ok(one) => {
                let about = check::About { integration: one.main(), environment: &one.environment, channels: &ground.channels };
                problems.0.extend(check(scenario, &file.places, about).0);
                staged.push((file, scenario, one));
            }
            Err(more) => problems.0.extend(more.0),
        }
    }
    if !problems.is_empty() {
        problems.0.dedup();
        return Err(problems);
    }
    (hears.said)("Loading plugins");
    ground.load(staged.iter().map(|(.., staged)| staged))?;
    let (all, so_far) = (staged.len(), AtomicUsize::new(0));
    (hears.said)(&format!("Running {all} {}", if all == 1 { "scenario" } else { "scenarios" }));
    let tested: Vec<Result<Tested, Problems>> = staged
        .into_par_iter()
        .map(|(file, scenario, staged)| {
            let tested = test(&ground, file, scenario, staged);
            (hears.done)(so_far.fetch_add(1, Ordering::SeqCst) + 1, all);
            tested
        })
        .collect();
    let mut report = Report::default();
    for tested in tested {
        match tested {
            Ok(tested) => report.scenarios.push(tested),
            Err(more) => problems.0.extend(more.0),
        }
    }
    problems.or(report)
}

fn test(ground: &Ground, file: &ScenarioFile, scenario: &Scenario, staged: Staged) -> Result<Tested, Problems> {
    let about = staged.about.clone();
    let happened = run(scenario, ground.setting(staged))?;
    Ok(Tested::of(scenario, &file.places, &about, &happened))
}

/// The files of scenarios below `dir`, in the order of their names.
fn read(dir: &Path) -> Result<Vec<ScenarioFile>, Problems> {
    let has_own = Ground::is_plugin(dir);
    let mut problems = Problems::default();
    let mut files = Vec::new();
    for path in toml_files(&dir.join(FOLDER))? {
        // As people name it who are in that folder.
        let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
        match read_text(&path).and_then(|text| ScenarioFile::parse(&path, &text, dir, has_own)) {
            Ok(file) => files.push(file),
            Err(more) => problems.0.extend(more.0),
        }
    }
    problems.or(files)
}

/// Those whose file or name has one of the patterns in it.
fn choose<'f>(files: &'f [ScenarioFile], patterns: &[String]) -> Result<Vec<(&'f ScenarioFile, &'f Scenario)>, Problems> {
    let all = files.iter().flat_map(|file| file.scenarios.iter().map(move |scenario| (file, scenario)));
    let is_meant = |(file, scenario): &(&ScenarioFile, &Scenario)| {
        let stem = file.places.file().file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        patterns.is_empty() || patterns.iter().any(|pattern| stem.contains(pattern.as_str()) || scenario.name.contains(pattern.as_str()))
    };
    let chosen: Vec<_> = all.clone().filter(is_meant).collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let message = match patterns {
        [] => "there are no scenarios here".to_owned(),
        patterns => format!("no scenario has {} in its name or its file's", patterns.join(" or ")),
    };
    let names: Vec<&str> = all.map(|(_, scenario)| scenario.name.as_str()).take(20).collect();
    let fix = match names.as_slice() {
        [] => format!("write {FOLDER}/<name>.toml; `lockgate test --failures` needs none"),
        names => format!("there is: {}", names.join("; ")),
    };
    Err(Problem::new(Code::NotFound, message).fix(fix).into())
}
