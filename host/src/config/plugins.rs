//! `[plugins]` of `lockgate.toml`: where plugins are, which may run, and what compiling one may use.
//!
//! Depends on `plugin::{trust, signature, compile, endpoints}` for plain data and on `config::reader`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use semver::Version;

use super::host::{bounded_duration, set};
use super::name;
use super::quantity;
use super::reader::{Keys, Node, Table};
use crate::plugin::compile::CompileLimits;
use crate::plugin::signature::PublicKey;
use crate::plugin::trust::{Revoked, Trust};

const PATHS_MAX: usize = 16;
const KEYS_MAX: usize = 64;
const REVOKED_MAX: usize = 10_000;
const FLOORS_MAX: usize = 10_000;
const KNOWN_URLS_MAX: usize = 1_000;
/// Below this not even the smallest component compiles.
const MEMORY_MIN: u64 = 128 << 20;
const MEMORY_MAX: u64 = 64 << 30;
const TIME_MIN: Duration = Duration::from_secs(1);
const TIME_MAX: Duration = Duration::from_secs(60 * 60);

const PLUGINS: Keys = Keys::all(&["paths", "require-signed", "trusted-keys", "revoked", "floor", "known-urls", "compile"]);
const COMPILE: Keys = Keys::all(&["memory", "cpu", "wall"]);
const KEY_EXAMPLE: &str = "{ acme = \"MCowBQYDK2VwAyEA…\" }";

/// What `[plugins]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginsConfig {
    /// Folders searched for plugins; relative to the workspace until [`super::HostConfig::under`].
    pub paths: Vec<PathBuf>,
    pub trust: Trust,
    /// How URLs begin that plugins may hold.
    pub known_urls: Vec<String>,
    pub compile: CompileLimits,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self { paths: vec!["plugins".into()], trust: Trust::default(), known_urls: Vec::new(), compile: CompileLimits::default() }
    }
}

/// Reads the table into `config`.
pub(super) fn read(node: &Node<'_>, config: &mut PluginsConfig) {
    let Some(table) = node.table(PLUGINS, "{ paths = [\"plugins\"] }") else { return };
    set(&mut config.paths, table.optional("paths"), |node| {
        let nodes = node.list(PATHS_MAX, "[\"plugins\"]")?;
        nodes.iter().map(|node| node.text(1024, "\"plugins\"").map(PathBuf::from)).collect()
    });
    let trust = &mut config.trust;
    set(&mut trust.require_signed, table.optional("require-signed"), |node| node.boolean("true"));
    set(&mut trust.keys, table.optional("trusted-keys"), |node| {
        // Unseen: it may be the private one.
        named(node, KEYS_MAX, KEY_EXAMPLE, |node| node.parsed_unseen("\"MCowBQYDK2VwAyEA…\"", PublicKey::parse))
    });
    set(&mut trust.revoked, table.optional("revoked"), revoked);
    set(&mut trust.floor, table.optional("floor"), |node| {
        named(node, FLOORS_MAX, "{ salesforce = \"1.4.2\" }", |node| node.parsed("\"1.4.2\"", version))
    });
    // Keys that are there and wrong were told of.
    let has_none = table.optional("trusted-keys").is_none_or(|node| node.value().as_table().is_some_and(toml::de::DeTable::is_empty));
    if let Some(node) = table.optional("require-signed").filter(|_| trust.require_signed && has_none) {
        node.invalid(
            "= true, and `trusted-keys` has none: nothing could run",
            "true, and with it: [plugins.trusted-keys] acme = \"MCowBQYDK2VwAyEA…\"",
        );
    }
    set(&mut config.known_urls, table.optional("known-urls"), |node| {
        let nodes = node.list(KNOWN_URLS_MAX, "[\"https://docs.acme.example/\"]")?;
        nodes.iter().map(|node| node.parsed("\"https://docs.acme.example/\"", known_url)).collect()
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

/// A table whose keys are names.
fn named<T>(node: &Node<'_>, most: usize, example: &str, read: impl Fn(&Node<'_>) -> Option<T>) -> Option<BTreeMap<String, T>> {
    let table = node.map(example)?;
    if table.entries().count() > most {
        node.invalid(&format!("has more than {most} entries"), example);
        return None;
    }
    let entries: Vec<_> = table
        .entries()
        .map(|(name, node)| {
            if !name::is_name(name) {
                node.invalid(&format!("is not under a name: {}", name::NAME_RULE), example);
                return None;
            }
            Some((name.to_owned(), read(&node)?))
        })
        .collect();
    entries.into_iter().collect()
}

fn revoked(node: &Node<'_>) -> Option<BTreeSet<Revoked>> {
    const EXAMPLE: &str = "\"salesforce@1.3.0\"";
    let nodes = node.list(REVOKED_MAX, "[\"salesforce@1.3.0\", \"sha256:…\"]")?;
    let entries: Vec<_> = nodes.iter().map(|node| node.parsed(EXAMPLE, one_revoked)).collect();
    entries.into_iter().collect()
}

fn one_revoked(text: &str) -> Result<Revoked, String> {
    if let Some(hex) = text.strip_prefix("sha256:") {
        let is_digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        return if is_digest {
            Ok(Revoked::Digest(hex.to_ascii_lowercase()))
        } else {
            Err("expected 64 hex digits behind `sha256:`".into())
        };
    }
    let (name, number) =
        text.split_once('@').ok_or("expected `<name>@<version>`, or `sha256:` and the digest that `lockgate inspect` shows")?;
    Ok(Revoked::Version(name::name(name)?, version(number)?))
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|why| format!("`{text}` is not a version: {why}"))
}

/// Less than a scheme and the start of a host would let everything through.
fn known_url(text: &str) -> Result<String, String> {
    let host = text.split_once("://").map_or("", |(_, rest)| rest);
    if host.chars().next().is_some_and(char::is_alphanumeric) {
        Ok(text.to_owned())
    } else {
        Err("expected how a URL begins, its host included".to_owned())
    }
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

    const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn refuses_rules_that_would_not_do_what_they_say() {
        let neutral = "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (text, why) in [
            ("require-signed = true", "nothing could run"),
            ("require-signed = \"yes\"", "true or false"),
            (&format!("trusted-keys = {{ acme = \"{neutral}\" }}"), "anybody can sign for"),
            ("trusted-keys = { acme = \"x\" }", "not base64"),
            (&format!("trusted-keys = {{ \"Acme Inc\" = \"{KEY}\" }}"), "not under a name"),
            (&format!("trusted-keys = [\"{KEY}\"]"), "must be a table"),
            ("revoked = [\"salesforce\"]", "expected `<name>@<version>`"),
            ("revoked = [\"salesforce@1\"]", "is not a version"),
            ("revoked = [\"sha256:abc\"]", "64 hex digits"),
            ("floor = { salesforce = \"^1\" }", "is not a version"),
            ("known-urls = [\"https://\"]", "its host included"),
            ("known-urls = [\"\"]", "is empty"),
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
        let digest = "AB".repeat(32);
        let config = parse(&format!(
            "require-signed = true\nrevoked = [\"sha256:{digest}\", \"p@1.3.0\"]\nfloor = {{ p = \"1.4.2\" }}\n\
             known-urls = [\"https://docs.acme.example/\"]\ncompile = {{ memory = \"512MiB\", cpu = \"20s\", wall = \"1m\" }}\n\
             [plugins.trusted-keys]\nacme = \"{KEY}\""
        ));
        let config = config.unwrap();
        assert!(config.trust.require_signed);
        assert_eq!(config.trust.keys["acme"].to_string(), KEY);
        let revoked = [Revoked::Digest(digest.to_lowercase()), Revoked::Version("p".into(), Version::new(1, 3, 0))];
        assert_eq!(config.trust.revoked, revoked.into());
        assert_eq!(config.trust.floor["p"], Version::new(1, 4, 2));
        assert_eq!(config.known_urls, ["https://docs.acme.example/"]);
        let compile = CompileLimits { memory_bytes: 512 << 20, cpu: Duration::from_secs(20), wall: Duration::from_secs(60) };
        assert_eq!(config.compile, compile);
    }
}
