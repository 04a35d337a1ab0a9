//! `plugin.toml`: what a plugin says of itself. Plain data and how it is read.
//!
//! Depends on `config::reader` (which knows nothing but problems) and `plugin::config_schema`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use semver::Version;
use serde::Serialize;
use serde_json::{Map, Value};

use super::config_schema;
use crate::config::is_name;
use crate::config::reader::{Keys, Node, Page, Table};
use crate::problem::{Code, Problem, Problems};

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    pub name: String,
    pub version: Version,
    pub description: String,
    /// An SPDX expression, or any text that says it.
    pub licence: String,
    pub roles: BTreeSet<Role>,
    /// The systems it needs, by the names it uses for them, with what each is for.
    pub slots: BTreeMap<String, Slot>,
    /// JSON Schema of its config; none: any object.
    pub config: Option<Value>,
}

/// A system a plugin needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    pub description: String,
}

/// What a plugin can be used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Transformer,
    Sink,
    BatchSink,
    Source,
}

impl Role {
    /// Its word in manifests and WIT.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Sink => "sink",
            Self::BatchSink => "batch-sink",
            Self::Source => "source",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Of a whole `plugin.toml`: as much as its schema may have.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;
const SLOTS_MAX: usize = 32;
const ROOT: Keys = Keys { known: &["name", "version", "description", "licence", "roles", "slots", "config"], not_built: &[] };
const SLOT: Keys = Keys::all(&["description"]);
const DESCRIPTION: &str = "\"What it does\"";

impl Manifest {
    /// Reads the text of a `plugin.toml`; `file` is what problems name.
    ///
    /// # Errors
    /// Everything that is wrong, all of it as `LG-2006`.
    pub fn parse(file: impl Into<PathBuf>, text: &str) -> Result<Self, Problems> {
        let file = file.into();
        if text.len() > MANIFEST_BYTES_MAX {
            let message = format!("{}: it has {} bytes; {MANIFEST_BYTES_MAX} are the most", file.display(), text.len());
            return Err(Problem::new(Code::BadManifest, message).fix("say less in it: what it holds is for people and for checks").into());
        }
        Page::new(file, text).all_as(Code::BadManifest).read(ROOT, read).map(|(manifest, _)| manifest)
    }

    /// What of `config` does not fit the plugin, one sentence each. Values of the environment must be filled in.
    pub fn config_mistakes(&self, config: &Map<String, Value>) -> Vec<String> {
        self.config.as_ref().map(|schema| config_schema::mistakes(schema, &Value::Object(config.clone()))).unwrap_or_default()
    }
}

fn read(root: &Table<'_>) -> Option<Manifest> {
    let name = root.required("name", "name = \"shop-order\"").and_then(|node| node.parsed("\"shop-order\"", crate::config::name_of));
    let version = root.required("version", "version = \"1.0.0\"");
    let version = version
        .and_then(|node| node.parsed("\"1.0.0\"", |text| Version::parse(text).map_err(|why| format!("not a semantic version: {why}"))));
    let description = root.required("description", "description = \"What it does\"").and_then(|node| node.text(1024, DESCRIPTION));
    let licence = root.required("licence", "licence = \"Apache-2.0\"").and_then(|node| node.text(128, "\"Apache-2.0\""));
    let roles = root.required("roles", "roles = [\"sink\"]").and_then(|node| roles(&node));
    let slots = root.optional("slots").and_then(|node| slots(&node)).unwrap_or_default();
    let config = root.optional("config").and_then(|node| config(&node));
    Some(Manifest {
        name: name?,
        version: version?,
        description: description?.to_owned(),
        licence: licence?.to_owned(),
        roles: roles?,
        slots,
        config,
    })
}

fn roles(node: &Node<'_>) -> Option<BTreeSet<Role>> {
    let nodes = node.list(8, "[\"sink\"]")?;
    if nodes.is_empty() {
        node.invalid("is empty", "[\"sink\"]");
    }
    let words = [Role::Transformer, Role::Sink, Role::BatchSink, Role::Source].map(|role| (role.as_str(), role));
    let roles: Vec<_> = nodes.iter().map(|node| node.word(&words)).collect();
    roles.into_iter().collect()
}

fn slots(node: &Node<'_>) -> Option<BTreeMap<String, Slot>> {
    let example = "{ target = { description = \"The system it writes to\" } }";
    let table = node.map(example)?;
    if table.entries().count() > SLOTS_MAX {
        node.invalid(&format!("has more than {SLOTS_MAX} slots"), example);
    }
    let mut slots = BTreeMap::new();
    for (key, node) in table.entries() {
        if !is_name(key) {
            table.wrong_key(key, Code::BadManifest, format!("`{key}` is not a name for a slot"), "lower-case letters, digits and `-`");
        }
        let slot = node.table(SLOT, "{ description = \"The system it writes to\" }");
        let description =
            slot.and_then(|slot| slot.required("description", "description = \"The system it writes to\"")?.text(1024, DESCRIPTION));
        slots.extend(description.map(|description| (key.to_owned(), Slot { description: description.to_owned() })));
    }
    Some(slots)
}

fn config(node: &Node<'_>) -> Option<Value> {
    node.map("{ type = \"object\" }")?;
    let schema = crate::config::json_of(node)?;
    if let Some(why) = config_schema::unusable(&schema) {
        node.note(
            Code::BadManifest,
            format!("`config` is not a schema that can be used: {why}"),
            "write JSON Schema 2020-12, without remote references",
        );
    }
    Some(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "salesforce"
version = "1.2.3"
description = "Upserts records"
licence = "Apache-2.0"
roles = ["sink"]

[slots.target]
description = "The Salesforce instance"

[config]
type = "object"
required = ["object"]
additionalProperties = false
[config.properties.object]
type = "string"
[config.properties.batch]
type = "integer"
minimum = 1
"#;

    #[test]
    fn reports_every_mistake_as_one_code() {
        let text = "nam = \"x\"\nversion = \"1.0\"\ndescription = \"\"\nroles = [\"snik\"]\n[slots.T]\n[config]\nanyOf = \"a\"\ntype = \"thing\"\n";
        let problems = Manifest::parse("plugin.toml", text).unwrap_err();
        assert!(problems.0.iter().all(|problem| problem.code == Code::BadManifest && problem.fix.is_some()), "{problems}");
        let places: Vec<_> = problems.0.iter().map(|problem| problem.location.as_ref().unwrap().line).collect();
        assert_eq!(places, [1, 1, 1, 2, 3, 4, 5, 5, 6], "{problems}");
        let text = problems.to_string();
        for part in [
            "unknown key `nam`",
            "did you mean `name`?",
            "`name` is missing",
            "not a semantic version",
            "`slots.T.description` is missing",
            "not a schema that can be used",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn reads_every_key() {
        let manifest = Manifest::parse("plugin.toml", GOOD).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.to_string().as_str()), ("salesforce", "1.2.3"));
        assert_eq!(manifest.slots["target"].description, "The Salesforce instance");
        assert_eq!(manifest.roles, [Role::Sink].into());
    }

    #[test]
    fn names_what_of_a_config_does_not_fit() {
        let manifest = Manifest::parse("plugin.toml", GOOD).unwrap();
        let config = serde_json::json!({"batch": "2", "color": 1});
        let mistakes = manifest.config_mistakes(config.as_object().unwrap());
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        for part in ["/batch: \"2\" is not of type \"integer\"", "'color' was unexpected", "\"object\" is a required property"] {
            assert!(mistakes.iter().any(|mistake| mistake.contains(part)), "{part}: {mistakes:?}");
        }
        assert!(manifest.config_mistakes(serde_json::json!({"object": "Lead", "batch": 2}).as_object().unwrap()).is_empty());
    }
}
