//! [`Feeds`]: the integrations that one integration's messages go on to, over channels. While one of them has as much waiting as it
//! may, nothing more is made for it: a full channel makes its writer wait.
//!
//! Depends on the message store's count of what waits.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::message_store::{Append, MessageStore};

/// Who gets what an integration writes to channels. A sink's channel is known before anything runs; where plugins send to is seen
/// from what they sent, so that the first such message of a run may be one too many.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<BTreeSet<String>>);

impl Feeds {
    /// From now on these are fed.
    pub fn know(&self, readers: impl IntoIterator<Item = String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(readers);
    }

    /// The readers of what was appended are fed.
    pub fn see(&self, appends: &[Append]) {
        if appends.is_empty() {
            return;
        }
        let mut fed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for delivery in appends.iter().flat_map(|append| &append.deliveries) {
            if !fed.contains(&delivery.integration) {
                fed.insert(delivery.integration.clone());
            }
        }
    }

    /// One that has `waiting_max` deliveries waiting, or more.
    pub fn full(&self, store: &dyn MessageStore, waiting_max: u64) -> Option<String> {
        let fed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fed.iter().find(|reader| store.waiting(reader) >= waiting_max).cloned()
    }
}
