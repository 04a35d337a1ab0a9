//! Where the key of the secrets store is: outside the data folder, so that a copy of the folder opens nothing.
//!
//! Depends on `secret` for what a key is read into. A file is made at the first use; an environment variable must be set.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::seal::{KEY_BYTES, SealKey};
use crate::problem::{Code, Problem};
use crate::random::Random;

/// A key is 44 characters of base64; a file with more than this is none.
const FILE_BYTES_MAX: u64 = 1024;

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    Env(String),
    File(PathBuf),
    /// Nobody said where, and the user has no folder for it.
    Nowhere,
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Nowhere => f.write_str("nowhere: neither HOME nor XDG_CONFIG_HOME is set"),
        }
    }
}

impl KeyPlace {
    /// The user's own: `lockgate/secrets.key` in the folder for configuration (XDG Base Directory Specification).
    pub fn of_user() -> Self {
        let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        config.map_or(Self::Nowhere, |config| Self::File(config.join("lockgate/secrets.key")))
    }

    /// The key, if there is one.
    ///
    /// # Errors
    /// LG-3010 if it cannot be read, is no key, or everybody on the machine may read it.
    pub fn load(&self) -> Result<Option<SealKey>, Problem> {
        let text = match self {
            Self::Nowhere => None,
            Self::Env(name) => std::env::var(name).ok().filter(|text| !text.trim().is_empty()).map(Zeroizing::new),
            Self::File(path) => self.read(path)?,
        };
        text.map(|text| self.key(&text)).transpose()
    }

    /// The key; a file that is not there is made from `random`.
    ///
    /// # Errors
    /// The same, and LG-3010 if it cannot be made.
    pub fn load_or_create(&self, random: &dyn Random) -> Result<SealKey, Problem> {
        if let Some(key) = self.load()? {
            return Ok(key);
        }
        let Self::File(path) = self else {
            return Err(self.problem("holds no key"));
        };
        create(path, random).map_err(|error| self.problem(&format!("cannot be made: {error}")))?;
        // Of two who make it at once the first one's stays.
        self.load()?.ok_or_else(|| self.problem("is gone again"))
    }

    /// Whether it is within `folder`, where it would be copied with what it seals.
    pub fn is_within(&self, folder: &Path) -> bool {
        let Self::File(path) = self else { return false };
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| whole(path));
        whole(path).starts_with(whole(folder)) || path.parent().is_some_and(|parent| real(parent).starts_with(real(folder)))
    }

    fn read(&self, path: &Path) -> Result<Option<Zeroizing<String>>, Problem> {
        let file = match OpenOptions::new().read(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.problem(&format!("cannot be read: {error}"))),
        };
        let cannot = |error: std::io::Error| self.problem(&format!("cannot be read: {error}"));
        if file.metadata().map_err(cannot)?.mode() & 0o007 != 0 {
            return Err(self.problem("may be read by everybody on the machine").fix(format!("chmod 600 {}", path.display())));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(cannot)?;
        Ok(Some(text))
    }

    fn key(&self, text: &str) -> Result<SealKey, Problem> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match STANDARD.decode_slice(text.trim(), &mut *key) {
            Ok(KEY_BYTES) => Ok(SealKey::new(key)),
            _ => Err(self.problem("is no key: 32 bytes in base64, as `head -c 32 /dev/urandom | base64` prints")),
        }
    }

    /// Something about the key that a person has to mend.
    pub fn problem(&self, what: &str) -> Problem {
        let fix = match self {
            Self::Env(name) => format!("set {name} to the key; a new one: head -c 32 /dev/urandom | base64"),
            Self::File(path) => format!("put the key back at {} from where you keep a copy", path.display()),
            Self::Nowhere => "say where it is in lockgate.toml: [secrets] key = { file = \"/etc/lockgate/secrets.key\" }".to_owned(),
        };
        Problem::new(Code::SecretsKey, format!("the key of the secrets store ({self}) {what}")).fix(fix)
    }
}

/// Written beside its place and linked there, so that nobody finds half a key, and a key that is there stays.
fn create(path: &Path, random: &dyn Random) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    random.fill(&mut *key);
    let mut name = [0; 8];
    random.fill(&mut name);
    let beside = path.with_extension(format!("{}.new", hex::encode(name)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(*key)));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| match std::fs::hard_link(&beside, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    std::fs::remove_file(&beside)?;
    written?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::alias::secret::Secret;
    use crate::random::{OsRandom, SeededRandom};

    #[test]
    fn refuses_what_is_no_key_and_what_everybody_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        let place = KeyPlace::File(path.clone());
        let private = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for text in ["", "short", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33]), "not base64 at all, but long enough for it, yes"] {
            private(text, 0o600);
            assert_eq!(place.load().unwrap_err().code, Code::SecretsKey, "{text:?}");
        }
        private(&STANDARD.encode([1; 32]), 0o644);
        assert!(place.load().unwrap_err().fix.unwrap().starts_with("chmod 600"));
        assert_eq!(KeyPlace::Nowhere.load_or_create(&OsRandom).unwrap_err().code, Code::SecretsKey);
        assert!(KeyPlace::Env("LOCKGATE_TEST_NOBODY_SETS_THIS".into()).load_or_create(&OsRandom).is_err());
    }

    #[test]
    fn is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/secrets.key");
        let place = KeyPlace::File(path.clone());
        assert!(place.load().unwrap().is_none());
        let first = place.load_or_create(&SeededRandom::new(1)).unwrap();
        let second = place.load_or_create(&SeededRandom::new(2)).unwrap();
        let sealed = first.seal(("secret", "a"), &Secret::new("x"), &OsRandom).unwrap();
        assert_eq!(second.open(("secret", "a"), &sealed), Ok(Secret::new("x")));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn is_seen_to_be_within_a_folder_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("link")).unwrap();
        let within = |path: &str| KeyPlace::File(folder.path().join(path)).is_within(&data);
        assert!(within("data/secrets.key") && within("data/below/secrets.key") && within("link/secrets.key"));
        assert!(!within("secrets.key") && !within("data.key"));
    }
}
