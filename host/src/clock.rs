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

    /// What the machine's wall clock says, for what somebody else dated by theirs. It jumps when people or time servers set it: nothing
    /// is put in order, waited for or kept by it.
    fn wall(&self) -> Timestamp {
        self.now()
    }

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

/// What a [`SystemClock`] reads: the machine's clocks, or a test's.
pub trait Machine: Send + Sync + fmt::Debug + 'static {
    /// The wall clock. It jumps when it is set.
    fn wall(&self) -> Timestamp;

    /// The time since some moment before the clock was made. Never goes backwards.
    fn monotonic(&self) -> Duration;
}

/// The machine that the program runs on.
#[derive(Debug)]
pub struct ThisMachine {
    started: std::time::Instant,
}

impl ThisMachine {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Machine for ThisMachine {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn wall(&self) -> Timestamp {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The machine's clock: the wall clock read once at the start, and the monotonic one from there, never earlier than `floor`.
#[derive(Debug)]
pub struct SystemClock<M = ThisMachine> {
    machine: M,
    started_at_ms: AtomicI64,
    started: Duration,
}

impl SystemClock {
    /// Reads the wall clock. [`SystemClock::not_before`] raises it to what the data folder has seen.
    pub fn new() -> Self {
        Self::of(ThisMachine::new())
    }
}

impl<M: Machine> SystemClock<M> {
    /// The same of another machine.
    pub fn of(machine: M) -> Self {
        let (wall, started) = (machine.wall(), machine.monotonic());
        Self { machine, started_at_ms: AtomicI64::new(wall.0), started }
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

impl<M: Machine> Clock for SystemClock<M> {
    fn now(&self) -> Timestamp {
        let elapsed = self.machine.monotonic().saturating_sub(self.started);
        Timestamp(self.started_at_ms.load(Ordering::SeqCst)).plus(elapsed)
    }

    fn wall(&self) -> Timestamp {
        self.machine.wall()
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
    /// How far the wall clock was set from it.
    wall_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self { now: tokio::sync::watch::Sender::new(start.0), wall_ms: AtomicI64::new(0) }
    }

    /// Sets the wall clock by so many milliseconds, forward or back.
    pub fn set_wall_by(&self, millis: i64) {
        self.wall_ms.fetch_add(millis, Ordering::SeqCst);
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

    fn wall(&self) -> Timestamp {
        Timestamp(self.now().0.saturating_add(self.wall_ms.load(Ordering::SeqCst)))
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

#[cfg(test)]
pub mod jumping {
    //! A machine whose clocks a test sets.

    use std::sync::Arc;

    use super::*;

    pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[derive(Clone, Debug)]
    pub struct Jumping {
        wall: Arc<AtomicI64>,
        monotonic: Arc<AtomicI64>,
    }

    impl Jumping {
        pub fn at(start: Timestamp) -> Self {
            Self { wall: Arc::new(AtomicI64::new(start.0)), monotonic: Arc::default() }
        }

        /// Time passes.
        pub fn pass(&self, time: Duration) {
            let millis = i64::try_from(time.as_millis()).unwrap();
            self.wall.fetch_add(millis, Ordering::SeqCst);
            self.monotonic.fetch_add(millis, Ordering::SeqCst);
        }

        /// Somebody sets the wall clock by so many milliseconds.
        pub fn jump(&self, millis: i64) {
            self.wall.fetch_add(millis, Ordering::SeqCst);
        }
    }

    impl Machine for Jumping {
        fn wall(&self) -> Timestamp {
            Timestamp(self.wall.load(Ordering::SeqCst))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(u64::try_from(self.monotonic.load(Ordering::SeqCst)).unwrap())
        }
    }

    /// A day forward and a day back, in milliseconds.
    pub fn jumps() -> [i64; 2] {
        let day = i64::try_from(DAY.as_millis()).unwrap();
        [day, -day]
    }

    const START: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn time_goes_on_as_it_did_whatever_the_wall_clock_is_set_to() {
        for jump in jumps() {
            let machine = Jumping::at(START);
            let clock = SystemClock::of(machine.clone());
            machine.pass(Duration::from_secs(10));
            let before = clock.now();
            machine.jump(jump);
            assert_eq!((clock.now(), clock.wall()), (before, Timestamp(before.0 + jump)));
            machine.pass(Duration::from_secs(10));
            assert_eq!(clock.now(), START.plus(Duration::from_secs(20)));
        }
    }

    #[test]
    fn time_never_goes_back_over_a_restart() {
        for jump in jumps() {
            let machine = Jumping::at(START);
            let before = SystemClock::of(machine.clone()).now();
            machine.jump(jump);
            let clock = SystemClock::of(machine.clone());
            clock.not_before(before);
            assert_eq!(clock.now(), before.max(Timestamp(START.0 + jump)));
            clock.not_before(before);
            machine.pass(Duration::from_secs(1));
            assert_eq!(clock.now().since(before.max(Timestamp(START.0 + jump))), Duration::from_secs(1), "and goes on from there");
        }
    }
}
