//! The compile cache: what is not exactly what this host wrote is compiled again.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn component(engine: &Engine) -> Component {
    Component::from_binary(engine, &wat::parse_str("(component (core module (func (export \"f\"))))").unwrap()).unwrap()
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder.join("cache/compiled")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn never_loads_a_file_with_a_flipped_byte() {
    let engine = Engine::default();
    let folder = tempfile::tempdir().unwrap();
    let cache = CompileCache::open(folder.path(), Secret::new([1; 32])).unwrap();
    cache.store(&engine, "aa", &component(&engine));
    let path = only_file(folder.path());
    let whole = std::fs::read(&path).unwrap();
    for at in [0, SEAL_BYTES - 1, SEAL_BYTES, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(cache.load(&engine, "aa").is_none(), "byte {at}");
    }
    for length in [0, SEAL_BYTES - 1, SEAL_BYTES, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(cache.load(&engine, "aa").is_none(), "{length} bytes");
    }
    std::fs::write(&path, whole).unwrap();
    assert!(cache.load(&engine, "aa").is_some());
}

#[test]
fn never_loads_one_component_for_another() {
    let engine = Engine::default();
    let folder = tempfile::tempdir().unwrap();
    let cache = CompileCache::open(folder.path(), Secret::new([1; 32])).unwrap();
    cache.store(&engine, "aa", &component(&engine));
    std::fs::rename(only_file(folder.path()), cache.path(&engine, "bb")).unwrap();
    assert!(cache.load(&engine, "bb").is_none());
}

#[test]
fn is_closed_to_everybody_else() {
    let engine = Engine::default();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("cache/compiled")).unwrap();
    let cache = CompileCache::open(folder.path(), Secret::new([1; 32])).unwrap();
    cache.store(&engine, "aa", &component(&engine));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("cache/compiled")), 0o700);
    assert_eq!(mode(&only_file(folder.path())), 0o600);
}
