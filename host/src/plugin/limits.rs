//! [`Limits`]: what one call may use. What people may set comes from [`CallLimits`]; the rest is the host's own.

use std::time::Duration;

use crate::integration::{CallLimits, Limit};

/// Calls that run beside those of deliveries, whose number is [`Limits::calls_at_once`]: those of releases that run without effect.
pub const CALLS_BESIDE: u32 = 16;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bounds on one call of a plugin, and on how many calls run at once. The first are [`Limit`]'s.
#[derive(Clone, Debug)]
pub struct Limits {
    pub memory_bytes: usize,
    pub cpu: Duration,
    pub wall: Duration,
    pub output_bytes: usize,
    pub output_messages: usize,
    pub requests: usize,
    pub requests_at_once: usize,
    pub host_calls: u64,
    pub log_bytes: usize,
    pub key_bytes: usize,
    pub value_bytes: usize,
    pub key_value_quota_bytes: u64,
    /// Bytes a guest may hand to the host in one host call, and with its result: twice the output, since what is handed over is more
    /// than what is counted, and never less than a request's body needs.
    pub hostcall_bytes: usize,
    pub queue_sends: usize,
    pub queue_body_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Core instances of a component; memories and tables are bounded with it.
    pub core_instances: u32,
    pub memories: u32,
    pub tables: u32,
    /// Component handles and host resources alive at once.
    pub handles: usize,
    /// Calls under way in the whole host; more wait for their turn. No integration has half of them (see `shares`).
    pub calls_at_once: u32,
}

/// The least of [`Limits::hostcall_bytes`].
const HOSTCALL_BYTES_MIN: usize = 32 * MIB;

impl Default for Limits {
    fn default() -> Self {
        Self::of(&CallLimits::default())
    }
}

impl Limits {
    /// Those that follow from what `said` says.
    pub fn of(said: &CallLimits) -> Self {
        let size = |limit| usize::try_from(said.get(limit)).unwrap_or(usize::MAX);
        let time = |limit| Duration::from_millis(said.get(limit));
        Self {
            memory_bytes: size(Limit::Memory),
            cpu: time(Limit::Cpu),
            wall: time(Limit::Wall),
            output_bytes: size(Limit::Output),
            output_messages: size(Limit::OutputMessages),
            requests: size(Limit::Requests),
            requests_at_once: size(Limit::RequestsAtOnce),
            host_calls: said.get(Limit::HostCalls),
            log_bytes: size(Limit::Log),
            key_bytes: size(Limit::Key),
            value_bytes: size(Limit::Value),
            key_value_quota_bytes: said.get(Limit::KeyValue),
            hostcall_bytes: size(Limit::Output).saturating_mul(2).max(HOSTCALL_BYTES_MIN),
            queue_sends: 1_000,
            queue_body_bytes: 4 * MIB,
            table_elements: 20_000,
            core_instances: 16,
            memories: 4,
            tables: 16,
            handles: 1_000,
            calls_at_once: 256,
        }
    }
}
