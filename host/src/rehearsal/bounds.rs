//! [`Bounds`]: how much the candidate may ask and burn for one message. Of what goes over them nothing is told.
//!
//! A call has limits of its own; how many calls a message takes is up to the candidate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::ledger::Record;
use crate::message::FailureClass;
use crate::plugin::invoke::WasmInvoker;
use crate::plugin::{Call, CallFailure, Effects, PluginInvoker, Report};

/// Bytes that are kept of what the candidate asks, beyond what was recorded: as much as is recorded of an attempt.
const ASKED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What each question counts for beside its content.
const QUESTION_BYTES: usize = 256;
/// CPU time of all its calls together, or so many times what the recorded ones took.
const CPU_MAX: Duration = Duration::from_secs(30);
const CPU_TIMES_MAX: u64 = 4;

/// What is left for one message.
#[derive(Debug)]
pub struct Bounds {
    bytes: AtomicUsize,
    cpu_us: AtomicU64,
    asks_too_much: AtomicBool,
    takes_too_long: AtomicBool,
}

impl Bounds {
    /// For a message of which that is recorded.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Arc<Self> {
        let took_us = records.into_iter().flat_map(|record| &record.calls).map(|call| call.cpu_us).fold(0, u64::saturating_add);
        Arc::new(Self::with(ASKED_BYTES_MAX, micros(CPU_MAX).max(took_us.saturating_mul(CPU_TIMES_MAX))))
    }

    fn with(bytes: usize, cpu_us: u64) -> Self {
        Self { bytes: bytes.into(), cpu_us: cpu_us.into(), asks_too_much: false.into(), takes_too_long: false.into() }
    }

    /// Whether a question of so many bytes is kept.
    pub fn ask(&self, bytes: usize) -> bool {
        let bytes = bytes.saturating_add(QUESTION_BYTES);
        let taken = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        self.asks_too_much.fetch_or(taken.is_err(), Ordering::Relaxed);
        taken.is_ok()
    }

    fn burn(&self, cpu: Duration) {
        let burnt = self.cpu_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(micros(cpu)));
        self.takes_too_long.fetch_or(burnt.is_err(), Ordering::Relaxed);
    }

    /// Why nothing can be told, if it went over them.
    pub fn over(&self) -> Option<&'static str> {
        let over = [
            (&self.asks_too_much, "it would ask for more than is kept of one message"),
            (&self.takes_too_long, "it would take more than half a minute of CPU time, and far longer than it took"),
        ];
        over.into_iter().find(|(is_over, _)| is_over.load(Ordering::Relaxed)).map(|(_, why)| why)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Calls plugins until the bounds are reached.
#[derive(Debug)]
pub struct Bounded {
    pub invoker: WasmInvoker,
    pub bounds: Arc<Bounds>,
}

#[async_trait]
impl PluginInvoker for Bounded {
    async fn invoke(&self, call: Call, carried: Effects) -> Report {
        if let Some(why) = self.bounds.over() {
            let result = Err(CallFailure::Fault { class: FailureClass::Unrunnable, detail: why.to_owned() });
            let (requests, heard, cpu, wall) = Default::default();
            return Report { result, effects: carried, requests, heard, obstacle: None, cpu, wall };
        }
        let report = self.invoker.invoke(call, carried).await;
        self.bounds.burn(report.cpu);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_a_bound_is_over_for_good() {
        let bounds = Bounds::with(1_000, 1_000);
        assert!(bounds.ask(100) && bounds.over().is_none());
        assert!(!bounds.ask(1_000) && bounds.over().is_some_and(|why| why.contains("ask for more")), "there is no room for the second");
        let bounds = Bounds::with(1_000, 1_000);
        bounds.burn(Duration::from_micros(1_000));
        assert_eq!(bounds.over(), None);
        bounds.burn(Duration::from_micros(1));
        assert!(bounds.over().is_some_and(|why| why.contains("CPU time")));
    }

    #[test]
    fn whoever_took_long_may_take_long() {
        let mut record = crate::ledger::tests::record(1, 1);
        for call in &mut record.calls {
            call.cpu_us = micros(CPU_MAX);
        }
        let bounds = Bounds::of([&record]);
        let least = if record.calls.is_empty() { CPU_MAX } else { CPU_MAX * 4 };
        bounds.burn(least);
        assert_eq!(bounds.over(), None);
    }
}
