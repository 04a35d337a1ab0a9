//! `code-names`: a name in the place of a code, by a table in the configuration.
//!
//! The table is read in [`Setup`], once for a configuration; a call only looks a code up. README.md says the rules for people. Depends on the SDK
//! only.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lockgate_sdk::{Context, Draft, Failure, Field, Message, Output, Setup, Transformer, config};
use serde::Deserialize;
use serde_json::Value;

/// The plugin.
#[derive(Debug)]
pub struct CodeNames;

/// The plugin's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    field: String,
    names: BTreeMap<String, String>,
    #[serde(default)]
    unknown: Unknown,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Unknown {
    #[default]
    Fail,
    Keep,
}

thread_local! {
    static TABLE: RefCell<Option<Table>> = const { RefCell::new(None) };
}

impl Setup for CodeNames {
    fn setup() -> Result<(), Failure> {
        let table: Table = config()?;
        if table.names.is_empty() {
            return Err(Failure::permanent("config-invalid", "names has no code at all"));
        }
        TABLE.with_borrow_mut(|kept| *kept = Some(table));
        Ok(())
    }
}

impl Transformer for CodeNames {
    fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
        TABLE.with_borrow(|table| {
            let table = table.as_ref().ok_or_else(|| Failure::permanent("not-set-up", "setup was not called"))?;
            Ok(table.named(message.json()?)?.into())
        })
    }
}

impl Table {
    fn named(&self, mut document: Value) -> Result<Draft, Failure> {
        let root = Field::root(&document);
        let at = root.object()?.ok_or_else(|| root.wrong("an object"))?.at(&self.field);
        let code = at.required(at.text()?)?;
        match self.names.get(code) {
            Some(name) => document[&self.field] = name.as_str().into(),
            None if self.unknown == Unknown::Keep => {}
            None => return Err(Failure::permanent("code-unknown", format!("{} is {code}, and names has no name for it", at.pointer()))),
        }
        Draft::json(&document)
    }
}

lockgate_sdk::export_setup!(CodeNames);
lockgate_sdk::export_transformer!(CodeNames);
