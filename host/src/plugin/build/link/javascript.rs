//! JavaScript: a bundle, which the SDK's builder made, and the engine, which a package of `componentize-qjs` carries.

use std::path::{Path, PathBuf};

use lockgate_js_link::{Engine, Error, Source, component};
use serde::{Deserialize, Serialize};

use super::super::told::Told;
use super::{LEAVE_TO_THE_CALL, Why, unusable};

/// Where everything is.
#[derive(Debug, Serialize, Deserialize)]
pub struct JavaScriptTask {
    /// The native library that carries the engine. Its place says which one it is.
    pub program: PathBuf,
    /// One module.
    pub bundle: PathBuf,
    /// A folder with the world, and below `deps` the package of the host.
    pub wit: PathBuf,
    /// The world that is linked.
    pub world: String,
}

impl JavaScriptTask {
    pub fn sources(&self) -> Vec<&Path> {
        vec![&self.bundle, &self.wit]
    }

    pub fn link(&self, out: &Path) -> Result<(), Why> {
        let program = std::fs::read(&self.program).map_err(|error| unusable(&self.program, &error))?;
        let bundle = std::fs::read_to_string(&self.bundle).map_err(|error| unusable(&self.bundle, &error))?;
        let source = Source { bundle: &bundle, wit: &self.wit, world: &self.world };
        let linked = Engine::of_package(&program).and_then(|engine| component(&engine, &source));
        std::fs::write(out, linked.map_err(|error| why(&error))?).map_err(|error| unusable(out, &error))
    }
}

fn why(error: &Error) -> Why {
    match error {
        Error::Load(said) => Why::Engine(said.clone()),
        Error::Endless(_) => Told::of(error.to_string()).fix(LEAVE_TO_THE_CALL).into(),
        Error::Engine(_) | Error::Link(_) => Told::of(error.to_string()).into(),
    }
}
