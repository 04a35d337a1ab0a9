//! Webhooks over TLS: who does not shake hands is cut off within bounds, and a renewed certificate is shown without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::*;
use crate::alias::secret::{MachineSecrets, SecretRef};
use crate::clock::Timestamp;
use crate::ingress::{Door, Look, ServeLimits, Tls, TlsFiles, serve};
use crate::problem::{Code, Problem};

const SOON: Duration = Duration::from_millis(400);

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("test_certificates")
}

/// A folder with a certificate and a key that can be changed.
struct Files(TempDir);

impl Files {
    fn new(certificate: &str, key: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put("chain.pem", certificate);
        files.put("key.pem", key);
        files
    }

    fn put(&self, as_name: &str, name: &str) {
        std::fs::copy(certificates().join(name), self.0.path().join(as_name)).unwrap();
    }

    fn load(&self) -> Result<Tls, Problem> {
        let files = TlsFiles { certificate: "chain.pem".into(), key: SecretRef::file("host.tls.key", "key.pem") };
        Tls::load(files, Arc::new(MachineSecrets::new(self.0.path())), clock().wall())
    }
}

/// An intake that is served over TLS too.
struct Served {
    host: Host,
    tls: Arc<Tls>,
    address: std::net::SocketAddr,
    files: Files,
}

async fn served(limits: ServeLimits) -> Served {
    let host = Host::start(vec![integration("orders", webhook("/in", None))], environment(Vec::new())).await;
    let files = Files::new("server.pem", "server.key");
    let tls = Arc::new(files.load().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door { listener, tls: Some(tls.clone()) };
    tokio::spawn(serve(door, host.intake.handler(), limits, clock(), host.stop.clone()));
    Served { host, tls, address, files }
}

fn client(versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates().join("authority.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

impl Served {
    async fn connect(&self, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        client.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    async fn post(&self, client: &TlsConnector, body: &str) -> String {
        let mut stream = self.connect(client).await.unwrap();
        stream.write_all(post("/in", "", body).as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }
}

/// Everything that is said until the other side closes.
async fn said_to(address: std::net::SocketAddr, words: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    said
}

/// The length and type of a handshake record, and the beginning of a ClientHello.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[tokio::test]
async fn refuses_files_that_make_no_certificate() {
    let why = |files: &Files| {
        let problem = files.load().unwrap_err();
        assert_eq!(problem.code, Code::ListenerCertificate);
        assert!(!problem.message.contains("PRIVATE"), "{problem}");
        problem.message
    };
    assert!(why(&Files::new("server.pem", "renewed.key")).contains("belongs to another certificate"));
    assert!(why(&Files::new("server.pem", "authority.pem")).contains("no private key in PEM"));
    assert!(why(&Files::new("server.key", "server.key")).contains("holds no certificate"));
    let files = Files::new("server.pem", "server.key");
    std::fs::write(files.0.path().join("chain.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(why(&files).contains("the first certificate of the chain"), "{}", why(&files));
    std::fs::remove_file(files.0.path().join("chain.pem")).unwrap();
    assert!(why(&files).contains("chain.pem: No such file"));
    let files = Files::new("server.pem", "server.key");
    std::fs::write(files.0.path().join("key.pem"), "").unwrap();
    assert!(why(&files).contains("file key.pem holds no secret"), "{}", why(&files));
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_closed_and_nothing_of_it_is_taken() {
    let served = served(ServeLimits::default()).await;
    for words in [post("/in", "", "plain").as_bytes(), b"\0", b"\x16\x03\x01\xff\xff", b"SSH-2.0-x\r\n", &[0xff; 20_000]] {
        let said = said_to(served.address, words).await;
        // At most an alert (RFC 8446 section 6): seven bytes, none of them HTTP.
        assert!(said.len() <= 7 && !said.starts_with(b"HTTP"), "{said:?}");
    }
    assert!(served.host.store.taken().is_empty());
    assert!(served.post(&client(&[&TLS13], &[]), "then").await.starts_with("HTTP/1.1 202"));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_in_time_is_cut_off() {
    let served = served(ServeLimits { head_within: SOON, ..ServeLimits::default() }).await;
    assert_eq!(said_to(served.address, b"").await, b"");
    assert_eq!(said_to(served.address, HALF_A_HELLO).await, b"");
}

#[tokio::test]
async fn a_flood_of_half_open_handshakes_holds_no_more_than_the_connections_there_are() {
    let served = served(ServeLimits { head_within: SOON, connections: 4, ..ServeLimits::default() }).await;
    let mut flood = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(HALF_A_HELLO).await.unwrap();
        flood.push(stream);
    }
    // Behind all of them, and served once they were cut off, four at a time.
    assert!(served.post(&client(&[&TLS13], &[]), "behind them").await.starts_with("HTTP/1.1 202"));
    for mut stream in flood {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn who_speaks_another_protocol_is_told_so_in_the_handshake() {
    let served = served(ServeLimits::default()).await;
    let refused = served.connect(&client(&[&TLS13], &["h2"])).await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    let agreed = served.connect(&client(&[&TLS13], &["h2", "http/1.1"])).await.unwrap();
    assert_eq!(agreed.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn takes_webhooks_over_both_versions_of_tls_and_keeps_the_connection() {
    let served = served(ServeLimits::default()).await;
    for version in [&TLS12, &TLS13] {
        assert!(served.post(&client(&[version], &["http/1.1"]), "over TLS").await.starts_with("HTTP/1.1 202"));
    }
    let mut stream = served.connect(&client(&[&TLS13], &[])).await.unwrap();
    for body in ["one", "two"] {
        let request = format!("POST /in HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut some = [0; 12];
        stream.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"HTTP/1.1 202");
        while !some.ends_with(b"}") {
            some = [0; 12];
            assert!(stream.read(&mut some[11..]).await.unwrap() > 0);
        }
    }
    let bodies: Vec<_> = served.host.store.taken().iter().map(|accept| accept.message.body.clone()).collect();
    assert_eq!(bodies, ["over TLS", "one", "two"], "the second of two that are the same is a duplicate");
}

#[tokio::test]
async fn headers_that_do_not_come_in_time_are_answered_over_tls_too() {
    let served = served(ServeLimits { head_within: SOON, ..ServeLimits::default() }).await;
    let mut stream = served.connect(&client(&[&TLS13], &[])).await.unwrap();
    stream.write_all(b"POST /in HTTP/1.1\r\nhost: a\r\nx-slow: ").await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
}

async fn shown(served: &Served) -> CertificateDer<'static> {
    let stream = served.connect(&client(&[&TLS13], &[])).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_the_next_who_connects() {
    let served = served(ServeLimits::default()).await;
    let now = clock().wall();
    let certificate = |name: &str| CertificateDer::from_pem_file(certificates().join(name)).unwrap();
    assert_eq!((served.tls.look(now), shown(&served).await), (Look::Same, certificate("server.pem")));
    let mut before = served.connect(&client(&[&TLS13], &[])).await.unwrap();

    served.files.put("chain.pem", "renewed.pem");
    assert!(matches!(served.tls.look(now), Look::Unusable(problem) if problem.message.contains("belongs to another certificate")));
    assert_eq!(shown(&served).await, certificate("server.pem"), "the key is not there yet");
    served.files.put("key.pem", "renewed.key");
    assert_eq!((served.tls.look(now), shown(&served).await), (Look::Renewed, certificate("renewed.pem")));
    assert_eq!(served.tls.look(now), Look::Same);

    // Who connected before goes on.
    before.write_all(post("/in", "", "before").as_bytes()).await.unwrap();
    let mut some = [0; 12];
    before.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 202");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_now_takes_nobodys_place() {
    let served = served(ServeLimits::default()).await;
    let now = clock().wall();
    for (name, why) in [("expired.pem", "has ended on 2024-02-01"), ("unborn.pem", "begins on 2222-01-01")] {
        served.files.put("chain.pem", name);
        assert!(matches!(served.tls.look(now), Look::Unusable(problem) if problem.message.contains(why)), "{name}");
    }
    std::fs::remove_file(served.files.0.path().join("chain.pem")).unwrap();
    assert!(matches!(served.tls.look(now), Look::Unusable(_)));
    assert_eq!(shown(&served).await, CertificateDer::from_pem_file(certificates().join("server.pem")).unwrap());
    // As of its own time it is one like others.
    served.files.put("chain.pem", "expired.pem");
    assert_eq!(served.tls.look(Timestamp(1_705_000_000_000)), Look::Renewed);
}

#[tokio::test]
async fn a_host_starts_with_a_certificate_that_has_ended() {
    Files::new("expired.pem", "server.key").load().unwrap();
}
