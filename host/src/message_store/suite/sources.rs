//! Sources that the host asks itself: a page and its cursor, all or nothing; one record from several sources.

use std::sync::Arc;
use std::time::Duration;

use super::world::*;
use crate::integration::WaitingMax;
use crate::message::MessageId;
use crate::message_store::records::{RECORDS_KEPT, record};
use crate::message_store::{
    Accept, Accepted, Advance, Advanced, AppendedMessage, Dedup, KeyValueWrite, Lane, NewDelivery, SourceResult, SourceState,
};

/// A page of `crm`'s source `shop` with these bodies, each with itself as its record, that leads from one cursor to the next.
fn page(world: &World, bodies: &[&str], from: Option<&str>, to: &str) -> Advance {
    let found = bodies.iter().map(|body| (Arc::new(world.message(body, None)), delivery(world, body)));
    let last = SourceResult { at: world.now(), result: "polled".into(), code: None, detail: None, items: bodies.len() as u64, fresh: 0 };
    Advance {
        integration: "crm".into(),
        source: "shop".into(),
        from: from.map(str::to_owned),
        to: SourceState { cursor: Some(to.into()), due_at: world.now().plus(Duration::from_secs(60)), last },
        found: found.collect(),
        appends: Vec::new(),
        key_values: Vec::new(),
        waiting_max: WaitingMax::each(100),
        now: world.now(),
    }
}

fn delivery(world: &World, id: &str) -> NewDelivery {
    let record = Some(record("crm", &[id], world.now()));
    NewDelivery { integration: "crm".into(), lane: Lane::Free, ordering: 0, due_at: world.now(), record }
}

async fn advance(world: &World, advance: Advance) -> Advanced {
    world.store().advance(Arc::new(advance)).await.unwrap()
}

async fn cursor(world: &World) -> Option<String> {
    world.store().source("crm", "shop").await.unwrap().and_then(|state| state.cursor)
}

pub async fn a_page_commits_with_its_cursor_and_its_effects(mut world: World) {
    assert_eq!(world.store().source("crm", "shop").await.unwrap(), None);
    let mut first = page(&world, &["1", "2"], None, "a");
    let ids: Vec<MessageId> = first.found.iter().map(|(message, _)| message.id).collect();
    first.key_values.push(KeyValueWrite { integration: "crm".into(), key: "k".into(), value: Some(b"v".to_vec()), expires_at: None });
    first.appends.push(world.append(AppendedMessage::New(Arc::new(world.message("sent", None))), &[("audit", Lane::Free)]));
    assert_eq!(advance(&world, first).await, Advanced::Done(ids));
    assert_eq!(world.woken.take(), ["audit", "crm"]);
    world.crash().await;
    let state = world.store().source("crm", "shop").await.unwrap().unwrap();
    assert_eq!((state.cursor.as_deref(), state.last.items, state.last.fresh, world.store().waiting("crm")), (Some("a"), 2, 2, 2));
    assert_eq!(bodies(&world.lease("crm").await), ["1", "2"]);
    assert_eq!(bodies(&world.lease("audit").await), ["sent"]);
    assert_eq!(world.key_values().get("crm", "k", world.now()).await.unwrap(), Some(b"v".to_vec()));
}

pub async fn of_two_pages_from_one_cursor_one_is_taken_and_nothing_of_the_other(world: World) {
    advance(&world, page(&world, &["1"], None, "a")).await;
    let mut second = page(&world, &["2"], None, "b");
    second.key_values.push(KeyValueWrite { integration: "crm".into(), key: "k".into(), value: Some(b"v".to_vec()), expires_at: None });
    assert_eq!(advance(&world, second).await, Advanced::Moved);
    assert_eq!((cursor(&world).await.as_deref(), bodies(&world.lease("crm").await)), (Some("a"), vec!["1"]));
    assert_eq!(world.key_values().get("crm", "k", world.now()).await.unwrap(), None);
}

pub async fn a_page_is_taken_whole_or_not_at_all_where_much_waits(world: World) {
    let full = |bodies: &[&str], from, to| Advance { waiting_max: WaitingMax::each(1), ..page(&world, bodies, from, to) };
    assert!(matches!(advance(&world, full(&["1", "2", "3"], None, "a")).await, Advanced::Done(ids) if ids.len() == 3));
    assert_eq!(advance(&world, full(&["4"], Some("a"), "b")).await, Advanced::Full);
    assert_eq!(cursor(&world).await.as_deref(), Some("a"));
    assert_eq!(advance(&world, full(&[], Some("a"), "b")).await, Advanced::Done(Vec::new()), "an empty page brings nothing");
}

pub async fn a_record_is_taken_once_from_whichever_source_it_comes(world: World) {
    let webhook = |body: &str, id: &str, others: &[(&str, Lane)]| {
        let mut deliveries = world.deliveries(others);
        deliveries.push(delivery(&world, id));
        Accept { message: Arc::new(world.message(body, None)), dedup: None, deliveries, waiting_max: WaitingMax::each(100) }
    };
    let first = webhook("by webhook", "7", &[]);
    let id = first.message.id;
    assert_eq!(world.store().accept(first).await.unwrap(), Accepted::New);
    let polled = page(&world, &["7", "8", "8"], None, "a");
    let fresh = polled.found[1].0.id;
    assert_eq!(advance(&world, polled).await, Advanced::Done(vec![fresh]));
    assert_eq!(world.store().accept(webhook("again", "7", &[])).await.unwrap(), Accepted::Duplicate(id));
    // Whoever else reads the webhook has not had it.
    let shared = world.store().accept(webhook("late webhook", "8", &[("audit", Lane::Free)])).await.unwrap();
    assert_eq!(shared, Accepted::Partly(vec!["crm".into()]));
    assert_eq!(bodies(&world.lease("audit").await), ["late webhook"]);
    assert_eq!(bodies(&world.lease("crm").await), ["by webhook", "8"]);
}

pub async fn a_duplicate_is_told_the_first_of_its_token_whoever_brought_its_records(world: World) {
    advance(&world, page(&world, &["7"], None, "a")).await;
    let webhook = |body: &str| {
        let mut audit = world.deliveries(&[("audit", Lane::Free)]);
        audit[0].record = Some(record("audit", &["7"], world.now()));
        let deliveries = [delivery(&world, "7")].into_iter().chain(audit).collect();
        let dedup = Some(Dedup { scope: "webhook /shop/orders".into(), token: [7; 32], expires_at: world.now().plus(RECORDS_KEPT) });
        Accept { message: Arc::new(world.message(body, None)), dedup, deliveries, waiting_max: WaitingMax::each(100) }
    };
    let first = webhook("by webhook");
    let id = first.message.id;
    assert_eq!(world.store().accept(first).await.unwrap(), Accepted::Partly(vec!["crm".into()]));
    // By now each of its readers has its record, `crm` of the message that was polled.
    assert_eq!(world.store().accept(webhook("again")).await.unwrap(), Accepted::Duplicate(id));
}

pub async fn a_record_that_is_found_again_and_again_stays_known(world: World) {
    let half = RECORDS_KEPT.as_millis() as u64 / 2;
    let mut from = None;
    for round in 0..5 {
        let to = round.to_string();
        let done = advance(&world, page(&world, &["1"], from.as_deref(), &to)).await;
        assert!(matches!(&done, Advanced::Done(ids) if ids.len() == usize::from(round == 0)), "{round}: {done:?}");
        from = Some(to);
        world.advance(half);
    }
    world.advance(2 * half);
    let later = page(&world, &["1"], from.as_deref(), "z");
    assert!(matches!(advance(&world, later).await, Advanced::Done(ids) if ids.len() == 1), "not seen for a week, it is forgotten");
}
