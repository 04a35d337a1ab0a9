//! Files that come into being whole: written beside their place and then moved there, so that nobody ever finds half of one.
//!
//! A host that ends meanwhile leaves the half, which nobody would find either, and which may be megabytes: [`clear`] takes it away.
//! Depends on nothing.

use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

/// How the name of a file begins that is not complete.
const PREFIX: &str = ".writing-";

/// A new file in `folder`, its owner's alone, to be persisted under its name once it is complete.
///
/// # Errors
/// What the file system says.
pub fn in_folder(folder: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)
}

/// Removes what was left in `folder`, which nobody else may be writing to. What cannot be removed costs room and nothing else.
pub fn clear(folder: &Path) {
    clear_older(folder, Duration::ZERO);
}

/// The same of what has not been written to for so long: others may be writing.
pub fn clear_older(folder: &Path, than: Duration) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_old = |entry: &std::fs::DirEntry| {
        let written_at = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        than.is_zero() || written_at.and_then(|at| at.elapsed().ok()).is_some_and(|age| age >= than)
    };
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX) && is_old(entry)) {
        if let Err(why) = std::fs::remove_file(entry.path()) {
            tracing::warn!(file = %entry.path().display(), %why, "a file that was never completed could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_completed_is_cleared_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        clear(&folder.path().join("not-there"));
        in_folder(folder.path()).unwrap().persist(folder.path().join("whole")).unwrap();
        in_folder(folder.path()).unwrap().keep().unwrap();
        clear(folder.path());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["whole"]);
    }
}
