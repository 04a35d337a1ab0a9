//! Polls that go well: what they bring, in which order, how often, and over a restart.

use std::time::Duration;

use super::scene::*;
use crate::clock::Clock;
use crate::delivery::tests::lab::{START, draft, text};
use crate::message_store::{KeyValueRead, KeyValueWrite, Lease, MessageStore};
use crate::plugin::scripted::Answer;
use crate::plugin::{Effects, Item, Output, Page, QueueSend};

#[tokio::test]
async fn is_asked_in_time_with_the_cursor_it_gave_and_brings_each_item_once() {
    let scene = Scene::new(|call| match call.cursor.as_deref() {
        None => page(&["1", "2", "1"], "a", false),
        Some("a") => page(&["2", "3"], "b", false),
        _ => page(&[], "b", false),
    });
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(125)).await;
    assert_eq!(scene.asked(), [(0, None), (60, Some("a".to_owned())), (120, Some("b".to_owned()))]);
    assert_eq!(scene.waiting().await, ["1", "2", "3"]);
    let state = scene.state().await;
    assert_eq!((state.due_at, state.last.items, state.last.fresh), (state.last.at.plus(MINUTE), 0, 0));
    let figures = scene.lab.metrics.encode();
    assert!(figures.contains("lockgate_messages_accepted_total{integration=\"orders\"} 3"), "{figures}");
    assert!(figures.contains("lockgate_messages_duplicate_total{integration=\"orders\"} 2"), "{figures}");
}

#[tokio::test]
async fn is_asked_again_at_once_while_there_is_more() {
    let scene = Scene::new(|call| {
        let next = call.cursor.as_deref().map_or(0, |cursor| cursor.parse::<u32>().unwrap()) + 1;
        page(&[&next.to_string()], &next.to_string(), next % 5 != 0)
    });
    let _sources = scene.start();
    scene.lab.idle().await;
    assert_eq!((scene.times().len(), scene.waiting().await.len()), (5, 5));
    scene.lab.pass(MINUTE).await;
    assert_eq!(scene.times().len(), 10);
}

#[tokio::test]
async fn goes_on_after_a_restart_where_it_was_and_not_before_it_is_due() {
    let scene = Scene::new(|call| page(&["1"], &format!("{}x", call.cursor.as_deref().unwrap_or_default()), false));
    let first = scene.start();
    scene.lab.pass(Duration::from_secs(30)).await;
    first.stop(&*scene.lab.clock, Duration::from_secs(1)).await;
    let _second = scene.start();
    scene.lab.pass(Duration::from_secs(20)).await;
    assert_eq!(scene.times(), [0]);
    scene.lab.pass(Duration::from_secs(15)).await;
    assert_eq!(scene.asked()[1..], [(60, Some("x".to_owned()))]);
    assert_eq!(scene.waiting().await, ["1"]);
}

#[tokio::test]
async fn its_effects_are_there_with_its_page() {
    let sends = QueueSend { channel: "nobody".into(), draft: draft("sent"), delay: None, dedup_token: None };
    let write = KeyValueWrite { integration: "orders".into(), key: "k".into(), value: Some(b"1".to_vec()), expires_at: None };
    let scene = Scene::new(move |_| Answer {
        effects: Effects { key_values: vec![write.clone()], sends: vec![sends.clone()], ..Effects::default() },
        ..page(&["1"], "a", false)
    });
    let _sources = scene.start();
    scene.lab.idle().await;
    assert_eq!(scene.lab.store.get("orders", "k", START).await.unwrap(), Some(b"1".to_vec()));
}

#[tokio::test]
async fn an_item_has_its_key_its_tracked_values_and_where_it_came_from() {
    let scene = Scene::new(|_| {
        let items = vec![Item { key: Some("customer-1".into()), ..item("1") }, Item { key: Some("customer-1".into()), ..item("2") }];
        Output::Page(Page { items, cursor: "a".into(), more: false }).into()
    });
    let _sources = scene.start();
    scene.lab.idle().await;
    let lease = Lease { integration: "orders".into(), now: scene.lab.clock.now(), limit: 10, bytes_max: usize::MAX };
    let leased = scene.lab.store.lease(lease).await.unwrap();
    assert_eq!(leased.len(), 1, "the second stands behind the first");
    let message = &leased[0].message;
    assert_eq!((text(message).as_str(), message.origin.as_str()), ("1", "poll shop"));
    assert_eq!(message.key.as_ref().unwrap().0, "customer-1");
    assert_eq!(message.tracked[0].value, "1");
}
