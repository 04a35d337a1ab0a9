//! What differs between two bodies, for edits and for rehearsals: [`Difference`]. Of JSON field by field, else of text line by line; what is neither is only measured.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

/// Fields or lines told at most; `more` counts the others.
const TOLD_MAX: usize = 500;
/// Values that each of many documents may have to be told field by field: each takes up far more than it is written with.
const VALUES_MAX: usize = 20_000;
/// Of a longer name the beginning is told: it stands in the path of everything below it.
const NAME_BYTES_MAX: usize = 256;
/// Lines that did not change around those that did.
const AROUND: usize = 3;
/// Then what is left is told as changed all together.
const LINES_WITHIN: Duration = Duration::from_secs(1);

/// What differs between two bodies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Difference {
    /// Between two JSON documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Between other texts, and between JSON documents that say the same: a unified diff.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// Fields or lines beyond those.
    pub more: usize,
    /// What else differs, by name: `content-type`, `key`, `body-bytes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<FactChange>,
}

/// A field that is another, or is there on one side only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FieldChange {
    /// A JSON Pointer (RFC 6901).
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FactChange {
    pub name: &'static str,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What differs between two bodies.
pub(crate) fn between(before: &[u8], after: &[u8]) -> Difference {
    if let Some(difference) = fields(before, after).filter(|difference| !difference.fields.is_empty()) {
        return difference;
    }
    let mut difference = Difference::default();
    match (std::str::from_utf8(before), std::str::from_utf8(after)) {
        (Ok(old), Ok(new)) => lines(&mut difference, old, new),
        _ => difference.fact("body-bytes", Some(before.len().to_string()), Some(after.len().to_string())),
    }
    difference
}

/// Which fields differ between two JSON documents; none where one of them is none.
pub(crate) fn fields(before: &[u8], after: &[u8]) -> Option<Difference> {
    let (old, new) = (serde_json::from_slice::<Value>(before).ok()?, serde_json::from_slice::<Value>(after).ok()?);
    let mut difference = Difference::default();
    compare(&mut difference, &mut String::new(), Some(&old), Some(&new));
    Some(difference)
}

/// The same for documents that nobody waits for, and of which there are many: none where one of them has very many values.
pub(crate) fn fields_of_few(before: &[u8], after: &[u8]) -> Option<Difference> {
    let is_large = [before, after].into_iter().any(|document| values(document) > VALUES_MAX);
    if is_large { None } else { fields(before, after) }
}

impl Difference {
    /// Tells of `name`, where it is not the same.
    pub(crate) fn fact(&mut self, name: &'static str, before: Option<String>, after: Option<String>) {
        if before != after {
            self.facts.push(FactChange { name, before, after });
        }
    }
}

/// At least as many as it has: a value comes after one of these, or is the first.
fn values(document: &[u8]) -> usize {
    document.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

/// `path` is where the two are; it is left as it was. No deeper than serde_json reads (128).
fn compare(difference: &mut Difference, path: &mut String, before: Option<&Value>, after: Option<&Value>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (name, value) in old {
                within(path, name, |path| compare(difference, path, Some(value), new.get(name)));
            }
            for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                within(path, name, |path| compare(difference, path, None, Some(value)));
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                within(path, &index.to_string(), |path| compare(difference, path, old.get(index), new.get(index)));
            }
        }
        (before, after) if before == after => {}
        _ if difference.fields.len() >= TOLD_MAX => difference.more += 1,
        (before, after) => {
            difference.fields.push(FieldChange { path: path.clone(), before: before.cloned(), after: after.cloned() });
        }
    }
}

fn within(path: &mut String, name: &str, look: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    let shown = name.get(..name.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or(name);
    path.push_str(&shown.replace('~', "~0").replace('/', "~1"));
    if shown.len() < name.len() {
        path.push('…');
    }
    look(path);
    path.truncate(length);
}

fn lines(difference: &mut Difference, before: &str, after: &str) {
    let compared = TextDiff::configure().timeout(LINES_WITHIN).diff_lines(before, after);
    let unified = compared.unified_diff().context_radius(AROUND).to_string();
    let mut lines = unified.lines();
    difference.lines = lines.by_ref().take(TOLD_MAX).map(str::to_owned).collect();
    difference.more = lines.count();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &str, after: &str) -> Value {
        serde_json::to_value(between(before.as_bytes(), after.as_bytes())).unwrap()
    }

    #[test]
    fn tells_of_json_which_fields_are_others_came_or_went() {
        let before = r#"{"id":7,"customer":{"name":"Zo","a/b~c":1},"lines":[{"sku":"x"},{"sku":"y"}],"gone":null}"#;
        let after = r#"{"customer":{"name":"Zoë","a/b~c":2},"lines":[{"sku":"x"}],"id":"7","new":[1]}"#;
        let fields = json!([
            { "path": "/id", "before": 7, "after": "7" },
            { "path": "/customer/name", "before": "Zo", "after": "Zoë" },
            { "path": "/customer/a~1b~0c", "before": 1, "after": 2 },
            { "path": "/lines/1", "before": { "sku": "y" } },
            { "path": "/gone", "before": null },
            { "path": "/new", "after": [1] },
        ]);
        assert_eq!(told(before, after), json!({ "fields": fields, "more": 0 }));
    }

    #[test]
    fn tells_numbers_apart_that_are_written_differently_and_of_layout_line_by_line() {
        let amount = json!({ "fields": [{ "path": "/n", "before": "…", "after": "…" }], "more": 0 });
        let long = between(br#"{"n":12345678901234567890123}"#, br#"{"n":12345678901234567890124}"#);
        assert_eq!((long.fields.len(), amount["fields"][0]["path"].as_str()), (1, Some(long.fields[0].path.as_str())));
        let layout = told("{\"a\":1}\n", "{\n\"a\":1}\n");
        assert_eq!(layout, json!({ "lines": ["@@ -1 +1,2 @@", "-{\"a\":1}", "+{", "+\"a\":1}"], "more": 0 }));
    }

    #[test]
    fn tells_of_other_text_which_lines_are_others() {
        let told = told("a;1\nb;2\nc;3\n", "a;1\nb;7\nc;3\n");
        assert_eq!(told, json!({ "lines": ["@@ -1,3 +1,3 @@", " a;1", "-b;2", "+b;7", " c;3"], "more": 0 }));
    }

    #[test]
    fn tells_of_bytes_only_how_many() {
        let told = serde_json::to_value(between(&[0xff, 0], &[0xff])).unwrap();
        assert_eq!(told, json!({ "more": 0, "facts": [{ "name": "body-bytes", "before": "2", "after": "1" }] }));
    }

    #[test]
    fn a_document_of_very_many_values_is_not_taken_apart() {
        let many = |values: usize| format!(r#"[{}{{"a":1}}]"#, r#"{"a":0},"#.repeat(values));
        assert!(fields_of_few(many(10).as_bytes(), many(11).as_bytes()).is_some());
        assert_eq!(fields_of_few(many(10).as_bytes(), many(VALUES_MAX).as_bytes()), None);
        let large = format!(r#"{{"file":"{}"}}"#, "x".repeat(1024 * 1024));
        assert!(fields_of_few(large.as_bytes(), b"{}").is_some(), "a large one of few is");
    }

    #[test]
    fn tells_only_so_much_and_counts_the_rest() {
        let many = |value: usize| serde_json::to_string(&vec![value; TOLD_MAX + 3]).unwrap();
        let difference = between(many(1).as_bytes(), many(2).as_bytes());
        assert_eq!((difference.fields.len(), difference.more), (TOLD_MAX, 3));
        let lines = |value: usize| format!("{value}x\n").repeat(TOLD_MAX);
        let difference = between(lines(1).as_bytes(), lines(2).as_bytes());
        assert_eq!((difference.lines.len(), difference.more), (TOLD_MAX, TOLD_MAX + 1));
    }
}
