//! The writer: groups, savepoints, claims, full disks, the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::join_all;

use crate::clock::{ManualClock, Timestamp};
use crate::message_store::sqlite::accept;
use crate::message_store::sqlite::failure::Failure;
use crate::message_store::sqlite::writing::Writing;
use crate::message_store::sqlite::{Options, SqliteStore};
use crate::message_store::suite::world::{InMemory, OnDisk, START, World, body, delivered, options};
use crate::message_store::{
    Accept, Accepted, CLAIM_WITHIN, Dedup, KeyValueRead, KeyValueWrite, Lane, Lease, Leased, MessageStore, Settle, StoreError, WaitingMax,
};

/// Makes messages; its own store is not used.
fn maker() -> World {
    World::new(InMemory::default())
}

fn request(maker: &World, body: &str, dedup: Option<Dedup>) -> Accept {
    Accept {
        message: Arc::new(maker.message(body, None)),
        dedup,
        deliveries: maker.deliveries(&[("crm", Lane::Free)]),
        waiting_max: WaitingMax::each(1000),
    }
}

/// Holds the writer inside a command until the sender is dropped; gives back once it is there.
pub(super) async fn hold(store: &SqliteStore) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), StoreError>>) {
    let (release, wait) = mpsc::channel::<()>();
    let (entered, there) = tokio::sync::oneshot::channel();
    let (store, mut entered) = (store.clone(), Some(entered));
    let held = tokio::spawn(async move {
        let work = move |_: &mut Writing<'_>| {
            let _ = entered.take().map(|entered| entered.send(()));
            let _ = wait.recv();
            Ok(())
        };
        store.inner.writer.run(0, work).await
    });
    there.await.unwrap();
    (release, held)
}

async fn lease_all(store: &SqliteStore) -> Vec<Leased> {
    store.lease(Lease { integration: "crm".into(), now: Timestamp(START.0 + 1_000_000), limit: 1000, bytes_max: usize::MAX }).await.unwrap()
}

#[tokio::test]
async fn what_waited_while_a_group_ran_is_committed_together() {
    let disk = OnDisk::open();
    let (store, maker) = (disk.sqlite().clone(), maker());
    let (release, held) = hold(&store).await;
    let before = store.commits();
    let waiting = (0..50).map(|n| {
        let (store, accept) = (store.clone(), request(&maker, &n.to_string(), None));
        tokio::spawn(async move { store.accept(accept).await })
    });
    let waiting: Vec<_> = waiting.collect();
    // On this one thread each of them runs until it waits for its answer before this goes on.
    tokio::task::yield_now().await;
    drop(release);
    held.await.unwrap().unwrap();
    for accepted in join_all(waiting).await {
        assert_eq!(accepted.unwrap().unwrap(), Accepted::New);
    }
    assert_eq!(store.commits() - before, 1, "what held the writer wrote nothing");
    assert_eq!(lease_all(&store).await.len(), 50);
}

#[tokio::test]
async fn of_equal_requests_at_once_exactly_one_is_new() {
    let disk = OnDisk::open();
    let (store, maker) = (disk.sqlite().clone(), maker());
    let dedup = Dedup { scope: "webhook /a".into(), token: [1; 32], expires_at: Timestamp(i64::MAX) };
    let requests: Vec<_> = (0..20).map(|_| request(&maker, "1", Some(dedup.clone()))).collect();
    let ids: Vec<_> = requests.iter().map(|accept| accept.message.id).collect();
    let accepted = join_all(requests.into_iter().map(|accept| store.accept(accept))).await;
    let new: Vec<_> = (0..20).filter(|n| matches!(accepted[*n], Ok(Accepted::New))).collect();
    assert_eq!(new.len(), 1);
    for (n, accepted) in accepted.into_iter().enumerate().filter(|(n, _)| *n != new[0]) {
        assert_eq!(accepted.unwrap(), Accepted::Duplicate(ids[new[0]]), "request {n}");
    }
    assert_eq!(lease_all(&store).await.len(), 1);
}

#[tokio::test]
async fn a_command_that_fails_takes_only_itself_back() {
    let disk = OnDisk::open();
    let (store, maker) = (disk.sqlite().clone(), maker());
    let (release, held) = hold(&store).await;
    let good = tokio::spawn({
        let (store, accept) = (store.clone(), request(&maker, "good", None));
        async move { store.accept(accept).await }
    });
    let bad = tokio::spawn({
        let (store, accept) = (store.clone(), request(&maker, "bad", None));
        async move {
            let work = move |writing: &mut Writing<'_>| {
                accept::accept(writing, &accept)?;
                Err::<(), _>(writing.connection.execute("INSERT INTO meta (name, value) VALUES ('generation', 1)", []).unwrap_err().into())
            };
            store.inner.writer.run(0, work).await
        }
    });
    tokio::task::yield_now().await;
    drop(release);
    held.await.unwrap().unwrap();
    assert_eq!(good.await.unwrap().unwrap(), Accepted::New);
    assert!(matches!(bad.await.unwrap(), Err(StoreError::Failed(_))));
    let leased = lease_all(&store).await;
    assert_eq!(leased.iter().map(body).collect::<Vec<_>>(), ["good"]);
    let full = Accept { waiting_max: WaitingMax::each(2), ..request(&maker, "second", None) };
    assert_eq!(store.accept(full).await.unwrap(), Accepted::New, "what was taken back is not counted as waiting");
}

#[tokio::test]
async fn what_is_not_claimed_in_time_is_busy_and_never_stored() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let store = SqliteStore::open(folder.path(), Options { clock: clock.clone(), ..options() }).unwrap();
    let (release, held) = hold(&store).await;
    let late = tokio::spawn({
        let (store, accept) = (store.clone(), request(&maker(), "late", None));
        async move { store.accept(accept).await }
    });
    tokio::task::yield_now().await;
    clock.advance(CLAIM_WITHIN);
    assert!(matches!(late.await.unwrap(), Err(StoreError::Busy)));
    assert!(!held.is_finished(), "what was claimed waits for its commit, however long it takes");
    drop(release);
    held.await.unwrap().unwrap();
    assert!(lease_all(&store).await.is_empty());
}

#[tokio::test]
async fn a_full_disk_fails_commands_and_the_host_lives() {
    let disk = OnDisk::open();
    let (store, maker) = (disk.sqlite().clone(), maker());
    let limit_pages = |pages: i64| {
        let work = move |writing: &mut Writing<'_>| {
            Ok(writing.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?)
        };
        let store = store.clone();
        async move { store.inner.writer.run(0, work).await.unwrap() }
    };
    let small = request(&maker, "small", None);
    store.accept(small).await.unwrap();
    limit_pages(1).await;
    let large = request(&maker, &"x".repeat(1_000_000), None);
    assert!(matches!(store.accept(large.clone()).await, Err(StoreError::Full)));
    let leased = lease_all(&store).await;
    assert_eq!(leased.len(), 1);
    store.settle(Arc::new(maker.settlement(leased[0].id, delivered()))).await.unwrap();
    limit_pages(1_000_000).await;
    assert_eq!(store.accept(large).await.unwrap(), Accepted::New);
    assert_eq!(lease_all(&store).await.len(), 1);
}

#[tokio::test]
async fn below_the_reserve_nothing_new_is_taken_but_what_is_there_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let maker = maker();
    let store = SqliteStore::open(folder.path(), options()).unwrap();
    let dedup = Some(Dedup { scope: "s".into(), token: [1; 32], expires_at: Timestamp(i64::MAX) });
    let first = request(&maker, "1", dedup.clone());
    let id = first.message.id;
    store.accept(first).await.unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path(), Options { reserve_bytes: u64::MAX, ..options() }).unwrap();
    assert!(matches!(store.accept(request(&maker, "2", None)).await, Err(StoreError::Full)));
    assert_eq!(store.accept(request(&maker, "1", dedup)).await.unwrap(), Accepted::Duplicate(id));
    let leased = lease_all(&store).await;
    store.settle(Arc::new(maker.settlement(leased[0].id, delivered()))).await.unwrap();
}

#[tokio::test]
async fn a_failed_fsync_ends_the_process_before_anybody_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Arc::new(AtomicU32::new(0));
    let on_fatal = {
        let ended = ended.clone();
        Arc::new(move |_| {
            ended.fetch_add(1, Ordering::SeqCst);
        })
    };
    let store = SqliteStore::open(folder.path(), Options { on_fatal, ..options() }).unwrap();
    let accept_then_fail = |accept: Accept| {
        move |writing: &mut Writing<'_>| {
            accept::accept(writing, &accept)?;
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            Err::<(), _>(Failure::Sql(rusqlite::Error::SqliteFailure(error, None)))
        }
    };
    let failed = store.inner.writer.run(0, accept_then_fail(request(&maker(), "1", None))).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))));
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    assert!(matches!(store.clean(START).await, Err(StoreError::Closed)), "nothing is written after it");
    drop(store);
    let store = SqliteStore::open(folder.path(), options()).unwrap();
    assert!(lease_all(&store).await.is_empty());
}

#[tokio::test]
async fn an_io_error_fails_the_whole_group_and_undoes_what_followed_from_it() {
    let disk = OnDisk::open();
    let (store, maker) = (disk.sqlite().clone(), maker());
    store.accept(request(&maker, "1", None)).await.unwrap();
    let leased = lease_all(&store).await;
    let (release, held) = hold(&store).await;
    let settled = tokio::spawn({
        let (store, settle) = (store.clone(), maker.settlement(leased[0].id, delivered()));
        async move { store.settle(Arc::new(settle)).await }
    });
    let failing = tokio::spawn({
        let store = store.clone();
        async move {
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE);
            let work = move |_: &mut Writing<'_>| Err::<(), _>(Failure::Sql(rusqlite::Error::SqliteFailure(error, None)));
            store.inner.writer.run(0, work).await
        }
    });
    tokio::task::yield_now().await;
    drop(release);
    held.await.unwrap().unwrap();
    assert!(matches!(settled.await.unwrap(), Err(StoreError::Failed(_))));
    assert!(matches!(failing.await.unwrap(), Err(StoreError::Failed(_))));
    assert!(lease_all(&store).await.is_empty(), "it is leased as before");
    store.settle(Arc::new(maker.settlement(leased[0].id, delivered()))).await.unwrap();
}

#[tokio::test]
async fn what_expired_is_cleaned_a_piece_at_a_time() {
    let disk = OnDisk::open();
    let (store, maker) = (disk.sqlite().clone(), maker());
    let tokens = (0..600_u16).map(|n| {
        let mut token = [0; 32];
        token[..2].copy_from_slice(&n.to_be_bytes());
        request(&maker, "1", Some(Dedup { scope: "s".into(), token, expires_at: START }))
    });
    join_all(tokens.map(|accept| store.accept(accept))).await;
    let first = store.clean(START).await.unwrap();
    assert_eq!((first.dedup_tokens, first.more), (500, true));
    let second = store.clean(START).await.unwrap();
    assert_eq!((second.dedup_tokens, second.more), (100, false));
    assert_eq!(store.clean(START).await.unwrap().dedup_tokens, 0);
}

#[tokio::test]
async fn expired_key_values_are_cleaned_and_their_bytes_given_back() {
    let disk = OnDisk::open();
    let (store, maker) = (disk.sqlite().clone(), maker());
    store.accept(request(&maker, "1", None)).await.unwrap();
    let leased = lease_all(&store).await;
    let put =
        |key: &str, expires_at| KeyValueWrite { integration: "crm".into(), key: key.into(), value: Some(b"value".to_vec()), expires_at };
    let key_values = vec![put("stays", None), put("goes", Some(START.plus(Duration::from_secs(1))))];
    store.settle(Arc::new(Settle { key_values, ..maker.settlement(leased[0].id, delivered()) })).await.unwrap();
    assert_eq!(store.clean(START).await.unwrap().key_values, 0);
    assert_eq!(store.key_value().used_bytes("crm").await.unwrap(), 10 + 9);
    assert_eq!(store.clean(START.plus(Duration::from_secs(1))).await.unwrap().key_values, 1);
    assert_eq!(store.key_value().used_bytes("crm").await.unwrap(), 10);
}

#[tokio::test]
async fn the_log_is_written_into_the_database_while_the_host_runs() {
    let disk = OnDisk::open();
    let maker = maker();
    for _ in 0..3 {
        let large = request(&maker, &"x".repeat(4 * 1024 * 1024), None);
        disk.sqlite().accept(large).await.unwrap();
    }
    let database = disk.folder.path().join(crate::message_store::sqlite::DATABASE_FILE);
    let written = || std::fs::metadata(&database).unwrap().len() > 8 * 1024 * 1024;
    // The checkpoint goes on beside the commands that follow.
    for _ in 0..1_000_000 {
        if written() {
            return;
        }
        disk.sqlite().clean(START).await.unwrap();
    }
    panic!("the log was not written into the database");
}

#[tokio::test]
async fn the_log_begins_anew_while_the_host_runs() {
    const LOG_PAGES: u64 = 16 * 1024;
    let disk = OnDisk::open();
    let maker = maker();
    let log = disk.folder.path().join(format!("{}-wal", crate::message_store::sqlite::DATABASE_FILE));
    // Twice as much as the log may hold.
    for _ in 0..64 {
        let many = (0..8).map(|_| disk.sqlite().accept(request(&maker, &"x".repeat(256 * 1024), None)));
        futures_util::future::try_join_all(many).await.unwrap();
    }
    let bytes = std::fs::metadata(log).unwrap().len();
    assert!(bytes < (LOG_PAGES * 4096) * 3 / 2, "the log has {bytes} bytes");
}
