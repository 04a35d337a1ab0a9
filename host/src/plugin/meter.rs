//! What a call uses: thread time, wall time, host calls and memory. [`Meter`] counts, [`MemoryLimiter`] refuses.
//!
//! Reads the machine's clocks itself: what a guest burns is a fact of the machine, also where the host's clock is virtual.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::ResourceLimiter;

use super::engine::TICK;
use super::fault::Stop;
use super::limits::Limits;
use super::state::Shared;
use crate::crash_point::{CrashPoint, reached};

/// Counts one call's use. Shared by the call's future, its epoch callback and its host functions.
///
/// Reading a thread's time is a system call, reading the monotonic clock is none. The first poll, which is the only one of
/// nearly every call and takes microseconds, is therefore counted by the monotonic clock, for [`FIRST_POLL_MAX`] at most, and
/// every later one by the thread's time. A guest that runs on is polled anew at every tick, so what is counted is exact to two
/// ticks.
#[derive(Debug)]
pub struct Meter {
    cpu_max_ns: u64,
    host_calls_max: u64,
    started_ns: u64,
    /// When the call ended, where that has been read already.
    ended_ns: OnceLock<u64>,
    cpu_spent_ns: AtomicU64,
    /// Thread time when the poll under way began; none in the first one.
    poll_started_ns: AtomicU64,
    host_calls: AtomicU64,
}

/// The most that the first poll counts for. A guest is interrupted after one tick; the rest is for the host's work in between.
const FIRST_POLL_MAX: Duration = TICK.saturating_mul(2);
/// In the place of `poll_started_ns` while the first poll is under way.
const FIRST_POLL: u64 = u64::MAX;

impl Meter {
    /// A meter that starts now.
    pub fn start(limits: &Limits) -> Self {
        Self {
            cpu_max_ns: nanos(limits.cpu),
            host_calls_max: limits.host_calls,
            started_ns: read(ClockId::Monotonic),
            ended_ns: OnceLock::new(),
            cpu_spent_ns: AtomicU64::new(0),
            poll_started_ns: AtomicU64::new(FIRST_POLL),
            host_calls: AtomicU64::new(0),
        }
    }

    /// Thread time spent in polls that are over.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_spent_ns.load(Ordering::Relaxed))
    }

    /// Time from the start to the end of the call, or to now.
    pub fn wall(&self) -> Duration {
        let ended_ns = self.ended_ns.get().copied().unwrap_or_else(|| read(ClockId::Monotonic));
        Duration::from_nanos(ended_ns.saturating_sub(self.started_ns))
    }

    /// Whether the call may run on, asked from within a poll.
    pub fn check_cpu(&self) -> Result<(), Stop> {
        let poll_ns = match self.poll_started_ns.load(Ordering::Relaxed) {
            FIRST_POLL => self.first_poll_ns(read(ClockId::Monotonic)),
            started_ns => read(ClockId::ThreadCPUTime).saturating_sub(started_ns),
        };
        self.within_cpu(self.cpu_spent_ns.load(Ordering::Relaxed).saturating_add(poll_ns))
    }

    /// Runs a poll and counts it.
    fn counted<T>(&self, first: bool, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        if first {
            let polled = poll();
            let now_ns = read(ClockId::Monotonic);
            self.cpu_spent_ns.store(self.first_poll_ns(now_ns), Ordering::Relaxed);
            if polled.is_ready() {
                self.ended_ns.get_or_init(|| now_ns);
            }
            return polled;
        }
        let started_ns = read(ClockId::ThreadCPUTime);
        self.poll_started_ns.store(started_ns, Ordering::Relaxed);
        let polled = poll();
        self.cpu_spent_ns.fetch_add(read(ClockId::ThreadCPUTime).saturating_sub(started_ns), Ordering::Relaxed);
        polled
    }

    fn first_poll_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.started_ns).min(nanos(FIRST_POLL_MAX))
    }

    fn within_cpu(&self, spent_ns: u64) -> Result<(), Stop> {
        if spent_ns <= self.cpu_max_ns {
            return Ok(());
        }
        Err(Stop::CpuExceeded { limit: Duration::from_nanos(self.cpu_max_ns), used: Duration::from_nanos(spent_ns) })
    }

    /// Counts a host call.
    pub fn host_call(&self) -> Result<(), Stop> {
        reached(CrashPoint::GuestRunning);
        let before = self.host_calls.fetch_add(1, Ordering::Relaxed);
        if before < self.host_calls_max { Ok(()) } else { Err(Stop::HostCallsExceeded { limit: self.host_calls_max }) }
    }
}

/// A future whose polls are counted as thread time, and which ends once they are over the limit.
#[derive(Debug)]
pub struct Metered<'a, F> {
    future: Pin<&'a mut F>,
    shared: Arc<Shared>,
    first: bool,
}

impl<'a, F> Metered<'a, F> {
    /// Counts on the meter of `shared`.
    pub fn new(shared: Arc<Shared>, future: Pin<&'a mut F>) -> Self {
        Self { future, shared, first: true }
    }
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Metered<'_, F> {
    type Output = wasmtime::Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { future, shared, first } = self.get_mut();
        let meter = &shared.meter;
        match meter.counted(std::mem::take(first), || future.as_mut().poll(context)) {
            Poll::Ready(done) => Poll::Ready(done),
            // Work inside host calls meets no epoch check.
            Poll::Pending => match meter.within_cpu(meter.cpu_spent_ns.load(Ordering::Relaxed)) {
                Ok(()) => Poll::Pending,
                Err(stop) => Poll::Ready(Err(stop.into())),
            },
        }
    }
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Sums memory and table elements over a store and refuses what is over the limit.
#[derive(Debug)]
pub struct MemoryLimiter {
    bytes_max: usize,
    elements_max: usize,
    instances_max: usize,
    memories_max: usize,
    tables_max: usize,
    bytes: usize,
    elements: usize,
    /// What was asked for when growth was first refused, in all.
    pub refused_bytes: Option<usize>,
}

impl MemoryLimiter {
    pub fn new(limits: &Limits) -> Self {
        Self {
            bytes_max: limits.memory_bytes,
            elements_max: limits.table_elements,
            instances_max: usize::try_from(limits.core_instances).unwrap_or(usize::MAX),
            memories_max: usize::try_from(limits.memories).unwrap_or(usize::MAX),
            tables_max: usize::try_from(limits.tables).unwrap_or(usize::MAX),
            bytes: 0,
            elements: 0,
            refused_bytes: None,
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.bytes.saturating_add(desired.saturating_sub(current));
        if total > self.bytes_max {
            self.refused_bytes.get_or_insert(total);
            return Ok(false);
        }
        // A growth over the memory's own maximum fails whatever is said here.
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.bytes = total;
        }
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.elements_max {
            return Ok(false);
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.elements = total;
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        self.tables_max
    }

    fn memories(&self) -> usize {
        self.memories_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Less than any machine has been up that runs tests: the clock counts from its start.
    const AGO_NS: u64 = 2_000_000_000;

    /// A meter of a call that started two seconds ago.
    fn meter() -> Meter {
        let meter = Meter::start(&Limits { cpu: Duration::from_secs(1), ..Limits::default() });
        Meter { started_ns: meter.started_ns.saturating_sub(AGO_NS), ..meter }
    }

    #[test]
    fn a_first_poll_that_had_to_wait_for_the_machine_counts_for_two_ticks() {
        let meter = meter();
        assert!(meter.check_cpu().is_ok());
        assert!(meter.counted(true, || Poll::<()>::Pending).is_pending());
        assert_eq!(meter.cpu(), FIRST_POLL_MAX);
        assert!(meter.check_cpu().is_ok());
    }

    #[test]
    fn later_polls_count_what_the_thread_did() {
        let meter = meter();
        assert!(meter.counted(false, || Poll::<()>::Pending).is_pending());
        assert!(meter.cpu() < Duration::from_nanos(AGO_NS));
        meter.poll_started_ns.store(0, Ordering::Relaxed);
        meter.cpu_spent_ns.store(nanos(Duration::from_secs(1)), Ordering::Relaxed);
        assert!(matches!(meter.check_cpu(), Err(Stop::CpuExceeded { .. })));
    }

    #[test]
    fn the_wall_time_of_a_call_that_waits_runs_on() {
        let meter = meter();
        assert!(meter.counted(true, || Poll::<()>::Pending).is_pending());
        assert_eq!(meter.ended_ns.get(), None);
        assert!(meter.counted(true, || Poll::Ready(())).is_ready());
        let wall = meter.wall();
        assert!(wall >= Duration::from_nanos(AGO_NS));
        assert_eq!(wall, meter.wall());
    }
}
