//! [`RowLocks`]: locks on single rows of integrations' key-value data, held from a compare or increment until its settlement.
//!
//! Two calls that lock the same rows in different order wait for each other until one meets its wall-time limit; it is tried
//! again after a jittered wait.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks by integration and key. Shared by all calls of a host.
#[derive(Debug, Default)]
pub struct RowLocks {
    rows: std::sync::Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    by_name: HashMap<(String, String), Weak<Mutex<()>>>,
    /// Dead entries are swept when there are more entries than this.
    sweep_over: usize,
}

const SWEEP_OVER_MIN: usize = 1_024;

impl RowLocks {
    /// Adds the lock of a row to `held`, waiting for whoever has it; does nothing if `held` has it already.
    pub async fn lock(&self, integration: &str, key: &str, held: &mut Vec<OwnedMutexGuard<()>>) {
        let row = self.row(integration, key);
        if held.iter().any(|guard| Arc::ptr_eq(OwnedMutexGuard::mutex(guard), &row)) {
            return;
        }
        held.push(row.lock_owned().await);
    }

    fn row(&self, integration: &str, key: &str) -> Arc<Mutex<()>> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (integration.to_owned(), key.to_owned());
        if let Some(row) = rows.by_name.get(&name).and_then(Weak::upgrade) {
            return row;
        }
        if rows.by_name.len() >= rows.sweep_over.max(SWEEP_OVER_MIN) {
            rows.by_name.retain(|_, row| row.strong_count() > 0);
            rows.sweep_over = rows.by_name.len().saturating_mul(2);
        }
        let row = Arc::new(Mutex::new(()));
        rows.by_name.insert(name, Arc::downgrade(&row));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_is_locked_once_and_free_again_when_dropped() {
        let locks = RowLocks::default();
        let mut held = Vec::new();
        locks.lock("a", "k", &mut held).await;
        locks.lock("a", "k", &mut held).await;
        locks.lock("b", "k", &mut held).await;
        assert_eq!(held.len(), 2);
        assert!(locks.row("a", "k").try_lock().is_err());
        drop(held);
        assert!(locks.row("a", "k").try_lock().is_ok());
    }

    #[test]
    fn rows_nobody_holds_are_forgotten() {
        let locks = RowLocks::default();
        for key in 0..10_000 {
            locks.row("a", &key.to_string());
        }
        assert!(locks.rows.lock().unwrap().by_name.len() <= SWEEP_OVER_MIN);
    }
}
