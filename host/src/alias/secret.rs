//! Secrets: where they come from ([`SecretSource`]), and the type that holds them and does not print ([`Secret`]).

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::problem::{Code, Problem};

/// Where a secret is to be found. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// `{ env = "CRM_SECRET" }`
    Env(String),
    /// `{ file = "secrets/crm" }`, relative to the workspace; a trailing line break is cut.
    File(PathBuf),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
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
        let bytes = match reference {
            SecretRef::Env(name) => std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec).unwrap_or_default(),
            SecretRef::File(path) => read_file(&self.workspace.join(path))?,
        };
        if bytes.is_empty() {
            return Err(missing(reference));
        }
        Ok(Secret::new(bytes))
    }
}

fn missing(reference: &SecretRef) -> Problem {
    let fix = match reference {
        SecretRef::Env(name) => format!("set {name} in the environment of the host"),
        SecretRef::File(path) => format!("write the secret into {}", path.display()),
    };
    Problem::new(Code::MissingSecret, format!("{reference} holds no secret")).fix(fix)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    let problem = |error: std::io::Error| {
        Problem::new(Code::MissingSecret, format!("{}: {error}", path.display())).fix(format!("write the secret into {}", path.display()))
    };
    // Not asked for its size first: a device says none and may never end.
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(problem)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(problem(std::io::Error::other("larger than 64 KiB")));
    }
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}
