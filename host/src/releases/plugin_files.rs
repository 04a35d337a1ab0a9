//! `<data>/plugins/<digest>.wasm`: the components that releases pin, by content, with the signatures of those that trusted keys signed.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::warn;

use crate::integration::PinnedPlugin;
use crate::partial;
use crate::plugin::signature::Signature;
use crate::plugin::trust::Trust;
use crate::problem::{Code, Problem};

/// Takes away what a host left that ended while it wrote one.
pub fn clear_partial(data: &Path) {
    partial::clear(&folder(data));
}

/// Keeps `bytes` under `digest`, and their signature. Durable when this returns. Keeping the same again mends a file that is damaged, and
/// else does nothing. A signature that is kept stays where none comes with the bytes: it is a signature over them all the same.
pub fn keep(data: &Path, digest: &str, bytes: &[u8], signature: Option<&Signature>) -> Result<(), Problem> {
    let path = path(data, digest);
    if let Some(signature) = signature {
        keep_one(&Signature::path_of(&path), signature.bytes())?;
    }
    keep_one(&path, bytes)
}

fn keep_one(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    match std::fs::read(path) {
        Ok(kept) if kept == bytes => return Ok(()),
        Ok(_) => warn!(file = %path.display(), "what is kept of a plugin was damaged or is another; it is written again"),
        Err(_) => {}
    }
    write(path, bytes).map_err(|error| {
        Problem::new(Code::DataFolderUnwritable, format!("{}: {error}", path.display()))
            .fix("make the data folder writable, or free some space")
    })
}

/// Whether there is anything under `digest`.
pub fn has(data: &Path, digest: &str) -> bool {
    path(data, digest).exists()
}

/// The component under `digest` and its signature, if it is there and whole.
pub fn read_with_signature(data: &Path, digest: &str) -> Option<(Vec<u8>, Option<Signature>)> {
    let path = path(data, digest);
    let bytes = std::fs::read(&path).ok()?;
    if hex::encode(Sha256::digest(&bytes)) != digest {
        return None;
    }
    Some((bytes, Signature::beside(&path).ok().flatten()))
}

/// Makes room for one more component that is not among `pinned`, of which there are `most`: those older than the first of the times go, and
/// then the oldest, if it is older than the second. False where there is no room.
pub fn make_room(data: &Path, pinned: &BTreeSet<String>, most: usize, (gone_after, stays_for): (Duration, Duration)) -> bool {
    let mut unpinned: Vec<(Duration, String)> = Vec::new();
    for entry in std::fs::read_dir(folder(data)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(digest) = name.strip_suffix(".wasm").filter(|digest| !pinned.contains(*digest)) else { continue };
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|modified| modified.elapsed().ok());
        unpinned.push((age.unwrap_or_default(), digest.to_owned()));
    }
    unpinned.sort();
    while let Some((age, digest)) = unpinned.last() {
        if *age <= gone_after && (unpinned.len() < most || *age <= stays_for) {
            break;
        }
        let path = path(data, digest);
        // Who put it there sends it again, where it is wanted after all.
        drop(std::fs::remove_file(Signature::path_of(&path)));
        drop(std::fs::remove_file(path));
        unpinned.pop();
    }
    unpinned.len() < most
}

/// The component of a pinned plugin, if it may run: its digest checked, and that `trust` admits it with the signature that is kept.
pub fn read_to_run(data: &Path, pinned: &PinnedPlugin, trust: &Trust) -> Result<Vec<u8>, Problem> {
    let bytes = read(data, pinned)?;
    let signature = if trust.require_signed { Signature::beside(&path(data, &pinned.digest))? } else { None };
    trust.admits(pinned, &bytes, signature.as_ref())?;
    Ok(bytes)
}

/// The component of a pinned plugin, its digest checked.
pub fn read(data: &Path, pinned: &PinnedPlugin) -> Result<Vec<u8>, Problem> {
    let path = path(data, &pinned.digest);
    let damaged = |why: String| {
        Problem::new(Code::StoreDamaged, format!("plugin {} {}: {}: {why}", pinned.name, pinned.version, path.display()))
            .fix("restore the data folder from a backup, or activate the workspace's own: lockgate run --deploy")
    };
    let bytes = std::fs::read(&path).map_err(|error| damaged(error.to_string()))?;
    if hex::encode(Sha256::digest(&bytes)) != pinned.digest {
        return Err(damaged("its content is not what the release pins".to_owned()));
    }
    Ok(bytes)
}

fn path(data: &Path, digest: &str) -> PathBuf {
    folder(data).join(format!("{digest}.wasm"))
}

fn folder(data: &Path) -> PathBuf {
    data.join("plugins")
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Err(std::io::Error::other("no folder")) };
    std::fs::create_dir_all(folder)?;
    let mut partial = partial::in_folder(folder)?;
    partial.write_all(bytes)?;
    partial.as_file().sync_all()?;
    partial.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_pins_gives_way_the_oldest_first_and_not_what_came_just_now() {
        let data = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            keep(data.path(), name, name.as_bytes(), None).unwrap();
        }
        let hour = std::time::Duration::from_secs(3600);
        let age = |name: &str, hours: u32| {
            let file = std::fs::File::options().write(true).open(path(data.path(), name)).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified - hour * hours).unwrap();
        };
        age("a", 5);
        age("b", 2);
        let pinned = BTreeSet::from(["a".to_owned()]);
        let there = |name: &str| has(data.path(), name);
        // Two are not pinned: with room for two, the older one has to go, and for one neither may.
        assert!(make_room(data.path(), &pinned, 2, (hour * 24, hour)));
        assert!(there("a") && !there("b") && there("c"));
        assert!(!make_room(data.path(), &pinned, 1, (hour * 24, hour)), "what came just now stays");
        age("c", 30);
        assert!(make_room(data.path(), &pinned, 9, (hour * 24, hour)));
        assert!(there("a") && !there("c"), "what nobody pinned for a day goes");
    }

    #[test]
    fn a_damaged_file_is_refused_and_mended_by_keeping_it_again() {
        let data = tempfile::tempdir().unwrap();
        let digest = hex::encode(Sha256::digest(b"component"));
        let pinned = PinnedPlugin { name: "p".into(), version: semver::Version::new(1, 0, 0), digest: digest.clone() };
        assert_eq!(read(data.path(), &pinned).unwrap_err().code, Code::StoreDamaged);
        keep(data.path(), &digest, b"component", None).unwrap();
        std::fs::write(path(data.path(), &digest), "damaged").unwrap();
        assert_eq!(read(data.path(), &pinned).unwrap_err().code, Code::StoreDamaged);
        keep(data.path(), &digest, b"component", None).unwrap();
        assert_eq!(read(data.path(), &pinned).unwrap(), b"component");
    }
}
