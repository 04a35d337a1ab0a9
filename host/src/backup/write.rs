//! Making a backup of a data folder in use.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempPath;

use super::{Entry, FORMAT, MANIFEST, Manifest};
use crate::message_store::sqlite::{self, DATABASE_FILE};
use crate::plugin::host_key;
use crate::problem::{Code, Problem};

/// How the copies of databases are called while a backup is written.
const COPY: &str = "backup-";

/// The database of the folder `data` as it is now, copied beside it; the copy is deleted with what is given back. Deliveries go on
/// meanwhile. Blocks.
///
/// # Errors
/// LG-3007 where the copy has no room, LG-3005 for what else the database has to say.
pub fn snapshot(data: &Path) -> Result<TempPath, Problem> {
    refuse_without_room(data)?;
    let place = tempfile::Builder::new().prefix(COPY).suffix(".db").tempfile_in(data).map_err(|error| unwritable(data, &error))?;
    let path = place.into_temp_path();
    sqlite::copy_into(&data.join(DATABASE_FILE), &path)?;
    Ok(path)
}

/// What is kept back for deliveries stays theirs.
fn refuse_without_room(data: &Path) -> Result<(), Problem> {
    let bytes = |name: String| std::fs::metadata(data.join(name)).map_or(0, |file| file.len());
    let needed = bytes(DATABASE_FILE.to_owned()) + bytes(format!("{DATABASE_FILE}-wal")) + sqlite::RESERVE_BYTES;
    let free = rustix::fs::statvfs(data).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match free {
        Ok(free) if free < needed => {
            let message = format!("a backup needs {} MiB of room in {}, which has {}", needed >> 20, data.display(), free >> 20);
            Err(Problem::new(Code::DiskFull, message).fix("free some space; nothing was copied"))
        }
        // A disk that does not say is tried.
        _ => Ok(()),
    }
}

/// Copies that a host left which was killed while it made a backup, and what a restore left behind that was killed at its very end.
pub fn clear_leftovers(data: &Path) {
    if let Err(error) = super::read::clear_staging(data) {
        tracing::warn!(folder = %data.display(), %error, "what a restore left could not be deleted");
    }
    let Ok(entries) = std::fs::read_dir(data) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(COPY) && name.ends_with(".db"))
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(file = %entry.path().display(), %error, "a copy left by a backup could not be deleted");
        }
    }
}

/// Writes the backup of the folder `data`, whose database was copied to `snapshot`, at `made_at` (RFC 3339). Blocks.
///
/// # Errors
/// Where something cannot be read, or the other side takes no more.
pub fn write(data: &Path, snapshot: &Path, made_at: String, to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let mut files = Vec::new();
    for (name, path) in files_of(data, snapshot)? {
        files.push(append(&mut archive, name, &path)?);
    }
    let schema = sqlite::version_of(snapshot).map_err(io::Error::other)?;
    let manifest = Manifest { format: FORMAT, lockgate: env!("CARGO_PKG_VERSION").to_owned(), schema, made_at, files };
    let text = serde_json::to_vec_pretty(&manifest)?;
    archive.append_data(&mut header(text.len() as u64), MANIFEST, text.as_slice())?;
    archive.into_inner()?.flush()
}

/// The key first: without it nothing of the rest is of use.
fn files_of(data: &Path, snapshot: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = vec![(host_key::FILE.to_owned(), data.join(host_key::FILE)), (DATABASE_FILE.to_owned(), snapshot.to_owned())];
    let folder = data.join("plugins");
    let mut plugins = Vec::new();
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).map(|name| format!("plugins/{name}"));
                plugins.extend(name.filter(|name| super::is_known(name)).map(|name| (name, path)));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    plugins.sort();
    files.append(&mut plugins);
    Ok(files)
}

fn append(archive: &mut tar::Builder<impl Write>, name: String, path: &Path) -> io::Result<Entry> {
    let file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut hashed = Hashed { from: file.take(bytes), hash: Sha256::new() };
    archive.append_data(&mut header(bytes), &name, &mut hashed)?;
    Ok(Entry { name, bytes, sha256: hex::encode(hashed.hash.finalize()) })
}

/// For its owner alone: what is in it is business data.
fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}

/// Hashes what is read through it.
pub(super) struct Hashed<R> {
    pub from: R,
    pub hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

fn unwritable(data: &Path, error: &io::Error) -> Problem {
    Problem::new(Code::DataFolderUnwritable, format!("a backup needs a copy of the database in {}: {error}", data.display()))
        .fix("make the data folder writable, or free some space")
}
