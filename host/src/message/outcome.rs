//! How a delivery can end, and the classes of failure that put one among the dead letters.

use serde::{Deserialize, Serialize};

/// How a delivery ended. Until then it is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The sink has it.
    Delivered,
    /// A plugin said that there is nothing to do.
    Skipped,
    /// It became several child messages, each with an outcome of its own.
    FannedOut,
    /// It could not be delivered and is parked for people.
    DeadLettered,
    /// An operator gave it up.
    Discarded,
    /// An operator edited it: a message made from it took its place.
    Edited,
}

/// Why a delivery is among the dead letters. Stable words: scripts and alerts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The plugin said that trying again cannot work.
    Permanent,
    /// Attempts failed until `give-up-after` or `attempts` was reached.
    GaveUp,
    /// The message has no key where its integration orders by one.
    Unkeyed,
    /// The plugin trapped.
    Trapped,
    /// Over the memory limit.
    OutOfMemory,
    /// Over the limit on CPU time.
    CpuExceeded,
    /// Over the limit on wall time.
    TimedOut,
    /// Over the limit on output.
    OutputTooLarge,
    /// Over the limit on host calls.
    HostCallsExceeded,
    /// Three starts that never settled: the host crashed with it.
    HostCrashed,
    /// The release cannot run this message: the plugin cannot be loaded or does not have the role.
    Unrunnable,
}

/// The kebab-case word of a serde enum, so that code, database, JSON and metrics use the same one.
macro_rules! word {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it in JSON, the database and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of a word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

word!(Outcome {
    Delivered => "delivered",
    Skipped => "skipped",
    FannedOut => "fanned-out",
    DeadLettered => "dead-lettered",
    Discarded => "discarded",
    Edited => "edited",
});

word!(FailureClass {
    Permanent => "permanent",
    GaveUp => "gave-up",
    Unkeyed => "unkeyed",
    Trapped => "trapped",
    OutOfMemory => "out-of-memory",
    CpuExceeded => "cpu-exceeded",
    TimedOut => "timed-out",
    OutputTooLarge => "output-too-large",
    HostCallsExceeded => "host-calls-exceeded",
    HostCrashed => "host-crashed",
    Unrunnable => "unrunnable",
});
