//! What people do with dead letters.

use super::world::*;
use crate::message::Outcome;
use crate::message_store::{ClosedLetter, DeadLetterId, Edit, Replayed, Settlement, Stage, StoreError, Superseded};

pub async fn a_dead_letter_is_replayed_once_with_the_next_number(world: World) {
    let id = world.accept("1", None).await;
    let dead_letter = world.kill(world.lease_one().await.id).await;
    assert_eq!(world.replay(dead_letter, Superseded::Ask).await.unwrap(), Replayed::Queued(1));
    let replayed = ClosedLetter::Replayed { at: world.now(), replay: 1, edited_as: None };
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

pub async fn of_two_who_edit_a_dead_letter_one_is_first_and_the_other_is_told(world: World) {
    let original = world.accept("1", Some("a")).await;
    world.kill(world.lease_one().await.id).await;
    let letter = world.dead_letters().await.remove(0);
    assert_eq!(world.edit(&letter, "one", Some("a")).await.unwrap(), Replayed::Queued(1));
    let first = ClosedLetter::Replayed { at: world.now(), replay: 1, edited_as: Some(Edit::id(original, "crm", letter.id, 1)) };
    world.advance(1000);
    let second = [
        world.edit(&letter, "other", Some("a")).await.map(drop),
        world.replay(letter.id, Superseded::Anyway).await.map(drop),
        world.discard(letter.id).await,
    ];
    for told in second {
        assert!(matches!(told, Err(StoreError::NotOpen(closed)) if closed == first), "who comes second is told what the first did");
    }
    let leased = world.lease("crm").await;
    assert_eq!((bodies(&leased), leased[0].replay, leased[0].attempts), (vec!["one"], 1, 0), "one effect");
    assert_eq!(leased[0].message.parent, Some(original));
    assert_eq!(world.outcomes(original).await.last(), Some(&("crm".into(), Outcome::Edited, 0)));
    world.deliver(leased[0].id).await;
    assert_eq!(world.outcomes(leased[0].message.id).await, [("crm".into(), Outcome::Delivered, 1)]);
}

pub async fn an_edited_message_that_dies_is_edited_again(world: World) {
    world.accept("1", None).await;
    for (body, replay) in [("better", 1), ("good", 2)] {
        world.kill(world.lease_one().await.id).await;
        let letter = world.dead_letters().await.remove(0);
        assert_eq!(world.edit(&letter, body, None).await.unwrap(), Replayed::Queued(replay));
    }
    assert_eq!(bodies(&world.lease("crm").await), ["good"]);
}

pub async fn an_edited_message_takes_the_place_of_the_dead_letter_in_its_lane(world: World) {
    world.accept("1", Some("a")).await;
    world.kill(world.lease_one().await.id).await;
    let letter = world.dead_letters().await.remove(0);
    world.accept("2", Some("a")).await;
    world.accept("3", Some("a")).await;
    world.edit(&letter, "1, edited", Some("a")).await.unwrap();
    for body in ["1, edited", "2", "3"] {
        let leased = world.lease_one().await;
        assert_eq!(bodies(std::slice::from_ref(&leased)), [body]);
        world.deliver(leased.id).await;
    }
}

pub async fn an_edited_message_with_another_key_stands_in_that_keys_lane(world: World) {
    world.accept("1", Some("a")).await;
    world.kill(world.lease_one().await.id).await;
    let letter = world.dead_letters().await.remove(0);
    world.accept("2", Some("a")).await;
    world.accept("3", Some("b")).await;
    world.edit(&letter, "1, edited", Some("b")).await.unwrap();
    let leased = world.lease("crm").await;
    let mut first = bodies(&leased);
    first.sort_unstable();
    assert_eq!(first, ["1, edited", "2"], "older than the other of its new key, and not behind the one of its old");
}

pub async fn an_edit_behind_newer_deliveries_of_its_key_asks(world: World) {
    world.accept("1", Some("a")).await;
    world.kill(world.lease_one().await.id).await;
    let letter = world.dead_letters().await.remove(0);
    for (body, lane) in [("2", "a"), ("3", "b"), ("4", "b")] {
        world.accept(body, Some(lane)).await;
        world.deliver(world.lease_one().await.id).await;
    }
    assert_eq!(world.edit(&letter, "edited", Some("b")).await.unwrap(), Replayed::Superseded(2), "of the key it would have");
    assert_eq!(world.edit(&letter, "edited", Some("a")).await.unwrap(), Replayed::Superseded(1));
    assert_eq!(world.dead_letters().await.len(), 1, "nothing was done");
    assert!(world.lease("crm").await.is_empty());
}

pub async fn an_edited_child_goes_to_the_sink(world: World) {
    world.accept("1", Some("a")).await;
    let parent = world.lease_one().await;
    let children = world.children(&parent.message, &["1a", "1b"]);
    world.settle(parent.id, Settlement::FannedOut { children }).await;
    world.kill(world.lease_one().await.id).await;
    let letter = world.dead_letters().await.remove(0);
    world.edit(&letter, "1a, edited", Some("a")).await.unwrap();
    let leased = world.lease_one().await;
    assert_eq!((bodies(std::slice::from_ref(&leased)), leased.stage, leased.replay), (vec!["1a, edited"], Stage::Sink, 1));
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
