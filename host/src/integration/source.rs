//! [`Source`]: where messages enter an integration, and how they are identified there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Step;
use super::schedule::Schedule;
use super::select::Selector;
use crate::clock::Timestamp;
use crate::message::{Headers, TRACKED_VALUE_BYTES_MAX, Tracked};

/// Where messages enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub entry: Entry,
    /// What makes two messages the same: all of these together. Empty: the body alone, or an item's own id where it was polled.
    pub id: Vec<Selector>,
    /// What must stay in order. For a channel, none means the key the message already has; for a poll, that of the item.
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
        /// Where one that is new to the channel begins.
        from: Beginning,
    },
    Poll(Poll),
    /// Nothing comes from outside: a message is made when it is time.
    Schedule(Schedule),
}

/// Where a new reader of a channel begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beginning {
    /// With what comes from now on.
    #[default]
    Now,
    /// With the oldest message that is still there.
    Earliest,
}

impl Beginning {
    /// The word for it in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Earliest => "earliest",
        }
    }
}

/// A plugin that is asked again and again what is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Under which its cursor is kept: another name starts from the beginning. The plugin's, unless the file says another.
    pub name: String,
    pub step: Step,
    pub when: Occasion,
}

/// When a source is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    Every(Duration),
    At(Box<Schedule>),
}

impl Occasion {
    /// The first time after it was asked at `at`; never, if there is none any more.
    pub fn after(&self, at: Timestamp) -> Timestamp {
        match self {
            Self::Every(every) => at.plus(*every),
            Self::At(schedule) => schedule.after(at).unwrap_or(Timestamp(i64::MAX)),
        }
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(every) => write!(f, "every {} s", every.as_secs()),
            Self::At(schedule) => write!(f, "at {schedule}"),
        }
    }
}

impl Entry {
    /// What it is called: the path of a webhook, the name of a channel or a poll, the line of a schedule.
    pub fn name(&self) -> String {
        match self {
            Self::Webhook { path: name, .. } | Self::Channel { name, .. } | Self::Poll(Poll { name, .. }) => name.clone(),
            Self::Schedule(schedule) => schedule.to_string(),
        }
    }

    /// Where a message entered, for people, and for finding its source again: `webhook /shop/orders`.
    pub fn origin(&self) -> String {
        let kind = match self {
            Self::Webhook { .. } => "webhook",
            Self::Channel { .. } => "channel",
            Self::Poll(_) => "poll",
            Self::Schedule(_) => "schedule",
        };
        format!("{kind} {}", self.name())
    }
}

impl Source {
    /// One that reads `channel`, and takes its messages as they are.
    pub fn channel(name: impl Into<String>) -> Self {
        let entry = Entry::Channel { name: name.into(), from: Beginning::default() };
        Self { entry, id: Vec::new(), key: None, track: BTreeMap::new() }
    }

    /// What it tracks of a message, by name.
    pub fn tracked(&self, headers: &Headers, body: &[u8]) -> impl Iterator<Item = Tracked> {
        let found = |(name, selector): (&String, &Selector)| {
            let mut value = selector.find(headers, body).ok()?;
            value.truncate(value.floor_char_boundary(TRACKED_VALUE_BYTES_MAX));
            Some(Tracked { name: name.clone(), value })
        };
        self.track.iter().filter_map(found)
    }
}
