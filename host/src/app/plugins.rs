//! The active releases with their plugins, ready to be run: what would fail at every message fails here, once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use super::ground::Ground;
use super::plugin_files;
use super::releases::Active;
use crate::admin::ReadFacts;
use crate::alias::{Aliases, Environment};
use crate::capability::queue::Channels;
use crate::config::{HostConfig, configs_of, limits};
use crate::delivery::{Catalog, Runnable, Use};
use crate::integration::{CallLimits, PinnedPlugin};
use crate::plugin::cache::CompileCache;
use crate::plugin::component::Facts;
use crate::plugin::engine::PluginEngine;
use crate::plugin::invoke::{Around, WasmInvoker};
use crate::plugin::limits::Limits;
use crate::plugin::offer::Offer;
use crate::plugin::registry::Plugins;
use crate::plugin::{Export, PluginInvoker, host_key};
use crate::problem::{Code, Problem, Problems};

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

/// Loads every plugin of `catalog` and makes what runs them.
pub fn invoker(
    config: &HostConfig,
    ground: &Ground,
    aliases: &Arc<Aliases>,
    catalog: &Catalog,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Arc<dyn PluginInvoker>, Problems> {
    let host_key = host_key::load_or_create(&config.data, &*ground.random)?;
    // Slots of memory are as large as the largest that any integration may ask for; what is not touched costs nothing.
    let limits = Limits::of(&config.call_limits);
    let engine = Arc::new(PluginEngine::new(&limits)?);
    let plugins = Plugins::new(engine, Some(CompileCache::open(&config.data, host_key.clone())?))?;
    load(config, &plugins, catalog, progress)?;
    let channels = Channels::default();
    channels.set(catalog.channels());
    let around = Around {
        plugins: Arc::new(plugins),
        egress: aliases.clone(),
        key_values: Arc::new(ground.store.key_value()),
        channels,
        clock: ground.clock.clone(),
        host_key,
        metrics: ground.metrics.clone(),
        events: ground.events.clone(),
    };
    Ok(Arc::new(WasmInvoker::new(around, limits.calls_at_once)))
}

/// Compiles, or takes from the cache, every component that is used, and links it with what each of its uses is offered. On every
/// core: a host with a hundred plugins is to answer as soon as one with few.
fn load(config: &HostConfig, plugins: &Plugins, catalog: &Catalog, progress: &(dyn Fn(&str) + Sync)) -> Result<(), Problems> {
    let uses: Vec<(&Runnable, &Use, Export)> = catalog.all().flat_map(|runnable| uses(runnable)).collect();
    let distinct: BTreeMap<&str, &PinnedPlugin> = uses.iter().map(|(_, used, _)| (used.plugin.digest.as_str(), &used.plugin)).collect();
    let loaded: HashMap<&str, Result<(), Problem>> = distinct
        .into_par_iter()
        .map(|(digest, plugin)| {
            progress(&format!("Loading {} {}", plugin.name, plugin.version));
            let bytes = plugin_files::read(&config.data, plugin);
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

fn uses(runnable: &Runnable) -> impl Iterator<Item = (&Runnable, &Use, Export)> {
    let steps = runnable.steps.iter().map(move |used| (runnable, used, Export::Transform));
    let polls = runnable.polls.iter().map(move |poll| (runnable, &poll.used, Export::Poll));
    steps.chain(runnable.sink.iter().map(move |used| (runnable, used, runnable.sink_export()))).chain(polls)
}

fn runnable(active: &Active, environment: &Environment, ceiling: &CallLimits) -> Result<Runnable, Problems> {
    let over: Vec<_> = limits::over(&active.integration.limits, ceiling).map(|(_, problem)| problem).collect();
    let of_it =
        |problem: Problem| Problem { message: format!("active release of {}: {}", active.integration.name, problem.message), ..problem };
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
