//! Schedules: on time, late, once, and what people are told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::*;
use crate::clock::Clock;
use crate::delivery::Pause;
use crate::delivery::tests::lab::text;
use crate::integration::{Entry, Integration, Schedule, Source};
use crate::message_store::{Lease, MessageStore};

/// Every tenth minute. The bench starts at 22:13:20 UTC.
fn scheduled() -> Integration {
    let entry = Entry::Schedule(Schedule::new("*/10 * * * *", "UTC").unwrap());
    Integration { sources: vec![Source { entry, id: Vec::new(), key: None, track: BTreeMap::new() }], ..polling() }
}

async fn came(scene: &Scene) -> Vec<(String, bool)> {
    let lease = Lease { integration: "orders".into(), now: scene.lab.clock.now(), limit: 1_000, bytes_max: usize::MAX };
    let leased = scene.lab.store.lease(lease).await.unwrap();
    let mut came = Vec::new();
    for one in leased {
        let body: serde_json::Value = serde_json::from_str(&text(&one.message)).unwrap();
        assert_eq!((body["schedule"].as_str(), one.message.content_type.as_str()), (Some("*/10 * * * * UTC"), "application/json"));
        came.push((body["scheduled-for"].as_str().unwrap()[11..16].to_owned(), body["late"].as_bool().unwrap()));
        scene.lab.store.release(one.id).await.unwrap();
    }
    came
}

#[tokio::test]
async fn a_message_is_made_at_each_time_and_once_over_a_restart() {
    let scene = Scene::over(|store| store, scheduled(), |_| page(&[], "a", false));
    let first = scene.start();
    scene.lab.pass(Duration::from_secs(20 * 60)).await;
    first.stop(&*scene.lab.clock, Duration::from_secs(1)).await;
    let _second = scene.start();
    scene.lab.pass(Duration::from_secs(60)).await;
    assert_eq!(came(&scene).await, [("22:20".to_owned(), false), ("22:30".to_owned(), false)]);
}

#[tokio::test]
async fn of_the_times_that_passed_while_the_host_was_down_the_last_comes_late() {
    let scene = Scene::over(|store| store, scheduled(), |_| page(&[], "a", false));
    let first = scene.start();
    scene.lab.pass(Duration::from_secs(60)).await;
    first.stop(&*scene.lab.clock, Duration::from_secs(1)).await;
    scene.lab.clock.advance(Duration::from_secs(25 * 60));
    let _second = scene.start();
    scene.lab.pass(Duration::from_secs(120)).await;
    assert_eq!(came(&scene).await, [("22:30".to_owned(), true), ("22:40".to_owned(), false)]);
}

#[tokio::test]
async fn nothing_is_made_while_as_many_deliveries_wait_as_may() {
    let mut scene = Scene::over(|store| store, scheduled(), |_| page(&[], "a", false));
    scene.limits.waiting = crate::integration::WaitingMax::each(1);
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(40 * 60)).await;
    assert_eq!((came(&scene).await.len(), scene.told()), (1, vec!["too-many-waiting".to_owned()]));
}

#[tokio::test]
async fn nothing_is_made_while_all_integrations_together_have_as_many_deliveries_waiting_as_may() {
    let mut scene = Scene::over(|store| store, scheduled(), |_| page(&[], "a", false));
    scene.limits.waiting = crate::integration::WaitingMax { integration: 100, host: 2 };
    scene.fill(2).await;
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(25 * 60)).await;
    assert_eq!((came(&scene).await, scene.told()), (vec![], vec!["too-many-waiting".to_owned()]));
    scene.drain_one().await;
    scene.lab.pass(Duration::from_secs(2)).await;
    assert_eq!(came(&scene).await, [("22:30".to_owned(), true)]);
}

#[tokio::test]
async fn of_the_times_that_fell_into_a_pause_the_last_comes_late() {
    let scene = Scene::over(|store| store, scheduled(), |_| page(&[], "a", false));
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(60)).await;
    scene.lab.delivery.pauses.pause("orders", Pause { since: scene.lab.clock.now(), reason: "r".into() });
    scene.lab.pass(Duration::from_secs(25 * 60)).await;
    assert_eq!(came(&scene).await, []);
    scene.lab.delivery.pauses.resume("orders", scene.lab.clock.now());
    scene.lab.pass(Duration::from_secs(10)).await;
    assert_eq!(came(&scene).await, [("22:30".to_owned(), true)]);
}
