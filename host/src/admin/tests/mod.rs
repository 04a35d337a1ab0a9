//! The admin listener over real loopback sockets, on a real message store in a folder of its own. The console's tests run on it too.

mod access;
mod auditing;
mod editing;
mod environment;
mod events;
mod operating;
mod pausing;
mod reading;
mod retiring;
mod roles;
mod tokens;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Api, ApiParts, LiveEnvironment, LiveParts, ReadFacts, Sessions, Tokens};
use crate::alias::scripted::ScriptedUpstream;
use crate::alias::secret::{Secret, SecretRef};
use crate::alias::upstream::UpstreamResponse;
use crate::alias::{Alias, Aliases, Auth, Environment};
use crate::capability::queue::Channels;
use crate::clock::{Clock, ManualClock};
use crate::config::{EnvironmentFile, HostConfig};
use crate::console::Console;
use crate::ingress::tests::support::{Reply, TableSecrets, clock, environment, intake_over, integration, send, webhook};
use crate::ingress::{Intake, IntakeLimits, ServeLimits, serve};
use crate::message_store::sqlite::{Options, SqliteStore};
use crate::problem::{Code, Problem};
use crate::random::SeededRandom;
use crate::releases::live::{self, LiveReleases};
use crate::releases::ready::Loader;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

pub const TOKEN: &str = "a token of the admin";
const PASSWORD: &str = "canary-secret";

/// An admin listener with everything behind it.
pub struct Host {
    pub address: SocketAddr,
    pub intake: Arc<Intake>,
    pub store: SqliteStore,
    pub events: Arc<Events>,
    pub console: Arc<Console>,
    pub sessions: Arc<Sessions>,
    pub clock: Arc<ManualClock>,
    api: Arc<Api>,
    folder: TempDir,
}

/// Releases that nothing runs: as at a start that is not through.
fn releases(store: &SqliteStore, (intake, aliases): (&Arc<Intake>, &Arc<Aliases>), data: &std::path::Path) -> Arc<LiveReleases> {
    let config = HostConfig { data: data.to_owned(), ..HostConfig::default() };
    Arc::new(LiveReleases::new(live::Parts {
        store: store.clone(),
        loader: Loader::new(&config, Arc::new(crate::plugin::tests::empty())),
        config,
        secrets: Arc::new(TableSecrets(BTreeMap::new())),
        catalog: Arc::default(),
        channels: Channels::default(),
        intake: intake.clone(),
        retirements: Arc::default(),
        take_over: Arc::default(),
        clock: clock(),
        events: Events::new(clock()),
        aliases: aliases.clone(),
        host_key: Secret::new(vec![0; 32]),
        environment: "test".to_owned(),
    }))
}

impl Host {
    /// The data folder.
    pub fn data(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// One integration `orders` at `/in`, with key `json:/id` and tracked value `order`; one alias `crm`.
    pub async fn start() -> Self {
        // Sessions age when a test says so.
        Self::start_at(clock(), Arc::new(ManualClock::at(clock().now()))).await
    }

    /// The same, whose tokens age when a test says so, too.
    pub async fn start_by_hand() -> Self {
        let hands = Arc::new(ManualClock::at(clock().now()));
        Self::start_at(hands.clone(), hands).await
    }

    async fn start_at(now: Arc<dyn Clock>, hands: Arc<ManualClock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Options::new(clock())).unwrap();
        let (metrics, events) = (Arc::new(Metrics::new()), Events::new(clock()));
        let environment = with_crm();
        let mut source = webhook("/in", None);
        source.key = Some("json:/id".parse().unwrap());
        source.track = BTreeMap::from([("order".to_owned(), "json:/name".parse().unwrap())]);
        let orders = integration("orders", source);
        let intake =
            intake_over(Arc::new(store.clone()), (metrics.clone(), events.clone()), vec![orders], &environment, IntakeLimits::default());
        let secrets = Arc::new(TableSecrets(BTreeMap::from([("CRM".to_owned(), PASSWORD.as_bytes().to_vec())])));
        let upstream = Arc::new(ScriptedUpstream::new(|_| Ok(UpstreamResponse::new(StatusCode::OK, "fine"))));
        let aliases = Arc::new(Aliases::in_memory(&environment, secrets.clone(), upstream, clock(), Arc::new(SeededRandom::new(1))));
        let sessions = Arc::new(Sessions::new(hands.clone(), Arc::new(SeededRandom::new(2))));
        let (kept, told) = (sessions.clone(), events.clone());
        let vault = crate::alias::vault::tests::vault();
        let text = "[alias.crm]\nurl = \"http://crm.example/base\"\nauth = { basic = { username = \"lockgate\", password = { env = \"CRM\" } } }\n";
        let running = EnvironmentFile::parse("test", "environments/test.toml", text).unwrap();
        let facts = ReadFacts::new(|plugin| Err(Problem::new(Code::NotFound, format!("{} is nowhere", plugin.name))), |_, _| Ok(()));
        let live = LiveParts {
            aliases: aliases.clone(),
            intake: intake.clone(),
            catalog: Arc::default(),
            facts,
            vault,
            secrets,
            events: events.clone(),
            clock: clock(),
            audit: store.audit(),
        };
        let environment = LiveEnvironment::new(running, "environments/test.toml".into(), live);
        let releases = releases(&store, (&intake, &aliases), folder.path());
        let parts = ApiParts {
            releases,
            intake: intake.clone(),
            store: store.clone(),
            aliases,
            pauses: Arc::default(),
            retirements: Arc::default(),
            metrics,
            events: told,
            clock: now,
            sessions: kept,
            tokens: Arc::new(Tokens::new(Vec::new(), Arc::new(SeededRandom::new(3)))),
            environment,
            data: folder.path().to_owned(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new(parts, address, Secret::new(TOKEN));
        let console = Console::new(api.clone(), address);
        tokio::spawn(serve(listener, api.handler(console.router()), ServeLimits::default(), clock(), CancellationToken::new()));
        Self { address, intake, store, events, console, sessions, clock: hands, api, folder }
    }

    /// What a host does now and then: ends what has drained.
    pub async fn finish_retiring(&self) {
        super::finish_retiring(&self.api).await;
    }

    /// A new token of this role.
    pub async fn token(&self, name: &str, role: &str) -> String {
        let body = serde_json::json!({ "name": name, "role": role }).to_string();
        let reply = self.post("/api/v1/tokens", "content-type: application/json\r\n", &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    /// The audit trail, newest first.
    pub async fn audit(&self) -> Vec<Value> {
        self.json("/api/v1/audit?limit=1000").await["entries"].as_array().unwrap().clone()
    }

    /// A request as it is.
    pub async fn send(&self, request: String) -> Reply {
        send(self.address, request).await
    }

    /// GET with the token.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\r\n")).await
    }

    /// POST with the token; `headers` lines end with CRLF.
    pub async fn post(&self, path: &str, headers: &str, body: &str) -> Reply {
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n{headers}");
        self.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
    }

    /// What is answered to a request with `token` and an empty body: the status, and no more is read.
    pub async fn status(&self, method: &str, path: &str, token: &str) -> u16 {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut tokio::io::BufReader::new(stream), &mut line).await.unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Puts a message into `orders` and gives its id.
    pub async fn put(&self, body: &str) -> String {
        let reply = self.post("/api/v1/messages?integration=orders", "content-type: application/json\r\n", body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// Puts a message without a key, which becomes a dead letter at once.
    pub async fn put_dead(&self, name: &str) -> String {
        self.put(&format!("{{\"name\":\"{name}\"}}")).await
    }

    pub async fn json(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
}

fn with_crm() -> Environment {
    let mut environment = environment(Vec::new());
    let crm = Alias {
        name: "crm".into(),
        owner: None,
        url: Some("http://crm.example/base".parse().unwrap()),
        auth: Auth::Basic { username: "lockgate".into(), password: SecretRef::env("crm.password", "CRM") },
        expired_when: None,
        stale_if_error: None,
        rate: Vec::new(),
        network: Vec::new(),
        ca_file: None,
        authorities: None,
        proxy: None,
        verify: None,
    };
    environment.aliases.insert("crm".into(), crm);
    environment
}
