//! What people paused before this start stays paused.

use tracing::info;

use crate::alias::Aliases;
use crate::delivery::{Pause, Pauses};
use crate::message_store::sqlite::SqliteStore;
use crate::problem::Problem;

/// Takes up what is written.
pub async fn restore(store: &SqliteStore, pauses: &Pauses, aliases: &Aliases) -> Result<(), Problem> {
    for row in store.pauses().all().await.map_err(|why| why.problem("what is paused"))? {
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
