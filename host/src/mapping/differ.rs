//! Where what was made differs from what was made otherwise: [`differing`]. As far out as one of them has nothing there, or a list is of
//! another length. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::failures::field::escaped;
use crate::failures::vanish::is_empty;

/// Something that is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub pointer: String,
    /// Not what is there, but how many.
    pub is_count: bool,
}

impl Place {
    /// What stands there; nothing where that is null.
    pub fn of(&self, made: &Value) -> Option<Value> {
        let value = made.pointer(&self.pointer);
        if self.is_count {
            return value.and_then(Value::as_array).map(|items| Value::from(items.len()));
        }
        value.filter(|value| !value.is_null()).cloned()
    }

    /// Whether it is inside of `other`, of which something else can be said than that it is another.
    pub fn is_inside(&self, other: &Self) -> bool {
        self.pointer.strip_prefix(&other.pointer).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The places at which `after` is another than `before`.
pub fn differing(before: &Value, after: &Value) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    compare(&mut found, "", Some(before), Some(after));
    found
}

fn compare(found: &mut BTreeSet<Place>, path: &str, before: Option<&Value>, after: Option<&Value>) {
    match (before, after) {
        (Some(Value::Object(was)), Some(Value::Object(is))) if !is_empty(before) && !is_empty(after) => {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            names.into_iter().for_each(|name| compare(found, &format!("{path}/{}", escaped(name)), was.get(name), is.get(name)));
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) if was.len() == is.len() => {
            was.iter().zip(is).enumerate().for_each(|(index, (was, is))| compare(found, &format!("{path}/{index}"), Some(was), Some(is)));
        }
        (Some(Value::Array(_)), Some(Value::Array(_))) => drop(found.insert(Place { pointer: path.to_owned(), is_count: true })),
        _ if is_empty(before) && is_empty(after) => {}
        _ if before != after => drop(found.insert(Place { pointer: path.to_owned(), is_count: false })),
        _ => {}
    }
}
