//! Real components under real limits. The guests are in `tests/guests`, built by the first test that needs them; `odd` unless a
//! module says otherwise.

mod capabilities;
mod limits;
mod loading;
mod printing;
mod repeatable;
mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::compile::in_process::InProcess;
use super::engine::PluginEngine;
use super::invoke::{Around, WasmInvoker};
use super::limits::Limits;
use super::registry::Plugins;
use super::{Call, CallFailure, Effects, Export, Output, PluginInvoker, Report};
use crate::alias::secret::Secret;
use crate::capability::egress::{Egress, EgressError, EgressRequest, EgressResponse};
use crate::capability::queue::Channels;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::integration::{Allow, Binding, Grant, PinnedPlugin};
use crate::message::{FailureClass, Headers, Key, Message, MessageId};
use crate::message_store::{KeyValueRead, StoreError};
use crate::random::SeededRandom;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// The bytes of the guest.
pub fn odd() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::fs::read(build("guest-odd")).unwrap())
}

/// Builds a guest of the workspace with the cargo that runs this test.
fn build(package: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = workspace.join("target").join("guests");
    let built = Command::new(env!("CARGO"))
        .current_dir(workspace)
        .args(["build", "--quiet", "--package", package, "--target", "wasm32-wasip2", "--profile", "plugin", "--target-dir"])
        .arg(&target)
        .status()
        .unwrap();
    assert!(built.success(), "{package} does not build");
    target.join("wasm32-wasip2").join("plugin").join(format!("{}.wasm", package.replace('-', "_")))
}

pub fn pinned(bytes: &[u8]) -> PinnedPlugin {
    PinnedPlugin { name: "odd".into(), version: semver::Version::new(1, 0, 0), digest: hex::encode(Sha256::digest(bytes)) }
}

/// One engine for all tests: each reserves terabytes of address space.
pub fn engine() -> Arc<PluginEngine> {
    static ENGINE: OnceLock<Arc<PluginEngine>> = OnceLock::new();
    ENGINE.get_or_init(|| Arc::new(PluginEngine::new(&Limits::default()).unwrap())).clone()
}

/// A registry with nothing in it.
pub fn empty() -> Plugins {
    Plugins::new(engine(), Arc::new(InProcess(engine())), None).unwrap()
}

fn plugins() -> Arc<Plugins> {
    static PLUGINS: OnceLock<Arc<Plugins>> = OnceLock::new();
    let load = || {
        let plugins = empty();
        plugins.load(&pinned(odd()), odd()).unwrap();
        Arc::new(plugins)
    };
    PLUGINS.get_or_init(load).clone()
}

/// Answers of a target, as a closure.
type Script = Box<dyn Fn(&EgressRequest) -> Option<Result<EgressResponse, EgressError>> + Send + Sync>;

/// An egress that answers as told, or never.
pub struct ScriptedEgress {
    script: Script,
    pub sent: Mutex<Vec<(String, EgressRequest)>>,
}

impl std::fmt::Debug for ScriptedEgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedEgress").finish_non_exhaustive()
    }
}

#[async_trait]
impl Egress for ScriptedEgress {
    async fn send(&self, alias: &str, _: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError> {
        let answer = (self.script)(&request);
        self.sent.lock().unwrap().push((alias.to_owned(), request));
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

pub fn answer(status: u16, body: &str) -> Result<EgressResponse, EgressError> {
    Ok(EgressResponse {
        status,
        headers: Vec::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        retry_after: None,
        is_down: false,
        stale: None,
    })
}

/// Key-value data without a row in it.
pub struct NoRows;

#[async_trait]
impl KeyValueRead for NoRows {
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

/// An invoker of the guest and what is around it.
pub struct Fixture {
    pub invoker: WasmInvoker,
    pub egress: Arc<ScriptedEgress>,
    pub limits: Arc<Limits>,
    pub events: Arc<Events>,
}

/// With these limits and this clock; a target that answers by `script`.
pub fn fixture_with(limits: Limits, clock: Arc<dyn Clock>, script: Script) -> Fixture {
    fixture_over(plugins(), limits, clock, script)
}

/// The same over these components.
fn fixture_over(plugins: Arc<Plugins>, limits: Limits, clock: Arc<dyn Clock>, script: Script) -> Fixture {
    let egress = Arc::new(ScriptedEgress { script, sent: Mutex::default() });
    let channels = Channels::default();
    channels.set(BTreeSet::from(["read".to_owned()]));
    let events = Events::new(Arc::new(SystemClock::new()));
    let around = Around {
        plugins,
        egress: egress.clone(),
        key_values: Arc::new(NoRows),
        channels,
        clock,
        host_key: Secret::new([7; 32]),
        metrics: Arc::new(Metrics::new()),
        events: events.clone(),
    };
    Fixture { invoker: WasmInvoker::new(around, limits.calls_at_once), egress, limits: Arc::new(limits), events }
}

pub fn fixture(limits: Limits) -> Fixture {
    fixture_with(limits, Arc::new(SystemClock::new()), Box::new(|_| Some(answer(200, "fine"))))
}

/// A call with every grant, whose message says what the guest is to do.
pub fn call(body: &str) -> Call {
    let binding = Binding { alias: "crm".into(), allow: Vec::new() };
    Call {
        plugin: pinned(odd()),
        export: Export::Transform,
        integration: "orders".into(),
        message: Arc::new(Message {
            id: MessageId::new(Timestamp(1), &SeededRandom::new(1)),
            parent: None,
            key: Some(Key("customer-1".into())),
            content_type: "text/plain".into(),
            headers: Headers(vec![("x-from".into(), "test".into())]),
            body: Bytes::copy_from_slice(body.as_bytes()),
            tracked: Vec::new(),
            origin: "send".into(),
            accepted_at: Timestamp(1_700_000_000_000),
        }),
        others: Vec::new(),
        cursor: None,
        attempt: 2,
        replay: 1,
        idempotency_base: "ab".repeat(32),
        place: "step 1".into(),
        config: "{\"stage\":\"new\"}".into(),
        grants: BTreeSet::from([Grant::KeyValue, Grant::Queue]),
        bindings: Arc::new(BTreeMap::from([("target".to_owned(), binding)])),
        limits: Arc::default(),
        virtual_now: Timestamp(1_700_000_000_000),
    }
}

impl Fixture {
    pub async fn run(&self, body: &str) -> Report {
        self.invoke(call(body)).await
    }

    /// Under the fixture's limits.
    pub async fn invoke(&self, call: Call) -> Report {
        self.invoker.invoke(Call { limits: self.limits.clone(), ..call }, Effects::default()).await
    }

    /// The text of the one draft.
    pub async fn text(&self, body: &str) -> String {
        text(&self.run(body).await)
    }

    /// Class and detail of the fault.
    pub async fn fault(&self, body: &str) -> (FailureClass, String) {
        fault(self.run(body).await)
    }
}

pub fn text(report: &Report) -> String {
    match &report.result {
        Ok(Output::Drafts(drafts)) if drafts.len() == 1 => String::from_utf8(drafts[0].body.to_vec()).unwrap(),
        other => panic!("not one draft: {other:?}"),
    }
}

pub fn fault(report: Report) -> (FailureClass, String) {
    match report.result {
        Err(CallFailure::Fault { class, detail }) => (class, detail),
        other => panic!("not a fault: {other:?}"),
    }
}
