//! From a workspace folder to everything that runs: files read, plugins resolved and built, all of it checked.
//!
//! The way `check`, `run` and `update` share. Depends on `config` and on `plugin`'s library.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use semver::Version;
use serde::Serialize;

use super::check::check;
use super::workspace::{Workspace, keep, read_files, requirements};
use crate::integration::{PinnedPlugin, Release, Step};
use crate::plugin::build::Progress;
use crate::plugin::component::{Facts, ImportKind};
use crate::plugin::endpoints;
use crate::plugin::library::{Component, Kind, Library, Requirement, Resolved};
use crate::plugin::lock::{Change, LOCK_FILE, Lock};
use crate::plugin::trust::Trust;
use crate::printable::on_one_line;
use crate::problem::{Code, Problem, Problems};

/// What to do where there is no lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingLock {
    /// Go on without one, as `check` does.
    Ignore,
    /// Write one, as `run` does.
    Write,
}

/// A workspace that fits together, with its plugins.
#[derive(Debug)]
pub struct Prepared {
    pub workspace: Workspace,
    pub components: Vec<Component>,
    /// That a lock file was written because there was none.
    pub lock_written: bool,
}

/// Loads, resolves, builds and checks the workspace `dir`. Blocks for as long as builds take.
///
/// # Errors
/// Everything that is wrong with the files, between them and with the choice of plugins; if nothing is, everything
/// that is wrong with the plugins and their use. Nothing is built for a workspace that is known to be wrong.
pub fn prepare(dir: &Path, environment: &str, missing_lock: MissingLock, progress: &Progress<'_>) -> Result<Prepared, Problems> {
    let mut problems = Problems::default();
    let workspace = Workspace::read(dir, environment, &mut problems).ok_or_else(|| std::mem::take(&mut problems))?;
    let resolved = keep(&mut problems, resolve(&workspace));
    let requirements = workspace.requirements();
    if let Some((resolved, _)) = &resolved {
        problems.0.extend(vetted(&workspace.host.plugins.trust, resolved, &requirements).0);
    }
    let Some((resolved, has_lock)) = resolved.filter(|_| problems.is_empty()) else { return Err(problems) };
    let lock_written = !has_lock && missing_lock == MissingLock::Write;
    if lock_written {
        Lock::of(resolved.iter().map(Resolved::locked)).write(&workspace.dir)?;
    }
    let components = components(&resolved, &workspace.host.plugins.trust, &mut problems, progress);
    let of = |component: &'_ Component| {
        let of = (&component.pinned, &component.facts, &component.requirements);
        hard_coded(of, &workspace.host.plugins.known_urls, &requirements)
    };
    problems.0.extend(components.iter().filter_map(of));
    problems.0.extend(check(&workspace, &|step| picked(&components, step).map(|component| &component.facts)).0);
    problems.or(Prepared { workspace, components, lock_written })
}

/// Files are read on every core. Sources are built one after the other: Cargo uses every core by itself.
fn components(resolved: &[Resolved], trust: &Trust, problems: &mut Problems, progress: &Progress<'_>) -> Vec<Component> {
    let is_file = |plugin: &Resolved| plugin.candidate.kind == Kind::File;
    let files: Vec<_> = resolved.par_iter().map(|plugin| is_file(plugin).then(|| plugin.component(trust, progress))).collect();
    let all = resolved.iter().zip(files).map(|(plugin, file)| file.unwrap_or_else(|| plugin.component(trust, progress)));
    all.filter_map(|component| keep(problems, component)).collect()
}

/// What the host's rules say about the plugins that were picked. Nothing of them is built, and nothing but signatures looked at.
fn vetted(trust: &Trust, resolved: &[Resolved], requirements: &[Requirement]) -> Problems {
    let refused = resolved.par_iter().filter_map(|plugin| {
        let problem = plugin.vet(trust).err()?;
        let candidate = &plugin.candidate;
        Some(wanted(problem, requirements, (&candidate.name, &plugin.requirements)))
    });
    Problems(refused.collect())
}

/// URLs of one plugin that are told.
const URLS_TOLD: usize = 20;

/// A plugin that holds URLs: its integrations could not choose another system in another environment.
pub fn hard_coded(
    (pinned, facts, picked_for): (&PinnedPlugin, &Facts, &BTreeSet<String>),
    known: &[String],
    requirements: &[Requirement],
) -> Option<Problem> {
    let unknown = facts.urls.iter().filter(|url| !known.iter().any(|known| is_under(url, known)));
    let urls: Vec<&str> = unknown.map(String::as_str).collect();
    let PinnedPlugin { name, version, .. } = pinned;
    if facts.urls.len() >= endpoints::FOUND_MAX {
        let message = format!("plugin {name}@{version} holds {} URLs or more: too many to say which are known", endpoints::FOUND_MAX);
        let problem = Problem::new(Code::EndpointInPlugin, message).fix("leave texts with URLs out of it");
        return Some(wanted(problem, requirements, (name, picked_for)));
    }
    let first = urls.first()?;
    let host_end = first.split('/').take(3).map(|part| part.len() + 1).sum::<usize>();
    let known = first.get(..host_end).unwrap_or(first);
    let told = on_one_line(&urls.iter().take(URLS_TOLD).copied().collect::<Vec<_>>().join(", "));
    let more = if urls.len() > URLS_TOLD { format!(" and {} more", urls.len() - URLS_TOLD) } else { String::new() };
    let message = format!("plugin {name}@{version} holds what its integrations cannot choose: {told}{more}");
    let fix = format!(
        "let it ask for a slot, and put the URL into an alias; what is no system that it calls may stay: known-urls = [{}] under [plugins] in lockgate.toml",
        toml::Value::from(known),
    );
    let problem = Problem::new(Code::EndpointInPlugin, message).fix(fix);
    Some(wanted(problem, requirements, (name, picked_for)))
}

/// Whether `url` begins as `known` does, whose host ends with it or with what may follow a host.
fn is_under(url: &str, known: &str) -> bool {
    url.strip_prefix(known).is_some_and(|rest| {
        let within_path = known.splitn(4, '/').count() == 4;
        within_path || rest.is_empty() || rest.starts_with(['/', ':', '?', '#'])
    })
}

/// `problem` about the plugin `name`, with who wants it, at the place where the first of them does.
fn wanted(mut problem: Problem, requirements: &[Requirement], (name, picked_for): (&str, &BTreeSet<String>)) -> Problem {
    let by = requirements.iter().filter(|by| by.name == name && picked_for.contains(&by.version.to_string()));
    let names: Vec<&str> = by.clone().map(|by| by.wanted_by.as_str()).collect();
    problem.message = format!("{}: {}", names.join("; "), problem.message);
    problem.location = by.filter_map(|by| by.location.clone()).next();
    problem
}

/// The plugins, and whether a lock file said which.
fn resolve(workspace: &Workspace) -> Result<(Vec<Resolved>, bool), Problems> {
    let library = Library::scan(&workspace.host.plugins.paths)?;
    let requirements = workspace.requirements();
    Ok(match Lock::read(&workspace.dir)? {
        Some(lock) => (library.resolve_locked(&requirements, &lock)?, true),
        None => (library.resolve(&requirements, &workspace.host.plugins.trust)?, false),
    })
}

impl Prepared {
    /// The component of a use.
    pub fn component(&self, step: &Step) -> Option<&Component> {
        picked(&self.components, step)
    }

    /// The release each integration is: its text and its plugins pinned, in the order of the integrations.
    pub fn releases(&self) -> Vec<Release> {
        let release = |file: &super::IntegrationFile| {
            let plugins = file.integration.uses().filter_map(|(_, step)| self.component(step)).map(|component| component.pinned.clone());
            Release { integration: file.integration.name.clone(), file: file.text.clone(), plugins: plugins.collect() }
        };
        self.workspace.integrations.iter().map(release).collect()
    }

    /// What `check` found to be in order, for people and programs.
    pub fn summary(&self) -> Summary {
        let integrations = self.workspace.integrations.iter().map(|file| file.integration.name.clone()).collect();
        let plugins = self.components.iter().map(|component| (component.pinned.clone(), asks_for(&component.facts)));
        let plugins = plugins.map(|(PinnedPlugin { name, version, digest }, imports)| PluginSummary { name, version, digest, imports });
        let environment = self.workspace.environment.environment.name.clone();
        Summary { environment, integrations, plugins: plugins.collect() }
    }
}

/// What was checked.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub environment: String,
    pub integrations: Vec<String>,
    pub plugins: Vec<PluginSummary>,
}

/// A plugin that was checked.
#[derive(Clone, Debug, Serialize)]
pub struct PluginSummary {
    pub name: String,
    pub version: Version,
    pub digest: String,
    /// What it asks for beyond what every plugin gets.
    pub imports: Vec<ImportKind>,
}

fn asks_for(facts: &Facts) -> Vec<ImportKind> {
    let granted = [ImportKind::Http, ImportKind::KeyValue, ImportKind::Queue];
    granted.into_iter().filter(|kind| facts.imports(*kind).is_some()).collect()
}

fn picked<'c>(components: &'c [Component], step: &Step) -> Option<&'c Component> {
    let requirement = step.version.to_string();
    components.iter().find(|component| component.pinned.name == step.plugin && component.requirements.contains(&requirement))
}

/// What `update` did.
#[derive(Clone, Debug, Serialize)]
pub struct Update {
    pub lock: Lock,
    /// Empty where the lock file was right already.
    pub changes: Vec<Change>,
}

/// Resolves every plugin the integrations of `dir` ask for anew and writes the lock file. Builds nothing.
///
/// # Errors
/// Everything that is wrong with the files, every requirement nothing matches, and every plugin that may not run. The lock file is then as it was.
pub fn update(dir: &Path) -> Result<Update, Problems> {
    let (host, integrations) = read_files(dir)?;
    let library = Library::scan(&host.plugins.paths)?;
    let requirements = requirements(&integrations);
    let resolved = library.resolve(&requirements, &host.plugins.trust)?;
    vetted(&host.plugins.trust, &resolved, &requirements).or(())?;
    let lock = Lock::of(resolved.iter().map(Resolved::locked));
    // A lock that cannot be understood is replaced; that is what this command is for.
    let old = Lock::read(dir).ok().flatten();
    let changes = old.clone().unwrap_or_default().changes(&lock);
    if old.as_ref() != Some(&lock) || !dir.join(LOCK_FILE).exists() {
        lock.write(dir)?;
    }
    Ok(Update { lock, changes })
}

/// Components by digest, as an engine loads them: each once, however many integrations use it.
pub fn by_digest(components: &[Component]) -> BTreeMap<&str, &Component> {
    components.iter().map(|component| (component.pinned.digest.as_str(), component)).collect()
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
