//! Authorities and proxies of an alias: whom its connections trust, and whom they reach.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::authorities::Authorities;
use super::test_support::{Bench, FakeNetwork, SECRET, alias_at, basic, get};
use super::{Alias, Auth, EgressError};

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("test_certificates").join(name)).unwrap()
}

/// A server that is `crm.example`, vouched for by the authority of the tests; it notes what it is asked.
async fn crm_example() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let chain = CertificateDer::pem_slice_iter(&pem("server.pem")).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem("server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let head = head(&mut stream).await;
            log.lock().unwrap().push(head);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfine").await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    (address, seen)
}

async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        head.push(byte);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// A proxy that answers CONNECT with `answer`, and where that is a 200 leads to `to` whatever it was asked for.
async fn proxy(answer: &'static str, to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = head(&mut stream).await;
            log.lock().unwrap().push(head);
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.starts_with("HTTP/1.1 200") {
                let mut target = TcpStream::connect(to).await.unwrap();
                tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut stream, &mut target).await) });
            }
        }
    });
    (address, seen)
}

fn trusting(alias: Alias) -> Alias {
    Alias { authorities: Some(Arc::new(Authorities::parse(&pem("authority.pem")).unwrap())), ..alias }
}

fn unreachable(result: Result<super::EgressResponse, EgressError>) -> String {
    match result {
        Err(EgressError::Unreachable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn authorities_are_certificates_and_not_too_many() {
    let why = |pem: &[u8]| Authorities::parse(pem).unwrap_err();
    assert!(why(b"").contains("no certificate"));
    assert!(why(&pem("server.key")).contains("no certificate"));
    assert!(why(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").contains("not PEM"));
    assert!(why(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("cannot be used"));
    assert!(why(&pem("authority.pem").repeat(65)).contains("more than 64"));
    assert!(Authorities::parse(&pem("authority.pem").repeat(64)).is_ok());
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_told_nothing() {
    let (address, seen) = crm_example().await;
    let network = FakeNetwork::new(&[("crm.example", &["127.0.0.1"])], Some(address));
    let bench = Bench::new("https://crm.example/", basic(), network);
    assert!(unreachable(bench.aliases.send("crm", &[], get("/a")).await).contains("UnknownIssuer"));
    // Vouched for, but as another one.
    let network = FakeNetwork::new(&[("erp.example", &["127.0.0.1"])], Some(address));
    let bench = Bench::build(trusting(alias_at("https://erp.example/", basic())), network, &Arc::default());
    let why = unreachable(bench.aliases.send("crm", &[], get("/a")).await);
    assert!(why.contains("not valid for name"), "{why}");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_authority_of_the_alias_vouches_for_its_servers() {
    let (address, seen) = crm_example().await;
    let network = FakeNetwork::new(&[("crm.example", &["127.0.0.1"])], Some(address));
    let bench = Bench::build(trusting(alias_at("https://crm.example/", basic())), network, &Arc::default());
    let answer = bench.aliases.send("crm", &[], get("/a")).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"fine"[..]));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn through_a_proxy_only_the_proxy_is_resolved_and_dialled_and_it_sees_no_request() {
    let (target, at_target) = crm_example().await;
    let (proxy, at_proxy) = proxy("HTTP/1.1 200 Connected\r\n\r\n", target).await;
    let network = FakeNetwork::new(&[("proxy.example", &["127.0.0.9"])], Some(proxy));
    let alias = Alias { proxy: Some("http://proxy.example:3128".parse().unwrap()), ..alias_at("https://crm.example/base", basic()) };
    let bench = Bench::build(trusting(alias), network, &Arc::default());
    assert_eq!(bench.aliases.send("crm", &[], get("/a")).await.unwrap().status, 200);
    assert_eq!(
        (bench.network.dialled(), bench.network.resolved.lock().unwrap().clone()),
        (vec!["127.0.0.9:3128".into()], vec!["proxy.example".into()])
    );
    assert_eq!(*at_proxy.lock().unwrap(), ["connect crm.example:443 http/1.1\r\nhost: crm.example:443\r\n\r\n"]);
    let seen = at_target.lock().unwrap().concat();
    assert!(seen.starts_with("get /base/a http/1.1") && seen.contains("authorization: basic "), "{seen}");
}

#[tokio::test]
async fn a_proxy_or_an_address_that_may_not_be_dialled_is_not() {
    for (url, proxy) in [
        ("https://crm.example/", "http://proxy.example:3128"),
        ("https://crm.example/", "http://10.0.0.1:3128"),
        ("https://169.254.169.254/", "http://127.0.0.9:3128"),
        ("https://[::ffff:10.0.0.1]/", "http://127.0.0.9:3128"),
        ("https://0xa9fea9fe/", "http://127.0.0.9:3128"),
    ] {
        let network = FakeNetwork::new(&[("proxy.example", &["10.0.0.1"])], None);
        let alias = Alias { proxy: Some(proxy.parse().unwrap()), ..alias_at(url, Auth::None) };
        let bench = Bench::build(alias, network, &Arc::default());
        let result = bench.aliases.send("crm", &[], get("/a")).await;
        assert!(matches!(&result, Err(EgressError::Denied(why)) if why.starts_with("LG-6002")), "{url} {proxy}: {result:?}");
        assert!(bench.network.dialled().iter().all(|dialled| dialled == "127.0.0.9:3128"), "{url} {proxy}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_lies_or_babbles_makes_the_target_unreachable() {
    let long = Box::leak(format!("HTTP/1.1 200 OK\r\n{}", "x-a: b\r\n".repeat(33_000)).into_boxed_str());
    for answer in ["HTTP/1.1 407 No\r\n\r\n", "HTTP/1.1 502 No\r\n\r\n", "HTTP/1.1 302 No\r\nlocation: /\r\n\r\n", "SSH-2.0\r\n\r\n", long]
    {
        let (proxy, _) = proxy(answer, "127.0.0.1:1".parse().unwrap()).await;
        let network = FakeNetwork::new(&[("proxy.example", &["127.0.0.9"])], Some(proxy));
        let alias = Alias { proxy: Some("http://proxy.example".parse().unwrap()), ..alias_at("https://crm.example/", basic()) };
        let bench = Bench::build(alias, network, &Arc::default());
        let why = unreachable(bench.aliases.send("crm", &[], get("/a")).await);
        assert!(why.contains("tunnel error") && !why.contains(SECRET), "{why}");
    }
}
