//! What people paused before this start stays paused.

use tracing::info;

use crate::alias::Aliases;
use crate::delivery::{Pause, Pauses};
use crate::message_store::StoreError;
use crate::message_store::sqlite::SqliteStore;
use crate::problem::{Code, Problem};

/// Takes up what is written.
pub async fn restore(store: &SqliteStore, pauses: &Pauses, aliases: &Aliases) -> Result<(), Problem> {
    for row in store.pauses().all().await.map_err(|why| failed(&why))? {
        info!(since = %row.since, reason = row.reason, "{} {} is paused; to go on: lockgate resume {1}", row.kind, row.name);
        if row.kind == "alias" {
            // One that is gone by now is paused again should it come back.
            aliases.pause(&row.name, row.since, &row.reason);
        } else {
            pauses.pause(&row.name, Pause { since: row.since, reason: row.reason });
        }
    }
    Ok(())
}

fn failed(why: &StoreError) -> Problem {
    match why {
        StoreError::Failed(problem) => problem.clone(),
        other => Problem::new(Code::StoreFailed, format!("what is paused: {other}")).fix("look at the disk and the host's log"),
    }
}
