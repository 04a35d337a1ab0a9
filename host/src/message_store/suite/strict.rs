//! Strict order: a dead letter stops its lane until a person has closed it.

use super::world::*;
use crate::message_store::{Accepted, DeliveryId, Replayed, Settlement, Superseded, WaitingMax};

/// Kills a delivery of an integration that orders strictly; its dead letter is the newest.
async fn stop(world: &World, delivery: DeliveryId) -> SeenDeadLetter {
    world.settle(delivery, dead_and_stopping()).await;
    world.dead_letters().await.pop().unwrap()
}

/// The only delivery that is handed out has this body; it is delivered.
async fn delivers(world: &World, expected: &str) {
    let leased = world.lease("crm").await;
    assert_eq!(bodies(&leased), [expected]);
    world.deliver(leased[0].id).await;
}

pub async fn a_dead_letter_stops_its_lane_and_no_other(world: World) {
    for (body, lane) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        world.accept(body, Some(lane)).await;
    }
    let leased = world.lease("crm").await;
    stop(&world, leased[0].id).await;
    world.deliver(leased[1].id).await;
    assert!(world.lease("crm").await.is_empty());
    assert_eq!(world.store().next_due("crm").await.unwrap(), None);
    world.accept("b2", Some("b")).await;
    delivers(&world, "b2").await;
}

pub async fn a_stopped_lane_takes_messages_and_hands_out_none(world: World) {
    world.accept("1", Some("a")).await;
    stop(&world, world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    assert!(world.lease("crm").await.is_empty());
}

pub async fn a_discarded_dead_letter_frees_its_lane(world: World) {
    world.accept("1", Some("a")).await;
    let letter = stop(&world, world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    world.discard(letter.id).await.unwrap();
    delivers(&world, "2").await;
}

pub async fn a_replay_goes_first_and_those_behind_it_follow_when_it_is_delivered(world: World) {
    world.accept("1", Some("a")).await;
    let letter = stop(&world, world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    assert_eq!(world.replay(letter.id, Superseded::Ask).await.unwrap(), Replayed::Queued(1), "nothing newer can have gone before it");
    let replayed = world.lease("crm").await;
    assert_eq!((bodies(&replayed), replayed[0].replay), (vec!["1"], 1));
    world.deliver(replayed[0].id).await;
    delivers(&world, "2").await;
    world.accept("3", Some("a")).await;
    delivers(&world, "3").await;
}

pub async fn a_replay_that_dies_stops_the_lane_again(world: World) {
    world.accept("1", Some("a")).await;
    let letter = stop(&world, world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    world.replay(letter.id, Superseded::Ask).await.unwrap();
    let again = stop(&world, world.lease_one().await.id).await;
    assert!(world.lease("crm").await.is_empty());
    world.discard(again.id).await.unwrap();
    delivers(&world, "2").await;
}

pub async fn an_edit_into_another_lane_frees_the_one_it_leaves(world: World) {
    world.accept("1", Some("a")).await;
    let letter = stop(&world, world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    world.edit(&letter, "edited", Some("b")).await.unwrap();
    let leased = world.lease("crm").await;
    let mut handed_out = bodies(&leased);
    handed_out.sort_unstable();
    assert_eq!(handed_out, ["2", "edited"]);
}

pub async fn a_dead_child_stops_its_siblings(world: World) {
    world.accept("1", Some("a")).await;
    world.accept("2", Some("a")).await;
    let leased = world.lease_one().await;
    let children = world.children(&leased.message, &["1a", "1b", "1c"]);
    world.settle(leased.id, Settlement::FannedOut { children }).await;
    delivers(&world, "1a").await;
    let letter = stop(&world, world.lease_one().await.id).await;
    assert!(world.lease("crm").await.is_empty());
    world.replay(letter.id, Superseded::Ask).await.unwrap();
    for body in ["1b", "1c", "2"] {
        delivers(&world, body).await;
    }
}

pub async fn what_is_stopped_does_not_wait_and_survives_a_crash(mut world: World) {
    world.accept("1", Some("a")).await;
    world.accept("2", Some("a")).await;
    let letter = stop(&world, world.lease_one().await.id).await;
    // One waits: one more may come where two may wait, and no third.
    world.crash().await;
    assert!(world.lease("crm").await.is_empty());
    assert_eq!(world.accept_at_most("3", Some("a"), WaitingMax::each(2)).await, Accepted::New);
    assert_eq!(world.accept_at_most("4", Some("a"), WaitingMax::each(2)).await, Accepted::Full("crm".into()));
    world.discard(letter.id).await.unwrap();
    delivers(&world, "2").await;
    delivers(&world, "3").await;
}

pub async fn a_lane_with_two_dead_letters_goes_when_both_are_closed(world: World) {
    world.accept("1", Some("a")).await;
    // From before the integration was strict.
    world.kill(world.lease_one().await.id).await;
    let first = world.dead_letters().await.remove(0);
    world.accept("2", Some("a")).await;
    world.accept("3", Some("a")).await;
    let second = stop(&world, world.lease_one().await.id).await;
    world.replay(first.id, Superseded::Ask).await.unwrap();
    let again = stop(&world, world.lease_one().await.id).await;
    world.discard(second.id).await.unwrap();
    assert!(world.lease("crm").await.is_empty(), "the older one stops it still");
    world.discard(again.id).await.unwrap();
    delivers(&world, "3").await;
}

pub async fn a_dead_letter_without_a_lane_stops_nothing(world: World) {
    world.accept("1", None).await;
    stop(&world, world.lease_one().await.id).await;
    world.accept("2", None).await;
    delivers(&world, "2").await;
}
