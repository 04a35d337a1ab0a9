//! `lockgate new`: a workspace or a plugin to begin with.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{Common, Failure, output};
use crate::plugin::manifest::Role;
use crate::template::{Language, Made, ROLES, new_plugin, new_workspace};

#[derive(Debug, Subcommand)]
pub enum New {
    Workspace(NewWorkspace),
    Plugin(NewPlugin),
}

/// Make a workspace with an integration that runs as it stands
///
/// Files that are there are left as they are. The SDK is put into the workspace, to be committed with it, since no registry has it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate new workspace shop
  lockgate new workspace shop --lang ts
  cd shop && lockgate run --env dev")]
pub struct NewWorkspace {
    /// The folder; made where it is not there
    dir: PathBuf,
    /// What the workspace's first plugin is written in
    #[arg(long, value_name = "LANG", default_value = "rust", value_parser = languages())]
    lang: Language,
}

/// Make a plugin in the workspace: an example of its role that builds and passes its tests and scenarios
///
/// The plugin is put into the workspace's folder of plugins, and the SDK beside it where it is not there yet. No file that is there is
/// overwritten; Cargo.toml or package.json of the workspace gets a line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate new plugin order-to-invoice --lang rust --role transformer
  lockgate new plugin crm --lang ts --role sink
  lockgate new plugin shop-orders --lang python --role source")]
pub struct NewPlugin {
    /// Lower-case letters, digits and `-`, such as order-to-invoice
    name: String,
    /// What it is written in
    #[arg(long, value_name = "LANG", value_parser = languages())]
    lang: Language,
    /// What it does: maps messages, delivers them (each, or several at once), or fetches them
    #[arg(long, value_name = "ROLE", value_parser = roles())]
    role: Role,
}

fn languages() -> impl TypedValueParser<Value = Language> {
    let parser = PossibleValuesParser::new(Language::ALL.map(Language::as_str));
    parser.map(|word| Language::ALL.into_iter().find(|language| language.as_str() == word).unwrap_or(Language::Rust))
}

fn roles() -> impl TypedValueParser<Value = Role> {
    let parser = PossibleValuesParser::new(ROLES.map(Role::as_str));
    parser.map(|word| ROLES.into_iter().find(|role| role.as_str() == word).unwrap_or(Role::Transformer))
}

impl New {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let made = match &self {
            Self::Workspace(new) => new_workspace(&common.directory.join(&new.dir), new.lang)?,
            Self::Plugin(new) => new_plugin(&common.directory, &new.name, new.lang, new.role)?,
        };
        if common.json {
            output::json(&made)
        } else {
            print(&made)
        }
        Ok(())
    }
}

fn print(Made { workspace, written, changed, kept, next }: &Made) {
    let here = std::env::current_dir().unwrap_or_default();
    let shown = |path: &Path| {
        // Of `.` in it nothing is left.
        let path: PathBuf = std::path::absolute(workspace.join(path)).unwrap_or_default().components().collect();
        path.strip_prefix(&here).unwrap_or(&path).display().to_string()
    };
    for (word, paths) in [("written", written), ("changed", changed), ("left as it is", kept)] {
        paths.iter().for_each(|path| output::line(format_args!("{word}  {}", shown(path))));
    }
    output::line("\nnext:");
    let width = next.iter().map(|next| next.command.chars().count()).max().unwrap_or_default();
    for step in next {
        output::line(format_args!("  {:width$}   {}", step.command, step.does));
    }
}
