//! Taking, handing out, settling; tokens, limits, effects, starts.

use std::sync::Arc;

use super::world::*;
use crate::clock::Timestamp;
use crate::message::{FailureClass, MessageId, Outcome, Tracked};
use crate::message_store::{
    Accept, Accepted, AppendedMessage, Dedup, DeliveryId, KeyValueWrite, Lane, Lease, Settlement, Stage, StoreError, WaitingMax,
};

pub async fn hands_out_what_is_due_oldest_first_and_nothing_twice(world: World) {
    for body in ["1", "2", "3"] {
        world.accept(body, None).await;
        world.advance(1);
    }
    let first = world.store().lease(Lease { integration: "crm".into(), now: world.now(), limit: 2, bytes_max: usize::MAX }).await.unwrap();
    assert_eq!(bodies(&first), ["1", "2"]);
    assert_eq!(bodies(&world.lease("crm").await), ["3"]);
    assert!(world.lease("crm").await.is_empty());
    assert!(world.lease("audit").await.is_empty());
    let taken = &first[0].message;
    assert_eq!(taken.headers.get("x-topic"), Some("orders/create"));
    assert_eq!((taken.tracked[0].value.as_str(), taken.accepted_at), ("#1", START));
    assert_eq!((first[0].stage, first[0].replay, first[0].first_started_at), (Stage::Steps, 0, world.now()));
}

pub async fn hands_out_nothing_before_it_is_due(world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    world.settle(leased.id, Settlement::Retries { due_at: world.now().plus(std::time::Duration::from_secs(1)) }).await;
    assert!(world.lease("crm").await.is_empty());
    world.advance(999);
    assert!(world.lease("crm").await.is_empty());
    world.advance(1);
    assert_eq!(world.lease("crm").await.len(), 1);
}

pub async fn hands_out_nothing_more_once_the_bodies_have_as_many_bytes_as_asked(mut world: World) {
    for body in ["12", "34", "56", "78"] {
        world.accept(body, None).await;
        world.advance(1);
    }
    let lease = |bytes_max| Lease { integration: "crm".into(), now: world.now(), limit: 3, bytes_max };
    let first = world.store().lease(lease(3)).await.unwrap();
    assert_eq!(bodies(&first), ["12", "34"], "and not the one that is beyond them");
    assert_eq!(bodies(&world.store().lease(lease(1)).await.unwrap()), ["56"], "one is handed out however large it is");
    assert_eq!(world.store().next_due("crm").await.unwrap(), Some(START.plus(std::time::Duration::from_millis(3))));
    world.crash().await;
    let again = |bytes_max| Lease { integration: "crm".into(), now: world.now(), limit: 100, bytes_max };
    assert_eq!(bodies(&world.store().lease(again(5)).await.unwrap()), ["12", "34", "56"]);
    assert_eq!(bodies(&world.store().lease(again(5)).await.unwrap()), ["78"]);
}

pub async fn a_released_delivery_is_as_if_it_had_never_been_handed_out(mut world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    world.store().release(leased.id).await.unwrap();
    world.advance(10);
    let again = world.lease_one().await;
    assert_eq!((again.id, again.unsettled_starts, again.first_started_at), (leased.id, 0, world.now()));
    world.store().release(again.id).await.unwrap();
    world.crash().await;
    assert_eq!(world.lease_one().await.unsettled_starts, 0);
}

pub async fn refuses_to_settle_what_is_not_leased(world: World) {
    world.accept("1", None).await;
    assert!(matches!(world.store().release(DeliveryId(99)).await, Err(StoreError::NotLeased)));
    let leased = world.lease_one().await;
    world.deliver(leased.id).await;
    let twice = world.store().settle(Arc::new(world.settlement(leased.id, delivered()))).await;
    assert!(matches!(twice, Err(StoreError::NotLeased)));
    assert!(matches!(world.store().release(leased.id).await, Err(StoreError::NotLeased)));
}

pub async fn a_release_wakes_who_hands_out(world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    world.woken.take();
    world.store().release(leased.id).await.unwrap();
    assert_eq!(world.woken.take(), ["crm"]);
}

fn token(scope: &str, expires_at: Timestamp) -> Option<Dedup> {
    Some(Dedup { scope: scope.into(), token: [7; 32], expires_at })
}

pub async fn the_same_token_gives_the_first_message_and_an_expired_one_counts_no_more(world: World) {
    let expires_at = Timestamp(world.now().0 + 100);
    let (first, second, third) = (world.message("1", None), world.message("2", None), world.message("3", None));
    let id = first.id;
    assert_eq!(world.accept_as(first, token("a", expires_at), &[("crm", Lane::Free)]).await.unwrap(), Accepted::New);
    let again = world.accept_as(second, token("a", expires_at), &[("crm", Lane::Free)]).await.unwrap();
    assert_eq!(again, Accepted::Duplicate(id));
    assert_eq!(bodies(&world.lease("crm").await), ["1"]);
    world.advance(100);
    let later = crate::message::Message { accepted_at: world.now(), ..third };
    let expires_at = Timestamp(world.now().0 + 100);
    assert_eq!(world.accept_as(later, token("a", expires_at), &[("crm", Lane::Free)]).await.unwrap(), Accepted::New);
    assert_eq!(bodies(&world.lease("crm").await), ["3"]);
}

pub async fn tokens_of_different_scopes_never_meet(world: World) {
    let expires_at = Timestamp(world.now().0 + 100);
    for scope in ["webhook /a", "webhook /b"] {
        let message = world.message(scope, None);
        assert_eq!(world.accept_as(message, token(scope, expires_at), &[("crm", Lane::Free)]).await.unwrap(), Accepted::New);
    }
}

pub async fn the_same_message_is_taken_once(world: World) {
    let message = world.message("1", None);
    assert_eq!(world.accept_as(message.clone(), None, &[("crm", Lane::Free)]).await.unwrap(), Accepted::New);
    let again = world.accept_as(message.clone(), None, &[("crm", Lane::Free)]).await.unwrap();
    assert_eq!(again, Accepted::Duplicate(message.id));
    assert_eq!(world.lease("crm").await.len(), 1);
}

pub async fn takes_no_more_than_may_wait(mut world: World) {
    let accept = |world: &World, body: &str| {
        let deliveries = world.deliveries(&[("audit", Lane::Free), ("crm", key("a"))]);
        let message = world.message(body, None);
        let dedup = Some(Dedup { scope: "s".into(), token: [body.as_bytes()[0]; 32], expires_at: Timestamp(i64::MAX) });
        Accept { message: Arc::new(message), dedup, deliveries, waiting_max: WaitingMax::each(2) }
    };
    for body in ["1", "2"] {
        assert_eq!(world.store().accept(accept(&world, body)).await.unwrap(), Accepted::New);
    }
    let audit = world.lease("audit").await;
    world.deliver(audit[0].id).await;
    assert_eq!(world.store().accept(accept(&world, "3")).await.unwrap(), Accepted::Full("crm".into()));
    assert_eq!(world.lease("audit").await.len(), 0, "nothing of it is stored");
    world.crash().await;
    assert_eq!(world.store().accept(accept(&world, "3")).await.unwrap(), Accepted::Full("crm".into()));
    let leased = world.lease_one().await;
    world.deliver(leased.id).await;
    assert_eq!(world.store().accept(accept(&world, "3")).await.unwrap(), Accepted::New, "its token was not kept");
}

pub async fn takes_no_more_than_may_wait_in_all_integrations_together(mut world: World) {
    let waiting_max = WaitingMax { integration: 100, host: 3 };
    let accept = |world: &World, body: &str, readers: &[(&str, Lane)]| Accept {
        message: Arc::new(world.message(body, None)),
        dedup: None,
        deliveries: world.deliveries(readers),
        waiting_max,
    };
    let both = [("audit", Lane::Free), ("crm", Lane::Free)];
    assert_eq!(world.store().accept(accept(&world, "1", &both)).await.unwrap(), Accepted::New);
    assert_eq!(world.store().accept(accept(&world, "2", &both)).await.unwrap(), Accepted::HostFull, "nothing of it is stored");
    world.crash().await;
    assert_eq!(world.store().accept(accept(&world, "2", &both)).await.unwrap(), Accepted::HostFull);
    assert_eq!(world.store().accept(accept(&world, "2", &[])).await.unwrap(), Accepted::New, "nothing waits for it");
    assert_eq!((world.store().waiting("audit"), world.store().waiting("crm"), world.store().waiting("none")), (1, 1, 0));
    world.deliver(world.lease("audit").await[0].id).await;
    assert_eq!(world.store().waiting("audit"), 0);
    assert_eq!(world.store().accept(accept(&world, "2", &both)).await.unwrap(), Accepted::New);
}

pub async fn a_message_without_the_key_its_integration_orders_by_is_dead_lettered_at_once(world: World) {
    let readers = [("crm", Lane::Unkeyed("key = \"json:/id\": not there".into())), ("audit", Lane::Free)];
    let id = world.accept_for("1", &readers).await;
    assert!(world.lease("crm").await.is_empty());
    assert_eq!(world.lease("audit").await.len(), 1);
    let dead = world.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].message, dead[0].integration.as_str(), dead[0].class), (id, "crm", FailureClass::Unkeyed));
    assert_eq!((dead[0].code.as_str(), dead[0].detail.as_str()), ("unkeyed", "key = \"json:/id\": not there"));
    assert_eq!(world.outcomes(id).await, [("crm".into(), Outcome::DeadLettered, 0)]);
}

pub async fn attempts_and_waits_are_counted_and_waiting_is_not_held_against_it(world: World) {
    world.accept("1", Some("a")).await;
    let due = |world: &World| Timestamp(world.now().0 + 10);
    let first = world.lease_one().await;
    assert_eq!((first.attempts, first.waits, first.failing_since), (0, 0, None));
    world.settle(first.id, Settlement::Waits { due_at: due(&world) }).await;
    world.advance(10);
    let second = world.lease_one().await;
    assert_eq!((second.attempts, second.waits, second.failing_since), (0, 1, None));
    world.settle(second.id, Settlement::Retries { due_at: due(&world) }).await;
    let failed_at = world.now();
    world.advance(10);
    let third = world.lease_one().await;
    assert_eq!((third.attempts, third.waits, third.failing_since), (1, 1, Some(failed_at)));
    world.settle(third.id, Settlement::Waits { due_at: due(&world) }).await;
    world.advance(10);
    let fourth = world.lease_one().await;
    assert_eq!((fourth.attempts, fourth.waits, fourth.failing_since), (1, 2, Some(Timestamp(failed_at.0 + 10))));
    assert_eq!((fourth.first_started_at, fourth.unsettled_starts), (START, 0));
}

pub async fn time_in_which_it_was_due_and_was_not_handed_out_is_not_held_against_it(mut world: World) {
    world.accept("1", Some("a")).await;
    let due = |world: &World| Timestamp(world.now().0 + 10);
    let first = world.lease_one().await;
    world.settle(first.id, Settlement::Retries { due_at: due(&world) }).await;
    let failed_at = world.now();
    world.advance(10 + 1_000);
    let second = world.lease_one().await;
    assert_eq!(second.failing_since, Some(Timestamp(failed_at.0 + 1_000)), "the gate was closed for a second");
    world.settle(second.id, Settlement::Retries { due_at: due(&world) }).await;
    world.crash().await;
    world.advance(10 + 5_000);
    let third = world.lease_one().await;
    assert_eq!(third.failing_since, Some(Timestamp(failed_at.0 + 6_000)), "the host was down for five");
    world.settle(third.id, Settlement::Waits { due_at: due(&world) }).await;
    world.advance(10 + 100);
    assert_eq!(world.lease_one().await.failing_since, Some(Timestamp(failed_at.0 + 6_000 + 10 + 100)));
}

pub async fn starts_that_never_settled_are_counted_over_a_crash(mut world: World) {
    world.accept("1", None).await;
    for starts in 0..3 {
        let leased = world.lease_one().await;
        assert_eq!((leased.unsettled_starts, leased.may_repeat, leased.first_started_at), (starts, starts > 0, START));
        world.crash().await;
        world.advance(5);
    }
    let leased = world.lease_one().await;
    assert_eq!(leased.unsettled_starts, 3);
    world.settle(leased.id, Settlement::Retries { due_at: world.now() }).await;
    let leased = world.lease_one().await;
    assert_eq!((leased.unsettled_starts, leased.first_started_at), (0, START));
}

pub async fn an_append_reaches_every_reader_once(world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    let appended = crate::message::Message {
        id: leased.message.id.derive("crm", "channel orders.canonical", 0, 0),
        parent: Some(leased.message.id),
        ..world.message("canonical", Some("a"))
    };
    let append = world.append(AppendedMessage::New(Arc::new(appended)), &[("crm", key("a")), ("audit", Lane::Free)]);
    let settle = world.settlement(leased.id, delivered());
    let settle = crate::message_store::Settle { appends: vec![append.clone(), append], ..settle };
    world.store().settle(Arc::new(settle)).await.unwrap();
    assert_eq!(bodies(&world.lease("crm").await), ["canonical"]);
    let audit = world.lease("audit").await;
    assert_eq!(bodies(&audit), ["canonical"]);
    assert_eq!(audit[0].message.parent, Some(leased.message.id));
}

pub async fn an_existing_message_is_appended_as_it_is(world: World) {
    let id = world.accept("1", None).await;
    let leased = world.lease_one().await;
    let token = Dedup { scope: "channel orders.canonical".into(), token: [1; 32], expires_at: Timestamp(i64::MAX) };
    let append = world.append(AppendedMessage::Existing(id), &[("audit", Lane::Free)]);
    let append = crate::message_store::Append { dedup: Some(token), ..append };
    let settle = world.settlement(leased.id, delivered());
    let settle = crate::message_store::Settle { appends: vec![append.clone(), append], ..settle };
    world.store().settle(Arc::new(settle)).await.unwrap();
    let audit = world.lease("audit").await;
    assert_eq!(audit.len(), 1, "its token keeps it from being appended twice");
    assert_eq!(audit[0].message.id, id);
}

fn put(key: &str, value: &str, expires_at: Option<Timestamp>) -> KeyValueWrite {
    KeyValueWrite { integration: "crm".into(), key: key.into(), value: Some(value.into()), expires_at }
}

pub async fn effects_commit_with_the_settlement_or_vanish(world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    let effects = |delivery: DeliveryId, value: &str| {
        let append = world.append(AppendedMessage::New(Arc::new(world.message(value, None))), &[("audit", Lane::Free)]);
        let key_values = vec![put("seen", value, None)];
        crate::message_store::Settle { appends: vec![append], key_values, ..world.settlement(delivery, delivered()) }
    };
    world.store().settle(Arc::new(effects(leased.id, "one"))).await.unwrap();
    assert!(matches!(world.store().settle(Arc::new(effects(leased.id, "two"))).await, Err(StoreError::NotLeased)));
    let stored = world.key_values().get("crm", "seen", world.now()).await.unwrap();
    assert_eq!(stored.as_deref(), Some(&b"one"[..]));
    assert_eq!(bodies(&world.lease("audit").await), ["one"]);
}

pub async fn a_message_is_found_by_what_its_plugins_track_each_value_once_and_not_without_end(world: World) {
    let id = world.accept("1", None).await;
    let tracked = |name: &str, value: String| Tracked { name: name.into(), value };
    let leased = world.lease_one().await;
    let found = vec![tracked("order", "#1".into()), tracked("crm", "001".into()), tracked("crm", "001".into())];
    let retries = Settlement::Retries { due_at: world.now() };
    let settle = crate::message_store::Settle { tracked: found.clone(), ..world.settlement(leased.id, retries) };
    world.store().settle(Arc::new(settle)).await.unwrap();
    assert_eq!(world.tracked(id).await, ["crm=001", "order=#1"], "also while it is being tried");
    let leased = world.lease_one().await;
    let many = (0..100).map(|number| tracked("item", format!("{number:03}")));
    let long = tracked(&"n".repeat(100), "ü".repeat(500));
    let found = found.into_iter().chain([long]).chain(many).collect();
    let settle = crate::message_store::Settle { tracked: found, ..world.settlement(leased.id, delivered()) };
    world.store().settle(Arc::new(settle)).await.unwrap();
    let tracked = world.tracked(id).await;
    assert_eq!(tracked.len(), crate::message::TRACKED_MAX);
    assert!(tracked.contains(&format!("{}={}", "n".repeat(64), "ü".repeat(256))));
    assert!(tracked.contains(&"item=028".to_owned()) && !tracked.contains(&"item=029".to_owned()), "the first that come are kept");
}

pub async fn key_values_expire_and_are_listed_by_prefix(world: World) {
    world.accept("1", None).await;
    let leased = world.lease_one().await;
    let soon = Some(Timestamp(world.now().0 + 10));
    let delete = KeyValueWrite { integration: "crm".into(), key: "gone".into(), value: None, expires_at: None };
    let key_values = vec![
        put("gone", "x", None),
        put("id/ä", "22", None),
        put("id/a", "1", None),
        put("id/a", "22", None),
        put("id/b", "333", soon),
        put("ie", "", None),
        delete,
    ];
    let settle = crate::message_store::Settle { key_values, ..world.settlement(leased.id, delivered()) };
    world.store().settle(Arc::new(settle)).await.unwrap();
    let read = world.key_values();
    let now = world.now();
    assert_eq!(read.list("crm", "id/", None, 10, now).await.unwrap(), ["id/a", "id/b", "id/ä"]);
    assert_eq!(read.list("crm", "id/", Some("id/a"), 1, now).await.unwrap(), ["id/b"]);
    assert_eq!(read.list("crm", "", Some("id/ä"), 10, now).await.unwrap(), ["ie"]);
    assert_eq!(read.get("crm", "id/a", now).await.unwrap().as_deref(), Some(&b"22"[..]));
    assert_eq!(read.get("crm", "gone", now).await.unwrap(), None);
    assert_eq!(read.get("audit", "id/a", now).await.unwrap(), None, "another integration's data is out of reach");
    assert_eq!(read.list("audit", "", None, 10, now).await.unwrap(), Vec::<String>::new());
    assert_eq!(read.used_bytes("crm").await.unwrap(), (4 + 2) + (4 + 3) + (5 + 2) + 2);
    world.advance(10);
    assert_eq!(read.get("crm", "id/b", world.now()).await.unwrap(), None);
    assert_eq!(read.list("crm", "id/", None, 10, world.now()).await.unwrap(), ["id/a", "id/ä"]);
}

pub async fn next_due_is_the_first_that_is_ready_and_free(world: World) {
    assert_eq!(world.store().next_due("crm").await.unwrap(), None);
    world.accept("1", Some("a")).await;
    world.accept("2", Some("a")).await;
    assert_eq!(world.store().next_due("crm").await.unwrap(), Some(START));
    let leased = world.lease_one().await;
    assert_eq!(world.store().next_due("crm").await.unwrap(), None, "the other one is behind");
    let due_at = Timestamp(START.0 + 50);
    world.settle(leased.id, Settlement::Waits { due_at }).await;
    assert_eq!(world.store().next_due("crm").await.unwrap(), Some(due_at));
}

pub async fn wakes_who_got_something(world: World) {
    let id: MessageId = world.accept_for("1", &[("crm", key("a")), ("audit", Lane::Free)]).await;
    assert_eq!(world.woken.take(), ["audit", "crm"]);
    world.accept("2", Some("a")).await;
    assert!(world.woken.take().is_empty(), "it is behind");
    let leased = world.lease_one().await;
    assert_eq!(leased.message.id, id);
    let dead_letter = world.kill(leased.id).await;
    assert_eq!(world.woken.take(), ["crm"], "the next one may go");
    let leased = world.lease_one().await;
    world.deliver(leased.id).await;
    assert!(world.woken.take().is_empty());
    world.replay(dead_letter, crate::message_store::Superseded::Anyway).await.unwrap();
    assert_eq!(world.woken.take(), ["crm"]);
}
