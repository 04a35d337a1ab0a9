//! [`Ground`]: what scenarios stand on. A workspace, as `lockgate check` prepares it, or a plugin's folder by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::cache;
use super::subject::Staged;
use crate::alias::Environment;
use crate::config::HostConfig;
use crate::config::prepare::Prepared;
use crate::config::workspace::read_host;
use crate::integration::Entry;
use crate::plugin::build::Progress;
use crate::plugin::compile::CompileChild;
use crate::plugin::engine::PluginEngine;
use crate::plugin::library::{Component, in_folder};
use crate::plugin::limits::Limits;
use crate::plugin::offer::Offer;
use crate::plugin::registry::Plugins;
use crate::plugin::trust::Trust;
use crate::problem::{Code, Problem, Problems};
use crate::releases::Active;
use crate::releases::ready::{runnable, uses};
use crate::scenario::chamber::Setting;
use crate::scenario::file::START;

/// The environment of a plugin that stands by itself.
const NO_ENVIRONMENT: &str = "test";

/// Everything that scenarios share.
pub struct Ground<'p> {
    pub dir: PathBuf,
    pub host: HostConfig,
    pub environment: Environment,
    /// The workspace's integrations, by name.
    pub actives: BTreeMap<String, Active>,
    /// The channels that some integration reads.
    pub channels: BTreeSet<String>,
    /// The plugins that integrations use.
    pub components: Vec<Component>,
    /// The plugin of the folder, where that is one.
    pub own: Option<Component>,
    pub building: &'p Progress<'p>,
    /// Whether a system that is made up for a plugin gives tokens.
    pub gives_tokens: bool,
    plugins: Arc<Plugins>,
}

impl std::fmt::Debug for Ground<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl<'p> Ground<'p> {
    /// Whether `dir` is a plugin's folder, and no workspace.
    pub fn is_plugin(dir: &Path) -> bool {
        dir.join("plugin.toml").is_file() && !dir.join("lockgate.toml").exists() && !dir.join("integrations").exists()
    }

    /// Whether there is something in `dir` that has to be prepared.
    pub fn has_integrations(dir: &Path) -> bool {
        dir.join("integrations").exists() || dir.join("environments").exists()
    }

    /// What a component stands on that is there by itself.
    ///
    /// # Errors
    /// What is wrong with the host file, if there is one.
    pub fn bare(dir: &Path, building: &'p Progress<'p>) -> Result<Self, Problems> {
        let host = read_host(dir)?.unwrap_or_else(|| HostConfig::default().under(dir));
        Self::of(dir, host, no_environment(), building)
    }

    /// Reads and builds what is in `dir`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(dir: &Path, prepare: impl FnOnce() -> Result<Prepared, Problems>, building: &'p Progress<'p>) -> Result<Self, Problems> {
        if Self::is_plugin(dir) {
            let own = in_folder(dir)?.component(&Trust::default(), building)?;
            return Self::of(dir, HostConfig::default().under(dir), no_environment(), building)
                .map(|ground| Self { own: Some(own), ..ground });
        }
        // A folder of plugins: nothing in it needs an environment.
        if !Self::has_integrations(dir)
            && let Some(host) = read_host(dir)?
        {
            return Self::of(dir, host, no_environment(), building);
        }
        let prepared = prepare()?;
        let releases = prepared.releases();
        let environment = prepared.workspace.environment.environment.clone();
        let mut ground = Self::of(dir, prepared.workspace.host.clone(), environment, building)?;
        for (file, release) in prepared.workspace.integrations.iter().zip(releases) {
            let integration = file.integration.clone();
            let entries = integration.sources.iter().map(|source| &source.entry);
            ground
                .channels
                .extend(entries.filter_map(|entry| if let Entry::Channel { name, .. } = entry { Some(name.clone()) } else { None }));
            ground.actives.insert(integration.name.clone(), Active { integration, id: release.id(), release });
        }
        ground.components = prepared.components;
        Ok(ground)
    }

    fn of(dir: &Path, host: HostConfig, environment: Environment, building: &'p Progress<'p>) -> Result<Self, Problems> {
        let engine = Arc::new(PluginEngine::new(&Limits::of(&host.call_limits))?);
        let plugins = Arc::new(Plugins::new(engine, Arc::new(CompileChild::new(host.plugins.compile)), cache(&host))?);
        let (actives, channels, components) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Ok(Self {
            dir: dir.to_owned(),
            host,
            environment,
            actives,
            channels,
            components,
            own: None,
            building,
            gives_tokens: false,
            plugins,
        })
    }

    /// The same, where systems that are made up give tokens, so that these can expire.
    #[must_use]
    pub fn with_tokens(self) -> Self {
        Self { gives_tokens: true, ..self }
    }

    /// Compiles what they use, or takes it from the cache, and links it with what each use is offered.
    ///
    /// # Errors
    /// Every plugin that does not compile, or lacks what it is used for.
    pub fn load<'s>(&self, staged: impl Iterator<Item = &'s Staged>) -> Result<(), Problems> {
        let mut components: BTreeMap<&str, &Component> = BTreeMap::new();
        let mut runnables = Vec::new();
        for one in staged {
            let known = self.components.iter().chain(&self.own).chain(&one.components);
            let used = one.actives.iter().flat_map(|active| &active.release.plugins);
            let used: BTreeSet<&str> = used.map(|plugin| plugin.digest.as_str()).collect();
            components
                .extend(known.map(|component| (component.pinned.digest.as_str(), component)).filter(|(digest, _)| used.contains(digest)));
            for active in &one.actives {
                runnables.push(runnable(active, &one.environment, &self.host.call_limits)?);
            }
        }
        let failed = components.into_values().collect::<Vec<_>>().into_par_iter();
        let failed = failed.filter_map(|component| self.plugins.load(&component.pinned, &component.bytes).err());
        Problems(failed.collect()).or(())?;
        for (_, used, export) in runnables.iter().flat_map(uses) {
            self.plugins.make_ready(&used.plugin, export, Offer::of(&used.grants, !used.bindings.is_empty()), &used.config.now())?;
        }
        Ok(())
    }

    /// What a chamber is made of.
    pub fn setting(&self, staged: Staged) -> Setting {
        let Staged { actives, environment, .. } = staged;
        let threads = u32::try_from(rayon::current_num_threads()).unwrap_or(u32::MAX).max(1);
        Setting {
            plugins: self.plugins.clone(),
            // All of them together are no more than the engine was made for.
            calls_at_once: (Limits::default().calls_at_once / threads).max(1),
            actives,
            environment,
            ceiling: self.host.call_limits,
            channels: self.channels.clone(),
            body_bytes_max: self.host.body_bytes_max,
            start: START,
            polls: false,
        }
    }

    /// A problem that says what integrations there are.
    pub fn no_integration(&self, name: &str) -> Problem {
        let known: Vec<&str> = self.actives.keys().map(String::as_str).collect();
        let fix = match (crate::config::reader::nearest(name, known.iter().copied()), known.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "add integrations/<name>.toml, or name a `plugin`".to_owned(),
            (None, known) => format!("there is: {}", known.join(", ")),
        };
        Problem::new(Code::NotFound, format!("there is no integration `{name}`")).fix(fix)
    }
}

fn no_environment() -> Environment {
    Environment { name: NO_ENVIRONMENT.into(), values: BTreeMap::new(), aliases: BTreeMap::new() }
}
