//! Forgetting what is old, and nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::message::MessageId;
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::message_store::sqlite::ledger::{MessageQuery, TimelineQuery};
use crate::message_store::sqlite::{DATABASE_FILE, SqliteStore};
use crate::message_store::suite::world::*;
use crate::message_store::{DeliveryId, Lane, Settlement, Superseded};

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

#[tokio::test]
async fn more_than_one_look_passes_over_is_forgotten_piece_by_piece() {
    let (world, place) = place();
    let kept = world.accept_for("kept", &[("audit", Lane::Free)]).await;
    for _ in 0..250 {
        world.accept("1", None).await;
        world.deliver(world.lease_one().await.id).await;
    }
    world.advance(2 * HOUR);
    let before = Timestamp(world.now().0 - 1);
    let first = place.store.forget_messages(before, 0).await.unwrap();
    assert_eq!((first.forgotten, first.next.is_some()), (100, true));
    assert_eq!(forget(&world, &place.store).await, 150);
    assert_eq!(left(&place.store).await, [kept]);
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
