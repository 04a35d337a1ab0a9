//! What a file may say, what answers it gives, and how what happened is held against it. The way through a chamber is tested end to end.

mod judging;
mod parsing;
mod scripting;

use std::path::Path;

use super::file::ScenarioFile;
use crate::problem::Problems;

/// The file of this text, about an integration that nobody looks for.
fn parse(text: &str) -> Result<ScenarioFile, Problems> {
    ScenarioFile::parse("tests/quoted.toml", text, Path::new("/nowhere"), false)
}

/// A file with one scenario that says `rest`.
fn one(rest: &str) -> String {
    format!("integration = \"orders\"\n[[scenario]]\nname = \"one\"\n{rest}\n")
}
