//! The token that opens the admin API: made at the first start, kept in a file only its owner can read.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::alias::secret::Secret;
use crate::problem::{Code, Problem};
use crate::random::Random;

/// The token's file in the data folder.
pub const FILE_NAME: &str = "admin-token";
/// 256 bits: beyond guessing.
const RANDOM_BYTES: usize = 32;
/// A token somebody wrote by hand may be shorter or longer, within reason.
const TOKEN_CHARS_MIN: usize = 16;
const FILE_BYTES_MAX: u64 = 4096;

/// The token of `folder`; made from `random` if there is none yet.
///
/// # Errors
/// The file cannot be read or written, or holds no token.
pub fn load_or_create(folder: &Path, random: &dyn Random) -> Result<Secret, Problem> {
    match load(folder)? {
        Some(token) => Ok(token),
        None => create(folder, random),
    }
}

/// The token of `folder`, for a command on the same machine; none if no host has run there yet.
///
/// # Errors
/// The file cannot be read, or holds no token.
pub fn load(folder: &Path) -> Result<Option<Secret>, Problem> {
    let path = folder.join(FILE_NAME);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&path, &error)),
    };
    let mode = file.metadata().map_err(|error| unreadable(&path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "others may read the admin token: chmod 600");
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(&path, &error))?;
    let token = text.trim();
    if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("{} holds no token of at least {TOKEN_CHARS_MIN} characters", path.display());
        return Err(Problem::new(Code::FileSyntax, message).fix("delete the file: the next start makes a new token"));
    }
    Ok(Some(Secret::new(token)))
}

/// Written beside and moved into place, so that there is never half a token.
fn create(folder: &Path, random: &dyn Random) -> Result<Secret, Problem> {
    let path = folder.join(FILE_NAME);
    let unwritable = |error: std::io::Error| {
        Problem::new(Code::DataFolderUnwritable, format!("{}: {error}", path.display()))
            .fix(format!("make {} writable for the user the host runs as", folder.display()))
    };
    let mut bytes = zeroize::Zeroizing::new([0; RANDOM_BYTES]);
    random.fill(bytes.as_mut());
    let token = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    writeln!(file, "{}", token.as_str()).map_err(unwritable)?;
    file.as_file().sync_all().map_err(unwritable)?;
    file.persist_noclobber(&path).map_err(|error| unwritable(error.error))?;
    Ok(Secret::new(token.as_bytes()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let path = PathBuf::from(path);
    Problem::new(Code::FileUnreadable, format!("{}: {error}", path.display()))
        .fix("run as the user the host runs as, or set LOCKGATE_TOKEN")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{OsRandom, SeededRandom};

    #[test]
    fn refuses_a_file_that_holds_no_token() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["", "\n", "short\n", "two words that are long enough\n"] {
            std::fs::write(folder.path().join(FILE_NAME), content).unwrap();
            let problem = load_or_create(folder.path(), &OsRandom).unwrap_err();
            assert!(problem.fix.is_some(), "{problem}");
        }
    }

    #[test]
    fn names_the_folder_that_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let problem = load_or_create(&folder.path().join("none"), &OsRandom).unwrap_err();
        assert_eq!(problem.code, Code::DataFolderUnwritable);
    }

    #[test]
    fn makes_a_token_only_its_owner_can_read_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        let made = load_or_create(folder.path(), &SeededRandom::new(1)).unwrap();
        assert_eq!(made.expose().len(), 43);
        let mode = std::fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(load_or_create(folder.path(), &SeededRandom::new(2)).unwrap(), made);
        assert_eq!(load(folder.path()).unwrap(), Some(made));
    }
}
