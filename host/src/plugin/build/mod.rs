//! Builds a plugin's source folder into one component with its manifest inside: one entry, and a file for each language.
//!
//! The same source gives the same bytes, wherever the folder is, as far as the language's own tools are the same. What is built runs
//! outside of any sandbox: a build is for sources that one would run. Depends on `plugin::{component, manifest}`. What is fresh is
//! known to the languages' tools, or `kept` knows it.

mod finish;
mod follow;
mod javascript;
mod kept;
pub mod link;
mod python;
mod rust;
mod told;
mod tools;

use std::path::Path;

use serde::Serialize;

use super::manifest::Manifest;
use crate::problem::{Code, Problem};

/// What happens during a build, for those who wait for it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A build starts.
    Building { plugin: &'a str },
    /// What takes a while starts, such as the installation of a tool.
    Step { plugin: &'a str, step: &'a str },
    /// The language's tool says something.
    Line { plugin: &'a str, line: &'a str },
    /// It is done.
    Built { plugin: &'a str, size: usize },
}

/// Who is told. May be called from another thread.
pub type Progress<'a> = dyn Fn(Event<'_>) + Sync + 'a;

/// What a plugin is written in, as far as its build goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    Rust,
    /// TypeScript as well.
    #[serde(rename = "javascript")]
    JavaScript,
    Python,
}

impl Language {
    /// The file in a plugin's folder that says what it is written in. The first one there counts.
    const MARKS: [(&str, Self); 3] = [("Cargo.toml", Self::Rust), ("pyproject.toml", Self::Python), ("package.json", Self::JavaScript)];

    /// What the plugin in `folder` is written in, by what lies beside its `plugin.toml`.
    ///
    /// # Errors
    /// `LG-2007` where nothing says so.
    pub fn of(folder: &Path) -> Result<Self, Problem> {
        let found = Self::MARKS.into_iter().find(|(mark, _)| folder.join(mark).is_file());
        found.map(|(_, language)| language).ok_or_else(|| {
            let marks: Vec<_> = Self::MARKS.iter().map(|(mark, language)| format!("{mark} ({language})")).collect();
            let message = format!("{} has a plugin.toml and nothing that says what it is written in", folder.display());
            let fix = format!("add {}, or build it elsewhere and put <name>@<version>.wasm beside the folder", marks.join(" or "));
            Problem::new(Code::BuildFailed, message).fix(fix)
        })
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript or TypeScript",
            Self::Python => "Python",
        })
    }
}

/// Builds the plugin in `folder`; gives the component with the manifest inside. Blocks until the language's tools are done.
///
/// # Errors
/// `LG-7007` if a tool is not installed, `LG-2007` with what the tools say if it does not build, `LG-2006` and `LG-2010` if what is built
/// is not what its manifest says, or asks for what no host has.
pub fn build(folder: &Path, manifest: &(Manifest, String), progress: &Progress<'_>) -> Result<Vec<u8>, Problem> {
    let name = manifest.0.name.as_str();
    let language = Language::of(folder)?;
    progress(Event::Building { plugin: name });
    let component = match language {
        Language::Rust => rust::build(folder, name, progress)?,
        Language::JavaScript => javascript::build(folder, &manifest.0, progress)?,
        Language::Python => python::build(folder, &manifest.0, progress)?,
    };
    let bytes = finish::finish(language, &component, manifest)?;
    progress(Event::Built { plugin: name, size: bytes.len() });
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_folder_lacks_that_is_written_in_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let problem = Language::of(folder.path()).unwrap_err();
        assert_eq!(problem.code, Code::BuildFailed);
        assert!(problem.fix.unwrap().contains("Cargo.toml (Rust)"));
        std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(Language::of(folder.path()), Ok(Language::Rust));
    }
}
