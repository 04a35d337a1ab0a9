//! [`SetUps`]: one component as it is after its `setup`, for each configuration that it was called with.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::registry::Loaded;
use crate::problem::Problem;

/// Configurations of one plugin that are held; of more, the oldest are set up at each call.
const HELD_MAX: usize = 64;

/// Held by the component as it was built, and gone with it.
pub struct SetUps {
    /// What is set up.
    component: Arc<[u8]>,
    made: Mutex<Vec<Made>>,
}

/// None where the memory behind `setup` cannot be kept.
type Made = (Arc<str>, Option<Arc<Loaded>>);

impl SetUps {
    pub fn of(component: &[u8]) -> Self {
        Self { component: component.into(), made: Mutex::default() }
    }

    /// What the compiled form is kept under. No component has that digest.
    pub fn digest(component: &str, config: &str) -> String {
        let mut digest = Sha256::new();
        digest.update("setup\n");
        digest.update(component);
        digest.update("\n");
        digest.update(config);
        hex::encode(digest.finalize())
    }

    /// The component set up with `config`, if there is one.
    pub fn get(&self, config: &str) -> Option<Arc<Loaded>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().rev().find(|(of, _)| **of == *config)?.1.clone()
    }

    /// Has `make` make it of the component, unless that was done.
    ///
    /// # Errors
    /// What `make` says.
    pub fn get_or_make(&self, config: &str, make: impl FnOnce(&[u8]) -> Result<Option<Arc<Loaded>>, Problem>) -> Result<(), Problem> {
        if self.made.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(of, _)| **of == *config) {
            return Ok(());
        }
        // It takes its time, and nobody who calls waits for it. Where two make the same, the later one counts.
        let made = make(&self.component)?;
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let over = (all.len() + 1).saturating_sub(HELD_MAX);
        all.drain(..over);
        all.push((config.into(), made));
        Ok(())
    }
}
