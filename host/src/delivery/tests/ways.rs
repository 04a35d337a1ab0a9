//! Whole ways over the in-memory store, scripted plugins and a clock that the test moves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lab::*;
use crate::integration::{Order, Sink};
use crate::message::{FailureClass, Outcome};
use crate::message_store::MessageStore;
use crate::message_store::WaitingMax;
use crate::message_store::memory::MemoryStore;
use crate::message_store::{KeyValueRead, KeyValueWrite};
use crate::plugin::scripted::{Answer, ScriptedInvoker};
use crate::plugin::{Call, CallFailure, Draft, Effects, Obstacle, ObstacleKind, Output, QueueSend};
use crate::telemetry::events::{Filter, Kind, Start};

/// What a plugin saw of its calls, in order.
type Seen = Arc<Mutex<Vec<String>>>;

fn seen() -> (Seen, Seen) {
    let seen = Seen::default();
    (seen.clone(), seen)
}

fn all(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().clone()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn put(key: &str, value: &str) -> KeyValueWrite {
    KeyValueWrite { integration: "a".into(), key: key.into(), value: Some(value.into()), expires_at: None }
}

fn with_effects(result: Result<Output, CallFailure>, name: &str) -> Answer {
    let send = QueueSend { channel: "side".into(), draft: draft(name), delay: None, dedup_token: None };
    let effects = Effects { key_values: vec![put(name, "x")], sends: vec![send], locks: Vec::new() };
    Answer { result, obstacle: None, effects }
}

async fn stored(lab: &Lab, key: &str) -> bool {
    lab.store.get("a", key, START).await.unwrap().is_some()
}

#[tokio::test]
async fn a_child_that_died_alone_is_replayed_alone_and_under_another_idempotency_base() {
    let (bases, noted) = seen();
    let plugins = ScriptedInvoker::default().with("split", |_| drafts(&["good", "poison"]).into()).with("crm", move |call| {
        if text(&call.message) == "good" {
            return receipt().into();
        }
        noted.lock().unwrap().push(call.idempotency_base.clone());
        if call.replay == 0 { permanent().into() } else { receipt().into() }
    });
    let lab = Lab::new(vec![integration("a", &["split"], plugin("crm"))], plugins);
    let _dispatcher = lab.start();
    let id = lab.send("a", Some("k"), "order").await;
    lab.idle().await;
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::FannedOut, 0)]);
    let dead = lab.store.dead_letters();
    assert_eq!((dead.len(), dead[0].class), (1, FailureClass::Permanent));
    assert_ne!(dead[0].message, id, "the child, not the whole");
    lab.replay_the_last_dead_letter().await;
    lab.idle().await;
    let ended = lab.outcomes(dead[0].message);
    assert_eq!(ended, [("a".into(), Outcome::DeadLettered, 0), ("a".into(), Outcome::Delivered, 1)]);
    let bases = all(&bases);
    assert_eq!(bases.len(), 2);
    assert_ne!(bases[0], bases[1]);
    assert_eq!(lab.store.waiting_in_all(), 0);
}

#[tokio::test]
async fn a_full_channel_makes_its_writer_wait_and_goes_on_when_there_is_room() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let plugins =
        ScriptedInvoker::default().with("crm", move |_| if gate.load(Ordering::SeqCst) { receipt().into() } else { transient().into() });
    let writer = integration("writer", &[], Sink::Channel("out".into()));
    let mut lab = Lab::new(vec![writer, reading("out", integration("reader", &[], plugin("crm")))], plugins);
    lab.delivery.waiting_max = WaitingMax::each(10);
    let _dispatcher = lab.start();
    for number in 0..40 {
        lab.send("writer", None, &number.to_string()).await;
    }
    lab.pass(Duration::from_secs(60)).await;
    // What was under way when the tenth came is not called back.
    let (made, kept) = (lab.store.waiting("reader"), lab.store.waiting("writer"));
    assert!((10..10 + 8).contains(&made) && made + kept == 40, "{made} and {kept}");

    open.store(true, Ordering::SeqCst);
    lab.pass(Duration::from_secs(600)).await;
    assert_eq!(lab.store.waiting_in_all(), 0);
    assert_eq!(lab.store.outcomes().iter().filter(|ended| ended.integration == "reader").count(), 40);
    let mut events = lab.events.read(Filter { kinds: vec![Kind::Host], ..Filter::default() }, Start::Last { count: 100, since: None });
    let texts: Vec<String> = events.look().told.iter().map(|told| serde_json::to_value(told).unwrap()["text"].to_string()).collect();
    assert!(texts[0].contains("waits: reader") && texts.last().unwrap().contains("goes on"), "{texts:?}");
}

/// A sink that sends each message that has not gone round often enough to a channel once more.
fn sends_round(to: &'static str) -> impl Fn(&Call) -> Answer {
    move |call| {
        let rounds: u32 = text(&call.message).parse().unwrap();
        let send = QueueSend { channel: to.into(), draft: draft(&rounds.saturating_sub(1).to_string()), delay: None, dedup_token: None };
        let sends = if rounds == 0 { Vec::new() } else { vec![send] };
        Answer { effects: Effects { sends, ..Effects::default() }, ..receipt().into() }
    }
}

#[tokio::test]
async fn one_that_feeds_itself_does_not_hold_itself_back_when_it_is_full() {
    let mut lab = Lab::new(vec![integration("a", &[], plugin("again"))], ScriptedInvoker::default().with("again", sends_round("in")));
    lab.delivery.waiting_max = WaitingMax::each(10);
    for _ in 0..20 {
        lab.send("a", None, "3").await;
    }
    let _dispatcher = lab.start();
    lab.pass(seconds(60)).await;
    assert_eq!(lab.store.waiting_in_all(), 0);
    assert_eq!(lab.store.outcomes().len(), 20 * 4);
}

#[tokio::test]
async fn two_that_feed_each_other_do_not_hold_each_other_back_when_both_are_full() {
    let plugins = ScriptedInvoker::default().with("there", sends_round("back")).with("back", sends_round("there"));
    let there = reading("there", integration("a", &[], plugin("there")));
    let back = reading("back", integration("b", &[], plugin("back")));
    let mut lab = Lab::new(vec![there, back], plugins);
    lab.delivery.waiting_max = WaitingMax::each(10);
    for _ in 0..20 {
        lab.send("a", None, "3").await;
        lab.send("b", None, "3").await;
    }
    let _dispatcher = lab.start();
    lab.pass(seconds(60)).await;
    assert_eq!(lab.store.waiting_in_all(), 0);
    assert_eq!(lab.store.outcomes().len(), 40 * 4);
}

#[tokio::test]
async fn a_full_reader_behind_a_circle_makes_all_of_the_circle_wait() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let plugins = ScriptedInvoker::default()
        .with("there", sends_round("back"))
        .with("back", |call| {
            let send = |channel: &str| QueueSend { channel: channel.into(), draft: draft("0"), delay: None, dedup_token: None };
            let sends = if text(&call.message) == "0" { vec![send("out")] } else { vec![send("there"), send("out")] };
            Answer { effects: Effects { sends, ..Effects::default() }, ..receipt().into() }
        })
        .with("crm", move |_| if gate.load(Ordering::SeqCst) { receipt().into() } else { transient().into() });
    let there = reading("there", integration("a", &[], plugin("there")));
    let back = reading("back", integration("b", &[], plugin("back")));
    let mut lab = Lab::new(vec![there, back, reading("out", integration("crm", &[], plugin("crm")))], plugins);
    lab.delivery.waiting_max = WaitingMax::each(10);
    let _dispatcher = lab.start();
    for _ in 0..40 {
        lab.send("a", None, "2").await;
        lab.pass(seconds(1)).await;
    }
    let (behind, entry) = (lab.store.waiting("crm"), lab.store.waiting("a"));
    assert!((10..10 + 8).contains(&behind) && entry > 20, "{behind} behind the circle, {entry} before it");
    open.store(true, Ordering::SeqCst);
    lab.pass(seconds(900)).await;
    assert_eq!(lab.store.waiting_in_all(), 0);
}

#[tokio::test]
async fn the_idempotency_base_is_the_same_on_every_retry_of_a_step_and_of_the_sink() {
    let (bases, of_step) = seen();
    let of_sink = bases.clone();
    let plugins = ScriptedInvoker::default()
        .with("copy", move |call| {
            of_step.lock().unwrap().push(format!("step {}", call.idempotency_base));
            drafts(&["copied"]).into()
        })
        .with("crm", move |call| {
            of_sink.lock().unwrap().push(format!("sink {}", call.idempotency_base));
            if call.attempt < 2 { transient().into() } else { receipt().into() }
        });
    let lab = Lab::new(vec![integration("a", &["copy"], plugin("crm"))], plugins);
    let _dispatcher = lab.start();
    lab.send("a", None, "order").await;
    lab.pass(seconds(5)).await;
    let bases = all(&bases);
    assert_eq!(bases.len(), 6, "three attempts, steps and sink");
    assert_eq!(bases.iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
}

#[tokio::test]
async fn the_next_of_a_key_waits_while_the_first_is_retried_and_other_keys_do_not() {
    let (order, noted) = seen();
    let plugins = ScriptedInvoker::default().with("crm", move |call| {
        let body = text(&call.message);
        noted.lock().unwrap().push(body.clone());
        if body == "a1" && call.attempt < 2 { transient().into() } else { receipt().into() }
    });
    let lab = Lab::new(vec![integration("a", &[], plugin("crm"))], plugins);
    let _dispatcher = lab.start();
    for (key, body) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        lab.send("a", Some(key), body).await;
    }
    lab.idle().await;
    assert_eq!(all(&order), ["a1", "b1"]);
    lab.pass(seconds(1)).await;
    assert_eq!(all(&order), ["a1", "b1", "a1"]);
    lab.pass(seconds(2)).await;
    assert_eq!(all(&order), ["a1", "b1", "a1", "a1", "a2"]);
}

#[tokio::test]
async fn waits_for_days_without_an_attempt_while_the_host_sees_the_target_down() {
    let up = Arc::new(AtomicBool::new(false));
    let target = up.clone();
    let plugins = ScriptedInvoker::default().with("crm", move |call| {
        assert_eq!(call.attempt, 0);
        if target.load(Ordering::SeqCst) {
            return receipt().into();
        }
        let detail = "no connection".to_owned();
        let down = Obstacle { kind: ObstacleKind::Unreachable, alias: "crm".into(), not_before: None, detail };
        Answer { obstacle: Some(down), ..permanent().into() }
    });
    let lab = Lab::new(vec![integration("a", &[], plugin("crm"))], plugins);
    let _dispatcher = lab.start();
    let id = lab.send("a", None, "order").await;
    lab.idle().await;
    lab.pass_in_steps(seconds(60), 20, seconds(3 * 86_400)).await;
    assert_eq!(lab.outcomes(id), []);
    up.store(true, Ordering::SeqCst);
    lab.pass(seconds(10)).await;
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::Delivered, 0)]);
}

#[tokio::test]
async fn starts_nothing_at_a_closed_gate_and_goes_on_when_it_opens() {
    let (calls, noted) = seen();
    let plugins = ScriptedInvoker::default().with("crm", move |call| {
        noted.lock().unwrap().push(text(&call.message));
        receipt().into()
    });
    let lab = Lab::new(vec![integration("a", &[], plugin("crm"))], plugins);
    while !matches!(lab.aliases.gate("crm"), crate::alias::Gate::Closed { .. }) {
        assert!(!lab.request().await);
    }
    let _dispatcher = lab.start();
    let id = lab.send("a", None, "order").await;
    lab.idle().await;
    assert!(all(&calls).is_empty());
    lab.pass(seconds(11)).await;
    assert_eq!(all(&calls), ["order"], "one is let through to find out");
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::Delivered, 0)]);
}

#[tokio::test]
async fn gives_up_after_its_time_and_lets_the_next_of_the_key_go() {
    let plugins =
        ScriptedInvoker::default().with("crm", |call| if text(&call.message) == "poison" { transient().into() } else { receipt().into() });
    let mut impatient = integration("a", &[], plugin("crm"));
    impatient.delivery.give_up_after = seconds(60);
    let lab = Lab::new(vec![impatient], plugins);
    let _dispatcher = lab.start();
    let poison = lab.send("a", Some("k"), "poison").await;
    let next = lab.send("a", Some("k"), "next").await;
    lab.pass(seconds(59)).await;
    assert_eq!(lab.outcomes(poison), []);
    lab.pass(seconds(5)).await;
    assert_eq!(lab.outcomes(poison), [("a".into(), Outcome::DeadLettered, 0)]);
    assert_eq!(lab.store.dead_letters()[0].class, FailureClass::GaveUp);
    let figures = lab.metrics.encode();
    assert!(figures.contains("lockgate_messages_dead_lettered_total{integration=\"a\",class=\"gave-up\"} 1\n"), "{figures}");
    assert!(figures.contains("lockgate_plugin_failures_total{plugin=\"crm\",class=\"transient\"} 7\n"), "{figures}");
    assert_eq!(lab.outcomes(next), [("a".into(), Outcome::Delivered, 0)]);
}

#[tokio::test]
async fn a_skip_ends_it_with_the_plugins_reason_and_calls_nobody_further() {
    let skip = |_: &crate::plugin::Call| Output::Skip { code: "test-order".into(), detail: "a test".into() }.into();
    let lab = Lab::new(vec![integration("a", &["skip"], plugin("nobody"))], ScriptedInvoker::default().with("skip", skip));
    let _dispatcher = lab.start();
    let id = lab.send("a", None, "order").await;
    lab.idle().await;
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::Skipped, 0)]);
}

#[tokio::test]
async fn a_channel_gives_every_reader_its_own_delivery() {
    let plugins = ScriptedInvoker::default()
        .with("canonical", |_| drafts(&["canonical"]).into())
        .with("crm", |_| receipt().into())
        .with("audit", |_| permanent().into());
    let integrations = vec![
        integration("a", &["canonical"], Sink::Channel("orders".into())),
        reading("orders", integration("crm", &[], plugin("crm"))),
        reading("orders", integration("audit", &[], plugin("audit"))),
    ];
    let lab = Lab::new(integrations, plugins);
    let _dispatcher = lab.start();
    let id = lab.send("a", Some("k"), "order").await;
    lab.idle().await;
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::Delivered, 0)]);
    let mut ended: Vec<_> = lab.store.outcomes().into_iter().skip(1).map(|ended| (ended.integration, ended.outcome)).collect();
    ended.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(ended, [("audit".into(), Outcome::DeadLettered), ("crm".into(), Outcome::Delivered)]);
    let appended = lab.store.message(lab.store.dead_letters()[0].message).unwrap();
    assert_eq!((appended.parent, text(&appended), appended.key.clone().unwrap().0), (Some(id), "canonical".into(), "k".into()));
}

#[tokio::test]
async fn effects_are_carried_from_step_to_step_and_commit_with_the_settlement_only() {
    let side_seen = Seen::default();
    let noted = side_seen.clone();
    let plugins = ScriptedInvoker::default()
        .with("first", |_| with_effects(Ok(drafts(&["1"])), "first"))
        .with("second", |call| with_effects(Ok(drafts(&["2"])), if call.attempt == 0 { "failed" } else { "second" }))
        .with("crm", |call| if call.attempt == 0 { with_effects(Err(transient()), "sink") } else { receipt().into() })
        .with("side", move |call| {
            noted.lock().unwrap().push(text(&call.message));
            receipt().into()
        });
    let integrations = vec![integration("a", &["first", "second"], plugin("crm")), reading("side", integration("b", &[], plugin("side")))];
    let lab = Lab::new(integrations, plugins);
    let _dispatcher = lab.start();
    lab.send("a", None, "order").await;
    lab.idle().await;
    assert!(all(&side_seen).is_empty());
    assert!(!stored(&lab, "first").await && !stored(&lab, "failed").await && !stored(&lab, "sink").await);
    lab.pass(seconds(1)).await;
    assert_eq!(all(&side_seen), ["first", "second"], "what the failed attempt wanted sent is gone");
    assert!(stored(&lab, "first").await && stored(&lab, "second").await);
    assert!(!stored(&lab, "failed").await && !stored(&lab, "sink").await);
}

#[tokio::test]
async fn a_message_is_found_by_what_its_steps_tracked_also_when_it_goes_straight_to_a_sink() {
    let plugins = ScriptedInvoker::default()
        .with("first", |_| drafts(&["one"]).into())
        .with("second", |_| drafts(&["two"]).into())
        .with("crm", |call| if call.attempt == 0 { transient().into() } else { receipt().into() });
    let lab = Lab::new(vec![integration("a", &["first", "second"], plugin("crm"))], plugins);
    let _dispatcher = lab.start();
    let id = lab.send("a", None, "order").await;
    lab.pass(seconds(2)).await;
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::Delivered, 0)]);
    let values: Vec<_> = lab.store.tracked(id).into_iter().map(|tracked| tracked.value).collect();
    assert_eq!(values, ["one", "two"]);
}

#[tokio::test]
async fn a_panic_is_retried_later_and_holds_up_its_own_key_only() {
    let plugins = ScriptedInvoker::default().with("crm", |call| {
        assert!(text(&call.message) != "poison" || call.attempt > 0, "a fault of the host");
        receipt().into()
    });
    let mut one_at_a_time = integration("a", &[], plugin("crm"));
    one_at_a_time.delivery.concurrency = 1;
    let lab = Lab::new(vec![one_at_a_time], plugins);
    let _dispatcher = lab.start();
    let poison = lab.send("a", Some("k"), "poison").await;
    let other = lab.send("a", Some("other"), "fine").await;
    lab.idle().await;
    assert_eq!(lab.outcomes(other), [("a".into(), Outcome::Delivered, 0)], "its permit came back");
    assert_eq!(lab.outcomes(poison), []);
    lab.pass(seconds(1)).await;
    assert_eq!(lab.outcomes(poison), [("a".into(), Outcome::Delivered, 0)]);
}

#[tokio::test]
async fn what_was_delivered_is_settled_when_a_busy_or_full_store_takes_it_again() {
    let (calls, noted) = seen();
    let plugins = ScriptedInvoker::default().with("crm", move |call| {
        noted.lock().unwrap().push(text(&call.message));
        receipt().into()
    });
    let reluctant = |store| Arc::new(Reluctant::new(store, 3)) as _;
    let lab = Lab::over(Arc::new(MemoryStore::new()), reluctant, vec![integration("a", &[], plugin("crm"))], plugins);
    let _dispatcher = lab.start();
    let id = lab.send("a", None, "order").await;
    lab.idle().await;
    assert_eq!(lab.outcomes(id), []);
    lab.pass(seconds(3)).await;
    assert_eq!(lab.outcomes(id), [("a".into(), Outcome::Delivered, 0)]);
    assert_eq!(all(&calls).len(), 1, "the target is not asked again");
}

#[tokio::test]
async fn what_the_steps_make_of_one_message_is_bounded_all_together() {
    let many = |_: &crate::plugin::Call| Output::Drafts(vec![draft("x"); 10]).into();
    let large = |_: &crate::plugin::Call| {
        let body = bytes::Bytes::from(vec![0; 15 << 20]);
        Output::Drafts(vec![Draft { body, ..draft("x") }]).into()
    };
    let lab = Lab::new(
        vec![integration("a", &["many", "large"], plugin("crm"))],
        ScriptedInvoker::default().with("many", many).with("large", large),
    );
    let _dispatcher = lab.start();
    lab.send("a", None, "order").await;
    lab.idle().await;
    assert_eq!(lab.store.dead_letters()[0].class, FailureClass::OutputTooLarge);
}

#[tokio::test]
async fn without_order_a_failing_message_holds_up_nobody() {
    let plugins =
        ScriptedInvoker::default().with("crm", |call| if text(&call.message) == "poison" { transient().into() } else { receipt().into() });
    let mut free = integration("a", &[], plugin("crm"));
    free.delivery.order = Order::None;
    let lab = Lab::new(vec![free], plugins);
    let _dispatcher = lab.start();
    lab.send("a", Some("k"), "poison").await;
    let next = lab.send("a", Some("k"), "next").await;
    lab.idle().await;
    assert_eq!(lab.outcomes(next), [("a".into(), Outcome::Delivered, 0)]);
}
