//! TLS over the real binary: webhooks come in over it, a renewed certificate is shown without a restart, and an alias trusts an authority
//! of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::build::root;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{request, runtime, shopify_signature};
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::{SHOP_SECRET, Workspace};

fn certificates() -> PathBuf {
    root().join("host/test_certificates")
}

fn put(workspace: &Workspace, as_name: &str, name: &str) {
    std::fs::copy(certificates().join(name), workspace.path().join(as_name)).unwrap();
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(certificates().join(name)).unwrap()
}

/// The example's workspace, whose webhooks come in over TLS.
fn tls_workspace(outside: &Outside) -> Workspace {
    let workspace = workspace(outside);
    let host = std::fs::read_to_string(workspace.path().join("lockgate.toml")).unwrap();
    workspace.write("lockgate.toml", &format!("{host}[host.tls]\ncertificate = \"chain.pem\"\nkey = {{ file = \"key.pem\" }}\n"));
    put(&workspace, "chain.pem", "server.pem");
    put(&workspace, "key.pem", "server.key");
    workspace
}

/// Says `words` over TLS; gives the certificate that was shown, and what was answered.
fn said_over_tls(host: &Host, words: &str) -> std::io::Result<(CertificateDer<'static>, String)> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate("authority.pem")).unwrap();
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let address: SocketAddr = host.ingress.trim_start_matches("https://").parse().unwrap();
    runtime().block_on(async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        stream.write_all(words.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok((shown, answer))
    })
}

fn shop_request(order: &serde_json::Value) -> String {
    let body = order.to_string();
    let (signature, length) = (shopify_signature(SHOP_SECRET, body.as_bytes()), body.len());
    format!(
        "POST /shop/orders HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\nx-shopify-topic: orders/create\r\n\
         x-shopify-webhook-id: evt-{}\r\nx-shopify-hmac-sha256: {signature}\r\ncontent-length: {length}\r\n\r\n{body}",
        order["id"]
    )
}

/// As somebody starts it from the folder above, by the workspace's name.
#[test]
fn a_host_finds_its_key_wherever_it_is_started_from() {
    let outside = Outside::start();
    let workspace = tls_workspace(&outside);
    let (above, name) = (workspace.path().parent().unwrap(), workspace.path().file_name().unwrap());
    let mut command = crate::support::host::lockgate(above);
    command.arg("run").arg(name).args(["--env", "test", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut child = command.env("SHOP_SECRET", SHOP_SECRET).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let is_up = eventually("the host is up, or has ended", || {
        let up = workspace.data().join("host.json").exists().then_some(true);
        up.or_else(|| child.try_wait().unwrap().map(|_| false))
    });
    drop(child.kill());
    let output = child.wait_with_output().unwrap();
    assert!(is_up, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_host_does_not_start_with_a_key_of_another_certificate() {
    let outside = Outside::start();
    let workspace = tls_workspace(&outside);
    put(&workspace, "key.pem", "renewed.key");
    let status = Host::try_start(&workspace, &[], &[]).unwrap_err();
    let log = std::fs::read_to_string(workspace.path().join("host.log")).unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("LG-4012") && log.contains("belongs to another certificate") && log.contains("chain.pem"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn orders_come_in_over_tls_and_a_renewed_certificate_is_shown_without_a_restart() {
    let outside = Outside::start();
    let workspace = tls_workspace(&outside);
    let host = Host::start(&workspace);
    assert!(host.ingress.starts_with("https://"), "{}", host.ingress);
    let plain = request("POST", &format!("{}/shop/orders", host.ingress.replace("https", "http")), &[], "{}");
    assert!(plain.is_err(), "{plain:?}");
    let (shown, answer) = said_over_tls(&host, &shop_request(&order(1, 1, "1.00"))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(shown, certificate("server.pem"));
    eventually("the order is in the CRM", || outside.crm.received().requests.first().map(|_| ()));

    // First one of the two, then the other, as it happens.
    put(&workspace, "chain.pem", "renewed.pem");
    assert_eq!(said_over_tls(&host, "POST / HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap().0, certificate("server.pem"));
    put(&workspace, "key.pem", "renewed.key");
    eventually("the renewed certificate is shown", || {
        let (shown, _) = said_over_tls(&host, "POST / HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
        (shown == certificate("renewed.pem")).then_some(())
    });
    let (_, answer) = said_over_tls(&host, &shop_request(&order(2, 2, "1.00"))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

/// Speaks TLS as `localhost`, and hands everything on to `to`.
async fn tls_in_front_of(to: SocketAddr) -> SocketAddr {
    let key = PrivateKeyDer::from_pem_file(certificates().join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate("server.pem")], key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut target = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
                }
            });
        }
    });
    address
}

/// The example's workspace whose audit service is reached over TLS, with `more` in its alias.
fn audit_over_tls(outside: &Outside, more: &str) -> Workspace {
    let workspace = workspace(outside);
    let port = runtime().block_on(tls_in_front_of(outside.audit.address())).port();
    let file = workspace.path().join("environments/test.toml");
    let environment = std::fs::read_to_string(&file).unwrap();
    let plain = format!("url = \"http://{}\"", outside.audit.address());
    assert!(environment.contains(&plain));
    std::fs::write(&file, environment.replace(&plain, &format!("url = \"https://127.0.0.1:{port}\"\n{more}"))).unwrap();
    workspace
}

fn states(host: &Host) -> String {
    host.api("/api/v1/aliases").to_string()
}

#[test]
fn a_target_is_believed_by_the_authority_that_its_alias_names_and_not_without() {
    let outside = Outside::start();
    let workspace = audit_over_tls(&outside, "");
    let host = Host::start(&workspace);
    accepted(&post_order(&host, "evt-1", &order(1, 1, "1.00")));
    eventually("the target is not believed", || states(&host).contains("UnknownIssuer").then_some(()));
    assert!(outside.audit.kept().bodies.is_empty());

    // What waits goes on as soon as the environment names the authority.
    put(&workspace, "authority.pem", "authority.pem");
    let file = workspace.path().join("environments/test.toml");
    let environment = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, environment.replace("url = \"https://127.0.0.1", "ca-file = \"authority.pem\"\nurl = \"https://127.0.0.1"))
        .unwrap();
    let applied = workspace.lockgate(&["env", "apply", "--env", "test"]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    eventually("the order is kept", || (outside.audit.kept().bodies.len() == 1).then_some(()));
}

#[test]
fn an_authority_that_is_no_certificate_is_found_by_check() {
    let outside = Outside::start();
    let workspace = audit_over_tls(&outside, "ca-file = \"authority.pem\"");
    let check = |expected: &str| {
        let output = workspace.command("check").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(i32::from(!expected.is_empty())) && said.contains(expected), "{said}");
    };
    check("LG-1001");
    std::fs::copy(certificates().join("server.key"), workspace.path().join("authority.pem")).unwrap();
    check("it holds no certificate in PEM");
    std::fs::copy(Path::new(&certificates()).join("authority.pem"), workspace.path().join("authority.pem")).unwrap();
    check("");
}
