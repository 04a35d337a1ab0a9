//! A machine with a [`Disk`], and what a person who looks into its database sees: [`State`], and whether it is [`sound`].

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use super::disk::{Disk, Platter};
use super::vfs::Mounted;
use crate::message_store::sqlite::group::LogLimits;
use crate::message_store::sqlite::open::Medium;
use crate::message_store::sqlite::{DATABASE_FILE, Options, SqliteStore};
use crate::problem::Problem;
use crate::random::dice::Dice;

/// So little that a short run checkpoints both ways.
const LOG: LogLimits =
    LogLimits { rows_per_checkpoint: 40, bytes_per_checkpoint: 32 * 1024, rows_left_max: 10, pages_max: 60, beside: false };

/// A machine that is on. Close all stores and connections before it goes.
pub struct Machine {
    pub disk: Arc<Disk>,
    pub synchronous: &'static str,
    /// Whether the log is copied beside the writer. What happens when is then the machine's business.
    pub beside: bool,
    folder: tempfile::TempDir,
    mounted: Mounted,
}

impl Machine {
    /// Turns a machine on that finds `platter` in its data folder.
    pub fn on(platter: Platter, dice: &Dice) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &platter.0 {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        if dice.chance(50) {
            // The index of the log is memory that has a file, which nobody ever syncs: anything may be in it.
            let mut garbage = vec![0; 32 * 1024];
            dice.fill(&mut garbage);
            std::fs::write(folder.path().join(format!("{DATABASE_FILE}-shm")), garbage).unwrap();
        }
        let disk = Arc::new(Disk::new(platter));
        Self { mounted: Mounted::new(disk.clone()), disk, synchronous: "FULL", beside: false, folder }
    }

    pub fn open(&self, options: Options) -> Result<SqliteStore, Problem> {
        SqliteStore::open_on(&self.medium(), self.folder.path(), options)
    }

    fn medium(&self) -> Medium {
        Medium { vfs: Some(self.mounted.name().to_owned()), synchronous: self.synchronous, log: LogLimits { beside: self.beside, ..LOG } }
    }

    /// A look from outside, beside a store that is open.
    pub fn look(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags_and_vfs(self.folder.path().join(DATABASE_FILE), flags, self.mounted.name()).unwrap()
    }
}

/// All rows of all tables, but for the number of starts: how many there are of each table, and a hash of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State(BTreeMap<String, (usize, [u8; 32])>);

impl State {
    pub fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut find = connection.prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
        let tables = find.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        let mut state = BTreeMap::new();
        for table in tables {
            // What a process says of itself, and not of what it was told.
            let but = if table == "meta" { "WHERE name NOT IN ('generation', 'ended-generation', 'interrupted-until')" } else { "" };
            let content = rows(connection, &format!("SELECT * FROM {table} {but}"))?;
            state.insert(table, content);
        }
        Ok(Self(state))
    }

    /// The tables in which `self` and `other` differ, with their numbers of rows.
    pub fn difference(&self, other: &Self) -> String {
        let count = |state: &Self, table: &str| state.0.get(table).map_or(0, |(rows, _)| *rows);
        let differ = self.0.iter().filter(|(table, rows)| other.0.get(*table) != Some(rows)).map(|(table, _)| table);
        differ
            .map(|table| format!("{table} ({} rows, {} expected)", count(self, table), count(other, table)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn rows(connection: &Connection, sql: &str) -> rusqlite::Result<(usize, [u8; 32])> {
    let mut statement = connection.prepare_cached(sql)?;
    let (columns, mut hash, mut count) = (statement.column_count(), Sha256::new(), 0);
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => hash.update(b"null"),
                ValueRef::Integer(value) => hash.update(value.to_be_bytes()),
                ValueRef::Real(value) => hash.update(value.to_be_bytes()),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    hash.update(bytes.len().to_be_bytes());
                    hash.update(bytes);
                }
            }
        }
        count += 1;
    }
    Ok((count, hash.finalize().into()))
}

/// What must hold at any time: each question finds nothing.
const NEVER: &[(&str, &str)] = &[
    (
        "a delivery that is settled and waits",
        "SELECT d.id FROM delivery d JOIN outcome o ON o.message = d.message AND o.integration = d.integration
         AND o.stage = d.stage AND o.replay = d.replay",
    ),
    (
        "two outcomes of one delivery",
        "SELECT message FROM outcome WHERE outcome <> 'discarded' GROUP BY message, integration, stage, replay HAVING count(*) > 1",
    ),
    (
        "a lane without exactly one delivery that is ready",
        "SELECT lane FROM delivery WHERE lane IS NOT NULL GROUP BY integration, lane HAVING sum(state = 'ready') <> 1",
    ),
    (
        "a newer delivery of a key that ended before an older one",
        "SELECT later.id FROM outcome earlier JOIN outcome later ON later.integration = earlier.integration
         AND later.lane = earlier.lane AND later.id > earlier.id AND later.origin < earlier.origin
         WHERE earlier.replay = 0 AND later.replay = 0 AND later.outcome <> 'discarded'",
    ),
    (
        "a standing that is not what the deliveries say",
        "SELECT s.message FROM standing s WHERE (s.state = 'waiting') <>
         EXISTS (SELECT 1 FROM delivery d WHERE d.message = s.message AND d.integration = s.integration)",
    ),
    ("a token of a message that is not there", "SELECT 1 FROM dedup WHERE message NOT IN (SELECT id FROM message)"),
    (
        "an open dead letter that is on its way",
        "SELECT l.id FROM dead_letter l JOIN delivery d ON d.message = l.message AND d.integration = l.integration
         AND d.stage = l.stage WHERE l.status = 'open'",
    ),
    (
        "key-value bytes that do not add up",
        "SELECT u.integration FROM key_value_used u WHERE u.bytes <>
         (SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM key_value k WHERE k.integration = u.integration)",
    ),
    (
        "a count of open dead letters that is not their number",
        "SELECT integration FROM dead_letter_count c WHERE open <>
         (SELECT count(*) FROM dead_letter l WHERE l.integration = c.integration AND l.status = 'open')
         UNION SELECT integration FROM dead_letter WHERE status = 'open' AND integration NOT IN (SELECT integration FROM dead_letter_count)
         UNION SELECT fingerprint FROM dead_letter_group g WHERE open <>
         (SELECT count(*) FROM dead_letter l WHERE l.fingerprint = g.fingerprint AND l.status = 'open')
         UNION SELECT fingerprint FROM dead_letter WHERE status = 'open' AND fingerprint NOT IN (SELECT fingerprint FROM dead_letter_group)",
    ),
    (
        "a count of children that is not their number",
        "SELECT p.message FROM standing p WHERE p.children <>
         (SELECT count(*) FROM standing c WHERE c.parent = p.message AND c.integration = p.integration)",
    ),
    ("a row whose message is not there", "SELECT 1 FROM pragma_foreign_key_check"),
    ("a delivery whose message is not there", "SELECT 1 FROM delivery WHERE message NOT IN (SELECT seq FROM message)"),
    ("damage", "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
];

/// Whether the database is whole and says nothing that contradicts itself.
pub fn sound(connection: &Connection) -> Result<(), String> {
    for (never, question) in NEVER {
        let mut find = connection.prepare_cached(question).map_err(|error| format!("{never}: {error}"))?;
        match find.exists([]) {
            Ok(false) => {}
            Ok(true) => return Err(format!("there is {never}")),
            Err(error) => return Err(format!("{never}: {error}")),
        }
    }
    Ok(())
}
