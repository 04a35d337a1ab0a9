//! The digest of a plugin's source folder: what the lock file pins where there is no built component.
//!
//! SHA-256 over the sorted relative paths and contents, each with its length before it. Left out: `target`, `node_modules`,
//! `__pycache__` and `*.pyc`, which tools fill, and entries that start with a dot (`.git`, `.venv`, editors' files) but for `.cargo`, which changes how a
//! package builds. So a plugin's own tests leave its digest as it is.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::workspace::require_file;
use crate::problem::{Code, Problem};

const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 32;
/// All of it together.
const BYTES_MAX: u64 = 256 << 20;

/// The digest of `folder`, as 64 hex digits.
///
/// # Errors
/// `LG-1001` where something cannot be read or there is too much of it.
pub fn of_folder(folder: &Path) -> Result<String, Problem> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    collect(folder, 0, &mut files, &mut bytes)?;
    // Sorted by their bytes with `/` between, whatever the order of the directory is.
    let mut named: Vec<(String, PathBuf)> = files.into_iter().map(|path| (relative(folder, &path), path)).collect();
    named.sort();
    let mut hash = Sha256::new();
    for (name, path) in named {
        let content = read(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
        for part in [name.as_bytes(), &content] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// What is in a file, which is looked at once more: it may be another one by now.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    require_file(path)?;
    std::fs::File::open(path)?.take(BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

fn relative(folder: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>, bytes: &mut u64) -> Result<(), Problem> {
    if depth > DEPTH_MAX {
        return Err(unreadable(folder, "nested too deeply"));
    }
    let io = |error: std::io::Error| unreadable(folder, &error.to_string());
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_left_out(&name) {
            continue;
        }
        let path = entry.path();
        let told = |error: std::io::Error| unreadable(&path, &error.to_string());
        if entry.file_type().map_err(told)?.is_dir() {
            collect(&path, depth + 1, files, bytes)?;
            continue;
        }
        // A link to a file is as good as the file; one to a folder may lead anywhere, and back.
        require_file(&path).map_err(told)?;
        *bytes += std::fs::metadata(&path).map_err(told)?.len();
        if *bytes > BYTES_MAX || files.len() >= FILES_MAX {
            return Err(unreadable(&path, "too much for a plugin's source: 10,000 files and 256 MiB are the most"));
        }
        files.push(path);
    }
    Ok(())
}

/// Whether what is called so is no source: what tools make or install and nobody writes, and what is hidden.
pub fn is_left_out(name: &str) -> bool {
    let is_made = matches!(name, "target" | "node_modules" | "__pycache__") || name.ends_with(".pyc");
    is_made || (name.starts_with('.') && name != ".cargo")
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
    fn follows_no_link_to_a_folder_and_waits_for_no_pipe_or_device() {
        let sources = folder(&[("plugin.toml", "a"), ("src/lib.rs", "b")]);
        let odd = sources.path().join("src/odd");
        let refused = |why: &str| {
            let problem = of_folder(sources.path()).unwrap_err();
            assert!(problem.code == Code::FileUnreadable && problem.message.contains(why), "{problem}");
            std::fs::remove_file(&odd).unwrap();
        };
        for (leads_to, why) in [("/dev/zero", "device"), ("/", "a folder"), ("..", "a folder"), ("nowhere", "No such file")] {
            std::os::unix::fs::symlink(leads_to, &odd).unwrap();
            refused(why);
        }
        rustix::fs::mknodat(rustix::fs::CWD, &odd, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        refused("a pipe");
        std::fs::File::create(&odd).unwrap().set_len(BYTES_MAX).unwrap();
        refused("too much");
        std::os::unix::fs::symlink("lib.rs", &odd).unwrap();
        assert_eq!(of_folder(sources.path()).unwrap(), digest(&[("plugin.toml", "a"), ("src/lib.rs", "b"), ("src/odd", "b")]));
    }

    #[test]
    fn is_the_same_wherever_the_folder_is_and_whatever_was_built_in_it() {
        let base = digest(&[("plugin.toml", "a"), ("src/lib.rs", "b")]);
        assert_eq!(
            base,
            digest(&[
                ("src/lib.rs", "b"),
                ("plugin.toml", "a"),
                ("target/x", "z"),
                ("node_modules/x/x.js", "z"),
                ("src/__pycache__/x", "z"),
                ("tests/__pycache__/test_p.cpython-311.pyc", "z"),
                ("src/old.pyc", "z"),
                (".venv/lib/python3.11/site-packages/x.py", "z"),
                (".git/HEAD", "z"),
                ("src/.lib.rs.swp", "z")
            ])
        );
        assert_eq!(base.len(), 64);
    }
}
