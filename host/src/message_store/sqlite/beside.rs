//! Reading a data folder beside the host that uses it, or while none does: nothing is locked, nothing written.

use std::path::Path;

use super::open::{DATABASE_FILE, Medium, open_reader};
use super::rows::{count, message_id};
use crate::message::MessageId;
use crate::problem::{Code, Problem};

/// Dead letters that are read at most.
const LETTERS_MAX: i64 = 1_000_000;

/// The messages of `integration` whose deliveries are open dead letters in the data folder `folder`, each with its replay number, oldest first.
///
/// # Errors
/// LG-3005 where the database cannot be read.
pub fn open_dead_letters(folder: &Path, integration: &str) -> Result<Vec<(MessageId, u32)>, Problem> {
    let database = folder.join(DATABASE_FILE);
    let read = || -> rusqlite::Result<Vec<(MessageId, u32)>> {
        let connection = open_reader(&database, &Medium::default())?;
        let mut find = connection.prepare(
            "SELECT m.id, d.replay FROM dead_letter d CROSS JOIN message m ON m.seq = d.message
             WHERE d.status = 'open' AND d.integration = ?1 ORDER BY d.id LIMIT ?2",
        )?;
        find.query_map((integration, LETTERS_MAX), |row| Ok((message_id(row, 0)?, count(row, 1)?)))?.collect()
    };
    read().map_err(|error| {
        Problem::new(Code::StoreFailed, format!("the dead letters in {} cannot be read: {error}", database.display()))
            .fix("run this as the user who runs the host, with the same version of lockgate")
    })
}
