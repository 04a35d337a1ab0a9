//! [`Filter`]: which events somebody wants to hear.

use std::str::FromStr;

use super::Detail;
use super::event::{Event, Kind, Level};
use crate::message::MessageId;

/// The fewest digits of an id that name a message.
const PREFIX_DIGITS_MIN: usize = 8;

/// What must fit. What is none, or empty, does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At least this level; none for `info`.
    pub level: Option<Level>,
    /// One of these.
    pub kinds: Vec<Kind>,
    pub integration: Option<String>,
    pub message: Option<MessagePrefix>,
}

/// A message's id, or how it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePrefix(String);

impl FromStr for MessagePrefix {
    type Err = String;

    /// Hexadecimal digits, with or without the dashes of a UUID.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        if (PREFIX_DIGITS_MIN..=32).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit()) {
            Ok(Self(digits))
        } else {
            Err(format!("expected a message's id, or at least its first {PREFIX_DIGITS_MIN} digits"))
        }
    }
}

impl MessagePrefix {
    fn fits(&self, id: MessageId) -> bool {
        id.0.simple().encode_lower(&mut uuid::Uuid::encode_buffer()).starts_with(&self.0)
    }
}

impl Filter {
    fn level(&self) -> Level {
        self.level.unwrap_or(Level::Info)
    }

    pub(super) fn fits(&self, event: &Event) -> bool {
        event.level >= self.level()
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.integration.as_ref().is_none_or(|name| event.integration.as_ref() == Some(name))
            && self.message.as_ref().is_none_or(|prefix| event.message.is_some_and(|id| prefix.fits(id)))
    }

    /// What has to be told for it that is not told to nobody.
    pub(super) fn asks_for(&self) -> impl Iterator<Item = Detail> {
        let least = self.level();
        Detail::ALL.into_iter().filter(move |detail| least <= detail.level())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_message_id() {
        for text in ["", "0198c2d", "0198c2d4-5e6f-7000-8000-0123456789abc", "0198c2dg", "order-1001"] {
            assert!(text.parse::<MessagePrefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn lets_through_what_fits_all_that_is_asked_for() {
        let id: MessageId = "0198c2d4-5e6f-7000-8000-0123456789ab".parse().unwrap();
        let event = Event::new(Kind::Outcome, Level::Warn, "x").of("orders").about(id);
        let hears = |filter: Filter| filter.fits(&event);
        assert!(hears(Filter::default()));
        assert!(hears(Filter { level: Some(Level::Warn), ..Filter::default() }));
        assert!(!hears(Filter { level: Some(Level::Error), ..Filter::default() }));
        assert!(hears(Filter { kinds: vec![Kind::Log, Kind::Outcome], ..Filter::default() }));
        assert!(!hears(Filter { kinds: vec![Kind::Log], ..Filter::default() }));
        assert!(hears(Filter { integration: Some("orders".into()), ..Filter::default() }));
        assert!(!hears(Filter { integration: Some("order".into()), ..Filter::default() }));
        for (prefix, fits) in [("0198C2D4-5e6f", true), ("0198c2d45e6f70008000", true), ("0198c2d5", false)] {
            assert_eq!(hears(Filter { message: Some(prefix.parse().unwrap()), ..Filter::default() }), fits, "{prefix}");
        }
        let debug = Event::new(Kind::Log, Level::Debug, "x");
        assert!(!Filter::default().fits(&debug), "details only when asked for");
        assert!(!Filter { message: Some("0198c2d4".parse().unwrap()), ..Filter::default() }.fits(&debug));
    }
}
