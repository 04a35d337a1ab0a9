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

/// Has a plugin that is loaded read a config, see `Plugins::set_up`.
type SetUp = dyn Fn(&PinnedPlugin, &str) -> Result<(), Problem> + Send + Sync;

/// Reads what a pinned plugin says of itself, and asks it of a config.
pub struct ReadFacts {
    read: Box<Read>,
    set_up: Arc<SetUp>,
}

impl ReadFacts {
    pub fn new(
        read: impl Fn(&PinnedPlugin) -> Result<Facts, Problem> + Send + Sync + 'static,
        set_up: impl Fn(&PinnedPlugin, &str) -> Result<(), Problem> + Send + Sync + 'static,
    ) -> Self {
        Self { read: Box::new(read), set_up: Arc::new(set_up) }
    }
}

impl fmt::Debug for ReadFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadFacts")
    }
}

/// Configs that are to be others.
#[derive(Debug)]
pub struct Configs(Vec<Other>);

#[derive(Debug)]
struct Other {
    live: LiveConfig,
    config: Arc<str>,
    plugin: PinnedPlugin,
    /// `active release of orders, step 1`.
    place: String,
}

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
                            let place = format!("active release of {}, {}", integration.name, used.place);
                            problems.0.extend(mistakes(&place, used, &config, facts));
                            others.push(Other { live: used.config.clone(), config: config.into(), plugin: used.plugin.clone(), place });
                        }
                    }
                    Err(more) => problems.0.extend(more.0),
                }
            }
        }
        problems.or(Self(others))
    }

    /// Has the plugins that are set up once for a config read theirs, so that no call does it.
    ///
    /// # Errors
    /// What they say of it.
    pub async fn set_up(self, facts: &ReadFacts) -> Result<Self, Problems> {
        let set_up = facts.set_up.clone();
        let done = tokio::task::spawn_blocking(move || {
            let failed = self.0.iter().filter_map(|Other { config, plugin, place, .. }| {
                let problem = set_up(plugin, config).err()?;
                Some(Problem { message: format!("{place}: {}", problem.message), ..problem })
            });
            Problems(failed.collect()).or(self)
        });
        done.await.unwrap_or_else(|why| Err(Problem::new(Code::Internal, format!("setting plugins up ended early: {why}")).into()))
    }

    /// Calls that begin from here on are given them.
    pub fn apply(self) {
        self.0.into_iter().for_each(|other| other.live.set(other.config));
    }
}

/// What a plugin would not take of `config`: a start would refuse it.
fn mistakes(place: &str, used: &Use, config: &str, facts: &ReadFacts) -> Vec<Problem> {
    let manifest = match (facts.read)(&used.plugin) {
        Ok(facts) => facts.manifest,
        Err(problem) => return vec![problem],
    };
    let (Some(manifest), Ok(config)) = (manifest, serde_json::from_str(config)) else { return Vec::new() };
    let plugin = &used.plugin.name;
    let problem = |mistake: String| {
        let message = format!("{place}: plugin {plugin} does not take its config with these values: {mistake}");
        Problem::new(Code::BadPluginConfig, message).fix("change the values; `lockgate inspect` shows what the plugin takes")
    };
    manifest.config_mistakes(&config).into_iter().map(problem).collect()
}
