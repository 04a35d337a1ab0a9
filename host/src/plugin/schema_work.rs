//! How much work it is to check a config against a schema, found out before it is done.
//!
//! A few references that lead to one another make one value be looked at millions of times, and each time may be a mistake that is kept
//! until the last is found. Here the same way is gone with nothing but a counter, which ends it. It counts rather too much than too little:
//! what is looked at under a condition counts whether the condition holds or not.

use serde_json::Value;

/// Values within values, and references to references, that are followed: more would use up the stack of whoever follows them.
const DEPTH_MAX: usize = 500;
/// A keyword that asks what others have looked at has them look again.
const LOOKS_OF_UNEVALUATED: usize = 3;

/// Keywords with one schema for the very value, with a list of them, and with named ones.
const SAME: [&str; 4] = ["not", "if", "then", "else"];
const SAME_LISTED: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const SAME_NAMED: &str = "dependentSchemas";
/// Keywords with one schema for what is in a list or an object.
const OF_ITEMS: [&str; 3] = ["items", "contains", "unevaluatedItems"];
const OF_PROPERTIES: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
/// Keywords that take their part of the work with their own schemas, or none.
const COUNTED_ELSEWHERE: [&str; 9] =
    ["$defs", "definitions", "properties", "patternProperties", "prefixItems", "propertyNames", "description", "default", "examples"];

/// There is more of it than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// How many steps it takes to check `value` against `schema`, whose references all begin with `#/` or are `#`.
///
/// # Errors
/// Where it takes more than `steps_max`, or goes too deep.
pub(super) fn steps(schema: &Value, value: &Value, steps_max: usize) -> Result<usize, TooMuch> {
    let mut work = Work { root: schema, left: steps_max, depth: 0 };
    work.look(schema, value, None)?;
    Ok(steps_max - work.left)
}

struct Work<'s> {
    root: &'s Value,
    left: usize,
    depth: usize,
}

/// The references that led to where one is, without another value in between.
struct Via<'a> {
    target: &'a Value,
    before: Option<&'a Self>,
}

impl Via<'_> {
    fn has(&self, target: &Value) -> bool {
        std::ptr::eq(self.target, target) || self.before.is_some_and(|before| before.has(target))
    }
}

impl<'s> Work<'s> {
    fn take(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(steps).ok_or(TooMuch)?;
        Ok(())
    }

    fn look(&mut self, schema: &'s Value, value: &Value, via: Option<&Via<'_>>) -> Result<(), TooMuch> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(TooMuch);
        }
        self.take(1 + own(schema))?;
        let looks = ["unevaluatedProperties", "unevaluatedItems"].iter().any(|key| schema.get(key).is_some());
        for _ in 0..if looks { LOOKS_OF_UNEVALUATED } else { 1 } {
            self.look_at_the_same(schema, value, via)?;
        }
        match value {
            Value::Object(object) => self.look_at_properties(schema, object)?,
            Value::Array(items) => self.look_at_items(schema, items)?,
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn look_at_the_same(&mut self, schema: &'s Value, value: &Value, via: Option<&Via<'_>>) -> Result<(), TooMuch> {
        let listed = SAME_LISTED.iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
        let named = schema.get(SAME_NAMED).and_then(Value::as_object).into_iter().flat_map(serde_json::Map::values);
        for inner in SAME.iter().filter_map(|key| schema.get(key)).chain(listed).chain(named) {
            self.look(inner, value, via)?;
        }
        let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|to| self.root.pointer(to.strip_prefix('#')?)) else {
            return Ok(());
        };
        // A circle that comes back to the same value ends there.
        if via.is_some_and(|via| via.has(target)) {
            return Ok(());
        }
        self.look(target, value, Some(&Via { target, before: via }))
    }

    fn look_at_properties(&mut self, schema: &'s Value, object: &serde_json::Map<String, Value>) -> Result<(), TooMuch> {
        let known = schema.get("properties").and_then(Value::as_object);
        for (name, value) in object {
            let own = known.and_then(|known| known.get(name));
            let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(serde_json::Map::values);
            let others = OF_PROPERTIES.iter().filter_map(|key| schema.get(key).filter(|_| own.is_none()));
            for inner in own.into_iter().chain(patterns).chain(others) {
                self.look(inner, value, None)?;
            }
            if let Some(names) = schema.get("propertyNames") {
                self.look(names, &Value::Null, None)?;
            }
        }
        Ok(())
    }

    fn look_at_items(&mut self, schema: &'s Value, items: &[Value]) -> Result<(), TooMuch> {
        let first = schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, value) in items.iter().enumerate() {
            let all = OF_ITEMS.iter().filter_map(|key| schema.get(key));
            for inner in first.get(index).into_iter().chain(all) {
                self.look(inner, value, None)?;
            }
        }
        Ok(())
    }
}

/// What a schema says itself: each of the words it lists may be missing, and each of its mistakes shows what was expected.
fn own(schema: &Value) -> usize {
    let Some(object) = schema.as_object() else { return 0 };
    let counted = |key: &str| {
        key != "not" && (COUNTED_ELSEWHERE.contains(&key) || SAME.contains(&key) || SAME_LISTED.contains(&key) || key == SAME_NAMED)
            || OF_ITEMS.contains(&key)
            || OF_PROPERTIES.contains(&key)
    };
    object.iter().filter(|(key, _)| !counted(key)).map(|(_, value)| size(value)).sum()
}

/// How many values there are in it; a long text counts as several.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(object) => 1 + object.values().map(size).sum::<usize>(),
        Value::String(text) => 1 + text.len() / 64,
        _ => 1,
    }
}
