//! What is known of aliases, carried over a restart: taken up at the start, written when it changes and once more at the end.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use crate::alias::{Aliases, KeptAlias};
use crate::clock::Clock;
use crate::message_store::StoreError;
use crate::message_store::sqlite::SqliteStore;
use crate::problem::{Code, Problem};

/// How long to wait before a store that could not write it is asked again.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Takes up what was written before this start, and forgets the aliases that are gone.
pub async fn restore(store: &SqliteStore, aliases: &Aliases) -> Result<(), Problem> {
    let states = store.alias_states();
    let written = states.all().await.map_err(|why| why.problem("states of aliases"))?;
    let is_there = |name: &String| aliases.states().iter().any(|alias| alias.name == *name);
    let (there, gone): (Vec<_>, Vec<_>) = written.into_iter().partition(|(name, _)| is_there(name));
    if !gone.is_empty() {
        states.forget(gone.into_iter().map(|(name, _)| name).collect()).await.map_err(|why| why.problem("states of aliases"))?;
    }
    let mut kept: Vec<KeptAlias> = Vec::new();
    for (name, state) in there {
        match serde_json::from_str(&state) {
            Ok(alias) => kept.push(alias),
            // Worth a word and no more: a target says again what it wants.
            Err(why) => warn!(alias = name, %why, "what was kept of an alias cannot be read; it starts as healthy"),
        }
    }
    aliases.restore(kept);
    Ok(())
}

/// Writes what changes, until it is aborted.
pub async fn keep(store: SqliteStore, aliases: Arc<Aliases>, clock: Arc<dyn Clock>) {
    loop {
        let changed = aliases.next_to_keep().await;
        while let Err(why) = write(&store, &changed, &*clock).await {
            if matches!(why, StoreError::Closed) {
                return;
            }
            warn!(%why, "the states of aliases could not be written; trying again");
            clock.sleep(WRITE_AGAIN_AFTER).await;
        }
    }
}

/// Writes everything, once nothing is sent any more.
pub async fn keep_all(store: &SqliteStore, aliases: &Aliases, clock: &dyn Clock) {
    if let Err(why) = write(store, &aliases.all_to_keep(), clock).await {
        error!(code = %Code::StoreFailed, %why, "the states of aliases could not be written; the next start takes the last that were");
    }
}

async fn write(store: &SqliteStore, aliases: &[KeptAlias], clock: &dyn Clock) -> Result<(), StoreError> {
    let state = |alias: &KeptAlias| Some((alias.name.clone(), serde_json::to_string(alias).ok()?));
    store.alias_states().put(aliases.iter().filter_map(state).collect(), clock.now()).await
}
