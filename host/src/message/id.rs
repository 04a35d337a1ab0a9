//! Ids of messages: UUIDv7 for what is accepted, UUIDv8 derived from the parent for what is made from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::random::Random;

/// The host's id of a message (RFC 9562: version 7 when accepted, version 8 when derived).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub Uuid);

impl MessageId {
    /// A new id, ordered by `at`.
    pub fn new(at: Timestamp, random: &dyn Random) -> Self {
        let mut bytes = [0; 10];
        random.fill(&mut bytes);
        let millis = u64::try_from(at.0).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }

    /// The id of the `ordinal`-th message that `integration` made from this one in its `replay`-th replay.
    /// The same arguments give the same id, so a retried fan-out makes no second child.
    pub fn derive(self, integration: &str, purpose: &str, ordinal: u32, replay: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0.as_bytes());
        for part in [integration, purpose] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(ordinal.to_be_bytes());
        hash.update(replay.to_be_bytes());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MessageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::from_str(text).map(Self)
    }
}

/// Digits of an id that say which message is meant, mostly: the first eight hold the time to a minute.
pub const ID_DIGITS_MIN: usize = 8;

/// Characters of an id where it is shown shortened: the millisecond it was made in, which several may share, and 12 bits of chance.
pub const ID_CHARS_SHOWN: usize = 18;

/// An id, or its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdPrefix {
    first: MessageId,
    last: MessageId,
}

/// Neither an id nor the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a message's id, or at least its first {ID_DIGITS_MIN} digits")]
pub struct NotAnId;

impl IdPrefix {
    /// The least and the greatest id that start so.
    pub fn range(self) -> (MessageId, MessageId) {
        (self.first, self.last)
    }
}

impl FromStr for IdPrefix {
    type Err = NotAnId;

    /// Hyphens may be where they like, or missing.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if !(ID_DIGITS_MIN..=32).contains(&digits.len()) {
            return Err(NotAnId);
        }
        let filled = |with: &str| u128::from_str_radix(&format!("{digits}{}", with.repeat(32 - digits.len())), 16);
        match (filled("0"), filled("f")) {
            (Ok(first), Ok(last)) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                Ok(Self { first: MessageId(Uuid::from_u128(first)), last: MessageId(Uuid::from_u128(last)) })
            }
            _ => Err(NotAnId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_the_beginning_of_an_id() {
        for text in ["", "01a2008", "01a2008z", "+1a20088", "01a20088-af23-7142-a245-0e01717ec6d2a", "ääääääää", "#1001"] {
            assert_eq!(text.parse::<IdPrefix>(), Err(NotAnId), "{text}");
        }
    }

    #[test]
    fn a_beginning_stands_for_every_id_that_has_it() {
        let id = "01a20088-af23-7142-a245-0e01717ec6d2";
        let range = |text: &str| text.parse::<IdPrefix>().unwrap().range();
        assert_eq!(range(id), (id.parse().unwrap(), id.parse().unwrap()));
        let (first, last) = range("01A20088-a");
        assert_eq!(first.to_string(), "01a20088-a000-0000-0000-000000000000");
        assert_eq!(last.to_string(), "01a20088-afff-ffff-ffff-ffffffffffff");
    }
}
