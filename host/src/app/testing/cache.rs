//! Where what was compiled for a test is kept: with the host's where there is a data folder, else with the user's own cache.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::config::HostConfig;
use crate::plugin::cache::CompileCache;
use crate::plugin::host_key;
use crate::random::OsRandom;

/// Of components that are built again and again, so many of the latest are kept.
const KEPT_MAX: usize = 32;

/// A cache, if there is a place for one: without it every test compiles.
pub fn cache(config: &HostConfig) -> Option<CompileCache> {
    if config.data.join(host_key::FILE).exists()
        && let Ok(key) = host_key::load_or_create(&config.data, &OsRandom)
        && let Ok(cache) = CompileCache::beside(&config.data, key)
    {
        return Some(cache);
    }
    let folder = of_user()?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    let key = host_key::load_or_create(&folder, &OsRandom).ok()?;
    let cache = CompileCache::beside(&folder, key).ok()?;
    cache.keep_latest(KEPT_MAX);
    Some(cache)
}

/// `lockgate` in the folder for what can be made again (XDG Base Directory Specification).
fn of_user() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(cache.join("lockgate"))
}
