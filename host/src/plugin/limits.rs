//! [`Limits`]: what one call may use. The defaults are those of the documentation's table of limits.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bounds on one call of a plugin, and on how many calls run at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory, summed over the call's store.
    pub memory_bytes: usize,
    /// Thread time while the guest runs, not while it waits.
    pub cpu: Duration,
    /// Time from the start of the instantiation to the end of the call, waiting included.
    pub wall: Duration,
    /// Everything a call gives back or sends to channels, together.
    pub output_bytes: usize,
    pub output_messages: usize,
    /// Bytes a guest may hand to the host in one host call, and with its result.
    pub hostcall_bytes: usize,
    pub host_calls: u64,
    pub requests: usize,
    pub requests_at_once: usize,
    /// Text of log lines; what is over is counted and dropped.
    pub log_bytes: usize,
    pub key_bytes: usize,
    pub value_bytes: usize,
    /// Keys and values of one integration, with what the call has buffered.
    pub key_value_quota_bytes: u64,
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 * MIB,
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(30),
            output_bytes: 16 * MIB,
            output_messages: 10_000,
            hostcall_bytes: 32 * MIB,
            host_calls: 10_000,
            requests: 32,
            requests_at_once: 6,
            log_bytes: 64 * KIB,
            key_bytes: 512,
            value_bytes: MIB,
            key_value_quota_bytes: 64 * MIB as u64,
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
