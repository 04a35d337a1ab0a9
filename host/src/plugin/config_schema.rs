//! JSON Schema (2020-12) in which plugins describe their config, and the check of a config against it.
//!
//! Depends on the `jsonschema` crate, without anything that would fetch a remote schema, and with a regular-expression engine
//! that takes linear time: manifests may come from vendors nobody trusts.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::schema_work::steps;

/// Mistakes of one config that are told.
const MISTAKES_MAX: usize = 20;

/// Steps that the check of one config may take (see `schema_work`): a second or so.
const STEPS_MAX: usize = 1_000_000;
/// With more, it is said that there is a mistake, and not which: all that are found are kept until the last one is.
const TOLD_STEPS_MAX: usize = 50_000;

/// References in one schema at most.
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
    if let Some(word) = elsewhere(schema, true) {
        return Some(format!("`{word}` is not understood: references are written as `#/$defs/NAME`"));
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

/// What leads to a place that is not told by where it stands. A text as a value: a property may have any of these names.
fn elsewhere(schema: &Value, is_root: bool) -> Option<String> {
    match schema {
        Value::Object(object) => {
            let wrong = |(key, value): (&String, &Value)| match (key.as_str(), value.as_str()?) {
                ("$ref", "#") => None,
                ("$ref", to) if to.starts_with("#/") && !to.contains('%') => None,
                ("$ref", to) => Some(format!("$ref = {to:?}")),
                ("$id", _) if is_root => None,
                ("$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef", _) => Some(key.clone()),
                _ => None,
            };
            object.iter().find_map(wrong).or_else(|| object.values().find_map(|value| elsewhere(value, false)))
        }
        Value::Array(items) => items.iter().find_map(|item| elsewhere(item, false)),
        _ => None,
    }
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
    let Ok(steps) = steps(schema, value, STEPS_MAX) else {
        return vec![format!("the plugin's schema takes more than {STEPS_MAX} steps to check it")];
    };
    let validator = match validator(schema) {
        Ok(validator) => validator,
        Err(why) => return vec![format!("the plugin's schema cannot be used: {why}")],
    };
    let told = |error: jsonschema::ValidationError<'_>| match error.instance_path().as_str() {
        "" => error.to_string(),
        path => format!("{path}: {error}"),
    };
    if steps > TOLD_STEPS_MAX {
        let said = "it does not fit the plugin's schema, which is too large to say where";
        return if validator.is_valid(value) { Vec::new() } else { vec![said.to_owned()] };
    }
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

    /// Each level leads to the next three times; the last says of 60 properties that they are missing.
    fn multiplying(levels: usize) -> Value {
        let next = |n: usize| json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{n}")}); 3]});
        let mut defs: serde_json::Map<String, Value> = (0..levels - 1).map(|n| (format!("d{n}"), next(n + 1))).collect();
        defs.insert(format!("d{}", levels - 1), json!({"allOf": vec![json!({"required": ["zz"]}); 60]}));
        let mut schema = next(0);
        schema["$defs"] = defs.into();
        schema
    }

    #[test]
    fn references_that_multiply_the_mistakes_are_told_in_a_bounded_number_of_steps() {
        let ten = multiplying(10);
        assert!(unusable(&ten).is_none(), "it has 30 references, and is right");
        assert!(matches!(mistakes(&ten, &json!({})).as_slice(), [said] if said.contains("steps")));
        assert!(matches!(mistakes(&multiplying(6), &json!({})).as_slice(), [said] if said.contains("too large to say where")));
        assert!(mistakes(&multiplying(6), &json!({"zz": 1})).is_empty());
        assert_eq!(mistakes(&multiplying(2), &json!({})).len(), MISTAKES_MAX);
    }

    #[test]
    fn a_schema_that_multiplies_with_the_depth_of_the_config_takes_a_bounded_number_of_steps() {
        let schema = json!({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}}, "required": ["zz"]});
        let deep = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
        assert_eq!(mistakes(&schema, &deep(2)).len(), 13);
        assert!(matches!(mistakes(&schema, &deep(30)).as_slice(), [said] if said.contains("steps")));
        let again = json!({"unevaluatedProperties": false, "allOf": [{"unevaluatedProperties": false}]});
        let nested = (0..30).fold(json!({}), |inner, _| json!({"unevaluatedProperties": false, "allOf": [inner]}));
        assert_eq!(mistakes(&again, &json!({"a": 1})).len(), 2);
        assert!(matches!(mistakes(&nested, &json!({"a": 1})).as_slice(), [said] if said.contains("steps")));
    }

    #[test]
    fn a_large_config_that_an_honest_schema_describes_is_checked_whole() {
        let field = json!({
            "type": "object", "required": ["from", "to"], "additionalProperties": false,
            "properties": {"from": {"type": "string"}, "to": {"type": "string"}, "as": {"enum": ["text", "number", "date"]}},
        });
        let schema = json!({"$id": "https://acme.example/schema", "properties": {"fields": {"items": {"$ref": "#/$defs/field"}}}, "$defs": {"field": field}});
        assert!(unusable(&schema).is_none());
        let mut fields = vec![json!({"from": "a", "to": "b", "as": "text"}); 1_000];
        assert!(mistakes(&schema, &json!({"fields": fields.clone()})).is_empty());
        fields[999]["as"] = "nothing".into();
        let told = mistakes(&schema, &json!({"fields": fields}));
        assert!(matches!(told.as_slice(), [said] if said.starts_with("/fields/999/as")), "{told:?}");
    }

    #[test]
    fn refuses_references_that_are_found_by_anything_but_where_they_lead() {
        for schema in [
            json!({"$defs": {"a": {"$anchor": "a"}}, "$ref": "#a"}),
            json!({"$dynamicRef": "#"}),
            json!({"$defs": {"a": {"$id": "https://acme.example/a"}}}),
            json!({"$ref": "#/$defs/%61", "$defs": {"a": {}}}),
        ] {
            assert!(unusable(&schema).is_some_and(|why| why.contains("not understood")), "{schema}");
        }
        assert!(unusable(&json!({"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}})).is_none());
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
