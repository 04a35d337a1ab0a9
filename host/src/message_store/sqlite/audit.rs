//! The audit trail on disk: [`AuditTrail`]. Entries are appended by the writer, with what they tell of where that is in the database,
//! and never changed or removed, by retention neither.
//!
//! The writer goes on behind what `audit_head` says, not behind the last row it finds: who takes rows away from the end leaves a gap.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::failure::{self, Done};
use super::ledger::ROWS_MAX;
use super::writing::Writing;
use super::{Inner, copy, schema};
use crate::clock::Timestamp;
use crate::message_store::StoreError;
use crate::message_store::audit::{Chain, Content, Head, Link, Misfit, Note, TEXT_BYTES_MAX, VERSION, Verdict, cut, entered};
use crate::problem::{Code, Problem};

/// Entries that are looked at in one read.
const LOOKED_AT_ONCE: i64 = 2_000;

const COLUMNS: &str = "seq, at, who, way, act, came, subject, before, after, hash, version";

/// Reads and appends entries.
#[derive(Clone, Debug)]
pub struct AuditTrail {
    pub(super) inner: Arc<Inner>,
}

/// Which entries, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub who: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Older than this one: the `next` of the page before.
    pub before: Option<i64>,
    pub limit: usize,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AuditRow {
    pub seq: i64,
    /// RFC 3339.
    pub at: String,
    pub who: String,
    pub way: String,
    pub act: String,
    pub came: String,
    pub subject: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub hash: String,
}

/// A page of entries.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AuditPage {
    pub entries: Vec<AuditRow>,
    /// Older ones are before this one; none if there are none.
    pub next: Option<i64>,
}

impl AuditTrail {
    /// Appends an entry about what is not in the database, or is not changed by one command.
    pub async fn append(&self, note: Note) -> Result<Head, StoreError> {
        self.inner.writer.run(0, move |writing| append(writing, &note)).await
    }

    /// Appends entries about one thing: all of them, or none.
    pub async fn append_all(&self, notes: Vec<Note>) -> Result<(), StoreError> {
        self.inner.writer.run(0, move |writing| notes.iter().try_for_each(|note| append(writing, note).map(drop))).await
    }

    /// Entries, newest first.
    pub async fn page(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        self.inner.people.read_snapshot(move |connection| page(connection, &query)).await
    }

    /// Looks at every entry, a piece at a time, and for the one whose hash is `kept`. What is entered meanwhile is not looked at.
    pub async fn verify(&self, kept: Option<Link>) -> Result<Verdict, StoreError> {
        let people = &self.inner.people;
        let mut looking = people.read_snapshot(move |connection| Looking::begin(connection, kept)).await?;
        while !looking.is_done() {
            looking = people.read(move |connection| looking.look_on(connection)).await?;
        }
        Ok(looking.end())
    }
}

/// The same of a database that no host need have open: a data folder's, or a copy. Blocks.
///
/// # Errors
/// LG-1001 where it is not there, LG-3003 where a newer version wrote it, LG-7004 where it is older than the audit trail, LG-3006 where it is damaged.
pub fn verify_file(database: &Path, kept: Option<Link>) -> Result<Verdict, Problem> {
    if !database.exists() {
        return Err(Problem::new(Code::FileUnreadable, format!("there is no database {}", database.display()))
            .fix("name the data folder of a host: --data DIR"));
    }
    let told = |failure: failure::Failure| failure.told().problem("audit trail");
    let connection = copy::open(database).map_err(|error| failure::problem(&error))?;
    let version = schema::version(&connection).map_err(|error| failure::problem(&error))?;
    if version > schema::NEWEST {
        return Err(Problem::new(Code::DataFolderNewer, format!("{} was written by a newer version", database.display()))
            .fix("look at it with that version"));
    }
    if version < schema::WITH_AUDIT {
        return Err(Problem::new(Code::NotFound, format!("{} is older than the audit trail, and has none", database.display()))
            .fix("a start of the host with this version begins one"));
    }
    let mut looking = Looking::begin(&connection, kept).map_err(told)?;
    while !looking.is_done() {
        looking = looking.look_on(&connection).map_err(told)?;
    }
    Ok(looking.end())
}

/// Appends an entry in the open transaction.
pub(super) fn append(writing: &Writing<'_>, note: &Note) -> Done<Head> {
    let connection = writing.connection;
    let (before, last_at) = head(connection)?;
    let (seq, at) = (before.seq + 1, note.at.0.max(last_at));
    let who = cut(&note.who, TEXT_BYTES_MAX);
    let subject = cut(&note.subject, TEXT_BYTES_MAX);
    let (was, is) = (note.before.as_ref().map(entered), note.after.as_ref().map(entered));
    let (way, act, came) = (note.way.as_str(), note.act.as_str(), note.came.as_str());
    let texts = [Some(who.as_str()), Some(way), Some(act), Some(came), Some(subject.as_str()), was.as_deref(), is.as_deref()];
    let hash = Content { seq, at, texts: texts.map(|text| text.map(str::as_bytes)) }.link(before.hash);
    let inserted = connection
        .prepare_cached(
            "INSERT INTO audit (seq, at, who, way, act, came, subject, before, after, hash, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute((seq, at, &who, way, act, came, &subject, &was, &is, hash.0, VERSION))?;
    let moved = connection.prepare_cached("UPDATE audit_head SET seq = ?1, at = ?2, hash = ?3")?.execute((seq, at, hash.0))?;
    // A trigger that somebody made while the host runs can have SQLite leave a row out and say nothing.
    if (inserted, moved) != (1, 1) {
        let problem = Problem::new(Code::StoreDamaged, "an entry of the audit trail was not written: somebody changed the database");
        return Err(StoreError::Failed(problem.fix("`lockgate audit verify` says more; restore the last backup")).into());
    }
    Ok(Head { seq, hash })
}

/// The last entry that was written, and its time.
fn head(connection: &Connection) -> Done<(Head, i64)> {
    let mut find = connection.prepare_cached("SELECT seq, hash, at FROM audit_head")?;
    let found = find.query_row([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?))).optional()?;
    let read = found.and_then(|(seq, hash, at)| Some((Head { seq, hash: Link(hash.try_into().ok()?) }, at)));
    // Somebody took it away: entries cannot go on behind nothing.
    let gone = || {
        Problem::new(Code::StoreDamaged, "the audit trail has lost its head: somebody changed the database")
            .fix("`lockgate audit verify` says more; restore the last backup")
    };
    Ok(read.ok_or_else(|| StoreError::Failed(gone()))?)
}

fn page(connection: &Connection, query: &AuditQuery) -> Done<AuditPage> {
    let AuditQuery { who, since, until, before, limit } = query;
    let number =
        |sql: &str, at: Timestamp| -> rusqlite::Result<Option<i64>> { connection.prepare_cached(sql)?.query_row([at.0], |row| row.get(0)) };
    // Entries are in the order of their times, so that a time is a number.
    let first = match since {
        Some(since) => number("SELECT min(seq) FROM audit WHERE at >= ?1", *since)?.unwrap_or(i64::MAX),
        None => 0,
    };
    let last = match until {
        Some(until) => number("SELECT max(seq) FROM audit WHERE at <= ?1", *until)?.unwrap_or(0),
        None => i64::MAX,
    };
    let last = before.map_or(last, |before| last.min(before.saturating_sub(1)));
    let limit = (*limit).clamp(1, ROWS_MAX);
    let rows_max = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let of = if who.is_some() { "who = ?4" } else { "?4 IS NULL" };
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE {of} AND seq BETWEEN ?1 AND ?2 ORDER BY seq DESC LIMIT ?3");
    let mut find = connection.prepare_cached(&sql)?;
    let found = find.query_map((first, last, rows_max, who), entry)?;
    let mut entries = found.collect::<Result<Vec<_>, _>>()?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|entry| entry.seq);
    Ok(AuditPage { entries, next })
}

/// Whoever changed a row may have left anything in it: it is shown as far as it is text.
fn entry(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let text = |column: usize| -> rusqlite::Result<Option<String>> {
        Ok(bytes(row, column)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    };
    let value = |column: usize| -> rusqlite::Result<Option<Value>> {
        Ok(text(column)?.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))))
    };
    let word = |column: usize| text(column).map(Option::unwrap_or_default);
    Ok(AuditRow {
        seq: row.get(0)?,
        at: Timestamp(row.get(1)?).to_string(),
        who: word(2)?,
        way: word(3)?,
        act: word(4)?,
        came: word(5)?,
        subject: word(6)?,
        before: value(7)?,
        after: value(8)?,
        hash: bytes(row, 9)?.map(hex::encode).unwrap_or_default(),
    })
}

/// What is stored, whatever it is.
fn bytes<'row>(row: &'row Row<'_>, column: usize) -> rusqlite::Result<Option<&'row [u8]>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    })
}

/// A look at all entries that goes on in pieces.
struct Looking {
    chain: Chain,
    misfit: Option<Misfit>,
    /// As of the beginning.
    written: Head,
    last: i64,
    is_at_the_end: bool,
}

impl Looking {
    fn begin(connection: &Connection, kept: Option<Link>) -> Done<Self> {
        schema::refuse_foreign("the database", connection).map_err(StoreError::Failed)?;
        let (written, _) = head(connection)?;
        let last = connection.query_row("SELECT coalesce(max(seq), 0) FROM audit", [], |row| row.get(0))?;
        Ok(Self { chain: Chain::new(kept), misfit: None, written, last, is_at_the_end: false })
    }

    fn is_done(&self) -> bool {
        self.misfit.is_some() || self.is_at_the_end
    }

    fn look_on(mut self, connection: &Connection) -> Done<Self> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
        let mut find = connection.prepare_cached(&sql)?;
        // From the very first on: none may stand before the one with the number 1.
        let after = if self.chain.seen().seq == 0 { i64::MIN } else { self.chain.seen().seq };
        let mut rows = find.query((after, self.written.seq, LOOKED_AT_ONCE))?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            seen += 1;
            let mut texts = [None; 7];
            for (column, text) in (2..).zip(&mut texts) {
                *text = bytes(row, column)?;
            }
            let content = Content { seq: row.get(0)?, at: row.get(1)?, texts };
            if let Err(misfit) = self.chain.link(&content, row.get(10)?, bytes(row, 9)?.unwrap_or_default()) {
                self.misfit = Some(misfit);
                break;
            }
        }
        self.is_at_the_end = seen < LOOKED_AT_ONCE;
        Ok(self)
    }

    fn end(self) -> Verdict {
        self.chain.end(self.misfit, self.written, self.last)
    }
}
