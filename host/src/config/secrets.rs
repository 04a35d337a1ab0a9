//! Whether every secret the workspace's integrations need has a value. Separate from `check`, which needs none.
//!
//! Depends on `alias` for where secrets come from.

use std::collections::BTreeSet;

use super::workspace::Workspace;
use crate::alias::secret::{SecretRef, SecretSource};
use crate::alias::{Alias, Environment, Verify};
use crate::integration::Entry;
use crate::problem::Problems;

/// Every secret that an integration needs through its aliases and that `source` does not have.
pub fn missing_secrets(workspace: &Workspace, source: &dyn SecretSource) -> Problems {
    let mut problems = Problems::default();
    let environment = &workspace.environment.environment;
    for alias in used_aliases(workspace).into_iter().filter_map(|name| environment.aliases.get(name)) {
        for (path, reference) in references(alias) {
            if let Err(mut problem) = source.read(reference) {
                problem.message = format!("alias {}: {}", alias.name, problem.message);
                problems.push(problem.at(workspace.environment.places.at(&format!("alias/{}/{path}", alias.name))));
            }
        }
    }
    problems
}

fn used_aliases(workspace: &Workspace) -> BTreeSet<&str> {
    let mut used = BTreeSet::new();
    for file in &workspace.integrations {
        for source in &file.integration.sources {
            if let Entry::Webhook { verify: Some(alias), .. } = &source.entry {
                used.insert(alias.as_str());
            }
        }
        used.extend(file.integration.uses().flat_map(|(_, step)| step.bindings.values()).map(|binding| binding.alias.as_str()));
    }
    used
}

/// Every secret of an alias, with its place under the alias.
pub fn references(alias: &Alias) -> Vec<(String, &SecretRef)> {
    let kind = alias.auth.kind();
    let auth = alias.auth.secrets().into_iter().map(|(key, reference)| (format!("auth/{kind}/{key}"), reference));
    let verify = alias.verify.as_ref().map(|verify| match verify {
        Verify::Shopify { secret } => ("verify/shopify/secret", secret),
        Verify::GitHub { secret } => ("verify/github/secret", secret),
        Verify::StandardWebhooks { secret } => ("verify/standard-webhooks/secret", secret),
        Verify::Hmac { secret, .. } => ("verify/hmac/secret", secret),
        Verify::Basic { password, .. } => ("verify/basic/password", password),
        Verify::Bearer { token } => ("verify/bearer/token", token),
    });
    auth.chain(verify.map(|(path, reference)| (path.to_owned(), reference))).collect()
}

/// The names of all secrets of an environment, as `lockgate secret set` takes them.
pub fn secret_names(environment: &Environment) -> BTreeSet<String> {
    environment.aliases.values().flat_map(references).map(|(_, reference)| reference.name.clone()).collect()
}
