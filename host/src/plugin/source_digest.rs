//! The digest of a plugin's source folder: what the lock file pins where there is no built component.
//!
//! SHA-256 over the sorted relative paths and contents, each with its length before it. Left out: `target`, and entries
//! that start with a dot (`.git`, editors' files) but for `.cargo`, which changes how a package builds.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::problem::{Code, Problem};

const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 32;
/// A single source file larger than this is a mistake.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The digest of `folder`, as 64 hex digits.
///
/// # Errors
/// `LG-1001` where something cannot be read or there is too much of it.
pub fn of_folder(folder: &Path) -> Result<String, Problem> {
    let mut files = Vec::new();
    collect(folder, 0, &mut files)?;
    // Sorted by their bytes with `/` between, whatever the order of the directory is.
    let mut named: Vec<(String, PathBuf)> = files.into_iter().map(|path| (relative(folder, &path), path)).collect();
    named.sort();
    let mut hash = Sha256::new();
    for (name, path) in named {
        let content = std::fs::read(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
        for part in [name.as_bytes(), &content] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

fn relative(folder: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Problem> {
    if depth > DEPTH_MAX {
        return Err(unreadable(folder, "nested too deeply; is there a link that leads back?"));
    }
    let io = |error: std::io::Error| unreadable(folder, &error.to_string());
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "target" || (name.starts_with('.') && name != ".cargo") {
            continue;
        }
        let path = entry.path();
        let meta = std::fs::metadata(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
        if meta.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if meta.len() > FILE_BYTES_MAX || files.len() >= FILES_MAX {
            return Err(unreadable(&path, "too much for a plugin's source: 10,000 files of 64 MiB are the most"));
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem::new(Code::FileUnreadable, format!("{}: {why}", path.display())).fix("a plugin's folder holds its sources and nothing else")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        dir
    }

    fn digest(files: &[(&str, &str)]) -> String {
        of_folder(folder(files).path()).unwrap()
    }

    #[test]
    fn differs_for_every_change_that_could_change_a_build() {
        let base = digest(&[("plugin.toml", "a"), ("src/lib.rs", "b")]);
        let others = [
            digest(&[("plugin.toml", "a"), ("src/lib.rs", "c")]),
            digest(&[("plugin.toml", "a"), ("src/main.rs", "b")]),
            digest(&[("plugin.toml", "ab"), ("src/lib.rs", "")]),
            digest(&[("plugin.toml", "a"), ("src/lib.rs", "b"), (".cargo/config.toml", "")]),
            digest(&[("plugin.toml", "a"), ("src/lib.rs", "b"), ("src/empty", "")]),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    #[test]
    fn is_the_same_wherever_the_folder_is_and_whatever_was_built_in_it() {
        let base = digest(&[("plugin.toml", "a"), ("src/lib.rs", "b")]);
        assert_eq!(
            base,
            digest(&[("src/lib.rs", "b"), ("plugin.toml", "a"), ("target/x", "z"), (".git/HEAD", "z"), ("src/.lib.rs.swp", "z")])
        );
        assert_eq!(base.len(), 64);
    }
}
