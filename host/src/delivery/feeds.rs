//! [`Feeds`]: the integrations that one integration's messages go on to, over channels. While one of them has as much waiting as it
//! may, nothing more is made for it: a full channel makes its writer wait.
//!
//! Circles are the exception, [`Catalog::full`] says how: what goes round in one could not drain if it held itself back. Depends on the
//! catalog and on the message store's count of what waits.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::catalog::{Catalog, Runnable};
use crate::message_store::{Append, MessageStore};

/// Who gets what an integration writes to channels. A sink's channel is known before anything runs; where plugins send to is seen
/// from what they sent, so that the first such message of a run may be one too many.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<BTreeSet<String>>);

impl Feeds {
    /// From now on these are fed, and no others before a plugin is seen to send to them.
    pub fn know_only(&self, readers: BTreeSet<String>) {
        *self.lock() = readers;
    }

    /// The readers of what was appended are fed.
    pub fn see(&self, appends: &[Append]) {
        if appends.is_empty() {
            return;
        }
        let mut fed = self.lock();
        for delivery in appends.iter().flat_map(|append| &append.deliveries) {
            if !fed.contains(&delivery.integration) {
                fed.insert(delivery.integration.clone());
            }
        }
    }

    /// One that has `waiting_max` deliveries waiting, or more.
    pub fn full(&self, store: &dyn MessageStore, waiting_max: u64) -> Option<String> {
        self.lock().iter().find(|reader| store.waiting(reader) >= waiting_max).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog {
    /// One that has `waiting_max` deliveries waiting, or more, and makes `writer` wait: it is fed by `writer`, or by one that `writer`
    /// goes round in a circle with, and is in no circle with it. A circle counts as one: what its own have waiting is for it to
    /// deliver, and what waits behind it makes all of them wait.
    pub fn full(&self, writer: &Runnable, store: &dyn MessageStore, waiting_max: u64) -> Option<String> {
        let name = &writer.integration.name;
        let is_full = |reader: &String| store.waiting(reader) >= waiting_max;
        let ahead = self.ahead(name);
        if !ahead.iter().any(is_full) {
            return None;
        }
        let circle: BTreeSet<String> = ahead.into_iter().filter(|reader| self.ahead(reader).contains(name)).collect();
        let fed = circle.iter().chain([name]).flat_map(|member| self.fed(member));
        fed.filter(|reader| !circle.contains(reader)).find(is_full)
    }

    /// All that messages of `integration` may come to over channels, near and far; itself where they come back.
    fn ahead(&self, integration: &str) -> BTreeSet<String> {
        let mut ahead = BTreeSet::new();
        let mut next = self.fed(integration);
        while let Some(reader) = next.pop() {
            if !ahead.contains(&reader) {
                next.extend(self.fed(&reader));
                ahead.insert(reader);
            }
        }
        ahead
    }

    fn fed(&self, integration: &str) -> Vec<String> {
        self.get(integration).map_or_else(Vec::new, |runnable| runnable.feeds.lock().iter().cloned().collect())
    }
}
