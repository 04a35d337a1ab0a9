//! The component of a plugin's latest sources, kept beside the tools: for languages whose own tools do not know what is fresh.

use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Progress;
use super::tools::{base, turn, unwritable};
use crate::plugin::sha256_hex;
use crate::problem::Problem;

/// A folder for what is between a plugin's sources and its component. One build at a time has it.
#[derive(Debug)]
pub struct Work {
    pub folder: PathBuf,
    _turn: File,
}

impl Work {
    /// That of the plugin `plugin`, written in `language`, in `folder`.
    ///
    /// # Errors
    /// That it cannot be made.
    pub fn of((plugin, folder): (&str, &Path), language: &str, progress: &Progress<'_>) -> Result<Self, Problem> {
        let base = base(folder);
        let place = sha256_hex(folder.as_os_str().as_encoded_bytes());
        let own = format!("{language}-{plugin}-{}", place.get(..8).unwrap_or_default());
        let turn = turn(&base, &own, plugin, progress)?;
        let folder = base.join(own);
        std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
        Ok(Self { folder, _turn: turn })
    }

    /// Where the component is that was made of what `key` stands for, if it is there.
    pub fn component(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.wasm", key.0))
    }

    /// Keeps the component in the file `made` for `key`, and none that was kept before.
    ///
    /// # Errors
    /// That it cannot be kept.
    pub fn keep(&self, key: &Key, made: &Path) -> std::io::Result<()> {
        for old in std::fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()) {
            if old.extension().is_some_and(|extension| extension == "wasm") {
                // What stays is in nobody's way.
                drop(std::fs::remove_file(old));
            }
        }
        std::fs::rename(made, self.component(key))
    }
}

/// What a component follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl<B: AsRef<[u8]>> FromIterator<B> for Key {
    fn from_iter<I: IntoIterator<Item = B>>(parts: I) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.as_ref().len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hex::encode(hash.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_latest_component_of_a_plugin_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let work = Work::of(("p", folder.path()), "js", &|_| {}).unwrap();
        let keep = |part: &str| {
            let (key, made) = (Key::from_iter([part]), work.folder.join("component.partial"));
            std::fs::write(&made, part).unwrap();
            work.keep(&key, &made).unwrap();
            work.component(&key)
        };
        let (first, second) = (keep("one"), keep("two"));
        assert!(!first.exists() && std::fs::read(second).unwrap() == b"two");
        assert_ne!(Key::from_iter(["a", "bc"]), Key::from_iter(["ab", "c"]));
    }
}
