//! The base of the `Idempotency-Key` a target sees.

use sha2::{Digest, Sha256};

use crate::message::MessageId;

/// Hex SHA-256 over integration, message and replay number: the same on every retry and on a new release, another for
/// everything else. A step's calls get a base of their own, since a step may run several times for one message and may
/// use a slot of the sink's name.
pub fn idempotency_base(integration: &str, message: MessageId, replay: u32, step: Option<(&str, u32)>) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    part(integration.as_bytes());
    part(message.0.as_bytes());
    part(&replay.to_be_bytes());
    if let Some((place, ordinal)) = step {
        part(place.as_bytes());
        part(&ordinal.to_be_bytes());
    }
    hex::encode(hash.finalize())
}

/// The base of a call for several messages: hex SHA-256 over the bases they have alone, in their order. Other company, other base.
pub fn batch_base<'a>(bases: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    bases.for_each(|base| hash.update(base.as_bytes()));
    hex::encode(hash.finalize())
}
