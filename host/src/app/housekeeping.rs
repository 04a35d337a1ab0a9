//! What is done now and then: clearing away what has expired, in small pieces beside the deliveries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::clock::{Clock, Timestamp};
use crate::config::Retention;
use crate::message_store::StoreError;
use crate::message_store::sqlite::{Forgotten, SqliteStore};
use crate::rehearsal::kept;

/// How often expired deduplication tokens and key-values are looked for.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// How often messages are looked for that are old enough to be forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(5 * 60);

/// Cleans until it is aborted.
pub async fn clean(store: SqliteStore, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(CLEAN_EVERY).await;
        clean_all(&store, clock.now()).await;
    }
}

/// Piece by piece until nothing that had expired at `now` is left: each piece waits its turn among the deliveries' commands.
async fn clean_all(store: &SqliteStore, now: Timestamp) {
    loop {
        match store.clean(now).await {
            Ok(cleaned) if cleaned.more => {}
            Ok(_) => return,
            Err(why) => return warn!(%why, "what has expired could not be cleared away; trying again later"),
        }
    }
}

/// Forgets what is old until it is aborted.
pub async fn forget(store: SqliteStore, clock: Arc<dyn Clock>, retention: Retention) {
    loop {
        clock.sleep(FORGET_EVERY).await;
        let before = |kept: Option<Duration>| kept.map(|kept| clock.now().minus(kept));
        if let Some(before) = before(retention.messages) {
            let forgotten = forget_all(|after| store.forget_messages(before, after)).await;
            if forgotten > 0 {
                info!(forgotten, %before, "messages that ended before this were forgotten");
            }
        }
        if let Some(before) = before(retention.bodies) {
            forget_all(|after| store.forget_exchanges(before, after)).await;
        }
    }
}

/// Forgets reports of rehearsals until it is aborted: they hold what the ledger's records did.
pub async fn forget_reports(data: PathBuf, clock: Arc<dyn Clock>, keep: Option<Duration>) {
    let Some(keep) = keep else { return };
    loop {
        clock.sleep(FORGET_EVERY).await;
        let (data, now) = (data.clone(), clock.now());
        let done = tokio::task::spawn_blocking(move || kept::forget(&data, keep, now)).await;
        if let Ok(Err(why)) = done {
            warn!(%why, "reports of rehearsals that are old could not be forgotten; trying again later");
        }
    }
}

/// Piece by piece to the end; each waits its turn among the deliveries' commands. How many there were.
async fn forget_all<F: Future<Output = Result<Forgotten, StoreError>>>(piece: impl Fn(i64) -> F) -> usize {
    let (mut after, mut all) = (0, 0);
    loop {
        match piece(after).await {
            Ok(Forgotten { forgotten, next }) => {
                all += forgotten;
                match next {
                    Some(next) => after = next,
                    None => return all,
                }
            }
            Err(why) => {
                warn!(%why, "what is old could not be forgotten; trying again later");
                return all;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::clock::ManualClock;
    use crate::message::{Headers, Message, MessageId};
    use crate::message_store::sqlite::Options;
    use crate::message_store::suite::world::{delivered, settled_at};
    use crate::message_store::{Accept, Dedup, Lane, Lease, MessageStore, NewDelivery, WaitingMax};
    use crate::random::SeededRandom;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    fn accept(number: u32, random: &SeededRandom) -> Accept {
        let mut token = [0; 32];
        token[..4].copy_from_slice(&number.to_be_bytes());
        let message = Message {
            id: MessageId::new(START, random),
            parent: None,
            key: None,
            content_type: "text/plain".into(),
            headers: Headers::default(),
            body: bytes::Bytes::new(),
            tracked: Vec::new(),
            origin: "test".into(),
            accepted_at: START,
        };
        let dedup = Some(Dedup { scope: "s".into(), token, expires_at: START.plus(Duration::from_secs(1)) });
        Accept { message: Arc::new(message), dedup, deliveries: Vec::new(), waiting_max: WaitingMax::each(1) }
    }

    #[tokio::test]
    async fn clears_away_all_that_has_expired_however_much_came_in_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let store = SqliteStore::open(folder.path(), Options { reserve_bytes: 0, ..Options::new(clock) }).unwrap();
        let random = SeededRandom::new(1);
        let accepts = (0..1_200).map(|number| store.accept(accept(number, &random)));
        futures_util::future::try_join_all(accepts).await.unwrap();
        let later = START.plus(Duration::from_secs(2));
        clean_all(&store, later).await;
        assert_eq!(store.clean(later).await.unwrap().dedup_tokens, 0);
    }

    /// The one message that waits for `crm`.
    async fn deliver(store: &SqliteStore, number: u32, now: Timestamp) {
        let lease = Lease { integration: "crm".into(), now, limit: 10, bytes_max: usize::MAX };
        let leased = store.lease(lease).await.unwrap().remove(0);
        assert_eq!(leased.message.body, number.to_be_bytes()[..]);
        store.settle(Arc::new(settled_at(leased.id, delivered(), now))).await.unwrap();
    }

    /// Between a command and its answer the writer is done with what it has in hand, and may answer one more together with it. Nothing
    /// is said of how long a piece takes: its size is bounded, which `message_store` shows.
    #[tokio::test]
    async fn what_is_cleared_away_lets_deliveries_through_between_its_pieces() {
        const OLD: u32 = 4_000;
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open(folder.path(), Options { reserve_bytes: 0, ..Options::new(Arc::new(ManualClock::at(START))) }).unwrap();
        let random = SeededRandom::new(1);
        futures_util::future::try_join_all((0..OLD).map(|number| store.accept(accept(number, &random)))).await.unwrap();

        let now = START.plus(Duration::from_secs(2));
        let (pieces, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
        let so_far = || pieces.load(Ordering::SeqCst);
        let clearing = async {
            clean_all(&store, now).await;
            let (store, pieces) = (&store, &pieces);
            let forgotten = forget_all(|after| async move {
                let piece = store.forget_messages(now, after).await;
                pieces.fetch_add(1, Ordering::SeqCst);
                piece
            });
            assert_eq!(forgotten.await, OLD as usize);
            is_done.store(true, Ordering::SeqCst);
        };
        let delivering = async {
            let mut rounds = 0;
            while !is_done.load(Ordering::SeqCst) {
                let begun = so_far();
                let message = Arc::unwrap_or_clone(accept(OLD + rounds, &random).message);
                let message = Message { accepted_at: now, body: rounds.to_be_bytes().to_vec().into(), ..message };
                let delivery = NewDelivery { integration: "crm".into(), lane: Lane::Free, ordering: 0, due_at: now, record: None };
                let taken =
                    Accept { message: Arc::new(message), dedup: None, deliveries: vec![delivery], waiting_max: WaitingMax::each(9) };
                store.accept(taken).await.unwrap();
                assert!(so_far() - begun <= 2, "an accept waited for {} pieces", so_far() - begun);
                deliver(&store, rounds, now).await;
                rounds += 1;
            }
            rounds
        };
        let ((), rounds) = tokio::join!(clearing, delivering);
        assert!(rounds >= 3 && so_far() >= 40, "{rounds} deliveries beside {} pieces", so_far());
    }
}
