//! What a fresh sandbox for every message costs: the same function called natively, in an instance that is kept, and in a fresh
//! one as every delivery gets it.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the machine's own clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use crate::alias::secret::Secret;
use crate::capability::egress::{Egress, EgressError, EgressRequest, EgressResponse};
use crate::capability::queue::Channels;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::integration::{Allow, PinnedPlugin};
use crate::message::{Headers, Key, Message, MessageId};
use crate::message_store::{KeyValueRead, StoreError};
use crate::plugin::engine::PluginEngine;
use crate::plugin::invoke::{Around, WasmInvoker};
use crate::plugin::limits::Limits;
use crate::plugin::registry::Plugins;
use crate::plugin::{Call, Effects, Export, PluginInvoker, sha256_hex};
use crate::problem::{Code, Problem};
use crate::random::SeededRandom;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// Calls timed together: enough that reading the clock does not count, few enough that what they are given stays in the cache.
const CALLS: u32 = 64;

/// Time of one call, each the median over all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// The mapping as a function of this program.
    pub native: Duration,
    /// The mapping in an instance that is kept, its message lowered and its draft lifted.
    pub reused: Duration,
    /// A store, an instance, the call, and all of it dropped again, under no limits: what the engine costs.
    pub bare: Duration,
    /// The whole of `plugin::invoke`, as a delivery calls it.
    pub fresh: Duration,
}

/// Runs the transformer `component` and the mapping `native`, which does the same, on `order`. Every round takes each figure
/// once, so that what else the machine does meets all of them.
///
/// # Errors
/// What keeps a host from running the component, and any failure of a call.
pub async fn measure(component: &[u8], order: &[u8], native: impl Fn(), rounds: usize) -> Result<Figures, Problem> {
    let (invoker, call) = (invoker(component)?, call(component, order));
    let mut kept = invoker.keep(call.clone()).await.map_err(failed)?;
    let mut taken: [Vec<Duration>; 4] = Default::default();
    for _ in 0..rounds.max(1) {
        let start = Instant::now();
        (0..CALLS).for_each(|_| native());
        taken[0].push(start.elapsed());

        let start = Instant::now();
        for _ in 0..CALLS {
            kept.call().await.map_err(failed)?.map_err(failed)?;
        }
        taken[1].push(start.elapsed());

        let calls = prepared(&call);
        let start = Instant::now();
        for call in calls {
            invoker.keep(call).await.map_err(failed)?.call().await.map_err(failed)?.map_err(failed)?;
        }
        taken[2].push(start.elapsed());

        let calls = prepared(&call);
        let start = Instant::now();
        for call in calls {
            invoker.invoke(call, Effects::default()).await.result.map_err(failed)?;
        }
        taken[3].push(start.elapsed());
    }
    let [native, reused, bare, fresh] = taken.map(median);
    Ok(Figures { native, reused, bare, fresh })
}

/// What a delivery makes of its lease before it calls; not part of the sandbox.
fn prepared(call: &Call) -> Vec<Call> {
    vec![call.clone(); usize::try_from(CALLS).unwrap_or(1)]
}

fn median(mut taken: Vec<Duration>) -> Duration {
    taken.sort_unstable();
    taken.get(taken.len() / 2).copied().unwrap_or_default() / CALLS
}

fn failed(why: impl std::fmt::Debug) -> Problem {
    Problem::new(Code::Internal, format!("the measured plugin failed: {why:?}"))
}

/// A host's own invoker, with nothing behind its capabilities.
fn invoker(component: &[u8]) -> Result<WasmInvoker, Problem> {
    let limits = Limits::default();
    let plugins = Plugins::new(Arc::new(PluginEngine::new(&limits)?), None)?;
    plugins.load(&pinned(component), component)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let around = Around {
        plugins: Arc::new(plugins),
        egress: Arc::new(Nothing),
        key_values: Arc::new(Nothing),
        channels: Channels::default(),
        clock: clock.clone(),
        host_key: Secret::new([0; 32]),
        metrics: Arc::new(Metrics::new()),
        events: Events::new(clock),
    };
    Ok(WasmInvoker::new(around, limits))
}

fn pinned(component: &[u8]) -> PinnedPlugin {
    PinnedPlugin { name: "order-to-invoice".into(), version: semver::Version::new(1, 0, 0), digest: sha256_hex(component) }
}

/// The first step's call for an order that came by webhook.
fn call(component: &[u8], order: &[u8]) -> Call {
    let accepted_at = Timestamp(1_700_000_000_000);
    let headers = [("content-type", "application/json"), ("user-agent", "shop/1.0")];
    Call {
        plugin: pinned(component),
        export: Export::Transform,
        integration: "order-to-invoice".into(),
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
        attempt: 0,
        replay: 0,
        idempotency_base: "ab".repeat(32),
        place: "step 1".into(),
        config: "{}".into(),
        grants: BTreeSet::new(),
        bindings: Arc::new(BTreeMap::new()),
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
