//! [`Shadow`]: a release that is shown what the active one has settled, and delivers nothing.
//!
//! The way of a message ends before its shadow begins, and never waits for it: what there is no room for is not shown, and counted. Depends
//! on `ledger` for what is recorded of an attempt; knows nothing of what is made of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::catalog::Runnable;
use crate::ledger::{Ended, Record};
use crate::message::MessageId;
use crate::message_store::Stage;

/// Attempts that wait to be shown, and bytes of them.
const SEEN_MAX: usize = 1_024;
const ROOM_BYTES: usize = 64 * 1024 * 1024;
/// The unit in which room is counted.
const ROOM_UNIT: usize = 1_024;

/// The configs of a release's plugins, in the order of its uses.
pub type Configs = Arc<[Arc<str>]>;

/// Of more than so many messages nobody remembers that something of them was not shown.
const BROKEN_MAX: usize = 10_000;

/// A release beside the active one.
#[derive(Debug)]
pub struct Shadow {
    pub candidate: Arc<Runnable>,
    seen: mpsc::Sender<Seen>,
    room: Arc<Semaphore>,
    waiting: AtomicUsize,
    missed: AtomicU64,
    /// Messages that became several, and of which something was not shown; told to whoever waits for the rest of them.
    broken: Mutex<BTreeSet<MessageId>>,
    /// It is over, however it ended.
    pub over: CancellationToken,
}

/// One that waits to be told.
#[derive(Debug)]
pub struct Waits(Arc<Shadow>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attempt of the active release that ended a delivery. It takes up room until it is dropped.
#[derive(Debug)]
pub struct Seen {
    pub record: Record,
    /// What the candidate's plugins were configured with when the attempt began.
    pub configs: Configs,
    room: OwnedSemaphorePermit,
}

impl Seen {
    /// The room it takes up, in bytes.
    pub fn bytes(&self) -> usize {
        self.room.num_permits().saturating_mul(ROOM_UNIT)
    }
}

impl Shadow {
    /// `candidate`, and where it is told what the active release has settled.
    pub fn new(candidate: Arc<Runnable>) -> (Arc<Self>, mpsc::Receiver<Seen>) {
        let (seen, to_see) = mpsc::channel(SEEN_MAX);
        let room = Arc::new(Semaphore::new(ROOM_BYTES / ROOM_UNIT));
        let (waiting, missed, broken, over) = Default::default();
        (Arc::new(Self { candidate, seen, room, waiting, missed, broken, over }), to_see)
    }

    /// Whether an attempt that ended so is shown: those that another one follows are not.
    pub fn wants(&self, ended: &Ended) -> bool {
        !matches!(ended, Ended::Waited { .. } | Ended::Failed { is_dead: false, .. })
    }

    /// What the candidate's plugins are configured with now.
    pub fn configs(&self) -> Configs {
        self.candidate.uses().map(|used| used.config.now()).collect()
    }

    /// Takes a record of about so many `bytes`, if there is room for it. `configs` are those from when the attempt began. Returns at once.
    pub fn offer(&self, record: Record, configs: Configs, bytes: usize) {
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX);
        let family = family(&record);
        let taken = self.room.clone().try_acquire_many_owned(units).ok();
        // Counted before anybody can have taken it.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let shown = taken.and_then(|room| self.seen.try_send(Seen { record, configs, room }).ok());
        if shown.is_none() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        match (shown, family) {
            (Some(()), _) => {}
            (None, None) => self.miss(),
            // Counted once, by whoever waits for the rest of it.
            (None, Some(family)) => {
                let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
                if broken.len() < BROKEN_MAX {
                    broken.insert(family);
                }
            }
        }
    }

    /// The messages that became several, and of which something was not shown since the last look.
    pub fn broken(&self) -> BTreeSet<MessageId> {
        std::mem::take(&mut self.broken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Attempts that wait to be told: what is being told, and what is to be counted as not shown, included.
    pub fn waiting(&self) -> usize {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.waiting.load(Ordering::Relaxed).saturating_add(broken)
    }

    /// What was just received waits no more when this is dropped.
    pub fn taken(self: &Arc<Self>) -> Waits {
        Waits(self.clone())
    }

    /// One more waits, until this is dropped.
    pub fn waits(self: &Arc<Self>) -> Waits {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.taken()
    }

    /// One more that it was not shown, or of which nothing could be told.
    pub fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn miss_more(&self, messages: u64) {
        self.missed.fetch_add(messages, Ordering::Relaxed);
    }

    /// Messages that it was not shown, or not whole.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

/// The message that became several, of which this is one, or which it is.
pub fn family(record: &Record) -> Option<MessageId> {
    match (&record.ended, record.stage, record.message.parent) {
        (Ended::FannedOut { .. }, ..) => Some(record.message.id),
        (_, Stage::Sink, Some(parent)) => Some(parent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::lab;
    use crate::ledger::tests::record;

    fn shadow() -> (Arc<Shadow>, mpsc::Receiver<Seen>) {
        Shadow::new(Arc::new(lab::runnable(lab::integration("crm", &[], lab::plugin("sink")))))
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_waited_for_by_nobody() {
        let (shadow, mut to_see) = shadow();
        (0..SEEN_MAX as u32 + 3).for_each(|number| shadow.offer(record(number, 1), shadow.configs(), 1));
        assert_eq!((shadow.missed(), shadow.waiting()), (3, SEEN_MAX));
        while to_see.try_recv().is_ok() {}
        // Few that are large take up as much.
        shadow.offer(record(1, 1), shadow.configs(), ROOM_BYTES);
        shadow.offer(record(2, 1), shadow.configs(), 1);
        assert_eq!(shadow.missed(), 4);
        let large = to_see.try_recv().unwrap();
        assert_eq!(large.bytes(), ROOM_BYTES);
        drop(large);
        shadow.offer(record(3, 1), shadow.configs(), 1);
        shadow.offer(record(4, 1), shadow.configs(), ROOM_BYTES + 1);
        assert_eq!((shadow.missed(), to_see.try_recv().is_ok()), (5, true));
    }

    #[test]
    fn what_is_being_told_waits_until_it_is() {
        let (shadow, mut to_see) = shadow();
        shadow.offer(record(1, 1), shadow.configs(), 1);
        let _seen = to_see.try_recv().unwrap();
        let taken = shadow.taken();
        assert_eq!(shadow.waiting(), 1, "it is out of the queue, and not told");
        drop(taken);
        assert_eq!(shadow.waiting(), 0);
        // A part of which something was not shown is counted by whoever waits for the rest, and waits for that.
        let part = Record { ended: Ended::FannedOut { children: 2 }, ..record(2, 1) };
        shadow.offer(part, shadow.configs(), ROOM_BYTES + 1);
        assert_eq!((shadow.waiting(), shadow.missed()), (1, 0));
        assert_eq!((shadow.broken().len(), shadow.waiting()), (1, 0));
    }

    #[test]
    fn an_attempt_that_another_one_follows_is_not_shown() {
        let (shadow, _to_see) = shadow();
        let failed = |is_dead| Ended::Failed { code: String::new(), detail: String::new(), is_dead };
        let waited = Ended::Waited { code: String::new(), detail: String::new() };
        assert!(shadow.wants(&Ended::Delivered) && shadow.wants(&Ended::FannedOut { children: 2 }) && shadow.wants(&failed(true)));
        assert!(!shadow.wants(&failed(false)) && !shadow.wants(&waited));
    }
}
