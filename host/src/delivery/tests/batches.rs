//! Batches over the in-memory store, scripted plugins and a clock that the test moves: one bad message never takes the others with it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lab::*;
use super::stopping::Slow;
use super::target::{Asked, Scene, alias, posting, status};
use crate::alias::secret::{Secret, SecretRef, SecretSource};
use crate::alias::upstream::UpstreamResponse;
use crate::alias::{Alias, Auth};
use crate::clock::Clock;
use crate::delivery::Pause;
use crate::integration::{Batching, Integration, Order};
use crate::message::{FailureClass, MessageId, Outcome};
use crate::message_store::memory::MemoryStore;
use crate::message_store::{Lease, MessageStore};
use crate::plugin::scripted::{Answer, ScriptedInvoker};
use crate::plugin::{Call, CallFailure, Obstacle, ObstacleKind, Output};
use crate::problem::Problem;

/// The calls of a batch sink: what was in each.
type Calls = Arc<Mutex<Vec<Vec<String>>>>;

fn all(calls: &Calls) -> Vec<Vec<String>> {
    calls.lock().unwrap().clone()
}

fn sizes(calls: &Calls) -> Vec<usize> {
    all(calls).iter().map(Vec::len).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fault() -> CallFailure {
    CallFailure::Fault { class: FailureClass::Trapped, detail: "unreachable".into() }
}

/// Integration `a`, whose sink `crm` takes batches of at most `max` within two seconds.
fn batching(max: usize, steps: &[&str]) -> Integration {
    let mut integration = integration("a", steps, plugin("crm"));
    integration.delivery.batch = Some(Batching { max, within: seconds(2) });
    integration
}

fn each(call: &Call, result: impl Fn(&str) -> Result<Output, CallFailure>) -> Answer {
    Output::Each(call.messages().map(|message| result(&text(message))).collect()).into()
}

/// A batch sink, and its calls.
fn sink(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> (ScriptedInvoker, Calls) {
    let calls = Calls::default();
    let noted = calls.clone();
    let plugins = ScriptedInvoker::default().with("crm", move |call| {
        noted.lock().unwrap().push(call.messages().map(|message| text(message)).collect());
        answer(call)
    });
    (plugins, calls)
}

/// Messages of as many keys, with their numbers as bodies; one has another body.
async fn send(lab: &Lab, count: usize, odd: (usize, &str)) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for number in 0..count {
        let body = if number == odd.0 { odd.1.to_owned() } else { number.to_string() };
        ids.push(lab.send("a", Some(&format!("key-{number}")), &body).await);
    }
    lab.idle().await;
    ids
}

const NONE_ODD: (usize, &str) = (usize::MAX, "");

/// All but `odd` were delivered, each once, and nothing is left.
fn all_but(lab: &Lab, ids: &[MessageId], odd: usize) {
    for (number, id) in ids.iter().enumerate() {
        let outcome = if number == odd { Outcome::DeadLettered } else { Outcome::Delivered };
        assert_eq!(lab.outcomes(*id), [("a".into(), outcome, 0)], "{number}");
    }
    assert_eq!(lab.store.waiting_in_all(), 0);
}

#[tokio::test]
async fn one_that_is_refused_among_a_hundred_dies_alone() {
    let (plugins, calls) = sink(|call| each(call, |body| if body == "bad" { Err(permanent()) } else { Ok(receipt()) }));
    let lab = Lab::new(vec![batching(100, &[])], plugins);
    let ids = send(&lab, 100, (57, "bad")).await;
    let _dispatcher = lab.start();
    lab.idle().await;
    assert_eq!(sizes(&calls), [100]);
    all_but(&lab, &ids, 57);
    assert_eq!(lab.store.dead_letters()[0].class, FailureClass::Permanent);
}

#[tokio::test]
async fn one_that_traps_is_found_in_halves_and_the_others_use_no_attempt() {
    let (plugins, calls) = sink(|call| {
        assert_eq!(call.attempt, 0);
        if call.messages().any(|message| text(message) == "poison") { fault().into() } else { each(call, |_| Ok(receipt())) }
    });
    let lab = Lab::new(vec![batching(100, &[])], plugins);
    let ids = send(&lab, 100, (31, "poison")).await;
    let _dispatcher = lab.start();
    lab.idle().await;
    all_but(&lab, &ids, 31);
    let calls = all(&calls);
    assert_eq!(calls.len(), 13, "the whole, then two halves each time: {:?}", calls.iter().map(Vec::len).collect::<Vec<_>>());
    assert!(calls.contains(&vec!["poison".to_owned()]), "{calls:?}");
    assert_eq!(lab.store.dead_letters()[0].class, FailureClass::Trapped);
    let figures = lab.metrics.encode();
    assert!(!figures.contains("result=\"failed\"} 2"), "{figures}");
}

#[tokio::test]
async fn a_wrong_number_of_results_is_a_fault_of_whom_it_follows() {
    for results in [0, 1_000] {
        let (plugins, _calls) = sink(move |call| match call.messages().any(|message| text(message) == "odd") {
            true => Output::Each(vec![Ok(receipt()); results]).into(),
            false => each(call, |_| Ok(receipt())),
        });
        let lab = Lab::new(vec![batching(10, &[])], plugins);
        let ids = send(&lab, 10, (9, "odd")).await;
        let _dispatcher = lab.start();
        lab.idle().await;
        all_but(&lab, &ids, 9);
        let dead = &lab.store.dead_letters()[0];
        assert_eq!((dead.class, dead.detail.contains(&format!("{results} results for 1"))), (FailureClass::Unrunnable, true), "{dead:?}");
    }
}

#[tokio::test]
async fn a_panic_of_the_host_is_retried_for_one_alone() {
    let (plugins, _calls) = sink(|call| {
        assert!(call.attempt > 0 || !call.messages().any(|message| text(message) == "poison"), "a fault of the host");
        each(call, |_| Ok(receipt()))
    });
    let lab = Lab::new(vec![batching(4, &[])], plugins);
    let ids = send(&lab, 4, (2, "poison")).await;
    let _dispatcher = lab.start();
    lab.idle().await;
    assert_eq!(ids.iter().map(|id| lab.outcomes(*id).len()).collect::<Vec<_>>(), [1, 1, 0, 1]);
    lab.pass(seconds(4)).await;
    all_but(&lab, &ids, usize::MAX);
}

#[tokio::test]
async fn a_target_that_is_down_makes_all_wait_and_no_attempt_is_used() {
    let up = Arc::new(AtomicBool::new(false));
    let target = up.clone();
    let (plugins, calls) = sink(move |call| {
        assert_eq!(call.attempt, 0);
        if target.load(Ordering::SeqCst) {
            return each(call, |_| Ok(receipt()));
        }
        let down = Obstacle { kind: ObstacleKind::Unreachable, alias: "crm".into(), not_before: None, detail: "refused".into() };
        Answer { obstacle: Some(down), ..fault().into() }
    });
    let lab = Lab::new(vec![batching(20, &[])], plugins);
    let ids = send(&lab, 20, NONE_ODD).await;
    let _dispatcher = lab.start();
    lab.idle().await;
    assert_eq!(sizes(&calls), [20], "no message is to blame, so none is looked for");
    lab.pass_in_steps(seconds(20), 40, seconds(3_600)).await;
    up.store(true, Ordering::SeqCst);
    lab.pass(seconds(20)).await;
    all_but(&lab, &ids, usize::MAX);
}

#[tokio::test]
async fn a_batch_goes_when_it_is_full_or_when_its_time_has_passed() {
    let (plugins, calls) = sink(|call| each(call, |_| Ok(receipt())));
    let lab = Lab::new(vec![batching(5, &[])], plugins);
    let _dispatcher = lab.start();
    send(&lab, 3, NONE_ODD).await;
    lab.pass(ms(1_500)).await;
    assert!(all(&calls).is_empty(), "two may still come");
    lab.pass(ms(500)).await;
    assert_eq!(sizes(&calls), [3]);
    send(&lab, 7, NONE_ODD).await;
    lab.idle().await;
    assert_eq!(sizes(&calls), [3, 5]);
    lab.pass(seconds(2)).await;
    assert_eq!(sizes(&calls), [3, 5, 2]);
}

#[tokio::test]
async fn no_batch_has_two_of_a_key_also_where_there_is_no_order() {
    for order in [Order::Key, Order::None] {
        let (plugins, calls) = sink(|call| {
            let keys: BTreeSet<_> = call.messages().map(|message| message.key.clone()).collect();
            assert_eq!(keys.len(), call.messages().count());
            each(call, |_| Ok(receipt()))
        });
        let mut integration = batching(100, &[]);
        integration.delivery.order = order;
        let lab = Lab::new(vec![integration], plugins);
        for number in 0..30 {
            lab.send("a", Some(&format!("key-{}", number % 3)), &number.to_string()).await;
            lab.clock.advance(ms(1));
        }
        let _dispatcher = lab.start();
        lab.pass(seconds(60)).await;
        assert_eq!(lab.store.waiting_in_all(), 0);
        let came: Vec<usize> = all(&calls).into_iter().flatten().map(|body| body.parse().unwrap()).collect();
        for key in 0..3 {
            let of_key: Vec<_> = came.iter().filter(|number| *number % 3 == key).collect();
            assert!(of_key.is_sorted() && of_key.len() == 10, "{order:?} {came:?}");
        }
    }
}

#[tokio::test]
async fn the_next_of_a_key_waits_while_the_first_is_retried_and_the_others_of_the_batch_do_not() {
    let (plugins, calls) = sink(|call| {
        let attempt = call.attempt;
        each(call, |body| if body == "a1" && attempt < 2 { Err(transient()) } else { Ok(receipt()) })
    });
    let lab = Lab::new(vec![batching(2, &[])], plugins);
    for (key, body) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        lab.send("a", Some(key), body).await;
        lab.clock.advance(ms(1));
    }
    let _dispatcher = lab.start();
    lab.idle().await;
    assert_eq!(all(&calls), [["a1", "b1"]]);
    lab.pass(seconds(12)).await;
    assert_eq!(all(&calls).concat(), ["a1", "b1", "a1", "a1", "a2"]);
}

#[tokio::test]
async fn what_the_steps_skip_or_split_holds_up_nobody_and_children_go_in_batches_too() {
    let (plugins, calls) = sink(|call| each(call, |_| Ok(receipt())));
    let plugins = plugins.with("shape", |call| match text(&call.message).as_str() {
        "skip" => Output::Skip { code: "test".into(), detail: String::new() }.into(),
        "split" => drafts(&["x", "y"]).into(),
        "dead" => permanent().into(),
        body => drafts(&[body]).into(),
    });
    let mut integration = batching(10, &["shape"]);
    integration.delivery.order = Order::None;
    let lab = Lab::new(vec![integration], plugins);
    for body in ["1", "skip", "split", "dead", "2"] {
        lab.send("a", None, body).await;
    }
    let _dispatcher = lab.start();
    lab.idle().await;
    lab.pass(seconds(2)).await;
    assert_eq!(sizes(&calls), [2]);
    lab.pass(seconds(2)).await;
    let children: BTreeSet<_> = all(&calls)[1].iter().cloned().collect();
    assert_eq!(children, BTreeSet::from(["x".to_owned(), "y".to_owned()]));
    assert_eq!((lab.store.waiting_in_all(), lab.store.dead_letters().len()), (0, 1));
}

#[tokio::test]
async fn a_batch_has_one_key_while_its_members_are_the_same_and_a_message_alone_has_its_own() {
    let bases = Arc::new(Mutex::new(Vec::new()));
    let noted = bases.clone();
    let (plugins, _calls) = sink(move |call| {
        noted.lock().unwrap().push((call.messages().count(), call.idempotency_base.clone()));
        each(call, |body| if call.attempt < 2 && body != "1" { Err(transient()) } else { Ok(receipt()) })
    });
    let lab = Lab::new(vec![batching(3, &[])], plugins);
    send(&lab, 3, NONE_ODD).await;
    let _dispatcher = lab.start();
    lab.pass(seconds(20)).await;
    let bases = bases.lock().unwrap();
    assert_eq!(bases.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [3, 2, 2]);
    assert_ne!(bases[0].1, bases[1].1);
    assert_eq!(bases[1].1, bases[2].1);
}

#[tokio::test]
async fn a_stop_or_a_pause_while_a_batch_fills_gives_its_messages_back() {
    let (plugins, calls) = sink(|call| each(call, |_| Ok(receipt())));
    let lab = Lab::new(vec![batching(10, &[])], plugins);
    let ids = send(&lab, 3, NONE_ODD).await;
    let dispatcher = lab.start();
    lab.idle().await;
    assert_eq!(dispatcher.stop(&*lab.clock, seconds(10)).await, 0);

    let dispatcher = lab.start();
    lab.idle().await;
    lab.delivery.pauses.pause("a", Pause { since: lab.clock.now(), reason: "r".into() });
    lab.pass(seconds(10)).await;
    assert_eq!((sizes(&calls), lab.store.waiting("a")), (vec![], 3));
    lab.delivery.pauses.resume("a", lab.clock.now());
    lab.pass(seconds(10)).await;
    all_but(&lab, &ids, usize::MAX);
    assert_eq!(sizes(&calls), [3]);
    drop(dispatcher);
}

#[tokio::test]
async fn a_call_under_way_after_the_drain_is_left_and_every_message_of_it_waits_for_the_next_start() {
    let slow = Slow::new();
    let lab = Lab::new(vec![batching(3, &[])], slow.clone());
    let dispatcher = lab.start();
    send(&lab, 3, NONE_ODD).await;
    lab.idle().await;
    assert_eq!(slow.under_way(), 1);
    let clock = lab.clock.clone();
    let stop = tokio::spawn(async move { dispatcher.stop(&*clock, seconds(10)).await });
    lab.idle().await;
    lab.clock.advance(seconds(10));
    assert_eq!(stop.await.unwrap(), 3, "messages, not calls");
    assert_eq!(slow.under_way(), 0, "nothing runs after the stop");
    let leased = lab.store.lease(Lease { integration: "a".into(), now: lab.clock.now(), limit: 9, bytes_max: usize::MAX }).await.unwrap();
    assert_eq!(leased.iter().map(|leased| (leased.unsettled_starts, leased.attempts, leased.waits)).collect::<Vec<_>>(), [(0, 0, 1); 3]);
}

#[tokio::test]
async fn what_was_in_a_batch_when_the_host_crashed_goes_alone() {
    let (plugins, calls) = sink(|call| each(call, |_| Ok(receipt())));
    let lab = Lab::new(vec![batching(4, &[])], plugins);
    let mut ids = send(&lab, 3, NONE_ODD).await;
    lab.store.lease(Lease { integration: "a".into(), now: lab.clock.now(), limit: 9, bytes_max: usize::MAX }).await.unwrap();
    lab.store.crash();
    ids.extend(send(&lab, 1, NONE_ODD).await);
    let _dispatcher = lab.start();
    lab.idle().await;
    lab.pass(seconds(2)).await;
    assert_eq!(sizes(&calls), [1, 1, 1, 1]);
    all_but(&lab, &ids, usize::MAX);
}

/// A core over a store that the test can look into.
fn over_reluctant(integration: Integration, plugins: ScriptedInvoker) -> (Lab, Arc<Reluctant>) {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::new(Reluctant::new(memory.clone(), 0));
    (Lab::over(memory, |_| store.clone(), vec![integration], plugins), store)
}

#[tokio::test]
async fn the_many_of_a_large_batch_that_a_crash_cut_off_are_not_given_back_over_and_over() {
    let (plugins, calls) = sink(|call| each(call, |_| Ok(receipt())));
    let (lab, store) = over_reluctant(batching(50, &[]), plugins);
    let mut ids = send(&lab, 50, NONE_ODD).await;
    let lease = Lease { integration: "a".into(), now: lab.clock.now(), limit: 50, bytes_max: usize::MAX };
    lab.store.lease(lease).await.unwrap();
    lab.store.crash();
    lab.clock.advance(ms(1));
    ids.extend(send(&lab, 30, NONE_ODD).await);
    let _dispatcher = lab.start();
    lab.pass(seconds(5)).await;
    all_but(&lab, &ids, usize::MAX);
    assert_eq!(store.released.load(Ordering::SeqCst), 49, "those leased together before it was known");
    let mut sizes = sizes(&calls);
    assert_eq!((sizes.pop(), sizes), (Some(30), vec![1; 50]), "what came since is a batch again");
}

#[tokio::test]
async fn what_is_given_back_is_given_back_together() {
    let (plugins, _calls) = sink(|call| each(call, |_| Ok(receipt())));
    let (lab, store) = over_reluctant(batching(10, &[]), plugins);
    send(&lab, 7, NONE_ODD).await;
    let dispatcher = lab.start();
    lab.idle().await;
    store.releases.forget_permits(usize::MAX);
    let clock = lab.clock.clone();
    let stop = tokio::spawn(async move { dispatcher.stop(&*clock, seconds(10)).await });
    lab.idle().await;
    assert_eq!(store.released.load(Ordering::SeqCst), 7, "though none has come back yet");
    store.releases.add_permits(7);
    assert_eq!(stop.await.unwrap(), 0);
}

#[tokio::test]
async fn no_more_bodies_are_loaded_for_a_batch_than_it_has_room_for_and_one() {
    const MIB: usize = 1024 * 1024;
    let (plugins, calls) = sink(|call| each(call, |_| Ok(receipt())));
    let (lab, store) = over_reluctant(batching(10, &[]), plugins);
    for number in 0..10 {
        lab.send("a", Some(&number.to_string()), &"x".repeat(3 * MIB)).await;
    }
    let _dispatcher = lab.start();
    lab.pass(seconds(10)).await;
    assert_eq!((lab.store.waiting_in_all(), sizes(&calls).iter().sum::<usize>()), (0, 10));
    assert_eq!(store.leased_bytes.load(Ordering::SeqCst), 9 * MIB, "8 MiB and what is over in the last one");
}

#[tokio::test]
async fn a_gate_that_closes_while_a_batch_fills_gives_its_messages_back_and_they_go_when_it_opens() {
    let (plugins, calls) = sink(|call| each(call, |_| Ok(receipt())));
    let lab = Lab::new(vec![batching(10, &[])], plugins);
    let _dispatcher = lab.start();
    let ids = send(&lab, 3, NONE_ODD).await;
    lab.clock.advance(ms(1_950));
    lab.idle().await;
    while !matches!(lab.aliases.gate("crm"), crate::alias::Gate::Closed { .. }) {
        assert!(!lab.request().await);
    }
    lab.clock.advance(ms(50));
    lab.idle().await;
    assert!(all(&calls).is_empty());
    lab.pass(seconds(10)).await;
    assert_eq!(sizes(&calls), [3], "without another wait");
    all_but(&lab, &ids, usize::MAX);
}

#[derive(Debug)]
struct OneSecret;

impl SecretSource for OneSecret {
    fn read(&self, _: &SecretRef) -> Result<Secret, Problem> {
        Ok(Secret::new("client secret"))
    }
}

/// Two batches of eight on their way through `crm`, one request for each message and a second each. Its tokens are good for a minute, if the
/// token endpoint says so, and the first one ends when the target says so.
async fn two_batches(expires_in: u64, first_ends: Duration) -> (Scene, Vec<Asked>) {
    let auth = Auth::OAuth2ClientCredentials {
        token_url: "http://crm.example/token".parse().unwrap(),
        client_id: "lockgate".into(),
        client_secret: SecretRef::env("crm.client-secret", "CRM"),
        scope: None,
    };
    let mut integration = posting("a", "crm");
    integration.delivery.batch = Some(Batching { max: 8, within: seconds(2) });
    let (given, ends) = (Mutex::new(0), START.plus(first_ends));
    let crm = vec![Alias { auth, ..alias("crm", &[]) }];
    let scene = Scene::with_secrets(Arc::new(OneSecret), vec![integration], crm, move |asked| {
        if asked.path == "/token" {
            let mut given = given.lock().unwrap();
            *given += 1;
            let body = format!(r#"{{"access_token":"token-{given}","token_type":"Bearer","expires_in":{expires_in}}}"#);
            return (seconds(1), Ok(UpstreamResponse::new(http::StatusCode::OK, body)));
        }
        let is_good = asked.authorization != "Bearer token-1" || asked.at < ends;
        (seconds(1), status(if is_good { 201 } else { 401 }))
    });
    scene.send("a", 16, 0).await;
    let _dispatcher = scene.lab.start();
    scene.pass(seconds(30)).await;
    let asked = scene.target.asked();
    (scene, asked)
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_batch_is_replaced_once_and_every_message_is_sent_and_settled_once() {
    // The target ends it long before it said; or it is used up, as the host knows, when half of a batch is sent.
    for (expires_in, first_ends, refused) in [(3_600, ms(4_500), 2), (5, seconds(3_600), 0)] {
        let (scene, asked) = two_batches(expires_in, first_ends).await;
        let (tokens, sent): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| asked.path == "/token");
        let with = |token: &str| sent.iter().filter(|asked| asked.authorization == token).count();
        assert!(with("Bearer token-1") > 2 && with("Bearer token-2") > 2, "in the middle: {sent:?}");
        if expires_in > 5 {
            assert_eq!(tokens.len(), 2, "one for all who met the end of the first");
        }
        assert_eq!(sent.len(), 16 + refused, "each once, but for those that were answered 401");
        let mut taken: Vec<_> = scene.target.taken().into_iter().filter(|body| body.starts_with("a-")).collect();
        taken.sort();
        let mut expected: Vec<_> = (0..16).map(|number| format!("a-{number}")).collect();
        expected.sort();
        assert_eq!(taken, expected);
        assert_eq!((scene.calls(), scene.lab.store.waiting_in_all(), scene.lab.store.dead_letters().len()), (2, 0, 0));
        let outcomes = scene.lab.store.outcomes();
        assert_eq!((outcomes.len(), outcomes.iter().all(|ended| ended.outcome == Outcome::Delivered)), (16, true));
        let figures = scene.lab.metrics.encode();
        assert!(!figures.contains("result=\"failed\""), "{figures}");
        assert_eq!(scene.lab.aliases.states()[0].state, "healthy");
    }
}
