//! One delivery from lease to settlement. [`Delivery::deliver`] is the way; [`Delivery::walk`] holds every branch of it.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, debug, error, info, info_span, warn};

use super::catalog::{Catalog, Runnable, Use};
use super::decide::{Decision, Tries, decide};
use super::fingerprint::fingerprint;
use super::idempotency::idempotency_base;
use super::outgoing::{carry, children, queue_appends, sink_append};
use super::trace::Trace;
use crate::clock::{Clock, Timestamp};
use crate::message::{FailureClass, Message};
use crate::message_store::{Append, Attempt, Leased, MessageStore, Settle, Settlement, Stage, StoreError, UNSETTLED_STARTS_MAX};
use crate::plugin::{Call, CallFailure, Effects, Export, Obstacle, Output, PluginInvoker};
use crate::random::Random;
use crate::telemetry::Metrics;

/// The most messages the steps of one delivery may make, all together.
const CARRIED_MAX: usize = 10_000;
/// How long a settlement waits before it is offered to a store that could not take it again.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What a delivery needs around it.
#[derive(Clone)]
pub struct Delivery {
    pub store: Arc<dyn MessageStore>,
    pub plugins: Arc<dyn PluginInvoker>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

/// What a delivery gathers on its way: committed with the settlement if the attempt succeeds, else only the trace is.
#[derive(Default)]
struct Gathered {
    trace: Trace,
    effects: Effects,
}

/// How a way ends that no failure ended.
enum End {
    Delivered { receipt: serde_json::Value, append: Option<Box<Append>> },
    Skipped { code: String, detail: String },
    FannedOut { children: Vec<Message> },
}

/// What ended a way early.
struct Stopped {
    failure: CallFailure,
    obstacle: Option<Obstacle>,
}

/// What the steps made of a message.
enum Made {
    Messages(Vec<Arc<Message>>),
    Nothing { code: String, detail: String },
}

impl Delivery {
    /// Runs a leased delivery and settles it. Returns when what happened is on disk.
    pub async fn deliver(&self, runnable: &Runnable, leased: &Leased) {
        let span = info_span!("delivery", integration = %leased.integration, message = %leased.message.id, replay = leased.replay);
        async {
            let started_at = self.clock.now();
            let mut gathered = Gathered::default();
            let end = self.walk(runnable, leased, &mut gathered).await;
            let now = self.clock.now();
            let settlement = match end {
                Ok(end) => self.ended(leased, end, &mut gathered, now),
                Err(stopped) => self.stopped(runnable, leased, &stopped, &mut gathered, now),
            };
            let attempt = settlement.attempt(runnable, &gathered.trace, started_at, now);
            self.settle(leased, settlement, attempt, &gathered).await;
        }
        .instrument(span)
        .await;
    }

    /// The way of one message: steps, then nothing, one or many, then the sink.
    async fn walk(&self, runnable: &Runnable, leased: &Leased, gathered: &mut Gathered) -> Result<End, Stopped> {
        if leased.unsettled_starts >= UNSETTLED_STARTS_MAX {
            return Err(crashed(leased));
        }
        let made = match leased.stage {
            Stage::Steps => self.steps(runnable, leased, gathered).await?,
            Stage::Sink => Made::Messages(vec![leased.message.clone()]),
        };
        match made {
            Made::Nothing { code, detail } => Ok(End::Skipped { code, detail }),
            Made::Messages(messages) => match messages.as_slice() {
                [one] => self.sink(runnable, leased, one, gathered).await,
                many => Ok(End::FannedOut { children: children(leased, many, self.clock.now()) }),
            },
        }
    }

    /// Runs every step over what the one before made, flattened.
    async fn steps(&self, runnable: &Runnable, leased: &Leased, gathered: &mut Gathered) -> Result<Made, Stopped> {
        let mut carried = vec![leased.message.clone()];
        let mut skipped = None;
        for step in &runnable.steps {
            let mut next = Vec::new();
            for (message, ordinal) in carried.iter().zip(0_u32..) {
                match self.call(step, Export::Transform, leased, message, ordinal, gathered).await? {
                    Output::Drafts(drafts) => next.extend(drafts.into_iter().map(|draft| carry(message, draft))),
                    Output::Skip { code, detail } => skipped = skipped.or(Some((code, detail))),
                    Output::Receipt { .. } => return Err(wrong_output(step)),
                }
                if next.len() > CARRIED_MAX {
                    return Err(too_many(step));
                }
            }
            carried = next;
        }
        if carried.is_empty() {
            let (code, detail) = skipped.unwrap_or_else(|| ("no-output".to_owned(), "the steps made no message".to_owned()));
            return Ok(Made::Nothing { code, detail });
        }
        Ok(Made::Messages(carried))
    }

    /// Hands one message to the sink: a channel or a plugin.
    async fn sink(&self, runnable: &Runnable, leased: &Leased, message: &Arc<Message>, gathered: &mut Gathered) -> Result<End, Stopped> {
        let Some(sink) = &runnable.sink else {
            let append = sink_append(&self.catalog, runnable, leased, message, self.clock.now());
            let receipt = append.as_ref().map_or(serde_json::Value::Null, |append| serde_json::json!({ "channel": append.channel }));
            return Ok(End::Delivered { receipt, append: append.map(Box::new) });
        };
        match self.call(sink, Export::Deliver, leased, message, 0, gathered).await? {
            Output::Receipt { remote_id, remote_version, detail } => {
                let receipt = serde_json::json!({ "remote-id": remote_id, "remote-version": remote_version, "detail": detail });
                Ok(End::Delivered { receipt, append: None })
            }
            Output::Skip { code, detail } => Ok(End::Skipped { code, detail }),
            Output::Drafts(_) => Err(wrong_output(sink)),
        }
    }

    /// One call of one plugin, its trace and effects gathered.
    async fn call(
        &self,
        used: &Use,
        export: Export,
        leased: &Leased,
        message: &Arc<Message>,
        ordinal: u32,
        gathered: &mut Gathered,
    ) -> Result<Output, Stopped> {
        let step = (export == Export::Transform).then_some((used.place.as_str(), ordinal));
        let call = Call {
            plugin: used.plugin.clone(),
            export,
            integration: leased.integration.clone(),
            message: message.clone(),
            attempt: leased.attempts,
            replay: leased.replay,
            idempotency_base: idempotency_base(&leased.integration, leased.message.id, leased.replay, step),
            place: if ordinal == 0 { used.place.clone() } else { format!("{} #{ordinal}", used.place) },
            config: used.config.clone(),
            grants: used.grants.clone(),
            bindings: used.bindings.clone(),
            virtual_now: leased.first_started_at,
        };
        let mut report = self.plugins.invoke(call.clone(), std::mem::take(&mut gathered.effects)).await;
        self.metrics.plugin_call(&used.plugin.name, &used.plugin.version.to_string(), report.wall);
        gathered.trace.note(&call, &mut report);
        gathered.effects = report.effects;
        report.result.map_err(|failure| {
            // A target that is down is no failure of the plugin's.
            if report.obstacle.is_none() {
                self.metrics.plugin_failure(&used.plugin.name, kind_of(&failure));
            }
            Stopped { failure, obstacle: report.obstacle }
        })
    }

    fn ended(&self, leased: &Leased, end: End, gathered: &mut Gathered, now: Timestamp) -> Settled {
        let sends = std::mem::take(&mut gathered.effects.sends);
        let mut appends = queue_appends(&self.catalog, leased, sends, now);
        let settlement = match end {
            End::Delivered { receipt, append } => {
                appends.extend(append.map(|append| *append));
                Settlement::Delivered { receipt }
            }
            End::Skipped { code, detail } => Settlement::Skipped { code, detail },
            End::FannedOut { children } => Settlement::FannedOut { children },
        };
        Settled { settlement, appends, key_values: std::mem::take(&mut gathered.effects.key_values), why: None }
    }

    fn stopped(&self, runnable: &Runnable, leased: &Leased, stopped: &Stopped, gathered: &mut Gathered, now: Timestamp) -> Settled {
        // What a failed call wanted written is not written; its row locks go with it.
        gathered.effects = Effects::default();
        let tries = Tries {
            attempts: leased.attempts,
            waits: leased.waits,
            failing_since: leased.failing_since,
            sent_requests: gathered.trace.sent_requests(),
        };
        let policy = &runnable.integration.delivery;
        let settlement = match decide(&stopped.failure, stopped.obstacle.as_ref(), tries, policy, now, &*self.random) {
            Decision::Waits { due_at } => Settlement::Waits { due_at },
            Decision::Retries { due_at } => Settlement::Retries { due_at },
            Decision::DeadLetters { class, code, detail } => {
                let fingerprint = fingerprint(&leased.integration, class, &code, &detail);
                Settlement::DeadLettered { class, code, detail, fingerprint }
            }
        };
        Settled { settlement, appends: Vec::new(), key_values: Vec::new(), why: Some(why(stopped)) }
    }

    /// Commits. A store that is busy or full is asked again: what happened outside must not be forgotten.
    async fn settle(&self, leased: &Leased, settled: Settled, attempt: Attempt, gathered: &Gathered) {
        let settle = Settle {
            delivery: leased.id,
            attempt,
            settlement: settled.settlement,
            appends: settled.appends,
            key_values: settled.key_values,
        };
        loop {
            match self.store.settle(settle.clone()).await {
                Ok(()) => return self.tell(leased, &settle),
                Err(StoreError::NotLeased) => return debug!("settled already, or taken away by an operator"),
                Err(StoreError::Closed) => return debug!("not settled: the host is shutting down; it will be run again"),
                Err(why) => {
                    let locks = gathered.effects.locks.len();
                    error!(code = "LG-3005", %why, locks, "a settlement could not be stored; trying again");
                }
            }
            self.clock.sleep(SETTLE_AGAIN_AFTER).await;
        }
    }

    /// Metrics and log of a settlement that is on disk.
    fn tell(&self, leased: &Leased, settle: &Settle) {
        let integration = leased.integration.as_str();
        self.metrics.attempt(integration, settle.attempt.result);
        match &settle.settlement {
            Settlement::Delivered { .. } => {
                self.metrics.delivered(integration, settle.attempt.ended_at.since(leased.message.accepted_at));
                debug!("delivered");
            }
            Settlement::Skipped { code, detail } => {
                self.metrics.skipped(integration);
                info!(code, detail, "skipped");
            }
            Settlement::FannedOut { children } => debug!(children = children.len(), "fanned out"),
            Settlement::Waits { due_at } => debug!(%due_at, why = settle.attempt.detail, "waits for its target"),
            Settlement::Retries { due_at } => {
                warn!(%due_at, code = settle.attempt.code, why = settle.attempt.detail, "attempt failed; will be tried again");
            }
            Settlement::DeadLettered { class, code, detail, fingerprint } => {
                self.metrics.dead_lettered(integration, *class);
                error!(%class, code, detail, fingerprint, "dead-lettered; see: lockgate dead-letters list");
            }
        }
    }
}

/// A settlement on its way to the store, and why it is not a success.
struct Settled {
    settlement: Settlement,
    appends: Vec<Append>,
    key_values: Vec<crate::message_store::KeyValueWrite>,
    why: Option<(String, String)>,
}

impl Settled {
    fn attempt(&self, runnable: &Runnable, trace: &Trace, started_at: Timestamp, ended_at: Timestamp) -> Attempt {
        let result = match &self.settlement {
            Settlement::Delivered { .. } => "delivered",
            Settlement::Skipped { .. } => "skipped",
            Settlement::FannedOut { .. } => "fanned-out",
            Settlement::Waits { .. } => "waited",
            Settlement::Retries { .. } | Settlement::DeadLettered { .. } => "failed",
        };
        let (code, detail) = self.why.clone().unzip();
        Attempt { release: runnable.release.clone(), started_at, ended_at, result, code, detail, trace: trace.to_json() }
    }
}

/// Code and detail of an attempt that did not succeed: the obstacle if there was one, else what the plugin or the host said.
fn why(stopped: &Stopped) -> (String, String) {
    if let Some(obstacle) = &stopped.obstacle {
        let kind = serde_json::to_value(obstacle.kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        return (kind, format!("alias {}: {}", obstacle.alias, obstacle.detail));
    }
    match &stopped.failure {
        CallFailure::Transient { code, detail, .. } | CallFailure::Permanent { code, detail } => (code.clone(), detail.clone()),
        CallFailure::Fault { class, detail } => (class.as_str().to_owned(), detail.clone()),
    }
}

fn fault(class: FailureClass, detail: String) -> Stopped {
    Stopped { failure: CallFailure::Fault { class, detail }, obstacle: None }
}

fn crashed(leased: &Leased) -> Stopped {
    let starts = leased.unsettled_starts;
    fault(FailureClass::HostCrashed, format!("the host stopped {starts} times while this message was under way"))
}

fn wrong_output(used: &Use) -> Stopped {
    fault(FailureClass::Unrunnable, format!("{} of {} gave back what its role does not", used.plugin.name, used.place))
}

fn too_many(used: &Use) -> Stopped {
    fault(
        FailureClass::OutputTooLarge,
        format!("{} ({}) brought the messages made from this one over {CARRIED_MAX}", used.place, used.plugin.name),
    )
}

/// A failure's word in the metrics.
fn kind_of(failure: &CallFailure) -> &'static str {
    match failure {
        CallFailure::Transient { .. } => "transient",
        CallFailure::Permanent { .. } => "permanent",
        CallFailure::Fault { class, .. } => class.as_str(),
    }
}
