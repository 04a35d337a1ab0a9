//! Finds what a command needs of the project's own folder: its examples and plugins.

use std::path::{Path, PathBuf};

use crate::problem::{Code, Problem};

/// The project's folder: the given one, or where the program was built. `example` is what has to be in it, and `what` needs it.
pub fn project(directory: &Path, example: &str, what: &str) -> Result<PathBuf, Problem> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut places = [directory.to_owned(), built].into_iter();
    places.find(|place| place.join(example).join("lockgate.toml").is_file()).ok_or_else(|| {
        Problem::new(Code::NoWorkspace, format!("{example} is not below {}", directory.display()))
            .fix(format!("run the {what} in the project's folder, or name it with -C DIR"))
    })
}
