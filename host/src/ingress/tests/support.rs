//! A scripted message store, and HTTP/1.1 spoken by hand over a loopback socket: what is sent is what the test says, byte for byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::alias::secret::{Secret, SecretPlace, SecretRef, SecretSource};
use crate::alias::{Alias, Auth, Environment, Verify};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::ingress::{Handler, Intake, IntakeLimits, IntakeParts, Routes, ServeLimits, serve};
use crate::integration::{DeliveryPolicy, Entry, Integration, Owner, SaidLimits, Sink, Source};
use crate::message_store::{
    Accept, Accepted, Advance, Advanced, DeliveryId, Discard, Lease, Leased, MessageStore, Replay, Replayed, Settle, SourceState,
    StoreError,
};
use crate::problem::{Code, Problem};
use crate::random::SeededRandom;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// A store that remembers what it accepted and fails when told to. It waits for a permit of `gate` before it answers.
#[derive(Debug)]
pub struct ScriptedStore {
    pub accepted: Mutex<Vec<Accept>>,
    pub refuse: Mutex<Option<Result<Accepted, StoreError>>>,
    pub gate: Semaphore,
    pub entered: Semaphore,
}

impl ScriptedStore {
    pub fn new() -> Arc<Self> {
        let (accepted, refuse) = (Mutex::default(), Mutex::default());
        Arc::new(Self { accepted, refuse, gate: Semaphore::new(Semaphore::MAX_PERMITS), entered: Semaphore::new(0) })
    }

    /// What was accepted so far.
    pub fn taken(&self) -> Vec<Accept> {
        self.accepted.lock().unwrap().clone()
    }
}

#[async_trait]
impl MessageStore for ScriptedStore {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        self.entered.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        if let Some(answer) = self.refuse.lock().unwrap().clone() {
            return answer;
        }
        let mut accepted = self.accepted.lock().unwrap();
        let same = |other: &&Accept| accept.dedup.is_some() && same_token(&other.dedup, &accept.dedup);
        if let Some(first) = accepted.iter().find(same) {
            return Ok(Accepted::Duplicate(first.message.id));
        }
        accepted.push(accept);
        Ok(Accepted::New)
    }

    async fn lease(&self, _: Lease) -> Result<Vec<Leased>, StoreError> {
        Ok(Vec::new())
    }

    async fn release(&self, _: DeliveryId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn settle(&self, _: Arc<Settle>) -> Result<(), StoreError> {
        Err(StoreError::NotLeased)
    }

    async fn source(&self, _: &str, _: &str) -> Result<Option<SourceState>, StoreError> {
        Ok(None)
    }

    async fn advance(&self, _: Arc<Advance>) -> Result<Advanced, StoreError> {
        Ok(Advanced::Moved)
    }

    async fn next_due(&self, _: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn waiting(&self, _: &str) -> u64 {
        0
    }

    fn waiting_in_all(&self) -> u64 {
        0
    }

    async fn replay(&self, _: Replay) -> Result<Replayed, StoreError> {
        Err(StoreError::NoSuchDeadLetter)
    }

    async fn discard(&self, _: Discard) -> Result<(), StoreError> {
        Err(StoreError::NoSuchDeadLetter)
    }
}

fn same_token(one: &Option<crate::message_store::Dedup>, other: &Option<crate::message_store::Dedup>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.scope == other.scope && one.token == other.token)
}

/// The secret `STANDARD`.
pub const STANDARD_KEY: &str = "bG9ja2dhdGUgdGVzdCBrZXk=";

/// Secrets from a table.
#[derive(Debug)]
pub struct TableSecrets(pub BTreeMap<String, Vec<u8>>);

impl SecretSource for TableSecrets {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        let found = match &reference.place {
            SecretPlace::Env(name) => self.0.get(name),
            SecretPlace::File(_) | SecretPlace::Store => None,
        };
        found.map(|bytes| Secret::new(bytes.clone())).ok_or_else(|| Problem::new(Code::MissingSecret, "none"))
    }
}

/// An integration with one webhook.
pub fn integration(name: &str, source: Source) -> Integration {
    Integration {
        name: name.into(),
        description: String::new(),
        owner: Owner { team: None, contact: "ops@acme.example".into() },
        sources: vec![source],
        steps: Vec::new(),
        sink: Sink::Channel("out".into()),
        delivery: DeliveryPolicy::default(),
        limits: SaidLimits::default(),
        ordering: 0,
    }
}

/// A source at `path`; `verify` names an alias.
pub fn webhook(path: &str, verify: Option<&str>) -> Source {
    let entry = Entry::Webhook { path: path.into(), verify: verify.map(str::to_owned), when: BTreeMap::new() };
    Source { entry, id: Vec::new(), key: None, track: BTreeMap::new() }
}

/// An environment whose aliases verify.
pub fn environment(aliases: Vec<(&str, Verify)>) -> Environment {
    let alias = |(name, verify): (&str, Verify)| {
        let alias = Alias {
            name: name.into(),
            owner: None,
            url: None,
            auth: Auth::None,
            rate: Vec::new(),
            expired_when: None,
            stale_if_error: None,
            network: Vec::new(),
            ca_file: None,
            authorities: None,
            proxy: None,
            verify: Some(verify),
        };
        (name.to_owned(), alias)
    };
    Environment { name: "test".into(), values: BTreeMap::new(), aliases: aliases.into_iter().map(alias).collect() }
}

/// An intake over a scripted store, served on a loopback port.
#[derive(Debug)]
pub struct Host {
    pub address: SocketAddr,
    pub store: Arc<ScriptedStore>,
    pub intake: Arc<Intake>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
    pub stop: CancellationToken,
    pub served: JoinHandle<()>,
}

impl Host {
    pub async fn start(integrations: Vec<Integration>, environment: Environment) -> Self {
        Self::with(integrations, environment, IntakeLimits::default(), ServeLimits::default()).await
    }

    pub async fn with(integrations: Vec<Integration>, environment: Environment, intake: IntakeLimits, limits: ServeLimits) -> Self {
        Self::at(clock(), integrations, environment, (intake, limits)).await
    }

    /// With a clock of the test's own.
    pub async fn at(
        clock: Arc<dyn Clock>,
        integrations: Vec<Integration>,
        environment: Environment,
        (intake, limits): (IntakeLimits, ServeLimits),
    ) -> Self {
        let store = ScriptedStore::new();
        let (metrics, events) = (Arc::new(Metrics::new()), Events::new(clock.clone()));
        let told = (metrics.clone(), events.clone());
        let intake = intake_at(clock, store.clone(), told, integrations, &environment, intake);
        let stop = CancellationToken::new();
        let (address, served) = serve_on_loopback(intake.handler(), limits, stop.clone()).await;
        Self { address, store, intake, metrics, events, stop, served }
    }

    /// Sends `request` on a connection of its own and reads the answer to the end.
    pub async fn send(&self, request: impl AsRef<[u8]>) -> Reply {
        send(self.address, request).await
    }

    /// Posts `body` with `headers` (each line ended by CRLF).
    pub async fn post(&self, path: &str, headers: &str, body: &str) -> Reply {
        self.send(post(path, headers, body)).await
    }
}

pub fn intake_over(
    store: Arc<dyn MessageStore>,
    (metrics, events): (Arc<Metrics>, Arc<Events>),
    integrations: Vec<Integration>,
    environment: &Environment,
    limits: IntakeLimits,
) -> Arc<Intake> {
    intake_at(clock(), store, (metrics, events), integrations, environment, limits)
}

fn intake_at(
    clock: Arc<dyn Clock>,
    store: Arc<dyn MessageStore>,
    (metrics, events): (Arc<Metrics>, Arc<Events>),
    integrations: Vec<Integration>,
    environment: &Environment,
    limits: IntakeLimits,
) -> Arc<Intake> {
    let integrations: Vec<_> = integrations.into_iter().map(Arc::new).collect();
    let routes = Routes::build(&integrations, environment).unwrap();
    let table = [("SECRET", "a secret"), ("STANDARD", STANDARD_KEY)];
    let table = table.map(|(name, secret)| (name.to_owned(), secret.as_bytes().to_vec()));
    let secrets = Arc::new(TableSecrets(BTreeMap::from(table)));
    let parts = IntakeParts { store, secrets, clock, random: Arc::new(SeededRandom::new(1)), metrics, events };
    Intake::new(parts, limits, routes)
}

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

pub async fn serve_on_loopback(handler: Handler, limits: ServeLimits, stop: CancellationToken) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, handler, limits, clock(), stop)))
}

/// A POST request that asks for the connection to be closed.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Checks that it is problem details (RFC 9457) with this status and code.
    pub fn assert_problem(&self, status: u16, code: Code) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["code"], code.as_str());
        assert_eq!(body["type"], format!("urn:lockgate:error:{code}"));
        assert_eq!(body["title"], code.title());
        assert_eq!(body["status"], status);
        assert!(body["detail"].is_string());
    }
}

pub async fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    answer(&mut stream).await
}

/// Reads until the other side closes.
pub async fn answer(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_lowercase(), body: body.to_owned() }
}
