//! What answers and failures teach about a target, against a real server on loopback: outages, waits it asks for, the alias's rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::test_support::{Bench, FakeNetwork, Logged, START, Server, answer, get, oauth};
use super::{Auth, EgressError, EgressRequest, EgressResponse, Gate, Hold, RateLimit, Sender};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_left_alone_for_a_while_and_then_tried_by_one() {
    let server = Server::start(|_| async { answer(200, &[], "fine") }).await;
    let bench = Bench::new("http://127.0.0.1:7/", Auth::None, FakeNetwork::new(&[], None));
    let mut changes = bench.aliases.changes();
    for _ in 0..5 {
        assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::Unreachable(_))));
    }
    assert!(changes.has_changed().unwrap());
    assert_eq!(bench.state(), "open");
    assert!(matches!(bench.aliases.gate("crm"), Gate::Closed { kind: Hold::Open, until: Some(_) }));
    let held = bench.aliases.send("crm", &[], get("/a")).await;
    assert!(matches!(held, Err(EgressError::Held { kind: Hold::Open, until: Some(_) })), "{held:?}");
    assert_eq!(bench.network.dialled().len(), 5);

    bench.clock.advance(SECOND);
    assert_eq!(bench.aliases.gate("crm"), Gate::Open);
    *bench.network.target.lock().unwrap() = Some(server.address);
    changes.borrow_and_update();
    assert_eq!(bench.aliases.send("crm", &[], get("/a")).await.unwrap().status, 200);
    assert!(changes.has_changed().unwrap());
    assert_eq!(bench.state(), "healthy");
}

#[tokio::test]
async fn a_wait_the_target_asks_for_holds_for_all_users_of_the_alias() {
    let asks = Arc::new(Mutex::new(vec![
        (503, "Fri, 02 Jan 2015 00:00:20 GMT", "Fri, 02 Jan 2015 00:00:00 GMT"),
        (429, "120", "Fri, 02 Jan 2015 00:00:00 GMT"),
    ]));
    let server = Server::start(move |_| {
        let ask = asks.lock().unwrap().pop();
        async move {
            match ask {
                Some((status, after, date)) => answer(status, &[("retry-after", after), ("date", date)], "later"),
                None => answer(200, &[], "fine"),
            }
        }
    })
    .await;
    let bench = Bench::at(&server, Auth::None);
    for (status, wait) in [(429, 120), (503, 20)] {
        let now = crate::clock::Clock::now(&*bench.clock);
        let response = bench.aliases.send("crm", &[], get("/a")).await.unwrap();
        let until = response.retry_after.unwrap();
        assert_eq!(response.status, status);
        let asked = now.plus(wait * SECOND);
        assert!(until >= asked && until <= asked.plus(wait * SECOND / 10), "{until} {asked}");
        assert_eq!(bench.aliases.gate("crm"), Gate::Closed { kind: Hold::Throttled, until: Some(until) });
        assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::Held { kind: Hold::Throttled, .. })));
        assert_eq!(bench.state(), "throttled");
        bench.clock.advance(until.since(now));
    }
    assert_eq!(bench.aliases.send("crm", &[], get("/a")).await.unwrap().retry_after, None);
    assert_eq!(server.seen("/").len(), 3);
}

/// An alias whose target always answers `status`, asked for `messages` different messages.
async fn always(status: u16, headers: &'static [(&str, &str)], messages: u128) -> (Bench, Vec<EgressResponse>) {
    let server = Server::start(move |_| async move { answer(status, headers, "") }).await;
    let bench = Bench::at(&server, Auth::None);
    let mut answers = Vec::new();
    for message in 0..messages {
        let sender = Sender { integration: "orders".into(), message };
        answers.push(bench.aliases.send("crm", &[], EgressRequest { sender, ..get("/a") }).await.unwrap());
    }
    (bench, answers)
}

#[tokio::test]
async fn a_gateway_without_its_server_is_a_target_that_is_down() {
    for status in [502, 503, 504, 522] {
        let (bench, answers) = always(status, &[], 5).await;
        assert_eq!(bench.state(), "open", "{status}");
        let is_down: Vec<bool> = answers.iter().map(|answer| answer.is_down).collect();
        assert_eq!(is_down, [false, false, false, false, true], "once others have seen it too");
        assert!(answers.iter().all(|answer| answer.retry_after.is_none()));
        assert_eq!(bench.aliases.states()[0].detail.as_deref(), Some(&*format!("the target answered {status}")));
    }
}

#[tokio::test]
async fn a_500_is_the_messages_fault_until_several_messages_meet_it() {
    let server = Server::start(|_| async { answer(500, &[], "") }).await;
    let bench = Bench::at(&server, Auth::None);
    for _ in 0..50 {
        assert!(!bench.aliases.send("crm", &[], get("/a")).await.unwrap().is_down);
    }
    assert_eq!(bench.state(), "healthy", "one message that fails again and again");
    assert_eq!(always(500, &[], 5).await.0.state(), "open");
    for status in [400, 404, 409, 422, 501, 505] {
        assert_eq!(always(status, &[], 20).await.0.state(), "healthy", "{status} is an answer");
    }
}

#[tokio::test]
async fn a_429_that_says_nothing_or_nonsense_holds_the_alias_for_a_while_and_is_named() {
    for (headers, named) in [
        (&[][..], "the target answered 429"),
        (&[("retry-after", "0")][..], "the target answered 429"),
        (&[("retry-after", "-5")][..], "the target answered 429; its Retry-After \"-5\" is neither a number of seconds nor a date"),
        (&[("retry-after", "Fri, 02 Jan 2015 00:00:20 GMT")][..], "lies in the past"),
    ] {
        let (bench, answers) = always(429, headers, 1).await;
        let wait = answers[0].retry_after.unwrap().since(START);
        assert!(wait >= SECOND / 2 && wait <= SECOND, "{wait:?}");
        let status = bench.aliases.states().remove(0);
        assert_eq!((status.state, status.breaker), ("throttled", "closed"));
        assert!(status.detail.as_ref().is_some_and(|detail| detail.contains(named)), "{status:?}");
    }
}

#[tokio::test]
async fn a_503_that_says_nonsense_is_named_until_its_target_is_known_to_be_down() {
    let log = Logged::start();
    let (bench, _) = always(503, &[("retry-after", "soon")], 2).await;
    let told = log.lines("LG-6005 alias crm: the target answered 503; its Retry-After \"soon\" is neither a number of seconds nor a date");
    assert_eq!((told.len(), bench.state()), (2, "healthy"), "{}", log.text());
    let log = Logged::start();
    let (bench, _) = always(503, &[("retry-after", "soon")], 5).await;
    for _ in 0..10 {
        bench.clock.advance(20 * SECOND);
        bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    }
    assert_eq!((log.lines("LG-6005").len(), bench.state()), (5, "open"), "and not once more at every try");
    let log = Logged::start();
    always(503, &[], 3).await;
    assert_eq!(log.lines("LG-6005").len(), 0);
}

#[tokio::test]
async fn a_wait_of_years_is_cut_to_thirty_days_named_and_ended_by_a_person() {
    let asks = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&asks);
    let server = Server::start(move |_| {
        let asks = still.load(Ordering::SeqCst);
        async move { if asks { answer(429, &[("retry-after", "1754049600")], "") } else { answer(200, &[], "") } }
    })
    .await;
    let bench = Bench::at(&server, Auth::None);
    let until = bench.aliases.send("crm", &[], get("/a")).await.unwrap().retry_after.unwrap();
    assert!(until.since(START) >= 30 * 86_400 * SECOND && until.since(START) <= (30 * 86_400 + 30) * SECOND);
    assert!(bench.aliases.states()[0].detail.as_ref().unwrap().contains("is more than 30 days"));
    assert!(bench.aliases.test("crm").await.reachable.unwrap());
    assert_eq!(bench.state(), "throttled", "it asks for it still");
    asks.store(false, Ordering::SeqCst);
    assert!(bench.aliases.test("crm").await.reachable.unwrap());
    assert_eq!(bench.state(), "healthy");
    bench.aliases.send("crm", &[], get("/a")).await.unwrap();
}

#[tokio::test]
async fn a_request_over_the_rate_waits_a_moment_or_is_not_sent() {
    let server = Server::start(|_| async { answer(200, &[], "fine") }).await;
    let rate = vec![RateLimit { requests: 2, period: SECOND / 2 }, RateLimit { requests: 3, period: 60 * SECOND }];
    let bench = Bench::limited(&server, Auth::None, rate);
    for _ in 0..2 {
        bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    }
    let aliases = Arc::clone(&bench.aliases);
    let waits = tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.seen("/").len(), 2);
    bench.clock.advance(SECOND / 2);
    assert_eq!(waits.await.unwrap().unwrap().status, 200);
    bench.clock.advance(5 * SECOND);
    let used_up = bench.aliases.send("crm", &[], get("/a")).await;
    assert_eq!(used_up, Err(EgressError::RateUsedUp { until: Some(START.plus(60 * SECOND)) }));
    assert_eq!((server.seen("/").len(), bench.state()), (3, "throttled"));
}

#[tokio::test]
async fn a_second_try_after_a_401_counts_against_the_rate_as_well() {
    let server = Server::start(|seen| async move {
        let is_token = seen.path == "/token";
        if is_token { answer(200, &[], r#"{"access_token":"t","token_type":"bearer"}"#) } else { answer(401, &[], "") }
    })
    .await;
    let bench = Bench::limited(&server, oauth(&server), vec![RateLimit { requests: 1, period: 60 * SECOND }]);
    let used_up = bench.aliases.send("crm", &[], get("/a")).await;
    assert!(matches!(used_up, Err(EgressError::RateUsedUp { until: Some(_) })), "{used_up:?}");
    assert_eq!((server.seen("/base").len(), server.seen("/token").len()), (1, 2));
}
