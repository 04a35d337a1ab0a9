//! The host's database file, looked into from outside.

use std::path::Path;

use lockgate::message_store::sqlite::{DATABASE_FILE, verify_file};
use lockgate::problem::Code;
use rusqlite::{Connection, OpenFlags};

/// The database of a data folder whose host has ended.
pub fn open(data: &Path) -> Connection {
    Connection::open_with_flags(data.join(DATABASE_FILE), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap()
}

/// `PRAGMA integrity_check` on the database of a data folder whose host has ended, and that its audit trail is what was written.
#[track_caller]
pub fn assert_whole(data: &Path) {
    let answer: String = open(data).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok");
    match verify_file(&data.join(DATABASE_FILE), None) {
        Ok(verdict) => assert!(verdict.holds(), "{verdict:?}"),
        // Of a host that ended before it brought an older folder to the newest version.
        Err(problem) => assert_eq!(problem.code, Code::NotFound, "{problem}"),
    }
}
