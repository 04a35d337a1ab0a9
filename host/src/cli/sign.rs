//! `lockgate sign`: signatures beside components, and keys to make them with.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Common, Failure, output};
use crate::alias::secret::Secret;
use crate::partial;
use crate::plugin::component::Facts;
use crate::plugin::library::read_component;
use crate::plugin::signature::{Signature, SigningKey};
use crate::problem::{Code, Problem, Problems};
use crate::random::OsRandom;

/// Sign plugins, so that hosts which require it run them
///
/// Writes FILE.sig beside each FILE: an Ed25519 signature over the whole file. A host whose lockgate.toml says `require-signed` runs what one of
/// its `trusted-keys` has signed, and nothing else.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate sign --new-key acme.pem
  lockgate sign --key acme.pem plugins/salesforce@1.0.0.wasm

OpenSSL 3 makes the same keys and signatures:
  openssl genpkey -algorithm ed25519 -out acme.pem
  openssl pkey -in acme.pem -pubout
  openssl pkeyutl -sign -rawin -inkey acme.pem -in FILE -out FILE.sig")]
pub struct Sign {
    /// Components, such as plugins/salesforce@1.0.0.wasm
    #[arg(required_unless_present = "new_key", conflicts_with = "new_key", requires = "key", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The private key: Ed25519, PKCS #8 as PEM, without a password
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Make a new private key and show what belongs into `trusted-keys`
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    new_key: Option<PathBuf>,
}

impl Sign {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        if let Some(path) = &self.new_key {
            return new_key(common, path);
        }
        let key = read_key(self.key.as_deref().unwrap_or(Path::new("")))?;
        let (mut problems, mut signed) = (Problems::default(), Vec::new());
        for file in &self.files {
            match sign(&key, file) {
                Ok(path) => signed.push(path),
                Err(problem) => problems.push(problem),
            }
        }
        let public = key.public().to_string();
        match common.json {
            true => output::json(&json!({ "signatures": signed, "public-key": public })),
            false => signed.iter().for_each(|path| output::line(format_args!("{} by {public}", path.display()))),
        }
        Ok(problems.or(())?)
    }
}

/// What is no plugin is not signed: that would come to light on every host but this.
fn sign(key: &SigningKey, file: &Path) -> Result<PathBuf, Problem> {
    let bytes = read_component(file)?;
    let facts = Facts::of(&file.display().to_string(), &bytes)?;
    if facts.manifest.is_none() {
        let message = format!("{} has no manifest inside that says which plugin and version it is", file.display());
        return Err(
            Problem::new(Code::BadManifest, message).fix("build it with its plugin.toml: no host that requires signatures runs it without")
        );
    }
    let path = Signature::path_of(file);
    write(&path, key.sign(&bytes).bytes()).map_err(|error| unwritable(&path, &error))?;
    Ok(path)
}

/// In the place of whatever is there, and never through a link to somewhere else.
fn write(path: &Path, signature: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = partial::in_folder(folder)?;
    file.write_all(signature)?;
    // Everybody may read it, as they may the component.
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn read_key(path: &Path) -> Result<SigningKey, Problem> {
    const FIX: &str = "lockgate sign --new-key FILE, or openssl genpkey -algorithm ed25519 -out FILE";
    let pem = std::fs::read(path).map(Secret::new);
    let pem = pem.map_err(|error| Problem::new(Code::FileUnreadable, format!("{}: {error}", path.display())).fix(FIX))?;
    SigningKey::from_pem(&pem).ok_or_else(|| {
        Problem::new(Code::FileUnreadable, format!("{} holds no Ed25519 private key (PKCS #8 as PEM, without a password)", path.display()))
            .fix(FIX)
    })
}

fn new_key(common: &Common, path: &Path) -> Result<(), Failure> {
    let pem = SigningKey::new_pem(&OsRandom);
    let made = SigningKey::from_pem(&Secret::new(pem.as_bytes()));
    let public = made.ok_or_else(|| Problem::new(Code::Internal, "a new key cannot be read"))?.public().to_string();
    // Never over another key: what it signed could not be signed again.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all())).map_err(|error| unwritable(path, &error))?;
    if common.json {
        output::json(&json!({ "key": path, "public-key": public }));
        return Ok(());
    }
    output::line(format_args!("{}: the private key; whoever has it signs for you", path.display()));
    output::line("for lockgate.toml of the hosts that trust it:");
    output::line(format_args!("[plugins.trusted-keys]\n{} = \"{public}\"", name(path)));
    Ok(())
}

/// A name for the key: what its file is called, where that is a name.
fn name(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| crate::config::is_name(stem)).unwrap_or("acme")
}

fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", path.display()))
        .fix("name a place that can be written to, and where nothing is in the way")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_written_in_the_place_of_a_link_and_not_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let (precious, path) = (folder.path().join("precious"), folder.path().join("p@1.0.0.wasm.sig"));
        std::fs::write(&precious, "kept").unwrap();
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!((std::fs::read_to_string(&precious).unwrap().as_str(), std::fs::read(&path).unwrap().as_slice()), ("kept", &b"two"[..]));
        assert!(path.symlink_metadata().unwrap().is_file());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "and nothing is left beside it");
    }
}
