//! A text opened in the editor of who sits at the terminal.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use tempfile::NamedTempFile;

use crate::problem::{Code, Problem};

const FALLBACK: &str = "vi";

/// What was edited, in a file that only its owner reads and that goes away with this.
#[derive(Debug)]
pub struct Edited(NamedTempFile);

/// Opens `text` in `$VISUAL`, `$EDITOR` or `vi`, and waits until it is closed.
///
/// # Errors
/// A temporary file that cannot be written, and an editor that cannot be started or says that it failed.
pub fn edit(text: &str, suffix: &str) -> Result<Edited, Problem> {
    let mut file = tempfile::Builder::new().prefix("lockgate-").suffix(suffix).tempfile().map_err(|error| unwritable(&error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(|error| unwritable(&error))?;
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty()));
    let editor = editor.unwrap_or_else(|| FALLBACK.to_owned());
    // With arguments, as in `code --wait`.
    let mut words = editor.split_whitespace();
    let ended = Command::new(words.next().unwrap_or(FALLBACK)).args(words).arg(file.path()).status();
    match ended {
        Ok(status) if status.success() => Ok(Edited(file)),
        Ok(status) => Err(Problem::new(Code::WrongUsage, format!("the editor `{editor}` failed ({status}); nothing was done"))
            .fix("edit again, or give the new body with --body FILE")),
        Err(error) => Err(Problem::new(Code::ToolMissing, format!("the editor `{editor}` cannot be started: {error}"))
            .fix("set EDITOR to one that is installed, or give the new body with --body FILE")),
    }
}

impl Edited {
    /// What the file holds now; editors may have put another in its place.
    ///
    /// # Errors
    /// A file that is gone.
    pub fn bytes(&self) -> Result<Bytes, Problem> {
        std::fs::read(self.0.path()).map(Bytes::from).map_err(|error| unwritable(&error))
    }

    /// Leaves the file where it is.
    ///
    /// # Errors
    /// As the system says.
    pub fn keep(self) -> Result<PathBuf, Problem> {
        self.0.keep().map(|(_, path)| path).map_err(|error| unwritable(&error.error))
    }
}

fn unwritable(error: &std::io::Error) -> Problem {
    Problem::new(Code::WrongUsage, format!("the file to edit in cannot be used: {error}")).fix("give the new body with --body FILE")
}
