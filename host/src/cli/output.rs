//! Printing: problems, JSON, lines. The only place that writes to standard output.

use serde_json::Value;

use crate::problem::Problems;

/// One line on standard output. A closed pipe (`lockgate … | head`) ends the process quietly, as people expect.
pub fn line(text: impl std::fmt::Display) {
    use std::io::Write;
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// A value as indented JSON.
pub fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_default());
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

/// A line for people on standard error.
#[expect(clippy::print_stderr, reason = "the one place that tells people what is wrong")]
pub fn complaint(text: &str) {
    eprintln!("{text}");
}

/// A field of a JSON answer as text: absent and null as `-`.
pub fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// Text from outside for a terminal: control characters escaped, so that a message cannot move the cursor.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// A list in a JSON answer; empty where there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
