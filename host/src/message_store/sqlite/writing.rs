//! What a command of the writer works with: [`Writing`], the open transaction and what follows from its commit.
//!
//! What lives in memory follows the database: each command keeps its [`Effects`]; they are undone if it is rolled
//! back, and done with if it is committed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::failure::Done;
use super::leases::{Leases, Start};
use super::open::DATABASE_FILE;
use super::ready::Fresh;
use crate::clock::Timestamp;
use crate::message_store::{DeliveryId, StoreError};
use crate::problem::{Code, Problem};

/// The open transaction.
pub(super) struct Writing<'a> {
    pub connection: &'a Connection,
    pub effects: Effects,
    leases: &'a Leases,
    waiting: &'a Waiting,
    disk: &'a mut Disk,
}

/// Deliveries waiting, by integration, those counted that a reader gets once it has taken over what came before: counted once at the start, kept by the writer, so that nobody who asks counts rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// As the open transaction has it, by which the writer decides.
    open: HashMap<String, u64>,
    /// The sum of them.
    open_in_all: u64,
    /// As it is on disk, which is what people are told: who hears that nothing waits finds how it ended.
    committed: HashMap<String, u64>,
    /// Integrations that have a barrier, or had one since the start; most never do, and nobody asks the database for theirs.
    barred: HashSet<String>,
}

/// What a command changed outside the database, and what is to be done once it is committed.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Deliveries that came (+1) and went (-1).
    waiting: Vec<(String, bool)>,
    settling: Vec<DeliveryId>,
    frozen: Vec<DeliveryId>,
    ready: BTreeMap<String, Came>,
}

/// What came to be ready in an integration.
#[derive(Debug, Default)]
struct Came {
    fresh: Vec<Fresh>,
    /// When the first of the others is due.
    others: Option<Timestamp>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(connection: &'a Connection, leases: &'a Leases, waiting: &'a Waiting, disk: &'a mut Disk) -> Self {
        Self { connection, effects: Effects::default(), leases, waiting, disk }
    }

    /// Deliveries of `integration` that are not settled.
    pub(super) fn waiting(&self, integration: &str) -> u64 {
        self.waiting.lock().open.get(integration).copied().unwrap_or(0)
    }

    /// The same of all integrations together.
    pub(super) fn waiting_in_all(&self) -> u64 {
        self.waiting.lock().open_in_all
    }

    /// A delivery of `integration` was inserted.
    pub(super) fn came(&mut self, integration: &str) {
        self.waiting.change(integration, true);
        self.effects.waiting.push((integration.to_owned(), true));
    }

    /// A delivery of `integration` was deleted, or waits no more.
    pub(super) fn went(&mut self, integration: &str) {
        self.waiting.change(integration, false);
        self.effects.waiting.push((integration.to_owned(), false));
    }

    /// Whether `integration` may have a barrier.
    pub(super) fn may_be_barred(&self, integration: &str) -> bool {
        let counts = self.waiting.lock();
        !counts.barred.is_empty() && counts.barred.contains(integration)
    }

    /// It has one, if this is committed.
    pub(super) fn bar(&self, integration: &str) {
        self.waiting.lock().barred.insert(integration.to_owned());
    }

    /// Ends the lease of `delivery` with the commit.
    pub(super) fn end_lease(&mut self, delivery: DeliveryId) -> Done<Start> {
        let start = self.leases.lock().settling(delivery).ok_or(StoreError::NotLeased)?;
        self.effects.settling.push(delivery);
        Ok(start)
    }

    /// Keeps `delivery` from being leased until the commit. False if it is leased.
    pub(super) fn freeze(&mut self, delivery: DeliveryId, integration: &str) -> bool {
        let mut leases = self.leases.lock();
        let fresh = !leases.holds(delivery);
        let frozen = leases.freeze(delivery, integration);
        if fresh {
            self.effects.frozen.push(delivery);
        }
        frozen
    }

    /// `integration` has a delivery to be leased once this is committed, at its first step and never handed out before.
    pub(super) fn fresh(&mut self, integration: &str, fresh: Fresh) {
        self.effects.came(integration).fresh.push(fresh);
    }

    /// `integration` has a delivery to be leased from `due_at` on, once this is committed.
    pub(super) fn ready(&mut self, integration: &str, due_at: Timestamp) {
        let others = &mut self.effects.came(integration).others;
        *others = Some(others.map_or(due_at, |first| first.min(due_at)));
    }

    /// Nothing new is taken while the disk has less than the reserve: what is there already can still be settled.
    pub(super) fn refuse_when_the_disk_is_low(&mut self) -> Done<()> {
        if self.disk.is_low() { Err(StoreError::Full.into()) } else { Ok(()) }
    }

    /// Nothing is acknowledged once the database is no longer in its folder: the next start would not find it.
    pub(super) fn refuse_when_the_files_are_gone(&mut self) -> Done<()> {
        if self.disk.is_gone() {
            let problem = Problem::new(Code::StoreFailed, "the message store's files were removed or replaced while the host runs");
            return Err(StoreError::Failed(problem.fix("stop the host and put the data folder back, or start on a new one")).into());
        }
        Ok(())
    }
}

impl Waiting {
    /// Counts what is in the database.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare(
            "SELECT integration, sum(n) FROM (
                 SELECT integration, count(*) AS n FROM delivery WHERE state <> 'stopped' GROUP BY integration
                 UNION ALL
                 SELECT b.integration, count(*) FROM backfill b JOIN channel_message c ON c.channel = b.channel
                 WHERE c.position > max(b.position, b.live_from) AND c.position <= coalesce(b.until, c.position) GROUP BY b.integration
             ) GROUP BY integration",
        )?;
        let counts = statement.query_map([], |row| Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0))))?;
        let open = counts.collect::<Result<HashMap<_, _>, _>>()?;
        let mut barred = connection.prepare("SELECT integration FROM barrier")?;
        let barred = barred.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Mutex::new(Counts { committed: open.clone(), open_in_all: open.values().sum(), open, barred }))))
    }

    /// The integrations that have any, and how many.
    pub(super) fn counts(&self) -> Vec<(String, u64)> {
        self.lock().committed.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.clone(), *count)).collect()
    }

    fn change(&self, integration: &str, came: bool) {
        let mut counts = self.lock();
        count(&mut counts.open, integration, came);
        counts.open_in_all = if came { counts.open_in_all + 1 } else { counts.open_in_all.saturating_sub(1) };
    }

    /// How many `integration` has.
    pub(super) fn of(&self, integration: &str) -> u64 {
        self.lock().committed.get(integration).copied().unwrap_or(0)
    }

    /// How many all of them have.
    pub(super) fn in_all(&self) -> u64 {
        self.lock().committed.values().sum()
    }

    fn commit(&self, changes: &[(String, bool)]) {
        let mut counts = self.lock();
        for (integration, came) in changes {
            count(&mut counts.committed, integration, *came);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counts: &mut HashMap<String, u64>, integration: &str, came: bool) {
    match counts.get_mut(integration) {
        Some(count) if came => *count += 1,
        Some(count) => *count = count.saturating_sub(1),
        None if came => drop(counts.insert(integration.to_owned(), 1)),
        None => {}
    }
}

impl Effects {
    /// Adds those of a later command.
    pub(super) fn append(&mut self, mut later: Self) {
        self.waiting.append(&mut later.waiting);
        self.settling.append(&mut later.settling);
        self.frozen.append(&mut later.frozen);
        for (integration, mut came) in later.ready {
            let own = self.ready.entry(integration).or_default();
            own.fresh.append(&mut came.fresh);
            own.others = own.others.into_iter().chain(came.others).min();
        }
    }

    fn came(&mut self, integration: &str) -> &mut Came {
        self.ready.entry(integration.to_owned()).or_default()
    }

    /// The database was rolled back to before them.
    pub(super) fn undo(self, leases: &Leases, waiting: &Waiting) {
        for (integration, came) in self.waiting.iter().rev() {
            waiting.change(integration, !came);
        }
        let mut leases = leases.lock();
        for delivery in self.settling {
            leases.unsettle(delivery);
        }
        for delivery in self.frozen {
            leases.give_back(delivery);
        }
    }

    /// They are committed. Gives the integrations to wake.
    pub(super) fn committed(self, leases: &Leases, waiting: &Waiting) -> Vec<String> {
        waiting.commit(&self.waiting);
        let mut leases = leases.lock();
        for delivery in self.settling {
            leases.end(delivery);
        }
        for delivery in self.frozen {
            leases.give_back(delivery);
        }
        let mut woken = Vec::with_capacity(self.ready.len());
        for (integration, Came { fresh, others }) in self.ready {
            if let Some(due_at) = others {
                leases.ready().is_due(&integration, due_at);
            }
            for fresh in fresh {
                leases.came(&integration, fresh);
            }
            woken.push(integration);
        }
        woken
    }
}

/// How much room the disk has, and whether the files are still those that were opened, asked once in a group.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    reserve_bytes: u64,
    /// The database and its log, as they were opened.
    opened: Vec<(PathBuf, Identity)>,
    low: Option<bool>,
    gone: Option<bool>,
}

/// Device and inode: what a file is, whatever it is called.
type Identity = (u64, u64);

impl Disk {
    /// The disk of `folder`, whose database is open.
    pub(super) fn new(folder: &Path, reserve_bytes: u64) -> Self {
        let log = format!("{DATABASE_FILE}-wal");
        let files = [folder.join(DATABASE_FILE), folder.join(log)];
        let opened = files.into_iter().filter_map(|file| identity(&file).map(|identity| (file, identity))).collect();
        Self { folder: folder.to_owned(), reserve_bytes, opened, low: None, gone: None }
    }

    /// The next question is asked anew.
    pub(super) fn forget(&mut self) {
        self.low = None;
        self.gone = None;
    }

    fn is_low(&mut self) -> bool {
        let ask = || {
            // Where the system does not say, the write itself will.
            rustix::fs::statvfs(&self.folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < self.reserve_bytes)
        };
        *self.low.get_or_insert_with(ask)
    }

    fn is_gone(&mut self) -> bool {
        *self.gone.get_or_insert_with(|| self.opened.iter().any(|(file, opened)| identity(file).as_ref() != Some(opened)))
    }
}

fn identity(file: &Path) -> Option<Identity> {
    std::fs::metadata(file).ok().map(|file| (file.dev(), file.ino()))
}
