//! Senders that are slow, large, ambiguous or many.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;
use crate::ingress::body::BodyLimits;
use crate::ingress::{IntakeLimits, ServeLimits};
use crate::problem::Code;
use crate::telemetry::events::{Filter, Start};

/// Long enough for what was sent to arrive on a busy machine, short enough to wait for.
const SOON: Duration = Duration::from_millis(400);
const LATE: Duration = Duration::from_secs(60);

async fn host(intake: IntakeLimits, serve: ServeLimits) -> Host {
    Host::with(vec![integration("orders", webhook("/in", None))], environment(Vec::new()), intake, serve).await
}

async fn small() -> Host {
    let limits = IntakeLimits { body: BodyLimits { bytes: 100, within: LATE }, ..IntakeLimits::default() };
    host(limits, ServeLimits::default()).await
}

#[tokio::test]
async fn refuses_a_declared_length_over_the_limit_before_reading() {
    let host = small().await;
    // The body never comes; the answer does.
    let reply = host.send("POST /in HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 101\r\n\r\n").await;
    reply.assert_problem(413, Code::BodyTooLarge);
}

#[tokio::test]
async fn refuses_a_chunked_body_once_it_is_over_the_limit() {
    let host = small().await;
    let chunk = format!("32\r\n{}\r\n", "x".repeat(50));
    let head = "POST /in HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let reply = host.send(format!("{head}{chunk}{chunk}1\r\nx\r\n0\r\n\r\n")).await;
    reply.assert_problem(413, Code::BodyTooLarge);
    let reply = host.send(format!("{head}{chunk}{chunk}0\r\n\r\n")).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

#[tokio::test]
async fn lets_a_sender_in_the_middle_of_a_large_body_see_why_it_was_refused() {
    let host = small().await;
    let reply = host.post("/in", "", &"x".repeat(3_000_000)).await;
    reply.assert_problem(413, Code::BodyTooLarge);
}

#[tokio::test]
async fn cuts_off_a_body_that_does_not_arrive_in_time() {
    let limits = IntakeLimits { body: BodyLimits { bytes: 100, within: SOON }, ..IntakeLimits::default() };
    let host = host(limits, ServeLimits::default()).await;
    let reply = host.send("POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
    reply.assert_problem(408, Code::TooSlow);
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_however_steadily_it_comes() {
    let limits = IntakeLimits { body: BodyLimits { bytes: 100_000, within: SOON }, ..IntakeLimits::default() };
    let host = host(limits, ServeLimits::default()).await;
    for lengths in ["content-length: 100000\r\n", "transfer-encoding: chunked\r\n"] {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(format!("POST /in HTTP/1.1\r\nhost: a\r\n{lengths}\r\n").as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let crumb = if lengths.starts_with("content") { "x" } else { "1\r\nx\r\n" };
        let trickle = tokio::spawn(async move {
            while writing.write_all(crumb.as_bytes()).await.is_ok() {
                clock().sleep(Duration::from_millis(20)).await;
            }
        });
        let mut some = [0; 12];
        reading.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"HTTP/1.1 408");
        trickle.abort();
    }
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn cuts_off_headers_that_do_not_arrive_in_time() {
    let host = host(IntakeLimits::default(), ServeLimits { head_within: SOON, ..ServeLimits::default() }).await;
    let reply = host.send("POST /in HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
    assert_eq!(reply.status, 408);
    assert_eq!(reply.header("connection"), Some("close"));
}

#[tokio::test]
async fn closes_a_connection_on_which_nothing_is_said() {
    let host = host(IntakeLimits::default(), ServeLimits { head_within: SOON, ..ServeLimits::default() }).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert!(said.is_empty());
}

#[tokio::test]
async fn refuses_too_many_headers_and_headers_that_are_too_large() {
    let host = host(IntakeLimits::default(), ServeLimits::default()).await;
    let many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    assert_eq!(host.post("/in", &many, "").await.status, 431);
    let large = format!("x-large: {}\r\n", "y".repeat(40_000));
    assert_eq!(host.post("/in", &large, "").await.status, 431);
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn refuses_two_lengths_that_differ() {
    let host = host(IntakeLimits::default(), ServeLimits::default()).await;
    let reply = host.send("POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd").await;
    assert_eq!(reply.status, 400);
    let reply = host.send("POST /in HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\nabcd").await;
    assert_eq!(reply.status, 400);
    assert!(host.store.taken().is_empty());
}

/// RFC 9112 §6.1: a server may go by `Transfer-Encoding` alone, and must then close the connection. So nothing that a
/// proxy in front took for a body is ever answered as a request.
#[tokio::test]
async fn answers_no_second_request_smuggled_behind_a_length_and_a_transfer_encoding() {
    let host = host(IntakeLimits::default(), ServeLimits::default()).await;
    let smuggled = "POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nsmuggled";
    for lengths in ["content-length: 300\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 300\r\n"] {
        let reply = host.send(format!("POST /in HTTP/1.1\r\nhost: a\r\n{lengths}\r\n2\r\nok\r\n0\r\n\r\n{smuggled}")).await;
        assert_eq!(reply.body.matches("HTTP/1.1").count(), 0, "{reply:?}");
    }
    assert!(host.store.taken().iter().all(|accept| accept.message.body == "ok"));
}

#[tokio::test]
async fn refuses_chunks_without_end_or_sense() {
    let host = host(IntakeLimits::default(), ServeLimits::default()).await;
    let head = "POST /in HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let reply = host.send(format!("{head}zz\r\n")).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    // Chunk extensions cost the sender as much as data but carry none.
    let reply = host.send(format!("{head}1;{}\r\n", "e".repeat(100_000))).await;
    assert_eq!(reply.status, 400, "{reply:?}");
}

#[tokio::test]
async fn refuses_more_bodies_at_once_than_memory_is_set_aside_for() {
    let limits = IntakeLimits { bodies_bytes: 64 * 1024, ..IntakeLimits::default() };
    let host = host(limits, ServeLimits::default()).await;
    host.store.gate.forget_permits(usize::MAX >> 3);
    let address = host.address;
    let first = tokio::spawn(async move { send(address, post("/in", "", "first")).await });
    host.store.entered.acquire().await.unwrap().forget();
    let reply = host.post("/in", "", "second").await;
    reply.assert_problem(503, Code::IntakeBusy);
    assert!(reply.header("retry-after").is_some());
    host.store.gate.add_permits(10);
    assert_eq!(first.await.unwrap().status, 202);
    assert_eq!(host.post("/in", "", "third").await.status, 202);
}

#[tokio::test]
async fn lets_no_more_connections_in_than_its_limit() {
    let host = host(IntakeLimits::default(), ServeLimits { connections: 1, ..ServeLimits::default() }).await;
    let mut first = TcpStream::connect(host.address).await.unwrap();
    first.write_all(b"POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na").await.unwrap();
    let address = host.address;
    let second = tokio::spawn(async move { send(address, post("/in", "", "second")).await });
    // The second is served only once the first has gone.
    first.write_all(b"b").await.unwrap();
    let mut some = [0; 12];
    first.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 202");
    assert!(!second.is_finished());
    assert_eq!(host.store.taken().len(), 1);
    drop(first);
    assert_eq!(second.await.unwrap().status, 202);
}

#[tokio::test]
async fn cuts_off_a_sender_that_never_reads_its_answers() {
    let host = host(IntakeLimits::default(), ServeLimits { write_within: SOON, connections: 1, ..ServeLimits::default() }).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let requests = "POST /none HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n".repeat(1000);
    // Answers fill every buffer on the way, then the host stops reading, then it closes.
    while stream.write_all(requests.as_bytes()).await.is_ok() {}
    assert_eq!(host.post("/in", "", "next").await.status, 202);
}

#[tokio::test]
async fn answers_what_is_under_way_when_it_is_told_to_stop_and_takes_nothing_new() {
    let host = host(IntakeLimits::default(), ServeLimits::default()).await;
    host.store.gate.forget_permits(usize::MAX >> 3);
    let address = host.address;
    let first = tokio::spawn(async move { send(address, post("/in", "", "first")).await });
    host.store.entered.acquire().await.unwrap().forget();
    host.stop.cancel();
    host.store.gate.add_permits(1);
    assert_eq!(first.await.unwrap().status, 202);
    host.served.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn cuts_what_is_not_done_after_the_drain_time() {
    let host = host(IntakeLimits::default(), ServeLimits { drain: SOON, ..ServeLimits::default() }).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(b"POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    stream.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 100");
    host.stop.cancel();
    host.served.await.unwrap();
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn a_flood_of_refused_requests_makes_few_events() {
    let host = Host::start(vec![integration("orders", webhook("/in", None))], environment(Vec::new())).await;
    let mut heard = host.events.read(Filter::default(), Start::Now);
    for n in 0..100 {
        host.post(&format!("/nowhere/{n}?token=canary"), "", "").await.assert_problem(404, Code::NoSuchPath);
    }
    let told = serde_json::to_value(&heard.look().told).unwrap();
    let told = told.as_array().unwrap();
    let counted = |event: &serde_json::Value| 1 + event["fields"]["suppressed"].as_u64().unwrap_or(0);
    assert!(told.len() < 50 && told.iter().map(counted).sum::<u64>() <= 100, "{told:?}");
    assert_eq!((&told[0]["kind"], &told[0]["level"]), (&"refused".into(), &"warn".into()));
    assert_eq!((&told[0]["fields"]["status"], &told[0]["fields"]["path"]), (&404.into(), &"/nowhere/0".into()));
    assert!(!format!("{told:?}").contains("canary"), "a query may hold a secret");
}

#[tokio::test]
async fn senders_that_nobody_knows_and_that_stop_before_the_end_hold_up_nobody() {
    let limits =
        IntakeLimits { body: BodyLimits { bytes: 1024 * 1024, within: LATE }, bodies_bytes: 4 * 1024 * 1024, ..IntakeLimits::default() };
    let host = host(limits, ServeLimits::default()).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(b"POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
        // Where it is refused before the end, nobody reads the rest.
        let _ = stream.write_all(&vec![b'x'; 999_999]).await;
        held.push(stream);
    }
    // Until the host has read them, and they are slow: a long time before they are too late.
    let body = "x".repeat(900_000);
    let mut refused = 0;
    loop {
        let reply = host.post("/in", "", &body).await;
        match reply.status {
            202 if refused > 0 || host.store.taken().len() >= 10 => break,
            202 => {}
            _ => {
                reply.assert_problem(503, Code::IntakeBusy);
                refused += 1;
            }
        }
    }
    for _ in 0..5 {
        assert_eq!(host.post("/in", "", &body).await.status, 202);
    }
}
