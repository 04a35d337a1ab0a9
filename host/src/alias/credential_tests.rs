//! Credentials against a real server on loopback: tokens, refreshes, refusals and their repair.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{Barrier, Semaphore};

use super::network::NetworkUpstream;
use super::scripted::ScriptedUpstream;
use super::secret::MachineSecrets;
use super::test_support::{Bench, Logged, SECRET, START, Server, TableSecrets, aliases_at, answer, basic, get, oauth, secret, until};
use super::{Auth, EgressError, Gate, Hold};
use crate::clock::{Clock, ManualClock};

const SECOND: Duration = Duration::from_secs(1);
const CALLERS: usize = 8;

/// A target with a token endpoint that gives `t1`, `t2`, … and an API that takes tokens from number `from` on.
async fn target(from: usize, gather: Option<Arc<Barrier>>) -> Server {
    let given = Arc::new(AtomicUsize::new(0));
    Server::start(move |seen| {
        let (given, gather) = (Arc::clone(&given), gather.clone());
        async move {
            if seen.path == "/token" {
                let number = given.fetch_add(1, Ordering::SeqCst) + 1;
                return answer(200, &[], format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":600}}"#));
            }
            let number: usize = seen.header("authorization").trim_start_matches("Bearer token-").parse().unwrap();
            if number >= from {
                return answer(200, &[], "fine");
            }
            if let Some(gather) = gather {
                gather.wait().await;
            }
            answer(401, &[], "who are you")
        }
    })
    .await
}

async fn all_send(bench: &Bench) -> Vec<Result<u16, EgressError>> {
    let send = |_| {
        let aliases = Arc::clone(&bench.aliases);
        tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await.map(|response| response.status) })
    };
    let sending: Vec<_> = (0..CALLERS).map(send).collect();
    let mut results = Vec::new();
    for sending in sending {
        results.push(sending.await.unwrap());
    }
    results
}

#[tokio::test]
async fn many_callers_without_a_token_make_one_token_request() {
    let server = target(1, None).await;
    let bench = Bench::at(&server, oauth(&server));
    assert!(all_send(&bench).await.into_iter().all(|result| result == Ok(200)));
    let tokens = server.seen("/token");
    assert_eq!(tokens.len(), 1);
    assert_eq!((tokens[0].method.as_str(), &tokens[0].body[..]), ("POST", &b"grant_type=client_credentials&scope=api"[..]));
    assert_eq!(tokens[0].header("authorization"), format!("Basic {}", STANDARD.encode("dev+client:s3cret%2Fvalue%2B1")));
    assert_eq!(tokens[0].header("content-type"), "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn many_callers_whose_token_is_refused_make_one_refresh_and_retry_once() {
    let server = target(2, Some(Arc::new(Barrier::new(CALLERS)))).await;
    let bench = Bench::at(&server, oauth(&server));
    assert!(all_send(&bench).await.into_iter().all(|result| result == Ok(200)));
    assert_eq!(server.seen("/token").len(), 2);
    let calls = server.seen("/base");
    assert_eq!(calls.len(), 2 * CALLERS);
    assert!(calls.iter().all(|seen| seen.header("idempotency-key") == "key-1"));
    assert_eq!(bench.state(), "healthy");
}

#[tokio::test]
async fn a_token_is_used_until_shortly_before_it_expires() {
    let server = target(1, None).await;
    let bench = Bench::at(&server, oauth(&server));
    for (wait, tokens) in [(0, 1), (539, 1), (1, 2)] {
        bench.clock.advance(wait * SECOND);
        bench.aliases.send("crm", &[], get("/a")).await.unwrap();
        assert_eq!(server.seen("/token").len(), tokens);
    }
}

#[tokio::test]
async fn a_401_to_a_fresh_token_refuses_the_credential_and_holds_the_alias() {
    let server = target(usize::MAX, None).await;
    let bench = Bench::at(&server, oauth(&server));
    let refused = bench.aliases.send("crm", &[], get("/a")).await;
    assert_eq!(refused, Err(EgressError::CredentialRefused("the target answered 401".into())));
    assert_eq!(bench.state(), "credential-refused");
    assert!(matches!(bench.aliases.gate("crm"), Gate::Closed { kind: Hold::CredentialRefused, until: Some(_) }));
    let before = server.seen("/").len();
    assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::Held { kind: Hold::CredentialRefused, .. })));
    assert_eq!(server.seen("/").len(), before);
    // One try every five minutes.
    bench.clock.advance(300 * SECOND);
    assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::CredentialRefused(_))));
    assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::Held { .. })));
}

/// A token endpoint that answers `status` and `body`.
async fn token_endpoint(status: u16, headers: &'static [(&str, &str)], body: &'static str) -> Server {
    Server::start(move |_| async move { answer(status, headers, body) }).await
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_unreachable_and_not_refused() {
    for (status, body) in [(500, ""), (502, "<html>"), (503, ""), (200, "<html>"), (302, "")] {
        let server = token_endpoint(status, &[], body).await;
        let bench = Bench::at(&server, oauth(&server));
        let results = all_send(&bench).await;
        assert!(results.iter().all(|result| matches!(result, Err(EgressError::Unreachable(_)))), "{status}: {results:?}");
        assert_eq!(server.seen("/token").len(), 1, "who waited for the token does not ask again");
        for _ in 0..4 {
            assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::Unreachable(_))));
        }
        assert_eq!((bench.state(), server.seen("/token").len()), ("open", 5));
    }
    let server = token_endpoint(429, &[("retry-after", "60")], "").await;
    let bench = Bench::at(&server, oauth(&server));
    let held = bench.aliases.send("crm", &[], get("/a")).await;
    assert!(matches!(held, Err(EgressError::Held { kind: Hold::Throttled, until: Some(until) }) if until >= START.plus(60 * SECOND)));
}

#[tokio::test]
async fn a_refused_client_is_told_to_the_owner_once_and_its_secret_to_nobody() {
    let log = Logged::start();
    let echo = r#"{"error":"invalid_grant","error_description":"s3cret/value+1 is wrong"}"#;
    let server = token_endpoint(400, &[], echo).await;
    let bench = Bench::at(&server, oauth(&server));
    let results = all_send(&bench).await;
    assert!(results.contains(&Err(EgressError::CredentialRefused("token endpoint answered 400 invalid_grant".into()))), "{results:?}");
    assert_eq!(server.seen("/token").len(), 1);

    let (lines, log) = (log.lines("LG-6001"), log.text());
    assert_eq!(lines.len(), 1, "{log}");
    for part in [
        "ERROR",
        "alias crm: token endpoint answered 400 invalid_grant since 2026-01-02T03:04:05",
        "crm-team@acme.example",
        "Fix: lockgate secret set crm.secret (or put it into: file secrets/crm)",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(!log.contains(SECRET) && !log.contains(&STANDARD.encode("dev+client:s3cret%2Fvalue%2B1")), "{log}");
    assert!(!serde_json::to_string(&bench.aliases.states()).unwrap().contains(SECRET));
    assert!(!format!("{:?}", bench.aliases).contains(SECRET));
}

/// An API that takes HTTP Basic with `password` only.
async fn basic_target(password: Arc<Mutex<String>>) -> Server {
    Server::start(move |seen| {
        let expected = format!("Basic {}", STANDARD.encode(format!("host:{}", password.lock().unwrap())));
        async move { if seen.header("authorization") == expected { answer(200, &[], "fine") } else { answer(401, &[], "") } }
    })
    .await
}

#[tokio::test]
async fn a_password_rotated_in_its_file_is_picked_up_at_the_first_401() {
    let password = Arc::new(Mutex::new(SECRET.to_owned()));
    let server = basic_target(Arc::clone(&password)).await;
    let bench = Bench::at(&server, basic());
    bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    *password.lock().unwrap() = "rotated".to_owned();
    bench.secrets.set("file secrets/crm", "rotated");
    assert_eq!(bench.aliases.send("crm", &[], get("/a")).await.unwrap().status, 200);
    assert_eq!(server.seen("/").len(), 3);
    assert_eq!(bench.state(), "healthy");
}

#[tokio::test]
async fn a_secret_that_was_taken_away_is_sent_no_more() {
    let server = Server::start(|_| async { answer(200, &[], "fine") }).await;
    let bench = Bench::at(&server, basic());
    bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    bench.secrets.0.lock().unwrap().remove("file secrets/crm");
    bench.aliases.secret_unset().await;
    assert!(bench.aliases.send("crm", &[], get("/a")).await.is_err());
    assert_eq!(server.seen("/").len(), 1, "there is nothing to send with");
    bench.secrets.set("file secrets/crm", "another");
    bench.aliases.secrets_changed().await;
    bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    let sent = server.seen("/").last().unwrap().header("authorization").to_owned();
    assert_eq!(sent, format!("Basic {}", STANDARD.encode("host:another")));
}

#[tokio::test]
async fn a_401_to_a_password_of_before_does_not_refuse_the_one_that_was_set_since() {
    let (may_end, is_first) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(true)));
    let (gate, first) = (Arc::clone(&may_end), Arc::clone(&is_first));
    let server = Server::start(move |seen| {
        let (gate, is_first) = (Arc::clone(&gate), first.swap(false, Ordering::SeqCst));
        async move {
            if seen.header("authorization") == format!("Basic {}", STANDARD.encode("host:new")) {
                return answer(200, &[], "fine");
            }
            if is_first {
                gate.acquire().await.unwrap().forget();
            }
            answer(401, &[], "")
        }
    })
    .await;
    let bench = Bench::at(&server, basic());
    let aliases = Arc::clone(&bench.aliases);
    let late = tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await.map(|response| response.status) });
    until(|| !server.seen("/").is_empty()).await;
    assert!(bench.aliases.send("crm", &[], get("/a")).await.is_err());
    assert_eq!(bench.state(), "credential-refused");
    bench.secrets.set("file secrets/crm", "new");
    assert_eq!(bench.aliases.secrets_changed().await, ["crm"]);
    assert_eq!(bench.aliases.send("crm", &[], get("/a")).await.unwrap().status, 200);
    may_end.add_permits(1);
    assert_eq!(late.await.unwrap(), Ok(200), "it goes again, with the new one");
    assert_eq!(bench.state(), "healthy");
}

#[tokio::test]
async fn a_panic_while_a_token_is_asked_for_is_told_as_one_and_not_as_the_end_of_the_host() {
    let log = Logged::start();
    let upstream = Arc::new(ScriptedUpstream::new(|_| panic!("a fault of the host")));
    let clock = Arc::new(ManualClock::at(START));
    let secrets = Arc::new(TableSecrets::default());
    secrets.set("file secrets/crm", SECRET);
    let auth = Auth::OAuth2ClientCredentials {
        token_url: "http://crm.example/token".parse().unwrap(),
        client_id: "dev".to_owned(),
        client_secret: secret(),
        scope: None,
    };
    let aliases = aliases_at("http://crm.example/base", auth, secrets, upstream, clock);
    let error = aliases.send("crm", &[], get("/a")).await.unwrap_err();
    assert_eq!(error, EgressError::Unreachable("the host panicked while it made a credential".to_owned()));
    assert_eq!(log.lines("LG-7999 alias crm: the host panicked").len(), 1, "{}", log.text());
}

#[tokio::test]
async fn a_password_that_is_refused_unchanged_is_not_sent_again() {
    let server = basic_target(Arc::new(Mutex::new("other".to_owned()))).await;
    let bench = Bench::at(&server, basic());
    assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::CredentialRefused(_))));
    assert_eq!(server.seen("/").len(), 1);
    assert_eq!(bench.state(), "credential-refused");
}

#[tokio::test]
async fn a_refused_alias_is_released_by_itself_when_its_secret_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    let file = folder.path().join("secrets/crm");
    std::fs::write(&file, "wrong\n").unwrap();
    let server = basic_target(Arc::new(Mutex::new("right".to_owned()))).await;
    let clock = Arc::new(ManualClock::at(START));
    let upstream = Arc::new(NetworkUpstream::system(Arc::clone(&clock) as Arc<dyn Clock>).unwrap());
    let base = format!("http://{}/", server.address);
    let aliases = aliases_at(&base, basic(), Arc::new(MachineSecrets::new(folder.path())), upstream, Arc::clone(&clock) as _);
    let watched = Arc::clone(&aliases);
    let watching = tokio::spawn(async move { watched.watch_refused().await });

    assert!(matches!(aliases.send("crm", &[], get("/a")).await, Err(EgressError::CredentialRefused(_))));
    for _ in 0..10 {
        clock.advance(SECOND);
        tokio::task::yield_now().await;
    }
    assert_eq!(aliases.states()[0].state, "credential-refused", "the same secret releases nothing");

    let mut changes = aliases.changes();
    std::fs::write(&file, "right\n").unwrap();
    until(|| {
        clock.advance(SECOND);
        aliases.states()[0].state == "healthy"
    })
    .await;
    assert!(changes.has_changed().unwrap());
    changes.borrow_and_update();
    assert_eq!(aliases.send("crm", &[], get("/a")).await.unwrap().status, 200);
    assert_eq!(server.seen("/").len(), 2);
    watching.abort();
}

#[tokio::test]
async fn a_secret_that_is_missing_or_cannot_be_sent_holds_the_alias_until_there_is_one() {
    let server = target(1, None).await;
    for auth in [Auth::Bearer { token: secret() }, oauth(&server)] {
        let bench = Bench::at(&server, auth);
        bench.secrets.0.lock().unwrap().clear();
        let refused = bench.aliases.send("crm", &[], get("/a")).await;
        assert_eq!(refused, Err(EgressError::CredentialRefused("file secrets/crm holds no secret".into())));
        assert_eq!(bench.state(), "credential-refused");
    }
    let bench = Bench::at(&server, Auth::Bearer { token: secret() });
    bench.secrets.set("file secrets/crm", "two\nlines");
    assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::CredentialRefused(_))));
    assert!(server.seen("/").is_empty());
}

#[tokio::test]
async fn a_403_is_an_answer() {
    let server = Server::start(|_| async { answer(403, &[], "no") }).await;
    let bench = Bench::at(&server, basic());
    assert_eq!(bench.aliases.send("crm", &[], get("/a")).await.unwrap().status, 403);
    assert_eq!(bench.state(), "healthy");
}

#[tokio::test]
async fn a_test_says_whether_the_alias_answers_and_authenticates() {
    let password = Arc::new(Mutex::new("other".to_owned()));
    let server = basic_target(Arc::clone(&password)).await;
    let bench = Bench::at(&server, basic());
    let test = bench.aliases.test("crm").await;
    assert_eq!((test.reachable, test.authenticated, test.status), (Some(true), Some(false), Some(401)));

    assert!(bench.aliases.send("crm", &[], get("/a")).await.is_err());
    assert_eq!(bench.state(), "credential-refused");
    *password.lock().unwrap() = SECRET.to_owned();
    let test = bench.aliases.test("crm").await;
    assert_eq!((test.reachable, test.authenticated, test.status), (Some(true), Some(true), Some(200)));
    assert_eq!(bench.state(), "healthy", "a test that succeeds releases the alias");
    assert_eq!(server.seen("/").last().unwrap().method, "HEAD");

    *bench.network.target.lock().unwrap() = None;
    let gone = Bench::new("http://127.0.0.1:7/", basic(), super::test_support::FakeNetwork::new(&[], None)).aliases.test("crm").await;
    assert_eq!((gone.reachable, gone.authenticated), (Some(false), None));
    assert_eq!(bench.aliases.test("nobody").await.reachable, None, "nobody was asked");
}
