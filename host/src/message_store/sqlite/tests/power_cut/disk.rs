//! A disk on paper: every change to its files in order, and what of it is left when the power goes at any point.
//!
//! What was synced stays. Of what was written since, each write, each change of a length and each entry of the directory stays, goes or
//! is torn on its own, as POSIX allows: a later one may stay where an earlier one went. Bytes that nobody wrote to do not change (SQLite
//! relies on that, too: <https://www.sqlite.org/psow.html>).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::random::dice::Dice;

/// What a disk writes whole, if it writes it at all. Usually.
const SECTOR: usize = 512;

/// What is on a disk that has no power: files by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platter(pub BTreeMap<String, Vec<u8>>);

/// A file, whatever it is called and whether it still is called anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(usize);

#[derive(Clone, Debug)]
enum Change {
    Created {
        name: String,
        file: FileId,
    },
    Written {
        file: FileId,
        at: usize,
        bytes: Vec<u8>,
    },
    Resized {
        file: FileId,
        bytes: usize,
    },
    Synced {
        file: FileId,
    },
    /// Some of what was to be synced is not, and no later sync will tell (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
    SyncFailed {
        file: FileId,
    },
    Deleted {
        name: String,
    },
    DirectorySynced,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This sync from now on, counted from 0. Those after it say that all is well.
    Sync(usize),
    /// This write from now on, half of which is written.
    Write(usize),
    /// From this write on no file gets longer, until [`Disk::mend`].
    Full(usize),
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Full,
    Failed,
}

/// A disk under power.
#[derive(Debug)]
pub struct Disk(Mutex<State>);

#[derive(Debug)]
struct State {
    base: Platter,
    changes: Vec<Change>,
    directory: BTreeMap<String, FileId>,
    sizes: Vec<usize>,
    /// Syncs of each file that failed.
    sync_errors: Vec<usize>,
    fault: Option<Fault>,
    /// Since the fault was set.
    syncs: usize,
    writes: usize,
}

impl Disk {
    pub fn new(base: Platter) -> Self {
        let directory = base.0.keys().cloned().zip((0..).map(FileId)).collect();
        let sizes: Vec<_> = base.0.values().map(Vec::len).collect();
        let sync_errors = vec![0; sizes.len()];
        Self(Mutex::new(State { base, changes: Vec::new(), directory, sizes, sync_errors, fault: None, syncs: 0, writes: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes so far.
    pub fn changes(&self) -> usize {
        self.lock().changes.len()
    }

    /// From here on `fault` is in it. Counts syncs and writes anew.
    pub fn break_with(&self, fault: Fault) {
        let mut state = self.lock();
        (state.fault, state.syncs, state.writes) = (Some(fault), 0, 0);
    }

    pub fn mend(&self) {
        self.lock().fault = None;
    }

    pub fn is_broken(&self) -> bool {
        self.lock().fault.is_some()
    }

    /// Syncs and writes since a fault was set, or ever.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.syncs, state.writes)
    }

    /// The file of that name, made if there is none, and how many syncs of it have failed.
    pub fn open(&self, name: &str) -> (FileId, usize) {
        let mut state = self.lock();
        if let Some(file) = state.directory.get(name) {
            return (*file, state.sync_errors[file.0]);
        }
        let file = FileId(state.sizes.len());
        state.sizes.push(0);
        state.sync_errors.push(0);
        state.directory.insert(name.to_owned(), file);
        state.changes.push(Change::Created { name: name.to_owned(), file });
        (file, 0)
    }

    /// Has `write` write what can be written.
    pub fn write(&self, file: FileId, at: usize, bytes: &[u8], write: impl FnOnce(&[u8]) -> bool) -> Verdict {
        let mut state = self.lock();
        let size = state.sizes[file.0];
        let (written, verdict) = match state.fault {
            Some(Fault::Write(broken)) if broken == state.writes => (bytes.len() / 2, Verdict::Failed),
            Some(Fault::Full(first)) if first <= state.writes && at + bytes.len() > size => (size.saturating_sub(at), Verdict::Full),
            _ => (bytes.len(), Verdict::Done),
        };
        state.writes += 1;
        let bytes = &bytes[..written];
        if bytes.is_empty() {
            return verdict;
        }
        if !write(bytes) {
            return Verdict::Failed;
        }
        state.sizes[file.0] = size.max(at + bytes.len());
        state.changes.push(Change::Written { file, at, bytes: bytes.to_vec() });
        verdict
    }

    pub fn resize(&self, file: FileId, bytes: usize) {
        let mut state = self.lock();
        state.sizes[file.0] = bytes;
        state.changes.push(Change::Resized { file, bytes });
    }

    /// Syncs the file, and the directory where `directory` says so. A failure is told once to each who had the file open then, as
    /// Linux does (<https://docs.kernel.org/filesystems/vfs.html#handling-errors-during-writeback>); `told` counts those of one.
    pub fn sync(&self, file: FileId, directory: bool, told: &mut usize) -> Verdict {
        let mut state = self.lock();
        if state.fault == Some(Fault::Sync(state.syncs)) {
            state.changes.push(Change::SyncFailed { file });
            state.sync_errors[file.0] += 1;
        }
        state.syncs += 1;
        if *told < state.sync_errors[file.0] {
            *told = state.sync_errors[file.0];
            return Verdict::Failed;
        }
        state.changes.push(Change::Synced { file });
        if directory {
            state.changes.push(Change::DirectorySynced);
        }
        Verdict::Done
    }

    pub fn delete(&self, name: &str, sync: bool) {
        let mut state = self.lock();
        if state.directory.remove(name).is_some() {
            state.changes.push(Change::Deleted { name: name.to_owned() });
        }
        if sync {
            state.changes.push(Change::DirectorySynced);
        }
    }

    /// Each change but for the bytes: SQLite puts random ones into its log.
    pub fn outline(&self) -> Vec<String> {
        let outline = |change: &Change| match change {
            Change::Written { file, at, bytes } => format!("{} bytes at {at} of {file:?}", bytes.len()),
            other => format!("{other:?}"),
        };
        self.lock().changes.iter().map(outline).collect()
    }

    /// What is left if the power goes after the first `changes` changes.
    pub fn cut(&self, changes: usize, dice: &Dice) -> Platter {
        let state = self.lock();
        let mut left = Left::new(&state.base);
        let luck = Luck::of(dice);
        state.changes.iter().take(changes).for_each(|change| left.take(change, &luck));
        left.end(&luck)
    }
}

/// What is certain and what is not.
struct Left<'a> {
    files: BTreeMap<FileId, File<'a>>,
    directory: BTreeMap<String, Entry>,
}

#[derive(Default)]
struct File<'a> {
    synced: Vec<u8>,
    pending: Vec<&'a Change>,
}

#[derive(Default)]
struct Entry {
    synced: Option<FileId>,
    pending: Vec<Option<FileId>>,
}

impl<'a> Left<'a> {
    fn new(base: &Platter) -> Self {
        let files = base.0.values().cloned().map(|synced| File { synced, pending: Vec::new() });
        let entries = base.0.keys().cloned().zip((0..).map(|id| Entry { synced: Some(FileId(id)), pending: Vec::new() }));
        Self { files: (0..).map(FileId).zip(files).collect(), directory: entries.collect() }
    }

    fn take(&mut self, change: &'a Change, luck: &Luck<'_>) {
        match change {
            Change::Created { name, file } => self.directory.entry(name.clone()).or_default().pending.push(Some(*file)),
            Change::Deleted { name } => self.directory.entry(name.clone()).or_default().pending.push(None),
            Change::Written { file, .. } | Change::Resized { file, .. } => self.files.entry(*file).or_default().pending.push(change),
            Change::Synced { file } => self.files.entry(*file).or_default().settle(|_| Fate::Stays, luck),
            Change::SyncFailed { file } => self.files.entry(*file).or_default().settle(|_| luck.fate(), luck),
            Change::DirectorySynced => self.directory.values_mut().for_each(|entry| entry.settle(entry.pending.len())),
        }
    }

    fn end(mut self, luck: &Luck<'_>) -> Platter {
        let mut platter = Platter::default();
        for (name, mut entry) in self.directory {
            let stay = match luck.kind {
                Kind::Everything => entry.pending.len(),
                Kind::Nothing => 0,
                _ => luck.dice.below(entry.pending.len() + 1),
            };
            entry.settle(stay);
            let Some(id) = entry.synced else { continue };
            let mut file = self.files.remove(&id).unwrap_or_default();
            let pending = file.pending.len();
            file.settle(|index| luck.fate_of(index, pending), luck);
            platter.0.insert(name, file.synced);
        }
        platter
    }
}

impl Entry {
    /// The first `stay` of what is pending come true.
    fn settle(&mut self, stay: usize) {
        if let Some(last) = stay.checked_sub(1).and_then(|last| self.pending.get(last)) {
            self.synced = *last;
        }
        self.pending.clear();
    }
}

impl File<'_> {
    fn settle(&mut self, fate: impl Fn(usize) -> Fate, luck: &Luck<'_>) {
        for (index, change) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            match (change, fate(index)) {
                // Where the file got longer, its length may be on disk without its content.
                (Change::Written { at, bytes, .. }, Fate::Goes) if at + bytes.len() > self.synced.len() && luck.dice.chance(30) => {
                    self.synced.resize(at + bytes.len(), 0);
                }
                (Change::Written { at, bytes, .. }, Fate::Torn) => self.tear(*at, bytes, luck.dice),
                (Change::Written { at, bytes, .. }, Fate::Stays) => self.put(*at, bytes),
                (Change::Resized { bytes, .. }, Fate::Stays) => self.synced.resize(*bytes, 0),
                _ => {}
            }
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if self.synced.len() < at {
            self.synced.resize(at, 0);
        }
        let over = bytes.len().min(self.synced.len() - at);
        self.synced[at..at + over].copy_from_slice(&bytes[..over]);
        self.synced.extend_from_slice(&bytes[over..]);
    }

    /// Sector by sector: the new one, the old one, the beginning of the new one, or neither.
    fn tear(&mut self, at: usize, bytes: &[u8], dice: &Dice) {
        let mut from = 0;
        while from < bytes.len() {
            let to = bytes.len().min(from + SECTOR - (at + from) % SECTOR);
            let sector = &bytes[from..to];
            match dice.below(16) {
                0 => self.put(at + from, &sector[..dice.below(sector.len())]),
                1 => {
                    let mut garbage = vec![0; sector.len()];
                    dice.fill(&mut garbage);
                    self.put(at + from, &garbage);
                }
                2..=8 => self.put(at + from, sector),
                _ => {}
            }
            from = to;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    Torn,
}

/// How a disk behaves in one cut. Evenly drawn fates alone would never show what an orderly disk leaves.
struct Luck<'a> {
    dice: &'a Dice,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Everything,
    Nothing,
    /// What was written first stays.
    First,
    /// What was written last stays.
    Last,
    /// Each write for itself; of a hundred so many stay.
    Some(usize),
}

impl<'a> Luck<'a> {
    fn of(dice: &'a Dice) -> Self {
        let kinds =
            [Kind::Everything, Kind::Nothing, Kind::First, Kind::Last, Kind::Some(5), Kind::Some(50), Kind::Some(50), Kind::Some(95)];
        Self { dice, kind: *dice.pick(&kinds) }
    }

    fn fate(&self) -> Fate {
        let stays = if let Kind::Some(percent) = self.kind { percent } else { 50 };
        match (self.dice.chance(stays), self.dice.chance(25)) {
            (_, true) => Fate::Torn,
            (true, _) => Fate::Stays,
            (false, _) => Fate::Goes,
        }
    }

    /// That of the `index`-th of `pending` changes of a file.
    fn fate_of(&self, index: usize, pending: usize) -> Fate {
        let orderly = |stays| if stays { Fate::Stays } else { Fate::Goes };
        match self.kind {
            Kind::Everything => Fate::Stays,
            Kind::Nothing => Fate::Goes,
            Kind::First => orderly(index * 2 < pending),
            Kind::Last => orderly(index * 2 >= pending),
            Kind::Some(_) => self.fate(),
        }
    }
}
