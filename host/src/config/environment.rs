//! `environments/<env>.toml`: aliases and values of one environment.
//!
//! Depends on `alias`'s types and `config::reader`; what has to do with secrets is in `auth`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;
use url::Url;

use super::auth::{auth, expired_when, verify};
use super::integration::owner;
use super::reader::{Keys, Node, Page, Places, Table};
use super::{name, quantity, rate};
use crate::alias::{Alias, Auth, Environment};
use crate::problem::{Code, Problems};

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
    known: &["owner", "url", "auth", "expired-when", "rate", "stale-if-error", "network", "verify"],
    not_built: &["proxy", "ca-file", "timeout", "breaker"],
};
/// What says nothing of an alias without a `url`.
const USED_WITH_URL: [&str; 5] = ["auth", "expired-when", "rate", "stale-if-error", "network"];

impl EnvironmentFile {
    /// Reads the text of `file`, which is the environment `name`.
    pub fn parse(name: &str, file: impl Into<PathBuf>, text: &str) -> Result<Self, Problems> {
        let (environment, places) = Page::new(file, text).read(ROOT, |root| Some(read(name, root)))?;
        Ok(Self { environment, places })
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
    match node.value() {
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
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
    let verify = table.optional("verify").map(|node| verify(&node));
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
