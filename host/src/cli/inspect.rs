//! `lockgate inspect`: what a component is, without running it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Common, Failure, output};
use crate::config::workspace::read_text;
use crate::config::{HostConfig, PluginsConfig};
use crate::integration::PinnedPlugin;
use crate::plugin::compile::CompileChild;
use crate::plugin::component::{Facts, ImportKind};
use crate::plugin::in_words::in_words;
use crate::plugin::library::read_component;
use crate::plugin::signature::Signature;
use crate::plugin::trust::{Standing, Trust};
use crate::printable::on_one_line;
use crate::problem::{Code, Problem, Problems};

/// Show what a component is and what it would ask for; nothing of it is compiled or run
///
/// And who signed it, by the trusted keys of the workspace's lockgate.toml. With --json, one file gives an object, several give a list of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate inspect plugins/salesforce@1.0.0.wasm
  lockgate inspect data/plugins/*.wasm")]
pub struct Inspect {
    /// Components, such as plugins/salesforce@1.0.0.wasm
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Inspect {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let mut found = Vec::new();
        let mut problems = Problems::default();
        let PluginsConfig { trust, compile, .. } = rules_of(&common.directory)?;
        let validator = CompileChild::new(compile);
        for file in &self.files {
            match inspect(file, &trust, &validator) {
                Ok(inspected) => found.push(inspected),
                Err(problem) => problems.push(problem),
            }
        }
        let found = problems.or(found)?;
        match found.as_slice() {
            [inspected] if common.json => output::json(inspected),
            several if common.json => output::json(&several),
            several => several.iter().enumerate().for_each(|(index, inspected)| {
                if index > 0 {
                    output::line("");
                }
                print(inspected);
            }),
        }
        Ok(())
    }
}

/// What a file is, and whose.
#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    facts: Facts,
    signature: Standing,
    /// Why no host with the workspace's rules runs it: revoked, or too old. What else keeps it from running is for `check`.
    refused: Option<String>,
    /// What it could do, in sentences.
    #[serde(rename = "in-words")]
    in_words: Vec<String>,
    /// Whether there is anybody to hold a signature against.
    #[serde(skip)]
    has_keys: bool,
}

fn inspect(file: &Path, trust: &Trust, validator: &CompileChild) -> Result<Inspected, Problem> {
    let bytes = read_component(file)?;
    let name = file.display().to_string();
    let facts = Facts::of(&name, &bytes)?;
    validator.validate(&bytes).map_err(|why| why.problem(&name))?;
    let signature = match Signature::beside(file) {
        Ok(signature) => trust.standing(&bytes, signature.as_ref()),
        // What is no signature is nobody's.
        Err(problem) if problem.code == Code::Unsigned => Standing::Untrusted,
        Err(problem) => return Err(problem),
    };
    let in_words = in_words(&facts);
    let pinned = facts.manifest.as_ref().map(|manifest| PinnedPlugin {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: facts.digest.clone(),
    });
    let refused = pinned.and_then(|pinned| trust.allows(&pinned).err()).map(|problem| problem.message);
    let has_keys = !trust.keys.is_empty();
    Ok(Inspected { facts, signature, refused, in_words, has_keys })
}

/// The rules of the workspace `dir`; where there is none, nobody is trusted and the limits are as everywhere.
fn rules_of(dir: &Path) -> Result<PluginsConfig, Problems> {
    let path = dir.join("lockgate.toml");
    if !path.exists() {
        return Ok(PluginsConfig::default());
    }
    read_text(&path).and_then(|text| HostConfig::parse(&path, &text)).map(|config| config.plugins)
}

fn print(Inspected { facts, signature, refused, in_words, has_keys }: &Inspected) {
    match &facts.manifest {
        Some(manifest) => {
            output::line(format_args!("{} {}", manifest.name, manifest.version));
            output::line(format_args!("  {}", on_one_line(&manifest.description)));
            output::line(format_args!("  licence  {}", on_one_line(&manifest.licence)));
            for (name, slot) in &manifest.slots {
                output::line(format_args!("  slot     {name}: {}", on_one_line(&slot.description)));
            }
            for line in manifest.config.iter().flat_map(config) {
                output::line(format_args!("  config   {}", on_one_line(&line)));
            }
        }
        None => output::line("a component without a manifest"),
    }
    let roles: Vec<String> = facts.roles.iter().map(ToString::to_string).collect();
    output::line(format_args!("  roles    {}", if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }));
    if facts.sets_up {
        output::line("  setup    once for each configuration; calls begin with the memory behind it");
    }
    output::line(format_args!("  size     {} bytes", facts.size));
    output::line(format_args!("  digest   sha256:{}", facts.digest));
    output::line(format_args!("  signed   {}", standing(signature, *has_keys)));
    if let Some(why) = refused {
        output::line(format_args!("  REFUSED  {}", on_one_line(why)));
    }
    for url in &facts.urls {
        output::line(format_args!("  URL      {} (in its data: no integration can choose another)", on_one_line(url)));
    }
    output::line("  asks for");
    for import in facts.imports.iter().filter(|import| !is_harmless(import.kind)) {
        output::line(format_args!("    {}", on_one_line(&import.name)));
        output::line(format_args!("      {}", meaning(import.kind)));
    }
    let harmless = facts.imports.iter().filter(|import| is_harmless(import.kind)).count();
    if harmless > 0 {
        let interfaces = if harmless == 1 { "interface" } else { "interfaces" };
        output::line(format_args!("    {harmless} {interfaces} of its language's runtime (all of them: --json)"));
        output::line("      virtual time, seeded chance, output into the log; no files, no network");
    }
    output::line("  in words");
    in_words.iter().for_each(|sentence| output::line(format_args!("    {sentence}")));
}

fn standing(signature: &Standing, has_keys: bool) -> String {
    match signature {
        Standing::Untrusted if !has_keys => {
            "perhaps: there is a signature, and no trusted-keys in a lockgate.toml here to hold it against".to_owned()
        }
        Standing::Signed { by } => format!("by {by}, whom lockgate.toml trusts"),
        Standing::Unsigned => "no".to_owned(),
        Standing::Untrusted => "NOT BY ANYBODY whom lockgate.toml trusts: another's signature, or one over another file".to_owned(),
    }
}

/// The keys a config may have, as the plugin's schema describes them.
fn config(schema: &Value) -> Vec<String> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name));
    let told = |(name, property): (&String, &Value)| {
        let description = property["description"].as_str().unwrap_or("no description");
        let default = match (&property["default"], required(name)) {
            (Value::Null, true) => " (required)".to_owned(),
            (Value::Null, false) => String::new(),
            (default, _) => format!(" (default: {default})"),
        };
        format!("{name}: {description}{default}")
    };
    schema["properties"].as_object().into_iter().flatten().map(told).collect()
}

/// What every component gets, tamed.
fn is_harmless(kind: ImportKind) -> bool {
    matches!(kind, ImportKind::Wasi | ImportKind::Types)
}

/// What an import means, for people who do not write plugins.
fn meaning(kind: ImportKind) -> &'static str {
    match kind {
        ImportKind::Http => "sends requests to the systems its slots are bound to; sees no credential",
        ImportKind::KeyValue => "keeps data of its own between messages (needs a grant)",
        ImportKind::Queue => "appends messages to channels (needs a grant)",
        ImportKind::Log => "writes log lines",
        ImportKind::Config => "reads its own configuration",
        ImportKind::Types | ImportKind::Wasi => "nothing beyond its own instance",
        ImportKind::Unknown => "NOT OFFERED: no host runs a component that asks for this",
    }
}
