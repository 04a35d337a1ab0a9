//! The plugins of a host that starts: what compiles and runs them.

use std::sync::Arc;

use super::ground::Ground;
use crate::admin::ReadFacts;
use crate::alias::Aliases;
use crate::alias::secret::Secret;
use crate::capability::queue::Channels;
use crate::config::HostConfig;
use crate::integration::PinnedPlugin;
use crate::ledger::Records;
use crate::plugin::PluginInvoker;
use crate::plugin::cache::CompileCache;
use crate::plugin::compile::CompileChild;
use crate::plugin::component::Facts;
use crate::plugin::engine::PluginEngine;
use crate::plugin::invoke::{Around, WasmInvoker};
use crate::plugin::limits::Limits;
use crate::plugin::registry::Plugins;
use crate::problem::Problem;
use crate::releases::plugin_files;
pub use crate::releases::ready::Progress;

/// What compiles components and holds them, with none in it.
pub fn registry(config: &HostConfig, host_key: &Secret) -> Result<Arc<Plugins>, Problem> {
    // Slots of memory are as large as the largest that any integration may ask for; what is not touched costs nothing.
    let engine = Arc::new(PluginEngine::new(&Limits::of(&config.call_limits))?);
    let compiler = Arc::new(CompileChild::new(config.plugins.compile));
    Plugins::new(engine, compiler, Some(CompileCache::open(&config.data, host_key.clone())?)).map(Arc::new)
}

/// What runs the plugins that `plugins` holds, and comes to hold.
pub fn invoker(
    config: &HostConfig,
    (ground, aliases): (&Ground, &Arc<Aliases>),
    (plugins, host_key): (Arc<Plugins>, Secret),
    channels: &Channels,
) -> Arc<dyn PluginInvoker> {
    let around = Around {
        plugins,
        egress: aliases.clone(),
        key_values: Arc::new(ground.store.key_value()),
        channels: channels.clone(),
        clock: ground.clock.clone(),
        host_key,
        metrics: ground.metrics.clone(),
        events: ground.events.clone(),
    };
    let listens = config.ledger.records != Records::Nothing;
    Arc::new(WasmInvoker::new(around, Limits::default().calls_at_once).listening(listens))
}

/// Reads what pinned plugins say of themselves, out of the data folder, and asks those that are loaded of configs.
pub fn facts(config: &HostConfig, plugins: Arc<Plugins>) -> ReadFacts {
    let data = config.data.clone();
    let read = move |plugin: &PinnedPlugin| Facts::of(&plugin.name, &plugin_files::read(&data, plugin)?);
    ReadFacts::new(read, move |plugin, config| plugins.set_up(plugin, config))
}
