//! `[plugins]` of `lockgate.toml`: where plugins are, and what compiling one may use.
//!
//! Depends on `plugin::{compile}` for plain data and on `config::reader`.

use std::path::PathBuf;
use std::time::Duration;

use super::host::{bounded_duration, set};
use super::quantity;
use super::reader::{Keys, Node, Table};
use crate::plugin::compile::CompileLimits;

const PATHS_MAX: usize = 16;
/// Below this not even the smallest component compiles.
const MEMORY_MIN: u64 = 128 << 20;
const MEMORY_MAX: u64 = 64 << 30;
const TIME_MIN: Duration = Duration::from_secs(1);
const TIME_MAX: Duration = Duration::from_secs(60 * 60);

const PLUGINS: Keys = Keys::all(&["paths", "compile"]);
const COMPILE: Keys = Keys::all(&["memory", "cpu", "wall"]);

/// What `[plugins]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginsConfig {
    /// Folders searched for plugins; relative to the workspace until [`super::HostConfig::under`].
    pub paths: Vec<PathBuf>,
    pub compile: CompileLimits,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self { paths: vec!["plugins".into()], compile: CompileLimits::default() }
    }
}

/// Reads the table into `config`.
pub(super) fn read(node: &Node<'_>, config: &mut PluginsConfig) {
    let Some(table) = node.table(PLUGINS, "{ paths = [\"plugins\"] }") else { return };
    set(&mut config.paths, table.optional("paths"), |node| {
        let nodes = node.list(PATHS_MAX, "[\"plugins\"]")?;
        nodes.iter().map(|node| node.text(1024, "\"plugins\"").map(PathBuf::from)).collect()
    });
    if let Some(table) = table.optional("compile").and_then(|node| node.table(COMPILE, "{ memory = \"2GiB\", cpu = \"2m\" }")) {
        compile(&table, &mut config.compile);
    }
}

fn compile(table: &Table<'_>, limits: &mut CompileLimits) {
    set(&mut limits.memory_bytes, table.optional("memory"), |node| {
        node.parsed("\"2GiB\"", |text| {
            let bytes = quantity::size(text)?;
            Some(bytes).filter(|bytes| (MEMORY_MIN..=MEMORY_MAX).contains(bytes)).ok_or_else(|| "must be from 128MiB to 64GiB".to_owned())
        })
    });
    set(&mut limits.cpu, table.optional("cpu"), |node| bounded_duration(node, "\"2m\"", TIME_MIN, TIME_MAX));
    set(&mut limits.wall, table.optional("wall"), |node| bounded_duration(node, "\"5m\"", TIME_MIN, TIME_MAX));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::HostConfig;
    use super::*;

    fn parse(text: &str) -> Result<PluginsConfig, String> {
        HostConfig::parse(Path::new("lockgate.toml"), &format!("[plugins]\n{text}\n"))
            .map(|config| config.plugins)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn refuses_rules_that_would_not_do_what_they_say() {
        for (text, why) in [
            ("compile = { memory = \"1MiB\" }", "from 128MiB to 64GiB"),
            ("compile = { cpu = \"10ms\" }", "from 1s to 1h"),
            ("compile = { size = \"1GiB\" }", "unknown key `plugins.compile.size`"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn reads_every_key() {
        let config = parse("compile = { memory = \"512MiB\", cpu = \"20s\", wall = \"1m\" }").unwrap();
        let compile = CompileLimits { memory_bytes: 512 << 20, cpu: Duration::from_secs(20), wall: Duration::from_secs(60) };
        assert_eq!(config.compile, compile);
    }
}
