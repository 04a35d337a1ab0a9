//! The part of JSON Schema (2020-12) in which plugins describe their config, and the check of a config against it.
//!
//! Depends on nothing. A keyword that would not be checked is refused in the manifest, so that none is silently ignored.

use serde_json::{Map, Value};

/// Keywords that are checked.
pub const CHECKED: [&str; 14] = [
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
];
/// A pattern that needs more memory than this once compiled is refused.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Keywords that say something to people and to nobody else (2020-12 validation §9; `format` §7.2.1 is an annotation).
const ANNOTATIONS: [&str; 9] = ["$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "format"];
const TYPES: [&str; 7] = ["object", "array", "string", "integer", "number", "boolean", "null"];

/// What of a schema this cannot check, each as the rest of a sentence: ` has a keyword …`.
pub fn unsupported(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk_schema("", schema, &mut found);
    found
}

fn walk_schema(path: &str, schema: &Value, found: &mut Vec<String>) {
    let Some(object) = schema.as_object() else {
        if !schema.is_boolean() {
            found.push(format!("{path} must be a table"));
        }
        return;
    };
    for keyword in object.keys().filter(|keyword| !CHECKED.contains(&keyword.as_str()) && !ANNOTATIONS.contains(&keyword.as_str())) {
        found.push(format!("{path} has the keyword `{keyword}`, which is not checked in this version; checked are {}", CHECKED.join(", ")));
    }
    for name in type_names(object).into_iter().filter(|name| !TYPES.contains(name)) {
        found.push(format!("{path} has the type `{name}`, which JSON does not have; it has {}", TYPES.join(", ")));
    }
    if let Some(wrong) = object.get("pattern").filter(|wanted| pattern(wanted).is_none()) {
        found.push(format!("{path} has a `pattern` that is not a regular expression: {wrong}"));
    }
    match object.get("properties") {
        Some(Value::Object(properties)) => {
            properties.iter().for_each(|(name, schema)| walk_schema(&format!("{path}.{name}"), schema, found))
        }
        Some(_) => found.push(format!("{path} has `properties` that are not a table")),
        None => {}
    }
    for keyword in ["items", "additionalProperties"] {
        object.get(keyword).into_iter().for_each(|schema| walk_schema(&format!("{path}.{keyword}"), schema, found));
    }
}

/// A pattern ready to match. ECMA-262 in the standard, the `regex` crate's dialect here: the same but for look-around and
/// back references, which it does not have, so that it runs in linear time.
fn pattern(wanted: &Value) -> Option<regex::Regex> {
    regex::RegexBuilder::new(wanted.as_str()?).size_limit(PATTERN_BYTES_MAX).build().ok()
}

/// What of `value` does not fit `schema`, one sentence each.
pub fn mistakes(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check("", schema, value, &mut found);
    found
}

fn check(path: &str, schema: &Value, value: &Value, found: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else { return };
    let name = if path.is_empty() { "the config".to_owned() } else { format!("`{path}`") };
    let types = type_names(schema);
    if !types.is_empty() && !types.iter().any(|wanted| has_type(value, wanted)) {
        let wanted: Vec<_> = types.iter().map(|name| with_article(name)).collect();
        found.push(format!("{name} must be {}; it is {}", wanted.join(" or "), type_of(value)));
        return;
    }
    check_choice(&name, schema, value, found);
    check_bounds(&name, schema, value, found);
    match value {
        Value::Object(object) => check_object(path, schema, object, found),
        Value::Array(items) => {
            let item_schema = schema.get("items").unwrap_or(&Value::Bool(true));
            items.iter().enumerate().for_each(|(index, item)| check(&format!("{path}[{index}]"), item_schema, item, found));
        }
        _ => {}
    }
}

fn check_object(path: &str, schema: &Map<String, Value>, object: &Map<String, Value>, found: &mut Vec<String>) {
    let under = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let no_properties = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&no_properties);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for missing in required.filter(|key| !object.contains_key(*key)) {
        found.push(format!("`{}` is missing", under(missing)));
    }
    for (key, value) in object {
        match (properties.get(key), schema.get("additionalProperties")) {
            (Some(schema), _) => check(&under(key), schema, value, found),
            (None, Some(Value::Bool(false))) => {
                let known: Vec<_> = properties.keys().map(|key| format!("`{key}`")).collect();
                found.push(format!("`{}` is not known; known are {}", under(key), known.join(", ")));
            }
            (None, Some(schema)) => check(&under(key), schema, value, found),
            (None, None) => {}
        }
    }
}

fn check_choice(name: &str, schema: &Map<String, Value>, value: &Value, found: &mut Vec<String>) {
    let choices = schema.get("enum").and_then(Value::as_array).cloned().or_else(|| schema.get("const").map(|only| vec![only.clone()]));
    if let Some(choices) = choices
        && !choices.contains(value)
    {
        let listed: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        found.push(format!("{name} must be one of {}; it is `{value}`", listed.join(", ")));
    }
}

fn check_bounds(name: &str, schema: &Map<String, Value>, value: &Value, found: &mut Vec<String>) {
    let count = |count: usize| u32::try_from(count).ok().map(f64::from);
    let (measure, low, high, unit) = match value {
        Value::Number(number) => (number.as_f64(), "minimum", "maximum", ""),
        Value::String(text) => (count(text.chars().count()), "minLength", "maxLength", " characters long"),
        Value::Array(items) => (count(items.len()), "minItems", "maxItems", " entries long"),
        _ => return,
    };
    let Some(measure) = measure else { return };
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    if let Some(least) = bound(low).filter(|least| measure < *least) {
        found.push(format!("{name} must be at least {least}{unit}"));
    }
    if let Some(most) = bound(high).filter(|most| measure > *most) {
        found.push(format!("{name} must be at most {most}{unit}"));
    }
    if let (Value::String(text), Some(wanted)) = (value, schema.get("pattern"))
        && !pattern(wanted).is_some_and(|pattern| pattern.is_match(text))
    {
        found.push(format!("{name} must match the pattern {wanted}; it is `{}`", text.escape_debug()));
    }
}

fn type_names(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        // JSON Schema core §4.2.3: 1.0 is an integer too.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

fn with_article(name: &str) -> String {
    match name {
        "string" => "a text".to_owned(),
        "array" => "a list".to_owned(),
        "object" | "integer" => format!("an {name}"),
        "boolean" => "true or false".to_owned(),
        "null" => name.to_owned(),
        _ => format!("a {name}"),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses_keywords_it_would_ignore() {
        let schema = json!({"type": "object", "properties": {"a": {"pattern": "("}, "b": {"items": {"anyOf": []}}, "c": 5}, "additionalProperties": {"type": "date"}});
        let mut found: Vec<_> = unsupported(&schema).iter().map(|sentence| sentence.split(';').next().unwrap().to_owned()).collect();
        found.sort();
        assert_eq!(
            found,
            [
                ".a has a `pattern` that is not a regular expression: \"(\"",
                ".additionalProperties has the type `date`, which JSON does not have",
                ".b.items has the keyword `anyOf`, which is not checked in this version",
                ".c must be a table",
            ]
        );
        assert!(unsupported(&json!({"title": "t", "format": "uri", "additionalProperties": false})).is_empty());
    }

    #[test]
    fn names_every_mistake_with_its_path() {
        let schema = json!({
            "type": "object", "required": ["x"],
            "properties": {
                "mode": {"enum": ["a", "b"]}, "n": {"type": "integer", "minimum": 1, "maximum": 9}, "t": {"type": "string", "maxLength": 2, "pattern": "^[a-z]+$"},
                "deep": {"type": "object", "properties": {"list": {"type": "array", "items": {"type": ["string", "null"]}}}},
            },
            "additionalProperties": {"type": "boolean"},
        });
        let value = json!({"mode": "c", "n": 0, "t": "äöü", "deep": {"list": ["a", null, 3]}, "other": 1, "fine": true});
        let mut found = mistakes(&schema, &value);
        found.sort();
        assert_eq!(
            found,
            [
                "`deep.list[2]` must be a text or null; it is a number",
                "`mode` must be one of `\"a\"`, `\"b\"`; it is `\"c\"`",
                "`n` must be at least 1",
                "`other` must be true or false; it is a number",
                "`t` must be at most 2 characters long",
                "`t` must match the pattern \"^[a-z]+$\"; it is `äöü`",
                "`x` is missing",
            ]
        );
        assert!(mistakes(&schema, &json!({"x": true, "n": 9.0, "t": "ao"})).is_empty());
    }
}
