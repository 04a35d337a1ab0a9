//! An observation as the draft of a mapping document, in Markdown: who owns a field, and why it is as it is, people write into it. Pure.

use super::observation::{Becomes, FieldSeen, Observation};
use crate::printable::on_one_line;

/// The document.
pub fn draft(seen: &Observation) -> String {
    let mut lines = vec![
        format!("# Mapping of {} (draft)", text(&seen.about)),
        String::new(),
        format!("Made by `lockgate mapping observe` over {}. {}", samples(seen.used()), seen.remark),
        String::new(),
    ];
    lines.extend(seen.plugins.iter().map(|plugin| format!("- {} {}, `{}`", text(&plugin.name), plugin.version, plugin.digest)));
    lines.extend(fields(seen));
    lines.extend(listed("Fields without which a message is not delivered", &seen.fields, &|field| {
        (!field.missing.is_empty()).then(|| format!("{}: {}", code(&field.field), all(&field.missing)))
    }));
    lines.extend(listed("Fields that decide what becomes of a message", &seen.fields, &|field| {
        (!field.decides.is_empty()).then(|| format!("{}: with other values {}", code(&field.field), all(&field.decides)))
    }));
    lines.extend(table(
        "Constants",
        &["Target field", "Value", "Note"],
        seen.constants.iter().map(|constant| vec![code(&constant.output), code(&constant.value.to_string()), String::new()]),
    ));
    lines.extend(listed("Targets made of something else", &seen.unexplained, &|output| Some(code(output))));
    lines.extend(listed("Fields that seem unused", &seen.fields, &|field| field.seems_unused().then(|| code(&field.field))));
    lines.extend(listed("Fields that are null in every sample", &seen.fields, &|field| field.not_varied.then(|| code(&field.field))));
    lines.extend(table(
        "Samples",
        &["Message", "As it is"],
        seen.samples.iter().map(|sample| vec![text(&sample.name), text(&sample.intact)]),
    ));
    lines.push(String::new());
    lines.join("\n")
}

/// How many there are, for people.
pub fn samples(count: usize) -> String {
    if count == 1 { "1 sample message".to_owned() } else { format!("{count} sample messages") }
}

fn fields(seen: &Observation) -> Vec<String> {
    let header = ["Source field", "Target field", "Conversion", "When it is missing", "Example", "Owner", "Note"];
    let row = |(field, becomes): (&FieldSeen, &Becomes)| {
        let (missing, example) = (text(&becomes.when_missing(field)), becomes.example(&code));
        vec![code(&field.field), code(&becomes.output), becomes.how.as_str().to_owned(), missing, example, String::new(), String::new()]
    };
    seen.tables().into_iter().flat_map(|(title, links)| table(title, &header, links.into_iter().map(row))).collect()
}

fn all(told: &std::collections::BTreeSet<String>) -> String {
    told.iter().map(|one| text(one)).collect::<Vec<_>>().join("; ")
}

fn listed<T>(title: &str, all: &[T], told: &dyn Fn(&T) -> Option<String>) -> Vec<String> {
    let items: Vec<String> = all.iter().filter_map(told).map(|item| format!("- {item}")).collect();
    if items.is_empty() { items } else { [String::new(), format!("## {title}"), String::new()].into_iter().chain(items).collect() }
}

fn table(title: &str, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let rows: Vec<String> = rows.map(|row| line(&row)).collect();
    if rows.is_empty() {
        return rows;
    }
    let names: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let rule = format!("|{}", "---|".repeat(header.len()));
    [String::new(), format!("## {title}"), String::new(), line(&names), rule].into_iter().chain(rows).collect()
}

/// Text of messages and plugins in a cell: nothing in it is Markdown.
fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in on_one_line(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}

/// The same as code, in as many backticks as it takes (CommonMark 0.31, section 6.1).
fn code(text: &str) -> String {
    let text = on_one_line(text).replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.saturating_add(1));
    let space = if longest > 0 || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}
