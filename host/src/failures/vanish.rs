//! What an output lost against the one of the intact message: [`lost`]. Pure.

use std::collections::HashMap;

use serde_json::Value;

use super::field::{escaped, shape};

/// Longer lists are compared place by place.
const ALIGNED_MAX: usize = 64;

/// A value of the intact output that the other one does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its pointer.
    pub leaf: String,
    /// What is gone with it: itself, or the object or list around it, as far out as nothing is left.
    pub gone: String,
}

impl Lost {
    /// Whether more than the value itself is gone.
    pub fn with_its_container(&self) -> bool {
        self.leaf != self.gone
    }
}

/// Whether there is nothing to be read.
pub fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.iter().all(|item| is_empty(Some(item))),
        Some(Value::Object(members)) => members.values().all(|member| is_empty(Some(member))),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

/// Every value in `document` below which nothing is, and that is not empty.
pub fn leaves(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect(&mut found, "", document);
    found
}

fn collect<'v>(found: &mut Vec<(String, &'v Value)>, path: &str, value: &'v Value) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| collect(found, &below(path, name), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| collect(found, &format!("{path}/{index}"), value)),
        leaf if !is_empty(Some(leaf)) => found.push((path.to_owned(), leaf)),
        _ => {}
    }
}

fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", escaped(name))
}

/// The values of `intact` at whose place `other` has nothing. Items of lists are held against those that are most like them, so that one that
/// is not there any more moves none of the others. What stands at another place of the same list is not lost, and one that is another value now
/// is none, either.
pub fn lost(intact: &Value, other: &Value) -> Vec<Lost> {
    let mut found = Vec::new();
    compare(&mut found, "", intact, Some(other));
    let mut fewer: HashMap<(String, String), isize> = HashMap::new();
    let place = |pointer: &str, value: &Value| (shape(pointer), value.to_string());
    leaves(intact).into_iter().for_each(|(pointer, value)| *fewer.entry(place(&pointer, value)).or_default() += 1);
    leaves(other).into_iter().for_each(|(pointer, value)| *fewer.entry(place(&pointer, value)).or_default() -= 1);
    found.retain(|one| {
        let value = intact.pointer(&one.leaf);
        value.and_then(|value| fewer.get(&place(&one.leaf, value))).is_some_and(|fewer| *fewer > 0)
    });
    found
}

fn compare(found: &mut Vec<Lost>, path: &str, intact: &Value, other: Option<&Value>) {
    match (intact, other) {
        (Value::Object(was), Some(Value::Object(is))) if !is_empty(other) || is_outer(path) => {
            was.iter().for_each(|(name, value)| compare(found, &below(path, name), value, is.get(name)));
        }
        (Value::Array(was), Some(Value::Array(is))) if !is_empty(other) || is_outer(path) => {
            for (index, (item, counterpart)) in was.iter().zip(aligned(was, is)).enumerate() {
                compare(found, &format!("{path}/{index}"), item, counterpart);
            }
        }
        // Another value, and not nothing.
        (Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null, other) if !is_empty(other) => {}
        // Nothing is left of it, or something else altogether is there.
        _ => {
            let mut all = Vec::new();
            collect(&mut all, path, intact);
            found.extend(all.into_iter().map(|(leaf, _)| Lost { leaf, gone: path.to_owned() }));
        }
    }
}

/// Whether this is an output or a request, or what is around them (`Ran::made`): of these the fields are told, also where all are gone.
fn is_outer(path: &str) -> bool {
    let depth = path.matches('/').count();
    if path.starts_with("/request/") { depth <= 3 } else { depth <= 2 }
}

/// For each item the one of the other list that is most like it; each is one item's only.
fn aligned<'v>(was: &[Value], is: &'v [Value]) -> Vec<Option<&'v Value>> {
    if was.len() == is.len() || was.len() > ALIGNED_MAX || is.len() > ALIGNED_MAX {
        return (0..was.len()).map(|index| is.get(index)).collect();
    }
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for (from, item) in was.iter().enumerate() {
        let own = leaves(item);
        for (to, other) in is.iter().enumerate() {
            let alike = own.iter().filter(|(pointer, value)| other.pointer(pointer) == Some(value)).count();
            pairs.push((alike, from, to));
        }
    }
    // The most alike first, and of those the ones that stand first.
    pairs.sort_by_key(|(alike, from, to)| (usize::MAX - alike, *from, *to));
    let mut counterparts: Vec<Option<&Value>> = vec![None; was.len()];
    let mut taken = vec![false; is.len()];
    for (_, from, to) in pairs {
        if counterparts[from].is_none() && !taken[to] {
            (counterparts[from], taken[to]) = (is.get(to), true);
        }
    }
    counterparts
}
