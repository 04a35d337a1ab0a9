//! A workspace in a fresh folder, filled by the test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::build::root;
use super::host::lockgate;

/// Secrets that the tests' environments name.
pub const SHOP_SECRET: &str = "shop-test-secret";
pub const CRM_SECRET_FILE: &str = "crm.secret";

/// A workspace folder, deleted when dropped.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    /// The one that hosts run in.
    environment: &'static str,
    _folder: tempfile::TempDir,
}

impl Workspace {
    /// An empty folder with a `lockgate.toml` that finds the project's own plugins.
    pub fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("lockgate-test-").tempdir().unwrap();
        let workspace = Self { path: folder.path().to_owned(), environment: "test", _folder: folder };
        let plugins = root().join("plugins");
        workspace.write("lockgate.toml", &format!("[plugins]\npaths = [\"plugins\", {:?}]\n", plugins.display().to_string()));
        workspace
    }

    /// A folder `name` that is not there yet.
    pub fn to_make(name: &str, environment: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("lockgate-test-").tempdir().unwrap();
        Self { path: folder.path().join(name), environment, _folder: folder }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// `lockgate NAME . --env ENV` in this folder, with the secrets in its environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = lockgate(self.path());
        command.arg(name).env("SHOP_SECRET", SHOP_SECRET);
        if matches!(name, "run" | "dev" | "check") {
            command.args([".", "--env", self.environment]);
        }
        command
    }

    /// Runs a command to its end with `input` on its standard input.
    pub fn lockgate_with(&self, input: &str, arguments: &[&str]) -> Output {
        let mut command = lockgate(self.path());
        command.args(arguments).env("SHOP_SECRET", SHOP_SECRET);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that does not read it is judged by what it says.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    }

    /// Runs a command to its end.
    pub fn lockgate(&self, arguments: &[&str]) -> Output {
        let mut command = lockgate(self.path());
        command.args(arguments).env("SHOP_SECRET", SHOP_SECRET);
        command.output().unwrap()
    }
}
