//! Reading a backup: checking it, and making a data folder of it.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::write::Hashed;
use super::{Entry, FILES_MAX, FORMAT, MANIFEST, Manifest, is_known};
use crate::message_store::sqlite::{self, DATABASE_FILE, LOCK_FILE};
use crate::plugin::host_key;
use crate::problem::{Code, Problem};

/// A list of ten thousand files is below this.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How the folders are called in which a data folder is made.
const STAGING: &str = ".restoring-";
/// The folder of plugins in a data folder.
const PLUGINS: &str = "plugins";
/// What a data folder may have that is as good as empty: a lock that nobody holds, and what ext4 puts into the root of a disk.
const EMPTY_HAS: [&str; 2] = [LOCK_FILE, "lost+found"];

/// Reads the whole backup `file` and holds it against its own list. Blocks.
///
/// # Errors
/// LG-3008 for what is no backup, is damaged or not whole; LG-1001 where it cannot be read.
pub fn verify(file: &Path) -> Result<Manifest, Problem> {
    walk(file, &CancellationToken::new(), |_, from| io::copy(from, &mut io::sink()).map(drop))
}

/// Makes the data folder `data`, which must not be there or be empty, of the backup `file`; none if `stop` said so, and then as after
/// an error nothing of it is left. It is written into a folder inside, since the data folder may be a disk of its own, in a place where
/// nothing else may be written; and its database comes last, so that what has none is no data folder yet. Blocks.
///
/// # Errors
/// As [`verify`]; LG-3002 for a folder that has something in it or is in use, LG-3003 for a backup of a newer version, LG-3004 on a network file
/// system, LG-3006 for a database that is damaged.
pub fn restore(file: &Path, data: &Path, stop: &CancellationToken) -> Result<Option<Manifest>, Problem> {
    // Before the lock, which is a file in it: a folder that is something else is left alone.
    refuse_used(data)?;
    let place = Place::take(data)?;
    let manifest = match place.fill(file, stop) {
        _ if stop.is_cancelled() => return Ok(None),
        filled => filled?,
    };
    place.settle().map_err(|error| unwritable(data, &error))?;
    Ok(Some(manifest))
}

/// A data folder that is being made: locked, as a host would lock it. What is not settled is taken away again.
struct Place<'a> {
    data: &'a Path,
    /// Whether there was no such folder.
    is_new: bool,
    staging: Option<TempDir>,
    _lock: sqlite::Held,
}

impl<'a> Place<'a> {
    fn take(data: &'a Path) -> Result<Self, Problem> {
        let is_new = !data.exists();
        let lock = sqlite::claim(data)?;
        let mut place = Self { data, is_new, staging: None, _lock: lock };
        refuse_used(data)?;
        let begin = || {
            clear_unfinished(data)?;
            tempfile::Builder::new().prefix(STAGING).permissions(Permissions::from_mode(0o700)).tempdir_in(data)
        };
        place.staging = Some(begin().map_err(|error| unwritable(data, &error))?);
        Ok(place)
    }

    fn staging(&self) -> &Path {
        self.staging.as_ref().map_or(self.data, TempDir::path)
    }

    fn fill(&self, file: &Path, stop: &CancellationToken) -> Result<Manifest, Problem> {
        let manifest = walk(file, stop, |name, from| write(self.staging(), name, from))?;
        let database = self.staging().join(DATABASE_FILE);
        sqlite::check_copy(&database)?;
        let version = sqlite::version_of(&database)?;
        if version < 1 || version != manifest.schema {
            return Err(damaged(file, "its database is not one of Lockgate, or not the one its list speaks of"));
        }
        Ok(manifest)
    }

    /// Everything to where it belongs, each step on the disk before the next.
    fn settle(self) -> io::Result<()> {
        let settled = |folder: &Path| File::open(folder)?.sync_all();
        for name in [PLUGINS, host_key::FILE, DATABASE_FILE] {
            let (from, to) = (self.staging().join(name), self.data.join(name));
            if name == PLUGINS && !from.exists() {
                continue;
            }
            if name == PLUGINS {
                settled(&from)?;
            }
            if name == DATABASE_FILE {
                settled(self.data)?;
            }
            std::fs::rename(from, to)?;
        }
        settled(self.data)
    }
}

impl Drop for Place<'_> {
    /// Nobody can do more about what cannot be removed; a later restore into the folder does.
    fn drop(&mut self) {
        if self.data.join(DATABASE_FILE).exists() {
            return;
        }
        drop(clear_unfinished(self.data));
        drop(std::fs::remove_file(self.data.join(LOCK_FILE)));
        if self.is_new {
            drop(std::fs::remove_dir(self.data));
        }
    }
}

/// Whether restoring was begun in this folder, and not ended.
pub fn is_unfinished(data: &Path) -> io::Result<bool> {
    let mut any = false;
    for entry in std::fs::read_dir(data)? {
        any |= is_staging(&entry?.file_name());
    }
    Ok(any && !data.join(DATABASE_FILE).exists())
}

fn is_staging(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(STAGING))
}

/// Takes away what a restore left that was killed. Where it is behind a whole data folder, a host does, too.
pub(super) fn clear_staging(data: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if is_staging(&entry.file_name()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// With what it had moved to its place already: before the database, which is the last, that is a key and plugins which no message needs.
fn clear_unfinished(data: &Path) -> io::Result<()> {
    if is_unfinished(data)? {
        let gone = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        gone(std::fs::remove_file(data.join(host_key::FILE)))?;
        gone(std::fs::remove_dir_all(data.join(PLUGINS)))?;
    }
    clear_staging(data)
}

fn unwritable(data: &Path, error: &io::Error) -> Problem {
    Problem::new(Code::DataFolderUnwritable, format!("{}: {error}", data.display())).fix("make it writable, or free some space")
}

fn refuse_used(data: &Path) -> Result<(), Problem> {
    let is_free = || {
        let unfinished = is_unfinished(data)?;
        for entry in std::fs::read_dir(data)? {
            let name = entry?.file_name();
            let left = unfinished && (is_staging(&name) || name == host_key::FILE || name == PLUGINS);
            if !(left || EMPTY_HAS.iter().any(|has| name == *has)) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let is_free = is_free().unwrap_or_else(|error: io::Error| error.kind() == io::ErrorKind::NotFound);
    if is_free {
        return Ok(());
    }
    Err(Problem::new(Code::DataFolderInUse, format!("{} is not empty: nothing is restored over a data folder", data.display()))
        .fix("move it aside first, or name another one with --data"))
}

/// Hands every file of the archive to `take`, and checks the whole against the list at its end.
pub(super) fn walk(
    file: &Path,
    stop: &CancellationToken,
    mut take: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> Result<Manifest, Problem> {
    let opened = File::open(file).map_err(|error| {
        Problem::new(Code::FileUnreadable, format!("{}: {error}", file.display())).fix("name a file that `lockgate backup` wrote")
    })?;
    let damaged = |why: String| damaged(file, &why);
    let broken = |error: io::Error| damaged(format!("it cannot be read to its end: {error}"));
    let mut archive = tar::Archive::new(BufReader::new(Until { stop, from: opened }));
    let (mut found, mut manifest) = (Vec::new(), None);
    // As they stand: what says a longer name for the next file would be read into memory whole, however long it says it is.
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_str().unwrap_or_default().to_owned();
        let is_file = entry.header().entry_type().is_file();
        if manifest.is_some() || !is_file || !(is_known(&name) || name == MANIFEST) || found.len() >= FILES_MAX {
            return Err(damaged(format!("{name:?} has no place in a backup")));
        }
        if name == MANIFEST {
            manifest = Some(read_manifest(&mut entry).map_err(|why| damaged(format!("{MANIFEST}: {why}")))?);
            continue;
        }
        let bytes = entry.size();
        let mut told = Told { from: &mut entry, failed: false };
        let mut hashed = Hashed { from: &mut told, hash: Sha256::new() };
        let taken = take(&name, &mut hashed);
        let sha256 = hex::encode(hashed.hash.finalize());
        taken.map_err(|error| if told.failed { broken(error) } else { unwritten(&name, &error) })?;
        found.push(Entry { name, bytes, sha256 });
    }
    let manifest = manifest.ok_or_else(|| damaged("it is not whole: the list at its end is missing".to_owned()))?;
    if let Some(wrong) = manifest.files.iter().zip(&found).find(|(listed, found)| listed != found) {
        return Err(damaged(format!("{} is not what the list says", wrong.0.name)));
    }
    let has = |name: &str, is_right: fn(u64) -> bool| found.iter().any(|entry| entry.name == name && is_right(entry.bytes));
    let has_both = has(DATABASE_FILE, |bytes| bytes > 0) && has(host_key::FILE, |bytes| bytes == host_key::BYTES);
    if manifest.files.len() != found.len() || !has_both {
        return Err(damaged("it has not the files that a backup has".to_owned()));
    }
    refuse_newer(file, &manifest)?;
    Ok(manifest)
}

/// Whether it was reading that failed, and not what became of what was read.
struct Told<R> {
    from: R,
    failed: bool,
}

impl<R: Read> Read for Told<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer);
        self.failed |= read.is_err();
        read
    }
}

/// The backup is as good as it was.
fn unwritten(name: &str, error: &io::Error) -> Problem {
    let code = if error.kind() == io::ErrorKind::StorageFull { Code::DiskFull } else { Code::DataFolderUnwritable };
    Problem::new(code, format!("{name} cannot be written to the data folder: {error}"))
        .fix("make room, or name a folder on another disk with --data; nothing is wrong with the backup")
}

/// A file that is read until somebody says stop.
struct Until<'a> {
    stop: &'a CancellationToken,
    from: File,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        self.from.read(buffer)
    }
}

fn damaged(file: &Path, why: &str) -> Problem {
    Problem::new(Code::BadBackup, format!("{}: {why}", file.display()))
        .fix("use another backup; a copy that broke off can be copied again, and checked with `lockgate restore --check`")
}

fn read_manifest(from: &mut impl Read) -> Result<Manifest, String> {
    let mut text = Vec::new();
    from.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

fn refuse_newer(file: &Path, manifest: &Manifest) -> Result<(), Problem> {
    let Manifest { format, schema, lockgate, .. } = manifest;
    if *format == FORMAT && *schema <= sqlite::NEWEST_SCHEMA {
        return Ok(());
    }
    Err(Problem::new(Code::DataFolderNewer, format!("{} was written by Lockgate {lockgate}, a newer version", file.display()))
        .fix("restore it with that version"))
}

fn write(folder: &Path, name: &str, from: &mut dyn Read) -> io::Result<()> {
    let path: PathBuf = folder.join(name);
    if let Some(parent) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    io::copy(from, &mut file)?;
    file.sync_all()
}
