//! The host's own key: a secret made once per data folder, from which plugins' random bytes and the seal on compiled code follow.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::alias::secret::Secret;
use crate::problem::{Code, Problem};
use crate::random::Random;

/// The key's file in the data folder.
pub const FILE: &str = "host.key";
/// How long it is.
pub const BYTES: u64 = 32;
const KEY_BYTES: usize = BYTES as usize;

/// The key of the data folder `folder`; made from `random` if there is none yet.
///
/// # Errors
/// LG-3001 if it cannot be read or written, is no key, or others than its owner may read it.
pub fn load_or_create(folder: &Path, random: &dyn Random) -> Result<Secret, Problem> {
    let path = folder.join(FILE);
    match OpenOptions::new().read(true).open(&path) {
        Ok(file) => load(&path, file),
        Err(error) if error.kind() == ErrorKind::NotFound => create(folder, &path, random),
        Err(error) => Err(problem(&path, &error)),
    }
}

fn load(path: &Path, mut file: std::fs::File) -> Result<Secret, Problem> {
    let metadata = file.metadata().map_err(|error| problem(path, &error))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("{} belongs to another user, who knows what is in it", path.display());
        return Err(Problem::new(Code::DataFolderUnwritable, message).fix("give the data folder to the user who runs the host"));
    }
    if metadata.mode() & 0o077 != 0 {
        let message = format!("{} may be read by others than its owner", path.display());
        return Err(Problem::new(Code::DataFolderUnwritable, message).fix(format!("chmod 600 {}", path.display())));
    }
    if metadata.len() != BYTES {
        let message = format!("{} is {} bytes long, not {KEY_BYTES}", path.display(), metadata.len());
        return Err(Problem::new(Code::DataFolderUnwritable, message).fix("restore it from a backup of the data folder"));
    }
    let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
    file.read_exact(&mut key).map_err(|error| problem(path, &error))?;
    Ok(Secret::new(key.to_vec()))
}

/// Written beside its place and moved there, so that no crash leaves half a key.
fn create(folder: &Path, path: &Path, random: &dyn Random) -> Result<Secret, Problem> {
    let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
    random.fill(&mut key);
    let beside = folder.join(format!("{FILE}.new"));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&key)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| problem(path, &error))?;
    Ok(Secret::new(key.to_vec()))
}

fn problem(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::DataFolderUnwritable, format!("{}: {error}", path.display()))
        .fix("give the user who runs the host read and write access to the data folder")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn refuses_a_key_others_may_read_and_one_of_the_wrong_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, [1; 32]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load_or_create(folder.path(), &SeededRandom::new(1)).unwrap_err().fix.unwrap().starts_with("chmod 600"));
        std::fs::write(&path, [1; 31]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load_or_create(folder.path(), &SeededRandom::new(1)).unwrap_err().code, Code::DataFolderUnwritable);
    }

    #[test]
    fn is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_create(folder.path(), &SeededRandom::new(1)).unwrap();
        let second = load_or_create(folder.path(), &SeededRandom::new(2)).unwrap();
        assert_eq!(first, second);
        assert_eq!(first.expose().len(), 32);
        assert_eq!(std::fs::metadata(folder.path().join(FILE)).unwrap().mode() & 0o777, 0o600);
    }
}
