//! Copies of the database: making one beside a running host, and looking at one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{failure, schema};
use crate::problem::{Code, Problem};

/// The version of the tables this program writes.
pub const NEWEST_SCHEMA: i64 = schema::NEWEST;

/// Copies `database` as it is at this moment into the file `to`, which is empty, and onto the disk. Writers go on meanwhile; the log
/// grows until this is done. (<https://www.sqlite.org/lang_vacuum.html#vacuuminto>: a transaction's view, without free pages.)
pub fn copy_into(database: &Path, to: &Path) -> Result<(), Problem> {
    let copy = || {
        let connection = open(database)?;
        connection.execute("VACUUM INTO ?1", [to.to_string_lossy().as_ref()])
    };
    copy().map_err(|error| failure::problem(&error))?;
    let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| Problem::new(Code::StoreFailed, format!("{}: {error}", to.display())).fix("look at the disk"))
}

/// The version of the tables in the file `database`.
pub fn version_of(database: &Path) -> Result<i64, Problem> {
    open(database).and_then(|connection| schema::version(&connection)).map_err(|error| failure::problem(&error))
}

/// Looks at every page of a copy.
pub fn check_copy(database: &Path) -> Result<(), Problem> {
    let verdict = || open(database)?.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match verdict() {
        Ok(verdict) if verdict == "ok" => {
            let connection = open(database).map_err(|error| damaged(database, &error))?;
            schema::refuse_foreign("the database in it", &connection)
        }
        Ok(verdict) => Err(damaged(database, &verdict)),
        Err(error) => Err(damaged(database, &error)),
    }
}

fn damaged(database: &Path, why: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::StoreDamaged, format!("the database {} is damaged: {why}", database.display())).fix("use another backup")
}

pub(super) fn open(database: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}
