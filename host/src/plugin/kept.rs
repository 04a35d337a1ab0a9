//! [`Kept`]: one instance, called more than once. No delivery does that; it is what a fresh instance for every call is measured
//! against.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Instance;

use super::registry::Prepared;
use super::state::CallState;
use super::{CallFailure, Output};

/// An instance and its store, under no limit but those of the store.
pub struct Kept {
    pub(super) store: Store<CallState>,
    pub(super) instance: Instance,
    pub(super) prepared: Arc<Prepared>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl Kept {
    /// Runs the call it was made for, in the state that the calls before have left.
    ///
    /// # Errors
    /// A trap; the instance is of no use afterwards.
    pub async fn call(&mut self) -> wasmtime::Result<Result<Output, CallFailure>> {
        let shared = self.store.data().shared.clone();
        self.prepared.exports.call(&mut self.store, &self.instance, &shared.call).await
    }
}
