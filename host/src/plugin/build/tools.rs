//! What a build installs for itself, version by version: once for a workspace, into `.lockgate/tools`, or for all of them into the folder
//! that `LOCKGATE_TOOLS` names.
//!
//! A folder is there whole or not at all. Builds that need the same one at the same time wait for one another.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Event, Progress};
use crate::config::workspace::workspace_above;
use crate::plugin::sha256_hex;
use crate::problem::{Code, Problem};

/// Names a folder for all workspaces.
pub const VARIABLE: &str = "LOCKGATE_TOOLS";

/// Something that is installed.
#[derive(Debug)]
pub struct Tool<'a> {
    /// `js`
    pub name: &'a str,
    /// What decides what is installed, versions and digests; another one is another folder.
    pub pinned: &'a [u8],
    /// What it is, for who waits for it.
    pub says: &'a str,
}

impl Tool<'_> {
    /// Its folder, filled by `install` where it is not there yet. `plugin` and its folder are whom it is for.
    ///
    /// # Errors
    /// What stands in the way of installing it.
    pub fn installed(
        &self,
        (plugin, folder): (&str, &Path),
        progress: &Progress<'_>,
        install: impl FnOnce(&Path) -> Result<(), Problem>,
    ) -> Result<PathBuf, Problem> {
        let base = base(folder);
        let place =
            base.join(format!("{}-{}-{}", self.name, std::env::consts::ARCH, sha256_hex(self.pinned).get(..16).unwrap_or_default()));
        if place.is_dir() {
            return Ok(place);
        }
        let told = |error: std::io::Error| unwritable(&base, &error);
        let _turn = turn(&base, self.name, plugin, progress)?;
        if place.is_dir() {
            return Ok(place);
        }
        progress(Event::Step { plugin, step: self.says });
        let partial = tempfile::Builder::new().prefix("partial-").tempdir_in(&base).map_err(told)?;
        install(partial.path())?;
        std::fs::rename(partial.path(), &place).map_err(told)?;
        Ok(place)
    }
}

/// Held while one build does what others must not do at the same time.
pub fn turn(base: &Path, name: &str, plugin: &str, progress: &Progress<'_>) -> Result<File, Problem> {
    let told = |error: std::io::Error| unwritable(base, &error);
    std::fs::create_dir_all(base).map_err(told)?;
    ignore(base);
    let file = File::create(base.join(format!("{name}.turn"))).map_err(told)?;
    if file.try_lock().is_err() {
        progress(Event::Step { plugin, step: "waiting for another build" });
        file.lock().map_err(told)?;
    }
    Ok(file)
}

/// Where tools for the plugin in `folder` are: of its workspace, else its own.
pub fn base(folder: &Path) -> PathBuf {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return PathBuf::from(named);
    }
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    workspace_above(&folder).unwrap_or(folder).join(".lockgate").join("tools")
}

/// Keeps what is installed out of version control, whatever the workspace's own rules are.
fn ignore(base: &Path) {
    let Some(own) = base.parent().filter(|own| own.ends_with(".lockgate")) else { return };
    // It is a courtesy: a build works without.
    drop(std::fs::write(own.join(".gitignore"), "*\n"));
}

pub fn unwritable(base: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", base.display()))
        .fix(format!("make it writable, or name another folder for tools: {VARIABLE}=DIR"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn workspace() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lockgate.toml"), "").unwrap();
        std::fs::create_dir_all(folder.path().join("plugins/p")).unwrap();
        folder
    }

    fn tool(pinned: &'static str) -> Tool<'static> {
        Tool { name: "js", pinned: pinned.as_bytes(), says: "installing" }
    }

    #[test]
    fn installs_once_for_builds_that_come_at_the_same_time() {
        let (workspace, count) = (workspace(), AtomicUsize::new(0));
        let plugin = workspace.path().join("plugins/p");
        let install = |partial: &Path| {
            count.fetch_add(1, Ordering::SeqCst);
            std::fs::write(partial.join("tool"), "").unwrap();
            Ok(())
        };
        let places: Vec<PathBuf> = std::thread::scope(|scope| {
            let builds: Vec<_> = (0..8).map(|_| scope.spawn(|| tool("1").installed(("p", &plugin), &|_| {}, install).unwrap())).collect();
            builds.into_iter().map(|build| build.join().unwrap()).collect()
        });
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(places.iter().all(|place| place.join("tool").is_file()));
        tool("2").installed(("p", &plugin), &|_| {}, install).unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 2);
        assert_eq!(std::fs::read_to_string(workspace.path().join(".lockgate/.gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn leaves_nothing_of_an_installation_that_fails() {
        let workspace = workspace();
        let plugin = workspace.path().join("plugins/p");
        let fails = |_: &Path| Err(Problem::new(Code::ToolMissing, "no"));
        assert!(tool("1").installed(("p", &plugin), &|_| {}, fails).is_err());
        let left: Vec<_> =
            std::fs::read_dir(workspace.path().join(".lockgate/tools")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["js.turn"]);
    }
}
