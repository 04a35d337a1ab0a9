//! Tokens over their lives, against a real server on loopback: kept, taken up, rotated, odd, signed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::secret::SecretRef;
use super::test_support::{Bench, Logged, SECRET, Server, answer, get, oauth, secret, until};
use super::vault::tests::MemoryRows;
use super::{Auth, EgressError, ExpiredWhen, HmacEncoding, Holds, JwtAlgorithm, JwtClaims};

const SECOND: Duration = Duration::from_secs(1);

/// A target whose token endpoint answers its n-th request with what `token` gives, and whose API answers with what `api` gives for
/// the `Authorization` it was asked with.
async fn target(
    token: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static,
    api: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
) -> Server {
    let (given, doing) = (Arc::new(AtomicUsize::new(0)), Arc::new((token, api)));
    Server::start(move |seen| {
        let (given, doing) = (Arc::clone(&given), Arc::clone(&doing));
        async move {
            let (status, body) = match seen.path.as_str() {
                "/token" => doing.0(given.fetch_add(1, Ordering::SeqCst) + 1, std::str::from_utf8(&seen.body).unwrap()),
                _ => doing.1(seen.header("authorization")),
            };
            answer(status, &[], body)
        }
    })
    .await
}

fn token(number: usize, more: &str) -> (u16, String) {
    (200, format!(r#"{{"access_token":"token-{number}","token_type":"Bearer"{more}}}"#))
}

fn fine(_: &str) -> (u16, String) {
    (200, "fine".to_owned())
}

/// A field of a form.
fn field(body: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(body).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

fn refreshing(server: &Server, client_secret: Option<SecretRef>) -> Auth {
    Auth::OAuth2RefreshToken {
        token_url: format!("http://{}/token", server.address).parse().unwrap(),
        client_id: "dev".to_owned(),
        client_secret,
        refresh_token: secret(),
        scope: None,
    }
}

async fn send(bench: &Bench) -> Result<u16, EgressError> {
    bench.aliases.send("crm", &[], get("/a")).await.map(|response| response.status)
}

#[tokio::test]
async fn a_token_that_cannot_be_kept_is_not_used_and_not_asked_for_again() {
    let server = target(|number, _| token(number, r#","expires_in":600"#), fine).await;
    let rows = Arc::new(MemoryRows::default());
    let bench = Bench::kept(&server, oauth(&server), &rows);
    rows.fails.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(send(&bench).await, Err(EgressError::Unreachable(what)) if what.contains("cannot be kept: the disk is full")));
    }
    assert!(server.seen("/base").is_empty(), "nothing was sent with it");
    assert_eq!((server.seen("/token").len(), bench.state()), (1, "healthy"), "and it is the host's own trouble, not the target's");
    rows.fails.store(false, Ordering::SeqCst);
    assert_eq!(send(&bench).await, Ok(200));
    assert_eq!(server.seen("/token").len(), 1);
}

#[tokio::test]
async fn a_token_outlives_a_restart_and_one_for_another_client_or_secret_does_not() {
    let server = target(|number, _| token(number, r#","expires_in":600"#), fine).await;
    let rows = Arc::new(MemoryRows::default());
    assert_eq!(send(&Bench::kept(&server, oauth(&server), &rows)).await, Ok(200));
    assert!(rows.all().iter().all(|row| !String::from_utf8_lossy(&row.sealed).contains("token-1")));
    let again = Bench::kept(&server, oauth(&server), &rows);
    assert_eq!(send(&again).await, Ok(200));
    assert_eq!(server.seen("/token").len(), 1);
    // It expires when it would have.
    again.clock.advance(540 * SECOND);
    assert_eq!(send(&again).await, Ok(200));
    assert_eq!(server.seen("/token").len(), 2);

    let other = Bench::kept(&server, oauth(&server), &rows);
    other.secrets.set("file secrets/crm", "another");
    assert_eq!(send(&other).await, Ok(200));
    assert_eq!(server.seen("/token").len(), 3, "the token of the old secret is not used");
}

#[tokio::test]
async fn an_expiry_that_makes_no_sense_is_named_and_never_asked_about_in_a_circle() {
    for odd in ["-1", "0", "1000000000000", r#""soon""#, r#""NaN""#] {
        let log = Logged::start();
        let more = format!(r#","expires_in":{odd}"#);
        let server = target(move |number, _| token(number, &more), fine).await;
        let bench = Bench::at(&server, oauth(&server));
        for _ in 0..50 {
            assert_eq!(send(&bench).await, Ok(200), "{odd}");
        }
        assert_eq!((server.seen("/token").len(), bench.state()), (1, "healthy"), "{odd}");
        assert_eq!(log.lines("LG-6006").len(), 1, "{odd}");
        assert!(!log.text().contains("token-1"));
    }
    // One that has really expired before it came is a credential that is refused: two requests, then one in five minutes.
    let server = target(|number, _| token(number, r#","expires_in":-1"#), |_| (401, String::new())).await;
    let bench = Bench::at(&server, oauth(&server));
    assert!(matches!(send(&bench).await, Err(EgressError::CredentialRefused(_))));
    for _ in 0..50 {
        assert!(matches!(send(&bench).await, Err(EgressError::Held { .. })));
    }
    assert_eq!((server.seen("/token").len(), server.seen("/base").len(), bench.state()), (2, 2, "credential-refused"));
}

/// A token endpoint that takes each refresh token once and gives the next, `r2`, `r3`, …
fn rotating(first: &'static str) -> impl Fn(usize, &str) -> (u16, String) + Send + Sync {
    let good = Mutex::new(first.to_owned());
    move |number, body| {
        let mut good = good.lock().unwrap();
        if field(body.as_bytes(), "refresh_token").as_deref() != Some(good.as_str()) {
            return (400, r#"{"error":"invalid_grant"}"#.to_owned());
        }
        *good = format!("r{}", number + 1);
        token(number, &format!(r#","expires_in":600,"refresh_token":"{good}""#))
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_is_on_disk_before_the_token_is_used_and_outlives_a_crash() {
    let server = target(rotating(SECRET), |authorization| (200, authorization.to_owned())).await;
    let rows = Arc::new(MemoryRows::default());
    let first = Bench::kept(&server, refreshing(&server, None), &rows);
    rows.fails.store(true, Ordering::SeqCst);
    assert!(send(&first).await.is_err());
    assert!(server.seen("/base").is_empty());
    rows.fails.store(false, Ordering::SeqCst);
    assert_eq!(send(&first).await, Ok(200));
    first.clock.advance(600 * SECOND);
    assert_eq!(send(&first).await, Ok(200));
    drop(first);
    let second = Bench::kept(&server, refreshing(&server, None), &rows);
    second.clock.advance(2_000 * SECOND);
    assert_eq!(send(&second).await, Ok(200));
    let used: Vec<_> = server.seen("/token").iter().map(|seen| field(&seen.body, "refresh_token").unwrap()).collect();
    assert_eq!(used, [SECRET, "r2", "r3"], "each once, none asked with twice");
    let form = &server.seen("/token")[0];
    assert_eq!(
        (form.header("authorization"), field(&form.body, "client_id").as_deref()),
        ("", Some("dev")),
        "a client without a secret says who it is"
    );
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_is_replaced_by_the_one_that_is_set() {
    let server = target(rotating("a new first one"), fine).await;
    let client_secret = SecretRef::file("crm.client-secret", "secrets/client");
    let bench = Bench::kept(&server, refreshing(&server, Some(client_secret)), &Arc::default());
    bench.secrets.set("file secrets/client", "client secret");
    assert!(matches!(send(&bench).await, Err(EgressError::CredentialRefused(_))));
    bench.aliases.secrets_changed().await;
    assert_eq!(bench.state(), "credential-refused", "the same secrets release nothing");
    bench.secrets.set("file secrets/crm", "a new first one");
    bench.aliases.secrets_changed().await;
    assert_eq!(send(&bench).await, Ok(200));
    let basic = format!("Basic {}", STANDARD.encode("dev:client+secret"));
    assert!(server.seen("/token").iter().all(|seen| seen.header("authorization") == basic && field(&seen.body, "client_id").is_none()));
}

#[tokio::test]
async fn who_stops_waiting_for_a_token_does_not_end_the_request_for_it() {
    let server = target(rotating(SECRET), fine).await;
    let rows = Arc::new(MemoryRows::default());
    let bench = Bench::kept(&server, refreshing(&server, None), &rows);
    let aliases = Arc::clone(&bench.aliases);
    let sending = tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await });
    until(|| !server.seen("/token").is_empty()).await;
    sending.abort();
    bench.aliases.settle_tokens().await;
    assert_eq!(rows.all().len(), 1, "what the endpoint gave is kept");
    assert_eq!(send(&bench).await, Ok(200));
    assert_eq!(server.seen("/token").len(), 1);
}

#[tokio::test]
async fn an_answer_that_says_expired_under_200_is_met_as_a_401_is() {
    let expired = r#"{"error":{"code":"TOKEN_EXPIRED"}}"#;
    let only_second = move |authorization: &str| (200, if authorization == "Bearer token-2" { "fine" } else { expired }.to_owned());
    let server = target(|number, _| token(number, ""), only_second).await;
    let rule = ExpiredWhen { status: 200, holds: Holds::Json { pointer: "/error/code".to_owned(), is: vec!["TOKEN_EXPIRED".to_owned()] } };
    let bench = Bench::with_rule(&server, oauth(&server), rule.clone());
    let answer = bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    assert_eq!((answer.status, &answer.body[..], server.seen("/token").len()), (200, &b"fine"[..], 2));

    let server = target(|number, _| token(number, ""), move |_| (200, expired.to_owned())).await;
    let bench = Bench::with_rule(&server, oauth(&server), rule);
    let refused = EgressError::CredentialRefused("the target answered 200, and that its credential has expired".to_owned());
    assert_eq!(send(&bench).await, Err(refused));
    assert_eq!((server.seen("/base").len(), server.seen("/token").len(), bench.state()), (2, 2, "credential-refused"));
}

#[tokio::test]
async fn asks_with_an_assertion_that_is_another_each_time() {
    let server = target(|number, _| token(number, ""), fine).await;
    let claims = JwtClaims { issuer: "i".into(), subject: Some("s".into()), audience: "a".into(), scope: Some("crm.write".into()) };
    let auth = Auth::OAuth2JwtBearer {
        token_url: format!("http://{}/token", server.address).parse().unwrap(),
        claims,
        private_key: secret(),
        algorithm: JwtAlgorithm::Es256,
        key_id: None,
    };
    let bench = Bench::at(&server, auth);
    assert!(matches!(send(&bench).await, Err(EgressError::CredentialRefused(what)) if what.contains("is not PEM text")));
    assert!(server.seen("/token").is_empty());
    bench.secrets.set("file secrets/crm", include_str!("test_keys/p256.pem"));
    bench.aliases.secrets_changed().await;
    bench.clock.set_wall_by(86_400_000);
    assert_eq!(send(&bench).await, Ok(200));
    bench.clock.advance(1_800 * SECOND);
    assert_eq!(send(&bench).await, Ok(200));
    let asked = server.seen("/token");
    let assertion = |index: usize| field(&asked[index].body, "assertion").unwrap();
    assert_ne!(assertion(0), assertion(1));
    let payload = URL_SAFE_NO_PAD.decode(assertion(0).split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((&payload["iss"], &payload["scope"]), (&"i".into(), &"crm.write".into()));
    assert_eq!(payload["iat"], 1_767_323_045 + 86_400, "by the clock that the target's is held against");
    assert_eq!(field(&asked[0].body, "grant_type").unwrap(), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(asked[0].header("authorization"), "");
}

#[tokio::test]
async fn signs_what_it_sends_and_lets_no_plugin_set_the_signature() {
    let server = Server::start(|seen| async move { answer(200, &[], format!("you sent {} {SECRET}", seen.header("x-signature"))) }).await;
    let auth = Auth::Hmac {
        secret: secret(),
        header: "x-signature".to_owned(),
        encoding: HmacEncoding::Hex,
        prefix: "v1=".to_owned(),
        timestamp_header: Some("x-time".to_owned()),
    };
    let bench = Bench::at(&server, auth);
    // The machine's clock was set back by a day while the host ran: the target's is as it is now.
    bench.clock.set_wall_by(-86_400_000);
    for own in ["X-Signature", "x-time"] {
        let mut forged = get("/a");
        forged.headers.push((own.to_owned(), "1".to_owned()));
        assert!(matches!(bench.aliases.send("crm", &[], forged).await, Err(EgressError::Denied(_))), "{own}");
    }
    let mut request = get("/a");
    (request.method, request.body) = ("POST".to_owned(), "the body".into());
    let heard = bench.aliases.send("crm", &[], request).await.unwrap();
    let seen = server.seen("/base")[0].clone();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(b"1767236645.the body");
    assert_eq!(seen.header("x-time"), "1767236645");
    assert_eq!(seen.header("x-signature"), format!("v1={}", hex::encode(mac.finalize().into_bytes())));
    assert!(!String::from_utf8_lossy(&heard.body).contains(SECRET));
}
