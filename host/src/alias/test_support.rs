//! What the tests of this room share: a real HTTP server on loopback, a table of secrets, a network that dials loopback only.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use tokio::net::{TcpListener, TcpStream};

use super::network::{Dial, NetworkUpstream, Resolve};
use super::secret::{Secret, SecretRef, SecretSource};
use super::vault::tests::{MemoryRows, vault_over};
use super::{Alias, Aliases, AliasesParts, Auth, EgressRequest, Environment, ExpiredWhen, RateLimit, Sender};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::integration::Owner;
use crate::problem::{Code, Problem};
use crate::random::SeededRandom;

/// 2026-01-02T03:04:05Z
pub const START: Timestamp = Timestamp(1_767_323_045_000);

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A server on loopback that remembers what it was asked.
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers each request with what `answer` makes of it.
    pub async fn start<F>(answer: impl Fn(Seen) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let handler = move |request: Request| {
            let (answer, log) = (answer.clone(), Arc::clone(&log));
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let path = head.uri.path_and_query().unwrap().to_string();
                let seen = Seen { method: head.method.to_string(), path, headers: head.headers, body };
                log.lock().unwrap().push(seen.clone());
                answer(seen).await
            }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handler)).await });
        Self { address, seen }
    }

    /// What was asked of paths that start with `prefix`.
    pub fn seen(&self, prefix: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path.starts_with(prefix)).cloned().collect()
    }
}

/// An answer with headers and a body.
pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let builder = headers.iter().fold(Response::builder().status(status), |builder, (name, value)| builder.header(*name, *value));
    builder.body(body.into()).unwrap()
}

/// Secrets that a test can change while it runs.
#[derive(Default)]
pub struct TableSecrets(pub Mutex<HashMap<String, String>>);

impl std::fmt::Debug for TableSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableSecrets")
    }
}

impl TableSecrets {
    pub fn set(&self, name: &str, value: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }
}

impl SecretSource for TableSecrets {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        let value = self.0.lock().unwrap().get(&reference.to_string()).cloned();
        value.map(Secret::new).ok_or_else(|| Problem::new(Code::MissingSecret, format!("{reference} holds no secret")))
    }
}

/// Resolves from a table, notes what is dialled, and connects to nothing but one loopback address.
#[derive(Debug)]
pub struct FakeNetwork {
    pub names: HashMap<String, Vec<IpAddr>>,
    pub resolved: Mutex<Vec<String>>,
    pub dialled: Mutex<Vec<SocketAddr>>,
    /// Where every connection ends up; none: connections are refused.
    pub target: Mutex<Option<SocketAddr>>,
    /// Connections are neither taken nor refused.
    pub silent: AtomicBool,
}

impl FakeNetwork {
    pub fn new(names: &[(&str, &[&str])], target: Option<SocketAddr>) -> Arc<Self> {
        let addresses = |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        let names = names.iter().map(|(name, list)| ((*name).to_owned(), addresses(list))).collect();
        Arc::new(Self {
            names,
            resolved: Mutex::default(),
            dialled: Mutex::default(),
            target: Mutex::new(target),
            silent: AtomicBool::new(false),
        })
    }

    pub fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().iter().map(SocketAddr::to_string).collect()
    }
}

#[async_trait]
impl Resolve for FakeNetwork {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        self.names.get(host).cloned().ok_or_else(|| io::Error::other("no such name"))
    }
}

#[async_trait]
impl Dial for FakeNetwork {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.dialled.lock().unwrap().push(address);
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let target = *self.target.lock().unwrap();
        match target {
            Some(target) => TcpStream::connect(target).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// One alias, `crm`, with everything around it.
pub struct Bench {
    pub aliases: Arc<Aliases>,
    pub clock: Arc<ManualClock>,
    pub secrets: Arc<TableSecrets>,
    pub network: Arc<FakeNetwork>,
}

impl Bench {
    /// `crm` at `base`, which is reached through `network`; the secret is `s3cret/value+1`.
    pub fn new(base: &str, auth: Auth, network: Arc<FakeNetwork>) -> Self {
        Self::build(alias_at(base, auth), network, &Arc::default())
    }

    /// `crm` at `server` under `/base`, which takes no more requests than `rate`.
    pub fn limited(server: &Server, auth: Auth, rate: Vec<RateLimit>) -> Self {
        Self::build(Alias { rate, ..of_server(server, auth) }, network_of(server), &Arc::default())
    }

    /// `crm` at `server` under `/base`, whose tokens are kept in `rows`.
    pub fn kept(server: &Server, auth: Auth, rows: &Arc<MemoryRows>) -> Self {
        Self::build(of_server(server, auth), network_of(server), rows)
    }

    /// `crm` at `server` under `/base`, whose answers say in their own way that a credential has expired.
    pub fn with_rule(server: &Server, auth: Auth, rule: ExpiredWhen) -> Self {
        Self::build(Alias { expired_when: Some(rule), ..of_server(server, auth) }, network_of(server), &Arc::default())
    }

    /// `crm` at `server` under `/base`, over the machine's network.
    pub fn anywhere(server: &Server, auth: Auth) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let upstream = Arc::new(NetworkUpstream::system(Arc::clone(&clock) as Arc<dyn Clock>).unwrap());
        Self::over(of_server(server, auth), network_of(server), upstream, clock, &Arc::default())
    }

    /// `alias`, reached through `network`, with its tokens kept in `rows`.
    pub fn build(alias: Alias, network: Arc<FakeNetwork>, rows: &Arc<MemoryRows>) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let (resolve, dial) = (Arc::clone(&network), Arc::clone(&network));
        let upstream = Arc::new(NetworkUpstream::new(Arc::clone(&clock) as Arc<dyn Clock>, resolve, dial).unwrap());
        Self::over(alias, network, upstream, clock, rows)
    }

    fn over(
        alias: Alias,
        network: Arc<FakeNetwork>,
        upstream: Arc<NetworkUpstream>,
        clock: Arc<ManualClock>,
        rows: &Arc<MemoryRows>,
    ) -> Self {
        let secrets = Arc::new(TableSecrets::default());
        secrets.set("file secrets/crm", SECRET);
        let parts = AliasesParts {
            secrets: Arc::clone(&secrets) as _,
            vault: vault_over(rows),
            upstream,
            clock: Arc::clone(&clock) as _,
            random: Arc::new(SeededRandom::new(1)),
        };
        Self { aliases: Arc::new(Aliases::new(&environment_of(alias), parts)), clock, secrets, network }
    }

    /// `crm` at `server` under `/base`.
    pub fn at(server: &Server, auth: Auth) -> Self {
        Self::build(of_server(server, auth), network_of(server), &Arc::default())
    }

    /// The state `crm` is shown in.
    pub fn state(&self) -> &'static str {
        self.aliases.states()[0].state
    }
}

pub const SECRET: &str = "s3cret/value+1";

/// The aliases of an environment with `crm` only, which may dial loopback.
pub fn aliases_at(
    base: &str,
    auth: Auth,
    secrets: Arc<dyn SecretSource>,
    upstream: Arc<dyn super::upstream::Upstream>,
    clock: Arc<dyn Clock>,
) -> Arc<Aliases> {
    let environment = environment_of(alias_at(base, auth));
    Arc::new(Aliases::in_memory(&environment, secrets, upstream, clock, Arc::new(SeededRandom::new(1))))
}

fn environment_of(alias: Alias) -> Environment {
    Environment { name: "dev".to_owned(), values: BTreeMap::new(), aliases: BTreeMap::from([(alias.name.clone(), alias)]) }
}

fn of_server(server: &Server, auth: Auth) -> Alias {
    alias_at(&format!("http://{}/base", server.address), auth)
}

fn network_of(server: &Server) -> Arc<FakeNetwork> {
    FakeNetwork::new(&[], Some(server.address))
}

/// `crm`, which may dial loopback.
pub fn alias_at(base: &str, auth: Auth) -> Alias {
    Alias {
        name: "crm".to_owned(),
        owner: Some(Owner { team: None, contact: "crm-team@acme.example".to_owned() }),
        url: Some(base.parse().unwrap()),
        auth,
        expired_when: None,
        stale_if_error: None,
        rate: Vec::new(),
        network: vec!["127.0.0.0/8".parse().unwrap()],
        ca_file: None,
        authorities: None,
        proxy: None,
        verify: None,
    }
}

/// What is logged while it lives, on this thread.
pub struct Logged {
    log: Log,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    pub fn start() -> Self {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
        Self { log, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that hold `part`.
    pub fn lines(&self, part: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }
}

pub fn secret() -> SecretRef {
    SecretRef::file("crm.secret", "secrets/crm")
}

pub fn basic() -> Auth {
    Auth::Basic { username: "host".to_owned(), password: secret() }
}

pub fn oauth(server: &Server) -> Auth {
    Auth::OAuth2ClientCredentials {
        token_url: format!("http://{}/token", server.address).parse().unwrap(),
        client_id: "dev client".to_owned(),
        client_secret: secret(),
        scope: Some("api".to_owned()),
    }
}

pub fn get(path: &str) -> EgressRequest {
    EgressRequest {
        sender: Sender { integration: "orders".into(), message: 1 },
        method: "GET".to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
        idempotency_key: "key-1".to_owned(),
        timeout: Duration::from_secs(10),
    }
}

/// Waits until `condition` holds, giving way to the other tasks in between.
pub async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}
