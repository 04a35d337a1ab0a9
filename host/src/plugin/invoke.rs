//! [`WasmInvoker`]: a fresh store and instance for every call, under its limits, its effects collected.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use wasmtime::{Store, UpdateDeadline};

use super::engine::PluginEngine;
use super::fault::{Stop, failure, host_panicked, timed_out};
use super::kept::Kept;
use super::limits::Limits;
use super::meter::{MemoryLimiter, Meter, Metered};
use super::offer::Offer;
use super::registry::{Plugins, Prepared};
use super::shares::Shares;
use super::state::{CallState, Shared};
use super::wasi::{VirtualClock, Wasi};
use super::{Call, CallFailure, Effects, Output, PluginInvoker, Report};
use crate::alias::secret::Secret;
use crate::capability::egress::{Egress, Sender};
use crate::capability::heard::{Heard, HeardReads};
use crate::capability::http::{Http, Outside};
use crate::capability::key_value::{KeyValue, Stored};
use crate::capability::log::{CallLog, OpenLine, Output as PrintedTo};
use crate::capability::queue::{Channels, Queue};
use crate::clock::{Clock, within};
use crate::crash_point::{CrashPoint, reached};
use crate::integration::{Grant, Limit};
use crate::message::FailureClass;
use crate::message_store::KeyValueRead;
use crate::problem::Problem;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// Runs plugins as Wasm.
pub struct WasmInvoker {
    plugins: Arc<Plugins>,
    outside: Outside,
    stored: Stored,
    channels: Channels,
    clock: Arc<dyn Clock>,
    host_key: Arc<Secret>,
    /// Never more calls than the pool of instances holds.
    permits: Shares,
    events: Arc<Events>,
    listens: bool,
}

impl std::fmt::Debug for WasmInvoker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmInvoker").field("plugins", &self.plugins).finish_non_exhaustive()
    }
}

/// More ticks than a host lives to see.
const FOR_EVER: u64 = u64::MAX / 2;

/// A limit that wasmtime keeps, store by store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Memory, tables and instances, summed over the store.
    Memory,
    /// Bytes handed over in one host call.
    HostcallBytes,
    Handles,
    /// Looks at the thread's time at every tick.
    Cpu,
}

impl Guard {
    /// Every one: what each call of a delivery runs under.
    pub const ALL: [Self; 4] = [Self::Memory, Self::HostcallBytes, Self::Handles, Self::Cpu];

    fn put_on(self, store: &mut Store<CallState>) {
        let shared = store.data().shared.clone();
        match self {
            Self::Memory => store.limiter(|state| &mut state.limiter),
            Self::HostcallBytes => store.set_hostcall_fuel(shared.call.limits.hostcall_bytes),
            Self::Handles => store.set_max_component_handles(shared.call.limits.handles),
            Self::Cpu => {
                store.set_epoch_deadline(1);
                store.epoch_deadline_callback(move |_| {
                    shared.meter.check_cpu()?;
                    Ok(UpdateDeadline::Yield(1))
                });
            }
        }
    }
}

/// Everything around an invoker.
#[derive(Clone)]
pub struct Around {
    pub plugins: Arc<Plugins>,
    pub egress: Arc<dyn Egress>,
    pub key_values: Arc<dyn KeyValueRead>,
    pub channels: Channels,
    pub clock: Arc<dyn Clock>,
    /// See `host_key`: random bytes of plugins follow from it.
    pub host_key: Secret,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
}

impl std::fmt::Debug for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").field("plugins", &self.plugins).finish_non_exhaustive()
    }
}

impl WasmInvoker {
    /// `calls_at_once` is what the engine of `plugins` was made for.
    pub fn new(around: Around, calls_at_once: u32) -> Self {
        let Around { plugins, egress, key_values, channels, clock, host_key, metrics, events } = around;
        let outside = Outside { egress, clock: clock.clone(), metrics };
        let stored = Stored { reads: key_values, locks: Arc::default(), clock: clock.clone() };
        let permits = Shares::new(usize::try_from(calls_at_once).unwrap_or(usize::MAX));
        Self { plugins, outside, stored, channels, clock, host_key: Arc::new(host_key), permits, events, listens: false }
    }

    /// The same, whose reports say what each call heard of the outside, if `listens`.
    pub fn listening(self, listens: bool) -> Self {
        Self { listens, ..self }
    }

    /// The engine calls run on.
    pub fn engine(&self) -> &PluginEngine {
        self.plugins.engine()
    }

    /// Instantiates the plugin of `call` for more calls than one.
    ///
    /// # Errors
    /// What keeps it from running, and a trap while it is instantiated.
    pub async fn keep(&self, call: Call) -> wasmtime::Result<Kept> {
        self.keep_under(call, &Guard::ALL).await
    }

    /// The same under some limits of a store only, so that each can be measured.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub async fn keep_under(&self, call: Call, guards: &[Guard]) -> wasmtime::Result<Kept> {
        let prepared = self.prepare(&call).map_err(wasmtime::Error::new)?;
        let mut store = self.unguarded(self.shared(call), Effects::default(), None);
        // Without any there would be no epoch to go on in.
        store.set_epoch_deadline(FOR_EVER);
        guards.iter().for_each(|guard| guard.put_on(&mut store));
        let instance = prepared.instance.instantiate_async(&mut store).await?;
        let config = store.data().shared.call.config.clone();
        prepared.set_up(&mut store, &instance, &config).await?.map_err(|refused| wasmtime::Error::msg(format!("{refused:?}")))?;
        Ok(Kept { store, instance, prepared })
    }

    fn prepare(&self, call: &Call) -> Result<Arc<Prepared>, Problem> {
        self.plugins.prepare(&call.plugin, call.export, Offer::of(&call.grants, !call.bindings.is_empty()), &call.config)
    }

    fn shared(&self, call: Call) -> Arc<Shared> {
        Arc::new(Shared {
            meter: Meter::start(&call.limits),
            clock: VirtualClock::at(call.virtual_now),
            log: CallLog::new(call.limits.log_bytes),
            events: self.events.clone(),
            call,
        })
    }

    /// A store with everything the call's imports work on, under every limit of a store.
    fn store(&self, shared: Arc<Shared>, carried: Effects, reads: Option<&Arc<HeardReads>>) -> Store<CallState> {
        let mut store = self.unguarded(shared, carried, reads);
        Guard::ALL.into_iter().for_each(|guard| guard.put_on(&mut store));
        store
    }

    /// The same under none.
    fn unguarded(&self, shared: Arc<Shared>, carried: Effects, reads: Option<&Arc<HeardReads>>) -> Store<CallState> {
        let call = &shared.call;
        let limits = &*call.limits;
        let Effects { key_values, sends, locks } = carried;
        let mut stored = self.stored.clone();
        if let Some(reads) = reads {
            stored.reads = reads.clone();
        }
        let sender = Sender { integration: call.integration.as_str().into(), message: call.message.id.0.as_u128() };
        let state = CallState {
            limiter: MemoryLimiter::new(limits),
            wasi: Wasi::new(shared.clone(), self.host_key.clone(), limits),
            http: Http::new(self.outside.clone(), call.bindings.clone(), sender, call.idempotency_base.clone(), limits)
                .for_many(!call.others.is_empty())
                .listening(self.listens),
            key_value: KeyValue::new(stored, &call.integration, limits, key_values, locks),
            queue: Queue::new(self.channels.clone(), limits, sends),
            shared: shared.clone(),
            standard_output: OpenLine::new(PrintedTo::Standard),
            standard_error: OpenLine::new(PrintedTo::Error),
            is_setting_up: false,
        };
        Store::new(self.plugins.engine().engine(), state)
    }

    /// Instantiates and calls, both under every limit.
    async fn run(&self, store: &mut Store<CallState>, prepared: &Prepared) -> Result<Output, CallFailure> {
        let shared = store.data().shared.clone();
        let limits = &*shared.call.limits;
        let ended = {
            let called = std::pin::pin!(async {
                let instance = prepared.instance.instantiate_async(&mut *store).await?;
                match prepared.set_up(store, &instance, &shared.call.config).await? {
                    Ok(()) => prepared.exports.call(store, &instance, &shared.call).await,
                    Err(refused) => Ok(Err(refused)),
                }
            });
            // Unwinding drops the call's store whole, so nothing half changed is seen again.
            let metered = AssertUnwindSafe(Metered::new(shared.clone(), called)).catch_unwind();
            within(&*self.clock, limits.wall, metered).await
        };
        store.data_mut().end_lines();
        let state = store.data();
        let told = |error: &wasmtime::Error| failure(error, limits, state.limiter.refused_bytes, state.shared.log.last_said().as_deref());
        match ended {
            None => Err(timed_out(limits, shared.meter.wall())),
            Some(Err(_panic)) => Err(host_panicked()),
            Some(Ok(Err(error))) => Err(told(&error)),
            Some(Ok(Ok(Err(failure)))) => Err(failure),
            Some(Ok(Ok(Ok(output)))) => {
                bounded(limits, &output, state.queue.sent_bytes(limits)).map_err(|stop| told(&stop.into()))?;
                Ok(output)
            }
        }
    }
}

/// Whether all that a call gave back, and sent to channels, is within the limits on output.
fn bounded(limits: &Limits, output: &Output, sent_bytes: usize) -> Result<(), Stop> {
    let (messages, bytes) = output.size();
    let within = |limit, used, max| if used > max { Err(Stop::OutputTooLarge { limit, used, max }) } else { Ok(()) };
    within(Limit::OutputMessages, messages, limits.output_messages)?;
    within(Limit::Output, sent_bytes.saturating_add(bytes), limits.output_bytes)
}

#[async_trait]
impl PluginInvoker for WasmInvoker {
    async fn invoke(&self, call: Call, carried: Effects) -> Report {
        let prepared = match self.prepare(&call) {
            Ok(prepared) => prepared,
            Err(problem) => return unrunnable(carried, problem.to_string()),
        };
        let _permit = self.permits.acquire(&call.integration).await;
        let shared = self.shared(call);
        let reads_data = self.listens && shared.call.grants.contains(&Grant::KeyValue);
        let reads = reads_data.then(|| HeardReads::of(self.stored.reads.clone()));
        let mut store = self.store(shared.clone(), carried, reads.as_ref());
        let result = self.run(&mut store, &prepared).await;
        reached(CrashPoint::GuestDone);
        let mut state = store.into_data();
        let mut heard = state.http.take_heard().map_or_else(Heard::default, |requests| requests.with(reads.as_deref()));
        heard.is_cut |= state.key_value.saw_time_pass();
        let over = state.over().lines();
        let (key_values, locks) = state.key_value.into_effects();
        let (requests, obstacle) = state.http.into_record();
        let effects = Effects { key_values, sends: state.queue.into_sends(), locks };
        shared.log.close(shared.speaker(), &over);
        Report { result, effects, requests, heard, obstacle, cpu: shared.meter.cpu(), wall: shared.meter.wall() }
    }
}

/// A call that could not even start.
fn unrunnable(effects: Effects, detail: String) -> Report {
    let result = Err(CallFailure::Fault { class: FailureClass::Unrunnable, detail });
    let (requests, heard, cpu, wall) = Default::default();
    Report { result, effects, requests, heard, obstacle: None, cpu, wall }
}
