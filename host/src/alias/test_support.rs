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
use super::{Alias, Aliases, Auth, EgressRequest, Environment, RateLimit, Sender};
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
        Self::build(base, auth, Vec::new(), network)
    }

    /// `crm` at `server` under `/base`, which takes no more requests than `rate`.
    pub fn limited(server: &Server, auth: Auth, rate: Vec<RateLimit>) -> Self {
        let base = format!("http://{}/base", server.address);
        Self::build(&base, auth, rate, FakeNetwork::new(&[], Some(server.address)))
    }

    fn build(base: &str, auth: Auth, rate: Vec<RateLimit>, network: Arc<FakeNetwork>) -> Self {
        let secrets = Arc::new(TableSecrets::default());
        secrets.set("file secrets/crm", SECRET);
        let clock = Arc::new(ManualClock::at(START));
        let (resolve, dial) = (Arc::clone(&network), Arc::clone(&network));
        let upstream = Arc::new(NetworkUpstream::new(Arc::clone(&clock) as Arc<dyn Clock>, resolve, dial).unwrap());
        let aliases = limited_aliases_at(base, auth, rate, Arc::clone(&secrets) as _, upstream, Arc::clone(&clock) as _);
        Self { aliases, clock, secrets, network }
    }

    /// `crm` at `server` under `/base`.
    pub fn at(server: &Server, auth: Auth) -> Self {
        let base = format!("http://{}/base", server.address);
        Self::new(&base, auth, FakeNetwork::new(&[], Some(server.address)))
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
    limited_aliases_at(base, auth, Vec::new(), secrets, upstream, clock)
}

fn limited_aliases_at(
    base: &str,
    auth: Auth,
    rate: Vec<RateLimit>,
    secrets: Arc<dyn SecretSource>,
    upstream: Arc<dyn super::upstream::Upstream>,
    clock: Arc<dyn Clock>,
) -> Arc<Aliases> {
    let alias = Alias {
        name: "crm".to_owned(),
        owner: Some(Owner { team: None, contact: "crm-team@acme.example".to_owned() }),
        url: Some(base.parse().unwrap()),
        auth,
        rate,
        network: vec!["127.0.0.0/8".parse().unwrap()],
        verify: None,
    };
    let aliases = BTreeMap::from([("crm".to_owned(), alias)]);
    let environment = Environment { name: "dev".to_owned(), values: BTreeMap::new(), aliases };
    Arc::new(Aliases::new(&environment, secrets, upstream, clock, Arc::new(SeededRandom::new(1))))
}

pub fn secret() -> SecretRef {
    SecretRef::File("secrets/crm".into())
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
