//! Order per key.

use super::world::*;
use crate::clock::Timestamp;
use crate::message::Outcome;
use crate::message_store::{Settlement, Stage};

pub async fn one_of_a_lane_at_a_time_in_the_order_of_acceptance(world: World) {
    for body in ["a1", "a2", "b1", "a3"] {
        world.accept(body, Some(&body[..1])).await;
    }
    let leased = world.lease("crm").await;
    assert_eq!(bodies(&leased), ["a1", "b1"]);
    world.deliver(leased[0].id).await;
    let leased = world.lease("crm").await;
    assert_eq!(bodies(&leased), ["a2"]);
    world.settle(leased[0].id, Settlement::Skipped { code: "no-change".into(), detail: "same".into() }).await;
    let leased = world.lease("crm").await;
    assert_eq!(bodies(&leased), ["a3"]);
    assert_eq!(world.outcomes(leased[0].message.id).await, []);
    world.deliver(leased[0].id).await;
    assert_eq!(world.outcomes(leased[0].message.id).await, [("crm".into(), Outcome::Delivered, 0)]);
    world.accept("a4", Some("a")).await;
    assert_eq!(bodies(&world.lease("crm").await), ["a4"]);
}

pub async fn a_retry_keeps_its_place(world: World) {
    world.accept("1", Some("a")).await;
    world.accept("2", Some("a")).await;
    let leased = world.lease_one().await;
    world.settle(leased.id, Settlement::Retries { due_at: Timestamp(world.now().0 + 10) }).await;
    assert!(world.lease("crm").await.is_empty());
    world.advance(10);
    assert_eq!(bodies(&world.lease("crm").await), ["1"]);
}

pub async fn a_dead_letter_lets_the_next_one_go(world: World) {
    let poison = world.accept("1", Some("a")).await;
    world.accept("2", Some("a")).await;
    let leased = world.lease_one().await;
    world.kill(leased.id).await;
    assert_eq!(bodies(&world.lease("crm").await), ["2"]);
    let dead = world.dead_letters().await;
    assert_eq!((dead.len(), dead[0].message, dead[0].fingerprint.as_str()), (1, poison, "f00d"));
    assert_eq!(world.outcomes(poison).await, [("crm".into(), Outcome::DeadLettered, 0)]);
}

pub async fn lanes_of_different_integrations_do_not_meet(world: World) {
    world.accept_for("1", &[("crm", key("a")), ("audit", key("a"))]).await;
    assert_eq!(bodies(&world.lease("crm").await), ["1"]);
    assert_eq!(bodies(&world.lease("audit").await), ["1"]);
}

pub async fn children_take_the_place_of_their_parent_in_order(world: World) {
    let parent = world.accept("1", Some("a")).await;
    world.accept("2", Some("a")).await;
    let leased = world.lease_one().await;
    let children = world.children(&leased.message, &["1a", "1b"]);
    world.settle(leased.id, Settlement::FannedOut { children }).await;
    for body in ["1a", "1b"] {
        let child = world.lease_one().await;
        assert_eq!((bodies(std::slice::from_ref(&child)), child.stage), (vec![body], Stage::Sink));
        assert_eq!(child.message.parent, Some(parent));
        world.deliver(child.id).await;
    }
    let next = world.lease_one().await;
    assert_eq!((bodies(std::slice::from_ref(&next)), next.stage), (vec!["2"], Stage::Steps));
    assert_eq!(world.outcomes(parent).await, [("crm".into(), Outcome::FannedOut, 0)]);
}

pub async fn a_child_that_is_there_already_is_not_made_again(world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    let children = world.children(&leased.message, &["1a", "1b"]);
    let twice = [children.clone(), children].concat();
    world.settle(leased.id, Settlement::FannedOut { children: twice }).await;
    assert_eq!(bodies(&world.lease("crm").await), ["1a", "1b"]);
}

pub async fn children_without_a_lane_are_all_due_at_once(world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    let children = world.children(&leased.message, &["1a", "1b", "1c"]);
    world.settle(leased.id, Settlement::FannedOut { children }).await;
    assert_eq!(bodies(&world.lease("crm").await), ["1a", "1b", "1c"]);
}
