//! The compile cache: what is not exactly what this host wrote is compiled again.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::plugin::compile::Compile;
use crate::plugin::compile::in_process::InProcess;
use crate::plugin::engine::compiling;
use crate::plugin::tests::engine;

fn code() -> NativeCode {
    let component = wat::parse_str("(component (core module (func (export \"f\"))))").unwrap();
    InProcess(engine()).compile(&component).unwrap()
}

/// A cache in a folder of its own, with one component in it, and where that is.
fn kept() -> (tempfile::TempDir, CompileCache, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cache = CompileCache::open(folder.path(), Secret::new([1; 32])).unwrap();
    cache.store(engine().engine(), "aa", &code());
    let files: Vec<_> = std::fs::read_dir(&cache.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    (folder, cache, files[0].clone())
}

fn is_there(cache: &CompileCache, digest: &str) -> bool {
    cache.load(engine().engine(), digest).is_some()
}

#[test]
fn never_loads_a_file_with_a_flipped_byte() {
    let (_folder, cache, path) = kept();
    let whole = std::fs::read(&path).unwrap();
    for at in [0, SEAL_BYTES - 1, SEAL_BYTES, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(!is_there(&cache, "aa"), "byte {at}");
    }
    for length in [0, SEAL_BYTES - 1, SEAL_BYTES, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(!is_there(&cache, "aa"), "{length} bytes");
    }
    std::fs::write(&path, whole).unwrap();
    assert!(is_there(&cache, "aa"));
}

#[test]
fn never_loads_one_component_for_another() {
    let (_folder, cache, path) = kept();
    std::fs::rename(path, cache.path(engine().engine(), "bb")).unwrap();
    assert!(!is_there(&cache, "bb"));
}

#[test]
fn follows_no_link_and_waits_for_no_pipe() {
    let (folder, cache, path) = kept();
    let aside = folder.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    symlink(&aside, &path).unwrap();
    assert!(!is_there(&cache, "aa"), "a link, if to what this host wrote");
    cache.store(engine().engine(), "aa", &code());
    assert!(is_there(&cache, "aa") && !path.is_symlink(), "it is replaced");
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(!is_there(&cache, "aa"));
    std::fs::remove_dir_all(&cache.folder).unwrap();
    symlink(folder.path(), &cache.folder).unwrap();
    assert_eq!(CompileCache::open(folder.path(), Secret::new([1; 32])).unwrap_err().code, Code::DataFolderUnwritable);
}

#[test]
fn is_closed_to_everybody_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("cache/compiled")).unwrap();
    let cache = CompileCache::open(folder.path(), Secret::new([1; 32])).unwrap();
    cache.store(engine().engine(), "aa", &code());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache.folder), 0o700);
    assert_eq!(mode(&cache.path(engine().engine(), "aa")), 0o600);
}

#[test]
fn what_a_child_compiles_fits_the_engine_of_a_host() {
    assert_eq!(compatibility(&compiling().unwrap()), compatibility(engine().engine()));
    code().component(engine().engine()).unwrap();
}
