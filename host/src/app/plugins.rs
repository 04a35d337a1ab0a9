//! The active releases with their plugins, ready to be run: what would fail at every message fails here, once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use super::ground::Ground;
use super::plugin_files;
use super::releases::Active;
use crate::admin::ReadFacts;
use crate::alias::secret::Secret;
use crate::alias::{Aliases, Environment};
use crate::capability::queue::Channels;
use crate::config::{HostConfig, configs_of, limits};
use crate::delivery::{Catalog, Runnable, Use};
use crate::integration::{CallLimits, PinnedPlugin};
use crate::ledger::Records;
use crate::plugin::cache::CompileCache;
use crate::plugin::compile::CompileChild;
use crate::plugin::component::Facts;
use crate::plugin::engine::PluginEngine;
use crate::plugin::invoke::{Around, WasmInvoker};
use crate::plugin::limits::Limits;
use crate::plugin::offer::Offer;
use crate::plugin::registry::Plugins;
use crate::plugin::{Export, PluginInvoker};
use crate::problem::{Code, Problem, Problems};

/// Who is told what a start is at.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// The active releases, their plugins pinned and their configurations resolved.
pub fn catalog(active: &[Active], environment: &Environment, ceiling: &CallLimits) -> Result<Catalog, Problems> {
    let mut problems = Problems::default();
    let mut runnables = Vec::new();
    for active in active {
        match runnable(active, environment, ceiling) {
            Ok(runnable) => runnables.push(runnable),
            Err(more) => problems.0.extend(more.0),
        }
    }
    problems.or(Catalog::new(runnables))
}

/// What compiles components and holds them, with none in it.
pub fn registry(config: &HostConfig, host_key: &Secret) -> Result<Arc<Plugins>, Problem> {
    // Slots of memory are as large as the largest that any integration may ask for; what is not touched costs nothing.
    let engine = Arc::new(PluginEngine::new(&Limits::of(&config.call_limits))?);
    let compiler = Arc::new(CompileChild::new(config.plugins.compile));
    Plugins::new(engine, compiler, Some(CompileCache::open(&config.data, host_key.clone())?)).map(Arc::new)
}

/// What takes its time and waits for nothing, beside whoever looks for a signal to end.
async fn beside(work: impl FnOnce() -> Result<(), Problems> + Send + 'static) -> Result<(), Problems> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|why| Err(Problem::new(Code::Internal, format!("loading plugins ended early: {why}")).into()))
}

fn loading(plugin: &PinnedPlugin) -> String {
    format!("Loading {} {}", plugin.name, plugin.version)
}

/// Loads every plugin of `catalog` and makes what runs them.
pub async fn invoker(
    config: &HostConfig,
    (ground, aliases): (&Ground, &Arc<Aliases>),
    (plugins, host_key): (Arc<Plugins>, Secret),
    catalog: &Arc<Catalog>,
    progress: &Progress,
) -> Result<Arc<dyn PluginInvoker>, Problems> {
    let everything = (config.clone(), plugins.clone(), catalog.clone(), progress.clone());
    beside(move || load(&everything.0, &everything.1, &everything.2, &everything.3)).await?;
    let channels = Channels::default();
    channels.set(catalog.channels());
    let around = Around {
        plugins,
        egress: aliases.clone(),
        key_values: Arc::new(ground.store.key_value()),
        channels,
        clock: ground.clock.clone(),
        host_key,
        metrics: ground.metrics.clone(),
        events: ground.events.clone(),
    };
    let listens = config.ledger.records != Records::Nothing;
    Ok(Arc::new(WasmInvoker::new(around, Limits::default().calls_at_once).listening(listens)))
}

/// Compiles, or takes from the cache, every component that is used, and links it with what each of its uses is offered. On every
/// core: a host with a hundred plugins is to answer as soon as one with few.
fn load(config: &HostConfig, plugins: &Plugins, catalog: &Catalog, progress: &Progress) -> Result<(), Problems> {
    let uses: Vec<(&Runnable, &Use, Export)> = catalog.all().flat_map(|runnable| uses(runnable)).collect();
    let distinct: BTreeMap<&str, &PinnedPlugin> = uses.iter().map(|(_, used, _)| (used.plugin.digest.as_str(), &used.plugin)).collect();
    let loaded: HashMap<&str, Result<(), Problem>> = distinct
        .into_par_iter()
        .map(|(digest, plugin)| {
            progress(&loading(plugin));
            let bytes = plugin_files::read_to_run(&config.data, plugin, &config.plugins.trust);
            (digest, bytes.and_then(|bytes| plugins.load(plugin, &bytes)).map(|_origin| ()))
        })
        .collect();
    let failed = uses.par_iter().filter_map(|(runnable, used, export)| {
        let Use { place, plugin, grants, bindings, .. } = used;
        let loaded = loaded.get(plugin.digest.as_str()).cloned().unwrap_or(Ok(()));
        let ready = loaded.and_then(|()| plugins.prepare(plugin, *export, Offer::of(grants, !bindings.is_empty())));
        let mut problem = ready.err()?;
        problem.message = format!("active release of {}, {place}: {}", runnable.integration.name, problem.message);
        Some(problem)
    });
    Problems(failed.collect()).or(())
}

/// Its plugins where they are used, and the exports they are called at there.
pub fn uses(runnable: &Runnable) -> impl Iterator<Item = (&Runnable, &Use, Export)> {
    let steps = runnable.steps.iter().map(move |used| (runnable, used, Export::Transform));
    let polls = runnable.polls.iter().map(move |poll| (runnable, &poll.used, Export::Poll));
    steps.chain(runnable.sink.iter().map(move |used| (runnable, used, runnable.sink_export()))).chain(polls)
}

/// A release joined with its plugins and the configs that an environment makes of it.
pub fn runnable(active: &Active, environment: &Environment, ceiling: &CallLimits) -> Result<Runnable, Problems> {
    let over: Vec<_> = limits::over(&active.integration.limits, ceiling).map(|(_, problem)| problem).collect();
    let of_it = |problem: Problem| {
        let name = &active.integration.name;
        let fix = format!(
            "{}. If {name} is to end: raise it for one start, then `lockgate retire {name}`",
            problem.fix.as_deref().unwrap_or("ask for less")
        );
        Problem { message: format!("active release of {name}: {}", problem.message), ..problem }.fix(fix)
    };
    Problems(over.into_iter().map(of_it).collect()).or(())?;
    let configs = configs_of(&active.integration, environment)?;
    let pinned: Vec<_> = active.release.plugins.iter().cloned().zip(configs.into_iter().map(Arc::from)).collect();
    let runnable = Runnable::new(active.integration.clone(), active.id.clone(), &pinned, ceiling);
    Ok(runnable.ok_or_else(|| {
        let message = format!("release {} of {} does not pin every plugin it uses", active.id.short(), active.integration.name);
        Problem::new(Code::StoreDamaged, message).fix("activate the workspace's own: lockgate run --deploy")
    })?)
}

/// Reads what pinned plugins say of themselves, out of the data folder.
pub fn facts(config: &HostConfig) -> ReadFacts {
    let data = config.data.clone();
    ReadFacts::new(move |plugin| Facts::of(&plugin.name, &plugin_files::read(&data, plugin)?))
}
