//! [`glimpse`]: what a workspace looks like at one moment, to see whether it has changed: names, sizes and times of its files. Looked at
//! again and again rather than told of by the system: that works on every disk, also one that is shared into a container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::workspace::read_files;
use crate::plugin::source_digest::is_left_out;

/// Files that are looked at; a larger workspace is noticed by these.
const FILES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 16;

/// Files by their path, with size and time of the last change.
type Files = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// A workspace at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// `lockgate.toml`.
    pub host: Option<(u64, Option<SystemTime>)>,
    files: Files,
}

/// What `dir` looks like, with the environment `environment` and its plugin folders. What cannot be looked at is as if it were not there.
pub fn glimpse(dir: &Path, environment: &str) -> Glimpse {
    let mut files = Files::new();
    look(&dir.join("integrations"), &mut files, 0);
    let mut one = |path: PathBuf| {
        if let Some(seen) = seen(&path) {
            files.insert(path, seen);
        }
    };
    one(dir.join("environments").join(format!("{environment}.toml")));
    // Where the host file is wrong, the usual folder.
    let plugins = read_files(dir).map_or_else(|_| vec![dir.join("plugins")], |(host, _)| host.plugins.paths);
    plugins.iter().for_each(|folder| look(folder, &mut files, 0));
    Glimpse { host: seen(&dir.join("lockgate.toml")), files }
}

fn look(folder: &Path, files: &mut Files, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // As in the digest of a plugin's sources: what is built is not what is written.
        if is_left_out(&name) || files.len() >= FILES_MAX {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => look(&entry.path(), files, depth + 1),
            Ok(_) => {
                if let Some(seen) = seen(&entry.path()) {
                    files.insert(entry.path(), seen);
                }
            }
            Err(_) => {}
        }
    }
}

fn seen(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_what_comes_goes_or_is_another_and_not_what_is_built() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("integrations/a.toml", "one");
        write("environments/dev.toml", "one");
        write("plugins/map/src/lib.rs", "one");
        let first = glimpse(folder.path(), "dev");
        write("plugins/map/target/debug/map.wasm", "built");
        write("plugins/map/node_modules/x/x.js", "installed");
        write("plugins/map/.git/index", "x");
        write("environments/prod.toml", "another environment's");
        write("lockgate.lock", "written by who watches");
        assert_eq!(glimpse(folder.path(), "dev"), first);
        for (file, text) in [("plugins/map/src/lib.rs", "longer"), ("environments/dev.toml", "longer"), ("integrations/b.toml", "new")] {
            let before = glimpse(folder.path(), "dev");
            write(file, text);
            assert_ne!(glimpse(folder.path(), "dev"), before, "{file}");
        }
        let before = glimpse(folder.path(), "dev");
        write("lockgate.toml", "[host]\n");
        let after = glimpse(folder.path(), "dev");
        assert_ne!(after.host, before.host);
        std::fs::remove_file(folder.path().join("integrations/b.toml")).unwrap();
        assert_ne!(glimpse(folder.path(), "dev"), after);
    }
}
