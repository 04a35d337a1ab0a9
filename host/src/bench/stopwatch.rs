//! Real time, which is the point here: the only place of the room that asks the machine for it.

use std::time::{Duration, Instant};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for real.
#[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Blocks the thread for real: the operating system wakes it more exactly than a runtime's timer.
#[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
pub fn block(duration: Duration) {
    std::thread::sleep(duration);
}
