//! Reading a data folder beside the host that uses it, or while none does: nothing is locked, nothing written.

use std::path::Path;

use rusqlite::Connection;

use super::open::{DATABASE_FILE, Medium, open_reader};
use super::rows::{self, count, message_id};
use crate::integration::{Release, ReleaseId};
use crate::message::MessageId;
use crate::problem::{Code, Problem};

/// Dead letters that are read at most.
const LETTERS_MAX: i64 = 1_000_000;

/// The messages of `integration` whose deliveries are open dead letters in the data folder `folder`, each with its replay number, oldest first.
///
/// # Errors
/// LG-3005 where the database cannot be read.
pub fn open_dead_letters(folder: &Path, integration: &str) -> Result<Vec<(MessageId, u32)>, Problem> {
    read(folder, "dead letters", |connection| {
        let mut find = connection.prepare(
            "SELECT m.id, d.replay FROM dead_letter d CROSS JOIN message m ON m.seq = d.message
             WHERE d.status = 'open' AND d.integration = ?1 ORDER BY d.id LIMIT ?2",
        )?;
        find.query_map((integration, LETTERS_MAX), |row| Ok((message_id(row, 0)?, count(row, 1)?)))?.collect()
    })
}

/// The releases of `integration` that are kept in the data folder `folder`.
///
/// # Errors
/// LG-3005 where the database cannot be read.
pub fn stored_releases(folder: &Path, integration: &str) -> Result<Vec<(ReleaseId, Release)>, Problem> {
    read(folder, "releases", |connection| {
        let mut find = connection.prepare("SELECT id, content FROM release WHERE integration = ?1")?;
        find.query_map([integration], |row| Ok((ReleaseId(row.get(0)?), rows::json(row, 1)?)))?.collect()
    })
}

fn read<T>(folder: &Path, what: &str, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Problem> {
    let database = folder.join(DATABASE_FILE);
    open_reader(&database, &Medium::default()).and_then(|connection| read(&connection)).map_err(|error| {
        Problem::new(Code::StoreFailed, format!("the {what} in {} cannot be read: {error}", database.display()))
            .fix("run this as the user who runs the host, with the same version of lockgate")
    })
}
