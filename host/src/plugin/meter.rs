//! What a call uses: thread time, wall time, host calls and memory. [`Meter`] counts, [`MemoryLimiter`] refuses.
//!
//! Reads the machine's clocks itself: what a guest burns is a fact of the machine, also where the host's clock is virtual.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::ResourceLimiter;

use super::fault::Stop;
use super::limits::Limits;
use super::state::Shared;

/// Counts one call's use. Shared by the call's future, its epoch callback and its host functions.
#[derive(Debug)]
pub struct Meter {
    cpu_max_ns: u64,
    host_calls_max: u64,
    started_ns: u64,
    cpu_spent_ns: AtomicU64,
    poll_started_ns: AtomicU64,
    host_calls: AtomicU64,
}

impl Meter {
    /// A meter that starts now.
    pub fn start(limits: &Limits) -> Self {
        Self {
            cpu_max_ns: nanos(limits.cpu),
            host_calls_max: limits.host_calls,
            started_ns: read(ClockId::Monotonic),
            cpu_spent_ns: AtomicU64::new(0),
            poll_started_ns: AtomicU64::new(0),
            host_calls: AtomicU64::new(0),
        }
    }

    /// Thread time spent in polls that are over.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_spent_ns.load(Ordering::Relaxed))
    }

    /// Time since the start.
    pub fn wall(&self) -> Duration {
        Duration::from_nanos(read(ClockId::Monotonic).saturating_sub(self.started_ns))
    }

    /// Whether the call may run on, asked from within a poll.
    pub fn check_cpu(&self) -> Result<(), Stop> {
        let poll_ns = read(ClockId::ThreadCPUTime).saturating_sub(self.poll_started_ns.load(Ordering::Relaxed));
        self.within_cpu(self.cpu_spent_ns.load(Ordering::Relaxed).saturating_add(poll_ns))
    }

    fn within_cpu(&self, spent_ns: u64) -> Result<(), Stop> {
        if spent_ns <= self.cpu_max_ns {
            return Ok(());
        }
        Err(Stop::CpuExceeded { limit: Duration::from_nanos(self.cpu_max_ns), used: Duration::from_nanos(spent_ns) })
    }

    /// Counts a host call.
    pub fn host_call(&self) -> Result<(), Stop> {
        let before = self.host_calls.fetch_add(1, Ordering::Relaxed);
        if before < self.host_calls_max { Ok(()) } else { Err(Stop::HostCallsExceeded { limit: self.host_calls_max }) }
    }
}

/// A future whose polls are counted as thread time, and which ends once they are over the limit.
#[derive(Debug)]
pub struct Metered<'a, F> {
    future: Pin<&'a mut F>,
    shared: Arc<Shared>,
}

impl<'a, F> Metered<'a, F> {
    /// Counts on the meter of `shared`.
    pub fn new(shared: Arc<Shared>, future: Pin<&'a mut F>) -> Self {
        Self { future, shared }
    }
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Metered<'_, F> {
    type Output = wasmtime::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = self.shared.clone();
        let meter = &shared.meter;
        let started_ns = read(ClockId::ThreadCPUTime);
        meter.poll_started_ns.store(started_ns, Ordering::Relaxed);
        let polled = self.future.as_mut().poll(context);
        let poll_ns = read(ClockId::ThreadCPUTime).saturating_sub(started_ns);
        let spent_ns = meter.cpu_spent_ns.fetch_add(poll_ns, Ordering::Relaxed).saturating_add(poll_ns);
        match polled {
            Poll::Ready(done) => Poll::Ready(done),
            // Work inside host calls meets no epoch check.
            Poll::Pending => match meter.within_cpu(spent_ns) {
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
