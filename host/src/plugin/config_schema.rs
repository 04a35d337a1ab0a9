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

fn validator(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| error.to_string())
}

/// Why `schema` cannot be used; none if it can.
pub fn unusable(schema: &Value) -> Option<String> {
    if references(schema) > REFERENCES_MAX {
        return Some(format!("it has more than {REFERENCES_MAX} references"));
    }
    validator(schema).err()
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
