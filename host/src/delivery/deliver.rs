//! One delivery from lease to settlement. [`Delivery::deliver`] is the way; [`Delivery::walk`] holds every branch of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::batch::Place;
use super::canary::Trial;
use super::catalog::{Catalog, Runnable, Use};
use super::gathered::Gathered;
use super::idempotency::idempotency_base;
use super::outgoing::{carry, children, sink_append};
use super::pauses::Pauses;
use super::stopped::Stopped;
use super::telling::running_span;
use crate::clock::Clock;
use crate::message::{self, FailureClass, Message};
use crate::message_store::{Append, Leased, MessageStore, Stage, UNSETTLED_STARTS_MAX, WaitingMax};
use crate::plugin::{Call, Export, Output, PluginInvoker};
use crate::random::Random;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// The most messages the steps of one delivery may make, all together.
const CARRIED_MAX: usize = 10_000;

/// What a delivery needs around it.
#[derive(Clone)]
pub struct Delivery {
    pub store: Arc<dyn MessageStore>,
    pub plugins: Arc<dyn PluginInvoker>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
    /// Nothing more is made for an integration that has so much waiting.
    pub waiting_max: WaitingMax,
    pub pauses: Arc<Pauses>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

/// How a way ends that no failure ended.
pub(super) enum End {
    Delivered { receipt: serde_json::Value, append: Option<Box<Append>> },
    Skipped { code: String, detail: String },
    FannedOut { children: Vec<Message> },
}

/// What the steps made of a message.
enum Made {
    Messages(Vec<Arc<Message>>),
    Nothing { code: String, detail: String },
}

impl Delivery {
    /// Runs a leased delivery and settles it. Returns when what happened is on disk; `walked` is called when only that is left to wait for.
    ///
    /// Once `give_up` is cancelled the way is left where it is, and the delivery is settled as one that waits: the next start
    /// of the host runs it again, under the same idempotency keys. One with a place in a batch shares the call of its sink; one that has part
    /// in a trial counts there.
    pub async fn deliver(
        &self,
        (runnable, trial): (&Runnable, Option<&Trial>),
        leased: &Leased,
        place: Option<Place>,
        give_up: &CancellationToken,
        walked: impl FnOnce(),
    ) {
        async {
            let started_at = self.clock.now();
            let mut gathered = Gathered::default();
            gathered.trace.may_repeat = leased.may_repeat;
            let end = self.walk_to_the_end(runnable, leased, place, &mut gathered, give_up).await;
            let mut settle = self.settlement(runnable, leased, end, &mut gathered, started_at);
            if let Some(trial) = trial {
                trial.judge(leased, &mut settle);
            }
            walked();
            self.settle(leased, Arc::new(settle), give_up).await;
            // The row locks end here, with what they guard on disk.
            drop(gathered);
        }
        .instrument(running_span(leased))
        .await;
    }

    /// The way, ended by itself, by a panic of the host's own code, or by the end of the host.
    async fn walk_to_the_end(
        &self,
        runnable: &Runnable,
        leased: &Leased,
        place: Option<Place>,
        gathered: &mut Gathered,
        give_up: &CancellationToken,
    ) -> Result<End, Stopped> {
        // What was gathered is not committed after a panic, so nothing half changed is seen again.
        let walk = AssertUnwindSafe(self.walk(runnable, leased, place, gathered)).catch_unwind();
        tokio::select! {
            biased;
            end = walk => end.unwrap_or_else(|_panic| Err(Stopped::panicked())),
            () = give_up.cancelled() => Err(Stopped::Interrupted),
        }
    }

    /// The way of one message: steps, then nothing, one or many, then the sink.
    async fn walk(&self, runnable: &Runnable, leased: &Leased, place: Option<Place>, gathered: &mut Gathered) -> Result<End, Stopped> {
        if leased.unsettled_starts >= UNSETTLED_STARTS_MAX {
            return Err(crashed(leased));
        }
        let made = match leased.stage {
            Stage::Steps => {
                let _turn = Place::turn(place.as_ref()).await;
                self.steps(runnable, leased, gathered).await?
            }
            Stage::Sink => Made::Messages(vec![leased.message.clone()]),
        };
        match made {
            Made::Nothing { code, detail } => Ok(End::Skipped { code, detail }),
            Made::Messages(messages) => match messages.as_slice() {
                [one] => self.sink(runnable, leased, one, place, gathered).await,
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
                    Output::Drafts(drafts) => {
                        message::track(&mut gathered.tracked, drafts.iter().flat_map(|draft| draft.tracked.iter().cloned()));
                        next.extend(drafts.into_iter().map(|draft| carry(message, draft)));
                    }
                    Output::Skip { code, detail } => skipped = skipped.or(Some((code, detail))),
                    Output::Receipt { .. } | Output::Each(_) | Output::Page(_) => return Err(wrong_output(step)),
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

    /// Hands one message to the sink: a channel, or a plugin that takes it alone or together with others.
    async fn sink(
        &self,
        runnable: &Runnable,
        leased: &Leased,
        message: &Arc<Message>,
        place: Option<Place>,
        gathered: &mut Gathered,
    ) -> Result<End, Stopped> {
        let Some(sink) = &runnable.sink else {
            let append = sink_append(&self.catalog, runnable, leased, message, self.clock.now());
            let receipt = append.as_ref().map_or(serde_json::Value::Null, |append| serde_json::json!({ "channel": append.channel }));
            return Ok(End::Delivered { receipt, append: append.map(Box::new) });
        };
        let output = match place {
            Some(place) => self.call_together(place, sink, leased, message, gathered).await?,
            None => self.call(sink, Export::Deliver, leased, message, 0, gathered).await?,
        };
        match output {
            Output::Receipt { remote_id, remote_version, detail } => {
                let receipt = serde_json::json!({ "remote-id": remote_id, "remote-version": remote_version, "detail": detail });
                Ok(End::Delivered { receipt, append: None })
            }
            Output::Skip { code, detail } => Ok(End::Skipped { code, detail }),
            Output::Drafts(_) | Output::Each(_) | Output::Page(_) => Err(wrong_output(sink)),
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
        let call = call(used, export, leased, message, ordinal);
        gathered.begin(&call);
        let report = self.plugins.invoke(call, std::mem::take(&mut gathered.effects)).await;
        self.metrics.plugin_call(&used.plugin.name, &used.plugin.version.to_string(), report.wall);
        let ended = gathered.end(report);
        // A target that is down is no failure of the plugin's.
        if let Err(Stopped::Failed { failure, obstacle: None }) = &ended {
            self.metrics.plugin_failure(&used.plugin.name, failure.class_word());
        }
        ended
    }
}

/// What the plugin of `used` is given. The same message gives the same call at every attempt, but for the attempt's number, and the config
/// where the environment's values have become others.
pub(super) fn call(used: &Use, export: Export, leased: &Leased, message: &Arc<Message>, ordinal: u32) -> Call {
    let step = (export == Export::Transform).then_some((used.place.as_str(), ordinal));
    Call {
        plugin: used.plugin.clone(),
        export,
        integration: leased.integration.clone(),
        message: message.clone(),
        others: Vec::new(),
        cursor: None,
        attempt: leased.attempts,
        replay: leased.replay,
        idempotency_base: idempotency_base(&leased.integration, leased.message.id, leased.replay, step),
        place: if ordinal == 0 { used.place.clone() } else { format!("{} #{ordinal}", used.place) },
        config: used.config.now(),
        grants: used.grants.clone(),
        bindings: used.bindings.clone(),
        limits: used.limits.clone(),
        virtual_now: leased.first_started_at,
    }
}

fn crashed(leased: &Leased) -> Stopped {
    let starts = leased.unsettled_starts;
    Stopped::fault(FailureClass::HostCrashed, format!("the host stopped {starts} times while this message was under way"))
}

fn wrong_output(used: &Use) -> Stopped {
    let detail = format!("{} of {} gave back what its role does not", used.plugin.name, used.place);
    Stopped::fault(FailureClass::Unrunnable, detail)
}

fn too_many(used: &Use) -> Stopped {
    let detail = format!("{} ({}) brought the messages made from this one over {CARRIED_MAX}", used.place, used.plugin.name);
    Stopped::fault(FailureClass::OutputTooLarge, detail)
}
