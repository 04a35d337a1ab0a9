//! A target that takes time, behind aliases of a running host, and sinks that post their messages there as a plugin would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::lab::{Lab, NoSecrets, START, integration, plugin};
use crate::alias::secret::SecretSource;
use crate::alias::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};
use crate::alias::{Alias, Aliases, Auth, Environment, RateLimit, Sender};
use crate::capability::http::{Http, Outside, Request};
use crate::clock::{Clock, ManualClock, Timestamp, within};
use crate::integration::{Binding, Integration, Sink};
use crate::message_store::memory::MemoryStore;
use crate::plugin::limits::Limits;
use crate::plugin::{Call, CallFailure, Effects, Export, Obstacle, OutboundRequest, Output, PluginInvoker, Report};
use crate::random::SeededRandom;
use crate::telemetry::Metrics;

/// What a target answers, and after how long.
pub type Answer = (Duration, Result<UpstreamResponse, UpstreamError>);
type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A request as the target saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Timestamp,
    pub alias: String,
    pub path: String,
    /// `Authorization`, empty where there is none.
    pub authorization: String,
    pub body: String,
    /// Requests under way, this one counted.
    pub under_way: usize,
}

/// An upstream that answers from a script, after a time on the test's clock.
pub struct Target {
    clock: Arc<ManualClock>,
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    taken: Mutex<Vec<String>>,
    under_way: AtomicUsize,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target")
    }
}

impl Target {
    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The bodies it answered with a success, in order.
    pub fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Upstream for Target {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        let _here = UnderWay(&self.under_way);
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let asked = {
            let mut all = self.asked.lock().unwrap();
            let authorization = request.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
            let (alias, path) = (request.alias.to_string(), request.url.path().to_owned());
            let asked = Asked { at: self.clock.now(), alias, path, authorization, body: body.clone(), under_way };
            all.push(asked.clone());
            asked
        };
        let (takes, answer) = (self.script)(&asked);
        if within(&*self.clock, request.timeout, self.clock.sleep(takes)).await.is_none() {
            return Err(UpstreamError::TimedOut(request.timeout));
        }
        if !body.is_empty() && answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
            self.taken.lock().unwrap().push(body);
        }
        answer
    }
}

/// Sinks that post each message through their slot, and ask another before where they have one. Those of some integrations, by name, come to another end.
pub struct Posting {
    outside: Outside,
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl PluginInvoker for Posting {
    async fn invoke(&self, call: Call, carried: Effects) -> Report {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match call.integration.as_str() {
            "skips" => return report(Ok(Output::Skip { code: "not-for-us".into(), detail: String::new() }), carried, (Vec::new(), None)),
            "panics" => panic!("a fault of the host's own"),
            "hangs" => std::future::pending().await,
            _ => {}
        }
        let sender = Sender { integration: call.integration.as_str().into(), message: call.message.id.0.as_u128() };
        let mut http = Http::new(self.outside.clone(), call.bindings.clone(), sender, call.idempotency_base.clone(), &Limits::default());
        let request = |method: &str, path: &str, body| Request {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body,
            label: None,
            timeout: None,
        };
        let failed = |code: String| CallFailure::Transient { code, detail: String::new(), retry_after: None };
        if call.export == Export::DeliverBatch {
            let mut results = Vec::new();
            for message in call.messages() {
                results.push(match http.send("target", request("POST", "/", message.body.clone())).await {
                    Ok(response) if response.status < 300 => Ok(Output::Receipt { remote_id: None, remote_version: None, detail: None }),
                    Ok(response) => Err(failed(format!("http-{}", response.status))),
                    Err(why) => Err(failed(format!("{why:?}"))),
                });
            }
            return report(Ok(Output::Each(results)), carried, http.into_record());
        }
        if call.bindings.contains_key("lookup") {
            let looked_up = http.send("lookup", request("GET", "/lookup", bytes::Bytes::new())).await;
            if !looked_up.as_ref().is_ok_and(|response| response.status < 300) {
                return report(Err(failed("not-found-out".into())), carried, http.into_record());
            }
        }
        let request = request("POST", "/", call.message.body.clone());
        // As the end of a call's wall time does.
        let cut_off = if call.integration == "cut-off" { Duration::from_millis(10) } else { Limits::default().wall };
        let result = match within(&*self.outside.clock, cut_off, http.send("target", request)).await {
            Some(Ok(response)) if response.status < 300 => Ok(Output::Receipt { remote_id: None, remote_version: None, detail: None }),
            Some(Ok(response)) => Err(failed(format!("http-{}", response.status))),
            Some(Err(why)) => Err(failed(format!("{why:?}"))),
            None => Err(failed("timed-out".into())),
        };
        report(result, carried, http.into_record())
    }
}

fn report(result: Result<Output, CallFailure>, effects: Effects, record: (Vec<OutboundRequest>, Option<Obstacle>)) -> Report {
    let (requests, obstacle) = record;
    Report { result, effects, requests, heard: Default::default(), obstacle, cpu: Duration::ZERO, wall: Duration::ZERO }
}

/// A lab whose integrations post to a target.
pub struct Scene {
    pub lab: Lab,
    pub target: Arc<Target>,
    calls: Arc<AtomicUsize>,
}

impl Scene {
    /// Each of `integrations` posts to what `aliases` lead to, which answers as `script` says.
    pub fn new(integrations: Vec<Integration>, aliases: Vec<Alias>, script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_secrets(Arc::new(NoSecrets), integrations, aliases, script)
    }

    /// The same, where the credentials of `aliases` are made of `secrets`.
    pub fn with_secrets(
        secrets: Arc<dyn SecretSource>,
        integrations: Vec<Integration>,
        aliases: Vec<Alias>,
        script: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (clock, random) = (Arc::new(ManualClock::at(START)), Arc::new(SeededRandom::new(7)));
        let target = Arc::new(Target {
            clock: clock.clone(),
            script: Box::new(script),
            asked: Mutex::default(),
            taken: Mutex::default(),
            under_way: AtomicUsize::new(0),
        });
        let aliases = aliases.into_iter().map(|alias| (alias.name.clone(), alias)).collect();
        let environment = Environment { name: "test".into(), values: BTreeMap::new(), aliases };
        let aliases = Arc::new(Aliases::in_memory(&environment, secrets, target.clone(), clock.clone(), random.clone()));
        let calls = Arc::new(AtomicUsize::new(0));
        let outside = Outside { egress: aliases.clone(), clock: clock.clone(), metrics: Arc::new(Metrics::new()) };
        let posting = Arc::new(Posting { outside, calls: calls.clone() });
        let lab = Lab::around(clock, random, aliases, Arc::new(MemoryStore::new()), |store| store, integrations, posting);
        Self { lab, target, calls }
    }

    /// How often a plugin was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// `count` messages for `integration`, with one of `keys` keys each: `a-17`.
    pub async fn send(&self, integration: &str, count: usize, keys: usize) {
        for number in 0..count {
            let key = (keys > 0).then(|| format!("key-{}", number % keys));
            self.lab.send(integration, key.as_deref(), &format!("{integration}-{number}")).await;
        }
    }

    /// Lets time pass, in steps of 50 ms.
    pub async fn pass(&self, time: Duration) {
        self.lab.pass_in_steps(Duration::from_millis(50), 40, time).await;
        self.lab.idle().await;
    }
}

/// An integration that posts to `alias`.
pub fn posting(name: &str, alias: &str) -> Integration {
    let mut integration = integration(name, &[], plugin("post"));
    if let Sink::Plugin(sink) = &mut integration.sink {
        sink.bindings.insert("target".into(), Binding { alias: alias.into(), allow: Vec::new() });
    }
    integration
}

/// The same, which asks `lookup` something before.
pub fn asking(name: &str, lookup: &str, alias: &str) -> Integration {
    let mut integration = posting(name, alias);
    if let Sink::Plugin(sink) = &mut integration.sink {
        sink.bindings.insert("lookup".into(), Binding { alias: lookup.into(), allow: Vec::new() });
    }
    integration
}

/// An alias without a credential.
pub fn alias(name: &str, rate: &[RateLimit]) -> Alias {
    Alias {
        name: name.into(),
        owner: None,
        url: Some(format!("http://{name}.example/").parse().unwrap()),
        auth: Auth::None,
        rate: rate.to_vec(),
        expired_when: None,
        stale_if_error: None,
        network: Vec::new(),
        ca_file: None,
        authorities: None,
        proxy: None,
        verify: None,
    }
}

pub fn status(status: u16) -> Result<UpstreamResponse, UpstreamError> {
    Ok(UpstreamResponse::new(http::StatusCode::from_u16(status).unwrap(), ""))
}

pub fn refused() -> Result<UpstreamResponse, UpstreamError> {
    Err(UpstreamError::Unreachable("connection refused".into()))
}
