//! Readers that begin at a channel's beginning.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Activation, Ahead, By, DATABASE_FILE, Filled, Options, SqliteStore, copy_into};
use super::releases::release;
use crate::clock::Timestamp;
use crate::message::MessageId;
use crate::message_store::audit::tests::note;
use crate::message_store::suite::world::*;
use crate::message_store::{Advance, Append, AppendedMessage, Lane, NewDelivery, SourceResult, SourceState, StoreError};

const CHANNEL: &str = "orders.canonical";
const HOUR: u64 = 60 * 60 * 1_000;

fn opened() -> (World, SqliteStore) {
    let disk = OnDisk::open();
    let store = disk.sqlite().clone();
    (World::new(disk), store)
}

/// A writer puts a message with this body onto the channel, in the lane `a` of its readers.
async fn append(world: &World, text: &str, readers: &[&str]) -> MessageId {
    append_for(world, text, readers, 0).await
}

/// The same, for so much later.
async fn append_for(world: &World, text: &str, readers: &[&str], later_ms: u64) -> MessageId {
    let message = world.message(text, Some("a"));
    let id = message.id;
    let readers: Vec<_> = readers.iter().map(|reader| (*reader, key("a"))).collect();
    let last = SourceResult { at: world.now(), result: "polled".into(), code: None, detail: None, items: 0, fresh: 0 };
    let from = world.store().source("writer", "poll").await.unwrap().and_then(|state| state.cursor);
    let append = world.append(AppendedMessage::New(Arc::new(message)), &readers);
    let advance = Advance {
        integration: "writer".into(),
        source: "poll".into(),
        from,
        to: SourceState { cursor: Some(text.into()), due_at: world.now(), last },
        found: Vec::new(),
        appends: vec![Append { due_at: world.now().plus(Duration::from_millis(later_ms)), ..append }],
        key_values: Vec::new(),
        waiting_max: crate::integration::WaitingMax::each(100),
        now: world.now(),
    };
    world.store().advance(Arc::new(advance)).await.unwrap();
    id
}

/// `erp` becomes active, reading these channels, those from their beginning.
async fn activate(store: &SqliteStore, file: &str, channels: &[&str], from_beginning: &[&str]) {
    let id = store.releases().put(&release("erp", file), START, "anna").await.unwrap();
    let names = |channels: &[&str]| channels.iter().map(|channel| (*channel).to_owned()).collect::<Vec<_>>();
    let activation = Activation {
        reorders: false,
        integration: "erp".into(),
        release: id,
        channels: names(channels),
        from_beginning: names(from_beginning).into_iter().map(|name| (name, None)).collect(),
        trial_did: None,
    };
    store.releases().activate(vec![activation], START, By::start()).await.unwrap();
}

async fn begins(store: &SqliteStore) {
    activate(store, "a", &[CHANNEL], &[CHANNEL]).await;
}

/// A chunk of as many as there is room for; none where there is none.
async fn fill(world: &World, store: &SqliteStore, most: u64) -> Option<Filled> {
    let chunk = store.backfills().next("erp", CHANNEL, ahead(most)).await.unwrap()?;
    let delivery = |(_, due_at): (_, Timestamp)| NewDelivery {
        integration: "erp".into(),
        lane: key("a"),
        ordering: 0,
        due_at: due_at.max(world.now()),
        record: None,
    };
    let deliveries = chunk.messages().map(delivery).collect();
    Some(store.backfills().fill("erp", CHANNEL, chunk, deliveries, world.now()).await.unwrap())
}

/// Delivers one after the other what is there: the lane's order.
async fn delivered_bodies(world: &World) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some(leased) = world.lease("erp").await.pop() {
        bodies.push(body(&leased).to_owned());
        world.deliver(leased.id).await;
    }
    bodies
}

fn ahead(most: u64) -> Ahead {
    Ahead { ready: most, waiting: most }
}

fn left(all: &[super::super::Backfill]) -> Vec<u64> {
    all.iter().map(|backfill| backfill.left).collect()
}

#[tokio::test]
async fn what_comes_live_waits_behind_what_was_there_before() {
    let (mut world, store) = opened();
    for body in ["1", "2", "3"] {
        append(&world, body, &[]).await;
    }
    begins(&store).await;
    append(&world, "4", &["erp"]).await;
    assert_eq!((bodies(&world.lease("erp").await), store_waiting(&store)), (vec![], 1), "it is not its turn, and it waits");
    assert_eq!(fill(&world, &store, 2).await, Some(Filled::More));
    assert_eq!(store_waiting(&store), 3);
    assert_eq!(fill(&world, &store, 2).await, None, "enough waits");
    drop(store);
    world.crash().await;
    assert_eq!(world.store().waiting("erp"), 3, "as it was");
    assert_eq!(delivered_bodies(&world).await, ["1", "2"]);
}

#[tokio::test]
async fn it_reads_live_once_nothing_is_left() {
    let (world, store) = opened();
    for body in ["1", "2"] {
        append(&world, body, &[]).await;
    }
    begins(&store).await;
    append(&world, "3", &["erp"]).await;
    assert_eq!(left(&store.backfills().all().await.unwrap()), [3]);
    assert_eq!(fill(&world, &store, 100).await, Some(Filled::Done));
    assert_eq!(store.backfills().all().await.unwrap(), []);
    append(&world, "4", &["erp"]).await;
    assert_eq!(store_waiting(&store), 4);
    assert_eq!(delivered_bodies(&world).await, ["1", "2", "3", "4"]);
    assert_eq!(store_waiting(&store), 0);
}

#[tokio::test]
async fn a_reader_of_an_empty_channel_and_one_from_now_on_take_nothing_over() {
    let (world, store) = opened();
    begins(&store).await;
    assert_eq!(store.backfills().all().await.unwrap(), []);
    append(&world, "1", &["erp"]).await;
    activate(&store, "b", &[CHANNEL], &[]).await;
    assert_eq!(store.backfills().all().await.unwrap(), [], "it has read it all along");
    assert_eq!(delivered_bodies(&world).await, ["1"]);
}

#[tokio::test]
async fn what_was_sent_for_later_comes_later() {
    let (world, store) = opened();
    append(&world, "1", &[]).await;
    begins(&store).await;
    append_for(&world, "2", &["erp"], 5_000).await;
    assert_eq!(fill(&world, &store, 100).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["1"]);
    world.advance(5_000);
    assert_eq!(delivered_bodies(&world).await, ["2"]);
}

#[tokio::test]
async fn a_chunk_is_filled_once() {
    let (world, store) = opened();
    for body in ["1", "2", "3"] {
        append(&world, body, &[]).await;
    }
    begins(&store).await;
    let chunk = || async { store.backfills().next("erp", CHANNEL, ahead(2)).await.unwrap().unwrap() };
    let (first, same) = (chunk().await, chunk().await);
    let deliveries = world.deliveries(&[("erp", key("a")), ("erp", key("a"))]);
    assert_eq!(store.backfills().fill("erp", CHANNEL, first, deliveries.clone(), START).await.unwrap(), Filled::More);
    assert_eq!(store.backfills().fill("erp", CHANNEL, same, deliveries, START).await.unwrap(), Filled::Moved);
    assert_eq!(store_waiting(&store), 2);
}

#[tokio::test]
async fn who_comes_again_gets_what_it_missed_and_nothing_twice() {
    let (world, store) = opened();
    begins(&store).await;
    append(&world, "had", &["erp"]).await;
    assert_eq!(delivered_bodies(&world).await, ["had"]);
    store.retirements().begin("erp", START, None, note()).await.unwrap();
    assert!(store.retirements().finish("erp", START, note()).await.unwrap());
    append(&world, "missed", &[]).await;
    begins(&store).await;
    assert_eq!(fill(&world, &store, 100).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["missed"]);
}

#[tokio::test]
async fn who_is_retired_meanwhile_gets_all_that_is_there_and_nothing_that_comes() {
    let (world, store) = opened();
    append(&world, "before", &[]).await;
    begins(&store).await;
    append(&world, "live", &["erp"]).await;
    store.retirements().begin("erp", START, None, note()).await.unwrap();
    append(&world, "later", &[]).await;
    assert!(!store.retirements().finish("erp", START, note()).await.unwrap(), "it takes over still");
    assert_eq!(fill(&world, &store, 1).await, Some(Filled::More));
    assert_eq!(fill(&world, &store, 2).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["before", "live"]);
    assert!(store.retirements().finish("erp", START, note()).await.unwrap());
}

#[tokio::test]
async fn nothing_waits_of_one_that_is_retired_and_yet_it_is_not_done_before_it_has_all() {
    let (world, store) = opened();
    append(&world, "before", &[]).await;
    begins(&store).await;
    store.retirements().begin("erp", START, None, note()).await.unwrap();
    assert_eq!(store_waiting(&store), 0);
    assert!(!store.retirements().finish("erp", START, note()).await.unwrap());
    assert_eq!(fill(&world, &store, 2).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["before"]);
    assert!(store.retirements().finish("erp", START, note()).await.unwrap());
}

#[tokio::test]
async fn who_stays_after_all_gets_what_came_meanwhile_too() {
    let (world, store) = opened();
    append(&world, "before", &[]).await;
    begins(&store).await;
    append(&world, "live", &["erp"]).await;
    store.retirements().begin("erp", START, None, note()).await.unwrap();
    append(&world, "meanwhile", &[]).await;
    assert!(store.retirements().take_back("erp", note()).await.unwrap());
    append(&world, "after", &["erp"]).await;
    assert_eq!(store_waiting(&store), 3);
    assert_eq!(fill(&world, &store, 100).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["before", "live", "meanwhile", "after"]);
    assert_eq!(store_waiting(&store), 0);
}

#[tokio::test]
async fn what_was_on_its_way_when_it_was_retired_or_taken_back_overtakes_nothing_and_is_counted() {
    let (world, store) = opened();
    append(&world, "1", &[]).await;
    begins(&store).await;
    append(&world, "2", &["erp"]).await;
    store.retirements().begin("erp", START, None, note()).await.unwrap();
    // Its writer knew nothing of that yet.
    append(&world, "3", &["erp"]).await;
    assert_eq!((bodies(&world.lease("erp").await), store_waiting(&store)), (vec![], 2));
    assert!(store.retirements().take_back("erp", note()).await.unwrap());
    append(&world, "4", &[]).await;
    assert_eq!(store_waiting(&store), 3);
    assert_eq!(fill(&world, &store, 100).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["1", "2", "3", "4"]);
    assert_eq!(store_waiting(&store), 0);
}

#[tokio::test]
async fn who_reads_the_channel_no_more_gets_what_came_while_it_did() {
    let (world, store) = opened();
    append(&world, "before", &[]).await;
    begins(&store).await;
    append(&world, "live", &["erp"]).await;
    activate(&store, "b", &["another"], &[]).await;
    append(&world, "later", &[]).await;
    assert_eq!(fill(&world, &store, 100).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["live"]);
    assert_eq!(store_waiting(&store), 0);
}

#[tokio::test]
async fn keys_that_are_stopped_do_not_keep_the_others() {
    let (world, store) = opened();
    for body in ["1", "2", "3"] {
        append(&world, body, &[]).await;
    }
    begins(&store).await;
    let one_by_one = |lane: &'static str| {
        let (world, store) = (&world, &store);
        async move {
            let chunk = store.backfills().next("erp", CHANNEL, ahead(1)).await.unwrap()?;
            Some(store.backfills().fill("erp", CHANNEL, chunk, world.deliveries(&[("erp", key(lane))]), world.now()).await.unwrap())
        }
    };
    assert_eq!(one_by_one("a").await, Some(Filled::More));
    assert_eq!(one_by_one("b").await, None, "one waits");
    world.settle(world.lease("erp").await.remove(0).id, dead_and_stopping()).await;
    assert_eq!(one_by_one("b").await, Some(Filled::More));
    assert_eq!(bodies(&world.lease("erp").await), ["2"]);
}

#[tokio::test]
async fn nothing_is_taken_over_into_the_reserve_of_the_disk() {
    let (disk, copy) = (OnDisk::open(), tempfile::tempdir().unwrap());
    let (store, database) = (disk.sqlite().clone(), disk.folder.path().join(DATABASE_FILE));
    let world = World::new(disk);
    append(&world, "1", &[]).await;
    begins(&store).await;
    copy_into(&database, &copy.path().join(DATABASE_FILE)).unwrap();
    let full = SqliteStore::open(copy.path(), Options { reserve_bytes: u64::MAX, ..options() }).unwrap();
    let chunk = full.backfills().next("erp", CHANNEL, ahead(1)).await.unwrap().unwrap();
    let filled = full.backfills().fill("erp", CHANNEL, chunk, world.deliveries(&[("erp", key("a"))]), world.now()).await;
    assert!(matches!(filled, Err(StoreError::Full)), "{filled:?}");
}

#[tokio::test]
async fn what_is_still_to_be_taken_over_is_kept_however_old_it_is() {
    let (world, store) = opened();
    for body in ["1", "2"] {
        append(&world, body, &[]).await;
    }
    begins(&store).await;
    world.advance(2 * HOUR);
    let before = world.now().minus(Duration::from_millis(HOUR));
    assert_eq!(store.forget_messages(before, 0).await.unwrap().forgotten, 0);
    assert_eq!(fill(&world, &store, 100).await, Some(Filled::Done));
    assert_eq!(delivered_bodies(&world).await, ["1", "2"]);
    world.advance(2 * HOUR);
    let before = world.now().minus(Duration::from_millis(HOUR));
    assert_eq!(store.forget_messages(before, 0).await.unwrap().forgotten, 2);
    activate(&store, "other", &[], &[]).await;
    begins(&store).await;
    assert_eq!(store.backfills().all().await.unwrap(), [], "nothing is on the channel any more");
}

#[tokio::test]
async fn one_that_cannot_be_ordered_is_a_dead_letter_and_waits_no_more() {
    let (world, store) = opened();
    append(&world, "before", &[]).await;
    begins(&store).await;
    append(&world, "live", &["erp"]).await;
    let chunk = store.backfills().next("erp", CHANNEL, ahead(100)).await.unwrap().unwrap();
    let lane = || Lane::Unkeyed("no customer".into());
    let deliveries = world.deliveries(&[("erp", lane()), ("erp", lane())]);
    assert_eq!(store.backfills().fill("erp", CHANNEL, chunk, deliveries, world.now()).await.unwrap(), Filled::Done);
    assert_eq!((world.dead_letters().await.len(), store_waiting(&store)), (2, 0));
}

fn store_waiting(store: &SqliteStore) -> u64 {
    crate::message_store::MessageStore::waiting(store, "erp")
}
