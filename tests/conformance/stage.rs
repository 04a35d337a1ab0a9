//! [`Stage`]: a host's own invoker over a transformer and a sink, with targets that answer as told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use lockgate::alias::secret::Secret;
use lockgate::capability::egress::{Egress, EgressError, EgressRequest, EgressResponse};
use lockgate::capability::queue::Channels;
use lockgate::clock::{Clock, SystemClock, Timestamp};
use lockgate::integration::{Allow, Binding, PinnedPlugin};
use lockgate::message::{Headers, Key, Message, MessageId};
use lockgate::message_store::{KeyValueRead, StoreError};
use lockgate::plugin::compile::{CompileChild, CompileLimits};
use lockgate::plugin::engine::PluginEngine;
use lockgate::plugin::invoke::{Around, WasmInvoker};
use lockgate::plugin::limits::Limits;
use lockgate::plugin::registry::Plugins;
use lockgate::plugin::{Call, CallFailure, Effects, Export, Output, PluginInvoker, sha256_hex};
use lockgate::problem::Problem;
use lockgate::random::SeededRandom;
use lockgate::telemetry::Metrics;
use lockgate::telemetry::events::Events;

use crate::support::build::binary;
use crate::support::http::runtime;

pub type Answers = Vec<Result<EgressResponse, EgressError>>;

/// A request, as far as a target sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub idempotency_key: String,
}

/// What a call is given, and which plugin is called.
#[derive(Clone, Debug)]
pub struct Given {
    pub plugin: &'static str,
    pub body: Vec<u8>,
    pub config: String,
}

impl Given {
    pub fn body(plugin: &'static str, body: Vec<u8>) -> Self {
        Self { plugin, body, config: "{}".to_owned() }
    }

    pub fn configured(plugin: &'static str, config: &str, body: Vec<u8>) -> Self {
        Self { plugin, body, config: config.to_owned() }
    }

    fn export(&self) -> Export {
        if self.plugin == "http-post" { Export::Deliver } else { Export::Transform }
    }
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<EgressResponse, EgressError> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = Bytes::copy_from_slice(body.as_bytes());
    Ok(EgressResponse { status, headers, body, retry_after: None, is_down: false, stale: None })
}

/// Plugins that are loaded, by their names.
#[derive(Debug)]
pub struct Stage {
    plugins: Arc<Plugins>,
    pinned: BTreeMap<&'static str, PinnedPlugin>,
}

impl Stage {
    pub fn new(components: impl Iterator<Item = (&'static str, Vec<u8>)>) -> Self {
        let compiler = CompileChild::new(CompileLimits::default()).run_by(binary().to_owned());
        let engine = Arc::new(PluginEngine::new(&Limits::default()).unwrap());
        let plugins = Arc::new(Plugins::new(engine, Arc::new(compiler), None).unwrap());
        let load = |(name, bytes): (&'static str, Vec<u8>)| {
            let pinned = PinnedPlugin { name: name.into(), version: semver::Version::new(1, 0, 0), digest: sha256_hex(&bytes) };
            plugins.load(&pinned, &bytes).unwrap_or_else(|problem| panic!("{problem}"));
            (name, pinned)
        };
        let pinned = components.map(load).collect();
        Self { plugins, pinned }
    }

    /// Sets a plugin up, as a deploy does: calls with `config` begin with the memory behind that.
    pub fn set_up(&self, plugin: &str, config: &str) -> Result<(), Problem> {
        self.plugins.set_up(&self.pinned[plugin], config)
    }

    /// What came of a call, and what was asked in it.
    pub fn call(&self, given: &Given, answers: &[Result<EgressResponse, EgressError>]) -> (Result<Output, CallFailure>, Vec<Asked>) {
        let target = Arc::new(Target { answers: Mutex::new(answers.to_vec()), asked: Mutex::default() });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let around = Around {
            plugins: self.plugins.clone(),
            egress: target.clone(),
            key_values: Arc::new(NoRows),
            channels: Channels::default(),
            clock: clock.clone(),
            host_key: Secret::new([7; 32]),
            metrics: Arc::new(Metrics::new()),
            events: Events::new(clock),
        };
        let invoker = WasmInvoker::new(around, Limits::default().calls_at_once);
        let report = runtime().block_on(invoker.invoke(self.asked_for(given), Effects::default()));
        let asked = std::mem::take(&mut *target.asked.lock().unwrap());
        (report.result, asked)
    }

    fn asked_for(&self, given: &Given) -> Call {
        let at = Timestamp(1_700_000_000_000);
        Call {
            plugin: self.pinned[given.plugin].clone(),
            export: given.export(),
            integration: "orders".into(),
            message: Arc::new(Message {
                id: MessageId::new(at, &SeededRandom::new(1)),
                parent: None,
                key: Some(Key("customer-1".into())),
                content_type: "application/json; charset=utf-8".into(),
                headers: Headers(vec![("x-from".into(), "a “shop”".into())]),
                body: given.body.clone().into(),
                tracked: Vec::new(),
                origin: "webhook /orders".into(),
                accepted_at: at,
            }),
            others: Vec::new(),
            cursor: None,
            attempt: 2,
            replay: 1,
            idempotency_base: "ab".repeat(32),
            place: "step 1".into(),
            config: given.config.as_str().into(),
            grants: BTreeSet::new(),
            bindings: Arc::new(BTreeMap::from([("target".to_owned(), Binding { alias: "erp".into(), allow: Vec::new() })])),
            limits: Arc::default(),
            virtual_now: at,
        }
    }
}

/// Answers as told, then no more.
#[derive(Debug)]
struct Target {
    answers: Mutex<Answers>,
    asked: Mutex<Vec<Asked>>,
}

#[async_trait]
impl Egress for Target {
    async fn send(&self, _: &str, _: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError> {
        let EgressRequest { method, path, mut headers, body, idempotency_key, .. } = request;
        headers.sort();
        self.asked.lock().unwrap().push(Asked { method, path, headers, body, idempotency_key });
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() { Err(EgressError::Unreachable("nobody answers".into())) } else { answers.remove(0) }
    }
}

/// Key-value data without a row in it.
#[derive(Debug)]
struct NoRows;

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
