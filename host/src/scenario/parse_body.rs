//! The parts of a scenario that hold content: `json`, `text`, `file`, headers, and the shapes that are expected.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::content::Content;
use super::file::Shape;
use crate::config::json_of;
use crate::config::reader::{Node, Table};
use crate::config::workspace::require_file;
use crate::problem::Code;

/// A file that a scenario names has at most so many bytes: more than any message may.
const FILE_BYTES_MAX: u64 = 64 << 20;
const TEXT_CHARS_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 100;
const POINTERS_MAX: usize = 1_000;

/// What a table says under `json`, `text` or `file`; none where it says none of them. Files are under `base`.
pub fn content(table: &Table<'_>, base: &Path) -> Option<Content> {
    let given: Vec<_> = ["json", "text", "file"].into_iter().filter(|key| table.optional(key).is_some()).collect();
    if let [_, second, ..] = given.as_slice() {
        table.wrong_key(second, Code::WrongValue, format!("`{}` are one too many", given.join("` and `")), "keep one of them");
        return None;
    }
    let mut content = if let Some(node) = table.optional("json") {
        json(&node)?
    } else if let Some(node) = table.optional("text") {
        Content::text(text_of(&node)?)
    } else {
        file(&table.optional("file")?, base)?
    };
    if let Some(node) = table.optional("content-type") {
        content.content_type = node.text(256, "\"application/json\"")?.to_owned();
    }
    Some(content)
}

/// A text that may be empty.
pub fn text_of<'a>(node: &Node<'a>) -> Option<&'a str> {
    if node.value().as_str() == Some("") { Some("") } else { node.text(TEXT_CHARS_MAX, "\"some text\"") }
}

/// A value as JSON; a text is JSON text, in which there may be a null.
fn json(node: &Node<'_>) -> Option<Content> {
    if !node.value().is_str() {
        return Some(Content::json(&json_of(node)?));
    }
    let text = node.text(TEXT_CHARS_MAX, "'{\"id\": null}'")?;
    match serde_json::from_str::<Value>(text) {
        Ok(_) => Some(Content::json_text(text)),
        Err(why) => {
            node.invalid(&format!("is not JSON: {why}"), "{ id = 1 }");
            None
        }
    }
}

fn file(node: &Node<'_>, base: &Path) -> Option<Content> {
    let name = node.text(1024, "\"orders/plain.json\"")?;
    let path = base.join(name);
    let mut body = Vec::new();
    let read =
        require_file(&path).and_then(|()| std::fs::File::open(&path)).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut body));
    match read {
        Ok(_) if body.len() as u64 > FILE_BYTES_MAX => {
            node.note(Code::FileUnreadable, format!("{} has more than 64 MiB", path.display()), "name a smaller file");
            None
        }
        Ok(_) => Some(Content::of_file(&path, body)),
        Err(why) => {
            let fix = format!("paths are under {}; put the file there", base.display());
            node.note(Code::FileUnreadable, format!("{}: {why}", path.display()), fix);
            None
        }
    }
}

/// `{ x-id = "1" }`, names in lower case.
pub fn headers(table: &Table<'_>) -> Option<Vec<(String, String)>> {
    let Some(node) = table.optional("headers") else { return Some(Vec::new()) };
    let map = node.map("{ x-id = \"1\" }")?;
    let mut headers = Vec::new();
    for (name, value) in map.entries() {
        if http::HeaderName::try_from(name).is_err() {
            map.wrong_key(name, Code::WrongValue, format!("`{name}` is no name of a header"), "for example `x-id = \"1\"`");
            return None;
        }
        let value = text_of(&value)?;
        if http::HeaderValue::try_from(value).is_err() {
            map.wrong_key(name, Code::WrongValue, format!("the value of `{name}` cannot be sent"), "one line of text");
            return None;
        }
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    if headers.len() > HEADERS_MAX {
        node.invalid(&format!("has more than {HEADERS_MAX}"), "{ x-id = \"1\" }");
        return None;
    }
    Some(headers)
}

/// What something is expected to look like.
pub fn shape(table: &Table<'_>, base: &Path) -> Option<Shape> {
    let said = ["json", "text", "file"].iter().any(|key| table.optional(key).is_some());
    let whole = if said { Some(content(table, base)?) } else { None };
    let content_type = match table.optional("content-type") {
        Some(node) => Some(node.text(256, "\"application/json\"")?.to_owned()),
        None => None,
    };
    Some(Shape {
        whole,
        fields: fields(table)?,
        absent: pointers(table, "absent")?,
        null: pointers(table, "null")?,
        content_type,
        headers: headers(table)?,
    })
}

fn fields(table: &Table<'_>) -> Option<Vec<(String, Value)>> {
    let Some(node) = table.optional("fields") else { return Some(Vec::new()) };
    let map = node.map("{ \"/customer/name\" = \"Zoë\" }")?;
    let mut fields = Vec::new();
    for (pointer, value) in map.entries() {
        if !is_pointer(pointer) {
            let fix = format!("a JSON pointer starts with `/`: \"/{pointer}\"");
            map.wrong_key(pointer, Code::WrongValue, format!("`{pointer}` is no JSON pointer"), fix);
            return None;
        }
        fields.push((pointer.to_owned(), json_of(&value)?));
    }
    Some(fields)
}

fn pointers(table: &Table<'_>, key: &str) -> Option<Vec<String>> {
    let Some(node) = table.optional(key) else { return Some(Vec::new()) };
    let pointer = |text: &str| if is_pointer(text) { Ok(text.to_owned()) } else { Err("a JSON pointer starts with `/`".to_owned()) };
    let nodes = node.list(POINTERS_MAX, "[\"/customer\"]")?;
    nodes.iter().map(|node| node.parsed("[\"/customer\"]", pointer)).collect()
}

/// RFC 6901, section 3.
fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/')) && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}
