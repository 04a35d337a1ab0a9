//! `lockgate inspect`: what a component is, without running it.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Failure, output};
use crate::plugin::component::{Facts, ImportKind};
use crate::plugin::library::read_component;

/// Shows what a component is and what it would ask for. Nothing of it is compiled or run.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A component, such as plugins/salesforce@1.0.0.wasm
    file: PathBuf,
}

impl Inspect {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let bytes = read_component(&self.file)?;
        let facts = Facts::of(&self.file.display().to_string(), &bytes)?;
        if common.json {
            output::json(&facts);
            return Ok(());
        }
        print(&facts);
        Ok(())
    }
}

fn print(facts: &Facts) {
    match &facts.manifest {
        Some(manifest) => {
            output::line(format_args!("{} {}", manifest.name, manifest.version));
            output::line(format_args!("  {}", output::printable(&manifest.description)));
            output::line(format_args!("  licence  {}", output::printable(&manifest.licence)));
            for (name, slot) in &manifest.slots {
                output::line(format_args!("  slot     {name}: {}", output::printable(&slot.description)));
            }
        }
        None => output::line("a component without a manifest"),
    }
    let roles: Vec<String> = facts.roles.iter().map(ToString::to_string).collect();
    output::line(format_args!("  roles    {}", if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }));
    output::line(format_args!("  size     {} bytes", facts.size));
    output::line(format_args!("  digest   sha256:{}", facts.digest));
    output::line("  asks for");
    for import in &facts.imports {
        output::line(format_args!("    {:<45} {}", import.name, meaning(import.kind)));
    }
}

/// What an import means, for people who do not write plugins.
fn meaning(kind: ImportKind) -> &'static str {
    match kind {
        ImportKind::Http => "sends requests to the systems its slots are bound to; never sees their credentials",
        ImportKind::KeyValue => "keeps data of its own between messages (needs a grant)",
        ImportKind::Queue => "appends messages to channels (needs a grant)",
        ImportKind::Log => "writes log lines",
        ImportKind::Config => "reads its own configuration",
        _ => "of the language's runtime: virtual time, seeded chance, output into the log; no files, no network",
    }
}
