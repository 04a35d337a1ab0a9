//! What people retire: taken up where it was at this start, and ended when nothing waits.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::admin::{Api, finish_retiring};
use crate::clock::Clock;
use crate::delivery::{Retirement, Retirements};
use crate::ingress::{Intake, Leaving};
use crate::message_store::sqlite::SqliteStore;
use crate::problem::Problem;

/// How often it is looked whether anything waits still.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Takes up what is written.
pub async fn restore(store: &SqliteStore, retirements: &Retirements) -> Result<(), Problem> {
    for row in store.retirements().all().await.map_err(|why| why.problem("what is retired"))? {
        if row.done_at.is_none() {
            info!(since = %row.since, reason = row.reason, "integration {} is being retired: it takes nothing new", row.integration);
        }
        retirements.put(&row.integration, Retirement { since: row.since, reason: row.reason, done_at: row.done_at });
    }
    Ok(())
}

/// Nothing new comes in for those that drain.
pub fn close(intake: &Intake, retirements: &Retirements) {
    retirements.draining().iter().for_each(|name| intake.set_leaving(name, Some(Leaving::Draining)));
}

/// Ends what has drained, until it is aborted.
pub async fn finish(api: Arc<Api>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(LOOK_EVERY).await;
        finish_retiring(&api).await;
    }
}
