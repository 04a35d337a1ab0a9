//! `GET /api/v1/status`: how things stand, in one answer; and the same figures as metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::aliases;
use super::api::Api;
use super::overview::{AliasOverview, IntegrationOverview, Overview, SourceOverview};
use super::parameters::Parameters;
use super::store_refusal::refusal;
use crate::ingress::answer::{self, Refusal};
use crate::message_store::sqlite::ledger::{Curve, Minute};

/// Integrations and aliases.
pub async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let overview = Overview::take(&api.parts).await.map_err(|error| refusal(&error))?;
    let proposals = api.parts.store.releases().proposals().await.map_err(|error| refusal(&error))?;
    let waits: Vec<Value> =
        proposals.iter().map(|one| json!({ "integration": one.integration, "release": one.release, "by": one.who })).collect();
    let shown = json!({
        "waits-for-approval": waits,
        "time": overview.at.to_string(),
        "intake": match (overview.intake_open, overview.intake_full) {
            (false, _) => "closed",
            (true, true) => "full",
            (true, false) => "open",
        },
        "integrations": overview.integrations.iter().map(integration).collect::<Vec<_>>(),
        "aliases": overview.aliases.iter().map(alias).collect::<Vec<_>>(),
    });
    Ok(answer::json(StatusCode::OK, &shown))
}

fn integration(overview: &IntegrationOverview) -> Value {
    let latency = overview.latency.as_ref();
    json!({
        "name": overview.name,
        "owner": overview.owner,
        "state": overview.state.as_str(),
        "paused": super::pausing::paused(overview.paused.as_ref()),
        "retirement": super::retiring::shown(overview.retirement.as_ref()),
        "held-by": overview.held_by,
        "held-by-readers": overview.held_by_readers,
        "waiting": overview.waiting,
        "oldest-accepted-at": overview.oldest_accepted_at,
        "oldest-waiting-ms": overview.oldest_waiting.map(ms),
        "dead-letters": overview.dead_letters,
        "stopped-keys": overview.stopped,
        "delivered-last-hour": overview.delivered_last_hour,
        "skipped-last-hour": overview.skipped_last_hour,
        "per-minute": (overview.per_minute * 10.0).round() / 10.0,
        "drained-in-s": overview.drained_in.map(|wait| wait.as_secs()),
        "p50-ms": latency.map(|latency| ms(latency.p50)),
        "p99-ms": latency.map(|latency| ms(latency.p99)),
        "p99-since": latency.map(|latency| latency.since.to_string()),
        "curve": overview.curve.as_ref().map(curve),
        "sources": overview.sources.iter().map(source).collect::<Vec<_>>(),
        "takes-over": overview.takes_over.iter().map(|one| json!({ "channel": one.channel, "left": one.left })).collect::<Vec<_>>(),
    })
}

/// How a source was asked the last time, and when it is asked next.
fn source(overview: &SourceOverview) -> Value {
    let state = overview.state.as_ref();
    let last = state.map(|state| &state.last);
    json!({
        "source": overview.source,
        "asked-at": last.map(|last| last.at.to_string()),
        "result": last.map(|last| &last.result),
        "code": last.and_then(|last| last.code.as_ref()),
        "detail": last.and_then(|last| last.detail.as_ref()),
        "items": last.map(|last| last.items),
        "new": last.map(|last| last.fresh),
        "next-at": state.map(|state| state.due_at.to_string()),
    })
}

fn alias(overview: &AliasOverview) -> Value {
    let mut shown = aliases::shown(&overview.status);
    shown["integrations"] = json!(overview.integrations);
    shown["waiting"] = json!(overview.waiting);
    shown
}

fn curve(curve: &Curve) -> Value {
    let points = |of: fn(&Minute) -> u64| curve.minutes.iter().map(of).collect::<Vec<_>>();
    json!({
        "from": curve.from.to_string(),
        "delivered": points(|minute| minute.delivered),
        "skipped": points(|minute| minute.skipped),
        "dead-lettered": points(|minute| minute.dead_lettered),
    })
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Brings the figures that are states, not counts, up to date: asked for when they are read, they are never stale.
pub(super) async fn measure(api: &Api) {
    let metrics = &api.parts.metrics;
    for alias in api.parts.aliases.states() {
        metrics.set_alias_state(&alias.name, alias.state);
    }
    match api.parts.store.ledger().queue(api.parts.clock.now()).await {
        Ok(queues) => {
            for integration in api.parts.intake.routes().integrations() {
                let queue = queues.iter().find(|queue| queue.integration == integration.name);
                let waiting = queue.map_or(0, |queue| queue.waiting);
                let oldest_ms = queue.and_then(|queue| queue.oldest_waiting_ms).unwrap_or(0);
                metrics.set_queue(&integration.name, waiting, Duration::from_millis(oldest_ms));
            }
        }
        Err(error) => tracing::warn!(%error, "the queue's metrics could not be brought up to date"),
    }
}
