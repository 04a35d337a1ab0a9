//! Reading a backup: checking it, and making a data folder of it.

use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::write::Hashed;
use super::{Entry, FILES_MAX, FORMAT, MANIFEST, Manifest, is_known};
use crate::message_store::sqlite::{self, DATABASE_FILE};
use crate::plugin::host_key;
use crate::problem::{Code, Problem};

/// A list of ten thousand files is below this.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads the whole backup `file` and holds it against its own list. Blocks.
///
/// # Errors
/// LG-3008 for what is no backup, is damaged or not whole; LG-1001 where it cannot be read.
pub fn verify(file: &Path) -> Result<Manifest, Problem> {
    walk(file, |_, from| io::copy(from, &mut io::sink()).map(drop))
}

/// Makes the data folder `data`, which must not be there or be empty, of the backup `file`. Until all of it is there and checked, the
/// folder is not. Blocks.
///
/// # Errors
/// As [`verify`]; LG-3002 for a folder that has something in it, LG-3003 for a backup of a newer version, LG-3006 for a database that is damaged.
pub fn restore(file: &Path, data: &Path) -> Result<Manifest, Problem> {
    refuse_used(data)?;
    let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unwritable = |error: io::Error| {
        Problem::new(Code::DataFolderUnwritable, format!("{}: {error}", parent.display())).fix("make it writable, or free some space")
    };
    std::fs::create_dir_all(parent).map_err(unwritable)?;
    let staging =
        tempfile::Builder::new().prefix(".restoring-").permissions(Permissions::from_mode(0o700)).tempdir_in(parent).map_err(unwritable)?;
    let manifest = walk(file, |name, from| write(staging.path(), name, from))?;
    let database = staging.path().join(DATABASE_FILE);
    sqlite::check_copy(&database)?;
    let version = sqlite::version_of(&database)?;
    if version < 1 || version != manifest.schema {
        return Err(damaged(file, "its database is not one of Lockgate, or not the one its list speaks of"));
    }
    let settle = || {
        for folder in [staging.path().join("plugins"), staging.path().to_owned()] {
            if folder.exists() {
                File::open(folder)?.sync_all()?;
            }
        }
        // An empty folder gives way.
        if data.exists() {
            std::fs::remove_dir(data)?;
        }
        std::fs::rename(staging.path(), data)?;
        File::open(parent)?.sync_all()
    };
    settle().map_err(unwritable)?;
    Ok(manifest)
}

fn refuse_used(data: &Path) -> Result<(), Problem> {
    let is_empty = match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_empty {
        return Ok(());
    }
    Err(Problem::new(Code::DataFolderInUse, format!("{} is not empty: nothing is restored over a data folder", data.display()))
        .fix("move it aside first, or name another one with --data"))
}

/// Hands every file of the archive to `take`, and checks the whole against the list at its end.
fn walk(file: &Path, mut take: impl FnMut(&str, &mut dyn Read) -> io::Result<()>) -> Result<Manifest, Problem> {
    let opened = File::open(file).map_err(|error| {
        Problem::new(Code::FileUnreadable, format!("{}: {error}", file.display())).fix("name a file that `lockgate backup` wrote")
    })?;
    let damaged = |why: String| damaged(file, &why);
    let broken = |error: io::Error| damaged(format!("it cannot be read to its end: {error}"));
    let mut archive = tar::Archive::new(BufReader::new(opened));
    let (mut found, mut manifest) = (Vec::new(), None);
    for entry in archive.entries().map_err(broken)? {
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
        let mut hashed = Hashed { from: &mut entry, hash: Sha256::new() };
        take(&name, &mut hashed).map_err(broken)?;
        let sha256 = hex::encode(hashed.hash.finalize());
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
