//! New workspaces and plugins as files: what the binary carries for them, filled in, and written where nothing is yet.
//!
//! Decides what is in them; `cli::new` asks and prints. Depends on `config` for names and places, and on nothing that runs.

mod carried;
mod files;
mod javascript;
mod plugin;
mod python;
mod rust;
mod sdk;
mod workspace;

use std::path::PathBuf;

use serde::Serialize;

use crate::plugin::manifest::Role;
use crate::problem::Problems;

pub use sdk::refresh;

/// What a plugin can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    JavaScript,
    TypeScript,
    Python,
}

impl Language {
    pub const ALL: [Self; 4] = [Self::Rust, Self::JavaScript, Self::TypeScript, Self::Python];

    /// Its word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "js",
            Self::TypeScript => "ts",
            Self::Python => "python",
        }
    }
}

/// The roles a plugin can be made with.
pub const ROLES: [Role; 4] = [Role::Transformer, Role::Sink, Role::BatchSink, Role::Source];

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The workspace.
    pub workspace: PathBuf,
    /// Files and folders that are new, in the workspace.
    pub written: Vec<PathBuf>,
    /// Files that were there and have a line more now.
    pub changed: Vec<PathBuf>,
    /// Files that were there and are as they were.
    pub kept: Vec<PathBuf>,
    /// What to do next: commands, each with what it is for.
    pub next: Vec<Next>,
}

/// A command to go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    pub command: String,
    pub does: String,
}

/// A workspace in `dir`, with an integration that runs as it stands and its plugin in `language`.
///
/// # Errors
/// `LG-7021` where there is a workspace already, `LG-1001` where something cannot be written.
pub fn new_workspace(dir: &std::path::Path, language: Language) -> Result<Made, Problems> {
    workspace::make(dir, language)
}

/// A plugin in the workspace that `dir` is or is in.
///
/// # Errors
/// `LG-7006` for a name that is none, `LG-1011` outside of a workspace, `LG-7021` where there is such a plugin or folder already.
pub fn new_plugin(dir: &std::path::Path, name: &str, language: Language, role: Role) -> Result<Made, Problems> {
    plugin::make(dir, name, language, role)
}
