//! `environments/<env>.toml`: aliases and values of one environment.
//!
//! Depends on `alias`'s types and `config::reader`; what has to do with secrets is in `auth`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;
use url::Url;

use super::auth::{auth, expired_when, verify};
use super::integration::owner;
use super::reader::{Keys, Node, Page, Places, Table};
use super::workspace::read_text;
use super::{name, quantity, rate};
use crate::alias::authorities::Authorities;
use crate::alias::{Alias, Auth, Environment};
use crate::problem::{Code, Problem, Problems};

/// An environment and where in its file things stand.
#[derive(Clone, Debug)]
pub struct EnvironmentFile {
    pub environment: Environment,
    pub places: Places,
}

const VALUE_CHARS_MAX: usize = 4096;
const NETWORKS_MAX: usize = 64;
/// An answer older than a week is no answer.
const STALE_IF_ERROR_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const ROOT: Keys = Keys::all(&["values", "alias"]);
const ALIAS: Keys = Keys {
    known: &["owner", "url", "auth", "expired-when", "rate", "stale-if-error", "network", "ca-file", "proxy", "verify"],
    not_built: &["timeout", "breaker"],
};
/// What says nothing of an alias without a `url`.
const USED_WITH_URL: [&str; 7] = ["auth", "expired-when", "rate", "stale-if-error", "network", "ca-file", "proxy"];

impl EnvironmentFile {
    /// Reads the text of `file`, which is the environment `name`. What it names as `ca-file` is read by [`Self::read_authorities`].
    pub fn parse(name: &str, file: impl Into<PathBuf>, text: &str) -> Result<Self, Problems> {
        let (environment, places) = Page::new(file, text).read(ROOT, |root| Some(read(name, root)))?;
        Ok(Self { environment, places })
    }

    /// Reads the files that aliases name as `ca-file`, relative to the workspace `dir`.
    ///
    /// # Errors
    /// LG-1001 or LG-1005 for each that cannot be read, or holds no certificates.
    pub fn read_authorities(mut self, dir: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        for alias in self.environment.aliases.values_mut() {
            let Some(path) = alias.ca_file.as_ref().map(|path| dir.join(path)) else { continue };
            let wrong = |why| {
                let message = format!("`alias.{}.ca-file`: {}: {why}", alias.name, path.display());
                Problem::new(Code::WrongValue, message)
                    .fix("put the authority's certificate there in PEM (-----BEGIN CERTIFICATE-----)")
                    .into()
            };
            let read = read_text(&path).and_then(|pem| Authorities::parse(pem.as_bytes()).map_err(wrong));
            let place = self.places.at(&format!("alias/{}/ca-file", alias.name));
            match read {
                Ok(authorities) => alias.authorities = Some(Arc::new(authorities)),
                Err(more) => problems.0.extend(more.0.into_iter().map(|problem| problem.at(place.clone()))),
            }
        }
        problems.or(self)
    }
}

fn read(name: &str, root: &Table<'_>) -> Environment {
    let values = root.optional("values").and_then(|node| node.map("{ stage = \"Prospecting\" }"));
    let aliases = root.optional("alias").and_then(|node| node.map("{ crm = { url = \"https://crm.example\" } }"));
    Environment {
        name: name.to_owned(),
        values: values.map(|table| named(&table, value)).unwrap_or_default(),
        aliases: aliases.map(|table| named(&table, alias)).unwrap_or_default(),
    }
}

/// The entries of a table whose keys are names.
fn named<T>(table: &Table<'_>, read: impl Fn(&str, &Node<'_>) -> Option<T>) -> BTreeMap<String, T> {
    let mut entries = BTreeMap::new();
    for (key, node) in table.entries() {
        // `verify = "none"` says that nothing is verified, so that no alias can be called so.
        if !name::is_name(key) || key == "none" {
            table.wrong_key(key, Code::WrongValue, format!("`{}`: {}", node.name(), name::NAME_RULE), "rename it");
        }
        entries.extend(read(key, &node).map(|value| (key.to_owned(), value)));
    }
    entries
}

fn value(_: &str, node: &Node<'_>) -> Option<String> {
    let number = |number: &str| {
        if number.len() > VALUE_CHARS_MAX {
            node.invalid(&format!("has {} characters; {VALUE_CHARS_MAX} are the most", number.len()), "10");
            return None;
        }
        Some(number.to_owned())
    };
    match node.value() {
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Float(value) => number(value.as_str()),
        DeValue::Integer(value) if value.radix() == 10 => number(value.as_str()),
        DeValue::String(_) => node.text(VALUE_CHARS_MAX, "\"Prospecting\"").map(str::to_owned),
        _ => {
            node.not("a text, a number, true or false", "\"Prospecting\"");
            None
        }
    }
}

fn alias(name: &str, node: &Node<'_>) -> Option<Alias> {
    let table = node.table(ALIAS, "{ url = \"https://crm.example\" }")?;
    let owner = table.optional("owner").map(|node| owner(&node, false));
    let url = table.optional("url").map(|node| node.parsed_unseen("\"https://crm.example/api\"", endpoint));
    let auth = table.optional("auth").map_or(Some(Auth::None), |node| auth(&node));
    let expired_when = table.optional("expired-when").map(|node| expired_when(&node));
    let rate = table.optional("rate").map_or_else(|| Some(Vec::new()), |node| rate::limits(&node));
    let stale_if_error = table.optional("stale-if-error").map(|node| node.parsed("\"1h\"", stale_if_error));
    let network = table.optional("network").map_or_else(|| Some(Vec::new()), |node| networks(&node));
    let ca_file = table.optional("ca-file").map(|node| node.text(1024, "\"tls/authority.pem\"").map(PathBuf::from));
    let proxy = table.optional("proxy").map(|node| node.parsed_unseen(PROXY_EXAMPLE, proxy));
    let verify = table.optional("verify").map(|node| verify(&node));
    if let Some(node) = table.optional("proxy") {
        let token_url = auth.as_ref().and_then(Auth::token_url);
        let plain = |url: Option<&Url>| url.is_some_and(|url| url.scheme() != "https");
        if plain(url.as_ref().and_then(Option::as_ref)) || plain(token_url) {
            node.invalid("is asked for a tunnel (CONNECT), and the alias has a URL that is not `https`", PROXY_EXAMPLE);
        }
    }
    if let (Some(node), None) = (table.optional("expired-when"), table.optional("auth")) {
        node.note(Code::MissingKey, format!("`{}` without an `auth` that could expire", node.name()), "remove it, or add an `auth`");
    }
    if url.is_none() && verify.is_none() {
        table.missing("url", "url = \"https://crm.example\"");
    }
    if let (None, Some(node)) = (&url, USED_WITH_URL.into_iter().find_map(|key| table.optional(key))) {
        node.note(Code::MissingKey, format!("`{}` without a `url` to use it for", node.name()), "add `url = \"https://crm.example\"`");
    }
    // The outer option is whether the key is there, the inner one whether it could be read.
    Some(Alias {
        name: name.to_owned(),
        owner: transpose(owner)?,
        url: transpose(url)?,
        auth: auth?,
        expired_when: transpose(expired_when)?,
        rate: rate?,
        stale_if_error: transpose(stale_if_error)?,
        network: network?,
        ca_file: transpose(ca_file)?,
        authorities: None,
        proxy: transpose(proxy)?,
        verify: transpose(verify)?,
    })
}

pub(super) fn transpose<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    match found {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

/// A base URL: `http` or `https`, a host, a path; nothing else.
pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|why| format!("not a URL: {why}"))?;
    let userinfo = !url.username().is_empty() || url.password().is_some();
    match url {
        url if !matches!(url.scheme(), "http" | "https") => Err("its scheme must be `http` or `https`".to_owned()),
        _ if userinfo => Err("a user name or password belongs into `auth`".to_owned()),
        url if url.query().is_some() || url.fragment().is_some() => Err("a base URL has no query and no fragment".to_owned()),
        url => Ok(url),
    }
}

const PROXY_EXAMPLE: &str = "\"http://proxy.acme.example:3128\"";

/// A proxy: `http`, a host and a port.
fn proxy(text: &str) -> Result<Url, String> {
    if Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some()) {
        return Err("proxies that ask for a user name and a password are not built; nothing of `auth` goes to a proxy".to_owned());
    }
    match endpoint(text)? {
        url if url.scheme() != "http" => Err("a proxy is spoken to over `http`; what goes through it is `https` all the same".to_owned()),
        url if url.path() != "/" => Err("a proxy has no path".to_owned()),
        url => Ok(url),
    }
}

/// How old a kept answer may be.
fn stale_if_error(text: &str) -> Result<Duration, String> {
    match quantity::duration(text)? {
        Duration::ZERO => Err("no answer is as young as that; leave it out if none is to be kept".to_owned()),
        longer if longer > STALE_IF_ERROR_MAX => Err("must be at most `7d`".to_owned()),
        duration => Ok(duration),
    }
}

fn networks(node: &Node<'_>) -> Option<Vec<IpNet>> {
    let nodes = node.list(NETWORKS_MAX, "[\"10.0.0.0/8\"]")?;
    let parse =
        |text: &str| IpNet::from_str(text).map_err(|_| "expected a network such as `10.1.0.0/16` (one address: `10.1.2.3/32`)".to_owned());
    nodes.iter().map(|node| node.parsed("\"10.0.0.0/8\"", parse)).collect()
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
