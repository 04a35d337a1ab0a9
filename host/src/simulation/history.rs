//! What happened, as one hash and its last lines; and what must not have happened.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// Lines that are kept for people.
const LINES_KEPT: usize = 40;

/// Of one simulation. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    hash: Sha256,
    count: usize,
    last: VecDeque<String>,
    broken: Option<String>,
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened.
    pub fn tell(&self, at: Timestamp, what: impl Display) {
        let line = format!("{at} {what}");
        let mut told = self.lock();
        told.hash.update(&line);
        told.hash.update(b"\n");
        told.count += 1;
        if told.last.len() == LINES_KEPT {
            told.last.pop_front();
        }
        told.last.push_back(line);
    }

    /// Something happened that must not. The first is what counts.
    pub fn broken(&self, at: Timestamp, why: impl Display) {
        self.lock().broken.get_or_insert_with(|| format!("{at} {why}"));
    }

    /// An error if anything happened that must not: what it was, and what was before.
    pub fn verdict(&self) -> Result<(), String> {
        let told = self.lock();
        match &told.broken {
            None => Ok(()),
            Some(why) => Err(format!("{why}\nafter:\n  {}", told.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n  "))),
        }
    }

    /// How much happened, and a hash of it.
    pub fn fingerprint(&self) -> (usize, String) {
        let told = self.lock();
        (told.count, hex::encode(told.hash.clone().finalize()))
    }
}
