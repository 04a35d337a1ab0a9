//! One named flow as plain data: [`Integration`], its [`DeliveryPolicy`], its [`Release`], and the pure decisions on them.
//!
//! Knows messages; does no I/O. How the files that say all this are read is `config`'s business.

mod limits;
mod policy;
mod release;
mod schedule;
pub mod select;
mod source;

pub use limits::{CallLimits, Limit, SaidLimits, Unit};
pub use policy::{Backoff, Batching, DeliveryPolicy, Jitter, Order, WaitingMax};
pub use release::{PinnedPlugin, Release, ReleaseId, Trying};
pub use schedule::{NotASchedule, Schedule};
pub use source::{Beginning, Entry, Occasion, Poll, Source};

use std::collections::{BTreeMap, BTreeSet};

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
    /// What it says of what its plugins may use.
    pub limits: SaidLimits,
    /// How often the rule for its order has changed while messages came: its file does not say, the host that runs it does.
    pub ordering: u32,
}

/// Who answers for an integration or an alias.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Owner {
    pub team: Option<String>,
    pub contact: String,
}

/// A plugin and what this integration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Allow {
    /// Whether it lets a request with `method` and `path` (without query) through.
    pub fn lets(&self, method: &str, path: &str) -> bool {
        self.method == method
            && match self.path.strip_suffix("/*") {
                Some(prefix) => path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')),
                None => self.path == path,
            }
    }

    /// Whether it lets everything through that `other` does.
    pub fn covers(&self, other: &Self) -> bool {
        // What ends in `/*` stands for all that is below it, and is below it itself.
        self == other || self.lets(&other.method, &other.path)
    }
}

impl Integration {
    /// Every plugin use of it, with its place for messages to people: steps (`step 1`), `sink`, then the sources that poll
    /// (`source 1`, counted among all sources). A release pins plugins in this order.
    pub fn uses(&self) -> impl Iterator<Item = (String, &Step)> {
        let steps = self.steps.iter().enumerate().map(|(index, step)| (format!("step {}", index + 1), step));
        let sink = match &self.sink {
            Sink::Plugin(step) => Some(("sink".to_owned(), step)),
            Sink::Channel(_) => None,
        };
        steps.chain(sink).chain(self.polls().map(|(index, poll)| (format!("source {}", index + 1), &poll.step)))
    }

    /// The sources that poll, each with its place among all sources, from 0.
    pub fn polls(&self) -> impl Iterator<Item = (usize, &Poll)> {
        self.sources.iter().enumerate().filter_map(|(index, source)| match &source.entry {
            Entry::Poll(poll) => Some((index, poll)),
            Entry::Webhook { .. } | Entry::Channel { .. } | Entry::Schedule(_) => None,
        })
    }

    /// Whether its sources look for the same records: where one polls, what the others brought is not brought again.
    pub fn shares_records(&self) -> bool {
        self.polls().next().is_some()
    }

    /// Whether it puts its messages in order by the same rule as `other`, so that one may take the place of the other at any moment.
    pub fn orders_as(&self, other: &Self) -> bool {
        let rules = |of: &Self| -> BTreeSet<Option<String>> {
            of.sources.iter().map(|source| source.key.as_ref().map(ToString::to_string)).collect()
        };
        let is_free = |of: &Self| of.delivery.order == Order::None;
        match (is_free(self), is_free(other)) {
            (true, true) => true,
            (false, false) => rules(self) == rules(other),
            _ => false,
        }
    }

    /// The source that reads `channel`, if there is one.
    pub fn reads(&self, channel: &str) -> Option<&Source> {
        self.sources.iter().find(|source| matches!(&source.entry, Entry::Channel { name, .. } if name == channel))
    }
}
