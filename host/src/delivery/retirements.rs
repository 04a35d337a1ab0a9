//! [`Retirements`]: the integrations that are being retired, and those that were. Such a one takes nothing new: no source of it is
//! asked, no channel feeds it. What waits of it is delivered.
//!
//! Depends on the clock's times only. What outlives the host is `app::retiring`'s business.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use tokio::sync::{Mutex, MutexGuard};

use crate::clock::Timestamp;

/// Since when an integration takes nothing new, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    pub since: Timestamp,
    pub reason: Option<String>,
    /// When nothing of it waited any more; none while it drains.
    pub done_at: Option<Timestamp>,
}

/// Which integrations are retired, or on the way to it. Shared by the catalog, the sources and those who retire.
#[derive(Debug, Default)]
pub struct Retirements {
    inside: RwLock<BTreeMap<String, Retirement>>,
    changing: Mutex<()>,
}

impl Retirements {
    /// Whoever changes what is retired, on disk and here, holds this meanwhile: one at a time.
    pub async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// So it stands with `integration` from now on.
    pub fn put(&self, integration: &str, retirement: Retirement) {
        self.inside.write().unwrap_or_else(PoisonError::into_inner).insert(integration.to_owned(), retirement);
    }

    /// It takes messages again.
    pub fn remove(&self, integration: &str) {
        self.inside.write().unwrap_or_else(PoisonError::into_inner).remove(integration);
    }

    /// How it stands with `integration`; none where it is not retired, nor on the way.
    pub fn of(&self, integration: &str) -> Option<Retirement> {
        self.inside.read().unwrap_or_else(PoisonError::into_inner).get(integration).cloned()
    }

    /// Whether it takes nothing new.
    pub fn has(&self, integration: &str) -> bool {
        self.inside.read().unwrap_or_else(PoisonError::into_inner).contains_key(integration)
    }

    /// Those that drain.
    pub fn draining(&self) -> Vec<String> {
        let inside = self.inside.read().unwrap_or_else(PoisonError::into_inner);
        inside.iter().filter(|(_, retirement)| retirement.done_at.is_none()).map(|(name, _)| name.clone()).collect()
    }

    /// Those that are retired.
    pub fn done(&self) -> Vec<String> {
        let inside = self.inside.read().unwrap_or_else(PoisonError::into_inner);
        inside.iter().filter(|(_, retirement)| retirement.done_at.is_some()).map(|(name, _)| name.clone()).collect()
    }
}
