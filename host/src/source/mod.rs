//! Sources that the host asks itself: plugins that poll a system with a cursor, and schedules.
//!
//! One task for each source, so that a slow one holds up no other, and never two polls of one at a time. A poll's messages, its
//! effects and the place it goes on from are committed together: a host that dies in between polls again, and what makes an item the
//! same makes it one message. Knows `message_store`, `plugin` (through their traits), `delivery`'s catalog and `alias` (its gates);
//! knows nothing of files, sockets or SQL. Read `poller` for the way of one poll, `clockwork` for a schedule, and `backfill` for what a channel
//! held before its reader came: that one is given rows of the store on disk, which alone has them.

mod backfill;
mod clockwork;
mod page;
mod poller;
mod progress;
mod telling;
mod trouble;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alias::Aliases;
use crate::clock::{Clock, within};
use crate::delivery::{Catalog, Pauses, Runnable};
use crate::integration::{Entry, WaitingMax};
use crate::message_store::MessageStore;
use crate::plugin::PluginInvoker;
use crate::random::Random;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;
pub use backfill::TakeOver;
use clockwork::Clockwork;
use poller::Poller;

/// What sources work with.
#[derive(Clone)]
pub struct Around {
    pub store: Arc<dyn MessageStore>,
    pub plugins: Arc<dyn PluginInvoker>,
    pub catalog: Arc<Catalog>,
    pub aliases: Arc<Aliases>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
    pub pauses: Arc<Pauses>,
    pub limits: Limits,
}

impl Around {
    /// Whether the sources of `integration` are not to be asked: it is paused, or takes nothing new.
    fn keeps_still(&self, integration: &str) -> bool {
        self.pauses.of(integration).is_some() || self.catalog.is_retiring(integration)
    }
}

/// What sources may bring.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a message's body.
    pub body_bytes: usize,
    /// Deliveries that may wait before sources are asked no more.
    pub waiting: WaitingMax,
}

impl std::fmt::Debug for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").field("catalog", &self.catalog).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Asks every source of the active integrations until it is stopped.
#[derive(Debug)]
pub struct Sources {
    around: Around,
    /// The sources of each integration that has any.
    asked: Mutex<BTreeMap<String, Asked>>,
    cut: CancellationToken,
    tasks: TaskTracker,
}

/// The sources of one release that are asked.
#[derive(Debug)]
struct Asked {
    stop: watch::Sender<bool>,
    tasks: TaskTracker,
}

/// What asks one source, until it is stopped.
type Asking = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Sources {
    /// Starts a task for each source.
    pub fn start(around: &Around) -> Self {
        let sources = Self { around: around.clone(), asked: Mutex::default(), cut: CancellationToken::new(), tasks: TaskTracker::new() };
        around.catalog.all().iter().for_each(|runnable| sources.run(runnable));
        sources
    }

    /// The sources of `runnable` are asked from now on, in the place of those its integration had. Those are asked no more, and it begins
    /// when a poll of theirs that is under way has ended.
    pub fn run(&self, runnable: &Arc<Runnable>) {
        let (stop, stopped) = watch::channel(false);
        let asking = self.asking(runnable, &stopped);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = asked.remove(&runnable.integration.name);
        if let Some(before) = &before {
            before.stop.send_replace(true);
        }
        let own = TaskTracker::new();
        for asking in asking {
            let before = before.as_ref().map(|before| before.tasks.clone());
            let one = async move {
                if let Some(before) = before {
                    before.wait().await;
                }
                asking.await;
            };
            self.tasks.spawn(self.cut.clone().run_until_cancelled_owned(own.track_future(one)));
        }
        own.close();
        asked.insert(runnable.integration.name.clone(), Asked { stop, tasks: own });
    }

    fn asking(&self, runnable: &Arc<Runnable>, stopped: &watch::Receiver<bool>) -> Vec<Asking> {
        let around = &self.around;
        let schedules = runnable.integration.sources.iter().filter_map(|source| {
            let Entry::Schedule(schedule) = &source.entry else { return None };
            let clockwork = Clockwork::new(around.clone(), runnable.clone(), source.clone(), schedule.clone(), stopped.clone());
            Some(Box::pin(clockwork.run()) as Asking)
        });
        let polls = (0..runnable.polls.len()).filter_map(|poll| {
            let poller = Poller::new(around.clone(), runnable.clone(), poll, stopped.clone())?;
            Some(Box::pin(poller.run()) as Asking)
        });
        schedules.chain(polls).collect()
    }

    /// Asks none any more and waits for polls under way, at most `drain`. One that is not done by then has brought nothing: the next
    /// start asks again.
    pub async fn stop(&self, clock: &dyn Clock, drain: Duration) {
        for asked in self.asked.lock().unwrap_or_else(PoisonError::into_inner).values() {
            asked.stop.send_replace(true);
        }
        self.tasks.close();
        if within(clock, drain, self.tasks.wait()).await.is_none() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}
