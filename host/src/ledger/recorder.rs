//! [`Recorder`]: takes records, never waits, and has a thread of its own write them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{error, info, warn};

use super::record::{Ended, Record};
use super::segment::{self, Block};
use super::{Records, Settings, folder, keep};
use crate::clock::{Clock, Timestamp};
use crate::telemetry::Metrics;

/// Records that wait to be written, and bytes of them: of more, the newest are dropped.
const WAITING_MAX: usize = 8_192;
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A block is written when it holds so much, or nothing came for so long.
const BLOCK_BYTES: usize = 256 * 1024;
const BLOCK_WITHIN: Duration = Duration::from_millis(200);
/// A segment is closed when it has so much, or has been open for so long: what goes when it is old goes as a whole.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// How often it is looked whether something is too old.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Nothing is written with less free on the disk: what is left is for messages. Twice what the message store keeps free.
const DISK_FREE_MIN: u64 = 2 * crate::message_store::sqlite::RESERVE_BYTES;

/// Where attempts are recorded. Clones are one.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    records: Records,
    queue: SyncSender<Job>,
    waiting: Arc<Waiting>,
    drops: Arc<Drops>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Bytes of the records that wait to be written.
#[derive(Debug, Default)]
struct Waiting(AtomicUsize);

/// What was dropped, and whether that has been said.
#[derive(Debug)]
struct Drops {
    metrics: Arc<Metrics>,
    is_said: AtomicBool,
}

#[derive(Debug)]
enum Job {
    Write { record: Box<Record>, bytes: usize },
    End,
}

impl Recorder {
    /// Records into the data folder `data`, and keeps it within what `settings` say, whatever is recorded.
    pub fn start(data: &Path, settings: Settings, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let (queue, jobs) = sync_channel(WAITING_MAX);
        let waiting = Arc::new(Waiting::default());
        let drops = Arc::new(Drops { metrics, is_said: AtomicBool::new(false) });
        let segments = Segments { folder: folder(data), settings, open: None, block: Block::default(), block_since: None };
        let writer = Writer { segments, clock, waiting: waiting.clone(), drops: drops.clone(), swept_at: None };
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run(&jobs));
        let thread = thread.map_err(|why| error!(%why, "nothing is recorded: the ledger has no thread")).ok();
        Self(Arc::new(Inner { records: settings.records, queue, waiting, drops, thread: Mutex::new(thread) }))
    }

    /// Whether anything is recorded at all.
    pub fn listens(&self) -> bool {
        self.0.records != Records::Nothing
    }

    /// Whether an attempt that ended so is recorded.
    pub fn wants(&self, ended: &Ended) -> bool {
        match self.0.records {
            Records::All => true,
            Records::Failures => ended.has_failed(),
            Records::Nothing => false,
        }
    }

    /// Takes a record of about so many `bytes`, if there is room for it. Returns at once.
    pub fn offer(&self, record: Record, bytes: usize) {
        let Inner { queue, waiting, drops, .. } = &*self.0;
        if waiting.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > WAITING_BYTES_MAX {
            waiting.0.fetch_sub(bytes, Ordering::Relaxed);
            return drops.count(1, "queue-full", "records come faster than they are written");
        }
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(Job::Write { record: Box::new(record), bytes }) {
            waiting.0.fetch_sub(bytes, Ordering::Relaxed);
            drops.count(1, "queue-full", "records come faster than they are written");
        }
    }

    /// Writes what was taken, and ends.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.0);
        let ended = tokio::task::spawn_blocking(move || {
            let Some(thread) = inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
            // A thread that has ended by itself takes nothing more.
            drop(inner.queue.send(Job::End));
            if thread.join().is_err() {
                error!("the ledger's thread panicked; what it still had is not recorded");
            }
        });
        drop(ended.await);
    }
}

impl Drops {
    /// Counts; said once, until records are written again.
    fn count(&self, records: usize, reason: &'static str, why: &str) {
        self.metrics.ledger_dropped(reason, records);
        if !self.is_said.swap(true, Ordering::Relaxed) {
            warn!(
                reason,
                "attempts are not recorded in the ledger: {why}; deliveries go on, and lockgate_ledger_dropped_total counts them"
            );
        }
    }

    fn well(&self, records: usize) {
        self.metrics.ledger_recorded(records);
        if self.is_said.swap(false, Ordering::Relaxed) {
            info!("attempts are recorded in the ledger again");
        }
    }
}

/// The thread's own.
struct Writer {
    segments: Segments,
    clock: Arc<dyn Clock>,
    waiting: Arc<Waiting>,
    drops: Arc<Drops>,
    swept_at: Option<Timestamp>,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let now = self.clock.now();
            if self.swept_at.is_none_or(|swept_at| now.since(swept_at) >= SWEEP_EVERY) {
                self.swept_at = Some(now);
                self.segments.sweep(now);
            }
            let wait = if self.segments.block.is_empty() { SWEEP_EVERY } else { BLOCK_WITHIN };
            match jobs.recv_timeout(wait) {
                Ok(Job::Write { record, bytes }) => {
                    self.take(&record);
                    self.waiting.0.fetch_sub(bytes, Ordering::Relaxed);
                }
                Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => return self.write(),
                Err(RecvTimeoutError::Timeout) => self.write(),
            }
        }
    }

    fn take(&mut self, record: &Record) {
        let now = self.clock.now();
        if !self.segments.block.add(record) {
            self.drops.count(1, "too-large", "one is larger than a block may be");
        }
        let since = *self.segments.block_since.get_or_insert(now);
        if self.segments.block.bytes() >= BLOCK_BYTES || now.since(since) >= BLOCK_WITHIN {
            self.write();
        }
    }

    /// Writes the block, or drops it.
    fn write(&mut self) {
        self.segments.block_since = None;
        let block = std::mem::take(&mut self.segments.block);
        if block.is_empty() {
            return;
        }
        match self.segments.append(&block, self.clock.now()) {
            Ok(()) => self.drops.well(block.len()),
            Err(why) => {
                // Whatever of it was written is the end of its segment.
                self.segments.open = None;
                self.drops.count(block.len(), "not-written", &why.to_string());
            }
        }
    }
}

/// The folder, with the segment that is being written.
struct Segments {
    folder: PathBuf,
    settings: Settings,
    open: Option<Open>,
    block: Block,
    block_since: Option<Timestamp>,
}

struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    begun_at: Timestamp,
}

impl Segments {
    fn append(&mut self, block: &Block, now: Timestamp) -> std::io::Result<()> {
        let packed = block.packed().ok_or_else(|| std::io::Error::other("a block cannot be packed"))?;
        let open = match self.open.take().filter(|open| open.has_room(now)) {
            Some(open) => open,
            None => self.begin(now)?,
        };
        let open = self.open.insert(open);
        let free = rustix::fs::statvfs(&self.folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))?;
        if free < DISK_FREE_MIN {
            return Err(std::io::Error::other(format!("the disk has {} MiB left, which are for messages", free >> 20)));
        }
        open.file.write_all(&packed)?;
        open.bytes = open.bytes.saturating_add(packed.len() as u64);
        Ok(())
    }

    /// A new segment, its owner's alone as all of the data folder is.
    fn begin(&mut self, now: Timestamp) -> std::io::Result<Open> {
        self.sweep(now);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // One that was begun in the same millisecond, or by a clock that was ahead, is not written to: its end may be torn.
        let last = keep::segments(&self.folder)?.last().map(|last| last.begun_at.plus(Duration::from_millis(1)));
        let begun_at = last.map_or(now, |last| last.max(now));
        let path = self.folder.join(keep::name(begun_at));
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&segment::head())?;
        Ok(Open { file, path, bytes: segment::HEAD_BYTES, begun_at: now })
    }

    /// Forgets what is too old, or too much.
    fn sweep(&mut self, now: Timestamp) {
        drop(self.open.take_if(|open| !open.has_room(now)));
        let open = self.open.as_ref().map(|open| open.path.as_path());
        match keep::sweep(&self.folder, &self.settings, open, now) {
            Ok(0) => {}
            Ok(removed) => info!(removed, "segments of the ledger that were too old or too many were removed"),
            Err(why) => {
                warn!(%why, folder = %self.folder.display(), "what is too old of the ledger could not be removed; trying again later")
            }
        }
    }
}

impl Open {
    fn has_room(&self, now: Timestamp) -> bool {
        self.bytes < SEGMENT_BYTES_MAX && now.since(self.begun_at) < SEGMENT_AGE_MAX
    }
}
