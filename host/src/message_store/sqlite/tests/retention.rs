//! Forgetting what is old, and nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::clock::Timestamp;
use crate::message::MessageId;
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::message_store::sqlite::clean::CLEAN_ROWS_MAX;
use crate::message_store::sqlite::ledger::{MessageQuery, TimelineQuery};
use crate::message_store::sqlite::retention::{self, FORGOTTEN_AT_ONCE, LOOKED_AT, ROWS_AT_ONCE};
use crate::message_store::sqlite::{DATABASE_FILE, Forgotten, SqliteStore};
use crate::message_store::suite::world::*;
use crate::message_store::{
    Accept, AppendedMessage, Attempt, DeliveryId, Lane, Leased, MessageStore, Settle, Settlement, Superseded, WaitingMax,
};

const HOUR: u64 = 60 * 60 * 1_000;

struct Place {
    store: SqliteStore,
    folder: PathBuf,
}

fn place() -> (World, Place) {
    let disk = OnDisk::open();
    let place = Place { store: disk.sqlite().clone(), folder: disk.folder.path().to_owned() };
    (World::new(disk), place)
}

/// Everything older than an hour.
async fn forget(world: &World, store: &SqliteStore) -> usize {
    let before = world.now().minus(Duration::from_millis(HOUR));
    let (mut after, mut all) = (0, 0);
    loop {
        let forgotten = store.forget_messages(before, after).await.unwrap();
        all += forgotten.forgotten;
        match forgotten.next {
            Some(next) => after = next,
            None => return all,
        }
    }
}

async fn left(store: &SqliteStore) -> Vec<MessageId> {
    let mut left: Vec<_> = store.ledger().messages(MessageQuery::default()).await.unwrap().messages.iter().map(|row| row.id).collect();
    left.reverse();
    left
}

/// An attempt that sent a request.
async fn sends(world: &World, delivery: DeliveryId, settlement: Settlement) {
    let mut settle = world.settlement(delivery, settlement);
    let sent = KeptBody { content_type: None, bytes: 4, beginning: "sent".into() };
    settle.attempt.exchanges = vec![Exchange { sent, answer: None }];
    world.store().settle(Arc::new(settle)).await.unwrap();
}

/// What is in the tables.
fn rows(place: &Place) -> Vec<(&'static str, i64)> {
    let connection = rusqlite::Connection::open(place.folder.join(DATABASE_FILE)).unwrap();
    let tables = ["message", "delivery", "standing", "attempt", "exchange", "outcome", "dead_letter", "tracked"];
    let count = |table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    tables.into_iter().map(|table| (table, count(table))).filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn what_waits_and_what_is_dead_is_kept_however_old_it_is() {
    let (world, place) = place();
    let delivered = world.accept("1", None).await;
    world.deliver(world.lease_one().await.id).await;
    let dead = world.accept("2", None).await;
    let letter = world.kill(world.lease_one().await.id).await;
    let waiting = world.accept("3", None).await;
    assert_eq!(forget(&world, &place.store).await, 0, "nothing is old");
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 1);
    assert_eq!(left(&place.store).await, [dead, waiting]);
    assert!(place.store.ledger().message(TimelineQuery::of(delivered)).await.unwrap().is_none());

    // A person discards the dead letter, and the other one is delivered: both ended a moment ago.
    world.discard(letter).await.unwrap();
    world.deliver(world.lease_one().await.id).await;
    assert_eq!(forget(&world, &place.store).await, 0);
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 2);
    assert_eq!(rows(&place), [], "nothing of them is left anywhere");
}

#[tokio::test]
async fn a_message_of_two_integrations_is_kept_until_both_are_done_with_it() {
    let (world, place) = place();
    let id = world.accept_for("1", &[("crm", Lane::Free), ("audit", Lane::Free)]).await;
    world.deliver(world.lease("crm").await[0].id).await;
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 0);
    assert_eq!(left(&place.store).await, [id]);
    world.deliver(world.lease("audit").await[0].id).await;
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 1);
}

#[tokio::test]
async fn a_message_is_kept_while_one_made_of_it_waits_and_a_replayed_dead_letter_while_its_replay_does() {
    let (world, place) = place();
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    let children = world.children(&leased.message, &["1a", "1b"]);
    world.settle(leased.id, Settlement::FannedOut { children }).await;
    let children = world.lease("crm").await;
    world.deliver(children[0].id).await;
    let letter = world.kill(children[1].id).await;
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 1, "the child that was delivered");
    world.replay(letter, Superseded::Anyway).await.unwrap();
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 0);
    world.deliver(world.lease_one().await.id).await;
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 1, "what was made of it goes first");
    assert_eq!(forget(&world, &place.store).await, 1);
    assert_eq!(rows(&place), []);
}

#[tokio::test]
async fn the_original_of_an_edit_is_kept_as_long_as_the_edited_one() {
    let (world, place) = place();
    let original = world.accept("1", None).await;
    world.kill(world.lease_one().await.id).await;
    let letter = world.dead_letters().await.remove(0);
    world.edit(&letter, "edited", None).await.unwrap();
    world.advance(2 * HOUR);
    assert_eq!(forget(&world, &place.store).await, 0);
    assert_eq!(left(&place.store).await[0], original);
    world.deliver(world.lease_one().await.id).await;
    world.advance(2 * HOUR);
    assert_eq!([forget(&world, &place.store).await, forget(&world, &place.store).await], [1, 1]);
    assert_eq!(rows(&place), []);
}

/// So many messages for `integration`, in few commits.
async fn accept_many(world: &World, store: &SqliteStore, integration: &str, count: usize) {
    let accept = |number: usize| Accept {
        message: Arc::new(world.message(&number.to_string(), None)),
        dedup: None,
        deliveries: world.deliveries(&[(integration, Lane::Free)]),
        waiting_max: WaitingMax::each(100_000),
    };
    try_join_all((0..count).map(|number| store.accept(accept(number)))).await.unwrap();
}

/// The same, delivered.
async fn deliver_many(world: &World, store: &SqliteStore, count: usize) {
    accept_many(world, store, "crm", count).await;
    let mut left = count;
    while left > 0 {
        let leased = world.lease("crm").await;
        left -= leased.len();
        let settle = |leased: &Leased| store.settle(Arc::new(world.settlement(leased.id, delivered())));
        try_join_all(leased.iter().map(settle)).await.unwrap();
    }
}

#[tokio::test]
async fn more_than_one_look_passes_over_is_forgotten_piece_by_piece() {
    let (world, place) = place();
    let looked_at = usize::try_from(LOOKED_AT).unwrap();
    accept_many(&world, &place.store, "audit", looked_at + 50).await;
    deliver_many(&world, &place.store, 250).await;
    world.advance(2 * HOUR);
    let before = Timestamp(world.now().0 - 1);
    let (mut after, mut pieces) = (0, Vec::new());
    while let Forgotten { forgotten, next: Some(next) } = place.store.forget_messages(before, after).await.unwrap() {
        pieces.push((forgotten, next));
        after = next;
    }
    assert_eq!(pieces, [(0, LOOKED_AT), (100, LOOKED_AT + 150), (100, LOOKED_AT + 250)]);
    assert_eq!(rows(&place)[0], ("message", LOOKED_AT + 50), "what waits, and the last fifty went with the last piece");
}

/// Attempts that a message had over the days, beside those that are there.
fn attempts(place: &Place, seq: i64, count: i64, at: Timestamp) {
    let connection = rusqlite::Connection::open(place.folder.join(DATABASE_FILE)).unwrap();
    let insert = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2)
        INSERT INTO attempt (message, integration, delivery, stage, replay, release, started_at, ended_at, result, trace)
        SELECT ?1, 'crm', 1, 'steps', 0, '00', ?3, ?3, 'failed', '{}' FROM n";
    connection.execute(insert, (seq, count, at.0)).unwrap();
}

#[tokio::test]
async fn no_command_forgets_more_than_its_limits_however_much_is_old() {
    let (world, place) = place();
    deliver_many(&world, &place.store, 250).await;
    const TRIED: i64 = 700;
    (1..=20).for_each(|seq| attempts(&place, seq, TRIED, world.now()));
    world.advance(2 * HOUR);
    let before = Timestamp(world.now().0 - 1);
    let count = |place: &Place| rows(place).iter().map(|(_, count)| u64::try_from(*count).unwrap()).sum::<u64>();
    let (mut after, mut left, mut commands) = (Some(0), count(&place), 0);
    while let Some(place_in) = after {
        let piece = place.store.forget_messages(before, place_in).await.unwrap();
        let gone = left - count(&place);
        let of_one = u64::try_from(TRIED).unwrap() + 10;
        assert!(piece.forgotten <= FORGOTTEN_AT_ONCE && gone <= ROWS_AT_ONCE + of_one, "{gone} rows of {}", piece.forgotten);
        (after, left, commands) = (piece.next, left - gone, commands + 1);
    }
    assert_eq!((left, commands > 7), (0, true), "{commands}");
}

#[tokio::test]
async fn no_command_clears_away_more_rows_of_a_kind_than_its_limit() {
    let (_world, place) = place();
    let connection = rusqlite::Connection::open(place.folder.join(DATABASE_FILE)).unwrap();
    let many = 2 * CLEAN_ROWS_MAX + 100;
    let numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)";
    for insert in [
        "INSERT INTO dedup (scope, token, message, expires_at) SELECT 's', CAST(n AS BLOB), x'00', 1 FROM n",
        "INSERT INTO key_value (integration, key, value, expires_at) SELECT 'crm', 'k' || n, x'00', 1 FROM n",
        "INSERT INTO tally (integration, outcome, minute, count) SELECT 'crm', 'delivered', n, 1 FROM n",
    ] {
        assert_eq!(connection.execute(&format!("{numbers} {insert}"), [many]).unwrap(), usize::try_from(many).unwrap());
    }
    let count = |table: &str| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
    let counts = || ["dedup", "key_value", "tally"].map(count);
    for left in [many - CLEAN_ROWS_MAX, many - 2 * CLEAN_ROWS_MAX] {
        assert!(place.store.clean(START).await.unwrap().more);
        assert_eq!(counts(), [left; 3]);
    }
    assert!(!place.store.clean(START).await.unwrap().more);
    assert_eq!(counts(), [0; 3]);
}

#[tokio::test]
async fn more_minutes_than_a_command_clears_away_are_cleared_away_too() {
    let (_world, place) = place();
    let connection = rusqlite::Connection::open(place.folder.join(DATABASE_FILE)).unwrap();
    let insert = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO tally (integration, outcome, minute, count) SELECT 'crm', 'delivered', n, 1 FROM n";
    connection.execute(insert, [CLEAN_ROWS_MAX + 1]).unwrap();
    assert!(place.store.clean(START).await.unwrap().more);
}

#[tokio::test]
async fn a_message_that_came_to_an_integration_twice_is_kept_until_both_have_ended() {
    let (world, place) = place();
    let id = world.accept("1", None).await;
    let again = world.append(AppendedMessage::Existing(id), &[("crm", Lane::Free)]);
    let settle = world.settlement(world.lease_one().await.id, delivered());
    let sent = KeptBody { content_type: None, bytes: 4, beginning: "sent".into() };
    let attempt = Attempt { exchanges: vec![Exchange { sent, answer: None }], ..settle.attempt.clone() };
    world.store().settle(Arc::new(Settle { appends: vec![again], attempt, ..settle })).await.unwrap();
    let forget_all = async || {
        world.advance(2 * HOUR);
        let bodies = place.store.forget_exchanges(world.now(), 0).await.unwrap().forgotten;
        (forget(&world, &place.store).await, bodies)
    };
    assert_eq!(forget_all().await, (0, 0), "it stands as delivered, and waits");
    world.deliver(world.lease_one().await.id).await;
    assert_eq!(forget_all().await, (1, 1));

    world.accept_for("2", &[("crm", Lane::Free), ("crm", Lane::Free)]).await;
    let twice = world.lease("crm").await;
    let letter = world.kill(twice[0].id).await;
    world.deliver(twice[1].id).await;
    assert_eq!(forget_all().await, (0, 0), "it stands as delivered, and is a dead letter");
    world.discard(letter).await.unwrap();
    assert_eq!(forget_all().await, (1, 0));
    assert_eq!(rows(&place), []);
}

#[tokio::test]
async fn one_that_has_waited_for_long_keeps_nobody_elses_bodies() {
    let (world, place) = place();
    world.accept("waits", None).await;
    let waits = || Settlement::Waits { due_at: world.now().plus(Duration::from_millis(HOUR)) };
    sends(&world, world.lease_one().await.id, waits()).await;
    world.accept("1", None).await;
    sends(&world, world.lease_one().await.id, delivered()).await;
    world.advance(2 * HOUR);
    // The same wait again: the first attempt has ended now.
    sends(&world, world.lease_one().await.id, waits()).await;
    let before = world.now().minus(Duration::from_millis(HOUR));
    assert_eq!(place.store.forget_exchanges(before, 0).await.unwrap(), Forgotten { forgotten: 1, next: None });
    let count = rows(&place);
    assert!(count.contains(&("attempt", 2)) && count.contains(&("exchange", 1)), "{count:?}");
    // And it is found itself when it is old.
    world.advance(2 * HOUR);
    world.deliver(world.lease_one().await.id).await;
    world.advance(2 * HOUR);
    assert_eq!(place.store.forget_exchanges(world.now(), 0).await.unwrap().forgotten, 1);
}

#[tokio::test]
async fn an_attempt_that_goes_on_waiting_after_it_was_found_to_be_old_keeps_its_bodies() {
    let (world, place) = place();
    world.accept("1", None).await;
    sends(&world, world.lease_one().await.id, dead()).await;
    let letter = world.dead_letters().await.remove(0).id;
    let connection = rusqlite::Connection::open(place.folder.join(DATABASE_FILE)).unwrap();
    world.discard(letter).await.unwrap();
    world.advance(2 * HOUR);
    let before = world.now();
    let old = retention::old_exchanges(&connection, before, 0).unwrap();
    connection.execute("UPDATE attempt SET ended_at = ?1", [before.0]).unwrap();
    let forgotten = place.store.inner.writer.run(0, move |writing| retention::forget_exchanges(writing, &old, before)).await.unwrap();
    assert_eq!(forgotten.forgotten, 0);
}

#[tokio::test]
async fn bodies_go_before_their_messages_but_not_those_of_open_dead_letters() {
    let (world, place) = place();
    world.accept("1", None).await;
    sends(&world, world.lease_one().await.id, delivered()).await;
    world.accept("2", None).await;
    sends(&world, world.lease_one().await.id, dead()).await;
    world.accept("3", None).await;
    let before = |world: &World| Timestamp(world.now().0 - 1);
    assert_eq!(place.store.forget_exchanges(before(&world), 0).await.unwrap().forgotten, 0);
    world.advance(10);
    assert_eq!(place.store.forget_exchanges(before(&world), 0).await.unwrap().forgotten, 1);
    let count = rows(&place);
    assert!(count.contains(&("exchange", 1)) && count.contains(&("attempt", 2)) && count.contains(&("message", 3)), "{count:?}");
}
