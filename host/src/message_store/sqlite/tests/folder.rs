//! Opening data folders.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::jumping::{DAY, Jumping, jumps};
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::message_store::sqlite::ledger::{GroupQuery, MessageQuery, State};
use crate::message_store::sqlite::{DATABASE_FILE, LOCK_FILE, Options, SqliteStore, schema};
use crate::message_store::suite::world::{InMemory, START, World, bodies, body, options};
use crate::message_store::{Accept, Accepted, Dedup, Lane, Lease, MessageStore, Settlement, StoreError, WaitingMax};
use crate::problem::Code;

fn refused(folder: &std::path::Path) -> Code {
    let problem = SqliteStore::open(folder, options()).unwrap_err();
    assert!(problem.fix.is_some(), "{problem}");
    problem.code
}

#[test]
fn a_second_host_on_the_same_folder_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = SqliteStore::open(folder.path(), options()).unwrap();
    let clone = first.clone();
    assert_eq!(refused(folder.path()), Code::DataFolderInUse);
    drop(first);
    assert_eq!(refused(folder.path()), Code::DataFolderInUse, "a clone still holds it");
    drop(clone);
    SqliteStore::open(folder.path(), options()).unwrap();
}

#[test]
fn a_folder_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), options()).unwrap());
    let database = folder.path().join(DATABASE_FILE);
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", schema::NEWEST + 1).unwrap();
    let before = std::fs::read(&database).unwrap();
    assert_eq!(refused(folder.path()), Code::DataFolderNewer);
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    assert_eq!(refused(&file.join("data")), Code::DataFolderUnwritable);
    std::fs::create_dir_all(folder.path().join("data").join(LOCK_FILE)).unwrap();
    assert_eq!(refused(&folder.path().join("data")), Code::DataFolderUnwritable);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = "this is not a database, and it is longer than the header of one, which has a hundred bytes, to be clear about it";
    std::fs::write(folder.path().join(DATABASE_FILE), text).unwrap();
    assert_eq!(refused(folder.path()), Code::StoreDamaged);
    assert_eq!(std::fs::read_to_string(folder.path().join(DATABASE_FILE)).unwrap(), text);
}

#[test]
fn a_damaged_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), options()).unwrap());
    let database = folder.path().join(DATABASE_FILE);
    let mut bytes = std::fs::read(&database).unwrap();
    for page in bytes.chunks_mut(4096).skip(2) {
        page.fill(0xA5);
    }
    std::fs::write(&database, bytes).unwrap();
    assert_eq!(refused(folder.path()), Code::StoreDamaged);
}

#[test]
fn the_folder_is_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("deep").join("data");
    let _store = SqliteStore::open(&folder, options()).unwrap();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_stop_leaves_everything_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), options()).unwrap());
    let log = folder.path().join(format!("{DATABASE_FILE}-wal"));
    assert!(std::fs::metadata(log).map_or(0, |file| file.len()) == 0);
    let connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("page_size"), pragma("auto_vacuum"), pragma("user_version")), (4096, 2, schema::NEWEST));
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn each_opening_has_its_generation_and_knows_the_last_time_seen() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let open = || SqliteStore::open(folder.path(), Options { reserve_bytes: 0, ..Options::new(clock.clone()) }).unwrap();
    let store = open();
    let first = store.generation();
    clock.advance(Duration::from_secs(5));
    let world = World::new(InMemory::default());
    let accept =
        Accept { message: Arc::new(world.message("1", None)), dedup: None, deliveries: Vec::new(), waiting_max: WaitingMax::each(1) };
    store.accept(accept).await.unwrap();
    drop(store);
    let store = open();
    assert_eq!(store.generation(), first + 1);
    assert_eq!(store.last_seen_time(), START.plus(Duration::from_secs(5)));
}

#[tokio::test]
async fn a_wall_clock_that_jumped_while_the_host_was_down_loses_nothing_and_keeps_nothing_waiting() {
    const RETRY: Duration = Duration::from_secs(10);
    for jump in jumps() {
        let (folder, machine, maker) = (tempfile::tempdir().unwrap(), Jumping::at(START), World::new(InMemory::default()));
        let open = || {
            let clock = Arc::new(SystemClock::of(machine.clone()));
            let store = SqliteStore::open(folder.path(), Options { reserve_bytes: 0, ..Options::new(clock.clone()) }).unwrap();
            clock.not_before(store.last_seen_time());
            maker.follow(&*clock);
            (clock, store)
        };
        let accept = |body: &str| {
            let dedup = Some(Dedup { scope: "s".into(), token: [7; 32], expires_at: maker.now().plus(7 * DAY) });
            let deliveries = maker.deliveries(&[("crm", Lane::Free)]);
            Accept { message: Arc::new(maker.message(body, None)), dedup, deliveries, waiting_max: WaitingMax::each(9) }
        };
        let lease = || Lease { integration: "crm".into(), now: maker.now(), limit: 9, bytes_max: usize::MAX };
        let (_, store) = open();
        let first = accept("first");
        let id = first.message.id;
        assert_eq!(store.accept(first).await.unwrap(), Accepted::New);
        let leased = store.lease(lease()).await.unwrap().remove(0);
        let settle = maker.settlement(leased.id, Settlement::Retries { due_at: maker.now().plus(RETRY) });
        store.settle(Arc::new(settle)).await.unwrap();
        drop(store);

        machine.jump(jump);
        let (clock, store) = open();
        let due_at = store.next_due("crm").await.unwrap().unwrap();
        assert!(due_at.since(clock.now()) <= RETRY, "{jump}: due at {due_at}, and it is {}", clock.now());
        machine.pass(RETRY);
        maker.follow(&*clock);
        assert_eq!(bodies(&store.lease(lease()).await.unwrap()), ["first"]);
        assert_eq!(store.accept(accept("again")).await.unwrap(), Accepted::Duplicate(id));
        machine.pass(7 * DAY);
        maker.follow(&*clock);
        assert_eq!(store.accept(accept("later")).await.unwrap(), Accepted::New);
    }
}

#[tokio::test]
async fn a_closed_store_takes_nothing_more_and_lets_the_folder_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), options()).unwrap();
    store.close().await;
    assert!(matches!(store.clean(START).await, Err(StoreError::Closed)));
    let lease = Lease { integration: "crm".into(), now: START, limit: 1, bytes_max: usize::MAX };
    assert!(matches!(store.lease(lease).await, Err(StoreError::Closed)));
    drop(store);
    SqliteStore::open(folder.path(), options()).unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_that_moment() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = SqliteStore::open(folder.path(), options()).unwrap();
    let world = World::new(InMemory::default());
    let deliveries = world.deliveries(&[("crm", Lane::Free)]);
    let accept = Accept { message: Arc::new(world.message("1", None)), dedup: None, deliveries, waiting_max: WaitingMax::each(1) };
    store.accept(accept).await.unwrap();
    // What a killed host leaves behind: the file and its log.
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        std::fs::copy(folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let revived = SqliteStore::open(copy.path(), options()).unwrap();
    let leased = revived.lease(Lease { integration: "crm".into(), now: START, limit: 1, bytes_max: usize::MAX }).await.unwrap();
    assert_eq!(leased.iter().map(|leased| (body(leased), leased.may_repeat)).collect::<Vec<_>>(), [("1", true)]);
}

#[tokio::test]
async fn what_waited_while_a_host_ended_as_it_should_repeats_nothing_and_what_came_after_a_crash_neither() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::new(InMemory::default());
    let lease = || Lease { integration: "crm".into(), now: START, limit: 9, bytes_max: usize::MAX };
    let may_repeat = async |store: &SqliteStore| {
        let leased = store.lease(lease()).await.unwrap();
        leased.iter().map(|leased| (body(leased).to_owned(), leased.may_repeat)).collect::<Vec<_>>()
    };
    let store = SqliteStore::open(folder.path(), options()).unwrap();
    store.accept(one_more(&world, "1")).await.unwrap();
    store.close().await;
    drop(store);
    let store = SqliteStore::open(folder.path(), options()).unwrap();
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        std::fs::copy(folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    assert_eq!(may_repeat(&store).await, [("1".into(), false)]);
    let after_a_crash = SqliteStore::open(copy.path(), options()).unwrap();
    after_a_crash.accept(one_more(&world, "2")).await.unwrap();
    assert_eq!(may_repeat(&after_a_crash).await, [("1".into(), true), ("2".into(), false)]);
}

fn one_more(world: &World, body: &str) -> Accept {
    Accept {
        message: Arc::new(world.message(body, None)),
        dedup: None,
        deliveries: world.deliveries(&[("crm", Lane::Free)]),
        waiting_max: WaitingMax::each(9),
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_while_the_files_are_not_where_they_were() {
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), options()).unwrap();
        let world = World::new(InMemory::default());
        let accept = |body: &str| one_more(&world, body);
        let (file, aside) = (folder.path().join(&name), folder.path().join("aside"));
        store.accept(accept("1")).await.unwrap();
        std::fs::rename(&file, &aside).unwrap();
        assert!(matches!(store.accept(accept("2")).await, Err(StoreError::Failed(_))), "{name} gone");
        std::fs::copy(&aside, &file).unwrap();
        assert!(matches!(store.accept(accept("2")).await, Err(StoreError::Failed(_))), "{name} replaced by a copy");
        assert!(store.check_writable().await.is_err());
        std::fs::rename(&aside, &file).unwrap();
        store.accept(accept("2")).await.unwrap();
    }
}

#[tokio::test]
async fn deliveries_that_wait_are_carried_over_in_their_order_and_no_id_is_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    schema::migrate_to(&mut connection, 6).unwrap();
    let waiting = "
        INSERT INTO message (seq, id, content_type, headers, tracked, origin, accepted_at, body)
            SELECT value, randomblob(16), 'text/plain', '[]', '[]', 'send', 0, x'00' FROM json_each('[1, 2, 3]');
        INSERT INTO delivery (integration, message, stage, lane, origin, state, due_at, attempts) VALUES
            ('crm', 1, 'steps', 'a', 1, 'ready', 0, 2), ('crm', 2, 'steps', 'a', 2, 'behind', 0, 0), ('crm', 3, 'sink', NULL, 3, 'ready', 0, 0);
        DELETE FROM delivery WHERE message = 3;";
    connection.execute_batch(waiting).unwrap();
    drop(connection);
    let store = SqliteStore::open(folder.path(), options()).unwrap();
    let lease = Lease { integration: "crm".into(), now: START, limit: 10, bytes_max: usize::MAX };
    let leased = store.lease(lease).await.unwrap();
    assert_eq!(leased.iter().map(|leased| (leased.id.0, leased.attempts)).collect::<Vec<_>>(), [(1, 2)]);
    store.accept(one_more(&World::new(InMemory::default()), "4")).await.unwrap();
    store.close().await;
    let connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    let last: i64 = connection.query_row("SELECT max(id) FROM delivery", [], |row| row.get(0)).unwrap();
    assert_eq!(last, 4, "3 was given before");
}

/// What a folder of version 2 holds of one message that was fanned out, and of two dead letters, one of them open.
const OF_VERSION_2: &str = "
INSERT INTO message (seq, id, parent, content_type, headers, tracked, origin, accepted_at, body) VALUES
    (1, randomblob(16), NULL, 'text/plain', '[]', '[]', 'send', 0, x'00');
INSERT INTO message (seq, id, parent, content_type, headers, tracked, origin, accepted_at, body)
    SELECT value + 1, randomblob(16), message.id, 'text/plain', '[]', '[]', 'send', 0, x'00' FROM message, json_each('[1, 2]') WHERE seq = 1;
INSERT INTO standing (message, integration, state) VALUES
    (1, 'crm', 'fanned-out'), (2, 'crm', 'delivered'), (3, 'crm', 'dead-lettered'), (2, 'audit', 'delivered');
INSERT INTO dead_letter (message, integration, stage, origin, ordinal, replay, attempts, waits, class, code, detail, fingerprint, died_at, status) VALUES
    (3, 'crm', 'sink', 1, 1, 0, 1, 0, 'permanent', 'x', 'y', 'f00d', 0, 'open'),
    (2, 'crm', 'sink', 1, 0, 0, 1, 0, 'permanent', 'x', 'y', 'f00d', 0, 'replayed');
";

#[tokio::test]
async fn a_folder_of_an_older_version_is_brought_up_to_date_with_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    schema::migrate_to(&mut connection, 2).unwrap();
    connection.execute_batch(OF_VERSION_2).unwrap();
    drop(connection);
    let ledger = SqliteStore::open(folder.path(), options()).unwrap().ledger();
    let messages = ledger.messages(MessageQuery::default()).await.unwrap().messages;
    let parent = &messages.last().unwrap().integrations[0];
    assert_eq!((parent.state, parent.children), (State::DeadLettered, 2));
    let groups = ledger.dead_letter_groups(GroupQuery::default()).await.unwrap().groups;
    assert_eq!(groups.iter().map(|group| (group.fingerprint.as_str(), group.count)).collect::<Vec<_>>(), [("f00d", 1)]);
    assert_eq!(ledger.queue(START).await.unwrap()[0].dead_letters, 1);
}
