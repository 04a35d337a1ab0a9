//! Requests through aliases against a real server on loopback: rules, addresses, limits, waits, blanking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::registry::RESPONSE_BODY_BYTES_MAX;
use super::test_support::{Bench, FakeNetwork, SECRET, Server, answer, basic, get, secret, until};
use super::{ApiKeyPlace, Auth, EgressError, EgressRequest};
use crate::integration::Allow;

const SECOND: Duration = Duration::from_secs(1);

async fn ok_server() -> Server {
    Server::start(|_| async { answer(200, &[("x-kind", "ok")], "fine") }).await
}

fn denied(error: EgressError) -> String {
    match error {
        EgressError::Denied(text) => text,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn refuses_what_breaks_the_rules_and_sends_nothing() {
    let server = ok_server().await;
    let bench = Bench::at(&server, Auth::ApiKey { place: ApiKeyPlace::Header, name: "X-Api-Key".into(), key: secret() });
    let with = |change: fn(&mut EgressRequest)| {
        let mut request = get("/a");
        change(&mut request);
        request
    };
    for request in [
        with(|request| request.path = "/../admin".into()),
        with(|request| request.path = "//evil.example/".into()),
        with(|request| request.path = "http://evil.example/".into()),
        with(|request| request.path = format!("/{}", "a".repeat(super::registry::REQUEST_PATH_BYTES_MAX))),
        // Encoded, it is three times as long.
        with(|request| request.path = format!("/{}", "\u{fc}".repeat(15_000))),
        with(|request| request.method = "CONNECT".into()),
        with(|request| request.method = "TRACE".into()),
        with(|request| request.method = "get".into()),
        with(|request| request.method = "GET /x HTTP/1.1\r\nHost:".into()),
        with(|request| request.method = String::new()),
        with(|request| request.headers = vec![("Host".into(), "evil.example".into())]),
        with(|request| request.headers = vec![("authorization".into(), "Bearer mine".into())]),
        with(|request| request.headers = vec![("x-api-key".into(), "mine".into())]),
        with(|request| request.headers = vec![("x-a".into(), "1\r\nHost: evil.example".into())]),
        with(|request| request.body = Bytes::from(vec![0; super::registry::REQUEST_BODY_BYTES_MAX + 1])),
    ] {
        denied(bench.aliases.send("crm", &[], request).await.unwrap_err());
    }
    let allow = [Allow { method: "POST".into(), path: "/v2/quote".into() }];
    denied(bench.aliases.send("crm", &allow, get("/v2/quote")).await.unwrap_err());
    denied(bench.aliases.send("nobody", &[], get("/a")).await.unwrap_err());
    assert!(bench.network.dialled().is_empty());
}

#[tokio::test]
async fn sends_under_the_base_path_with_credential_and_idempotency_key() {
    let server = ok_server().await;
    let bench = Bench::at(&server, basic());
    let request =
        EgressRequest { method: "POST".into(), headers: vec![("X-Trace".into(), "7".into())], body: "{}".into(), ..get("/v2/quote?x=1") };
    let allow = [Allow { method: "POST".into(), path: "/v2/quote".into() }];
    let response = bench.aliases.send("crm", &allow, request).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"fine"[..]));
    assert!(response.headers.contains(&("x-kind".into(), "ok".into())));
    let seen = server.seen("/").remove(0);
    assert_eq!((seen.method.as_str(), seen.path.as_str(), &seen.body[..]), ("POST", "/base/v2/quote?x=1", &b"{}"[..]));
    assert_eq!(seen.header("authorization"), format!("Basic {}", STANDARD.encode(format!("host:{SECRET}"))));
    assert_eq!((seen.header("idempotency-key"), seen.header("x-trace")), ("key-1", "7"));
    assert_eq!(seen.header("host"), server.address.to_string());
}

#[tokio::test]
async fn an_api_key_in_the_query_is_added_by_the_host_only() {
    let server = ok_server().await;
    let bench = Bench::at(&server, Auth::ApiKey { place: ApiKeyPlace::Query, name: "key".into(), key: secret() });
    denied(bench.aliases.send("crm", &[], get("/a?x=1&k%65y=mine")).await.unwrap_err());
    bench.aliases.send("crm", &[], get("/a?x=%2f1")).await.unwrap();
    bench.aliases.send("crm", &[], get("/b")).await.unwrap();
    let paths: Vec<String> = server.seen("/").into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/base/a?x=%2f1&key=s3cret%2Fvalue%2B1", "/base/b?key=s3cret%2Fvalue%2B1"]);
}

#[tokio::test]
async fn connections_are_kept_and_names_resolved_once_for_each() {
    let server = ok_server().await;
    let network = FakeNetwork::new(&[("crm.example", &["127.0.0.1"])], Some(server.address));
    let bench = Bench::new("http://crm.example/", Auth::None, network);
    for _ in 0..5 {
        bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    }
    assert_eq!(bench.network.dialled(), ["127.0.0.1:80"]);
    assert_eq!(*bench.network.resolved.lock().unwrap(), ["crm.example"]);
}

#[tokio::test]
async fn addresses_that_are_not_listed_are_never_dialled() {
    let hostile: &[&str] = &["169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0"];
    for address in hostile {
        let network = FakeNetwork::new(&[("crm.example", &[*address])], None);
        let bench = Bench::new("http://crm.example/", Auth::None, network);
        let text = denied(bench.aliases.send("crm", &[], get("/a")).await.unwrap_err());
        assert!(text.starts_with("LG-6002 alias crm: crm.example: "), "{text}");
        assert!(bench.network.dialled().is_empty(), "{address}");
    }
    for literal in ["http://169.254.169.254/latest", "http://[::1]/", "http://0x0a000001/", "http://[::ffff:10.0.0.1]/"] {
        let bench = Bench::new(literal, Auth::None, FakeNetwork::new(&[], None));
        denied(bench.aliases.send("crm", &[], get("/a")).await.unwrap_err());
        assert!(bench.network.dialled().is_empty(), "{literal}");
    }
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_dialled_are() {
    let network = FakeNetwork::new(&[("crm.example", &["10.0.0.1", "127.0.0.2", "169.254.169.254", "127.0.0.3"])], None);
    let bench = Bench::new("http://crm.example:81/", Auth::None, network);
    assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::Unreachable(_))));
    assert_eq!(bench.network.dialled(), ["127.0.0.2:81", "127.0.0.3:81"]);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let server = Server::start(|_| async { answer(302, &[("location", "http://169.254.169.254/")], "") }).await;
    let bench = Bench::at(&server, basic());
    assert_eq!(bench.aliases.send("crm", &[], get("/a")).await.unwrap().status, 302);
    assert_eq!(bench.network.dialled().len(), 1);
}

#[tokio::test]
async fn an_answer_with_too_much_body_or_too_many_headers_is_refused() {
    let server = Server::start(|seen| async move {
        let chunk = Bytes::from(vec![b'a'; 1024 * 1024]);
        match seen.path.as_str() {
            "/base/length" => answer(200, &[], vec![b'a'; RESPONSE_BODY_BYTES_MAX + 1]),
            "/base/chunks" => answer(200, &[], Body::from_stream(futures_util::stream::repeat(Ok::<_, std::fmt::Error>(chunk)))),
            "/base/largest" => answer(200, &[], vec![b'a'; RESPONSE_BODY_BYTES_MAX]),
            _ => answer(200, &vec![("x-many", "1"); 120], ""),
        }
    })
    .await;
    let bench = Bench::at(&server, Auth::None);
    for path in ["/length", "/chunks", "/headers"] {
        assert_eq!(bench.aliases.send("crm", &[], get(path)).await, Err(EgressError::TooLarge), "{path}");
    }
    assert_eq!(bench.aliases.send("crm", &[], get("/largest")).await.unwrap().body.len(), RESPONSE_BODY_BYTES_MAX);
    assert_eq!(bench.state(), "healthy");
}

/// A server that sends `text` and then no more, and counts the connections that got so far.
async fn stalling(text: &'static str, close: bool) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stalled) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&stalled);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            if !close {
                open.push(stream);
            }
        }
    });
    (address, stalled)
}

#[tokio::test]
async fn a_head_or_body_that_does_not_come_in_time_is_cut_off() {
    for text in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"] {
        let (address, stalled) = stalling(text, false).await;
        let bench = Bench::new(&format!("http://{address}/"), Auth::None, FakeNetwork::new(&[], Some(address)));
        let aliases = Arc::clone(&bench.aliases);
        let sending = tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await });
        until(|| stalled.load(Ordering::SeqCst) == 1).await;
        bench.clock.advance(9 * SECOND);
        tokio::task::yield_now().await;
        assert!(!sending.is_finished());
        bench.clock.advance(SECOND);
        assert_eq!(sending.await.unwrap(), Err(EgressError::TimedOut), "{text:?}");
        assert_eq!(bench.state(), "healthy");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_or_speaks_no_http_is_unreachable() {
    for text in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let (address, _) = stalling(text, true).await;
        let bench = Bench::new(&format!("http://{address}/"), Auth::None, FakeNetwork::new(&[], Some(address)));
        for _ in 0..5 {
            assert_eq!(bench.state(), "healthy");
            let result = bench.aliases.send("crm", &[], get("/a")).await;
            assert!(matches!(result, Err(EgressError::Unreachable(_))), "{text:?}: {result:?}");
        }
        assert_eq!(bench.state(), "open");
    }
}

#[tokio::test]
async fn tls_that_does_not_come_about_is_unreachable() {
    let server = ok_server().await;
    let bench = Bench::new(&format!("https://{}/", server.address), basic(), FakeNetwork::new(&[], Some(server.address)));
    assert!(matches!(bench.aliases.send("crm", &[], get("/a")).await, Err(EgressError::Unreachable(_))));
    assert!(server.seen("/").is_empty());
}

#[tokio::test]
async fn a_target_that_swallows_packets_is_unreachable_and_not_slow() {
    for (timeout, dials) in [(2 * SECOND, 1), (30 * SECOND, 2)] {
        let network = FakeNetwork::new(&[("crm.example", &["127.0.0.2", "127.0.0.3"])], None);
        network.silent.store(true, Ordering::SeqCst);
        let bench = Bench::new("http://crm.example/", Auth::None, network);
        let aliases = Arc::clone(&bench.aliases);
        let sending = tokio::spawn(async move { aliases.send("crm", &[], EgressRequest { timeout, ..get("/a") }).await });
        for dial in 1..=dials {
            until(|| bench.network.dialled().len() == dial).await;
            bench.clock.advance(timeout.min(4 * SECOND));
        }
        let result = sending.await.unwrap();
        assert!(matches!(&result, Err(EgressError::Unreachable(text)) if text.contains("no connection within")), "{result:?}");
    }
}

#[tokio::test]
async fn a_credential_that_is_echoed_is_blanked_in_body_and_headers() {
    let server = Server::start(|seen| async move {
        let given = seen.header("authorization").to_owned();
        let body = format!("{given} {SECRET} {} host:{SECRET} s3cret%2fvalue%2b1 end", STANDARD.encode(SECRET));
        answer(400, &[("x-echo", given.as_str()), ("x-raw", SECRET)], body)
    })
    .await;
    let bench = Bench::at(&server, basic());
    let response = bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    assert_eq!(&response.body[..], b"Basic [blanked] [blanked] [blanked] [blanked] [blanked] end");
    assert!(response.headers.contains(&("x-echo".into(), "Basic [blanked]".into())), "{:?}", response.headers);
    assert!(response.headers.contains(&("x-raw".into(), "[blanked]".into())));
    assert!(response.headers.iter().all(|(name, _)| name != "content-length"));
}

#[tokio::test]
async fn a_compressed_answer_is_refused_where_it_could_hide_a_credential() {
    let server = Server::start(|_| async { answer(200, &[("content-encoding", "gzip")], "zzz") }).await;
    denied(Bench::at(&server, basic()).aliases.send("crm", &[], get("/a")).await.unwrap_err());
    Bench::at(&server, Auth::None).aliases.send("crm", &[], get("/a")).await.unwrap();
    assert_eq!(server.seen("/")[0].header("accept-encoding"), "identity");
}
