//! What people see.

use std::sync::Arc;

use std::time::Duration;

use serde_json::json;

use crate::clock::Timestamp;
use crate::message::{FailureClass, MessageId};
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::message_store::sqlite::ledger::{
    Body, DeadLetterQuery, GroupQuery, Ledger, MessagePage, MessageQuery, State, Status, Timeline, TimelineQuery,
};
use crate::message_store::suite::world::{OnDisk, START, World, delivered, key};
use crate::message_store::{DeadLetterId, Lane, Settlement, Superseded};

fn world() -> (World, Ledger) {
    let disk = OnDisk::open();
    let ledger = disk.sqlite().ledger();
    (World::new(disk), ledger)
}

async fn timeline(ledger: &Ledger, id: MessageId) -> Option<Timeline> {
    ledger.message(TimelineQuery::of(id)).await.unwrap()
}

async fn ids(ledger: &Ledger, query: MessageQuery) -> Vec<MessageId> {
    ledger.messages(query).await.unwrap().messages.into_iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn messages_are_found_by_integration_key_tracked_value_state_and_time() {
    let (world, ledger) = world();
    let one = world.accept_for("1", &[("crm", key("a")), ("audit", Lane::Free)]).await;
    world.deliver(world.lease_one().await.id).await;
    world.advance(10 * 60_000);
    let keyed = world.message("2", Some("customer-7"));
    let two = keyed.id;
    world.accept_as(keyed, None, &[("crm", key("a"))]).await.unwrap();
    world.kill(world.lease_one().await.id).await;
    let three = world.accept_for("3", &[("crm", key("a"))]).await;
    let all = MessageQuery::default;
    assert_eq!(ids(&ledger, all()).await, [three, two, one]);
    assert_eq!(ids(&ledger, MessageQuery { integration: Some("crm".into()), ..all() }).await, [three, two, one]);
    assert_eq!(ids(&ledger, MessageQuery { integration: Some("audit".into()), ..all() }).await, [one]);
    assert_eq!(ids(&ledger, MessageQuery { key: Some("customer-7".into()), ..all() }).await, [two]);
    assert_eq!(ids(&ledger, MessageQuery { state: Some(State::Waiting), ..all() }).await, [three, one]);
    assert_eq!(ids(&ledger, MessageQuery { state: Some(State::DeadLettered), ..all() }).await, [two]);
    let tracked = Some(("order".to_owned(), "#3".to_owned()));
    assert_eq!(ids(&ledger, MessageQuery { tracked: tracked.clone(), ..all() }).await, [three]);
    let delivered = Some(State::Delivered);
    assert!(ids(&ledger, MessageQuery { tracked, state: delivered, ..all() }).await.is_empty());
    let crm = MessageQuery { integration: Some("crm".into()), state: delivered, ..all() };
    assert_eq!(ids(&ledger, crm).await, [one]);
    let since = Some(START.plus(Duration::from_secs(1)));
    assert_eq!(ids(&ledger, MessageQuery { since, ..all() }).await, [three, two]);
    assert_eq!(ids(&ledger, MessageQuery { since, integration: Some("crm".into()), ..all() }).await, [three, two]);
    assert!(ids(&ledger, MessageQuery { integration: Some("nobody".into()), ..all() }).await.is_empty());
}

#[tokio::test]
async fn a_message_that_was_stored_behind_newer_ones_is_found_by_its_time() {
    let (world, ledger) = world();
    let mut ids = Vec::new();
    for seconds in [10, 30, 5, 20] {
        let message = crate::message::Message { accepted_at: START.plus(Duration::from_secs(seconds)), ..world.message("x", None) };
        ids.push(message.id);
        world.advance(1);
        world.accept_as(message, None, &[("crm", Lane::Free)]).await.unwrap();
    }
    let at = |seconds| Some(START.plus(Duration::from_secs(seconds)));
    for integration in [None, Some("crm".to_owned())] {
        let span = |since, until| MessageQuery { since, until, integration: integration.clone(), ..MessageQuery::default() };
        assert_eq!(self::ids(&ledger, span(None, at(10))).await, [ids[2]]);
        assert_eq!(self::ids(&ledger, span(at(10), at(30))).await, [ids[3], ids[0]]);
        assert_eq!(self::ids(&ledger, span(at(30), None)).await, [ids[1]]);
        assert!(self::ids(&ledger, span(at(31), None)).await.is_empty());
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let (world, ledger) = world();
    for n in 0..7 {
        world.accept(&n.to_string(), None).await;
    }
    for integration in [None, Some("crm".to_owned())] {
        let (mut seen, mut before_seq) = (Vec::new(), None);
        loop {
            let query = MessageQuery { integration: integration.clone(), before_seq, limit: 3, ..MessageQuery::default() };
            let page = ledger.messages(query).await.unwrap();
            seen.extend(page.messages.iter().map(|row| row.seq));
            before_seq = page.next;
            if before_seq.is_none() {
                break;
            }
        }
        assert_eq!(seen, (1..=7).rev().collect::<Vec<_>>());
        let past = MessageQuery { integration, before_seq: Some(1), ..MessageQuery::default() };
        assert_eq!(ledger.messages(past).await.unwrap(), MessagePage::default(), "a page after the last is empty");
    }
}

#[tokio::test]
async fn a_timeline_has_everything_in_order() {
    let (world, ledger) = world();
    assert!(timeline(&ledger, MessageId(uuid::Uuid::nil())).await.is_none());
    let id = world.accept_for("1", &[("crm", key("a")), ("audit", Lane::Free)]).await;
    let due = |world: &World| Timestamp(world.now().0 + 10);
    for _ in 0..3 {
        let leased = world.lease_one().await;
        world.settle(leased.id, Settlement::Waits { due_at: due(&world) }).await;
        world.advance(10);
    }
    let leased = world.lease_one().await;
    world.settle(leased.id, Settlement::Retries { due_at: due(&world) }).await;
    world.advance(10);
    let dead_letter = world.kill(world.lease_one().await.id).await;
    world.replay(dead_letter, Superseded::Ask).await.unwrap();
    world.deliver(world.lease_one().await.id).await;

    let timeline = timeline(&ledger, id).await.unwrap();
    assert_eq!(timeline.body, Body::Text("1".into()));
    assert_eq!(timeline.message.accepted_at, START.to_string());
    assert_eq!(timeline.headers.get("x-topic"), Some("orders/create"));
    let attempts: Vec<_> = timeline.attempts.iter().map(|attempt| (attempt.result.as_str(), attempt.times, attempt.replay)).collect();
    assert_eq!(attempts, [("waited", 3, 0), ("failed", 1, 0), ("failed", 1, 0), ("delivered", 1, 1)]);
    assert_eq!(timeline.attempts[0].trace, json!({"calls": []}));
    let outcomes: Vec<_> = timeline.outcomes.iter().map(|outcome| (outcome.outcome, outcome.replay)).collect();
    assert_eq!(outcomes, [(State::DeadLettered, 0), (State::Delivered, 1)]);
    assert_eq!(timeline.outcomes[1].receipt, Some(json!({"remote-id": "001"})));
    assert_eq!(timeline.dead_letters.len(), 1);
    let letter = &timeline.dead_letters[0];
    assert_eq!((letter.status, letter.attempts, letter.waits), (Status::Replayed, 2, 3));
    assert_eq!(timeline.waiting.len(), 1);
    assert_eq!((timeline.waiting[0].integration.as_str(), timeline.waiting[0].behind), ("audit", false));

    let json = serde_json::to_value(&timeline).unwrap();
    assert_eq!(json["accepted-at"], START.to_string());
    assert_eq!(json["body"], json!({"text": "1"}));
    assert_eq!(json["integrations"][1], json!({"integration": "crm", "state": "delivered", "children": 0}));
    assert_eq!(json["waiting"][0]["due-at"], START.to_string());
}

#[tokio::test]
async fn a_fanned_out_message_shows_what_became_of_its_children() {
    let (world, ledger) = world();
    let parent = world.accept("1", Some("a")).await;
    let leased = world.lease_one().await;
    let children = world.children(&leased.message, &["1a", "1b"]);
    world.settle(leased.id, Settlement::FannedOut { children }).await;
    let shown = || async {
        let timeline = timeline(&ledger, parent).await.unwrap();
        let standing = &timeline.message.integrations[0];
        (standing.state, standing.children, timeline.children.iter().map(|child| child.integrations[0].state).collect::<Vec<_>>())
    };
    assert_eq!(shown().await, (State::Waiting, 2, vec![State::Waiting, State::Waiting]));
    world.deliver(world.lease_one().await.id).await;
    assert_eq!(shown().await, (State::Waiting, 2, vec![State::Delivered, State::Waiting]));
    let dead_letter = world.kill(world.lease_one().await.id).await;
    assert_eq!(shown().await, (State::DeadLettered, 2, vec![State::Delivered, State::DeadLettered]));
    world.replay(dead_letter, Superseded::Ask).await.unwrap();
    world.settle(world.lease_one().await.id, delivered()).await;
    assert_eq!(shown().await, (State::Delivered, 2, vec![State::Delivered, State::Delivered]));
    assert_eq!(ids(&ledger, MessageQuery { state: Some(State::FannedOut), ..MessageQuery::default() }).await, [parent]);
}

#[tokio::test]
async fn of_what_was_edited_the_message_in_its_place_speaks() {
    let (world, ledger) = world();
    let original = world.accept("1", Some("a")).await;
    world.kill(world.lease_one().await.id).await;
    world.edit(&world.dead_letters().await[0], "2", Some("a")).await.unwrap();
    let leased = world.lease_one().await;
    let edited = leased.message.id;
    let children = world.children(&leased.message, &["2a", "2b"]);
    world.settle(leased.id, Settlement::FannedOut { children }).await;
    world.kill(world.lease_one().await.id).await;
    let state = async |id| timeline(&ledger, id).await.unwrap().message.integrations[0].state;
    assert_eq!((state(original).await, state(edited).await), (State::Edited, State::Waiting), "the other child waits");
    world.edit(&world.dead_letters().await[0], "2a, edited", Some("a")).await.unwrap();
    for body in ["2a, edited", "2b"] {
        assert_eq!(state(edited).await, State::Waiting);
        let leased = world.lease_one().await;
        assert_eq!(leased.message.body, body);
        world.deliver(leased.id).await;
    }
    assert_eq!((state(original).await, state(edited).await), (State::Edited, State::Delivered));
    let letter = ledger.dead_letter(DeadLetterId(1)).await.unwrap().unwrap();
    assert_eq!((letter.status, letter.reason.as_deref(), letter.edited_as), (Status::Replayed, Some("a typing error"), Some(edited)));
}

#[tokio::test]
async fn dead_letters_are_listed_and_grouped_until_they_are_closed() {
    let (world, ledger) = world();
    assert!(ledger.dead_letter(DeadLetterId(1)).await.unwrap().is_none());
    let mut letters = Vec::new();
    for n in 0..3 {
        world.accept(&n.to_string(), Some("a")).await;
        letters.push(world.kill(world.lease_one().await.id).await);
        world.advance(1000);
    }
    world.accept_for("4", &[("audit", Lane::Unkeyed("no id".into()))]).await;
    let groups = ledger.dead_letter_groups(GroupQuery::default()).await.unwrap().groups;
    let shown: Vec<_> = groups.iter().map(|group| (group.count, group.class, group.integration.as_str())).collect();
    assert_eq!(shown, [(3, FailureClass::Permanent, "crm"), (1, FailureClass::Unkeyed, "audit")]);
    assert_eq!((groups[0].example, groups[0].first_at.clone()), (letters[2], START.to_string()));
    world.discard(letters[1]).await.unwrap();
    let list = |query: DeadLetterQuery| async {
        ledger.dead_letters(query).await.unwrap().dead_letters.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let crm = || DeadLetterQuery { integration: Some("crm".into()), ..DeadLetterQuery::default() };
    assert_eq!(list(crm()).await, [letters[2], letters[0]]);
    assert_eq!(list(DeadLetterQuery { beyond: Some(letters[2]), ..crm() }).await, [letters[0]]);
    assert_eq!(list(DeadLetterQuery { limit: 1, ..crm() }).await, [letters[2]]);
    assert_eq!(list(DeadLetterQuery { status: Status::Discarded, ..crm() }).await, [letters[1]]);
    assert_eq!(list(DeadLetterQuery { class: Some(FailureClass::Unkeyed), ..DeadLetterQuery::default() }).await.len(), 1);
    assert_eq!(list(DeadLetterQuery { fingerprint: Some("f00d".into()), oldest_first: true, ..crm() }).await, [letters[0], letters[2]]);
    let discarded = ledger.dead_letter(letters[1]).await.unwrap().unwrap();
    assert_eq!((discarded.status, discarded.reason.as_deref()), (Status::Discarded, Some("a test order")));
}

#[tokio::test]
async fn dead_letters_are_found_by_what_their_messages_are_known_by_and_by_time() {
    let (world, ledger) = world();
    let mut letters = Vec::new();
    for n in 1..=3 {
        world.accept_as(world.message(&n.to_string(), Some("customer-7")), None, &[("crm", key("a"))]).await.unwrap();
        letters.push(world.kill(world.lease_one().await.id).await);
        world.advance(1000);
    }
    let list = |query: DeadLetterQuery| async {
        ledger.dead_letters(query).await.unwrap().dead_letters.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let all = DeadLetterQuery::default;
    let order = |value: &str| Some(("order".to_owned(), value.to_owned()));
    assert_eq!(list(DeadLetterQuery { tracked: order("#2"), ..all() }).await, [letters[1]]);
    assert!(list(DeadLetterQuery { tracked: order("#9"), ..all() }).await.is_empty());
    let customer = || DeadLetterQuery { key: Some("customer-7".into()), ..all() };
    assert_eq!(list(customer()).await, [letters[2], letters[1], letters[0]]);
    assert_eq!(list(DeadLetterQuery { oldest_first: true, beyond: Some(letters[0]), ..customer() }).await, [letters[1], letters[2]]);
    assert_eq!(list(DeadLetterQuery { limit: 1, beyond: Some(letters[2]), ..customer() }).await, [letters[1]]);
    assert_eq!(list(DeadLetterQuery { tracked: order("#3"), ..customer() }).await, [letters[2]]);
    assert!(list(DeadLetterQuery { key: Some("customer-8".into()), tracked: order("#3"), ..all() }).await.is_empty());
    let at = |seconds| Some(START.plus(Duration::from_secs(seconds)));
    assert_eq!(list(DeadLetterQuery { since: at(1), ..all() }).await, [letters[2], letters[1]]);
    assert_eq!(list(DeadLetterQuery { until: at(1), ..customer() }).await, [letters[0]]);
    assert_eq!(list(DeadLetterQuery { since: at(1), until: at(2), oldest_first: true, ..all() }).await, [letters[1]]);
    world.discard(letters[1]).await.unwrap();
    assert!(list(DeadLetterQuery { tracked: order("#2"), ..all() }).await.is_empty(), "what is closed is not listed");

    world.accept_as(world.message("7", Some("customer-9")), None, &[("crm", key("b"))]).await.unwrap();
    let leased = world.lease_one().await;
    world.settle(leased.id, Settlement::FannedOut { children: world.children(&leased.message, &["7a", "7b"]) }).await;
    let child = world.kill(world.lease_one().await.id).await;
    for query in [DeadLetterQuery { tracked: order("#7"), ..all() }, DeadLetterQuery { key: Some("customer-9".into()), ..all() }] {
        assert_eq!(list(query).await, [child], "by what it was made from");
    }
}

#[tokio::test]
async fn the_queue_shows_what_waits_and_for_how_long() {
    let (world, ledger) = world();
    for (n, lane) in ["a", "a", "b"].iter().enumerate() {
        world.accept(&n.to_string(), Some(lane)).await;
        world.advance(1000);
    }
    let leased = world.lease("crm").await;
    world.deliver(leased[0].id).await;
    world.kill(leased[1].id).await;
    let rows = ledger.queue(world.now()).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.integration.as_str(), row.waiting, row.oldest_waiting_ms), ("crm", 1, Some(2000)));
    assert_eq!(row.dead_letters, 1);
}

#[tokio::test]
async fn a_body_that_is_not_text_stays_bytes() {
    let (world, ledger) = world();
    let message = crate::message::Message { body: bytes::Bytes::from_static(&[0xFF, 0x00]), ..world.message("x", None) };
    let id = message.id;
    world.accept_as(message, None, &[("crm", Lane::Free)]).await.unwrap();
    assert_eq!(timeline(&ledger, id).await.unwrap().body, Body::Binary(bytes::Bytes::from_static(&[0xFF, 0x00])));
}

#[tokio::test]
async fn a_message_without_a_body_has_its_timeline() {
    let (world, ledger) = world();
    let message = crate::message::Message { body: bytes::Bytes::new(), ..world.message("x", None) };
    let id = message.id;
    world.accept_as(message, None, &[("crm", Lane::Free)]).await.unwrap();
    let timeline = timeline(&ledger, id).await.unwrap();
    assert_eq!((timeline.body, timeline.body_truncated), (Body::Text(String::new()), false));
}

/// An exchange that sent and was answered these texts.
fn exchange(sent: &str, answer: Option<&str>) -> Exchange {
    let kept = |text: &str| KeptBody::of(&[], &bytes::Bytes::copy_from_slice(text.as_bytes()));
    Exchange { sent: kept(sent), answer: answer.map(kept) }
}

#[tokio::test]
async fn what_was_sent_is_kept_with_its_attempt_and_of_waits_in_a_row_the_last() {
    let (world, ledger) = world();
    let id = world.accept("1", None).await;
    for (sent, settlement) in [
        ("first", Settlement::Waits { due_at: world.now() }),
        ("second", Settlement::Waits { due_at: world.now() }),
        ("third", delivered()),
    ] {
        let mut settle = world.settlement(world.lease_one().await.id, settlement);
        settle.attempt.exchanges = vec![exchange(sent, Some("yes")), exchange("more", None)];
        world.store().settle(Arc::new(settle)).await.unwrap();
    }
    let attempts = timeline(&ledger, id).await.unwrap().attempts;
    let mut sent = Vec::new();
    for attempt in &attempts {
        let rows = ledger.exchanges(id, attempt.id).await.unwrap().unwrap();
        assert_eq!(rows.iter().map(|row| row.answer.is_some()).collect::<Vec<_>>(), [true, false]);
        sent.extend(rows.into_iter().map(|row| row.sent.body));
    }
    let text = |text: &str| Body::Text(text.into());
    assert_eq!(sent, [text("second"), text("more"), text("third"), text("more")]);
    let other = world.accept("2", None).await;
    assert!(ledger.exchanges(other, attempts[0].id).await.unwrap().is_none(), "not an attempt of this message");
}

#[tokio::test]
async fn a_long_history_is_shown_from_its_end_in_pages() {
    let (world, ledger) = world();
    let id = world.accept("1", None).await;
    for _ in 0..250 {
        world.settle(world.lease_one().await.id, Settlement::Retries { due_at: world.now() }).await;
    }
    let newest = timeline(&ledger, id).await.unwrap();
    let before = newest.earlier_attempts;
    assert_eq!((newest.attempts.len(), before), (200, Some(newest.attempts[0].id)));
    let older = ledger.message(TimelineQuery { attempts_before: before, ..TimelineQuery::of(id) }).await.unwrap().unwrap();
    assert_eq!((older.attempts.len(), older.earlier_attempts), (50, None));
    assert!(older.attempts.last().unwrap().id < newest.attempts[0].id);
}

#[tokio::test]
async fn a_message_of_many_children_lists_some_and_counts_all() {
    let (world, ledger) = world();
    let parent = world.accept("1", None).await;
    let leased = world.lease_one().await;
    let bodies = (0..150).map(|n| n.to_string()).collect::<Vec<_>>();
    let children = world.children(&leased.message, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
    world.settle(leased.id, Settlement::FannedOut { children }).await;
    let shown = timeline(&ledger, parent).await.unwrap();
    assert_eq!((shown.children.len(), shown.more_children, shown.message.integrations[0].children), (100, true, 150));
    let all = MessageQuery { parent: Some(parent), limit: 1000, ..MessageQuery::default() };
    assert_eq!(ledger.messages(all).await.unwrap().messages.len(), 150);
}

#[tokio::test]
async fn groups_are_paged_and_go_with_their_last_dead_letter() {
    let (world, ledger) = world();
    for n in 0..3 {
        let integration = format!("flow-{n}");
        for _ in 0..=n {
            world.accept_for("x", &[(&integration, Lane::Unkeyed("no id".into()))]).await;
        }
    }
    let page = async |before| ledger.dead_letter_groups(GroupQuery { before, limit: 2, ..GroupQuery::default() }).await.unwrap();
    let first = page(None).await;
    assert_eq!(first.groups.iter().map(|group| group.count).collect::<Vec<_>>(), [3, 2]);
    let cursor = first.next.unwrap().to_string();
    let second = page(Some(cursor.parse().unwrap())).await;
    assert_eq!((second.groups.len(), second.groups[0].count, second.next), (1, 1, None));
    world.discard(second.groups[0].example).await.unwrap();
    assert!(page(Some(cursor.parse().unwrap())).await.groups.is_empty());
    let of = async |integration: &str| {
        let query = GroupQuery { integration: Some(integration.into()), ..GroupQuery::default() };
        ledger.dead_letter_groups(query).await.unwrap().groups.len()
    };
    assert_eq!((of("flow-0").await, of("flow-2").await), (0, 1));
}

/// An attempt that sent this body under this key, and waits for its target or fails.
async fn sends(world: &World, key: &str, sha256: &str, settlement: Settlement) {
    let mut settle = world.settlement(world.lease_one().await.id, settlement);
    let request = json!({"idempotency-key": key, "body-sha256": sha256});
    settle.attempt.trace = json!({"calls": [{"requests": [request]}]}).to_string().into();
    settle.attempt.exchanges = vec![Exchange::default()];
    world.store().settle(Arc::new(settle)).await.unwrap();
}

/// Of each attempt how often, and whether its request had another body.
async fn other_bodies(ledger: &Ledger, id: MessageId) -> Vec<(u64, bool)> {
    let attempts = timeline(ledger, id).await.unwrap().attempts;
    attempts.iter().map(|attempt| (attempt.times, attempt.trace["calls"][0]["requests"][0]["other-body"] == true)).collect()
}

#[tokio::test]
async fn another_body_under_the_same_key_is_noted_on_retries_and_where_waits_are_counted_together() {
    let (world, ledger) = world();
    let id = world.accept("1", None).await;
    let waits = || Settlement::Waits { due_at: world.now() };
    sends(&world, "k", "aa", waits()).await;
    sends(&world, "k", "aa", waits()).await;
    assert_eq!(other_bodies(&ledger, id).await, [(2, false)]);
    sends(&world, "k", "bb", waits()).await;
    sends(&world, "another", "cc", Settlement::Retries { due_at: world.now() }).await;
    sends(&world, "k", "aa", Settlement::Retries { due_at: world.now() }).await;
    sends(&world, "another", "dd", delivered()).await;
    assert_eq!(other_bodies(&ledger, id).await, [(2, false), (1, true), (1, false), (1, false), (1, true)]);
}

#[tokio::test]
async fn waits_of_a_call_that_uses_a_key_twice_are_counted_together_too() {
    let (world, ledger) = world();
    let id = world.accept("1", None).await;
    for _ in 0..3 {
        let mut settle = world.settlement(world.lease_one().await.id, Settlement::Waits { due_at: world.now() });
        let requests = ["aa", "bb"].map(|sha256| json!({"idempotency-key": "k", "body-sha256": sha256}));
        settle.attempt.trace = json!({"calls": [{"requests": requests}]}).to_string().into();
        settle.attempt.exchanges = vec![Exchange::default(), Exchange::default()];
        world.store().settle(Arc::new(settle)).await.unwrap();
    }
    assert_eq!(other_bodies(&ledger, id).await, [(3, false)]);
}
