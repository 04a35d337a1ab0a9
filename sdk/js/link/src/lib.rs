//! Makes one component of a JavaScript bundle: links it with the engine, loads it, and keeps what is then in memory.
//!
//! The engine, QuickJS compiled to Wasm, comes out of the package `componentize-qjs` ([`Engine`]). That tool does the same, and does it with the
//! clock and the chance of the machine it runs on: each run gives another component. Here the bundle is loaded where nothing differs from
//! run to run (`lockgate-snapshot`).
//!
//! Depends on that and on the Bytecode Alliance's linker. Knows nothing of plugins' folders: see `sdk/js/build`.

mod engine;
mod link;
mod load;

use std::path::Path;
use std::time::Duration;

pub use engine::Engine;

/// What a component is made of, as `build/main.js --bundle` leaves it in its work folder.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// `plugin.js`: one module, which imports nothing but what its world imports.
    pub bundle: &'a str,
    /// `wit`: the world, and below `deps` the package of the host.
    pub wit: &'a Path,
    /// The world's name: `plugin`.
    pub world: &'a str,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package of the engine is not what it should be.
    #[error("the package of componentize-qjs cannot be used: {0}")]
    Engine(String),
    /// WIT and engine do not fit together.
    #[error("the plugin cannot be linked: {0:#}")]
    Link(anyhow::Error),
    /// The bundle is not JavaScript, or threw while it was loaded. In the engine's words, with places in the bundle, which `build/main.js --explain`
    /// makes the author's of.
    #[error("{0}")]
    Load(String),
    /// Loading the bundle did not end.
    #[error("the plugin's module does not load within {} s: is there a loop that never ends?", .0.as_secs())]
    Endless(Duration),
}

/// A component. The same engine and the same source give the same bytes. Blocks while the bundle is loaded, at most a minute.
///
/// # Errors
/// See [`Error`].
pub fn component(engine: &Engine, source: &Source<'_>) -> Result<Vec<u8>, Error> {
    let linked = link::link(engine, source).map_err(Error::Link)?;
    load::load(&linked, source.bundle)
}
