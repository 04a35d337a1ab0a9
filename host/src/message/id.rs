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
