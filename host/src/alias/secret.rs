//! Secrets: where they come from ([`SecretSource`]), and the type that holds them and does not print ([`Secret`]).

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::workspace::require_file;
use crate::problem::{Code, Problem};

/// A secret's name, and where it is to be found. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// `crm.client-secret`: the alias and the key; `shop.verify.secret` for what verifies.
    pub name: String,
    pub place: SecretPlace,
}

/// Where a secret is to be found, if nobody set it with `lockgate secret set`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretPlace {
    /// `{ env = "CRM_SECRET" }`
    Env(String),
    /// `{ file = "secrets/crm" }`, relative to the workspace; a trailing line break is cut.
    File(PathBuf),
    /// `{ store = true }`: nowhere else.
    Store,
}

impl SecretRef {
    pub fn env(name: impl Into<String>, variable: impl Into<String>) -> Self {
        Self { name: name.into(), place: SecretPlace::Env(variable.into()) }
    }

    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), place: SecretPlace::File(path.into()) }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            SecretPlace::Env(name) => write!(f, "environment variable {name}"),
            SecretPlace::File(path) => write!(f, "file {}", path.display()),
            SecretPlace::Store => write!(f, "the secrets store ({})", self.name),
        }
    }
}

/// A secret. Not printed, not serialized, compared in constant time, wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the one place that sends or checks them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the values of secrets come from: the machine, or a table in tests.
pub trait SecretSource: Send + Sync + fmt::Debug + 'static {
    /// The secret behind `reference`, read now. An empty one is no secret.
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem>;
}

/// Environment variables and files of the machine.
#[derive(Debug)]
pub struct MachineSecrets {
    workspace: PathBuf,
}

impl MachineSecrets {
    /// Relative files are looked up under `workspace`.
    pub fn new(workspace: impl Into<PathBuf>) -> Self {
        Self { workspace: workspace.into() }
    }
}

/// A secret file larger than this is a mistake.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

impl SecretSource for MachineSecrets {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        let secret = match &reference.place {
            SecretPlace::Env(name) => {
                Secret::new(std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec).unwrap_or_default())
            }
            SecretPlace::File(path) => read_file(&self.workspace.join(path))?,
            SecretPlace::Store => Secret::new(Vec::new()),
        };
        if secret.expose().is_empty() {
            return Err(missing(reference));
        }
        Ok(secret)
    }
}

/// That there is no secret behind `reference`.
pub fn missing(reference: &SecretRef) -> Problem {
    let set = format!("lockgate secret set {}", reference.name);
    let fix = match &reference.place {
        SecretPlace::Env(name) => format!("set {name} in the environment of the host, or: {set}"),
        SecretPlace::File(path) => format!("write the secret into {}, or: {set}", path.display()),
        SecretPlace::Store => set,
    };
    Problem::new(Code::MissingSecret, format!("{reference} holds no secret")).fix(fix)
}

fn read_file(path: &Path) -> Result<Secret, Problem> {
    let problem = |error: std::io::Error| {
        Problem::new(Code::MissingSecret, format!("{}: {error}", path.display())).fix(format!("write the secret into {}", path.display()))
    };
    // Not asked for its size first: a device says none and may never end. With room for all of it: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX as usize + 2));
    // A pipe would be waited for, and with it whoever asks.
    require_file(path)
        .and_then(|()| std::fs::File::open(path))
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(problem)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(problem(std::io::Error::other("larger than 64 KiB")));
    }
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(Secret::new(bytes.as_slice()))
}
