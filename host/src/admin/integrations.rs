//! `GET /api/v1/integrations`: what is active, as plain data.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::api::Api;
use super::parameters::Parameters;
use super::retiring;
use super::store_refusal::refusal;
use crate::config::quantity;
use crate::delivery::Retirements;
use crate::ingress::answer::{self, Refusal};
use crate::integration::{DeliveryPolicy, Entry, Integration, Jitter, Occasion, Poll, Sink, Source, Step};

/// Every active integration, by name.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let active = api.parts.store.releases().active().await.map_err(|error| refusal(&error))?;
    let release = |name: &str| active.iter().find(|active| active.release.integration == name).map(|active| active.id.to_string());
    let routes = api.parts.intake.routes();
    let integrations: Vec<Value> =
        routes.integrations().map(|integration| shown(integration, release(&integration.name), &api.parts.retirements)).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "integrations": integrations })))
}

fn shown(integration: &Integration, release: Option<String>, retirements: &Retirements) -> Value {
    let retirement = retirements.of(&integration.name);
    json!({
        "name": integration.name,
        "state": if retirement.is_some() { "retiring" } else { "active" },
        "retirement": retiring::shown(retirement.as_ref()),
        "release": release,
        "description": integration.description,
        "owner": integration.owner,
        "sources": integration.sources.iter().map(source).collect::<Vec<_>>(),
        "steps": integration.steps.iter().map(step).collect::<Vec<_>>(),
        "sink": match &integration.sink {
            Sink::Plugin(sink) => step(sink),
            Sink::Channel(name) => json!({ "channel": name }),
        },
        "delivery": delivery(&integration.delivery),
    })
}

fn source(source: &Source) -> Value {
    let mut shown = match &source.entry {
        Entry::Webhook { path, verify, when } => {
            let when: serde_json::Map<_, _> = when.iter().map(|(selector, values)| (selector.to_string(), json!(values))).collect();
            json!({ "webhook": { "path": path, "verify": verify.as_deref().unwrap_or("none") }, "when": when })
        }
        Entry::Channel { name, from } => json!({ "channel": name, "from": from }),
        Entry::Schedule(schedule) => json!({ "schedule": schedule.to_string() }),
        Entry::Poll(Poll { name, step: plugin, when }) => {
            let mut poll = step(plugin);
            poll["name"] = json!(name);
            match when {
                Occasion::Every(every) => poll["every"] = json!(quantity::shown(*every)),
                Occasion::At(schedule) => poll["schedule"] = json!(schedule.to_string()),
            }
            json!({ "poll": poll })
        }
    };
    shown["id"] = source.id.iter().map(ToString::to_string).collect();
    shown["key"] = source.key.as_ref().map(ToString::to_string).into();
    shown["track"] = source.track.iter().map(|(name, selector)| (name.clone(), selector.to_string())).collect();
    shown
}

/// Slots and grants, but not the config: it may hold what an operator need not see.
fn step(step: &Step) -> Value {
    let bindings: serde_json::Map<_, _> = step.bindings.iter().map(|(slot, binding)| (slot.clone(), json!(binding.alias))).collect();
    json!({ "plugin": step.plugin, "version": step.version.to_string(), "grants": step.grants, "bindings": bindings })
}

fn delivery(policy: &DeliveryPolicy) -> Value {
    json!({
        "order": policy.order.as_str(),
        "concurrency": policy.concurrency,
        "batch": policy.batch.map(|batch| json!({ "max": batch.max, "within-ms": batch.within.as_millis() })),
        "give-up-after-s": policy.give_up_after.as_secs(),
        "attempts": policy.attempts,
        "backoff": {
            "base-ms": policy.backoff.base.as_millis(),
            "cap-ms": policy.backoff.cap.as_millis(),
            "jitter": match policy.backoff.jitter { Jitter::Full => "full", Jitter::None => "none" },
        },
    })
}
