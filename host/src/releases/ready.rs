//! Releases with their plugins, ready to be run: what would fail at every message fails here, once.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Active, plugin_files};
use crate::alias::Environment;
use crate::config::{HostConfig, configs_of, limits};
use crate::delivery::{Runnable, Use};
use crate::integration::{CallLimits, PinnedPlugin};
use crate::plugin::Export;
use crate::plugin::offer::Offer;
use crate::plugin::registry::Plugins;
use crate::plugin::trust::Trust;
use crate::problem::{Code, Problem, Problems};

/// Who is told what is being loaded.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// What makes releases ready.
#[derive(Clone, Debug)]
pub struct Loader {
    pub plugins: Arc<Plugins>,
    /// The data folder.
    pub data: PathBuf,
    pub trust: Trust,
    /// The most that an integration may say of what one call of its plugins may use.
    pub ceiling: CallLimits,
}

impl Loader {
    pub fn new(config: &HostConfig, plugins: Arc<Plugins>) -> Self {
        let (data, trust, ceiling) = (config.data.clone(), config.plugins.trust.clone(), config.call_limits);
        Self { plugins, data, trust, ceiling }
    }

    /// `active` with their plugins pinned and their configurations resolved.
    ///
    /// # Errors
    /// Everything they need of `environment` and do not find, and all that they say of limits that is over the ceiling.
    pub fn runnables(&self, active: &[Active], environment: &Environment) -> Result<Vec<Runnable>, Problems> {
        let mut problems = Problems::default();
        let mut runnables = Vec::new();
        for active in active {
            match runnable(active, environment, &self.ceiling) {
                Ok(runnable) => runnables.push(runnable),
                Err(more) => problems.0.extend(more.0),
            }
        }
        problems.or(runnables)
    }

    /// [`Loader::load`], which takes its time and waits for nothing, beside whoever looks for a signal to end.
    pub async fn load_beside(&self, runnables: Vec<Arc<Runnable>>, progress: &Progress) -> Result<(), Problems> {
        let (loader, progress) = (self.clone(), progress.clone());
        let done = tokio::task::spawn_blocking(move || loader.load(&runnables, &progress)).await;
        done.unwrap_or_else(|why| Err(Problem::new(Code::Internal, format!("loading plugins ended early: {why}")).into()))
    }

    /// Compiles, or takes from the cache, every component that is used, links it with what each of its uses is offered,
    /// and sets it up. On every
    /// core: a host with a hundred plugins is to answer as soon as one with few.
    fn load(&self, runnables: &[Arc<Runnable>], progress: &Progress) -> Result<(), Problems> {
        let uses: Vec<(&Runnable, &Use, Export)> = runnables.iter().flat_map(|runnable| uses(runnable)).collect();
        let distinct: BTreeMap<&str, &PinnedPlugin> = uses.iter().map(|(_, used, _)| (used.plugin.digest.as_str(), &used.plugin)).collect();
        let loaded: HashMap<&str, Result<(), Problem>> = distinct
            .into_par_iter()
            .map(|(digest, plugin)| {
                progress(&format!("Loading {} {}", plugin.name, plugin.version));
                (digest, self.load_one(plugin))
            })
            .collect();
        self.link(&uses, &loaded)
    }

    /// One that is loaded was admitted when it was: nothing of what is said of its bytes changes while a host runs.
    fn load_one(&self, plugin: &PinnedPlugin) -> Result<(), Problem> {
        if self.plugins.has(&plugin.digest) {
            return self.trust.allows(plugin);
        }
        let bytes = plugin_files::read_to_run(&self.data, plugin, &self.trust)?;
        self.plugins.load(plugin, &bytes).map(|_origin| ())
    }

    fn link(&self, uses: &[(&Runnable, &Use, Export)], loaded: &HashMap<&str, Result<(), Problem>>) -> Result<(), Problems> {
        let failed = uses.par_iter().filter_map(|(runnable, used, export)| {
            let Use { place, plugin, grants, bindings, config, .. } = used;
            let loaded = loaded.get(plugin.digest.as_str()).cloned().unwrap_or(Ok(()));
            let ready =
                loaded.and_then(|()| self.plugins.make_ready(plugin, *export, Offer::of(grants, !bindings.is_empty()), &config.now()));
            let mut problem = ready.err()?;
            problem.message = format!("release of {}, {place}: {}", runnable.integration.name, problem.message);
            Some(problem)
        });
        Problems(failed.collect()).or(())
    }
}

/// Its plugins where they are used, and the exports they are called at there.
pub fn uses(runnable: &Runnable) -> impl Iterator<Item = (&Runnable, &Use, Export)> {
    let steps = runnable.steps.iter().map(move |used| (runnable, used, Export::Transform));
    let polls = runnable.polls.iter().map(move |poll| (runnable, &poll.used, Export::Poll));
    steps.chain(runnable.sink.iter().map(move |used| (runnable, used, runnable.sink_export()))).chain(polls)
}

/// A release joined with its plugins and the configs that an environment makes of it.
///
/// # Errors
/// What it needs of `environment` and does not find, and what it says of limits that is over the ceiling.
pub fn runnable(active: &Active, environment: &Environment, ceiling: &CallLimits) -> Result<Runnable, Problems> {
    let over: Vec<_> = limits::over(&active.integration.limits, ceiling).map(|(_, problem)| problem).collect();
    let of_it = |problem: Problem| {
        let name = &active.integration.name;
        let fix = format!(
            "{}. If {name} is to end: raise it for one start, then `lockgate retire {name}`",
            problem.fix.as_deref().unwrap_or("ask for less")
        );
        Problem { message: format!("release of {name}: {}", problem.message), ..problem }.fix(fix)
    };
    Problems(over.into_iter().map(of_it).collect()).or(())?;
    let configs = configs_of(&active.integration, environment)?;
    let pinned: Vec<_> = active.release.plugins.iter().cloned().zip(configs.into_iter().map(Arc::from)).collect();
    let runnable = Runnable::new(active.integration.clone(), active.id.clone(), &pinned, ceiling);
    Ok(runnable.ok_or_else(|| {
        let message = format!("release {} of {} does not pin every plugin it uses", active.id.short(), active.integration.name);
        Problem::new(Code::StoreDamaged, message).fix("deploy the workspace's own: lockgate deploy")
    })?)
}
