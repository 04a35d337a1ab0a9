//! What is done now and then: clearing away what has expired, in small pieces beside the deliveries.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::message_store::sqlite::SqliteStore;

/// How often expired deduplication tokens and key-values are looked for.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// Cleans until it is aborted.
pub async fn clean(store: SqliteStore, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(CLEAN_EVERY).await;
        if let Err(why) = store.clean(clock.now()).await {
            warn!(%why, "what has expired could not be cleared away; trying again later");
        }
    }
}
