//! Makes one component of a plugin written in Python: links it with the interpreter, starts it, and keeps what is then in memory.
//!
//! The interpreter, compiled to Wasm, comes out of the package `componentize-py` ([`Parts`]). That tool does the same, and does it with
//! the clock, the chance and the files of the machine it runs on: each run gives another component. And it leaves the C library's
//! sockets in, which no plugin has. Here the interpreter starts in a world where nothing differs from run to run ([`start`]), and the
//! sockets are taken out ([`link`]).
//!
//! Depends on wasmtime and on the Bytecode Alliance's linker. Knows nothing of plugins' folders: see `sdk/python/lockgate_build`.

mod bindings;
mod files;
mod link;
mod parts;
mod start;
mod texts;

pub use parts::Parts;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

/// Files by their path, `/` between its steps.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// What a component is made of.
#[derive(Debug)]
pub struct Source<'a> {
    /// Modules, by their path in Python: the plugin's, its dependencies', the SDK's.
    pub app: &'a Tree,
    /// The module that starts it all.
    pub main: &'a str,
    /// Folders of WIT: the package of the host, and the world made for this plugin.
    pub wit: &'a [&'a Path],
    /// `lockgate:build/plugin`.
    pub world: &'a str,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package of the interpreter is not what it should be.
    #[error("the package of componentize-py cannot be used: {0}")]
    Parts(String),
    /// WIT or libraries do not fit together.
    #[error("the plugin cannot be linked: {0:#}")]
    Link(anyhow::Error),
    /// The plugin ended while it was started. What it printed says why.
    #[error("the plugin does not start:\n{said}")]
    Start {
        /// What it printed to standard output and standard error.
        said: String,
        /// What wasmtime says.
        cause: anyhow::Error,
    },
    /// Starting the plugin did not end.
    #[error("the plugin does not start within {} s: is there a loop that never ends at the top of a module?", .0.as_secs())]
    Endless(Duration),
}

/// Why a plugin does not start, as `lockgate_build` has it told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Told {
    /// `KeyError: 'customer'`.
    pub message: String,
    /// In the plugin's folder, or of a package.
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// The line of the source.
    pub text: Option<String>,
    /// What to write instead.
    pub fix: Option<String>,
    /// The way there, as Python shows it.
    pub traceback: Option<String>,
}

/// What marks the line it is told in.
const MARK: &str = "LOCKGATE-BUILD-PROBLEM ";

impl Error {
    /// What the plugin said of why it does not start; none where it said nothing readable.
    pub fn told(&self) -> Option<Told> {
        let Self::Start { said, .. } = self else { return None };
        let line = said.lines().find_map(|line| line.strip_prefix(MARK))?;
        serde_json::from_str(line).ok()
    }
}

/// A component. The same parts and the same source give the same bytes. Blocks while the plugin is started, at most a minute.
///
/// # Errors
/// See [`Error`].
pub fn component(parts: &Parts, source: &Source<'_>) -> Result<Vec<u8>, Error> {
    let linked = link::link(parts, source).map_err(Error::Link)?;
    start::start(parts, source, &linked)
}
