//! A log line that strangers can cause is written at most a few times a second; what was left out is counted.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

const WINDOW: Duration = Duration::from_secs(1);
const LINES_PER_WINDOW: u32 = 5;

/// Counts the lines of one kind.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    window_started: Timestamp,
    lines: u32,
    suppressed: u64,
}

impl LogLimit {
    /// Whether a line may be written at `now`; if so, how many were left out since the last one.
    pub fn admit(&self, now: Timestamp) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(counts.window_started) >= WINDOW {
            counts.window_started = now;
            counts.lines = 0;
        }
        if counts.lines >= LINES_PER_WINDOW {
            counts.suppressed += 1;
            return None;
        }
        counts.lines += 1;
        Some(std::mem::take(&mut counts.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_few_lines_a_second_and_counts_the_rest() {
        let limit = LogLimit::default();
        let admitted = (0..100).filter(|_| limit.admit(Timestamp(5_000)).is_some()).count();
        assert_eq!(admitted, 5);
        assert_eq!(limit.admit(Timestamp(6_000)), Some(95));
        assert_eq!(limit.admit(Timestamp(6_000)), Some(0));
    }
}
