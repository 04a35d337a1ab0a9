//! Python: modules, which `lockgate_build` gathered, and the interpreter, which the package of `componentize-py` carries.

use std::path::{Path, PathBuf};

use lockgate_python_link::{Error, Parts, Source, component};
use serde::{Deserialize, Serialize};

use super::super::told::Told;
use super::tree::tree;
use super::{LEAVE_TO_THE_CALL, Why, unusable};

/// Where everything is.
#[derive(Debug, Serialize, Deserialize)]
pub struct PythonTask {
    /// The program that carries the interpreter. Its place says which one it is.
    pub program: PathBuf,
    /// Modules, each file by its path.
    pub app: PathBuf,
    /// The module that starts it all.
    pub main: String,
    /// Folders of WIT.
    pub worlds: Vec<PathBuf>,
    /// The world that is linked.
    pub world: String,
}

impl PythonTask {
    pub fn sources(&self) -> Vec<&Path> {
        std::iter::once(&self.app).chain(&self.worlds).map(PathBuf::as_path).collect()
    }

    pub fn link(&self, out: &Path) -> Result<(), Why> {
        let program = std::fs::read(&self.program).map_err(|error| unusable(&self.program, &error))?;
        let app = tree(&self.app).map_err(|error| unusable(&self.app, &error))?;
        let wit: Vec<&Path> = self.worlds.iter().map(PathBuf::as_path).collect();
        let source = Source { app: &app, main: &self.main, wit: &wit, world: &self.world };
        let linked = Parts::of_program(&program).and_then(|parts| component(&parts, &source));
        std::fs::write(out, linked.map_err(|error| why(&error))?).map_err(|error| unusable(out, &error))
    }
}

fn why(error: &Error) -> Why {
    if let Some(told) = error.told() {
        let lockgate_python_link::Told { message, file, line, column, text, fix, traceback } = told;
        return Told { message, file, line, column, text, fix, traceback }.into();
    }
    let told = Told::of(error.to_string());
    if matches!(error, Error::Endless(_)) { told.fix(LEAVE_TO_THE_CALL).into() } else { told.into() }
}
