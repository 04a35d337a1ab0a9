//! What makes what two sources of an integration bring the same record: the webhook that came, and the poll that finds it later.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Dedup;
use crate::clock::Timestamp;

/// How long a record is remembered after it was last seen.
pub const RECORDS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The token of a record of `integration`, over what identifies it: the same values from whichever source are the same record.
pub fn record(integration: &str, ids: &[impl AsRef<[u8]>], now: Timestamp) -> Dedup {
    let mut hash = Sha256::new();
    for id in ids {
        // Parts carry their length, so that `ab`, `c` is not `a`, `bc`.
        hash.update((id.as_ref().len() as u64).to_be_bytes());
        hash.update(id);
    }
    Dedup { scope: format!("records {integration}"), token: hash.finalize().into(), expires_at: now.plus(RECORDS_KEPT) }
}
