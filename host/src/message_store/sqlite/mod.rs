//! The message store of a running host: one SQLite file in the data folder.
//!
//! Depends on `message`, `integration`'s release type and the clock. [`SqliteStore`] is the [`MessageStore`];
//! [`KeyValue`], [`Releases`], [`AliasStates`], [`Backfills`], [`PauseRows`], [`RetirementRows`], [`Sealed`], [`TokenRows`], [`AuditTrail`] and [`Ledger`] work on the same file. Where to look: `open` (the folder), `schema` (the
//! tables), `writer` and `group` (how anything gets written), `checkpoint` (how the log becomes the database), `leases` (what is handed
//! out), `ready` (what is handed out without a read), and a file for each command.

mod accept;
mod alias_states;
mod audit;
mod backfill;
mod barrier;
mod beside;
mod checkpoint;
mod clean;
mod copy;
mod exchanges;
mod failure;
mod group;
mod key_value;
mod lane;
mod lease;
mod leases;
pub mod ledger;
mod open;
mod open_letters;
mod operator;
mod other_bodies;
mod outcome;
mod pauses;
mod proposals;
mod readers;
mod ready;
mod release_history;
mod releases;
mod retention;
mod retirements;
mod rows;
mod schema;
mod sealed;
mod settle;
mod sources;
#[cfg(test)]
mod tests;
mod tokens;
mod tried;
mod writer;
mod writing;

use std::path::Path;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

pub use alias_states::AliasStates;
pub use audit::{AuditPage, AuditQuery, AuditRow, AuditTrail, verify_file};
pub use backfill::{Ahead, Backfill, Backfills, Filled, LEFT_COUNTED_MAX};
pub use beside::{open_dead_letters, stored_releases};
pub use clean::Cleaned;
pub use copy::{NEWEST_SCHEMA, check_copy, copy_into, version_of};
pub use key_value::KeyValue;
pub use ledger::Ledger;
pub use open::{DATABASE_FILE, Held, LOCK_FILE, claim};
pub use pauses::{PauseRow, PauseRows};
pub use proposals::{Approval, Proposal};
pub use release_history::StoredRelease;
pub use releases::{Activation, ActiveRelease, By, How, Releases};
pub use retention::Forgotten;
pub use retirements::{RetirementRow, RetirementRows};
pub use sealed::{Sealed, SealedEntry};
pub use tokens::{TokenRow, TokenRows};
pub use tried::TriedRow;
pub use writer::OnFatal;

use super::audit::Note;
use super::exchange::Exchange;
use super::{
    Accept, Accepted, Advance, Advanced, DeliveryId, Discard, Lease, Leased, MessageStore, Replay, Replayed, Settle, SourceState,
    StoreError, Wake,
};
use crate::clock::{Clock, Timestamp};
use crate::crash_point;
use crate::problem::{Code, Problem};
use checkpoint::Beside;
use group::{Committer, WakeSlot};
use leases::Leases;
use open::Medium;
use readers::Readers;
use writer::Writer;
use writing::{Disk, Waiting};

/// Connections that find what is due and read key-value data.
const READERS: usize = 4;
/// Connections that answer people's questions.
const PEOPLE_READERS: usize = 2;
/// Free bytes on the disk below which no new message is taken, so that what is there can still be settled.
pub const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// Lanes that one command frees at most: some milliseconds of the writer's time.
const LANES_FREED_AT_ONCE: i64 = 500;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    pub clock: Arc<dyn Clock>,
    /// Called when a commit or an fsync failed. It should not return: see [`end_the_process`].
    pub on_fatal: OnFatal,
    /// See [`RESERVE_BYTES`].
    pub reserve_bytes: u64,
}

impl Options {
    /// A running host's: the process ends where it must.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, on_fatal: Arc::new(|problem| end_the_process(&problem)), reserve_bytes: RESERVE_BYTES }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("clock", &self.clock).field("reserve_bytes", &self.reserve_bytes).finish_non_exhaustive()
    }
}

/// Ends the process at once, without unwinding or running destructors: nothing more may be written or answered.
pub fn end_the_process(problem: &Problem) -> ! {
    tracing::error!(%problem, "the host ends: nobody knows what is on disk until it starts again");
    std::process::abort()
}

/// The message store of a running host. Cheap to clone; the data folder is let go with the last clone.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    writer: Writer,
    leases: Arc<Leases>,
    readers: Arc<Readers>,
    people: Arc<Readers>,
    ledger: Ledger,
    waiting: Waiting,
    wake: WakeSlot,
    generation: i64,
    last_seen_time: Timestamp,
    /// Let go last.
    _lock: Held,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writer.close();
        self.writer.join();
    }
}

impl SqliteStore {
    /// Opens the data folder, making it if need be. Blocks.
    ///
    /// # Errors
    /// `LG-3001` cannot be written, `LG-3002` in use by another host, `LG-3003` written by a newer version, `LG-3004` on a
    /// network file system, `LG-3006` damaged, `LG-3007` disk full, `LG-3005` anything else the database says.
    pub fn open(folder: &Path, options: Options) -> Result<Self, Problem> {
        Self::open_on(&Medium::default(), folder, options)
    }

    /// The same, standing on `medium`.
    fn open_on(medium: &Medium, folder: &Path, options: Options) -> Result<Self, Problem> {
        let opened = open::open(folder, medium)?;
        let leases = Arc::new(Leases::new(opened.interrupted_until));
        let wake = WakeSlot::default();
        let waiting = Waiting::load(&opened.writer).map_err(|error| failure::problem(&error))?;
        let committer = Committer::new(group::Start {
            connection: opened.writer,
            checkpoint: Beside::new(opened.database.clone(), medium.clone()),
            leases: Arc::clone(&leases),
            waiting: waiting.clone(),
            disk: Disk::new(folder, options.reserve_bytes),
            wake: Arc::clone(&wake),
            clock: Arc::clone(&options.clock),
            on_fatal: options.on_fatal,
            generation: opened.generation,
            last_seen_time: opened.last_seen_time,
            log: medium.log,
        });
        let writer = Writer::start(committer, options.clock).map_err(|error| {
            Problem::new(Code::StoreFailed, format!("the message store's thread cannot be started: {error}"))
                .fix("raise the limit on threads of the user the host runs as")
        })?;
        let people = Readers::new(&opened.database, medium, PEOPLE_READERS);
        let inner = Inner {
            writer,
            leases,
            readers: Readers::new(&opened.database, medium, READERS),
            ledger: Ledger::new(Arc::clone(&people), waiting.clone()),
            waiting,
            people,
            wake,
            generation: opened.generation,
            last_seen_time: opened.last_seen_time,
            _lock: opened.lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// From now on `wake` is told, on the writer's thread and after the commit, which integrations may have something due.
    /// It should return at once, and hold the store weakly or not at all. [`SqliteStore::close`] lets it go.
    pub fn wake_through(&self, wake: Arc<dyn Wake>) {
        *self.inner.wake.write().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// The latest time a commit in this folder has seen before it was opened; see `SystemClock::not_before`.
    pub fn last_seen_time(&self) -> Timestamp {
        self.inner.last_seen_time
    }

    /// How many processes have opened the folder, this one counted.
    pub fn generation(&self) -> i64 {
        self.inner.generation
    }

    /// How many group commits there were since it was opened.
    pub fn commits(&self) -> u64 {
        self.inner.writer.commits()
    }

    /// The integrations' key-value data.
    pub fn key_value(&self) -> KeyValue {
        KeyValue { readers: Arc::clone(&self.inner.readers) }
    }

    /// The stored releases.
    pub fn releases(&self) -> Releases {
        Releases { inner: Arc::clone(&self.inner) }
    }

    /// What is known of aliases.
    pub fn alias_states(&self) -> AliasStates {
        AliasStates { inner: Arc::clone(&self.inner) }
    }

    /// Readers that begin at a channel's beginning.
    pub fn backfills(&self) -> Backfills {
        Backfills { inner: Arc::clone(&self.inner) }
    }

    /// What people have paused.
    pub fn pauses(&self) -> PauseRows {
        PauseRows { inner: Arc::clone(&self.inner) }
    }

    /// What is retired, or drains for it.
    pub fn retirements(&self) -> RetirementRows {
        RetirementRows { inner: Arc::clone(&self.inner) }
    }

    /// Who may ask, beside who has the data folder's own token.
    pub fn tokens(&self) -> TokenRows {
        TokenRows { inner: Arc::clone(&self.inner) }
    }

    /// Who changed what.
    pub fn audit(&self) -> AuditTrail {
        AuditTrail { inner: Arc::clone(&self.inner) }
    }

    /// [`MessageStore::replay`], and `note` with it where it is done.
    pub async fn replay_noted(&self, replay: Replay, note: Note) -> Result<Replayed, StoreError> {
        let bytes = replay.edit.as_ref().map_or(0, |edit| edit.message.body.len());
        let write = move |writing: &mut writing::Writing<'_>| {
            let replayed = operator::replay(writing, &replay)?;
            if matches!(replayed, Replayed::Queued(_)) {
                audit::append(writing, &note)?;
            }
            Ok(replayed)
        };
        self.inner.writer.run(bytes, write).await
    }

    /// The secrets store's rows.
    pub fn sealed(&self) -> Sealed {
        Sealed { inner: Arc::clone(&self.inner) }
    }

    /// What happened to messages.
    pub fn ledger(&self) -> Ledger {
        self.inner.ledger.clone()
    }

    /// Takes away a bounded number of deduplication tokens and key-values that have expired.
    pub async fn clean(&self, now: Timestamp) -> Result<Cleaned, StoreError> {
        self.inner.writer.run(0, move |writing| clean::clean(writing, now)).await
    }

    /// Forgets a bounded number of messages that were accepted and ended before `before`, with all that was written about them; looks
    /// on after the place that a call before gave (0 at first). What waits and open dead letters are kept.
    pub async fn forget_messages(&self, before: Timestamp, after: i64) -> Result<Forgotten, StoreError> {
        let old = self.inner.people.read(move |connection| retention::old_messages(connection, before, after)).await?;
        if old.found.is_empty() {
            return Ok(old.none_forgotten());
        }
        self.inner.writer.run(0, move |writing| retention::forget_messages(writing, &old, before)).await
    }

    /// The same of what attempts sent and were answered, where they ended before `before`.
    pub async fn forget_exchanges(&self, before: Timestamp, after: i64) -> Result<Forgotten, StoreError> {
        let old = self.inner.people.read(move |connection| retention::old_exchanges(connection, before, after)).await?;
        if old.found.is_empty() {
            return Ok(old.none_forgotten());
        }
        self.inner.writer.run(0, move |writing| retention::forget_exchanges(writing, &old, before)).await
    }

    /// Lets the lanes of `integration` go that dead letters stopped: it does not order strictly any more. How many there were.
    pub async fn free_lanes(&self, integration: &str) -> Result<usize, StoreError> {
        let mut freed = 0;
        loop {
            let integration = integration.to_owned();
            let piece = self.inner.writer.run(0, move |writing| lane::free_all(writing, &integration, LANES_FREED_AT_ONCE)).await?;
            freed += piece;
            if piece == 0 {
                return Ok(freed);
            }
        }
    }

    /// Whether a message could be stored now: the writer answers, the files are there, and the disk has more than the reserve.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let refuse = |writing: &mut writing::Writing<'_>| {
            writing.refuse_when_the_files_are_gone()?;
            writing.refuse_when_the_disk_is_low()
        };
        self.inner.writer.run(0, refuse).await
    }

    /// Takes no more commands, finishes those it has, and writes everything into the database file.
    pub async fn close(&self) {
        self.inner.writer.close();
        let inner = Arc::clone(&self.inner);
        // It only waits for the thread; nothing can be done about a runtime that is going down.
        let _ = tokio::task::spawn_blocking(move || inner.writer.join()).await;
        *self.inner.wake.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[async_trait]
impl MessageStore for SqliteStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        if crash_point::acknowledges_early() {
            let writer = Arc::clone(&self.inner);
            tokio::spawn(async move { writer.writer.run(0, move |writing| accept::accept(writing, &accept)).await });
            return Ok(Accepted::New);
        }
        self.inner.writer.run(accept.message.body.len(), move |writing| accept::accept(writing, &accept)).await
    }

    async fn lease(&self, lease: Lease) -> Result<Vec<Leased>, StoreError> {
        if !self.inner.writer.is_open() {
            return Err(StoreError::Closed);
        }
        let leases = Arc::clone(&self.inner.leases);
        let leased = match lease::hand_out_from_memory(&leases, &lease) {
            Some(leased) => leased,
            None => self.inner.readers.read(move |connection| lease::hand_out(connection, &leases, &lease)).await?.take(),
        };
        if !leased.is_empty() {
            self.inner.writer.poke();
        }
        Ok(leased)
    }

    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        self.inner.writer.run(0, move |writing| settle::release(writing, delivery)).await
    }

    async fn settle(&self, settle: Arc<Settle>) -> Result<(), StoreError> {
        self.inner.writer.run(bytes_of(&settle), move |writing| settle::settle(writing, &settle)).await
    }

    async fn source(&self, integration: &str, source: &str) -> Result<Option<SourceState>, StoreError> {
        let (integration, source) = (integration.to_owned(), source.to_owned());
        self.inner.readers.read(move |connection| sources::state(connection, &integration, &source)).await
    }

    async fn advance(&self, advance: Arc<Advance>) -> Result<Advanced, StoreError> {
        let found: usize = advance.found.iter().map(|(message, _)| message.body.len()).sum();
        let bytes = found + bytes_of_effects(&advance.appends, &advance.key_values);
        self.inner.writer.run(bytes, move |writing| sources::advance(writing, &advance)).await
    }

    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError> {
        if let Some(known) = lease::next_due_from_memory(&self.inner.leases, integration) {
            return Ok(known);
        }
        let (leases, integration) = (Arc::clone(&self.inner.leases), integration.to_owned());
        self.inner.readers.read(move |connection| lease::next_due(connection, &leases, &integration)).await
    }

    fn waiting(&self, integration: &str) -> u64 {
        self.inner.waiting.of(integration)
    }

    fn waiting_in_all(&self) -> u64 {
        self.inner.waiting.in_all()
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        let bytes = replay.edit.as_ref().map_or(0, |edit| edit.message.body.len());
        self.inner.writer.run(bytes, move |writing| operator::replay(writing, &replay)).await
    }

    async fn discard(&self, discard: Discard) -> Result<(), StoreError> {
        self.inner.writer.run(0, move |writing| operator::discard(writing, &discard)).await
    }
}

/// The memory the effects of a settlement hold, roughly.
fn bytes_of(settle: &Settle) -> usize {
    let children = match &settle.settlement {
        super::Settlement::FannedOut { children } => children.iter().map(|child| child.body.len()).sum(),
        _ => 0,
    };
    let exchanges = settle.attempt.exchanges.iter().map(Exchange::kept_bytes);
    children + bytes_of_effects(&settle.appends, &settle.key_values) + exchanges.sum::<usize>()
}

fn bytes_of_effects(appends: &[super::Append], key_values: &[super::KeyValueWrite]) -> usize {
    let appends = appends.iter().map(|append| match &append.message {
        super::AppendedMessage::New(message) => message.body.len(),
        super::AppendedMessage::Existing(_) => 0,
    });
    let values = key_values.iter().map(|write| write.value.as_ref().map_or(0, Vec::len));
    appends.sum::<usize>() + values.sum::<usize>()
}
