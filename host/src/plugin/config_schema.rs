//! JSON Schema (2020-12) in which plugins describe their config, and the check of a config against it.
//!
//! Depends on the `jsonschema` crate, without anything that would fetch a remote schema, and with a regular-expression engine
//! that takes linear time: manifests may come from vendors nobody trusts.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// Mistakes of one config that are told.
const MISTAKES_MAX: usize = 20;

/// References in one schema at most. Each may be followed from several places, so a few dozen that lead to one another
/// can keep a check busy for years.
const REFERENCES_MAX: usize = 32;

/// A schema as JSON that is longer is not compiled: it is for people to read.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Patterns in one schema, those in `patternProperties` included. Each is compiled, in the host itself.
const PATTERNS_MAX: usize = 64;
/// Of one compiled pattern: with [`PATTERNS_MAX`] of them, what a schema may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

fn validator(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
        .build(schema)
        .map_err(|error| error.to_string())
}

/// Why `schema` cannot be used; none if it can.
pub fn unusable(schema: &Value) -> Option<String> {
    if references(schema) > REFERENCES_MAX {
        return Some(format!("it has more than {REFERENCES_MAX} references"));
    }
    if patterns(schema) > PATTERNS_MAX {
        return Some(format!("it has more than {PATTERNS_MAX} patterns"));
    }
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        return Some(format!("it has {bytes} bytes as JSON; {SCHEMA_BYTES_MAX} are the most"));
    }
    validator(schema).err()
}

/// How many regular expressions there are in it.
fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(object) => {
            let own = usize::from(object.contains_key("pattern"));
            let keys = object.get("patternProperties").and_then(Value::as_object).map_or(0, serde_json::Map::len);
            own + keys + object.values().map(patterns).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

/// How many `$ref` and `$dynamicRef` there are in it.
fn references(schema: &Value) -> usize {
    match schema {
        Value::Object(object) => {
            let own = object.keys().filter(|key| matches!(key.as_str(), "$ref" | "$dynamicRef")).count();
            own + object.values().map(references).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(references).sum(),
        _ => 0,
    }
}

/// What of `value` does not fit `schema`, one sentence each.
pub fn mistakes(schema: &Value, value: &Value) -> Vec<String> {
    let validator = match validator(schema) {
        Ok(validator) => validator,
        Err(why) => return vec![format!("the plugin's schema cannot be used: {why}")],
    };
    let told = |error: jsonschema::ValidationError<'_>| match error.instance_path().as_str() {
        "" => error.to_string(),
        path => format!("{path}: {error}"),
    };
    validator.iter_errors(value).take(MISTAKES_MAX).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses_a_schema_that_cannot_be_used_and_one_that_reaches_outside() {
        assert!(unusable(&json!({"type": "strin"})).is_some());
        assert!(unusable(&json!({"$ref": "https://schemas.acme.example/config.json"})).is_some());
        assert!(unusable(&json!({"type": "object", "additionalProperties": false})).is_none());
    }

    #[test]
    fn refuses_references_that_multiply() {
        let level = |n: usize| {
            (format!("a{n}"), json!({"allOf": [{"$ref": format!("#/$defs/a{}", n + 1)}, {"$ref": format!("#/$defs/a{}", n + 1)}]}))
        };
        let mut levels: serde_json::Map<String, Value> = (0..30).map(level).collect();
        levels.insert("a30".to_owned(), json!({"type": "object"}));
        assert!(unusable(&json!({"$defs": levels, "$ref": "#/$defs/a0"})).is_some_and(|why| why.contains("references")));
        assert!(unusable(&json!({"properties": {"tree": {"$ref": "#"}}})).is_none());
        assert!(mistakes(&json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}), &json!({})).is_empty(), "a circle ends");
    }

    #[test]
    fn refuses_patterns_that_take_memory_by_their_number_or_each() {
        let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("p{n}"), json!({"pattern": "^a$"}))).collect();
        assert!(unusable(&json!({"properties": many})).is_some_and(|why| why.contains("patterns")));
        let keys: serde_json::Map<String, Value> = (0..65).map(|n| (format!("^p{n}$"), json!({}))).collect();
        assert!(unusable(&json!({"patternProperties": keys})).is_some_and(|why| why.contains("patterns")));
        assert!(unusable(&json!({"properties": {"a": {"pattern": "\\p{L}{1000}"}}})).is_some());
        assert!(unusable(&json!({"description": "x".repeat(300_000)})).is_some_and(|why| why.contains("bytes")));
        assert!(unusable(&json!({"properties": {"email": {"pattern": "^[^@ ]{1,64}@[a-z0-9.-]{1,255}$"}}})).is_none());
    }

    #[test]
    fn names_every_mistake_with_its_path() {
        let schema = json!({
            "type": "object",
            "required": ["stage"],
            "additionalProperties": false,
            "properties": {"stage": {"type": "string"}, "limit": {"type": "integer", "maximum": 9}, "path": {"pattern": "^/"}},
        });
        let found = mistakes(&schema, &json!({"limit": 10, "path": "x", "stag": "a"}));
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.iter().any(|mistake| mistake.starts_with("/limit: ")), "{found:?}");
        assert!(mistakes(&schema, &json!({"stage": "x", "limit": 9, "path": "/a"})).is_empty());
    }
}
