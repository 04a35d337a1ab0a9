//! Aliases that are replaced while requests are under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::test_support::{Bench, Server, answer, basic, get, oauth, until};
use super::{Alias, EgressError, Environment, RateLimit};

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
    bench.aliases.replace(&environment(&new, |_| {})).await;
    assert_eq!(send(&bench).await, Ok(201));
    may_end.add_permits(1);
    assert_eq!(under_way.await.unwrap(), Ok(429));
    assert_eq!(bench.state(), "healthy", "the wait the old target asked for is not the new one's");
    assert_eq!(send(&bench).await, Ok(201));
}

#[tokio::test]
async fn what_is_known_of_a_target_stays_while_the_url_does() {
    let server = Server::start(|_| async { answer(429, &[("retry-after", "3600")], "") }).await;
    let other = answering(200).await;
    let bench = Bench::anywhere(&server, basic());
    send(&bench).await.unwrap();
    assert_eq!(bench.state(), "throttled");
    bench.aliases.replace(&environment(&server, |alias| alias.rate = vec![limit(5, 1)])).await;
    assert_eq!(bench.state(), "throttled", "another rate changes nothing about the target");
    bench.aliases.replace(&environment(&other, |_| {})).await;
    assert_eq!((bench.state(), send(&bench).await), ("healthy", Ok(200)));
    bench.aliases.replace(&Environment { name: "dev".into(), values: BTreeMap::new(), aliases: BTreeMap::new() }).await;
    assert!(matches!(send(&bench).await, Err(EgressError::Denied(_))));
}

#[tokio::test]
async fn networks_that_may_be_dialled_no_more_are_not_nor_over_a_connection_that_is_kept() {
    let (server, other) = (answering(200).await, answering(200).await);
    let bench = Bench::anywhere(&server, basic());
    assert_eq!(send(&bench).await, Ok(200));
    for there in [&server, &other] {
        bench.aliases.replace(&environment(there, |alias| alias.network.clear())).await;
        assert!(matches!(send(&bench).await, Err(EgressError::Denied(why)) if why.contains("LG-6002")), "{}", there.address);
    }
    assert_eq!((server.seen("/").len(), other.seen("/").len()), (1, 0));
    bench.aliases.replace(&environment(&other, |_| {})).await;
    assert_eq!(send(&bench).await, Ok(200), "and what may be dialled again is");
}

#[tokio::test]
async fn another_rate_holds_at_once_and_counts_what_was_sent() {
    let server = answering(200).await;
    let bench = Bench::anywhere(&server, basic());
    bench.aliases.replace(&environment(&server, |alias| alias.rate = vec![limit(4, 3_600)])).await;
    for _ in 0..3 {
        assert_eq!(send(&bench).await, Ok(200));
    }
    bench.aliases.replace(&environment(&server, |alias| alias.rate = vec![limit(3, 3_600)])).await;
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
    bench.aliases.replace(&environment(&server, |alias| alias.auth = oauth(&server))).await;
    assert_eq!((send(&bench).await, bench.state()), (Ok(200), "healthy"));
}
