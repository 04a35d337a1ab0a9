//! [`Event`]: one thing that happened, in a line and named fields. Small by construction: text from outside is cut.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::message::{FailureClass, MessageId, Outcome};

/// The longest text and the most text in fields that an event keeps; what is longer is cut. The log has all of it.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
const CUT: &str = "…";

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// Every level, from the one that says most.
    pub const ALL: &[Self] = &[Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The word for it in JSON and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.as_str() == word)
    }
}

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message was taken.
    Accepted,
    /// A message came that had been taken before.
    Duplicate,
    /// A verified request came that no integration listens for.
    Ignored,
    /// Intake answered a request with an error.
    Refused,
    /// An attempt at a delivery ended, and the delivery did not.
    Attempt,
    /// A delivery ended.
    Outcome,
    /// A source that the host asks itself: it was polled, could not be, or is well again.
    Source,
    /// An alias changed its state.
    Alias,
    /// A plugin wrote a line.
    Log,
    /// A person did something.
    Operator,
    /// The host tells of itself.
    Host,
}

impl Kind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::Accepted,
        Self::Duplicate,
        Self::Ignored,
        Self::Refused,
        Self::Attempt,
        Self::Outcome,
        Self::Source,
        Self::Alias,
        Self::Log,
        Self::Operator,
        Self::Host,
    ];

    /// The word for it in JSON and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Attempt => "attempt",
            Self::Outcome => "outcome",
            Self::Source => "source",
            Self::Alias => "alias",
            Self::Log => "log",
            Self::Operator => "operator",
            Self::Host => "host",
        }
    }

    /// The kind of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    pub level: Level,
    pub kind: Kind,
    pub integration: Option<String>,
    pub message: Option<MessageId>,
    /// For people, on one line.
    pub text: Cow<'static, str>,
    pub fields: Vec<(Cow<'static, str>, Field)>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Field {
    Text(Cow<'static, str>),
    Count(u64),
}

impl From<&'static str> for Field {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// In milliseconds.
impl From<Duration> for Field {
    fn from(duration: Duration) -> Self {
        Self::Count(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<u64> for Field {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl Event {
    pub fn new(kind: Kind, level: Level, text: impl Into<Cow<'static, str>>) -> Self {
        Self { level, kind, integration: None, message: None, text: text.into(), fields: Vec::new() }
    }

    /// A delivery ended.
    pub fn ended(outcome: Outcome) -> Self {
        let level = if outcome == Outcome::DeadLettered { Level::Error } else { Level::Info };
        Self::new(Kind::Outcome, level, outcome.as_str()).with("outcome", outcome.as_str())
    }

    /// A message was parked because its integration orders by a key and it has none.
    pub fn unkeyed(detail: &str) -> Self {
        let class = FailureClass::Unkeyed.as_str();
        Self::ended(Outcome::DeadLettered).with("class", class).with("code", class).with("detail", detail.to_owned())
    }

    /// It is about a message of this integration, or about the integration.
    pub fn of(mut self, integration: &str) -> Self {
        self.integration = Some(integration.to_owned());
        self
    }

    pub fn about(mut self, message: MessageId) -> Self {
        self.message = Some(message);
        self
    }

    pub fn with(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// The same with text and fields cut to what is kept.
    pub(super) fn bounded(mut self) -> Self {
        cut(&mut self.text, TEXT_BYTES_MAX);
        let mut left = TEXT_BYTES_MAX;
        self.fields.retain_mut(|(name, value)| {
            let Some(for_value) = left.checked_sub(name.len()).filter(|left| *left > 0) else { return false };
            if let Field::Text(text) = value {
                cut(text, for_value);
                left = for_value.saturating_sub(text.len());
            }
            true
        });
        self
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let text_of = |field: &Field| if let Field::Text(text) = field { text.len() } else { 0 };
        let fields = self.fields.iter().map(|(name, value)| size_of_val(name) + size_of_val(value) + name.len() + text_of(value));
        size_of::<Told>() + self.integration.as_ref().map_or(0, String::len) + self.text.len() + fields.sum::<usize>()
    }
}

fn cut(text: &mut Cow<'static, str>, bytes_max: usize) {
    if text.len() > bytes_max {
        let text = text.to_mut();
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(CUT.len())));
        text.push_str(CUT);
        text.shrink_to_fit();
    }
}

/// An event with its place among all others. As JSON it is one line.
#[derive(Clone, Debug)]
pub struct Told {
    /// Grows from event to event, over restarts too.
    pub id: u64,
    pub at: Timestamp,
    pub event: Event,
}

impl Serialize for Told {
    /// `{id, time, level, kind, integration, message, text, fields}`; what it is not about is null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let mut map = serializer.serialize_map(Some(8))?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("time", &self.at.to_string())?;
        map.serialize_entry("level", event.level.as_str())?;
        map.serialize_entry("kind", event.kind.as_str())?;
        map.serialize_entry("integration", &event.integration)?;
        map.serialize_entry("message", &event.message)?;
        map.serialize_entry("text", &event.text)?;
        map.serialize_entry("fields", &Fields(&event.fields))?;
        map.end()
    }
}

struct Fields<'a>(&'a [(Cow<'static, str>, Field)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A plugin may give two fields one name, or that of one of the host's own, which come first: the first one counts.
        let is_first = |at: usize, name: &str| self.0[..at].iter().all(|(other, _)| other != name);
        let fields = self.0.iter().enumerate().filter(|(at, (name, _))| is_first(*at, name));
        serializer.collect_map(fields.map(|(_, (name, value))| (name, value)))
    }
}

/// As metrics and parameters print it.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_of_a_text_than_there_is_room_for() {
        let mut event = Event::new(Kind::Log, Level::Info, "é".repeat(5_000)).with("a", "x".repeat(4_000)).with("b", "y".repeat(4_000));
        event = event.with("c", "z".to_owned()).bounded();
        assert!(event.text.len() <= TEXT_BYTES_MAX && event.text.ends_with('…'));
        let kept: Vec<usize> = event.fields.iter().map(|(_, value)| serde_json::to_value(value).unwrap().as_str().unwrap().len()).collect();
        assert_eq!((kept.len(), kept[0]), (2, 4_000), "what is over the limit is gone, not what came before");
        assert!(event.bytes() < 3 * TEXT_BYTES_MAX);
    }

    #[test]
    fn is_one_line_of_json() {
        let id = MessageId(uuid::Uuid::nil());
        let event = Event::new(Kind::Outcome, Level::Info, "delivered\n").of("orders").about(id).with("took-ms", 12).with("took-ms", 13);
        let line = serde_json::to_string(&Told { id: 7, at: Timestamp(0), event }).unwrap();
        assert_eq!(
            line,
            r#"{"id":7,"time":"1970-01-01T00:00:00.000Z","level":"info","kind":"outcome","integration":"orders","#.to_owned()
                + r#""message":"00000000-0000-0000-0000-000000000000","text":"delivered\n","fields":{"took-ms":12}}"#
        );
    }

    #[test]
    fn has_a_word_for_every_kind_and_level_and_knows_it_again() {
        assert!(Kind::ALL.iter().all(|kind| Kind::parse(kind.as_str()) == Some(*kind)));
        assert!(Level::ALL.iter().all(|level| Level::parse(level.as_str()) == Some(*level)));
        assert!(Kind::parse("logs").is_none() && Level::parse("INFO").is_none());
    }
}
