//! Aliases that are replaced while requests are under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::test_support::{Bench, SECRET, START, Server, answer, basic, get, oauth, secret, until};
use super::vault::tests::MemoryRows;
use super::{Alias, Auth, EgressError, Environment, RateLimit};

/// `crm` as it is at `server`, changed by `change`.
fn environment(server: &Server, change: impl FnOnce(&mut Alias)) -> Environment {
    let mut alias = super::test_support::alias_at(&format!("http://{}/base", server.address), basic());
    change(&mut alias);
    Environment { name: "dev".to_owned(), values: BTreeMap::new(), aliases: BTreeMap::from([(alias.name.clone(), alias)]) }
}

fn limit(requests: u32, seconds: u64) -> RateLimit {
    RateLimit { requests, period: Duration::from_secs(seconds) }
}

async fn send(bench: &Bench) -> Result<u16, EgressError> {
    bench.aliases.send("crm", &[], get("/a")).await.map(|response| response.status)
}

async fn answering(status: u16) -> Server {
    Server::start(move |_| async move { answer(status, &[], "") }).await
}

#[tokio::test]
async fn a_request_under_way_ends_where_it_began_and_teaches_nothing_about_the_new_target() {
    let may_end = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&may_end);
    let old = Server::start(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            answer(429, &[("retry-after", "3600")], "")
        }
    })
    .await;
    let new = answering(201).await;
    let bench = Bench::anywhere(&old, basic());
    let aliases = Arc::clone(&bench.aliases);
    let under_way = tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await.map(|response| response.status) });
    until(|| !old.seen("/").is_empty()).await;
    bench.aliases.replace(&environment(&new, |_| {}));
    assert_eq!(send(&bench).await, Ok(201));
    may_end.add_permits(1);
    assert_eq!(under_way.await.unwrap(), Ok(429));
    assert_eq!(bench.state(), "healthy", "the wait the old target asked for is not the new one's");
    assert_eq!(send(&bench).await, Ok(201));
}

/// A target that answers HTTP Basic with `old` once it may, and a bearer token with `new` at once.
async fn by_credential(old: u16, new: u16) -> (Server, Arc<Semaphore>) {
    let may_end = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&may_end);
    let server = Server::start(move |seen| {
        let gate = Arc::clone(&gate);
        async move {
            if seen.header("authorization").starts_with("Bearer") {
                return answer(new, &[], "");
            }
            gate.acquire().await.unwrap().forget();
            answer(old, &[], "")
        }
    })
    .await;
    (server, may_end)
}

fn bearer() -> Auth {
    Auth::Bearer { token: secret() }
}

type Sending = JoinHandle<Result<u16, EgressError>>;

/// A request that is under way at `server`.
async fn under_way(bench: &Bench, server: &Server) -> Sending {
    let (aliases, before) = (Arc::clone(&bench.aliases), server.seen("/").len());
    let sending = tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await.map(|response| response.status) });
    until(|| server.seen("/").len() > before).await;
    sending
}

#[tokio::test]
async fn what_is_said_late_to_the_old_credential_is_not_held_against_the_new_one() {
    for elsewhere in [false, true] {
        let (old, may_end) = by_credential(401, 200).await;
        let (other, _) = by_credential(401, 200).await;
        let bench = Bench::anywhere(&old, basic());
        let late = under_way(&bench, &old).await;
        bench.aliases.replace(&environment(if elsewhere { &other } else { &old }, |alias| alias.auth = bearer()));
        may_end.add_permits(9);
        assert!(matches!(late.await.unwrap(), Err(EgressError::CredentialRefused(_))));
        assert_eq!((bench.state(), send(&bench).await), ("healthy", Ok(200)), "elsewhere: {elsewhere}");
    }
    // The same credential at another target.
    let (old, may_end) = by_credential(401, 200).await;
    let other = answering(200).await;
    let bench = Bench::anywhere(&old, basic());
    let late = under_way(&bench, &old).await;
    bench.aliases.replace(&environment(&other, |_| {}));
    may_end.add_permits(9);
    assert!(matches!(late.await.unwrap(), Err(EgressError::CredentialRefused(_))));
    assert_eq!((bench.state(), send(&bench).await), ("healthy", Ok(200)));
}

#[tokio::test]
async fn what_the_old_credential_is_still_good_for_does_not_release_the_new_one() {
    let (server, may_end) = by_credential(200, 401).await;
    let bench = Bench::anywhere(&server, basic());
    let late = under_way(&bench, &server).await;
    bench.aliases.replace(&environment(&server, |alias| alias.auth = bearer()));
    assert!(matches!(send(&bench).await, Err(EgressError::CredentialRefused(_))));
    may_end.add_permits(9);
    assert_eq!(late.await.unwrap(), Ok(200));
    assert_eq!(bench.state(), "credential-refused");
}

#[tokio::test]
async fn the_wait_an_old_token_endpoint_asks_for_is_not_the_new_ones() {
    let may_end = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&may_end);
    let server = Server::start(move |seen| {
        let gate = Arc::clone(&gate);
        async move {
            if seen.path != "/token" {
                return answer(200, &[], "");
            }
            gate.acquire().await.unwrap().forget();
            answer(429, &[("retry-after", "3600")], "")
        }
    })
    .await;
    let bench = Bench::anywhere(&server, oauth(&server));
    let late = under_way(&bench, &server).await;
    bench.aliases.replace(&environment(&server, |_| {}));
    may_end.add_permits(1);
    assert!(matches!(late.await.unwrap(), Err(EgressError::Unreachable(_))));
    assert_eq!((bench.state(), send(&bench).await), ("healthy", Ok(200)));
}

fn refreshing(server: &Server, client: &str, scope: Option<&str>) -> Auth {
    Auth::OAuth2RefreshToken {
        token_url: format!("http://{}/token", server.address).parse().unwrap(),
        client_id: client.to_owned(),
        client_secret: None,
        refresh_token: secret(),
        scope: scope.map(str::to_owned),
    }
}

fn field(body: &[u8], name: &str) -> String {
    url::form_urlencoded::parse(body).find(|(found, _)| found == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A vendor that takes each refresh token once, and takes everything back from whoever shows one again. Its API answers 401 to the
/// tokens that were given before the last, once a request at `/base/slow` may.
async fn rotating() -> (Server, Arc<Semaphore>) {
    let may_end = Arc::new(Semaphore::new(0));
    let (gate, good) = (Arc::clone(&may_end), Arc::new(Mutex::new((HashMap::<String, String>::new(), 0))));
    let server = Server::start(move |seen| {
        let (gate, good) = (Arc::clone(&gate), Arc::clone(&good));
        async move {
            if seen.path == "/token" {
                let (mut good, shown, client) = (good.lock().unwrap(), field(&seen.body, "refresh_token"), field(&seen.body, "client_id"));
                if *good.0.entry(client.clone()).or_insert_with(|| SECRET.to_owned()) != shown {
                    return answer(400, &[], r#"{"error":"invalid_grant"}"#);
                }
                good.1 += 1;
                let number = good.1;
                good.0.insert(client.clone(), format!("{client}-{number}"));
                let body = format!(r#"{{"access_token":"token-{number}","expires_in":600,"refresh_token":"{client}-{number}"}}"#);
                return answer(200, &[], body);
            }
            if seen.path.ends_with("slow") && seen.header("authorization") == "Bearer token-1" {
                gate.acquire().await.unwrap().forget();
                return answer(401, &[], "");
            }
            answer(200, &[], "")
        }
    })
    .await;
    (server, may_end)
}

fn shown(server: &Server) -> Vec<String> {
    server.seen("/token").iter().map(|seen| field(&seen.body, "refresh_token")).collect()
}

#[tokio::test]
async fn no_refresh_token_is_shown_twice_by_requests_under_way_nor_by_whoever_goes_back() {
    for (client, scope, expected) in
        [("a", Some("more"), vec![SECRET, "a-1", "a-2"]), ("b", None, vec![SECRET, SECRET, "a-1", "b-2", "a-3", "a-5"])]
    {
        let (server, may_end) = rotating().await;
        let rows = Arc::new(MemoryRows::default());
        let bench = Bench::kept(&server, refreshing(&server, "a", None), &rows);
        let aliases = Arc::clone(&bench.aliases);
        let late = tokio::spawn(async move { aliases.send("crm", &[], get("/slow")).await.map(|response| response.status) });
        until(|| !server.seen("/base/slow").is_empty()).await;
        bench.aliases.replace(&environment(&server, |alias| alias.auth = refreshing(&server, client, scope)));
        assert_eq!(send(&bench).await, Ok(200));
        may_end.add_permits(1);
        assert_eq!(late.await.unwrap(), Ok(200), "with the token that was given last");
        if client == "b" {
            bench.clock.advance(Duration::from_secs(600));
            assert_eq!(send(&bench).await, Ok(200));
            bench.aliases.replace(&environment(&server, |alias| alias.auth = refreshing(&server, "a", None)));
            assert_eq!(send(&bench).await, Ok(200), "and back");
            // Over a restart, too.
            let again = Bench::kept(&server, refreshing(&server, "a", None), &rows);
            again.clock.advance(Duration::from_secs(3_600));
            assert_eq!(send(&again).await, Ok(200));
        }
        assert_eq!(shown(&server), expected, "{client}");
        assert_eq!(bench.state(), "healthy");
    }
}

#[tokio::test]
async fn an_alias_that_was_gone_comes_back_paused_as_it_was_and_with_its_token() {
    let (server, _) = rotating().await;
    let bench = Bench::anywhere(&server, refreshing(&server, "a", None));
    assert_eq!(send(&bench).await, Ok(200));
    bench.aliases.pause("crm", START, "moving house");
    let none = Environment { name: "dev".into(), values: BTreeMap::new(), aliases: BTreeMap::new() };
    bench.aliases.replace(&none);
    assert_eq!((bench.aliases.states().len(), bench.aliases.paused("crm")), (0, None));
    bench.aliases.replace(&environment(&server, |alias| alias.auth = refreshing(&server, "a", None)));
    assert_eq!(bench.state(), "paused");
    assert!(bench.aliases.resume("crm"));
    assert_eq!(send(&bench).await, Ok(200));
    assert_eq!(shown(&server), [SECRET]);
}

#[tokio::test]
async fn an_alias_that_comes_back_sends_no_secret_that_was_unset_meanwhile() {
    let server = answering(200).await;
    let bench = Bench::anywhere(&server, basic());
    assert_eq!(send(&bench).await, Ok(200));
    bench.aliases.replace(&Environment { name: "dev".into(), values: BTreeMap::new(), aliases: BTreeMap::new() });
    bench.secrets.0.lock().unwrap().remove("file secrets/crm");
    bench.aliases.secret_unset().await;
    bench.aliases.replace(&environment(&server, |_| {}));
    assert!(send(&bench).await.is_err());
    assert_eq!(server.seen("/").len(), 1);
}

#[tokio::test]
async fn what_is_known_of_a_target_stays_while_the_url_does() {
    let server = Server::start(|_| async { answer(429, &[("retry-after", "3600")], "") }).await;
    let other = answering(200).await;
    let bench = Bench::anywhere(&server, basic());
    send(&bench).await.unwrap();
    assert_eq!(bench.state(), "throttled");
    bench.aliases.replace(&environment(&server, |alias| alias.rate = vec![limit(5, 1)]));
    assert_eq!(bench.state(), "throttled", "another rate changes nothing about the target");
    bench.aliases.replace(&environment(&other, |_| {}));
    assert_eq!((bench.state(), send(&bench).await), ("healthy", Ok(200)));
    bench.aliases.replace(&Environment { name: "dev".into(), values: BTreeMap::new(), aliases: BTreeMap::new() });
    assert!(matches!(send(&bench).await, Err(EgressError::Denied(_))));
}

#[tokio::test]
async fn networks_that_may_be_dialled_no_more_are_not_nor_over_a_connection_that_is_kept() {
    let (server, other) = (answering(200).await, answering(200).await);
    let bench = Bench::anywhere(&server, basic());
    assert_eq!(send(&bench).await, Ok(200));
    for there in [&server, &other] {
        bench.aliases.replace(&environment(there, |alias| alias.network.clear()));
        assert!(matches!(send(&bench).await, Err(EgressError::Denied(why)) if why.contains("LG-6002")), "{}", there.address);
    }
    assert_eq!((server.seen("/").len(), other.seen("/").len()), (1, 0));
    bench.aliases.replace(&environment(&other, |_| {}));
    assert_eq!(send(&bench).await, Ok(200), "and what may be dialled again is");
}

#[tokio::test]
async fn another_rate_holds_at_once_and_counts_what_was_sent() {
    let server = answering(200).await;
    let bench = Bench::anywhere(&server, basic());
    bench.aliases.replace(&environment(&server, |alias| alias.rate = vec![limit(4, 3_600)]));
    for _ in 0..3 {
        assert_eq!(send(&bench).await, Ok(200));
    }
    bench.aliases.replace(&environment(&server, |alias| alias.rate = vec![limit(3, 3_600)]));
    assert!(send(&bench).await.is_err());
    bench.clock.advance(Duration::from_secs(3_601));
    assert_eq!(send(&bench).await, Ok(200));
}

#[tokio::test]
async fn another_credential_releases_an_alias_whose_old_one_was_refused() {
    let server = Server::start(|seen| async move {
        match (seen.path.as_str(), seen.header("authorization").starts_with("Bearer")) {
            ("/token", _) => answer(200, &[], r#"{"access_token":"t"}"#),
            (_, true) => answer(200, &[], ""),
            _ => answer(401, &[], ""),
        }
    })
    .await;
    let bench = Bench::anywhere(&server, basic());
    assert!(send(&bench).await.is_err());
    assert_eq!(bench.state(), "credential-refused");
    bench.aliases.replace(&environment(&server, |alias| alias.auth = oauth(&server)));
    assert_eq!((send(&bench).await, bench.state()), (Ok(200), "healthy"));
}
