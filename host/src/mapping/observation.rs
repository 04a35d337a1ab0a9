//! [`Observation`]: what was seen of all fields of all samples, put together. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::how::How;
use crate::failures::report::Sampled;
use crate::integration::PinnedPlugin;

/// What it is worth, said wherever it is shown.
pub const REMARK: &str = "Observed, not proven: other values were put into one field after the other. What depends on several fields at once, on values that no sample has, on the time or on what came before is not seen.";

/// Characters of a value in an example.
const EXAMPLE_CHARS_MAX: usize = 40;

/// What was seen of a plugin, or an integration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Observation {
    pub about: String,
    pub plugins: Vec<PinnedPlugin>,
    pub samples: Vec<Sampled>,
    /// In the order of the first sample that has them.
    pub fields: Vec<FieldSeen>,
    pub constants: Vec<Constant>,
    /// Outputs that no field changes and that are not the same in all samples.
    pub unexplained: Vec<String>,
    pub remark: &'static str,
}

/// One field of the messages.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FieldSeen {
    /// Its pointer, with `*` for every place of a list.
    pub field: String,
    pub becomes: Vec<Becomes>,
    /// How messages ended that were not delivered, with another value in it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub decides: BTreeSet<String>,
    /// How messages without it ended that were not delivered.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<String>,
    /// It was null in every sample, so that nothing could be put in its place.
    pub not_varied: bool,
}

/// An output that follows a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Becomes {
    pub output: String,
    pub how: How,
    /// What the field was, and what the output.
    pub example: (String, String),
    /// What it becomes where the field is not there and the message is delivered all the same.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<String>,
}

/// An output that no field changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Constant {
    pub output: String,
    pub value: Value,
}

/// Fields, each with an output that follows it.
pub type Links<'o> = Vec<(&'o FieldSeen, &'o Becomes)>;

impl Observation {
    /// What its steps make, and what its targets are sent, where that is not the same.
    pub fn tables(&self) -> Vec<(&'static str, Links<'_>)> {
        let links = || self.fields.iter().flat_map(|field| field.becomes.iter().map(move |becomes| (field, becomes)));
        let (sent, made): (Links<'_>, Links<'_>) = links().partition(|(_, becomes)| becomes.output.starts_with("request"));
        let plain = |links: &Links<'_>, of: &str| -> BTreeSet<(String, String)> {
            links.iter().map(|(field, becomes)| (field.field.clone(), becomes.output.trim_start_matches(of).to_owned())).collect()
        };
        let is_same = plain(&made, "output") == plain(&sent, "request");
        let all = [("What its steps make", made), ("What its targets are sent", if is_same { Vec::new() } else { sent })];
        all.into_iter().filter(|(_, links)| !links.is_empty()).collect()
    }

    /// How many samples it stands on.
    pub fn used(&self) -> usize {
        self.samples.iter().filter(|sample| sample.used).count()
    }
}

impl Becomes {
    /// The field and what it becomes, shown as `code`; once where it is the same.
    pub fn example(&self, code: &dyn Fn(&str) -> String) -> String {
        let (from, to) = &self.example;
        if from == to { code(from) } else { format!("{} → {}", code(from), code(to)) }
    }

    /// What comes of it where `field` is not there, for people.
    pub fn when_missing(&self, field: &FieldSeen) -> String {
        field.missing.iter().chain(&self.missing).cloned().collect::<Vec<_>>().join("; ")
    }
}

impl FieldSeen {
    /// Whether nothing was seen to come of it.
    pub fn seems_unused(&self) -> bool {
        self.becomes.is_empty() && self.decides.is_empty() && self.missing.is_empty() && !self.not_varied
    }

    fn add(&mut self, other: Self) {
        for link in other.becomes {
            match self.becomes.iter_mut().find(|known| known.output == link.output) {
                // Of several samples the loosest counts, with its example.
                Some(known) => {
                    known.missing.extend(link.missing);
                    if known.how < link.how {
                        (known.how, known.example) = (link.how, link.example);
                    }
                }
                None => self.becomes.push(link),
            }
        }
        self.decides.extend(other.decides);
        self.missing.extend(other.missing);
        self.not_varied &= other.not_varied;
    }
}

/// Fields of the same shape as one, in the order in which they came.
pub fn gathered(fields: impl IntoIterator<Item = FieldSeen>) -> Vec<FieldSeen> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<FieldSeen> = Vec::new();
    for seen in fields {
        match places.get(&seen.field) {
            Some(place) => all[*place].add(seen),
            None => {
                places.insert(seen.field.clone(), all.len());
                all.push(seen);
            }
        }
    }
    all.iter_mut().for_each(without_single_places);
    all
}

/// A place of a list says nothing that the list does not say.
fn without_single_places(seen: &mut FieldSeen) {
    let lists: Vec<String> = seen.becomes.iter().map(|link| link.output.clone()).filter(|output| output.contains("/*/")).collect();
    let is_in = |list: &str, output: &str| {
        let (mut of_list, mut of_output) = (list.split('/'), output.split('/'));
        list != output
            && loop {
                match (of_list.next(), of_output.next()) {
                    (None, None) => break true,
                    (Some("*"), Some(place)) if !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit()) => {}
                    (Some(one), Some(other)) if one == other => {}
                    _ => break false,
                }
            }
    };
    seen.becomes.retain(|link| !lists.iter().any(|list| is_in(list, &link.output)));
}

/// A value as it is shown, cut.
pub fn shown(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    if text.chars().count() <= EXAMPLE_CHARS_MAX { text } else { text.chars().take(EXAMPLE_CHARS_MAX).chain(['…']).collect() }
}
