//! `{values.<name>}` in a step's config: filled in from the environment.
//!
//! Depends on `problem`. The place of a value is any text of the config, at any depth; keys are left as they are.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::name::is_name;
use crate::problem::{Code, Problem};

const OPEN: &str = "{values.";

/// The config a plugin reads, as JSON text with every `{values.…}` replaced.
///
/// # Errors
/// The first value that `values` does not have, or a `{values.` that is not closed.
pub fn resolve_config(config: &Map<String, Value>, values: &BTreeMap<String, String>) -> Result<String, Problem> {
    resolve(config, values).map(|resolved| Value::Object(resolved).to_string())
}

/// The same, as a JSON object.
pub fn resolve(config: &Map<String, Value>, values: &BTreeMap<String, String>) -> Result<Map<String, Value>, Problem> {
    config.iter().map(|(key, value)| Ok((key.clone(), resolve_value(value, values)?))).collect()
}

fn resolve_value(value: &Value, values: &BTreeMap<String, String>) -> Result<Value, Problem> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text, values)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| resolve_value(item, values)).collect::<Result<_, _>>()?),
        Value::Object(object) => Value::Object(resolve(object, values)?),
        other => other.clone(),
    })
}

fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, Problem> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        filled.push_str(&rest[..at]);
        let name = name_at(&rest[at..])?;
        let value = values.get(name).ok_or_else(|| {
            Problem::new(Code::UnknownValue, format!("the environment has no value `{name}`"))
                .fix(format!("add `{name} = \"…\"` under [values] of the environment"))
        })?;
        filled.push_str(value);
        rest = &rest[at + OPEN.len() + name.len() + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn name_at(text: &str) -> Result<&str, Problem> {
    let rest = text.strip_prefix(OPEN).unwrap_or(text);
    rest.split_once('}').map(|(name, _)| name).filter(|name| is_name(name)).ok_or_else(|| {
        Problem::new(Code::WrongValue, format!("`{}` does not name a value", text.chars().take(40).collect::<String>()))
            .fix("write `{values.<name>}`, for example `{values.new-order-stage}`")
    })
}

/// Everything that stands in the way of [`resolve`], with the path of the text it is in: `config/stage`.
pub fn unresolved(path: &str, value: &Value, values: &BTreeMap<String, String>) -> Vec<(String, Problem)> {
    match value {
        Value::String(text) => unresolved_text(path, text, values),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| unresolved(&format!("{path}/{index}"), item, values)).collect()
        }
        Value::Object(object) => object.iter().flat_map(|(key, item)| unresolved(&format!("{path}/{key}"), item, values)).collect(),
        _ => Vec::new(),
    }
}

fn unresolved_text(path: &str, text: &str, values: &BTreeMap<String, String>) -> Vec<(String, Problem)> {
    let places = text.match_indices(OPEN).map(|(at, _)| at);
    let ends = places.clone().skip(1).chain(Some(text.len()));
    places.zip(ends).filter_map(|(at, end)| fill(&text[at..end], values).err()).map(|problem| (path.to_owned(), problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        [("stage", "Pro\"spect"), ("n", "7"), ("tricky", "{values.n}")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn names_every_value_that_is_missing() {
        let config = serde_json::json!({"a": "{values.nope}{values.gone}", "b": ["{values.n}", {"c": "{values.A}"}], "d": "{values.n"});
        let mut found: Vec<_> =
            unresolved("config", &config, &values()).into_iter().map(|(path, problem)| (path, problem.message)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(
            found,
            [
                ("config/a", "the environment has no value `nope`"),
                ("config/a", "the environment has no value `gone`"),
                ("config/b/1/c", "`{values.A}` does not name a value"),
                ("config/d", "`{values.n` does not name a value"),
            ]
            .map(|(path, message)| (path.to_owned(), message.to_owned()))
        );
        assert_eq!(resolve_config(&object(config), &values()).unwrap_err().code, Code::UnknownValue);
    }

    #[test]
    fn fills_in_texts_and_nothing_else() {
        let config =
            serde_json::json!({"stage": "{values.stage}", "n": 5, "mixed": "a {values.n} {b} {values.n}", "list": ["{values.tricky}"]});
        let resolved: Value = serde_json::from_str(&resolve_config(&object(config), &values()).unwrap()).unwrap();
        assert_eq!(resolved, serde_json::json!({"list": ["{values.n}"], "mixed": "a 7 {b} 7", "n": 5, "stage": "Pro\"spect"}));
    }
}
