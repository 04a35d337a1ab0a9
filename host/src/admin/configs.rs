//! [`Configs`]: what the plugins that run are configured with under another environment: found out and checked for all of them before
//! any is changed.
//!
//! Depends on `config` for what a release needs of an environment, and on `delivery` for what runs.

use std::fmt;
use std::sync::Arc;

use crate::alias::Environment;
use crate::config::configs_of;
use crate::delivery::{Catalog, LiveConfig, Use};
use crate::integration::{Integration, PinnedPlugin};
use crate::plugin::component::Facts;
use crate::problem::{Code, Problem, Problems};

type Read = dyn Fn(&PinnedPlugin) -> Result<Facts, Problem> + Send + Sync;

/// Reads what a pinned plugin says of itself.
pub struct ReadFacts(Box<Read>);

impl ReadFacts {
    pub fn new(read: impl Fn(&PinnedPlugin) -> Result<Facts, Problem> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl fmt::Debug for ReadFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadFacts")
    }
}

/// Configs that are to be others.
#[derive(Debug)]
pub struct Configs(Vec<(LiveConfig, Arc<str>)>);

impl Configs {
    /// What differs under `next` for `integrations`, as far as `catalog` runs them.
    ///
    /// # Errors
    /// Everything they need of it and do not find, and every config that would not fit its plugin.
    pub fn of(catalog: &Catalog, integrations: &[Arc<Integration>], next: &Environment, facts: &ReadFacts) -> Result<Self, Problems> {
        let (mut problems, mut others) = (Problems::default(), Vec::new());
        for integration in integrations {
            let running = catalog.running(&integration.name);
            // What is active needs what it needs, whether or not it runs; what is tried beside it, too.
            let all = std::iter::once((&**integration, running.first()));
            let tried = running.iter().skip(1).map(|runnable| (&runnable.integration, Some(runnable)));
            for (integration, runnable) in all.chain(tried) {
                match configs_of(integration, next) {
                    Ok(configs) => {
                        let uses = runnable.into_iter().flat_map(|runnable| runnable.uses());
                        for (used, config) in uses.zip(configs).filter(|(used, config)| *used.config.now() != **config) {
                            problems.0.extend(mistakes(integration, used, &config, facts));
                            others.push((used.config.clone(), Arc::from(config)));
                        }
                    }
                    Err(more) => problems.0.extend(more.0),
                }
            }
        }
        problems.or(Self(others))
    }

    /// Calls that begin from here on are given them.
    pub fn apply(self) {
        self.0.into_iter().for_each(|(live, config)| live.set(config));
    }
}

/// What a plugin would not take of `config`: a start would refuse it.
fn mistakes(integration: &Integration, used: &Use, config: &str, facts: &ReadFacts) -> Vec<Problem> {
    let manifest = match (facts.0)(&used.plugin) {
        Ok(facts) => facts.manifest,
        Err(problem) => return vec![problem],
    };
    let (Some(manifest), Ok(config)) = (manifest, serde_json::from_str(config)) else { return Vec::new() };
    let (name, place, plugin) = (&integration.name, &used.place, &used.plugin.name);
    let problem = |mistake: String| {
        let message = format!("active release of {name}, {place}: plugin {plugin} does not take its config with these values: {mistake}");
        Problem::new(Code::BadPluginConfig, message).fix("change the values; `lockgate inspect` shows what the plugin takes")
    };
    manifest.config_mistakes(&config).into_iter().map(problem).collect()
}
