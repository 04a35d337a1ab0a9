//! Targets, token endpoints and resolvers that mean harm: nothing forbidden is dialled, nothing is read without end, and no credential
//! comes back to a plugin, however it is spelled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::network::{NetworkUpstream, Resolve};
use super::secret::SecretRef;
use super::test_support::{Bench, FakeNetwork, SECRET, START, Seen, Server, TableSecrets, aliases_at, answer, basic, get, oauth, secret};
use super::token::client_pair;
use super::{ApiKeyPlace, Auth, EgressError, EgressRequest, HmacEncoding, JwtAlgorithm, JwtClaims};
use crate::clock::{Clock, ManualClock};
use crate::config::EnvironmentFile;

/// Hosts as an environment could name them, all of which lead to addresses that are not of the public internet.
const SPELLINGS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127.000.000.001",
    "2130706433",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "%31%32%37.0.0.1",
    "１２７.０.０.１",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "0",
    "0.0.0.0",
    "0x0",
    "00000000000",
    "10.0.0.1",
    "10.1",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.1",
    "3232235521",
    "0xc0a80001",
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "168.63.129.16",
    "100.100.100.200",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "192.88.99.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2001:db8::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456:789a::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[100::1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "xn--localhost-",
    "metadata.internal",
    "１０.０.０.１.example",
];

fn is_address_refused(result: &Result<super::EgressResponse, EgressError>) -> bool {
    matches!(result, Err(EgressError::Denied(why)) if why.starts_with("LG-6002"))
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_ever_dialled() {
    let (mut sent, mut refused_by_check) = (0, 0);
    for host in SPELLINGS {
        let text = format!("[alias.crm]\nurl = \"http://{host}/latest\"\n");
        let Ok(file) = EnvironmentFile::parse("dev", "dev.toml", &text) else {
            refused_by_check += 1;
            continue;
        };
        let alias = file.environment.aliases["crm"].clone();
        let name = alias.url.as_ref().unwrap().host_str().unwrap().to_owned();
        let network = FakeNetwork::new(&[(&name, &["127.0.0.1", "169.254.169.254"])], None);
        let bench = Bench::build(alias, network, &Arc::default());
        let result = bench.aliases.send("crm", &[], get("/a")).await;
        assert!(is_address_refused(&result), "{host}: {result:?}");
        assert!(bench.network.dialled().is_empty(), "{host}: {:?}", bench.network.dialled());
        sent += 1;
    }
    assert!(sent >= 60 && sent + refused_by_check == SPELLINGS.len(), "{sent} and {refused_by_check}");
}

#[tokio::test]
async fn no_forbidden_address_is_dialled_because_a_resolver_says_so() {
    let addresses = SPELLINGS.iter().filter_map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    assert!(addresses.len() >= 40);
    for address in &addresses {
        for tls in ["http", "https"] {
            let network = FakeNetwork::new(&[("crm.example", &[address.as_str()])], None);
            let file = format!("[alias.crm]\nurl = \"{tls}://crm.example/\"\n");
            let alias = EnvironmentFile::parse("dev", "dev.toml", &file).unwrap().environment.aliases["crm"].clone();
            let bench = Bench::build(alias, network, &Arc::default());
            let result = bench.aliases.send("crm", &[], get("/a")).await;
            assert!(is_address_refused(&result), "{address}: {result:?}");
            assert!(bench.network.dialled().is_empty(), "{address}");
        }
    }
}

/// Says something else each time it is asked.
#[derive(Debug)]
struct Flipping(Vec<&'static str>, AtomicUsize);

#[async_trait]
impl Resolve for Flipping {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let answer = self.0[self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1)];
        Ok(answer.split(' ').map(|address| address.parse().unwrap()).collect())
    }
}

#[tokio::test]
async fn a_name_that_flips_to_a_forbidden_address_is_dialled_at_what_was_checked_only() {
    let network = FakeNetwork::new(&[], None);
    let resolve = Arc::new(Flipping(vec!["8.8.8.8", "10.0.0.1", "10.0.0.1 9.9.9.9", "169.254.169.254"], AtomicUsize::default()));
    let clock = Arc::new(ManualClock::at(START));
    let upstream = NetworkUpstream::new(Arc::clone(&clock) as Arc<dyn Clock>, resolve.clone(), network.clone()).unwrap();
    let aliases = aliases_at("http://crm.example/", Auth::None, Arc::new(TableSecrets::default()), Arc::new(upstream), clock);
    let mut refused = 0;
    for _ in 0..4 {
        refused += usize::from(is_address_refused(&aliases.send("crm", &[], get("/a")).await));
    }
    // One question for each connection, and never another between the check and the dial.
    assert_eq!((resolve.1.load(Ordering::SeqCst), refused), (4, 2));
    assert_eq!(network.dialled(), ["8.8.8.8:80", "9.9.9.9:80"]);
}

#[tokio::test]
async fn an_answer_in_crumbs_is_cut_off_before_it_takes_the_time_of_its_call() {
    let body = |crumbs: usize| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", "1\r\nx\r\n".repeat(crumbs));
    let of = async |crumbs| {
        let address = babbling(body(crumbs), "").await;
        let bench = Bench::new(&format!("http://{address}/"), basic(), FakeNetwork::new(&[], Some(address)));
        bench.aliases.send("crm", &[], get("/a")).await.map(|answer| answer.body.len())
    };
    assert_eq!(of(100_001).await, Err(EgressError::TooLarge));
    assert_eq!(of(1_000).await, Ok(1_000));
}

/// A server that answers every request with `first`, and then `again` until it is cut off.
async fn babbling(first: String, again: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (first, again) = (first.clone(), again.repeat(1000));
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(first.as_bytes()).await;
                if again.is_empty() {
                    let _ = stream.shutdown().await;
                    return;
                }
                while stream.write_all(again.as_bytes()).await.is_ok() {}
            });
        }
    });
    address
}

/// What comes of a request to a server that babbles, by a clock that goes on meanwhile.
async fn answer_of(address: SocketAddr) -> Result<super::EgressResponse, EgressError> {
    let bench = Bench::new(&format!("http://{address}/"), basic(), FakeNetwork::new(&[], Some(address)));
    let aliases = Arc::clone(&bench.aliases);
    let sending = tokio::spawn(async move { aliases.send("crm", &[], get("/a")).await });
    // Each look lets it say some megabytes; its time is up after ten more.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    while !sending.is_finished() {
        bench.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    sending.await.unwrap()
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let ok = "HTTP/1.1 200 OK\r\n";
    for (first, again) in [
        (String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        (String::new(), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
        (String::new(), "x"),
        (String::new(), "\r\n"),
        ("HTTP/1.1 200 ".to_owned(), "reason "),
        (ok.to_owned(), "x-many: y\r\n"),
        (format!("{ok}x-long: "), "yyyyyyyyyyyyyyyyyyyyyyyyy"),
        (format!("{ok}\r\n"), "a body that ends when the connection does "),
        (format!("{ok}transfer-encoding: chunked\r\n\r\n"), "1\r\nx\r\n"),
        (format!("{ok}transfer-encoding: chunked\r\n\r\n1;"), "extension"),
        (format!("{ok}transfer-encoding: chunked\r\n\r\n"), "0000000000000000"),
        (format!("{ok}transfer-encoding: chunked\r\n\r\n0\r\n"), "x-trailer: y\r\n"),
        (format!("{ok}content-length: 99999999999\r\n\r\n"), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ] {
        let result = answer_of(babbling(first.clone(), again).await).await;
        let cut_off = matches!(result, Err(EgressError::TooLarge | EgressError::TimedOut | EgressError::Unreachable(_)));
        assert!(cut_off, "{first:?} {again:?}: {result:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_no_answer() {
    let many: String = (0..33_000).map(|n| format!("x-{n}: y\r\n")).collect();
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 99999 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
        "<html>200 OK</html>",
        "ICY 200 OK\r\n\r\n",
        "",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
    ] {
        let result = answer_of(babbling(text.to_owned(), "").await).await;
        let none = matches!(result, Err(EgressError::TooLarge | EgressError::Unreachable(_)));
        assert!(none, "{}: {result:?}", text.chars().take(80).collect::<String>());
    }
}

#[tokio::test]
async fn an_answer_that_inflates_is_handed_on_as_small_as_it_came() {
    // Gzip of ten million zeros begins so; nobody here inflates it.
    let bomb: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xec\xc1\x01\x0d\x00\x00\x00\xc2\xa0\xf7Om\x0e7\xa0";
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        let server = Server::start(move |_| async move { answer(200, &[("content-encoding", encoding)], bomb) }).await;
        let response = Bench::at(&server, Auth::None).aliases.send("crm", &[], get("/a")).await.unwrap();
        assert_eq!(response.body, bomb, "{encoding}");
        assert_eq!(server.seen("/")[0].header("accept-encoding"), "identity");
        // What cannot be searched for the credential is not shown.
        let refused = Bench::at(&server, basic()).aliases.send("crm", &[], get("/a")).await;
        assert!(matches!(refused, Err(EgressError::Denied(_))), "{encoding}");
    }
}

#[tokio::test]
async fn a_token_endpoint_that_misbehaves_gives_no_token_and_no_secret_away() {
    let deep = format!(r#"{{"access_token":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(70_000));
    let redirect: &'static [(&str, &str)] = &[("location", "http://169.254.169.254/token")];
    for (status, headers, body) in [
        (200, &[][..], "x".repeat(1 << 20)),
        (200, &[], "<html>sign in</html>".to_owned()),
        (200, &[], "[]".to_owned()),
        (200, &[], "null".to_owned()),
        (200, &[], deep),
        (200, &[], long),
        (200, &[], r#"{"access_token":"a","access_token":"b"}"#.to_owned()),
        (200, &[], r#"{"access_token":7}"#.to_owned()),
        (200, &[], r#"{"access_token":"a\r\nhost: evil.example"}"#.to_owned()),
        (200, &[], r#"{"access_token":"a b"}"#.to_owned()),
        (200, &[], r#"{"access_token":"ü"}"#.to_owned()),
        (200, &[("content-encoding", "gzip")], "zzz".to_owned()),
        (302, redirect, String::new()),
        (307, redirect, String::new()),
        (308, redirect, String::new()),
        (204, &[], String::new()),
        (206, &[], r#"{"access_token":"a"}"#.to_owned()),
        (600, &[], String::new()),
    ] {
        let shown = body.chars().take(60).collect::<String>();
        let server = Server::start(move |_| {
            let body = body.clone();
            async move { answer(status, headers, body) }
        })
        .await;
        let bench = Bench::at(&server, oauth(&server));
        let result = bench.aliases.send("crm", &[], get("/a")).await;
        assert!(matches!(&result, Err(EgressError::Unreachable(why)) if !why.contains(SECRET)), "{status} {shown}: {result:?}");
        assert_eq!((server.seen("/token").len(), server.seen("/base").len()), (1, 0), "{status} {shown}");
        assert_eq!((bench.state(), bench.network.dialled().len()), ("healthy", 1), "{status} {shown}");
    }
}

#[tokio::test]
async fn a_token_endpoint_without_end_is_cut_off() {
    let chunk = bytes::Bytes::from_static(&[b'a'; 1024]);
    let server = Server::start(move |_| {
        let chunk = chunk.clone();
        async move { answer(200, &[], Body::from_stream(futures_util::stream::repeat(Ok::<_, std::fmt::Error>(chunk)))) }
    })
    .await;
    let bench = Bench::at(&server, oauth(&server));
    let result = bench.aliases.send("crm", &[], get("/a")).await;
    assert!(matches!(&result, Err(EgressError::Unreachable(why)) if why.contains("larger than allowed")), "{result:?}");
}

/// Every way a server might spell what it was told.
fn spellings(text: &str) -> Vec<String> {
    let percent =
        |upper: bool| text.bytes().map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") }).collect::<String>();
    let shifted = |before: &str| [STANDARD.encode(format!("{before}{text}")), URL_SAFE_NO_PAD.encode(format!("{before}{text};"))].join(" ");
    vec![
        text.to_owned(),
        shifted(""),
        shifted("a"),
        shifted("ab"),
        hex::encode(text),
        hex::encode_upper(text),
        percent(true),
        percent(false),
        percent(true).replace('%', "%25"),
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        text.replace('/', "%2f"),
        text.replace('/', "\\/"),
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        text.replace('&', "&amp;"),
    ]
}

/// A server that gives tokens, and says back everything it was ever told: as it was, and in every spelling.
async fn echo(known: Vec<String>) -> Server {
    let told: Arc<Mutex<Vec<String>>> = Arc::new(Mutex::new(known));
    Server::start(move |seen: Seen| {
        let told = Arc::clone(&told);
        async move {
            let mut told = told.lock().unwrap();
            told.extend(seen.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()));
            told.push(seen.path.clone());
            if seen.path == "/token" {
                let fields = url::form_urlencoded::parse(&seen.body).map(|(_, value)| value.into_owned());
                told.extend(fields);
                let body = r#"{"access_token":"t0ken/given+once","refresh_token":"r3fresh/another+one","expires_in":600}"#;
                return answer(200, &[], body);
            }
            let body: Vec<String> = told.iter().flat_map(|text| spellings(text)).collect();
            let header = told.iter().rev().find(|text| text.len() < 1000).cloned().unwrap_or_default();
            answer(400, &[("x-echo", header.as_str()), ("t0ken-given-once", "x")], body.join("\n"))
        }
    })
    .await
}

#[tokio::test]
async fn no_kind_of_credential_comes_back_to_a_plugin_however_it_is_spelled() {
    const TOKEN: &str = "t0ken/given+once";
    let key = include_str!("test_keys/p256.pem");
    let token_url = |server: &Server| format!("http://{}/token", server.address).parse().unwrap();
    type Kind = (&'static str, fn(&Server) -> Auth);
    let kinds: Vec<Kind> = vec![
        ("basic", |_| basic()),
        ("bearer", |_| Auth::Bearer { token: secret() }),
        ("api-key in a header", |_| Auth::ApiKey { place: ApiKeyPlace::Header, name: "x-api-key".into(), key: secret() }),
        ("api-key in the query", |_| Auth::ApiKey { place: ApiKeyPlace::Query, name: "key".into(), key: secret() }),
        ("hmac", |_| Auth::Hmac {
            secret: secret(),
            header: "x-signature".into(),
            encoding: HmacEncoding::Hex,
            prefix: String::new(),
            timestamp_header: None,
        }),
        ("client credentials", |server| oauth(server)),
    ];
    for (kind, auth) in kinds {
        let pair = client_pair("dev client", &super::secret::Secret::new(SECRET)).to_string();
        let server = echo(vec![SECRET.to_owned(), format!("host:{SECRET}"), pair]).await;
        assert_blanked(kind, &Bench::at(&server, auth(&server)), &[SECRET, TOKEN]).await;
    }
    let server = echo(vec![SECRET.to_owned()]).await;
    let refresh = Auth::OAuth2RefreshToken {
        token_url: token_url(&server),
        client_id: "dev".into(),
        client_secret: None,
        refresh_token: secret(),
        scope: None,
    };
    let bench = Bench::at(&server, refresh);
    assert_blanked("refresh token", &bench, &[SECRET, TOKEN, "r3fresh/another+one"]).await;

    let server = echo(Vec::new()).await;
    let assertion = Auth::OAuth2JwtBearer {
        token_url: token_url(&server),
        claims: JwtClaims { issuer: "i".into(), subject: None, audience: "a".into(), scope: None },
        private_key: SecretRef::file("crm.private-key", "secrets/key"),
        algorithm: JwtAlgorithm::Es256,
        key_id: None,
    };
    let bench = Bench::at(&server, assertion);
    bench.secrets.set("file secrets/key", key);
    bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    let form = server.seen("/token").remove(0).body;
    let asserted = url::form_urlencoded::parse(&form).find(|(name, _)| name == "assertion").unwrap().1.into_owned();
    assert_blanked("assertion", &bench, &[TOKEN, &asserted]).await;
}

async fn assert_blanked(kind: &str, bench: &Bench, secrets: &[&str]) {
    let request = EgressRequest { method: "POST".to_owned(), body: "body".into(), ..get("/a?x=1") };
    let response = bench.aliases.send("crm", &[], request).await.unwrap();
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let headers = format!("{:?}", response.headers);
    assert!(body.contains("[blanked]"), "{kind}: {body}");
    for secret in secrets {
        for spelling in spellings(secret).iter().flat_map(|spelling| spelling.split(' ')) {
            assert!(!body.contains(spelling), "{kind}: {spelling} in {body}");
            assert!(!headers.contains(spelling), "{kind}: {spelling} in {headers}");
        }
    }
}

#[tokio::test]
async fn a_header_named_after_a_credential_is_dropped() {
    let server = Server::start(|_| async { answer(200, &[("x-s3cret-as-a-name", "x"), ("x-kept", "y")], "fine") }).await;
    let bench = Bench::at(&server, Auth::Bearer { token: secret() });
    bench.secrets.set("file secrets/crm", "s3cret-as-a-name");
    let response = bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    let names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"x-kept") && !names.iter().any(|name| name.contains("s3cret")), "{names:?}");
}
