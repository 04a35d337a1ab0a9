//! One named flow as plain data: [`Integration`], its [`DeliveryPolicy`], its [`Release`], and the pure decisions on them.
//!
//! Knows messages; does no I/O. How the files that say all this are read is `config`'s business.

mod policy;
mod release;
pub mod select;

pub use policy::{Backoff, Batching, DeliveryPolicy, Jitter, Order, WaitingMax};
pub use release::{PinnedPlugin, Release, ReleaseId};

use std::collections::{BTreeMap, BTreeSet};

use select::Selector;

/// One named flow: sources, steps, a sink, delivery policy, owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    pub name: String,
    pub description: String,
    pub owner: Owner,
    pub sources: Vec<Source>,
    pub steps: Vec<Step>,
    pub sink: Sink,
    pub delivery: DeliveryPolicy,
}

/// Who answers for an integration or an alias.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Owner {
    pub team: Option<String>,
    pub contact: String,
}

/// Where messages enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub entry: Entry,
    /// What makes two requests the same message: all of these together. Empty: the body alone.
    pub id: Vec<Selector>,
    /// What must stay in order. For a channel, none means the key the message already has.
    pub key: Option<Selector>,
    /// Values by which people find messages.
    pub track: BTreeMap<String, Selector>,
}

/// The kinds of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Webhook {
        /// Path on the ingress listener, such as `/shop/orders`.
        path: String,
        /// The alias whose `verify` section says how requests prove who sent them; none for `verify = "none"`.
        verify: Option<String>,
        /// Every header named here must have one of the values given for it.
        when: BTreeMap<Selector, Vec<String>>,
    },
    Channel {
        name: String,
    },
}

/// A plugin and what this integration gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// `shop-order` in `shop-order@1.2`.
    pub plugin: String,
    /// `1.2` in `shop-order@1.2`: a caret requirement, as in Cargo.
    pub version: semver::VersionReq,
    /// The JSON object the plugin reads through `config`, with `{values.…}` still in it.
    pub config: serde_json::Map<String, serde_json::Value>,
    pub grants: BTreeSet<Grant>,
    /// Slot to alias.
    pub bindings: BTreeMap<String, Binding>,
}

/// Where messages leave.
#[derive(Clone, Debug, PartialEq)]
pub enum Sink {
    Plugin(Step),
    Channel(String),
}

/// What an integration lets a plugin use beyond log and config. `http` comes with a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    KeyValue,
    Queue,
}

impl Grant {
    /// The word for it in files and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeyValue => "key-value",
            Self::Queue => "queue",
        }
    }
}

/// A slot's alias and what of it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub alias: String,
    /// Methods and path prefixes that may be requested; empty for all.
    pub allow: Vec<Allow>,
}

/// `POST /v2/quote`: a method and a path, exact, or a prefix where it ends in `/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    pub method: String,
    pub path: String,
}

impl Integration {
    /// Every plugin use of it, steps first, with its place for messages to people (`step 1`, `sink`).
    pub fn uses(&self) -> impl Iterator<Item = (String, &Step)> {
        let steps = self.steps.iter().enumerate().map(|(index, step)| (format!("step {}", index + 1), step));
        let sink = match &self.sink {
            Sink::Plugin(step) => Some(("sink".to_owned(), step)),
            Sink::Channel(_) => None,
        };
        steps.chain(sink)
    }

    /// The source that reads `channel`, if there is one.
    pub fn reads(&self, channel: &str) -> Option<&Source> {
        self.sources.iter().find(|source| matches!(&source.entry, Entry::Channel { name } if name == channel))
    }
}
