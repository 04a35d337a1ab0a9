//! What people do with dead letters.

use super::world::*;
use crate::message::Outcome;
use crate::message_store::{ClosedLetter, DeadLetterId, Replayed, Settlement, Stage, StoreError, Superseded};

pub async fn a_dead_letter_is_replayed_once_with_the_next_number(world: World) {
    let id = world.accept("1", None).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    assert_eq!(world.replay(dead_letter, Superseded::Ask).await.unwrap(), Replayed::Queued(1));
    let replayed = ClosedLetter::Replayed { at: world.now(), replay: 1 };
    world.advance(1000);
    let second = [world.replay(dead_letter, Superseded::Anyway).await.map(drop), world.discard(dead_letter).await];
    for told in second {
        assert!(matches!(told, Err(StoreError::NotOpen(closed)) if closed == replayed), "who comes second is told what the first did");
    }
    let leased = world.lease_one().await;
    assert_eq!((leased.replay, leased.attempts, leased.failing_since), (1, 0, None));
    let dead_letter = world.kill(leased.id).await;
    assert_eq!(world.replay(dead_letter, Superseded::Ask).await.unwrap(), Replayed::Queued(2));
    world.deliver(world.lease_one().await.id).await;
    let ended = |outcome, replay| ("crm".to_owned(), outcome, replay);
    let expected = [ended(Outcome::DeadLettered, 0), ended(Outcome::DeadLettered, 1), ended(Outcome::Delivered, 2)];
    assert_eq!(world.outcomes(id).await, expected);
    assert!(world.dead_letters().await.is_empty());
}

pub async fn a_discarded_dead_letter_is_gone(world: World) {
    let id = world.accept("1", Some("a")).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    world.discard(dead_letter).await.unwrap();
    let discarded = ClosedLetter::Discarded { at: world.now(), reason: "a test order".into() };
    for told in [world.discard(dead_letter).await, world.replay(dead_letter, Superseded::Anyway).await.map(drop)] {
        assert!(matches!(told, Err(StoreError::NotOpen(closed)) if closed == discarded));
    }
    assert!(matches!(world.discard(DeadLetterId(999)).await, Err(StoreError::NoSuchDeadLetter)));
    assert!(world.lease("crm").await.is_empty());
    assert!(world.dead_letters().await.is_empty());
    assert_eq!(world.outcomes(id).await.last(), Some(&("crm".into(), Outcome::Discarded, 0)));
}

pub async fn a_replay_goes_before_what_is_newer_and_not_in_flight(world: World) {
    world.accept("1", Some("a")).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    world.accept("3", Some("a")).await;
    assert_eq!(world.replay(dead_letter, Superseded::Ask).await.unwrap(), Replayed::Queued(1));
    for body in ["1", "2", "3"] {
        let leased = world.lease_one().await;
        assert_eq!(bodies(std::slice::from_ref(&leased)), [body]);
        world.deliver(leased.id).await;
    }
}

pub async fn a_replay_waits_for_what_is_in_flight_then_goes_first(world: World) {
    world.accept("1", Some("a")).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    world.accept("3", Some("a")).await;
    let two = world.lease_one().await;
    assert_eq!(world.replay(dead_letter, Superseded::Ask).await.unwrap(), Replayed::Queued(1));
    assert!(world.lease("crm").await.is_empty());
    world.settle(two.id, Settlement::Retries { due_at: world.now() }).await;
    for body in ["1", "2", "3"] {
        let leased = world.lease_one().await;
        assert_eq!(bodies(std::slice::from_ref(&leased)), [body]);
        world.deliver(leased.id).await;
    }
}

pub async fn a_replay_goes_before_what_was_in_flight_and_is_released(world: World) {
    world.accept("1", Some("a")).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    world.accept("2", Some("a")).await;
    let two = world.lease_one().await;
    world.replay(dead_letter, Superseded::Ask).await.unwrap();
    world.store().release(two.id).await.unwrap();
    for body in ["1", "2"] {
        let leased = world.lease_one().await;
        assert_eq!(bodies(std::slice::from_ref(&leased)), [body]);
        world.deliver(leased.id).await;
    }
}

pub async fn a_replay_behind_newer_deliveries_asks(world: World) {
    world.accept("1", Some("a")).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    for body in ["2", "3"] {
        world.accept(body, Some("a")).await;
        world.deliver(world.lease_one().await.id).await;
    }
    world.accept("other", Some("b")).await;
    world.deliver(world.lease_one().await.id).await;
    assert_eq!(world.replay(dead_letter, Superseded::Ask).await.unwrap(), Replayed::Superseded(2));
    assert_eq!(world.dead_letters().await.len(), 1, "nothing was done");
    assert!(world.lease("crm").await.is_empty());
}

pub async fn a_replay_behind_newer_deliveries_is_skipped_or_made_as_told(world: World) {
    let mut dead_letters = Vec::new();
    for body in ["1", "2"] {
        world.accept(body, Some("a")).await;
        dead_letters.push(world.kill(world.lease_one().await.id).await);
    }
    world.accept("3", Some("a")).await;
    world.deliver(world.lease_one().await.id).await;
    assert_eq!(world.replay(dead_letters[0], Superseded::Skip).await.unwrap(), Replayed::Skipped);
    assert_eq!(world.replay(dead_letters[1], Superseded::Anyway).await.unwrap(), Replayed::Queued(1));
    assert_eq!(bodies(&world.lease("crm").await), ["2"]);
    assert!(world.dead_letters().await.is_empty());
}

pub async fn siblings_do_not_supersede_each_other(world: World) {
    world.accept("1", Some("a")).await;
    let parent = world.lease_one().await;
    let children = world.children(&parent.message, &["1a", "1b"]);
    world.settle(parent.id, Settlement::FannedOut { children }).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    world.deliver(world.lease_one().await.id).await;
    assert_eq!(world.replay(dead_letter, Superseded::Ask).await.unwrap(), Replayed::Queued(1));
}

pub async fn a_replayed_child_goes_to_the_sink(world: World) {
    world.accept("1", Some("a")).await;
    let parent = world.lease_one().await;
    let children = world.children(&parent.message, &["1a", "1b"]);
    world.settle(parent.id, Settlement::FannedOut { children }).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    world.replay(dead_letter, Superseded::Ask).await.unwrap();
    let leased = world.lease_one().await;
    assert_eq!((bodies(std::slice::from_ref(&leased)), leased.stage, leased.replay), (vec!["1a"], Stage::Sink, 1));
}
