//! What travels: [`Message`], its id, key, headers, and the [`Outcome`] of a delivery.
//!
//! Plain data. Depends on nothing but the clock's `Timestamp` and the source of chance for ids.

mod id;
mod outcome;

pub use id::{ID_CHARS_SHOWN, IdPrefix, MessageId, NotAnId};
pub use outcome::{FailureClass, Outcome};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A key is stored with every message and delivery and shown in every listing: a longer one is no key.
pub const KEY_BYTES_MAX: usize = 1024;

/// What keeps messages in order: messages of one key are delivered one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub String);

/// Headers in the order they came, names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of `name` (given in lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A name and a value by which people find a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    pub name: String,
    pub value: String,
}

/// Names of tracked values are cut to this.
pub const TRACKED_NAME_BYTES_MAX: usize = 64;
/// Tracked values are cut to this: they are there to be found, not to be read.
pub const TRACKED_VALUE_BYTES_MAX: usize = 512;
/// Values by which one message can be found; the first that come are kept.
pub const TRACKED_MAX: usize = 32;

/// Adds to `known` those of `more` that are not there yet, each within the limits on names and values, up to [`TRACKED_MAX`].
pub fn track(known: &mut Vec<Tracked>, more: impl IntoIterator<Item = Tracked>) {
    for Tracked { mut name, mut value } in more {
        if known.len() >= TRACKED_MAX {
            return;
        }
        name.truncate(name.floor_char_boundary(TRACKED_NAME_BYTES_MAX));
        value.truncate(value.floor_char_boundary(TRACKED_VALUE_BYTES_MAX));
        let tracked = Tracked { name, value };
        if !known.contains(&tracked) {
            known.push(tracked);
        }
    }
}

/// A message. Immutable once accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    /// The message this one was made from.
    pub parent: Option<MessageId>,
    pub key: Option<Key>,
    pub content_type: String,
    pub headers: Headers,
    /// The bytes exactly as they came.
    pub body: Bytes,
    pub tracked: Vec<Tracked>,
    /// Where it entered, for people: `webhook /shop/orders`, `channel orders.canonical`, `send`.
    pub origin: String,
    pub accepted_at: Timestamp,
}
