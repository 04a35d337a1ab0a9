//! What a simulation is about: who sends what and when, and what becomes of the outside world and the host meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alias::RateLimit;
use crate::clock::Timestamp;
use crate::integration::Batching;

/// 2023-11-15 08:00 UTC.
pub const START: Timestamp = Timestamp(1_700_035_200_000);
/// The aliases whose targets take orders.
pub const TARGETS: [&str; 2] = ["crm", "erp"];
/// The secret of the first hour.
pub const FIRST_SECRET: &str = "first";

/// Everything that is decided beforehand.
#[derive(Clone, Debug)]
pub struct Script {
    pub posts: Vec<Post>,
    pub crm: Target,
    pub erp: Target,
    /// How the ERP takes several orders in one call; none where it takes them one by one.
    pub erp_batches: Option<Batching>,
    /// What the file with the CRM's secret holds, from when on.
    pub secret_held: Vec<(Timestamp, &'static str)>,
    /// The host dies, and comes back so much later.
    pub crashes: Vec<(Timestamp, Duration)>,
    /// All is delivered so long after the start.
    pub within: Duration,
}

/// An order as it is posted. One that is posted twice is the same to the byte.
#[derive(Clone, Debug)]
pub struct Post {
    pub at: Timestamp,
    pub order: Order,
}

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub number: u32,
    /// 0 for the whole of it.
    pub part: u32,
    pub customer: u32,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Plain,
    /// Nobody wants it.
    Skip,
    /// Becomes so many.
    Split(u32),
    /// This target answers it with 422.
    RefusedBy(String),
    /// This target answers it with 500 whenever it comes.
    Breaks(String),
    /// The plugin of the ERP cannot read it, nor anything that comes in one call with it.
    Unreadable,
}

impl Order {
    pub fn is_poison_for(&self, target: &str) -> bool {
        match &self.kind {
            Kind::RefusedBy(by) | Kind::Breaks(by) => by == target,
            Kind::Unreadable => target == TARGETS[1],
            _ => false,
        }
    }
}

/// The outside of an alias.
#[derive(Clone, Debug)]
pub struct Target {
    pub spells: Vec<Spell>,
    /// What the alias may send, and what the target counts.
    pub rate: Vec<RateLimit>,
    pub latency_ms: (u64, u64),
    /// The secret its token endpoint takes, from when on.
    pub secret_taken: Vec<(Timestamp, &'static str)>,
    /// How long a token is said to live, and how long it does.
    pub token_lives: (Duration, Duration),
    /// All tokens given out before are no good any more.
    pub tokens_revoked: Vec<Timestamp>,
}

impl Default for Target {
    fn default() -> Self {
        let hour = Duration::from_secs(3_600);
        let secret_taken = vec![(START, FIRST_SECRET)];
        Self {
            spells: Vec::new(),
            rate: Vec::new(),
            latency_ms: (20, 200),
            secret_taken,
            token_lives: (hour, hour),
            tokens_revoked: Vec::new(),
        }
    }
}

/// How a target behaves for a time.
#[derive(Clone, Copy, Debug)]
pub struct Spell {
    pub from: Timestamp,
    pub until: Timestamp,
    pub weather: Weather,
}

#[derive(Clone, Copy, Debug)]
pub enum Weather {
    /// Connections are refused.
    Refuses,
    /// Connections are taken, and nothing is answered.
    Hangs,
    /// So many of a hundred requests get 429, which asks for so many seconds.
    Throttles { percent: usize, retry_after: Option<u64> },
    /// 503, which asks for so many seconds.
    Unavailable { retry_after: Option<u64> },
    /// So many of a hundred get 500; nothing is done.
    Errs { percent: usize },
    /// The work is done, and the connection breaks before the answer: so many of a hundred.
    LosesAnswers { percent: usize },
}

impl Target {
    /// What of `spells` counts at `now`.
    pub fn weather(&self, now: Timestamp) -> Option<&Spell> {
        self.spells.iter().find(|spell| spell.from <= now && now < spell.until)
    }
}

/// The last of `table` that counts at `now`.
pub fn in_force<T: Copy>(table: &[(Timestamp, T)], now: Timestamp) -> Option<T> {
    table.iter().rev().find(|(from, _)| *from <= now).map(|(_, value)| *value)
}

/// So many seconds after the start.
pub fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}
