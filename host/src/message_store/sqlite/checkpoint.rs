//! Checkpoints beside the writer: [`Beside`], a connection of its own that copies the log into the database while commits go on.
//!
//! A checkpoint takes as long as some tens of commits. Done on the writer's thread it is the longest that anybody waits for an
//! acknowledgement; beside it, the writer is left with the last few pages.

use std::path::PathBuf;
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::open::{self, Medium};

/// Copies all that no reader still needs from the log, without waiting for anybody
/// (<https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>).
pub(super) const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// The same, waiting for readers, and empties the log.
pub(super) const TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// One checkpoint at a time.
pub(super) struct Beside {
    database: PathBuf,
    medium: Medium,
    /// Opened when it is first needed and kept.
    idle: Option<Connection>,
    running: Option<JoinHandle<(Option<Connection>, rusqlite::Result<i64>)>>,
}

impl Beside {
    pub(super) fn new(database: PathBuf, medium: Medium) -> Self {
        Self { database, medium, idle: None, running: None }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts one. Where no thread can be had, the writer is to do it itself: false.
    pub(super) fn start(&mut self) -> bool {
        let (database, medium, idle) = (self.database.clone(), self.medium.clone(), self.idle.take());
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
            match idle.map_or_else(|| open::open_checkpointer(&database, &medium), Ok) {
                Ok(connection) => {
                    let pages = run(&connection, PASSIVE);
                    (Some(connection), pages)
                }
                Err(error) => (None, Err(error)),
            }
        });
        self.running = thread.ok();
        self.is_running()
    }

    /// The pages the log had at the end of the one that was started, if it has ended; `wait` for it or not.
    pub(super) fn ended(&mut self, wait: bool) -> Option<rusqlite::Result<i64>> {
        let running = self.running.take_if(|running| wait || running.is_finished())?;
        match running.join() {
            Ok((connection, pages)) => {
                self.idle = connection;
                Some(pages)
            }
            // It has said so itself. What it did not copy stands in the log.
            Err(_panic) => Some(Ok(0)),
        }
    }
}

impl Drop for Beside {
    /// Nobody writes to the database any more once its store is gone.
    fn drop(&mut self) {
        let _ = self.ended(true);
    }
}

/// Gives the pages the log has.
pub(super) fn run(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.query_row(pragma, [], |row| row.get(1))
}
