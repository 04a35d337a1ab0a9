//! Targets that are down, throttle, hang or have a rate, in virtual time: what they are asked, and that nothing is lost by it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lab::START;
use super::target::*;
use crate::alias::secret::SecretRef;
use crate::alias::{Alias, Auth, Hold, RateLimit};
use crate::clock::Timestamp;
use crate::integration::Integration;
use crate::message::Outcome;
use crate::message_store::MessageStore;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Everything was taken once, that of each key in order, and no attempt was used.
fn nothing_was_lost(scene: &Scene, sent: usize, keys: usize) {
    let taken = scene.target.taken();
    assert_eq!((taken.len(), scene.lab.store.waiting_in_all()), (sent, 0));
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), sent, "none twice");
    assert!(scene.lab.store.outcomes().iter().all(|ended| ended.outcome == Outcome::Delivered));
    let mut last = std::collections::BTreeMap::new();
    for body in taken {
        let (integration, number) = body.rsplit_once('-').unwrap();
        let number: usize = number.parse().unwrap();
        let before = last.insert((integration.to_owned(), number % keys), number);
        assert!(before.is_none_or(|before| before < number), "{body} came before {before:?} of its key");
    }
    let figures = scene.lab.metrics.encode();
    assert!(!figures.contains("result=\"failed\""), "{figures}");
}

/// A CRM that refuses connections until `back`, and from then on answers.
fn down_until(back: Timestamp, integrations: Vec<Integration>) -> Scene {
    Scene::new(
        integrations,
        vec![alias("crm", &[])],
        move |asked| {
            if asked.at < back { (ms(5), refused()) } else { (ms(200), status(200)) }
        },
    )
}

#[tokio::test]
async fn a_target_down_for_half_an_hour_is_asked_by_one_now_and_then_and_loses_nothing() {
    let back = START.plus(seconds(1_800));
    let integrations = ["a", "b", "c"].map(|name| posting(name, "crm")).to_vec();
    let scene = down_until(back, integrations);
    let _dispatcher = scene.lab.start();
    for integration in ["a", "b", "c"] {
        scene.send(integration, 200, 20).await;
    }
    scene.pass(seconds(10)).await;
    let (asked, calls) = (scene.target.asked().len(), scene.calls());
    assert!(asked <= 24 + 10, "those that were under way, then one at a time: {asked}");
    scene.lab.pass_in_steps(ms(250), 40, seconds(1_790)).await;
    let down = scene.target.asked();
    assert_eq!(scene.calls() - calls, down.len() - asked, "no delivery was started that could not send");
    let tries = &down[asked..];
    assert!(tries.iter().all(|asked| asked.under_way == 1));
    let waits: Vec<_> = tries.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
    assert!(waits.iter().all(|wait| *wait >= seconds(5)), "{waits:?}");
    assert!(tries.len() > 150, "it is noticed within ten seconds when it is back: {}", tries.len());
    assert!(tries.iter().map(|asked| &asked.body[..1]).collect::<BTreeSet<_>>().len() == 3, "in turns");
    assert_eq!(scene.lab.aliases.states()[0].state, "open");
    scene.pass(seconds(60)).await;
    nothing_was_lost(&scene, 600, 20);
    assert_eq!(scene.lab.aliases.states()[0].state, "healthy");
}

#[tokio::test]
async fn a_backlog_drains_without_a_stampede() {
    let back = START.plus(seconds(120));
    let integrations = ["a", "b", "c", "d"].map(|name| posting(name, "crm")).to_vec();
    let scene = down_until(back, integrations);
    let _dispatcher = scene.lab.start();
    for integration in ["a", "b", "c", "d"] {
        scene.send(integration, 250, 50).await;
    }
    scene.pass(seconds(240)).await;
    let asked = scene.target.asked();
    let up: Vec<_> = asked.iter().filter(|asked| asked.at >= back).collect();
    for (second, most) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16)] {
        let until = up[0].at.plus(ms(200)).plus(seconds(second));
        let at_once = up.iter().filter(|asked| asked.at < until).map(|asked| asked.under_way).max().unwrap();
        assert!(at_once <= most, "{at_once} at once within {second} s of its return");
    }
    assert_eq!(up.iter().map(|asked| asked.under_way).max(), Some(32), "then as many as the integrations allow");
    nothing_was_lost(&scene, 1_000, 50);
}

#[tokio::test]
async fn whoever_was_to_find_out_and_does_not_report_back_keeps_nobody_from_finding_out() {
    let back = START.plus(seconds(60));
    let names = ["skips", "panics", "hangs", "cut-off", "a"];
    let scene = Scene::new(names.map(|name| posting(name, "crm")).to_vec(), vec![alias("crm", &[])], move |asked| {
        if asked.at < back { (ms(5), refused()) } else { (ms(200), status(200)) }
    });
    let _dispatcher = scene.lab.start();
    scene.send("a", 40, 40).await;
    scene.pass(seconds(20)).await;
    assert_eq!(scene.lab.aliases.states()[0].state, "open");
    for name in &names[..4] {
        scene.send(name, 3, 3).await;
    }
    scene.pass(seconds(220)).await;
    let taken = scene.target.taken();
    assert_eq!(taken.iter().filter(|body| body.starts_with("a-")).count(), 40, "{:?}", scene.lab.aliases.states());
    assert_eq!(scene.lab.store.outcomes().iter().filter(|ended| matches!(ended.outcome, Outcome::Skipped)).count(), 3);
    assert_eq!(scene.lab.aliases.states()[0].state, "healthy");
}

#[tokio::test]
async fn a_gateway_without_its_server_for_a_day_uses_up_no_message() {
    let back = START.plus(seconds(86_400));
    let scene = Scene::new(vec![posting("a", "crm")], vec![alias("crm", &[])], move |asked| {
        (ms(5), status(if asked.at < back { 502 } else { 200 }))
    });
    let _dispatcher = scene.lab.start();
    scene.send("a", 3, 3).await;
    scene.pass(seconds(60)).await;
    scene.lab.pass_in_steps(seconds(4), 40, seconds(86_400)).await;
    assert_eq!(scene.target.taken().len(), 3);
    assert!(scene.lab.store.dead_letters().is_empty());
}

#[tokio::test]
async fn one_poison_message_closes_the_gate_for_nobody() {
    let scene = Scene::new(vec![posting("a", "crm")], vec![alias("crm", &[])], |asked| {
        (ms(50), status(if asked.body == "a-0" { 500 } else { 200 }))
    });
    let _dispatcher = scene.lab.start();
    scene.send("a", 1, 1).await;
    scene.pass(seconds(60)).await;
    assert!(scene.target.asked().len() >= 5);
    assert_eq!(scene.lab.aliases.states()[0].state, "healthy");
    scene.send("a", 100, 10).await;
    scene.pass(seconds(30)).await;
    assert_eq!(scene.target.taken().len(), 90, "all but those behind it");
    assert_eq!(scene.lab.aliases.states()[0].state, "healthy");
}

/// The most requests in any span of the limit's period.
fn most_in_a_period(asked: &[Asked], limit: RateLimit) -> usize {
    let within = |start: usize| asked[start..].iter().take_while(|later| later.at.since(asked[start].at) < limit.period).count();
    (0..asked.len()).map(within).max().unwrap_or(0)
}

#[tokio::test]
async fn a_rate_is_never_exceeded_costs_no_call_and_is_shared_between_integrations() {
    let limits = [RateLimit { requests: 5, period: seconds(1) }, RateLimit { requests: 100, period: seconds(60) }];
    let integrations = vec![posting("a", "crm"), posting("b", "crm")];
    let scene = Scene::new(integrations, vec![alias("crm", &limits)], |_| (ms(30), status(200)));
    let _dispatcher = scene.lab.start();
    scene.send("a", 300, 300).await;
    scene.pass(ms(100)).await;
    scene.send("b", 10, 10).await;
    scene.pass(seconds(10)).await;
    let asked = scene.target.asked();
    let of_b = asked.iter().filter(|asked| asked.body.starts_with('b')).count();
    assert_eq!(of_b, 10, "its turn comes, whatever the other has waiting: {asked:?}");
    scene.pass(seconds(300)).await;
    let asked = scene.target.asked();
    for limit in limits {
        assert!(most_in_a_period(&asked, limit) <= limit.requests as usize, "{limit}");
    }
    assert_eq!(scene.calls(), 310, "no delivery was started that was turned away");
    nothing_was_lost(&scene, 310, 300);
    let took = asked.last().unwrap().at.since(START);
    assert!(took <= seconds(200), "310 at 100 a minute: {took:?}");
}

#[tokio::test]
async fn a_target_that_throttles_without_a_word_is_not_flooded() {
    let limit = RateLimit { requests: 10, period: seconds(1) };
    let seen = std::sync::Mutex::new(Vec::<Timestamp>::new());
    let scene = Scene::new(vec![posting("a", "crm"), posting("b", "crm")], vec![alias("crm", &[])], move |asked| {
        let mut seen = seen.lock().unwrap();
        seen.retain(|at| asked.at.since(*at) < limit.period);
        let fits = seen.len() < limit.requests as usize;
        if fits {
            seen.push(asked.at);
        }
        (ms(20), status(if fits { 200 } else { 429 }))
    });
    let _dispatcher = scene.lab.start();
    for integration in ["a", "b"] {
        scene.send(integration, 100, 10).await;
    }
    scene.pass(seconds(600)).await;
    nothing_was_lost(&scene, 200, 10);
    let asked = scene.target.asked().len();
    assert!(asked < 2 * 200, "{asked} requests for 200 messages");
}

#[tokio::test]
async fn a_wait_of_days_is_kept_to_by_all_and_uses_no_attempt_and_a_person_can_end_it() {
    let back = START.plus(seconds(3 * 86_400));
    for ended in [false, true] {
        let mended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_mended = mended.clone();
        let scene = Scene::new(vec![posting("a", "crm"), posting("b", "crm")], vec![alias("crm", &[])], move |asked| {
            if asked.at >= back || is_mended.load(std::sync::atomic::Ordering::SeqCst) {
                return (ms(5), status(200));
            }
            let mut answer = status(429).unwrap();
            answer.headers.insert(http::header::RETRY_AFTER, "259200".parse().unwrap());
            (ms(5), Ok(answer))
        });
        let _dispatcher = scene.lab.start();
        for integration in ["a", "b"] {
            scene.send(integration, 20, 20).await;
        }
        scene.pass(seconds(10)).await;
        let asked = scene.target.asked().len();
        assert!(asked <= 16, "those that were under way: {asked}");
        if ended {
            mended.store(true, std::sync::atomic::Ordering::SeqCst);
            assert!(tokio::join!(scene.lab.aliases.test("crm"), scene.pass(seconds(1))).0.reachable.unwrap());
        } else {
            scene.lab.pass_in_steps(seconds(60), 20, seconds(3 * 86_400 - 20)).await;
            assert_eq!(scene.target.asked().len(), asked, "not before it asked");
            // A tenth is added at random, at most 30 s.
            scene.pass(seconds(50)).await;
        }
        scene.pass(seconds(40)).await;
        let taken: Vec<_> = scene.target.taken().into_iter().filter(|body| !body.is_empty()).collect();
        assert_eq!((taken.len(), scene.lab.store.waiting_in_all()), (40, 0));
        assert!(!scene.lab.metrics.encode().contains("result=\"failed\""));
    }
}

#[tokio::test]
async fn a_target_that_asks_for_no_wait_at_all_is_not_asked_in_a_circle() {
    let scene = Scene::new(vec![posting("a", "crm")], vec![alias("crm", &[])], |_| {
        let mut answer = status(429).unwrap();
        answer.headers.insert(http::header::RETRY_AFTER, "0".parse().unwrap());
        (Duration::ZERO, Ok(answer))
    });
    let _dispatcher = scene.lab.start();
    scene.send("a", 100, 10).await;
    scene.pass(seconds(600)).await;
    let asked = scene.target.asked().len();
    assert!(asked < 60, "{asked} requests in ten minutes");
    assert_eq!(scene.lab.store.waiting_in_all(), 100);
}

#[tokio::test]
async fn a_target_that_hangs_holds_up_its_own_integration_only() {
    let scene = Scene::new(vec![posting("a", "erp"), posting("b", "crm")], vec![alias("crm", &[]), alias("erp", &[])], |asked| {
        (if asked.alias == "erp" { seconds(3_600) } else { ms(100) }, status(200))
    });
    let _dispatcher = scene.lab.start();
    scene.send("a", 200, 200).await;
    scene.send("b", 80, 80).await;
    scene.pass(seconds(2)).await;
    assert_eq!(scene.target.taken().len(), 80, "eight at once, ten times");
    scene.pass(seconds(120)).await;
    let states: Vec<_> = scene.lab.aliases.states().iter().map(|alias| alias.state).collect();
    assert_eq!(states, ["healthy", "open"]);
}

#[tokio::test]
async fn a_credential_that_was_refused_is_tried_again_by_one_delivery() {
    let refusing = Alias { auth: Auth::Bearer { token: SecretRef::env("crm.token", "GONE") }, ..alias("crm", &[]) };
    let scene = Scene::new(vec![posting("a", "crm"), posting("b", "crm")], vec![refusing], |_| (ms(5), status(200)));
    let _dispatcher = scene.lab.start();
    for integration in ["a", "b"] {
        scene.send(integration, 20, 20).await;
    }
    scene.pass(seconds(290)).await;
    let calls = scene.calls();
    assert!(calls <= 16, "{calls}");
    assert!(matches!(scene.lab.aliases.gate("crm"), crate::alias::Gate::Closed { kind: Hold::CredentialRefused, .. }));
    scene.pass(seconds(300)).await;
    assert_eq!(scene.calls() - calls, 1);
    assert_eq!(scene.lab.store.waiting_in_all(), 40);
}
