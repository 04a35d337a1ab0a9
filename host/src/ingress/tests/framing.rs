//! Requests that two readers could understand differently, or that nobody can: refused, with nothing of them taken, and never answered
//! as two (RFC 9112).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;

async fn host() -> Host {
    Host::start(vec![integration("orders", webhook("/in", None))], environment(Vec::new())).await
}

/// The statuses of everything that is answered to `words` until the host closes, and the bodies that were taken.
async fn outcome(host: &Host, words: &[u8]) -> (Vec<u16>, Vec<String>) {
    let before = host.store.taken().len();
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    // Whoever was refused in the middle may find the connection gone.
    let _ = stream.write_all(words).await;
    let _ = stream.shutdown().await;
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    let text = String::from_utf8(said).unwrap();
    let statuses = text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect();
    let body = |accept: &crate::message_store::Accept| String::from_utf8_lossy(&accept.message.body).into_owned();
    (statuses, host.store.taken()[before..].iter().map(body).collect())
}

fn with(headers: &str, body: &str) -> String {
    format!("POST /in HTTP/1.1\r\nhost: a\r\n{headers}\r\n{body}")
}

/// What follows is what a proxy in front might have taken for a body.
const SMUGGLED: &str = "POST /in HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nsmuggled";

#[tokio::test]
async fn a_request_whose_length_is_not_clear_is_refused_and_nothing_behind_it_is_answered() {
    let host = host().await;
    for (headers, body) in [
        ("content-length: 3\r\ncontent-length: 4\r\n", "abcd"),
        ("content-length: 3, 4\r\n", "abcd"),
        ("content-length: 3, 3\r\n", "abc"),
        ("content-length: +3\r\n", "abc"),
        ("content-length: -1\r\n", ""),
        ("content-length: 0x3\r\n", "abc"),
        ("content-length: 3 3\r\n", "abc"),
        ("content-length: 3;\r\n", "abc"),
        ("content-length:\r\n", "abc"),
        ("content-length: ３\r\n", "abc"),
        ("content-length: 18446744073709551616\r\n", "abc"),
        ("content-length: 99999999999999999999999\r\n", "abc"),
        ("content-length : 3\r\n", "abc"),
        ("content-length\t: 3\r\n", "abc"),
        (" content-length: 3\r\n", "abc"),
        ("content-length: 3\r\n\t4\r\n", "abc"),
        ("content\u{b}length: 3\r\ncontent-length: 4\r\nx: \0\r\n", "abcd"),
        ("transfer-encoding: identity\r\n", "abc"),
        ("transfer-encoding: xchunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked, identity\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked;q=1\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: \"chunked\"\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding : chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "3;\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "-3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "3 3\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "ffffffffffffffff1\r\nabc\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ] {
        let (statuses, taken) = outcome(&host, (with(headers, body) + SMUGGLED).as_bytes()).await;
        assert!(statuses.iter().all(|status| *status >= 400) && statuses.len() <= 1, "{headers:?} {body:?}: {statuses:?}");
        assert!(taken.is_empty(), "{headers:?} {body:?}: {taken:?}");
    }
}

#[tokio::test]
async fn two_equal_lengths_are_one_length_or_refused_and_the_next_request_is_where_they_say() {
    let host = host().await;
    let (statuses, taken) = outcome(&host, (with("content-length: 3\r\ncontent-length: 3\r\n", "abc") + SMUGGLED).as_bytes()).await;
    // RFC 9112 section 6.3 allows both; what follows begins behind the third byte either way.
    match statuses.as_slice() {
        [400] => assert!(taken.is_empty(), "{taken:?}"),
        [202, 202] => assert_eq!(taken, ["abc", "smuggled"]),
        other => panic!("{other:?} {taken:?}"),
    }
}

#[tokio::test]
async fn request_lines_and_headers_that_are_none_are_refused() {
    let host = host().await;
    let large = format!("POST /in?{} HTTP/1.1\r\nhost: a\r\n\r\n", "q".repeat(70_000));
    let many: String = (0..33_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = with(&format!("{many}content-length: 0\r\n"), "");
    let same = with(&format!("{}content-length: 0\r\n", "x: y\r\n".repeat(33_000)), "");
    for words in [
        "\r\n\r\n\r\n\r\nGARBAGE\r\n\r\n",
        "POST /in\r\n\r\n",
        "POST  /in HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /in HTTP/1.1 x\r\nhost: a\r\n\r\n",
        "POST /in HTTP/9.9\r\nhost: a\r\n\r\n",
        "POST /in HTTP/2.0\r\nhost: a\r\n\r\n",
        "POST /in http/1.1\r\nhost: a\r\n\r\n",
        "PO\0ST /in HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /i\0n HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /in\rHTTP/1.1\r\nhost: a\r\n\r\n",
        "(POST) /in HTTP/1.1\r\nhost: a\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "TRACE /in HTTP/1.1\r\nhost: a\r\n\r\n",
        // The preface of HTTP/2 (RFC 9113 section 3.4).
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
        // A TLS handshake.
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{3}\u{3}",
        &with("x-a: b\r\n folded\r\n", ""),
        &with("x-a: b\0c\r\n", ""),
        &with("x-a: b\rc\r\n", ""),
        &with("no colon\r\n", ""),
        &with(": empty\r\n", ""),
        &with("x a: b\r\n", ""),
        &with("x-ä: b\r\n", ""),
        &large,
        &many,
        &same,
    ] {
        let (statuses, taken) = outcome(&host, words.as_bytes()).await;
        let shown: String = words.chars().take(60).collect();
        assert!(statuses.iter().all(|status| *status >= 400) && statuses.len() <= 1, "{shown:?}: {statuses:?}");
        assert!(taken.is_empty(), "{shown:?}: {taken:?}");
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order_up_to_the_first_that_is_none() {
    let host = host().await;
    let one = |body: &str| with(&format!("content-length: {}\r\n", body.len()), body);
    let words =
        one("first") + &one("second") + &with("transfer-encoding: chunked\r\n", "5\r\nthird\r\n0\r\n\r\n") + "NONE\r\n\r\n" + &one("lost");
    let (statuses, taken) = outcome(&host, words.as_bytes()).await;
    assert_eq!((statuses.as_slice(), taken), (&[202, 202, 202, 400][..], vec!["first".into(), "second".into(), "third".into()]));
    let many: String = (0..500).map(|n| one(&format!("body {n}"))).collect();
    let (statuses, taken) = outcome(&host, many.as_bytes()).await;
    assert_eq!((statuses, taken.len()), (vec![202; 500], 500));
}

#[tokio::test]
async fn trailers_without_end_and_chunks_of_one_byte_are_cut_off() {
    let host = host().await;
    let trailers = "x-trailer: y\r\n".repeat(33_000);
    let (statuses, taken) =
        outcome(&host, with("transfer-encoding: chunked\r\n", &format!("1\r\nx\r\n0\r\n{trailers}\r\n")).as_bytes()).await;
    assert!(taken.is_empty() && statuses.iter().all(|status| *status >= 400), "{statuses:?} {taken:?}");
    let crumbs = "1;name=value\r\nx\r\n".repeat(100_000);
    let (statuses, taken) = outcome(&host, with("transfer-encoding: chunked\r\n", &crumbs).as_bytes()).await;
    assert!(taken.is_empty() && statuses.iter().all(|status| *status >= 400), "{statuses:?}");
}

#[tokio::test]
async fn a_path_is_taken_as_it_is_written_whoever_it_is_addressed_to() {
    let host = host().await;
    for path in ["/IN", "/in/", "//in", "/./in", "/x/../in", "/%69n", "/in;x=1", "http://a/other", "*"] {
        let (statuses, taken) = outcome(&host, format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        assert!(matches!(statuses.as_slice(), [400 | 404]) && taken.is_empty(), "{path}: {statuses:?}");
    }
    // RFC 9112 section 3.2.2: a server takes the absolute form.
    let (statuses, _) = outcome(&host, b"POST http://other.example/in?x=1 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(statuses, [202]);
}
