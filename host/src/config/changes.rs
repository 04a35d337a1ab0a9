//! What differs between two texts of a file, key by key.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

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

/// Every value of a file that was read before, by where it stands. Of a list of tables each has its number, from 1.
fn flat(text: &str) -> BTreeMap<String, String> {
    fn collect(key: String, value: &toml::Value, found: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::Table(table) => {
                for (name, value) in table {
                    collect(format!("{key}.{name}"), value, found);
                }
            }
            toml::Value::Array(items) if !items.is_empty() && items.iter().all(toml::Value::is_table) => {
                for (number, item) in (1..).zip(items) {
                    collect(format!("{key}[{number}]"), item, found);
                }
            }
            other => drop(found.insert(key, other.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    for (name, value) in toml::from_str::<toml::Table>(text).unwrap_or_default() {
        collect(name, &value, &mut found);
    }
    found
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
}
