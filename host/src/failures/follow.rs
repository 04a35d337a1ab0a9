//! [`Follows`]: which values of the output are made of which fields of the message. Found by changing one field after the other. Pure, but for
//! who runs what was changed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::field::Field;
use super::vanish::{is_empty, leaves};

/// By field of the message, the values of the output that are made of it: others, and not nothing, when it is another.
#[derive(Clone, Debug, Default)]
pub struct Follows(BTreeMap<String, BTreeSet<String>>);

impl Follows {
    pub fn insert(&mut self, field: &Field, following: BTreeSet<String>) {
        self.0.insert(field.pointer.clone(), following);
    }

    /// The fields that a value of the output is made of.
    pub fn sources<'s>(&'s self, output: &'s str) -> impl Iterator<Item = &'s str> {
        self.0.iter().filter(move |(_, following)| following.contains(output)).map(|(field, _)| field.as_str())
    }

    /// Whether a value of the output is made of this field.
    pub fn follows(&self, output: &str, field: &str) -> bool {
        self.0.get(field).is_some_and(|following| following.contains(output))
    }
}

/// The values of `intact` that follow `field`. `outputs` are what came of the message with other values in it; none where it was not
/// delivered. Where it never was, what is the same text as the field is taken to be made of it.
pub fn following(field: &Field, intact: &Value, outputs: &[Option<&Value>]) -> BTreeSet<String> {
    let before = leaves(intact);
    let mut following = BTreeSet::new();
    for output in outputs.iter().flatten() {
        // What is not there any more depends on the field, and is not made of it.
        let is_another = |pointer: &str, value: &Value| output.pointer(pointer).is_some_and(|now| now != value && !is_empty(Some(now)));
        let differs = before.iter().filter(|(pointer, value)| is_another(pointer, value));
        following.extend(differs.map(|(pointer, _)| pointer.clone()));
    }
    if outputs.iter().all(Option::is_none) {
        let said = as_text(&field.value);
        following.extend(before.iter().filter(|(_, value)| as_text(value) == said).map(|(pointer, _)| pointer.clone()));
    }
    following
}

/// A value as it would stand in a text.
pub fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
