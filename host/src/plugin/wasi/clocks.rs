//! Virtual clocks: they start where the call says, move a fixed step at every reading, and a sleep moves them instead of waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::Wasi;
use crate::clock::Timestamp;
use crate::plugin::state::Shared;

/// How far a reading moves the clocks.
const STEP_NS: u64 = 1_000_000;

/// Both clocks of a call: nanoseconds since its start, the same for the wall clock and the monotonic one.
#[derive(Debug)]
pub struct VirtualClock {
    start_ns: u64,
    passed_ns: AtomicU64,
}

impl VirtualClock {
    /// Clocks whose wall time starts at `start`.
    pub fn at(start: Timestamp) -> Self {
        let start_ns = u64::try_from(start.0).unwrap_or(0).saturating_mul(1_000_000);
        Self { start_ns, passed_ns: AtomicU64::new(0) }
    }

    /// Reads, and moves by a step.
    fn read(&self) -> u64 {
        self.passed_ns.fetch_add(STEP_NS, Ordering::Relaxed)
    }

    fn peek(&self) -> u64 {
        self.passed_ns.load(Ordering::Relaxed)
    }

    fn advance_to(&self, passed_ns: u64) {
        self.passed_ns.fetch_max(passed_ns, Ordering::Relaxed);
    }
}

fn datetime(ns: u64) -> wall_clock::Datetime {
    let nanoseconds = u32::try_from(ns % 1_000_000_000).unwrap_or(0);
    wall_clock::Datetime { seconds: ns / 1_000_000_000, nanoseconds }
}

impl wall_clock::Host for Wasi {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.shared.meter.host_call()?;
        Ok(datetime(self.shared.clock.start_ns.saturating_add(self.shared.clock.read())))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.shared.meter.host_call()?;
        Ok(datetime(STEP_NS))
    }
}

impl monotonic_clock::Host for Wasi {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.shared.meter.host_call()?;
        Ok(self.shared.clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.shared.meter.host_call()?;
        Ok(STEP_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.shared.meter.host_call()?;
        self.wake_at(when)
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.shared.meter.host_call()?;
        self.wake_at(self.shared.clock.peek().saturating_add(when))
    }
}

impl Wasi {
    fn wake_at(&mut self, passed_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let alarm = self.table.push(Alarm { shared: self.shared.clone(), passed_ns })?;
        subscribe(&mut self.table, alarm)
    }
}

/// Is ready whenever it is waited for: waiting is what makes the time pass.
struct Alarm {
    shared: Arc<Shared>,
    passed_ns: u64,
}

#[async_trait::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        // A poll cannot fail, so what is over the limit here is found at the next host call that can.
        let _ = self.shared.meter.host_call();
        self.shared.clock.advance_to(self.passed_ns);
    }
}
