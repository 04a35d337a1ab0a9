//! What one call of a plugin may use, as far as people may say so: [`Limit`], each with its word in files, its default and the most
//! that any host allows; and [`CallLimits`], one number for each.

use std::fmt;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A bound on one call of a plugin that an integration may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Linear memory, summed over the call's store.
    Memory,
    /// Thread time while the guest runs, not while it waits.
    Cpu,
    /// Time from the start of the instantiation to the end of the call, waiting included.
    Wall,
    /// Everything a call gives back or sends to channels, together.
    Output,
    OutputMessages,
    Requests,
    RequestsAtOnce,
    HostCalls,
    /// Text of log lines; what is over is counted and dropped.
    Log,
    Key,
    Value,
    /// Keys and values of one integration, with what the call has buffered.
    KeyValue,
}

/// What the number of a [`Limit`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Milliseconds,
    Count,
}

/// What is said of a limit in one place.
struct About {
    word: &'static str,
    unit: Unit,
    /// Where nobody says otherwise.
    default: u64,
    /// What `lockgate.toml` allows integrations to say, where it does not say otherwise itself.
    ceiling: u64,
    /// What `lockgate.toml` may allow.
    range: (u64, u64),
}

impl Limit {
    /// Every one, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Memory,
        Self::Cpu,
        Self::Wall,
        Self::Output,
        Self::OutputMessages,
        Self::Requests,
        Self::RequestsAtOnce,
        Self::HostCalls,
        Self::Log,
        Self::Key,
        Self::Value,
        Self::KeyValue,
    ];

    fn about(self) -> About {
        use Unit::{Bytes, Count, Milliseconds};
        let (word, unit, default, ceiling, range) = match self {
            Self::Memory => ("memory", Bytes, 64 * MIB, 256 * MIB, (MIB, 2 * GIB)),
            Self::Cpu => ("cpu", Milliseconds, 1_000, 10_000, (10, 600_000)),
            Self::Wall => ("wall", Milliseconds, 30_000, 300_000, (1_000, 3_600_000)),
            Self::Output => ("output", Bytes, 16 * MIB, 64 * MIB, (KIB, 256 * MIB)),
            Self::OutputMessages => ("output-messages", Count, 10_000, 10_000, (1, 10_000)),
            Self::Requests => ("requests", Count, 32, 1_000, (1, 10_000)),
            Self::RequestsAtOnce => ("requests-at-once", Count, 6, 32, (1, 64)),
            Self::HostCalls => ("host-calls", Count, 10_000, 1_000_000, (100, 100_000_000)),
            Self::Log => ("log", Bytes, 64 * KIB, MIB, (0, 16 * MIB)),
            Self::Key => ("key", Bytes, 512, 512, (1, 2 * KIB)),
            Self::Value => ("value", Bytes, MIB, 4 * MIB, (1, 16 * MIB)),
            Self::KeyValue => ("key-value", Bytes, 64 * MIB, GIB, (0, 64 * GIB)),
        };
        About { word, unit, default, ceiling, range }
    }

    /// The word for it in files: `cpu`.
    pub fn word(self) -> &'static str {
        self.about().word
    }

    /// What is counted, for messages to people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "CPU time",
            Self::Wall => "wall time",
            Self::Output => "output",
            Self::OutputMessages => "output messages",
            Self::Requests => "requests",
            Self::RequestsAtOnce => "requests at once",
            Self::HostCalls => "host calls",
            Self::Log => "log text",
            Self::Key => "bytes of a key",
            Self::Value => "bytes of a value",
            Self::KeyValue => "key-value bytes",
        }
    }

    /// Where it is set, for messages to people: `limits.cpu`.
    pub fn setting(self) -> Setting {
        Setting(self)
    }

    pub fn unit(self) -> Unit {
        self.about().unit
    }

    /// The least and the most that `lockgate.toml` may allow.
    pub fn range(self) -> (u64, u64) {
        self.about().range
    }
}

/// `limits.cpu`: what an integration writes to change a limit.
#[derive(Clone, Copy, Debug)]
pub struct Setting(Limit);

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limits.{}", self.0.word())
    }
}

/// A number for each [`Limit`], in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits([u64; Limit::ALL.len()]);

impl Default for CallLimits {
    /// What a call may use where nobody says otherwise.
    fn default() -> Self {
        Self(Limit::ALL.map(|limit| limit.about().default))
    }
}

impl CallLimits {
    /// The most an integration may say where `lockgate.toml` says nothing.
    pub fn ceiling() -> Self {
        Self(Limit::ALL.map(|limit| limit.about().ceiling))
    }

    pub fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// The same with `value` for `limit`.
    #[must_use]
    pub fn with(mut self, limit: Limit, value: u64) -> Self {
        self.0[limit as usize] = value;
        self
    }

    /// Where something is said, it counts; where not, the default, or the ceiling if that is less.
    pub fn of(said: &SaidLimits, ceiling: &Self) -> Self {
        let default = Self::default();
        Self(Limit::ALL.map(|limit| said.get(limit).unwrap_or_else(|| default.get(limit)).min(ceiling.get(limit))))
    }
}

/// What one integration says of its limits; it may say nothing of most of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaidLimits([Option<u64>; Limit::ALL.len()]);

impl SaidLimits {
    pub fn get(&self, limit: Limit) -> Option<u64> {
        self.0[limit as usize]
    }

    pub fn say(&mut self, limit: Limit, value: u64) {
        self.0[limit as usize] = Some(value);
    }

    /// What is said that is more than `ceiling` allows.
    pub fn over<'a>(&'a self, ceiling: &'a CallLimits) -> impl Iterator<Item = (Limit, u64)> + 'a {
        Limit::ALL.into_iter().filter_map(|limit| self.get(limit).filter(|said| *said > ceiling.get(limit)).map(|said| (limit, said)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_own_place_word_and_a_default_that_a_host_allows() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            let (least, most) = limit.range();
            assert_eq!(limit as usize, index);
            assert_eq!(Limit::ALL.iter().filter(|other| other.word() == limit.word()).count(), 1, "{limit:?}");
            let (default, ceiling) = (CallLimits::default().get(limit), CallLimits::ceiling().get(limit));
            assert!(least <= default && default <= ceiling && ceiling <= most, "{limit:?}");
        }
    }

    #[test]
    fn what_is_not_said_is_the_default_and_never_over_the_ceiling() {
        let mut said = SaidLimits::default();
        said.say(Limit::Wall, 60_000);
        let ceiling = CallLimits::ceiling().with(Limit::Memory, MIB).with(Limit::Wall, 50_000);
        assert_eq!(said.over(&ceiling).collect::<Vec<_>>(), [(Limit::Wall, 60_000)]);
        let limits = CallLimits::of(&said, &ceiling);
        assert_eq!((limits.get(Limit::Memory), limits.get(Limit::Wall), limits.get(Limit::Cpu)), (MIB, 50_000, 1_000));
    }
}
