//! What `lockgate test --failures` and `lockgate mapping observe` are about: what is asked for, found, with its sample messages. Then the
//! failure suite, or the observation.

use std::path::{Path, PathBuf};

use super::ground::Ground;
use super::samples::{Gathered, samples};
use super::subject::Staged;
use super::{Hears, read};
use crate::config::prepare::Prepared;
use crate::failures::report::Report;
use crate::failures::{source, suite};
use crate::integration::{Integration, Sink, Step};
use crate::mapping::observation::Observation;
use crate::mapping::observe::observe;
use crate::plugin::manifest::Role;
use crate::problem::{Code, Problem, Problems};
use crate::scenario::chamber::Setting;
use crate::scenario::file::{OnePlugin, PluginPlace, ScenarioFile, Subject};

/// What is asked for, and on which messages.
#[derive(Clone, Debug)]
pub struct About {
    pub dir: PathBuf,
    /// An integration, a plugin or a `.wasm` file; none: every integration, or the plugin of the folder.
    pub target: Option<String>,
    /// Of a plugin that stands by itself, where one is said.
    pub config: Option<Config>,
    pub samples: Samples,
}

/// A step's config.
pub type Config = serde_json::Map<String, serde_json::Value>;

/// Where messages come from.
#[derive(Clone, Debug)]
pub enum Samples {
    /// The scenarios, and the folders that a workspace has for messages.
    Own,
    In(PathBuf),
    /// What the host on this machine has recorded.
    Recorded,
}

impl Samples {
    /// As a command says it.
    pub fn asked(recorded: bool, folder: Option<&Path>) -> Self {
        match folder {
            _ if recorded => Self::Recorded,
            Some(folder) => Self::In(folder.to_owned()),
            None => Self::Own,
        }
    }
}

/// A config as a command says it.
///
/// # Errors
/// It is no JSON object.
pub fn config(text: Option<&str>) -> Result<Option<Config>, Problem> {
    let parsed = text.map(serde_json::from_str::<Config>).transpose();
    parsed.map_err(|why| {
        Problem::new(Code::WrongUsage, format!("--config is no JSON object: {why}")).fix("for example --config '{\"stage\": \"New\"}'")
    })
}

/// What is asked for, ready to be run.
struct Ready {
    about: String,
    setting: Setting,
    gathered: Gathered,
    /// It asks for messages itself.
    is_polled: bool,
}

/// Puts what is asked for through the failure suite.
///
/// # Errors
/// Everything that is wrong with what is there, and where no sample message is delivered as it is.
pub fn failures(asked: &About, prepare: impl FnOnce() -> Result<Prepared, Problems>, hears: Hears<'_>) -> Result<Vec<Report>, Problems> {
    let try_one = |Ready { about, setting, gathered, is_polled }: Ready| {
        let hear = |what: &str, so_far, all| heard(hears, &about, what, so_far, all);
        match gathered.samples.as_slice() {
            [] if is_polled => source::run(&about, &setting, gathered.answers, &hear),
            _ => suite::run(&about, &setting, gathered.samples, &hear),
        }
    };
    ready(asked, prepare, hears)?.into_iter().map(try_one).collect()
}

/// Observes what the one that is asked for makes of messages.
///
/// # Errors
/// As of [`failures`], and a source, which makes its messages of answers.
pub fn mapping(asked: &About, prepare: impl FnOnce() -> Result<Prepared, Problems>, hears: Hears<'_>) -> Result<Observation, Problems> {
    let mut all = ready(asked, prepare, hears)?;
    let Some(Ready { about, setting, gathered, is_polled }) = all.pop() else {
        return Err(Problem::new(Code::NotFound, "there is nothing to be observed").into());
    };
    if gathered.samples.is_empty() && is_polled {
        let problem = Problem::new(Code::NotFound, format!("{about} polls: its messages are made of answers, and no message comes in"));
        return Err(problem.fix("name an integration or a plugin that messages come into").into());
    }
    let hear = |what: &str, so_far, all| heard(hears, &about, what, so_far, all);
    observe(&about, &setting, gathered.samples, &hear)
}

fn heard(hears: Hears<'_>, about: &str, what: &str, so_far: usize, all: usize) {
    if so_far == 1 {
        (hears.said)(&format!("{about}: {what}"));
    }
    (hears.done)(so_far, all);
}

/// Finds what is asked for, loads it, and gathers its messages.
fn ready(asked: &About, prepare: impl FnOnce() -> Result<Prepared, Problems>, hears: Hears<'_>) -> Result<Vec<Ready>, Problems> {
    let is_file = asked.target.as_ref().is_some_and(|target| target.ends_with(".wasm"));
    // A component stands by itself, in whichever folder, and whatever else is in that.
    let is_bare = is_file && !Ground::has_integrations(&asked.dir);
    let ground = if is_bare { Ground::bare(&asked.dir, hears.building)? } else { Ground::new(&asked.dir, prepare, hears.building)? };
    let is_ours = !is_bare || ["lockgate.toml", "plugin.toml"].iter().any(|file| asked.dir.join(file).exists());
    let files = if is_ours { read(&asked.dir)? } else { Vec::new() };
    let ground = ground.with_tokens();
    let targets = targets(&ground, &files, asked)?;
    let gathered = targets.iter().map(|target| samples(&ground, &files, target, &asked.samples)).collect::<Result<Vec<_>, _>>()?;
    (hears.said)("Loading plugins");
    ground.load(targets.iter())?;
    let ready = |(target, gathered): (Staged, Gathered)| {
        let (about, is_polled) = (target.about.clone(), target.main().polls().next().is_some());
        Ready { about, setting: ground.setting(target), gathered, is_polled }
    };
    Ok(targets.into_iter().zip(gathered).map(ready).collect())
}

/// What is put through it.
fn targets(ground: &Ground<'_>, files: &[ScenarioFile], asked: &About) -> Result<Vec<Staged>, Problems> {
    let Some(target) = &asked.target else {
        if ground.own.is_some() {
            return Ok(vec![by_itself(ground, files, asked, PluginPlace::Here, "")?]);
        }
        if ground.actives.is_empty() {
            let problem = Problem::new(Code::NotFound, "there is no integration here");
            return Err(problem.fix("name a plugin: lockgate test --failures plugins/orders@1.0.0.wasm").into());
        }
        return ground.actives.keys().map(|name| ground.stage_integration(name).map_err(Problems::from)).collect();
    };
    if target.ends_with(".wasm") {
        // As the command line says it, not as a file of the workspace would.
        let file = std::path::absolute(target).unwrap_or_else(|_| target.into());
        return Ok(vec![by_itself(ground, files, asked, PluginPlace::File(file), "")?]);
    }
    match ground.stage_integration(target) {
        Ok(_) if asked.config.is_some() => {
            let problem = Problem::new(Code::WrongUsage, format!("{target} is an integration, whose file has the configs of its plugins"));
            Err(problem.fix("leave --config out, or name one of its plugins").into())
        }
        Ok(staged) => Ok(vec![staged]),
        Err(unknown) => {
            let name = target.split('@').next().unwrap_or(target);
            let found = by_itself(ground, files, asked, PluginPlace::Named, name);
            found.map(|staged| vec![staged]).map_err(|problems| {
                // Neither: what there is of integrations is what was meant, most likely.
                if problems.0.iter().any(|problem| problem.code == Code::PluginMissing) { unknown.into() } else { problems }
            })
        }
    }
}

/// A plugin between two channels, as a scenario that is about it says, or else as an integration uses it.
fn by_itself(ground: &Ground<'_>, files: &[ScenarioFile], asked: &About, place: PluginPlace, name: &str) -> Result<Staged, Problems> {
    let plain = OnePlugin { place, role: None, step: plain_step(name) };
    let component = ground.component(&plain)?;
    let digest = &component.pinned.digest;
    let scenarios = files.iter().flat_map(|file| &file.scenarios);
    let of_scenario = scenarios.filter_map(|scenario| match &scenario.subject {
        Subject::Plugin(plugin) if ground.component(plugin).is_ok_and(|other| other.pinned.digest == *digest) => {
            Some((plugin.role, plugin.step.clone()))
        }
        _ => None,
    });
    let integrations = ground.actives.values().map(|active| &active.integration);
    let of_integration = integrations.flat_map(uses).filter(|(_, step)| step.plugin == component.pinned.name);
    let of_integration = of_integration.map(|(role, step)| (Some(role), Step { version: plain.step.version.clone(), ..step }));
    let known = of_scenario.chain(of_integration).next();
    let (role, mut step) = known.unwrap_or_else(|| (None, plain.step.clone()));
    step.plugin.clone_from(&plain.step.plugin);
    if let Some(config) = &asked.config {
        step.config.clone_from(config);
    }
    let staged = ground.stage_plugin(&OnePlugin { role, step, ..plain });
    staged.map_err(|problems| {
        let fix = "say its config: --config '{…}'; `lockgate inspect` shows what it takes";
        let told = |problem: Problem| if problem.code == Code::BadPluginConfig { problem.fix(fix) } else { problem };
        Problems(problems.0.into_iter().map(told).collect())
    })
}

fn plain_step(name: &str) -> Step {
    Step {
        plugin: name.to_owned(),
        version: semver::VersionReq::STAR,
        config: serde_json::Map::new(),
        grants: std::collections::BTreeSet::new(),
        bindings: std::collections::BTreeMap::new(),
    }
}

/// Every plugin that an integration uses, and as what.
fn uses(integration: &Integration) -> Vec<(Role, Step)> {
    let mut uses: Vec<(Role, Step)> = integration.steps.iter().map(|step| (Role::Transformer, step.clone())).collect();
    if let Sink::Plugin(step) = &integration.sink {
        let role = if integration.delivery.batch.is_some() { Role::BatchSink } else { Role::Sink };
        uses.push((role, step.clone()));
    }
    uses.extend(integration.polls().map(|(_, poll)| (Role::Source, poll.step.clone())));
    uses
}
