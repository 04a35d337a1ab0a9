//! What the simulated host runs: orders come in by webhook, become canonical on a channel, and go to two targets; each delivery to the
//! CRM is also told to an audit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::script::{Kind, Order, Script, TARGETS};
use crate::alias::secret::SecretRef;
use crate::alias::{Alias, Auth, Environment, RateLimit};
use crate::capability::egress::Sender;
use crate::capability::http::{Http, HttpError, Outside, Request, Response};
use crate::capability::key_value::{KeyValue, Stored};
use crate::delivery::Runnable;
use crate::integration::{
    Binding, CallLimits, DeliveryPolicy, Entry, Integration, Owner, PinnedPlugin, ReleaseId, SaidLimits, Sink, Source, Step,
};
use crate::message::{Headers, Message};
use crate::plugin::limits::Limits;
use crate::plugin::{Call, CallFailure, Draft, Effects, Export, Output, PluginInvoker, QueueSend, Report};

/// The channel of canonical orders, and the one that the audit reads.
const CANONICAL: &str = "orders.canonical";
pub const AUDIT: &str = "audit";

/// Every integration.
pub fn integrations(script: &Script) -> Vec<Integration> {
    let webhook = Entry::Webhook { path: "/shop/orders".into(), verify: None, when: BTreeMap::new() };
    let source = Source {
        entry: webhook,
        id: vec!["header:x-id".parse().unwrap()],
        key: Some("json:/customer".parse().unwrap()),
        track: BTreeMap::new(),
    };
    let orders = integration("orders", source, vec![step("shape", None)], Sink::Channel(CANONICAL.into()));
    let mut all = vec![orders, integration("audit", Source::channel(AUDIT), Vec::new(), Sink::Plugin(step("audit", None)))];
    all.extend(TARGETS.map(|target| integration(target, Source::channel(CANONICAL), Vec::new(), Sink::Plugin(step(target, Some(target))))));
    all.iter_mut().filter(|integration| integration.name == TARGETS[1]).for_each(|erp| erp.delivery.batch = script.erp_batches);
    all
}

/// Whether an integration is the one that delivers to the target of this name.
pub fn is_of_target(integration: &str) -> bool {
    TARGETS.contains(&integration)
}

/// Where an integration of a target counts what it delivered of a customer, in the settlement of each.
pub fn count_of(customer: u32) -> String {
    format!("delivered-{customer}")
}

fn integration(name: &str, source: Source, steps: Vec<Step>, sink: Sink) -> Integration {
    Integration {
        name: name.into(),
        description: String::new(),
        owner: Owner { team: None, contact: "ops@acme.example".into() },
        sources: vec![source],
        steps,
        sink,
        delivery: DeliveryPolicy::default(),
        limits: SaidLimits::default(),
        ordering: 0,
    }
}

fn step(plugin: &str, alias: Option<&str>) -> Step {
    let binding = |alias: &str| ("target".to_owned(), Binding { alias: alias.into(), allow: Vec::new() });
    Step {
        plugin: plugin.into(),
        version: semver::VersionReq::STAR,
        config: serde_json::Map::new(),
        grants: BTreeSet::new(),
        bindings: alias.map(binding).into_iter().collect(),
    }
}

/// As it is put into a catalog.
pub fn runnable(integration: Integration) -> Runnable {
    let pin = |step: &Step| PinnedPlugin { name: step.plugin.clone(), version: semver::Version::new(1, 0, 0), digest: "d".into() };
    let pinned: Vec<_> = integration.uses().map(|(_, step)| (pin(step), Arc::from("{}"))).collect();
    Runnable::new(integration, ReleaseId("00".repeat(32)), &pinned, &CallLimits::ceiling()).unwrap()
}

/// Both targets want a token; the secret is in a file.
pub fn environment(script: &Script) -> Environment {
    let alias = |name: &str, rate: &[RateLimit]| Alias {
        name: name.into(),
        owner: None,
        url: Some(format!("http://{name}.example/").parse().unwrap()),
        auth: Auth::OAuth2ClientCredentials {
            token_url: format!("http://{name}.example/token").parse().unwrap(),
            client_id: "client".into(),
            client_secret: SecretRef::file(format!("{name}.client-secret"), name),
            scope: None,
        },
        rate: rate.to_vec(),
        expired_when: None,
        stale_if_error: None,
        network: Vec::new(),
        ca_file: None,
        authorities: None,
        proxy: None,
        verify: None,
    };
    let rates = [&script.crm.rate, &script.erp.rate];
    let aliases = TARGETS.iter().zip(rates).map(|(name, rate)| ((*name).to_owned(), alias(name, rate))).collect();
    Environment { name: "simulation".into(), values: BTreeMap::new(), aliases }
}

/// The plugins, natively, on the host's own capabilities.
pub struct Plugins {
    pub outside: Outside,
    pub stored: Stored,
    pub limits: Limits,
}

#[async_trait]
impl PluginInvoker for Plugins {
    async fn invoke(&self, call: Call, carried: Effects) -> Report {
        let order: Order = serde_json::from_slice(&call.message.body).unwrap();
        match (call.plugin.name.as_str(), call.export) {
            ("shape", Export::Transform) => report(Ok(shape(&order)), carried),
            ("audit", Export::Deliver) => report(Ok(receipt()), carried),
            (_, Export::DeliverBatch) => self.deliver_batch(&call).await,
            _ => self.deliver(&call, &order, carried).await,
        }
    }
}

impl Plugins {
    /// Counts the order and tells the audit, then sends it: where it is not taken, neither must have happened.
    async fn deliver(&self, call: &Call, order: &Order, mut carried: Effects) -> Report {
        let (written, locks) = (std::mem::take(&mut carried.key_values), std::mem::take(&mut carried.locks));
        let mut key_value = KeyValue::new(self.stored.clone(), &call.integration, &self.limits, written, locks);
        let counted = key_value.increment(count_of(order.customer), 1).await;
        (carried.key_values, carried.locks) = key_value.into_effects();
        if order.kind == Kind::Unreadable && call.integration == TARGETS[1] {
            return report(Err(unreadable()), carried);
        }
        if !matches!(counted, Ok(Ok(_))) {
            return report(Err(transient(&format!("{counted:?}"))), carried);
        }
        if call.integration == TARGETS[0] {
            carried.sends.push(QueueSend { channel: AUDIT.into(), draft: draft(order), delay: None, dedup_token: None });
        }
        let mut http = self.http(call);
        let verdict = judge(http.send("target", request(&call.message, None)).await);
        let (requests, obstacle) = http.into_record();
        Report { requests, obstacle, ..report(verdict.map(|()| receipt()), carried) }
    }

    /// Sends one after the other, whatever became of those before.
    async fn deliver_batch(&self, call: &Call) -> Report {
        let is_unreadable = |message: &Arc<Message>| serde_json::from_slice::<Order>(&message.body).unwrap().kind == Kind::Unreadable;
        if call.messages().any(is_unreadable) {
            return report(Err(unreadable()), Effects::default());
        }
        let (mut http, mut each) = (self.http(call).for_many(!call.others.is_empty()), Vec::new());
        for message in call.messages() {
            let sent = http.send("target", request(message, Some(message.id.to_string()))).await;
            each.push(judge(sent).map(|()| receipt()));
        }
        let (requests, obstacle) = http.into_record();
        Report { requests, obstacle, ..report(Ok(Output::Each(each)), Effects::default()) }
    }

    fn http(&self, call: &Call) -> Http {
        let sender = Sender { integration: call.integration.as_str().into(), message: call.message.id.0.as_u128() };
        Http::new(self.outside.clone(), call.bindings.clone(), sender, call.idempotency_base.clone(), &self.limits)
    }
}

fn request(message: &Message, label: Option<String>) -> Request {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Request { method: "POST".into(), path: "/orders".into(), headers, body: message.body.clone(), label, timeout: None }
}

fn unreadable() -> CallFailure {
    CallFailure::Permanent { code: "unreadable".into(), detail: "not an order".into() }
}

fn shape(order: &Order) -> Output {
    match order.kind {
        Kind::Skip => Output::Skip { code: "not-ours".into(), detail: "nobody wants it".into() },
        Kind::Split(parts) => Output::Drafts((1..=parts).map(|part| draft(&Order { part, ..order.clone() })).collect()),
        _ => Output::Drafts(vec![draft(order)]),
    }
}

fn judge(answer: Result<Response, HttpError>) -> Result<(), CallFailure> {
    match answer {
        Ok(Response { status: 200..300, .. }) => Ok(()),
        Ok(Response { status: status @ (400 | 404 | 409 | 422), .. }) => {
            Err(CallFailure::Permanent { code: format!("http-{status}"), detail: "refused".into() })
        }
        Ok(Response { status, .. }) => Err(transient(&format!("http-{status}"))),
        Err(error) => Err(transient(&format!("{error:?}"))),
    }
}

fn transient(code: &str) -> CallFailure {
    CallFailure::Transient { code: code.to_owned(), detail: "it may pass".into(), retry_after: None }
}

fn draft(order: &Order) -> Draft {
    let body = Bytes::from(serde_json::to_vec(order).unwrap());
    Draft { content_type: "application/json".into(), headers: Headers::default(), body, tracked: Vec::new() }
}

fn receipt() -> Output {
    Output::Receipt { remote_id: None, remote_version: None, detail: None }
}

fn report(result: Result<Output, CallFailure>, effects: Effects) -> Report {
    Report { result, effects, requests: Vec::new(), heard: Default::default(), obstacle: None, cpu: Duration::ZERO, wall: Duration::ZERO }
}
