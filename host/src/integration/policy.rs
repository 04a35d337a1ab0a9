//! How deliveries are ordered, retried and given up: plain data with safe defaults.

use std::time::Duration;

/// What stays in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One message of a key at a time; the next goes when it is delivered, skipped or dead-lettered.
    Key,
    /// As `Key`, and a dead letter stops its key: nothing newer goes before a person has replayed, edited or discarded it.
    Strict,
    /// None.
    None,
}

impl Order {
    /// The word for it in files and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

/// Whether waits between attempts are drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// `uniform(0, min(cap, base·2^n))`
    Full,
    /// `min(cap, base·2^n)`: 1 s, 2 s, 4 s
    None,
}

/// The waits between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
    pub jitter: Jitter,
}

/// `[delivery]` of an integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    pub order: Order,
    /// Deliveries under way at once; batches, where the sink takes batches.
    pub concurrency: usize,
    /// How long attempts may fail before the message becomes a dead letter; waiting for a target that is down does not count.
    pub give_up_after: Duration,
    /// An optional second bound: how many attempts may fail.
    pub attempts: Option<u32>,
    pub backoff: Backoff,
    /// How a sink that takes several messages at once is given them; none: one message a call.
    pub batch: Option<Batching>,
}

/// `batch` of a `[sink]`: a batch goes when it is full, or some time after its first message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Messages in one batch.
    pub max: usize,
    /// How long the first message of a batch waits for others.
    pub within: Duration,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max: 100, within: Duration::from_secs(1) }
    }
}

/// The most deliveries that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingMax {
    /// In one integration.
    pub integration: u64,
    /// In all of them together.
    pub host: u64,
}

impl WaitingMax {
    /// So many in each integration, however many there are.
    pub const fn each(integration: u64) -> Self {
        Self { integration, host: u64::MAX }
    }
}

impl Default for WaitingMax {
    fn default() -> Self {
        Self { integration: 100_000, host: 1_000_000 }
    }
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            order: Order::Key,
            concurrency: 8,
            give_up_after: Duration::from_secs(24 * 60 * 60),
            attempts: None,
            backoff: Backoff::default(),
            batch: None,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(5 * 60), jitter: Jitter::Full }
    }
}

impl Backoff {
    /// The longest wait before the attempt after `failed` ones (counting from 0): `min(cap, base·2^failed)`.
    pub fn ceiling(&self, failed: u32) -> Duration {
        let factor = 1_u32.checked_shl(failed.min(31)).unwrap_or(u32::MAX);
        self.base.checked_mul(factor).map_or(self.cap, |wait| wait.min(self.cap))
    }
}
