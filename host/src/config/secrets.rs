//! Whether every secret the workspace's integrations need has a value. Separate from `check`, which needs none.
//!
//! Depends on `alias` for where secrets come from.

use std::collections::BTreeSet;

use super::environment::EnvironmentFile;
use super::workspace::Workspace;
use crate::alias::secret::{SecretRef, SecretSource};
use crate::alias::{Alias, Environment};
use crate::integration::{Entry, Integration};
use crate::problem::Problems;

/// Every secret that an integration needs through its aliases and that `source` does not have.
pub fn missing_secrets(workspace: &Workspace, source: &dyn SecretSource) -> Problems {
    let used = used_aliases_of(workspace.integrations.iter().map(|file| &file.integration));
    missing_secrets_of(&used, &workspace.environment, source)
}

/// Every secret of the aliases `used` that `source` does not have.
pub fn missing_secrets_of(used: &BTreeSet<&str>, file: &EnvironmentFile, source: &dyn SecretSource) -> Problems {
    let mut problems = Problems::default();
    for alias in used.iter().filter_map(|name| file.environment.aliases.get(*name)) {
        for (path, reference) in references(alias) {
            if let Err(mut problem) = source.read(reference) {
                problem.message = format!("alias {}: {}", alias.name, problem.message);
                problems.push(problem.at(file.places.at(&format!("alias/{}/{path}", alias.name))));
            }
        }
    }
    problems
}

/// The aliases that integrations verify webhooks with, or bind.
pub fn used_aliases_of<'i>(integrations: impl Iterator<Item = &'i Integration>) -> BTreeSet<&'i str> {
    let mut used = BTreeSet::new();
    for integration in integrations {
        for source in &integration.sources {
            if let Entry::Webhook { verify: Some(alias), .. } = &source.entry {
                used.insert(alias.as_str());
            }
        }
        used.extend(integration.uses().flat_map(|(_, step)| step.bindings.values()).map(|binding| binding.alias.as_str()));
    }
    used
}

/// Every secret of an alias, with its place under the alias.
fn references(alias: &Alias) -> Vec<(String, &SecretRef)> {
    let kind = alias.auth.kind();
    let auth = alias.auth.secrets().into_iter().map(|(key, reference)| (format!("auth/{kind}/{key}"), reference));
    let verify = alias.verify.as_ref().map(|verify| {
        let (key, reference) = verify.secret();
        (format!("verify/{}/{key}", verify.kind()), reference)
    });
    auth.chain(verify).collect()
}

/// Every secret of an environment.
pub fn secret_references(environment: &Environment) -> Vec<&SecretRef> {
    environment.aliases.values().flat_map(references).map(|(_, reference)| reference).collect()
}

/// The names of all secrets of an environment, as `lockgate secret set` takes them.
pub fn secret_names(environment: &Environment) -> BTreeSet<String> {
    secret_references(environment).into_iter().map(|reference| reference.name.clone()).collect()
}
