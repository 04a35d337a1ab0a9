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

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alias::Aliases;
use crate::clock::{Clock, within};
use crate::delivery::{Catalog, Pauses};
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
    stop: watch::Sender<bool>,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Sources {
    /// Starts a task for each source.
    pub fn start(around: &Around) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (cut, tasks) = (CancellationToken::new(), TaskTracker::new());
        for runnable in around.catalog.all() {
            for source in &runnable.integration.sources {
                let Entry::Schedule(schedule) = &source.entry else { continue };
                let clockwork = Clockwork::new(around.clone(), runnable.clone(), source.clone(), schedule.clone(), stopped.clone());
                tasks.spawn(cut.clone().run_until_cancelled_owned(clockwork.run()));
            }
            for poll in 0..runnable.polls.len() {
                let Some(poller) = Poller::new(around.clone(), runnable.clone(), poll, stopped.clone()) else { continue };
                tasks.spawn(cut.clone().run_until_cancelled_owned(poller.run()));
            }
        }
        tasks.close();
        Self { stop, cut, tasks }
    }

    /// Asks none any more and waits for polls under way, at most `drain`. One that is not done by then has brought nothing: the next
    /// start asks again.
    pub async fn stop(self, clock: &dyn Clock, drain: Duration) {
        self.stop.send_replace(true);
        if within(clock, drain, self.tasks.wait()).await.is_none() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}
