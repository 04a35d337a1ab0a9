//! [`Plugins`]: every component a host has loaded, by digest, ready to be instantiated under each offer; one that has a `setup` also as it
//! is after that, for each configuration.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre, Linker};

use super::CallFailure;
use super::Export;
use super::bindings::v0_1_0::{self, Exports, SETUP, interface_of};
use super::cache::CompileCache;
use super::compile::{Compile, SetUp};
use super::engine::PluginEngine;
use super::offer::Offer;
use super::set_ups::SetUps;
use super::state::CallState;
use super::wasi;
use crate::integration::PinnedPlugin;
use crate::problem::{Code, Problem};

/// A larger file is not compiled.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Where a loaded component came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was loaded before.
    Loaded,
    /// Compiled before, by this host.
    Cached,
    /// Compiled now.
    Compiled,
}

/// Loaded components by digest.
pub struct Plugins {
    engine: Arc<PluginEngine>,
    compiler: Arc<dyn Compile>,
    cache: Option<CompileCache>,
    /// One for every [`Offer`], at its index.
    linkers: Vec<Linker<CallState>>,
    loaded: RwLock<HashMap<String, Arc<Loaded>>>,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// One component.
pub struct Loaded {
    plugin: PinnedPlugin,
    component: Component,
    imports: Vec<String>,
    exports: BTreeSet<&'static str>,
    prepared: [OnceLock<Result<Arc<Prepared>, Problem>>; Offer::COUNT],
    /// None where it has no `setup`, or where that was called already.
    set_ups: Option<SetUps>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("plugin", &self.plugin).field("imports", &self.imports).finish_non_exhaustive()
    }
}

/// A component linked with what one offer holds; an instance of it is made without another look-up.
pub struct Prepared {
    pub instance: InstancePre<CallState>,
    pub exports: Exports,
    /// Every call begins with its `setup`: the memory behind it is not kept.
    sets_up: bool,
}

impl Prepared {
    /// Before anything else is called in an instance: `setup`, where its memory is not kept.
    ///
    /// # Errors
    /// A trap; inside, that the plugin takes `config` for wrong.
    pub async fn set_up(
        &self,
        store: &mut Store<CallState>,
        instance: &Instance,
        config: &str,
    ) -> wasmtime::Result<Result<(), CallFailure>> {
        if self.sets_up { self.exports.set_up(store, instance, config).await } else { Ok(Ok(())) }
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl Plugins {
    /// An empty registry. Without a cache every start compiles.
    ///
    /// # Errors
    /// LG-7999 if the host's own imports do not link.
    pub fn new(engine: Arc<PluginEngine>, compiler: Arc<dyn Compile>, cache: Option<CompileCache>) -> Result<Self, Problem> {
        let linkers = Offer::every().into_iter().map(|offer| linker(&engine, offer)).collect::<wasmtime::Result<_>>();
        let linkers = linkers.map_err(|why| Problem::new(Code::Internal, format!("the imports of plugins do not link: {why}")))?;
        Ok(Self { engine, compiler, cache, linkers, loaded: RwLock::default() })
    }

    /// Loads a component: from memory, from the cache, or by compiling it, which takes seconds for a large one. Blocks.
    ///
    /// # Errors
    /// LG-1014 if `bytes` are not those of the pinned digest, LG-2002 if they are no component, LG-2009 if they do not
    /// compile, LG-2020 if that takes too much, LG-2010 if they import what no host offers.
    pub fn load(&self, plugin: &PinnedPlugin, bytes: &[u8]) -> Result<Origin, Problem> {
        if self.get(&plugin.digest).is_some() {
            return Ok(Origin::Loaded);
        }
        check_bytes(plugin, bytes)?;
        let (component, origin) = match self.cached(plugin, &plugin.digest) {
            Some(component) => (component, Origin::Cached),
            None => (self.compile(plugin, &plugin.digest, bytes)?, Origin::Compiled),
        };
        let loaded = Loaded::new(plugin, component).with_set_ups_of(bytes);
        Offer::ALL.check(plugin, &loaded.imports)?;
        let mut all = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(plugin.digest.clone()).or_insert_with(|| Arc::new(loaded));
        Ok(origin)
    }

    /// Makes the loaded `plugin` ready for calls at `export` with what `offer` holds and with `config`: sets it up, where it has a `setup`,
    /// which takes as long as compiling it. Blocks.
    ///
    /// # Errors
    /// As [`Self::prepare`]; LG-2008 if its `setup` takes `config` for wrong, or does not end.
    pub fn make_ready(&self, plugin: &PinnedPlugin, export: Export, offer: Offer, config: &str) -> Result<(), Problem> {
        self.prepare(plugin, export, offer, config)?;
        self.set_up(plugin, config)?;
        self.prepare(plugin, export, offer, config).map(drop)
    }

    /// Has the `setup` of the loaded `plugin` read `config`, if it has one, and keeps the component that it is then. Blocks.
    ///
    /// # Errors
    /// LG-2008 if it takes `config` for wrong, or does not end.
    pub fn set_up(&self, plugin: &PinnedPlugin, config: &str) -> Result<(), Problem> {
        let Some(loaded) = self.get(&plugin.digest) else { return Ok(()) };
        let Some(set_ups) = &loaded.set_ups else { return Ok(()) };
        set_ups.get_or_make(config, |component| self.made_of(plugin, component, config))
    }

    /// What `component` is after its `setup`; none where its memory cannot be kept.
    fn made_of(&self, plugin: &PinnedPlugin, component: &[u8], config: &str) -> Result<Option<Arc<Loaded>>, Problem> {
        let digest = SetUps::digest(&plugin.digest, config);
        let loaded = |component| Some(Arc::new(Loaded::new(plugin, component)));
        if let Some(component) = self.cached(plugin, &digest) {
            return Ok(loaded(component));
        }
        let name = format!("plugin {}@{}", plugin.name, plugin.version);
        match self.compiler.set_up(component, config).map_err(|why| why.problem(&name))? {
            SetUp::Kept(component) => self.compile(plugin, &digest, &component).map(loaded),
            SetUp::EachCall(why) => {
                tracing::warn!(plugin = plugin.name, version = %plugin.version, why, "setup is called at the start of each call: its memory cannot be kept");
                Ok(None)
            }
        }
    }

    /// Whether the loaded `plugin` can be called at `export` with what `offer` holds, and as what: set up for `config`, if it is.
    ///
    /// # Errors
    /// LG-2001 if it is not loaded, LG-2003 if it imports what is not offered, LG-2005 if it lacks the export,
    /// LG-2010 if an import is not of the type the host has.
    pub fn prepare(&self, plugin: &PinnedPlugin, export: Export, offer: Offer, config: &str) -> Result<Arc<Prepared>, Problem> {
        let loaded = self.get(&plugin.digest).ok_or_else(|| {
            let message = format!("plugin {}@{} ({}) is not loaded", plugin.name, plugin.version, plugin.digest);
            Problem::new(Code::PluginMissing, message).fix("put its .wasm file where the workspace expects it and start the host again")
        })?;
        if !loaded.exports.contains(interface_of(export)) {
            return Err(loaded.lacks(export));
        }
        let loaded = loaded.set_ups.as_ref().and_then(|set_ups| set_ups.get(config)).unwrap_or(loaded);
        let prepared = loaded.prepared.get(offer.index()).zip(self.linkers.get(offer.index()));
        let (prepared, linker) = prepared.ok_or_else(|| Problem::new(Code::Internal, "an offer outside of all offers"))?;
        let prepared = prepared.get_or_init(|| loaded.prepare(offer, linker).map(Arc::new)).clone()?;
        if prepared.exports.has(export) { Ok(prepared) } else { Err(loaded.lacks(export)) }
    }

    /// Whether the component of `digest` is loaded.
    pub fn has(&self, digest: &str) -> bool {
        self.get(digest).is_some()
    }

    /// The exports a loaded component has, of those a host calls.
    pub fn exports(&self, digest: &str) -> Vec<Export> {
        let Some(loaded) = self.get(digest) else { return Vec::new() };
        Export::ALL.into_iter().filter(|export| loaded.exports.contains(interface_of(*export))).collect()
    }

    /// Forgets every component but those with one of `digests`. Calls under way are not disturbed.
    pub fn retain(&self, digests: &BTreeSet<String>) {
        self.loaded.write().unwrap_or_else(PoisonError::into_inner).retain(|digest, _| digests.contains(digest));
    }

    /// The engine components are compiled for.
    pub fn engine(&self) -> &PluginEngine {
        &self.engine
    }

    fn get(&self, digest: &str) -> Option<Arc<Loaded>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// What `plugin` was compiled to, under `digest`.
    fn cached(&self, plugin: &PinnedPlugin, digest: &str) -> Option<Component> {
        let engine = self.engine.engine();
        let code = self.cache.as_ref()?.load(engine, digest)?;
        code.component(engine).inspect_err(|why| tracing::warn!(plugin.name, %why, "compiled code does not load; compiling anew")).ok()
    }

    fn compile(&self, plugin: &PinnedPlugin, digest: &str, bytes: &[u8]) -> Result<Component, Problem> {
        let engine = self.engine.engine();
        let code = self.compiler.compile(bytes).map_err(|why| why.problem(&format!("plugin {}@{}", plugin.name, plugin.version)))?;
        let component = code.component(engine).map_err(|why| {
            Problem::new(Code::Internal, format!("plugin {}@{}: compiled code does not load: {why:#}", plugin.name, plugin.version))
                .fix("start the host again: its program may have been replaced while it ran")
        })?;
        if let Some(cache) = &self.cache {
            cache.store(engine, digest, &code);
        }
        Ok(component)
    }
}

fn linker(engine: &PluginEngine, offer: Offer) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine.engine());
    wasi::link(&mut linker)?;
    v0_1_0::link(&mut linker, offer)?;
    Ok(linker)
}

fn check_bytes(plugin: &PinnedPlugin, bytes: &[u8]) -> Result<(), Problem> {
    let name = format!("plugin {}@{}", plugin.name, plugin.version);
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(Problem::new(Code::NotAComponent, format!("{name} is larger than {COMPONENT_BYTES_MAX} bytes"))
            .fix("build it in release mode and strip it"));
    }
    if !wasmparser::Parser::is_component(bytes) {
        let what = if wasmparser::Parser::is_core_wasm(bytes) { "a core module, not a component" } else { "not a Wasm component" };
        let fix = "build it with `lockgate build`, or for the target wasm32-wasip2";
        return Err(Problem::new(Code::NotAComponent, format!("the file of {name} is {what}")).fix(fix));
    }
    let digest = hex::encode(Sha256::digest(bytes));
    if digest != plugin.digest {
        let message = format!("the file of {name} has the digest {digest}, the lock has {}", plugin.digest);
        return Err(Problem::new(Code::LockOutdated, message).fix("lockgate update"));
    }
    Ok(())
}

impl Loaded {
    fn new(plugin: &PinnedPlugin, component: Component) -> Self {
        let engine = component.engine().clone();
        let component_type = component.component_type();
        let imports = component_type.imports(&engine).map(|(name, _)| name.to_owned()).collect();
        let exports = Export::ALL.map(interface_of);
        let exports = exports.into_iter().filter(|name| component_type.get_export(&engine, name).is_some()).collect();
        Self { plugin: plugin.clone(), component, imports, exports, prepared: Default::default(), set_ups: None }
    }

    /// The same, which is to be set up before it is called, if it has a `setup`.
    fn with_set_ups_of(self, bytes: &[u8]) -> Self {
        let has_setup = self.component.component_type().get_export(self.component.engine(), SETUP).is_some();
        Self { set_ups: has_setup.then(|| SetUps::of(bytes)), ..self }
    }

    fn lacks(&self, export: Export) -> Problem {
        let message = format!("plugin {}@{} does not export {}", self.plugin.name, self.plugin.version, interface_of(export));
        let exports: Vec<_> = self.exports.iter().copied().collect();
        Problem::new(Code::WrongRole, message).fix(format!("use it where its role fits; it exports: {}", exports.join(", ")))
    }

    fn prepare(&self, offer: Offer, linker: &Linker<CallState>) -> Result<Prepared, Problem> {
        offer.check(&self.plugin, &self.imports)?;
        let instance = linker.instantiate_pre(&self.component).map_err(|why| {
            Problem::new(Code::UnknownImport, format!("plugin {} does not link: {why:#}", self.plugin.name))
                .fix("build it with the SDK of this host's version")
        })?;
        let exports = Exports::of(&instance);
        Ok(Prepared { instance, exports, sets_up: self.set_ups.is_some() })
    }
}
