//! Backups: everything of a data folder that cannot be made again, in one file: [`write`](write()), [`restore`](restore()), [`verify`].
//!
//! The file is a tar archive (POSIX.1-1988 ustar) of the database as it was at one moment, the host's key and the plugins that releases
//! pin, and last `backup.json`, which lists them with their lengths and SHA-256: an archive without it is not whole. Not in it: what
//! another start makes by itself (compiled plugins, the admin token, locks), and secrets that live outside the data folder.
//!
//! Knows the files of a data folder; knows nothing of who asks.

mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use read::{is_unfinished, restore, verify};
pub use write::{clear_leftovers, snapshot, write};

/// The list at the end of a backup.
const MANIFEST: &str = "backup.json";
/// The layout this program writes; it reads no other.
const FORMAT: u32 = 1;
/// Files of a backup: a database, a key and plugins.
const FILES_MAX: usize = 10_000;

/// What a backup is, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    pub format: u32,
    /// The version of the program that made it.
    pub lockgate: String,
    /// The version of the database's tables.
    pub schema: i64,
    /// RFC 3339: what was acknowledged by then is in it.
    pub made_at: String,
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

/// Whether a file of this name may be in a backup: nothing is ever written anywhere else.
fn is_known(name: &str) -> bool {
    let is_plugin = |name: &str| {
        let file = name.strip_prefix("plugins/").map(|name| name.strip_suffix(".sig").unwrap_or(name));
        let digest = file.and_then(|name| name.strip_suffix(".wasm"));
        digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
    };
    name == crate::message_store::sqlite::DATABASE_FILE || name == crate::plugin::host_key::FILE || is_plugin(name)
}

#[cfg(test)]
mod tests;
