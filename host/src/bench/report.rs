//! [`Report`]: the rows, and all that somebody needs to know who reads them elsewhere.

use std::path::Path;

use serde::Serialize;

use super::figures::Row;
use super::machine::{self, Machine};
use super::room::{Size, Totals};
use crate::clock::{Clock, SystemClock};

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    pub rows: Vec<Row>,
    /// Messages of all rounds together.
    pub messages: Totals,
    /// RFC 3339, in UTC.
    pub measured_at: String,
    pub machine: Machine,
    #[serde(serialize_with = "as_map")]
    pub versions: Vec<(String, String)>,
    pub size: Size,
    /// `release`, or `debug`: then the figures mean nothing.
    pub profile: &'static str,
}

impl Report {
    /// Of `rows`, measured on this machine now, with data in `folder`.
    pub fn of(rows: Vec<Row>, messages: Totals, size: Size, project: &Path, folder: &Path) -> Self {
        Self {
            rows,
            messages,
            measured_at: SystemClock::new().now().to_string(),
            machine: Machine::of(folder),
            versions: machine::versions(project),
            size,
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }

    /// Whether every goal holds, and every message was delivered, once.
    pub fn holds(&self) -> bool {
        self.is_exact() && self.rows.iter().all(|row| row.holds != Some(false))
    }

    /// Whether every message was delivered, once.
    pub fn is_exact(&self) -> bool {
        self.messages.lost + self.messages.doubled == 0
    }

    /// The day of the measurement.
    pub fn day(&self) -> &str {
        self.measured_at.split('T').next().unwrap_or_default()
    }

    /// Machine and versions, in a line each.
    pub fn circumstances(&self) -> [String; 2] {
        let Machine { processor, cores, memory_gib, kernel, file_system, sync_ms } = &self.machine;
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        [
            format!("{processor}, {cores} cores, {memory_gib} GiB, {kernel}; data on {file_system}, 4 KiB on disk in {sync_ms:.2} ms"),
            format!("{}; {}, {} build", self.day(), versions.join(", "), self.profile),
        ]
    }
}

fn as_map<S: serde::Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, version)| (name, version)))
}
