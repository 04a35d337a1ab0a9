//! One delivery from lease to settlement. [`Delivery::deliver`] is the way; [`Delivery::walk`] holds every branch of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::batch::Place;
use super::catalog::{Catalog, Part, Runnable};
use super::gathered::Gathered;
use super::outgoing::{children, sink_append};
use super::pauses::Pauses;
use super::stopped::Stopped;
use super::telling::running_span;
use super::way::{Made, Taken, Way, taken};
use crate::clock::Clock;
use crate::ledger::{Recorder, Recording};
use crate::message::{FailureClass, Message};
use crate::message_store::{Append, Leased, MessageStore, Stage, UNSETTLED_STARTS_MAX, WaitingMax};
use crate::plugin::PluginInvoker;
use crate::random::Random;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

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
    /// Where attempts are recorded, if they are.
    pub recorder: Option<Recorder>,
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

impl Delivery {
    /// Runs a leased delivery and settles it. Returns when what happened is on disk; `walked` is called when only that is left to wait for.
    ///
    /// Once `give_up` is cancelled the way is left where it is, and the delivery is settled as one that waits: the next start
    /// of the host runs it again, under the same idempotency keys. One with a place in a batch shares the call of its sink; one that has part
    /// in a trial counts there, and one that is shown to a shadow is so when it is settled.
    pub async fn deliver(
        &self,
        (runnable, part): (&Runnable, Option<&Part>),
        leased: &Leased,
        place: Option<Place>,
        give_up: &CancellationToken,
        walked: impl FnOnce(),
    ) {
        async {
            let started_at = self.clock.now();
            let mut gathered = Gathered::default();
            let shadow = if let Some(Part::Shadow(shadow, configs)) = part { Some((shadow, configs)) } else { None };
            gathered.recording = (self.recorder.is_some() || shadow.is_some()).then(Recording::default);
            gathered.trace.may_repeat = leased.may_repeat;
            let end = self.walk_to_the_end(runnable, leased, place, &mut gathered, give_up).await;
            let wanted = gathered.wanted();
            let mut settle = self.settlement(runnable, leased, end, &mut gathered, started_at);
            if let Some(Part::Trial(trial)) = part {
                trial.judge(leased, &mut settle);
            }
            let settle = Arc::new(settle);
            walked();
            self.settle(leased, settle.clone(), give_up).await;
            self.record(leased, &settle, wanted, (&mut gathered, shadow));
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
                self.way().steps(runnable, leased, gathered).await?
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
        let taken = match place {
            Some(place) => taken(sink, self.call_together(place, sink, leased, message, gathered).await?),
            None => self.way().sink(sink, leased, message, gathered).await,
        };
        match taken? {
            Taken::Delivered { receipt } => Ok(End::Delivered { receipt, append: None }),
            Taken::Skipped { code, detail } => Ok(End::Skipped { code, detail }),
        }
    }

    fn way(&self) -> Way<'_> {
        Way { plugins: &*self.plugins, metrics: &self.metrics }
    }
}

fn crashed(leased: &Leased) -> Stopped {
    let starts = leased.unsettled_starts;
    Stopped::fault(FailureClass::HostCrashed, format!("the host stopped {starts} times while this message was under way"))
}
