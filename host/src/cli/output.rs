//! Printing: problems, JSON, lines. The only place that writes to standard output.

use serde_json::Value;

pub use crate::printable::{on_one_line, printable};
use crate::problem::Problems;

/// One line on standard output. A closed pipe (`lockgate … | head`) ends the process quietly, as people expect; an answer
/// that cannot be written otherwise (a full disk) ends it with 1, so that no script takes half an answer for a whole one.
pub fn line(text: impl std::fmt::Display) {
    let Err(error) = try_line(text) else { return };
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    complaint(&format!("error: standard output cannot be written: {error}"));
    std::process::exit(1);
}

/// [`line`] for what goes on running whether or not anybody reads it.
pub fn try_line(text: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{text}")
}

/// A value as indented JSON.
pub fn json(value: &impl serde::Serialize) {
    line(pretty(value));
}

/// The text of [`json`].
pub fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What is wrong, on standard error; as JSON on standard output where a script asked for it.
pub fn problems(as_json: bool, problems: &Problems) {
    if as_json {
        return json(&serde_json::json!({ "problems": problems.0 }));
    }
    for problem in &problems.0 {
        complaint(&format!("error: {problem}"));
    }
}

/// A line for people on standard error. Where nobody can read it, it is lost.
pub fn complaint(text: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "{}", printable(text)));
}

/// A field of a JSON answer as text on one line: absent and null as `-`.
pub fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => "-".to_owned(),
        Value::String(text) => on_one_line(text),
        other => other.to_string(),
    }
}

/// A list in a JSON answer; empty where there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_field_on_one_line() {
        assert_eq!(text(&serde_json::json!({"key": "a\nfake  delivered"}), "key"), "a\\nfake  delivered");
    }
}
