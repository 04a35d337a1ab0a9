//! `sandbox-call`, `sandbox-over-reused` and `sandbox-limits`: what a fresh sandbox for every message costs, and what of it is for its
//! limits. The same mapping is called natively, in an instance that is kept, in fresh ones under none, one and all of the limits of a store,
//! and as every delivery calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::figures::{Row, median, readable};
use super::orders::BODY;
use super::plugins::TRANSFORMER;
use super::room::Room;
use super::stopwatch;
use crate::alias::secret::Secret;
use crate::capability::egress::{Egress, EgressError, EgressRequest, EgressResponse};
use crate::capability::queue::Channels;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::integration::{Allow, PinnedPlugin};
use crate::message::{Headers, Key, Message, MessageId};
use crate::message_store::{KeyValueRead, StoreError};
use crate::plugin::compile::{CompileChild, CompileLimits};
use crate::plugin::engine::PluginEngine;
use crate::plugin::invoke::{Around, Guard, WasmInvoker};
use crate::plugin::limits::Limits;
use crate::plugin::registry::Plugins;
use crate::plugin::{Call, Effects, Export, PluginInvoker, sha256_hex};
use crate::problem::{Code, Problem};
use crate::random::SeededRandom;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// Calls timed together: enough that reading the clock does not count, few enough that what they are given stays in the cache.
const CALLS: u32 = 64;

/// The most a call may take, in microseconds.
const CALL_US_MAX: f64 = 10.0;
/// The most of it that is for the sandbox being a fresh one.
const OVER_REUSED_US_MAX: f64 = 6.0;

/// Microseconds of one call, each the median over all rounds.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// The mapping as a function of this program.
    native: f64,
    /// The mapping in an instance that is kept, its message lowered and its draft lifted.
    reused: f64,
    /// A store, an instance, the call, and all of it dropped again, under no limits: what the engine costs.
    bare: f64,
    /// The same under one limit of a store each, in the order of [`Guard::ALL`].
    under: [f64; Guard::ALL.len()],
    /// The whole of `plugin::invoke`, as a delivery calls it.
    fresh: f64,
}

/// All three rows.
pub async fn measure(room: &Room<'_>) -> Result<[Row; 3], Problem> {
    let component = room.plugins()?.transformer();
    room.say("calling a mapping: natively, in one sandbox, and in a fresh one every time");
    let Figures { native, reused, bare, under, fresh } = figures(component, BODY.as_bytes(), room.size.calls.div_ceil(CALLS)).await?;
    let limits = limits_row(bare, under, fresh);
    let [native, reused_text, bare] = [native, reused, bare].map(readable);
    let note = format!("plugin::invoke for a 313 B order, against what it may take; natively {native} µs, the engine alone {bare}");
    Ok([
        Row::at_most("sandbox-call", "µs", [fresh, CALL_US_MAX], 1.0, note),
        Row::at_most(
            "sandbox-over-reused",
            "µs",
            [fresh - reused, OVER_REUSED_US_MAX],
            1.0,
            format!("the same less a call of an instance that is kept, {reused_text} µs; against what it may take"),
        ),
        limits,
    ])
}

/// What of a fresh call is for its limits. One that costs less than the measurement swings is nothing.
fn limits_row(bare: f64, under: [f64; Guard::ALL.len()], fresh: f64) -> Row {
    let each = Guard::ALL.into_iter().zip(under).map(|(guard, under)| {
        let what = match guard {
            Guard::Memory => "memory",
            Guard::HostcallBytes => "bytes of a host call",
            Guard::Handles => "handles",
            Guard::Cpu => "CPU time",
        };
        format!("{what} {} µs", readable((under - bare).max(0.0)))
    });
    let each: Vec<_> = each.collect();
    let rest = readable((fresh - bare - under.iter().map(|under| (under - bare).max(0.0)).sum::<f64>()).max(0.0));
    let note = format!(
        "a fresh call under all limits less one under none, against the call: {}; wall time, output, log and the rest {rest}",
        each.join(", ")
    );
    Row::stated("sandbox-limits", "µs", [(fresh - bare).max(0.0), fresh], note)
}

/// Every round takes each figure once, so that what else the machine does meets all of them.
async fn figures(component: &[u8], order: &[u8], rounds: u32) -> Result<Figures, Problem> {
    let (invoker, call) = sandbox_of(component, order, CompileChild::new(CompileLimits::default()))?;
    let mut kept = invoker.keep(call.clone()).await.map_err(failed)?;
    let mut taken: [Vec<Duration>; 4] = Default::default();
    let mut under: [Vec<Duration>; Guard::ALL.len()] = Default::default();
    for _ in 0..rounds {
        let start = stopwatch::now();
        for _ in 0..CALLS {
            black_box(lockgate_floor::invoice(black_box(order)).map_err(failed)?);
        }
        taken[0].push(start.elapsed());

        let start = stopwatch::now();
        for _ in 0..CALLS {
            kept.call().await.map_err(failed)?.map_err(failed)?;
        }
        taken[1].push(start.elapsed());

        taken[2].push(kept_under(&invoker, &call, &[]).await?);
        for (guard, taken) in Guard::ALL.into_iter().zip(&mut under) {
            taken.push(kept_under(&invoker, &call, &[guard]).await?);
        }

        let calls = prepared(&call);
        let start = stopwatch::now();
        for call in calls {
            invoker.invoke(call, Effects::default()).await.result.map_err(failed)?;
        }
        taken[3].push(start.elapsed());
    }
    let one_us = |taken: Vec<Duration>| median(taken.iter().map(Duration::as_secs_f64)) * 1e6 / f64::from(CALLS);
    let [native, reused, bare, fresh] = taken.map(one_us);
    Ok(Figures { native, reused, bare, under: under.map(one_us), fresh })
}

/// How long calls take that each have an instance of their own, under some limits of a store.
async fn kept_under(invoker: &WasmInvoker, call: &Call, guards: &[Guard]) -> Result<Duration, Problem> {
    let calls = prepared(call);
    let start = stopwatch::now();
    for call in calls {
        invoker.keep_under(call, guards).await.map_err(failed)?.call().await.map_err(failed)?.map_err(failed)?;
    }
    Ok(start.elapsed())
}

/// What a delivery makes of its lease before it calls; not part of the sandbox.
fn prepared(call: &Call) -> Vec<Call> {
    vec![call.clone(); usize::try_from(CALLS).unwrap_or(1)]
}

pub(super) fn failed(why: impl std::fmt::Debug) -> Problem {
    Problem::new(Code::BenchFailed, format!("the measured plugin failed: {why:?}"))
        .fix("run `cargo test` in the project's folder: its plugin does not take the order that is sent")
}

/// What a host runs `component` with, nothing behind its capabilities, and a call of its `transform` with a message that holds `order`.
///
/// # Errors
/// The component does not load.
pub fn sandbox_of(component: &[u8], order: &[u8], compiler: CompileChild) -> Result<(WasmInvoker, Call), Problem> {
    Ok((invoker(component, compiler)?, call_of(component, order)))
}

/// A host's own invoker, with nothing behind its capabilities.
fn invoker(component: &[u8], compiler: CompileChild) -> Result<WasmInvoker, Problem> {
    let plugins = Plugins::new(Arc::new(PluginEngine::new(&Limits::default())?), Arc::new(compiler), None)?;
    plugins.load(&pinned(component), component)?;
    Ok(invoker_over(Arc::new(plugins)))
}

/// The same over components that are loaded.
pub(super) fn invoker_over(plugins: Arc<Plugins>) -> WasmInvoker {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let around = Around {
        plugins,
        egress: Arc::new(Nothing),
        key_values: Arc::new(Nothing),
        channels: Channels::default(),
        clock: clock.clone(),
        host_key: Secret::new([0; 32]),
        metrics: Arc::new(Metrics::new()),
        events: Events::new(clock),
    };
    WasmInvoker::new(around, Limits::default().calls_at_once)
}

fn pinned(component: &[u8]) -> PinnedPlugin {
    PinnedPlugin { name: TRANSFORMER.into(), version: semver::Version::new(1, 0, 0), digest: sha256_hex(component) }
}

/// A call of its `transform` with a message that holds `order`, as a delivery makes it.
pub(super) fn call_of(component: &[u8], order: &[u8]) -> Call {
    let accepted_at = Timestamp(1_700_000_000_000);
    let headers = [("content-type", "application/json"), ("user-agent", "shop/1.0")];
    Call {
        plugin: pinned(component),
        export: Export::Transform,
        integration: TRANSFORMER.into(),
        message: Arc::new(Message {
            id: MessageId::new(accepted_at, &SeededRandom::new(1)),
            parent: None,
            key: Some(Key("9007199254740993".into())),
            content_type: "application/json".into(),
            headers: Headers(headers.map(|(name, value)| (name.into(), value.into())).into()),
            body: Bytes::copy_from_slice(order),
            tracked: Vec::new(),
            origin: "webhook /orders".into(),
            accepted_at,
        }),
        others: Vec::new(),
        cursor: None,
        attempt: 0,
        replay: 0,
        idempotency_base: "ab".repeat(32),
        place: "step 1".into(),
        config: "{}".into(),
        grants: BTreeSet::new(),
        bindings: Arc::new(BTreeMap::new()),
        limits: Arc::default(),
        virtual_now: accepted_at,
    }
}

/// Behind the capabilities of a plugin that uses none.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Egress for Nothing {
    async fn send(&self, alias: &str, _: &[Allow], _: EgressRequest) -> Result<EgressResponse, EgressError> {
        Err(EgressError::Denied(format!("there is no alias {alias} in a measurement")))
    }
}

#[async_trait]
impl KeyValueRead for Nothing {
    async fn get(&self, _: &str, _: &str, _: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn list(&self, _: &str, _: &str, _: Option<&str>, _: usize, _: Timestamp) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn used_bytes(&self, _: &str) -> Result<u64, StoreError> {
        Ok(0)
    }
}
