//! The copies of the SDKs and of the WIT package in a workspace: no registry has them, so that the binary carries them, and `new` puts
//! them where plugins find them. They are committed with the workspace; [`refresh`] brings them up to date.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::carried::{RUSTFMT_TOML, SDK_JS, SDK_PYTHON, SDK_RUST, WIT};
use super::files::{Files, write_folder};
use super::{Language, javascript, rust};
use crate::problem::{Code, Problem};

/// Says in a copy who wrote it.
const STAMP: &str = "LOCKGATE";
/// Where the WIT package is, in the project and in a workspace: the SDKs look for it there.
const WIT_FOLDER: &str = "wit";

/// A folder of a workspace that is a copy of what this binary carries.
struct Copy {
    /// In the workspace.
    folder: &'static str,
    files: Vec<(String, Vec<u8>)>,
}

/// What plugins in `language` need.
pub fn add(files: &mut Files, language: Language) {
    for copy in [sdk(language), wit()] {
        files.shared_folder(copy.folder, copy.files);
    }
}

/// Where the SDK for `language` is in a workspace.
pub fn folder(language: Language) -> &'static str {
    match language {
        Language::Rust => "sdk/rust",
        Language::JavaScript | Language::TypeScript => "sdk/js",
        Language::Python => "sdk/python",
    }
}

fn sdk(language: Language) -> Copy {
    // On its own: what it takes from the project around it, and what it is developed with, is left out.
    let mut files = match language {
        Language::Rust => with_manifest(SDK_RUST, "Cargo.toml", rust::sdk_manifest()),
        Language::JavaScript | Language::TypeScript => with_manifest(SDK_JS, "package.json", javascript::sdk_manifest()),
        Language::Python => owned(SDK_PYTHON),
    };
    if language == Language::Rust {
        files.push(("rustfmt.toml".into(), RUSTFMT_TOML.into()));
    }
    files.push((STAMP.into(), stamp("its SDK for plugins", folder(language)).into_bytes()));
    Copy { folder: folder(language), files }
}

fn with_manifest(files: &[(&str, &[u8])], name: &str, manifest: String) -> Vec<(String, Vec<u8>)> {
    let mut files = owned(files);
    files.retain(|(file, _)| file != name);
    files.push((name.into(), manifest.into_bytes()));
    files
}

fn wit() -> Copy {
    let mut files = owned(WIT);
    files.push((
        STAMP.into(),
        stamp("the contract between plugins and their host, whose comments are the reference", WIT_FOLDER).into_bytes(),
    ));
    Copy { folder: WIT_FOLDER, files }
}

fn owned(files: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect()
}

fn stamp(what: &str, folder: &str) -> String {
    format!(
        "lockgate {} wrote this folder: {what}.\nCommit it with your plugins, and change nothing in it: `lockgate update --sdk` puts the {folder} of the\nlockgate that runs it in its place.\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Puts what this binary carries in place of every copy in `workspace` that is another; gives their folders.
///
/// # Errors
/// `LG-7021` for a folder that lockgate did not write, `LG-1001` for one that cannot be written.
pub fn refresh(workspace: &Path) -> Result<Vec<PathBuf>, Problem> {
    // Two languages share one.
    let copies: BTreeMap<_, _> = Language::ALL.into_iter().map(sdk).chain([wit()]).map(|copy| (copy.folder, copy)).collect();
    let mut refreshed = Vec::new();
    for copy in copies.into_values().filter(|copy| workspace.join(copy.folder).exists()) {
        let folder = workspace.join(copy.folder);
        if !folder.join(STAMP).is_file() {
            let problem = Problem::new(Code::AlreadyThere, format!("{} was not written by lockgate", folder.display()));
            return Err(problem.fix("move it away; `lockgate new plugin` puts the SDK there"));
        }
        let is_same = copy.files.iter().all(|(name, content)| std::fs::read(folder.join(name)).is_ok_and(|there| there == *content));
        if !is_same {
            replace(&folder, &copy.files).map_err(|error| {
                let problem = Problem::new(Code::FileUnreadable, format!("{} cannot be replaced: {error}", folder.display()));
                problem.fix("make the workspace's folder writable")
            })?;
            refreshed.push(copy.folder.into());
        }
    }
    Ok(refreshed)
}

fn replace(folder: &Path, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    // Deleted with what is in it when this ends.
    let aside = tempfile::Builder::new().prefix(".lockgate-old-").tempdir_in(folder.parent().unwrap_or(folder))?;
    std::fs::rename(folder, aside.path().join("old"))?;
    write_folder(folder, files).inspect_err(|_| drop(std::fs::rename(aside.path().join("old"), folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_copies_that_are_another_and_nothing_else() {
        let workspace = tempfile::tempdir().unwrap();
        assert!(refresh(workspace.path()).unwrap().is_empty());
        let mut files = Files::default();
        add(&mut files, Language::Rust);
        files.write(workspace.path()).unwrap();
        assert!(refresh(workspace.path()).unwrap().is_empty());

        let (old, changed) = (workspace.path().join("sdk/rust/src/old.rs"), workspace.path().join("sdk/rust/src/lib.rs"));
        std::fs::write(&old, "").unwrap();
        std::fs::write(&changed, "").unwrap();
        assert_eq!(refresh(workspace.path()).unwrap(), [PathBuf::from("sdk/rust")]);
        assert!(!old.exists() && std::fs::metadata(&changed).unwrap().len() > 0);

        std::fs::remove_file(workspace.path().join("wit").join(STAMP)).unwrap();
        assert_eq!(refresh(workspace.path()).unwrap_err().code, Code::AlreadyThere);
    }
}
