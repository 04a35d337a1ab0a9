//! Retiring: when it is done, and what comes too late.

use std::sync::Arc;

use super::super::{PauseRow, RetirementRow, SqliteStore};
use crate::integration::WaitingMax;
use crate::message_store::audit::tests::note;
use crate::message_store::suite::world::*;
use crate::message_store::{Advance, AppendedMessage, Lane, Settle, SourceResult, SourceState, StoreError, Superseded};

fn opened() -> (World, SqliteStore) {
    let disk = OnDisk::open();
    let store = disk.sqlite().clone();
    (World::new(disk), store)
}

async fn retired(store: &SqliteStore, integration: &str) {
    store.retirements().begin(integration, START, None, note()).await.unwrap();
    assert!(store.retirements().finish(integration, START, note()).await.unwrap());
}

#[tokio::test]
async fn it_is_done_when_nothing_waits_and_never_before() {
    let (world, store) = opened();
    let rows = store.retirements();
    assert!(!rows.finish("crm", START, note()).await.unwrap(), "nobody asked for it");
    world.accept("1", None).await;
    let pause = PauseRow { kind: "integration".into(), name: "crm".into(), since: START, reason: "a look".into() };
    store.pauses().put(pause, note()).await.unwrap();
    rows.begin("crm", START, Some("why".into()), note()).await.unwrap();
    rows.begin("crm", START.plus(std::time::Duration::from_secs(5)), None, note()).await.unwrap();
    assert!(!rows.finish("crm", START, note()).await.unwrap(), "one waits");
    let leased = world.lease_one().await;
    assert!(!rows.finish("crm", START, note()).await.unwrap(), "one is under way");
    world.deliver(leased.id).await;
    assert!(rows.finish("crm", START, note()).await.unwrap());
    let row = RetirementRow { integration: "crm".into(), since: START, reason: Some("why".into()), done_at: Some(START) };
    assert_eq!(rows.all().await.unwrap(), [row]);
    assert_eq!(store.pauses().all().await.unwrap(), [], "it would come back to run");
    assert!(!rows.take_back("crm", note()).await.unwrap(), "too late");
}

#[tokio::test]
async fn a_request_that_was_read_before_is_not_accepted_for_nobody() {
    let (world, store) = opened();
    retired(&store, "crm").await;
    let late = world.accept_as(world.message("late", None), None, &[("crm", Lane::Free)]).await;
    assert!(matches!(&late, Err(StoreError::Retired(name)) if name == "crm"), "{late:?}");
    world.accept_for("for both", &[("crm", Lane::Free), ("audit", Lane::Free)]).await;
    assert_eq!((store_waiting(&store, "crm"), store_waiting(&store, "audit")), (0, 1), "the other takes it");
}

#[tokio::test]
async fn what_a_writer_made_before_goes_to_the_channels_other_readers() {
    let (world, store) = opened();
    world.accept_for("order", &[("shop", Lane::Free)]).await;
    let leased = world.lease("shop").await.remove(0);
    retired(&store, "crm").await;
    let appended = AppendedMessage::New(Arc::new(world.message("sent", None)));
    let append = world.append(appended, &[("crm", Lane::Free), ("audit", Lane::Free)]);
    let settle = Settle { appends: vec![append], ..world.settlement(leased.id, delivered()) };
    world.store().settle(Arc::new(settle)).await.unwrap();
    assert_eq!((store_waiting(&store, "crm"), store_waiting(&store, "audit")), (0, 1));
}

#[tokio::test]
async fn a_poll_that_was_under_way_leaves_its_cursor_where_it_was() {
    let (world, store) = opened();
    retired(&store, "crm").await;
    let last = SourceResult { at: START, result: "polled".into(), code: None, detail: None, items: 0, fresh: 0 };
    let advance = Advance {
        integration: "crm".into(),
        source: "shop".into(),
        from: None,
        to: SourceState { cursor: Some("a".into()), due_at: START, last },
        found: Vec::new(),
        appends: Vec::new(),
        key_values: Vec::new(),
        waiting_max: WaitingMax::each(100),
        now: START,
    };
    let advanced = world.store().advance(Arc::new(advance)).await;
    assert!(matches!(advanced, Err(StoreError::Retired(_))), "{advanced:?}");
    assert_eq!(world.store().source("crm", "shop").await.unwrap(), None);
}

#[tokio::test]
async fn an_open_dead_letter_is_no_hindrance_and_is_discarded_but_not_replayed() {
    let (world, store) = opened();
    world.accept("1", None).await;
    let letter = world.kill(world.lease_one().await.id).await;
    retired(&store, "crm").await;
    let replayed = world.replay(letter, Superseded::Anyway).await;
    assert!(matches!(replayed, Err(StoreError::Retired(_))), "{replayed:?}");
    world.discard(letter).await.unwrap();
}

fn store_waiting(store: &SqliteStore, integration: &str) -> u64 {
    crate::message_store::MessageStore::waiting(store, integration)
}
