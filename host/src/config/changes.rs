//! What differs between two texts of a file, key by key.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

/// A value that came, went or is another: by where it stands, `alias.crm.url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub key: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What differs between two texts in TOML, in the order of the keys.
pub fn changes(before: &str, after: &str) -> Vec<Change> {
    let (before, after) = (flat(before), flat(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |key: &String| Change { key: key.clone(), before: before.get(key).cloned(), after: after.get(key).cloned() };
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).map(change).collect()
}

/// Every value of a file, by where it stands, read as [`Page`](super::reader::Page) reads it: what that takes is in here, numbers of any
/// length included. Of a list of tables each has its number, from 1. A text that is no TOML is one value that has no name.
fn flat(text: &str) -> BTreeMap<String, String> {
    let Ok(root) = DeTable::parse(text) else { return BTreeMap::from([(String::new(), text.to_owned())]) };
    let mut found = BTreeMap::new();
    for (name, value) in root.get_ref() {
        collect(name.get_ref().to_string(), value.get_ref(), &mut found);
    }
    found
}

fn collect(key: String, value: &DeValue<'_>, found: &mut BTreeMap<String, String>) {
    match value {
        DeValue::Table(table) => {
            for (name, value) in table {
                collect(format!("{key}.{}", name.get_ref()), value.get_ref(), found);
            }
        }
        DeValue::Array(items) if !items.is_empty() && items.iter().all(|item| item.get_ref().is_table()) => {
            for (number, item) in (1..).zip(items) {
                collect(format!("{key}[{number}]"), item.get_ref(), found);
            }
        }
        other => drop(found.insert(key, shown(other))),
    }
}

/// A value as a file has it, on one line.
fn shown(value: &DeValue<'_>) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(items) => format!("[{}]", items.iter().map(|item| shown(item.get_ref())).collect::<Vec<_>>().join(", ")),
        DeValue::Table(table) => {
            let pair = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                format!("{} = {}", quoted(name), shown(value.get_ref()))
            };
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_which_of_several_steps_has_another_value() {
        let before = "[[step]]\nplugin = \"a@1\"\n[[step]]\nplugin = \"b@1\"\nconfig = { x = 1 }\n";
        let after = "[[step]]\nplugin = \"a@1\"\n[[step]]\nplugin = \"b@2\"\nconfig = { x = 1, y = [1, 2] }\n";
        let told: Vec<_> = changes(before, after).into_iter().map(|change| (change.key, change.before, change.after)).collect();
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [("step[2].config.y".to_owned(), None, value("[1, 2]")), ("step[2].plugin".to_owned(), value("\"b@1\""), value("\"b@2\""))]
        );
    }

    #[test]
    fn tells_every_value_of_a_file_in_which_one_is_longer_than_any_number_of_the_machine() {
        let long = "n = 99999999999999999999999\nf = 1e999\n";
        let told = changes("[values]\nstage = \"a\"\n", &format!("[values]\nstage = \"b\"\n{long}"));
        let keys: Vec<_> = told.iter().map(|change| (change.key.as_str(), change.before.is_some(), change.after.is_some())).collect();
        assert_eq!(keys, [("values.f", false, true), ("values.n", false, true), ("values.stage", true, true)]);
        let told = changes(&format!("[values]\nstage = \"b\"\n{long}"), &format!("[values]\nstage = \"c\"\n{long}"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(changes("a = 1\n", "what is this").len(), 2, "what cannot be read is not taken for nothing");
    }
}
