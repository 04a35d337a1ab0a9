//! `[[step]]` and `[sink]` of an integration: a plugin and what it is given, or a channel.
//!
//! Depends on `integration`'s types and `config::reader`.

use std::collections::{BTreeMap, BTreeSet};

use semver::VersionReq;
use serde_json::{Map, Value};
use toml::de::DeValue;

use super::name;
use super::reader::{Keys, Node, Table};
use crate::integration::{Allow, Binding, Grant, Sink, Step};
use crate::problem::Code;

const STEPS_MAX: usize = 16;
const BINDINGS_MAX: usize = 32;
const ALLOW_MAX: usize = 64;
/// The config of one step, as JSON.
const CONFIG_BYTES_MAX: usize = 64 * 1024;
const LIST_MAX: usize = 10_000;

const STEP: Keys = Keys { known: &["plugin", "config", "grant", "bind"], not_built: &["mapping"] };
const SINK: Keys = Keys { known: &["plugin", "channel", "config", "grant", "bind", "batch"], not_built: &["mapping", "contract"] };
const BINDING: Keys = Keys::all(&["alias", "allow"]);
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// Every `[[step]]`; none where a mistake was noted.
pub fn steps(root: &Table<'_>) -> Option<Vec<Step>> {
    let Some(node) = root.optional("step") else { return Some(Vec::new()) };
    let nodes = node.list(STEPS_MAX, "[[step]]")?;
    let steps: Vec<_> = nodes.iter().map(|node| plugin_use(&node.table(STEP, "[[step]]")?)).collect();
    steps.into_iter().collect()
}

/// The `[sink]`.
pub fn sink(node: &Node<'_>) -> Option<Sink> {
    let table = node.table(SINK, "{ channel = \"orders.canonical\" }")?;
    match (table.optional("plugin"), table.optional("channel")) {
        (Some(_), None) => plugin_use(&table).map(Sink::Plugin),
        (None, Some(channel)) => {
            for key in ["config", "grant", "bind", "batch"].into_iter().filter(|key| table.optional(key).is_some()) {
                table.wrong_key(
                    key,
                    Code::UnknownKey,
                    format!("`sink.{key}` is for plugins; this sink is a channel"),
                    format!("remove `{key}`"),
                );
            }
            channel.parsed("\"orders.canonical\"", name::channel).map(Sink::Channel)
        }
        _ => {
            let fix = "for example `plugin = \"salesforce@1\"` or `channel = \"orders.canonical\"`";
            table.wrong(Code::WrongValue, "`sink` must have either `plugin` or `channel`", fix);
            None
        }
    }
}

/// A plugin and what it is given, from a table with these keys: `plugin`, `config`, `grant`, `bind`.
pub fn plugin_use(table: &Table<'_>) -> Option<Step> {
    let plugin =
        table.required("plugin", "plugin = \"shop-order@1.2\"").and_then(|node| node.parsed("\"shop-order@1.2\"", plugin_requirement));
    let given = given(table);
    let ((plugin, version), (config, grants, bindings)) = (plugin?, given?);
    Some(Step { plugin, version, config, grants, bindings })
}

/// What a plugin is given beside messages.
pub type Given = (Map<String, Value>, BTreeSet<Grant>, BTreeMap<String, Binding>);

/// What a plugin is given, from a table with these keys: `config`, `grant`, `bind`.
pub fn given(table: &Table<'_>) -> Option<Given> {
    let config = table.optional("config").map_or_else(|| Some(Map::new()), |node| config(&node));
    let grants = table.optional("grant").map_or_else(|| Some(BTreeSet::new()), |node| grants(&node));
    let bindings = table.optional("bind").map_or_else(|| Some(BTreeMap::new()), |node| bindings(&node));
    Some((config?, grants?, bindings?))
}

/// `shop-order@1.2`: a name and a caret requirement as in Cargo; without one any version.
pub fn plugin_requirement(text: &str) -> Result<(String, VersionReq), String> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => {
            (name, VersionReq::parse(version).map_err(|why| format!("`{version}` is not a version requirement: {why}"))?)
        }
        None => (text, VersionReq::STAR),
    };
    Ok((name::name(name)?, version))
}

fn config(node: &Node<'_>) -> Option<Map<String, Value>> {
    node.map("{ stage = \"{values.new-order-stage}\" }")?;
    let Value::Object(config) = json(node)? else { return None };
    let bytes = serde_json::to_vec(&config).map_or(usize::MAX, |json| json.len());
    if bytes > CONFIG_BYTES_MAX {
        node.invalid(&format!("is {bytes} bytes as JSON; {CONFIG_BYTES_MAX} are the most"), "{}");
        return None;
    }
    Some(config)
}

/// A value as JSON. Dates become texts as TOML writes them.
pub fn json(node: &Node<'_>) -> Option<Value> {
    Some(match node.value() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(value) => Value::from(value.to_string()),
        DeValue::Integer(number) => {
            let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) else {
                node.invalid("is beyond 64 bits", "\"9223372036854775808\"");
                return None;
            };
            Value::from(number)
        }
        DeValue::Float(number) => {
            // Through its text, not through a double, so that 10.00 stays 10.00. TOML allows a `+` in front, JSON does not.
            let number = number.as_str().trim_start_matches('+').parse::<serde_json::Number>().ok();
            if number.is_none() {
                node.invalid("is a number JSON does not have", "1.5");
            }
            Value::Number(number?)
        }
        DeValue::Array(_) => {
            let items: Vec<_> = node.list(LIST_MAX, "[]")?.iter().map(json).collect();
            Value::Array(items.into_iter().collect::<Option<_>>()?)
        }
        DeValue::Table(_) => {
            let entries: Vec<_> = node.map("{}")?.entries().map(|(key, node)| Some((key.to_owned(), json(&node)?))).collect();
            Value::Object(entries.into_iter().collect::<Option<_>>()?)
        }
    })
}

fn grants(node: &Node<'_>) -> Option<BTreeSet<Grant>> {
    let grants: Vec<_> = node.list(8, "[\"key-value\"]")?.iter().map(grant).collect();
    grants.into_iter().collect()
}

fn grant(node: &Node<'_>) -> Option<Grant> {
    match node.value().as_str() {
        Some("http") => node.note(
            Code::WrongValue,
            format!("`{}` = \"http\": HTTP comes with a binding", node.name()),
            "bind a slot: `bind = { target = \"<alias>\" }`",
        ),
        Some("log" | "config") => {
            node.note(Code::WrongValue, format!("`{}`: every plugin may use log and config", node.name()), "remove it")
        }
        Some("credentials") => {
            node.note(Code::WrongValue, format!("`{}` = \"credentials\" is not built in this version", node.name()), "remove it")
        }
        _ => return node.word(&[("key-value", Grant::KeyValue), ("queue", Grant::Queue)]),
    }
    None
}

fn bindings(node: &Node<'_>) -> Option<BTreeMap<String, Binding>> {
    let table = node.map("{ target = \"crm\" }")?;
    if table.entries().count() > BINDINGS_MAX {
        node.invalid(&format!("has more than {BINDINGS_MAX} slots"), "{ target = \"crm\" }");
    }
    let mut bindings = BTreeMap::new();
    for (slot, node) in table.entries().take(BINDINGS_MAX) {
        if !name::is_name(slot) {
            table.wrong_key(
                slot,
                Code::WrongValue,
                format!("`{slot}` is not the name of a slot: {}", name::NAME_RULE),
                "use the slot's name as the plugin's manifest has it",
            );
        }
        bindings.extend(binding(&node).map(|binding| (slot.to_owned(), binding)));
    }
    Some(bindings)
}

fn binding(node: &Node<'_>) -> Option<Binding> {
    if node.value().is_str() {
        return Some(Binding { alias: node.parsed("\"crm\"", name::name)?, allow: Vec::new() });
    }
    let example = "{ alias = \"tax\", allow = [\"POST /v2/quote\"] }";
    let table = node.table(BINDING, example)?;
    let alias = table.required("alias", "alias = \"tax\"").and_then(|node| node.parsed("\"tax\"", name::name));
    let allow = table.optional("allow").map_or_else(
        || Some(Vec::new()),
        |node| {
            let rules = node.list(ALLOW_MAX, "[\"POST /v2/quote\"]")?;
            if rules.is_empty() {
                node.invalid("is empty: nothing could be requested", "[\"POST /v2/quote\"]");
            }
            let rules: Vec<_> = rules.iter().map(|node| node.parsed("\"POST /v2/quote\"", allow_rule)).collect();
            rules.into_iter().collect::<Option<Vec<_>>>()
        },
    );
    Some(Binding { alias: alias?, allow: allow? })
}

fn allow_rule(text: &str) -> Result<Allow, String> {
    let (method, path) = text.split_once(' ').ok_or("expected a method, a space and a path")?;
    if !METHODS.contains(&method) {
        return Err(format!("`{method}` is not one of {}", METHODS.join(", ")));
    }
    let fixed = path.strip_suffix("/*").unwrap_or(path);
    let visible = path.bytes().all(|byte| byte.is_ascii_graphic());
    let traversal = fixed.split('/').any(|segment| segment == ".." || segment == ".") || fixed.contains("//");
    if !path.starts_with('/') || !visible || traversal || fixed.contains(['*', '?', '#', '\\', '%']) {
        return Err("a path starts with `/`, is exact or ends in `/*`, and has no query".to_owned());
    }
    Ok(Allow { method: method.to_owned(), path: path.to_owned() })
}
