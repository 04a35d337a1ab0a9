//! The ledger: what every attempt of a delivery saw and did, whole enough to do it again. Segments of records in `<data>/ledger/`.
//!
//! `recording` gathers while an attempt runs, [`Recorder`] takes what came of it and has a thread of its own write it ([`Record`], in
//! `segment`s); [`Reader`] finds and reads. Best effort: nothing waits for it, nothing depends on it, and what it has no room for is
//! dropped and counted. What must not be lost is in the message store.
//!
//! Knows messages and the plain types of `plugin`; knows nothing of the message store's database or of who asks.

mod keep;
mod read;
mod record;
mod recorder;
mod recording;
mod segment;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use read::{Located, Passed, Reader};
pub use record::{Cut, Ended, Entry, Record, RecordedCall};
pub use recorder::Recorder;
pub use recording::Recording;

/// The folder of a data folder that the segments are in.
pub const FOLDER: &str = "ledger";

/// Which attempts are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    All,
    /// Those that failed.
    Failures,
    Nothing,
}

/// What is recorded, and how much of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub records: Records,
    /// For how long; none is for ever.
    pub keep: Option<Duration>,
    /// The oldest goes where there is more.
    pub bytes_max: u64,
}

impl Settings {
    /// What is kept where nobody says how much.
    pub const BYTES_MAX: u64 = 4 << 30;
    /// For how long where nobody says.
    pub const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

impl Default for Settings {
    fn default() -> Self {
        Self { records: Records::All, keep: Some(Self::KEEP), bytes_max: Self::BYTES_MAX }
    }
}

/// The ledger's folder in the data folder `data`.
pub fn folder(data: &Path) -> PathBuf {
    data.join(FOLDER)
}
