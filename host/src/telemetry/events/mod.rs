//! What happens, as it happens: [`Events`], to which the rooms tell and from which streams read.
//!
//! In telemetry, since it is what a running host tells about itself, every room tells, and none may depend on who listens. Kept in
//! memory only, in a bounded ring: who reads too slowly is told how much was lost, and who tells never waits. What happened to
//! messages for good is in the ledger.
//!
//! What comes with every message ([`Detail::Routine`]) and lines below `info` are told only while somebody listens for them: else
//! one load of an atomic is all they cost.

mod event;
mod filter;
mod reader;
mod ring;
#[cfg(test)]
mod tests;
pub mod warnings;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
pub use event::{Event, Field, Kind, Level, Told};
pub use filter::{Filter, MessagePrefix};
pub use reader::{Batch, Gap, Reader, Start};
use ring::Ring;

/// How long details are told after somebody listened: a stream that broke is resumed without a gap within it.
const LISTENED_FOR: Duration = Duration::from_secs(60);
/// Ids start at the milliseconds since 1970, times this: over a restart they grow as long as fewer events than this a millisecond
/// were told, and they fit the integers of JavaScript.
const IDS_PER_MS: u64 = 1000;

/// What is not told to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What comes with every message that goes its way.
    Routine,
    /// Lines of plugins at `debug`.
    Debug,
    /// Lines of plugins at `trace`.
    Trace,
}

impl Detail {
    const ALL: [Self; 3] = [Self::Routine, Self::Debug, Self::Trace];

    /// The level its events have.
    fn level(self) -> Level {
        match self {
            Self::Routine => Level::Info,
            Self::Debug => Level::Debug,
            Self::Trace => Level::Trace,
        }
    }
}

/// The hub. Share it as an `Arc`.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    /// The id of the first event of this run.
    first_id: u64,
    news: Notify,
    /// Until when each detail is told; 0 while nobody has asked for it.
    listened_until: [AtomicI64; Detail::ALL.len()],
    closed: CancellationToken,
    clock: Arc<dyn Clock>,
    /// Whether what plugins say reaches anybody at all, the log included.
    is_heard: bool,
}

impl Events {
    /// A hub to which nothing has been told.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self::that(true, clock))
    }

    /// One for plugins that run without effect: what they say is in no log either.
    pub fn unheard(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self::that(false, clock))
    }

    /// Whether what plugins say reaches anybody.
    pub fn is_heard(&self) -> bool {
        self.is_heard
    }

    fn that(is_heard: bool, clock: Arc<dyn Clock>) -> Self {
        let started_at_ms = u64::try_from(clock.now().0).unwrap_or(0);
        let first_id = started_at_ms.saturating_mul(IDS_PER_MS).max(1);
        Self {
            ring: Mutex::new(Ring::new(first_id)),
            first_id,
            news: Notify::new(),
            listened_until: Default::default(),
            closed: CancellationToken::new(),
            clock,
            is_heard,
        }
    }

    /// Tells something that is worth knowing later, too.
    pub fn tell(&self, event: Event) {
        let (at, event) = (self.clock.now(), event.bounded());
        self.ring().push(at, event);
        self.news.notify_waiters();
    }

    /// Tells what `event` makes, if somebody listens for such `detail`.
    pub fn detail(&self, detail: Detail, event: impl FnOnce() -> Event) {
        if self.listens(detail) {
            self.tell(event());
        }
    }

    /// Whether somebody listens for `detail`, or did a moment ago.
    pub fn listens(&self, detail: Detail) -> bool {
        let until = &self.listened_until[detail as usize];
        let before = until.load(Ordering::Relaxed);
        if before == 0 {
            return false;
        }
        let listens = self.clock.now().0 < before;
        if !listens {
            // Whoever listened anew meanwhile stays.
            let _ = until.compare_exchange(before, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        listens
    }

    /// Ends every stream once it has read what there is. What is told from now on is read by nobody.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// The id of the latest event, or the one before the first.
    pub fn latest(&self) -> u64 {
        self.ring().latest()
    }

    /// Details that `filter` lets through are told for a while.
    fn listen(&self, filter: &Filter) {
        let until = self.clock.now().plus(LISTENED_FOR).0;
        filter.asks_for().for_each(|detail| self.listened_until[detail as usize].store(until, Ordering::Relaxed));
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
