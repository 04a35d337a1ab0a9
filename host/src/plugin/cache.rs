//! [`CompileCache`]: compiled components on disk. They are native code, so only what this host compiled and sealed is loaded.
//!
//! A file is named by the component's digest and by what compiled it, and starts with an HMAC-SHA256 under the host's key
//! over both and the code. One that does not verify is compiled anew and replaced.

use std::fs::{DirBuilder, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::native_code::NativeCode;
use crate::alias::secret::Secret;
use crate::crash_point::{CrashPoint, reached};
use crate::partial;
use crate::problem::{Code, Problem};

const SEAL_BYTES: usize = 32;
/// A compiled component larger than this is not kept.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The folder `cache/compiled` of a data folder.
#[derive(Debug)]
pub struct CompileCache {
    folder: PathBuf,
    key: Secret,
}

impl CompileCache {
    /// Makes the folder if need be, closed to everybody but its owner. No other host may be using it.
    ///
    /// # Errors
    /// LG-3001 if the folder cannot be made or belongs to somebody else.
    pub fn open(data_folder: &Path, key: Secret) -> Result<Self, Problem> {
        let cache = Self::beside(data_folder, key)?;
        partial::clear(&cache.folder);
        Ok(cache)
    }

    /// The same beside the host that uses it: files come into being whole, so both may write.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn beside(data_folder: &Path, key: Secret) -> Result<Self, Problem> {
        let folder = data_folder.join("cache").join("compiled");
        let unwritable = |why: String| {
            Problem::new(Code::DataFolderUnwritable, format!("{}: {why}", folder.display()))
                .fix("give the folder to the user who runs the host, or remove it: it is only a cache")
        };
        let metadata = DirBuilder::new().recursive(true).mode(0o700).create(&folder).and_then(|()| std::fs::symlink_metadata(&folder));
        let metadata = metadata.map_err(|error| unwritable(error.to_string()))?;
        if !metadata.is_dir() {
            return Err(unwritable("is a link to another folder".to_owned()));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(unwritable("belongs to another user".to_owned()));
        }
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).map_err(|error| unwritable(error.to_string()))?;
        Ok(Self { folder, key })
    }

    /// The compiled form of the component with this digest, if this host compiled it for this engine.
    pub fn load(&self, engine: &Engine, digest: &str) -> Option<NativeCode> {
        let path = self.path(engine, digest);
        // Read once into memory that is ours, so that what is checked is what is loaded.
        let mut file = match read(&path) {
            Ok(file) => file,
            Err(why) if why.kind() == ErrorKind::NotFound => return None,
            Err(why) => {
                tracing::warn!(file = %path.display(), %why, "compiled code is not taken from what is no file of this host; compiling anew");
                return None;
            }
        };
        let (seal, code) = file.split_at_checked(SEAL_BYTES).unwrap_or((&[], &file));
        if self.mac(engine, digest, code)?.verify_slice(seal).is_err() {
            tracing::warn!(file = %path.display(), "compiled code that this host did not write, or that was changed since; compiling anew");
            return None;
        }
        Some(NativeCode::of_this_host(file.split_off(SEAL_BYTES)))
    }

    /// Keeps what a component was compiled to. That it could not be kept costs the next start time, and nothing else.
    pub fn store(&self, engine: &Engine, digest: &str, code: &NativeCode) {
        if let Err(why) = self.try_store(engine, digest, code.bytes()) {
            tracing::warn!(%why, folder = %self.folder.display(), "compiled code could not be kept");
        }
    }

    /// Of all that is kept, the latest `files_max` files stay.
    pub fn keep_latest(&self, files_max: usize) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let written = |entry: std::fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
        let mut files: Vec<_> = entries.filter_map(written).collect();
        files.sort();
        for (_, path) in files.iter().rev().skip(files_max) {
            if let Err(why) = std::fs::remove_file(path) {
                tracing::warn!(file = %path.display(), %why, "old compiled code could not be removed");
            }
        }
    }

    fn try_store(&self, engine: &Engine, digest: &str, code: &[u8]) -> std::io::Result<()> {
        let Some(mac) = self.mac(engine, digest, code) else { return Ok(()) };
        let path = self.path(engine, digest);
        let mut beside = partial::in_folder(&self.folder)?;
        beside.write_all(&mac.finalize().into_bytes())?;
        beside.write_all(code)?;
        beside.as_file().sync_all()?;
        reached(CrashPoint::CompileCacheWriting);
        beside.persist(&path).map_err(|error| error.error)?;
        reached(CrashPoint::CompileCacheWritten);
        Ok(())
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let name = if digest.bytes().all(|byte| byte.is_ascii_hexdigit()) { digest } else { "unnamed" };
        self.folder.join(format!("{name}-{}", hex::encode(&compatibility(engine)[..8])))
    }

    fn mac(&self, engine: &Engine, digest: &str, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose()).ok()?;
        mac.update(b"compiled component\0");
        mac.update(&compatibility(engine));
        mac.update(&u64::try_from(digest.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(digest.as_bytes());
        mac.update(code);
        Some(mac)
    }
}

/// A file's content, if it is one, and this user's. A link is not followed, and nobody is waited for at the other end of a pipe.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() || metadata.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other("another user's, too large, or no file"));
    }
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

/// SHA-256 over all that decides whether compiled code fits an engine.
fn compatibility(engine: &Engine) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
