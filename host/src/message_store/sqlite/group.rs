//! One group commit after the other: [`Committer`], which has the connection that writes and all that follows from it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::Connection;

use super::checkpoint::{self, Beside, PASSIVE, TRUNCATE};
use super::failure::{Failure, Reach, problem};
use super::leases::Leases;
use super::open::note_end;
use super::writer::{Command, OnFatal};
use super::writing::{Disk, Effects, Waiting, Writing};
use crate::clock::{Clock, Timestamp};
use crate::crash_point::{CrashPoint, reached};
use crate::message_store::{DeliveryId, StoreError, Wake};

/// How far the log may grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    /// Rows written between two checkpoints, roughly: each costs the log a few pages at most.
    pub rows_per_checkpoint: u64,
    /// Bytes of bodies between two checkpoints, roughly.
    pub bytes_per_checkpoint: usize,
    /// Rows written while a checkpoint ran beside the writer that are few enough for the writer to copy the rest itself. Only then may
    /// the log begin anew: while there is anything left to copy it grows.
    pub rows_left_max: u64,
    /// A log of more pages than this is emptied even if that has to wait for readers.
    pub pages_max: i64,
    /// Whether the log is copied beside the writer. Where not, the same commands are the same writes in the same order.
    pub beside: bool,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            rows_per_checkpoint: 4 * 1024,
            bytes_per_checkpoint: 8 * 1024 * 1024,
            rows_left_max: 512,
            // 64 MiB.
            pages_max: 16 * 1024,
            beside: true,
        }
    }
}

/// Who is woken; set once the dispatcher is there.
pub(super) type WakeSlot = Arc<RwLock<Option<Arc<dyn Wake>>>>;

pub(super) struct Committer {
    connection: Connection,
    leases: Arc<Leases>,
    waiting: Waiting,
    disk: Disk,
    wake: WakeSlot,
    clock: Arc<dyn Clock>,
    on_fatal: OnFatal,
    generation: i64,
    last_seen_time: Timestamp,
    log: LogLimits,
    commits: Arc<AtomicU64>,
    /// When the last commit returned, in milliseconds; none yet: never.
    committed_at: Arc<AtomicI64>,
    checkpoint: Beside,
    /// Rows ever written by the connection, as of the last checkpoint.
    rows_at_checkpoint: u64,
    bytes_since_checkpoint: usize,
}

/// Nothing may be written any more.
#[derive(Debug)]
pub(super) struct Ended;

/// What a committer starts with.
pub(super) struct Start {
    pub connection: Connection,
    pub checkpoint: Beside,
    pub leases: Arc<Leases>,
    pub waiting: Waiting,
    pub disk: Disk,
    pub wake: WakeSlot,
    pub clock: Arc<dyn Clock>,
    pub on_fatal: OnFatal,
    pub generation: i64,
    pub last_seen_time: Timestamp,
    pub log: LogLimits,
}

impl Committer {
    pub(super) fn new(start: Start) -> Self {
        Self {
            connection: start.connection,
            checkpoint: start.checkpoint,
            leases: start.leases,
            waiting: start.waiting,
            disk: start.disk,
            wake: start.wake,
            clock: start.clock,
            on_fatal: start.on_fatal,
            generation: start.generation,
            last_seen_time: start.last_seen_time,
            log: start.log,
            commits: Arc::default(),
            committed_at: Arc::new(AtomicI64::new(i64::MIN)),
            rows_at_checkpoint: 0,
            bytes_since_checkpoint: 0,
        }
    }

    pub(super) fn commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.commits)
    }

    pub(super) fn committed_at(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.committed_at)
    }

    pub(super) fn on_fatal(&self) -> OnFatal {
        Arc::clone(&self.on_fatal)
    }

    /// Whether there are starts to be noted.
    pub(super) fn has_notes(&self) -> bool {
        self.leases.lock().has_notes()
    }

    /// Does `commands` and commits them together, or tells all of them why not.
    pub(super) fn commit(&mut self, mut commands: Vec<Command>) -> Result<(), Ended> {
        let mut effects = Effects::default();
        let mut notes = Vec::new();
        self.disk.forget();
        let bytes = commands.iter().map(|command| command.bytes).sum::<usize>();
        match self.transact(&mut commands, &mut effects, &mut notes) {
            Ok(wrote) => {
                let wakes = effects.committed(&self.leases, &self.waiting);
                self.wake(&wakes);
                answer(commands, &Ok(()));
                if wrote { self.checkpoint_in_time(bytes) } else { Ok(()) }
            }
            Err((failure, reach)) => {
                let told = failure.told();
                tracing::error!(error = %told, commands = commands.len(), "a group commit failed");
                if reach == Reach::Process {
                    // Before anybody is answered: an answer would be a claim about what is on disk.
                    self.end(&failure);
                }
                effects.undo(&self.leases, &self.waiting);
                self.leases.lock().give_notes_back(&notes);
                answer(commands, &Err(told));
                if reach == Reach::Process { Err(Ended) } else { Ok(()) }
            }
        }
    }

    /// The transaction. Gives whether anything was written.
    fn transact(
        &mut self,
        commands: &mut [Command],
        effects: &mut Effects,
        notes: &mut Vec<(DeliveryId, Timestamp)>,
    ) -> Result<bool, (Failure, Reach)> {
        let before = self.connection.total_changes();
        reached(CrashPoint::BeforeBegin);
        self.statement("BEGIN IMMEDIATE").map_err(|failure| (failure, Reach::Group))?;
        let done = self.run(commands, effects, notes, before);
        match done {
            Ok(false) => {
                self.roll_back();
                Ok(false)
            }
            Ok(true) => match self.commit_transaction() {
                Ok(()) => {
                    self.commits.fetch_add(1, Ordering::Relaxed);
                    self.committed_at.store(self.clock.now().0, Ordering::Relaxed);
                    Ok(true)
                }
                Err(failure) => {
                    let reach = failure.reach_at_commit();
                    if reach != Reach::Process {
                        self.roll_back();
                    }
                    Err((failure, reach))
                }
            },
            Err(failure) => {
                let reach = failure.reach().max(Reach::Group);
                if reach != Reach::Process {
                    self.roll_back();
                }
                Err((failure, reach))
            }
        }
    }

    /// The commands, then the starts and the time. Gives whether there is anything to commit.
    fn run(
        &mut self,
        commands: &mut [Command],
        effects: &mut Effects,
        notes: &mut Vec<(DeliveryId, Timestamp)>,
        before: u64,
    ) -> Result<bool, Failure> {
        if !self.run_together(commands, effects)? {
            self.begin_again(std::mem::take(effects))?;
            self.run_apart(commands, effects)?;
        }
        *notes = self.leases.lock().take_notes();
        self.note_starts(notes)?;
        if self.connection.total_changes() == before {
            return Ok(false);
        }
        self.note_time()?;
        Ok(true)
    }

    /// All without savepoints, which cost a copy of every page a command touches. False if one failed and has left something
    /// half written.
    fn run_together(&mut self, commands: &mut [Command], effects: &mut Effects) -> Result<bool, Failure> {
        for command in commands {
            let before = self.connection.total_changes();
            if !self.run_one(command, effects)? && self.connection.total_changes() != before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// As if the group had not begun.
    fn begin_again(&mut self, effects: Effects) -> Result<(), Failure> {
        self.statement("ROLLBACK")?;
        effects.undo(&self.leases, &self.waiting);
        self.statement("BEGIN IMMEDIATE")
    }

    /// Each in a savepoint of its own, so that one that fails takes only itself back.
    fn run_apart(&mut self, commands: &mut [Command], effects: &mut Effects) -> Result<(), Failure> {
        for command in commands {
            self.statement("SAVEPOINT command")?;
            if !self.run_one(command, effects)? {
                self.statement("ROLLBACK TO command")?;
            }
            self.statement("RELEASE command")?;
        }
        Ok(())
    }

    /// One command. Gives whether it did its work: if not, what it did beside the database is undone. An error is the group's.
    fn run_one(&mut self, command: &mut Command, effects: &mut Effects) -> Result<bool, Failure> {
        let mut writing = Writing::new(&self.connection, &self.leases, &self.waiting, &mut self.disk);
        let ran = command.job.run(&mut writing);
        let own = writing.effects;
        let Err(failure) = ran else {
            effects.append(own);
            return Ok(true);
        };
        own.undo(&self.leases, &self.waiting);
        if failure.reach() == Reach::Command && !self.connection.is_autocommit() { Ok(false) } else { Err(failure) }
    }

    /// Starts are counted until the delivery settles, so that one that brings the host down is seen to.
    fn note_starts(&self, notes: &[(DeliveryId, Timestamp)]) -> Result<(), Failure> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut note = self.connection.prepare_cached(
            "UPDATE delivery SET starts_unsettled = starts_unsettled + 1, generation = ?2,
                    first_started_at = coalesce(first_started_at, ?3) WHERE id = ?1",
        )?;
        for (delivery, at) in notes {
            note.execute((delivery.0, self.generation, at.0))?;
        }
        Ok(())
    }

    /// The time of this commit, so that time does not go backwards over a restart.
    fn note_time(&mut self) -> Result<(), Failure> {
        let now = self.clock.now().max(self.last_seen_time);
        self.connection.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'last-seen-time'")?.execute([now.0])?;
        self.last_seen_time = now;
        Ok(())
    }

    fn commit_transaction(&self) -> Result<(), Failure> {
        reached(CrashPoint::BeforeCommit);
        self.statement("COMMIT")?;
        reached(CrashPoint::Committed);
        Ok(())
    }

    fn statement(&self, sql: &str) -> Result<(), Failure> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(failure) = self.statement("ROLLBACK")
        {
            tracing::error!(error = %failure.told(), "a roll-back failed");
        }
    }

    fn wake(&self, integrations: &[String]) {
        if integrations.is_empty() {
            return;
        }
        let wake = self.wake.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(wake) = wake {
            for integration in integrations {
                wake.wake(integration);
            }
        }
    }

    /// Copies the log into the database before it is long: beside the writer, as long as that leaves much to copy, and then the rest.
    fn checkpoint_in_time(&mut self, bytes: usize) -> Result<(), Ended> {
        self.bytes_since_checkpoint += bytes;
        let rows = self.connection.total_changes() - self.rows_at_checkpoint;
        let left = match self.checkpoint.ended(false) {
            Some(ended) => {
                let failed = ended.is_err();
                let pages = self.pages(ended)?;
                if failed || pages > self.log.pages_max { 0 } else { rows }
            }
            None if self.checkpoint.is_running() => return Ok(()),
            None if rows < self.log.rows_per_checkpoint && self.bytes_since_checkpoint < self.log.bytes_per_checkpoint => return Ok(()),
            None => return self.checkpoint_beside(),
        };
        if left > self.log.rows_left_max { self.checkpoint_beside() } else { self.checkpoint_here() }
    }

    fn checkpoint_beside(&mut self) -> Result<(), Ended> {
        self.rows_at_checkpoint = self.connection.total_changes();
        self.bytes_since_checkpoint = 0;
        if self.log.beside && self.checkpoint.start() { Ok(()) } else { self.checkpoint_here() }
    }

    fn checkpoint_here(&mut self) -> Result<(), Ended> {
        self.rows_at_checkpoint = self.connection.total_changes();
        self.bytes_since_checkpoint = 0;
        let pages = self.pages(checkpoint::run(&self.connection, PASSIVE))?;
        if pages > self.log.pages_max { self.pages(checkpoint::run(&self.connection, TRUNCATE)).map(|_| ()) } else { Ok(()) }
    }

    /// The pages the log has after a checkpoint. A full disk is no reason to stop: the log stays as it is.
    fn pages(&self, checkpoint: rusqlite::Result<i64>) -> Result<i64, Ended> {
        match checkpoint {
            Ok(pages) => Ok(pages),
            Err(error) => {
                tracing::error!(%error, "a checkpoint failed");
                let failure = Failure::Sql(error);
                if failure.reach_at_commit() == Reach::Process {
                    self.end(&failure);
                    return Err(Ended);
                }
                Ok(0)
            }
        }
    }

    fn end(&self, failure: &Failure) {
        let problem = match failure {
            Failure::Sql(error) => problem(error),
            Failure::Refused(error) => {
                crate::problem::Problem::new(crate::problem::Code::StoreFailed, format!("the message store failed: {error}"))
            }
        };
        (self.on_fatal)(problem);
    }

    /// The last starts, the end, and an empty log for the next process.
    pub(super) fn finish(&mut self) {
        let beside = self.checkpoint.ended(true).map_or(Ok(0), |ended| self.pages(ended));
        if beside.is_ok() && self.commit(Vec::new()).is_ok() {
            if let Err(error) = note_end(&self.connection, self.generation) {
                tracing::warn!(%error, "the end could not be noted; the next start takes it for a crash");
            }
            let _ = self.checkpoint.ended(true);
            let _ = self.pages(checkpoint::run(&self.connection, TRUNCATE));
        }
    }
}

fn answer(commands: Vec<Command>, group: &Result<(), StoreError>) {
    for command in commands {
        command.job.answer(group.clone());
    }
}
