//! `GET /api/v1/status`: how things stand, in one answer; and the same figures as metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::aliases;
use super::api::Api;
use super::parameters::Parameters;
use super::store_refusal::refusal;
use crate::alias::AliasStatus;
use crate::ingress::answer::{self, Refusal};
use crate::integration::{Integration, Owner};
use crate::message_store::sqlite::ledger::QueueRow;

const SECONDS_OF_AN_HOUR: u64 = 3600;

/// One integration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct IntegrationStatus {
    name: String,
    owner: Option<Owner>,
    /// `idle`; `delivering`; `held`: messages wait and an alias sends nothing for now; `inactive`: not active any more, but not empty.
    state: &'static str,
    /// The aliases that hold it up.
    held_by: Vec<String>,
    #[serde(flatten)]
    queue: Queue,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Queue {
    waiting: u64,
    oldest_accepted_at: Option<String>,
    oldest_waiting_ms: Option<u64>,
    dead_letters: u64,
    delivered_last_hour: u64,
    skipped_last_hour: u64,
    /// At the last hour's rate; none where nothing went or nothing waits.
    drained_in_s: Option<u64>,
}

/// Integrations and aliases.
pub async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let now = api.parts.clock.now();
    let queues = api.parts.store.ledger().queue(now).await.map_err(|error| refusal(&error))?;
    let aliases = api.parts.aliases.states();
    let shown = json!({
        "time": now.to_string(),
        "intake": if api.parts.intake.is_open() { "open" } else { "closed" },
        "integrations": integrations(&api, queues, &aliases),
        "aliases": aliases::shown(&aliases),
    });
    Ok(answer::json(StatusCode::OK, &shown))
}

fn integrations(api: &Api, queues: Vec<QueueRow>, aliases: &[AliasStatus]) -> Vec<IntegrationStatus> {
    let mut queues: BTreeMap<String, QueueRow> = queues.into_iter().map(|queue| (queue.integration.clone(), queue)).collect();
    let routes = api.parts.intake.routes();
    let mut shown: Vec<IntegrationStatus> = Vec::new();
    for integration in routes.integrations() {
        let queue = queues.remove(&integration.name).map(Queue::from).unwrap_or_default();
        shown.push(active(integration, queue, aliases));
    }
    // What waits of an integration that is gone is not to be forgotten.
    let left = queues.into_values().filter(|queue| queue.waiting > 0 || queue.dead_letters > 0);
    shown.extend(left.map(|queue| IntegrationStatus {
        name: queue.integration.clone(),
        owner: None,
        state: "inactive",
        held_by: Vec::new(),
        queue: queue.into(),
    }));
    shown
}

fn active(integration: &Integration, queue: Queue, aliases: &[AliasStatus]) -> IntegrationStatus {
    let bound =
        |alias: &&AliasStatus| integration.uses().any(|(_, step)| step.bindings.values().any(|binding| binding.alias == alias.name));
    let held_by: Vec<String> =
        aliases.iter().filter(|alias| alias.state != "healthy").filter(bound).map(|alias| alias.name.clone()).collect();
    let state = match (queue.waiting, held_by.is_empty()) {
        (0, _) => "idle",
        (_, true) => "delivering",
        (_, false) => "held",
    };
    IntegrationStatus { name: integration.name.clone(), owner: Some(integration.owner.clone()), state, held_by, queue }
}

impl From<QueueRow> for Queue {
    fn from(row: QueueRow) -> Self {
        let settled_last_hour = row.delivered_last_hour + row.skipped_last_hour;
        let drained_in_s = if row.waiting == 0 { None } else { (row.waiting * SECONDS_OF_AN_HOUR).checked_div(settled_last_hour) };
        Self {
            waiting: row.waiting,
            oldest_accepted_at: row.oldest_accepted_at,
            oldest_waiting_ms: row.oldest_waiting_ms,
            dead_letters: row.dead_letters,
            delivered_last_hour: row.delivered_last_hour,
            skipped_last_hour: row.skipped_last_hour,
            drained_in_s,
        }
    }
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
