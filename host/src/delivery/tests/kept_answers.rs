//! Deliveries over the answers that are kept of a target that is down, in virtual time: who goes on, who waits, and what the target is asked.

use std::time::Duration;

use super::lab::START;
use super::target::*;
use crate::alias::Alias;
use crate::clock::Timestamp;
use crate::integration::Integration;
use crate::message_store::MessageStore;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An ERP that is asked, of which answers are kept for an hour and which is down between the two, and a CRM that takes everything.
fn scene(integrations: Vec<Integration>, down: Timestamp, back: Timestamp) -> Scene {
    let erp = Alias { stale_if_error: Some(seconds(3_600)), ..alias("erp", &[]) };
    Scene::new(integrations, vec![erp, alias("crm", &[])], move |asked| {
        let is_down = asked.alias == "erp" && asked.at >= down && asked.at < back;
        (Duration::from_millis(20), if is_down { refused() } else { status(200) })
    })
}

fn no_attempt_was_used(scene: &Scene) {
    let figures = scene.lab.metrics.encode();
    assert!(!figures.contains("result=\"failed\""), "{figures}");
    assert!(scene.lab.store.dead_letters().is_empty());
}

fn taken_of(scene: &Scene, integration: &str) -> usize {
    scene.target.taken().iter().filter(|body| body.starts_with(integration)).count()
}

fn asked_of_erp(scene: &Scene) -> Vec<Asked> {
    scene.target.asked().into_iter().filter(|asked| asked.alias == "erp").collect()
}

fn breaker_of_erp(scene: &Scene) -> &'static str {
    scene.lab.aliases.states().iter().find(|alias| alias.name == "erp").unwrap().breaker
}

#[tokio::test]
async fn deliveries_that_only_ask_go_on_and_send_nothing_but_the_breakers_own_tries() {
    let (down, back) = (START.plus(seconds(10)), START.plus(seconds(1_000)));
    let scene = scene(vec![asking("a", "erp", "crm")], down, back);
    let _dispatcher = scene.lab.start();
    scene.send("a", 1, 0).await;
    scene.pass(seconds(11)).await;
    scene.send("a", 20, 0).await;
    scene.pass(seconds(20)).await;
    assert_eq!(breaker_of_erp(&scene), "half-open", "nobody asks any more");
    assert_eq!(taken_of(&scene, "a"), 21, "while it opened, too");
    let before = asked_of_erp(&scene).len();
    scene.send("a", 500, 0).await;
    scene.pass(seconds(60)).await;
    assert_eq!(taken_of(&scene, "a"), 521);
    let tries = asked_of_erp(&scene).split_off(before);
    assert!(tries.len() <= 13, "one in five seconds at the most: {}", tries.len());
    assert!(tries.iter().all(|asked| asked.under_way <= 9 && asked.body.is_empty()));
    no_attempt_was_used(&scene);
}

#[tokio::test]
async fn deliveries_that_need_more_wait_use_no_attempt_and_go_when_the_target_is_back() {
    let (down, back) = (START.plus(seconds(1)), START.plus(seconds(300)));
    let scene = scene(vec![asking("a", "erp", "crm"), posting("b", "erp"), asking("c", "erp", "erp")], down, back);
    let _dispatcher = scene.lab.start();
    for name in ["a", "c"] {
        scene.send(name, 1, 0).await;
    }
    scene.pass(seconds(2)).await;
    for name in ["b", "c"] {
        scene.send(name, 200, 10).await;
    }
    scene.pass(seconds(30)).await;
    assert_eq!(breaker_of_erp(&scene), "open");
    let (calls, asked) = (scene.calls(), asked_of_erp(&scene).len());
    scene.pass(seconds(100)).await;
    let tries = asked_of_erp(&scene).split_off(asked);
    assert!(tries.len() <= 21 && tries.iter().all(|asked| asked.under_way == 1), "no more than without answers: {}", tries.len());
    assert!(scene.calls() - calls <= 2 * (32 + 10 * 100), "no circle: {}", scene.calls() - calls);
    scene.send("a", 300, 0).await;
    scene.pass(seconds(30)).await;
    assert_eq!((taken_of(&scene, "a"), taken_of(&scene, "b"), taken_of(&scene, "c")), (301, 0, 1));
    no_attempt_was_used(&scene);
    scene.pass(seconds(220)).await;
    assert_eq!((taken_of(&scene, "b"), taken_of(&scene, "c"), scene.lab.store.waiting_in_all()), (200, 201, 0));
    for name in ["b", "c"] {
        let numbers = scene.target.taken().into_iter().filter_map(|body| body.strip_prefix(name)?.strip_prefix('-')?.parse().ok());
        let of_a_key: Vec<usize> = numbers.filter(|number: &usize| number % 10 == 3).collect();
        assert!(of_a_key.is_sorted(), "{of_a_key:?}");
    }
    no_attempt_was_used(&scene);
    assert_eq!(breaker_of_erp(&scene), "closed");
}
