//! Printing: problems, JSON, tables. The only place that writes to standard output.

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

/// A table with a header, columns padded to their widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(padded.join("  ").trim_end());
    };
    print(&mut header.iter().copied());
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
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

/// `350 ms`, `4 s`, `12 min`, `3 h`, `2 d`.
pub fn duration_ms(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}
