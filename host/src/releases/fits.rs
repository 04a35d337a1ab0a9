//! Whether releases fit what runs: the same checks as `lockgate check`, by the host itself, against the environment that it runs and the
//! other integrations that are active. Whoever sends a release may have checked nothing.

use std::collections::BTreeMap;

use super::Active;
use crate::config::check::check;
use crate::config::prepare::hard_coded;
use crate::config::{EnvironmentFile, HostConfig, IntegrationFile, Workspace};
use crate::integration::{PinnedPlugin, Step};
use crate::plugin::component::Facts;
use crate::problem::{Code, Problem, Problems};

/// What components say of themselves, by digest.
pub(super) type FactsByDigest = BTreeMap<String, Facts>;

/// Checks `new` as they would run beside `others` under `environment`.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn fit(
    new: &[Active],
    others: &[&Active],
    environment: &EnvironmentFile,
    host: &HostConfig,
    facts: &FactsByDigest,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for active in new {
        problems.0.extend(wrong_pins(active, facts));
    }
    problems.or(())?;
    let files = new.iter().chain(others.iter().copied()).map(file).collect::<Result<Vec<_>, _>>()?;
    let workspace = Workspace { dir: std::path::PathBuf::new(), host: host.clone(), integrations: files, environment: environment.clone() };
    let mut problems = Problems(workspace.mistakes().0.into_iter().map(|problem| of_the_host(problem, environment)).collect());
    let requirements = workspace.requirements();
    let of_step = |step: &Step| facts_of(&workspace, new, step, facts);
    problems.0.extend(check(&workspace, &of_step).0);
    let mut pinned: Vec<&PinnedPlugin> = new.iter().flat_map(|active| &active.release.plugins).collect();
    pinned.sort();
    pinned.dedup();
    let known = &host.plugins.known_urls;
    let wanted = |plugin: &PinnedPlugin| {
        let picked_for = requirements.iter().filter(|by| by.name == plugin.name).map(|by| by.version.to_string()).collect();
        hard_coded((plugin, facts.get(&plugin.digest)?, &picked_for), known, &requirements)
    };
    problems.0.extend(pinned.into_iter().filter_map(wanted));
    problems.or(())
}

/// What the environment lacks is to be mended where the host runs: the file that is beside the release may have it.
fn of_the_host(problem: Problem, environment: &EnvironmentFile) -> Problem {
    match problem.code {
        Code::UnknownAlias | Code::UnknownValue | Code::MissingKey => {
            let name = &environment.environment.name;
            problem.fix(format!("add it to environments/{name}.toml, then `lockgate env apply`, then deploy again"))
        }
        _ => problem,
    }
}

fn file(active: &Active) -> Result<IntegrationFile, Problems> {
    let name = &active.integration.name;
    IntegrationFile::parse(name, format!("integrations/{name}.toml"), &active.release.file)
}

/// The facts of what `step` of the workspace is pinned to, if it is one of the new ones: those that run were checked when they came.
fn facts_of<'f>(workspace: &Workspace, new: &[Active], step: &Step, facts: &'f FactsByDigest) -> Option<&'f Facts> {
    let pinned = new.iter().zip(&workspace.integrations).find_map(|(active, file)| {
        let place = file.integration.uses().position(|(_, used)| std::ptr::eq(used, step))?;
        active.release.plugins.get(place)
    })?;
    facts.get(&pinned.digest)
}

/// Pins that are not what the integration's file asks for, or not what the component says that it is.
fn wrong_pins(active: &Active, facts: &FactsByDigest) -> Vec<Problem> {
    let name = &active.integration.name;
    let (uses, pins) = (active.integration.uses().count(), active.release.plugins.len());
    if uses != pins {
        let message = format!("release of {name}: it uses {uses} plugins and pins {pins}");
        return vec![Problem::new(Code::WrongValue, message).fix("send one pin for each step, the sink and each poll, in this order")];
    }
    let wrong = |((place, step), pinned): ((String, &Step), &PinnedPlugin)| {
        let PinnedPlugin { name: plugin, version, digest } = pinned;
        let says = facts.get(digest).and_then(|facts| facts.manifest.as_ref());
        let why = if *plugin != step.plugin {
            format!("is pinned to {plugin}@{version}, and the file asks for {}@{}", step.plugin, step.version)
        } else if !step.version.matches(version) {
            format!("is pinned to {version}, and the file asks for {plugin}@{}", step.version)
        } else if let Some(manifest) = says.filter(|manifest| manifest.name != *plugin || manifest.version != *version) {
            format!("is pinned to {plugin}@{version}, and the component says that it is {}@{}", manifest.name, manifest.version)
        } else {
            return None;
        };
        let message = format!("release of {name}, {place}: {why}");
        Some(Problem::new(Code::LockOutdated, message).fix("`lockgate update`, then deploy again"))
    };
    active.integration.uses().zip(&active.release.plugins).filter_map(wrong).collect()
}
