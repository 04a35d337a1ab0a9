//! Time, as a capability: the core never asks the machine what time it is, it asks a [`Clock`].
//!
//! Owns [`Timestamp`], the trait and its two implementations: [`SystemClock`] for a running host and [`ManualClock`]
//! for tests and simulations. Depends on nothing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus `duration`, saturating.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time minus `duration`, saturating.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A wait that ends when the clock says so.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the core gets its time from.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Now. Never goes backwards while the process runs.
    fn now(&self) -> Timestamp;

    /// Ends once `duration` has passed on this clock.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// `future`, or `None` if it is not done after `limit` on `clock`. The limit counts from the first time it had to wait: most are
/// done before, and need no timer.
pub async fn within<F: Future>(clock: &dyn Clock, limit: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut end: Option<Sleep> = None;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.get_or_insert_with(|| clock.sleep(limit)).as_mut().poll(context).map(|()| None),
    })
    .await
}

/// The machine's clock: the wall clock read once at the start, and the monotonic one from there, never earlier than `floor`.
#[derive(Debug)]
pub struct SystemClock {
    started_at_ms: AtomicI64,
    started: std::time::Instant,
}

impl SystemClock {
    /// Reads the wall clock. [`SystemClock::not_before`] raises it to what the data folder has seen.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    pub fn new() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let started_at_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        Self { started_at_ms: AtomicI64::new(started_at_ms), started: std::time::Instant::now() }
    }

    /// From here on the clock never reads earlier than `floor`, so that time does not go backwards over a restart.
    pub fn not_before(&self, floor: Timestamp) {
        let behind = floor.0.saturating_sub(self.now().0);
        if behind > 0 {
            self.started_at_ms.fetch_add(behind, Ordering::SeqCst);
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.started_at_ms.load(Ordering::SeqCst)).plus(self.started.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that waits for real")]
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    now: tokio::sync::watch::Sender<i64>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self { now: tokio::sync::watch::Sender::new(start.0) }
    }

    /// Moves the clock forward and wakes whoever waited for a time that has now come.
    pub fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now = Timestamp(*now).plus(duration).0);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(*self.now.borrow())
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let until = self.now().plus(duration).0;
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // The sender lives as long as the clock; once it is gone nobody moves time any more.
            if now.wait_for(|now| *now >= until).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
