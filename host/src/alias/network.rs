//! The network behind [`Upstream`]: HTTP/1.1 over TCP or TLS, connections kept per alias, everything bounded.
//!
//! Redirects are not followed, and of proxies only the one that an alias names is used. Depends on `clock` and `upstream`.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::Route;
pub use super::network_connect::{CONNECT_TIMEOUT, Dial, Resolve, SystemNetwork};
use super::network_connect::{CheckedDialer, Connect, ConnectError, Way};
use super::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};
use crate::clock::{Clock, within};
use crate::crash_point::{CrashPoint, reached};
use crate::problem::{Code, Problem};

/// From the request to the first byte of the answer.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers of one answer.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// Bytes of head that are buffered for one answer.
const RESPONSE_HEAD_BYTES_MAX: usize = 128 * 1024;
/// Pieces in which the body of one answer may come: 10 MiB in chunks of a hundred bytes.
const RESPONSE_PIECES_MAX: usize = 100_000;
/// Connections an alias keeps open per host while it does not use them: fewer than are used at once would be opened and closed
/// all the time.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long an unused connection is kept: below the 60 s at which many load balancers cut one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

type HttpClient = Client<Connect, Full<Bytes>>;

/// Sends requests over the network, for the aliases of one environment.
#[derive(Debug)]
pub struct NetworkUpstream {
    clock: Arc<dyn Clock>,
    resolve: Arc<dyn Resolve>,
    dial: Arc<dyn Dial>,
    /// Whom the machine trusts.
    roots: RootCertStore,
    /// For aliases that trust nobody beside.
    tls: Arc<ClientConfig>,
    /// One per alias, because how connections are made is the alias's own; another one when that is another.
    clients: Mutex<HashMap<Arc<str>, Own>>,
}

/// The client of an alias, and how its connections are made.
type Own = (Arc<Route>, HttpClient);

impl NetworkUpstream {
    /// With the system's resolver, sockets and trusted roots.
    pub fn system(clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        let network = Arc::new(SystemNetwork::default());
        Self::new(clock, Arc::clone(&network) as _, network)
    }

    /// With a resolver and sockets of one's own.
    pub fn new(clock: Arc<dyn Clock>, resolve: Arc<dyn Resolve>, dial: Arc<dyn Dial>) -> Result<Self, Problem> {
        let roots = system_roots();
        let tls = tls(roots.clone()).map_err(|error| Problem::new(Code::Internal, format!("TLS cannot be set up: {error}")))?;
        Ok(Self { clock, resolve, dial, roots, tls: Arc::new(tls), clients: Mutex::default() })
    }

    fn client(&self, request: &UpstreamRequest) -> Result<HttpClient, UpstreamError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        // An alias whose route is another now gets another client: neither rules nor connections outlive the change.
        if let Some((route, client)) = clients.get(&request.alias)
            && *route == request.route
        {
            return Ok(client.clone());
        }
        let client = self.build_client(&request.route)?;
        clients.insert(Arc::clone(&request.alias), (Arc::clone(&request.route), client.clone()));
        Ok(client)
    }

    fn build_client(&self, route: &Route) -> Result<HttpClient, UpstreamError> {
        let dialer = CheckedDialer {
            network: Arc::clone(&route.network),
            resolve: Arc::clone(&self.resolve),
            dial: Arc::clone(&self.dial),
            clock: Arc::clone(&self.clock),
        };
        let failed =
            |error: &dyn std::fmt::Display| UpstreamError::Unreachable(format!("the alias's connections cannot be set up: {error}"));
        let way = Way::new(dialer, route.proxy.as_ref()).map_err(|error| failed(&error))?;
        let tls = self.tls_for(route).map_err(|error| failed(&error))?;
        let connect = Connect { https: (way, tls).into(), clock: Arc::clone(&self.clock) };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_headers(RESPONSE_HEADERS_MAX)
            .http1_max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .build(connect);
        Ok(client)
    }

    fn tls_for(&self, route: &Route) -> Result<Arc<ClientConfig>, rustls::Error> {
        let Some(authorities) = &route.authorities else { return Ok(Arc::clone(&self.tls)) };
        let mut roots = self.roots.clone();
        authorities.add_to(&mut roots)?;
        tls(roots).map(Arc::new)
    }
}

/// Whom the machine trusts. One without anybody can still reach `http` aliases, and those with a `ca-file`; for other `https` ones the
/// handshake says that the issuer is unknown.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let errors = errors.join(", ");
        tracing::warn!(
            errors,
            "this machine has no trusted certificates (Debian package ca-certificates): no https alias without a ca-file can be reached"
        );
    }
    roots
}

/// TLS 1.2 and 1.3.
fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    // The provider is named because the process-wide default depends on what other crates switch on.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[async_trait]
impl Upstream for NetworkUpstream {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let client = self.client(&request)?;
        let (timeout, body_bytes_max) = (request.timeout, request.body_bytes_max);
        let mut request = to_hyper(request)?;
        let connection = capture_connection(&mut request);
        let exchange = async {
            let head = within(&*self.clock, FIRST_BYTE_TIMEOUT.min(timeout), client.request(request)).await;
            let answer = head.ok_or(UpstreamError::TimedOut(FIRST_BYTE_TIMEOUT))?.map_err(|error| classify(&error))?;
            reached(CrashPoint::RequestSent);
            read(answer, body_bytes_max).await
        };
        let done = within(&*self.clock, timeout, exchange).await.unwrap_or(Err(UpstreamError::TimedOut(timeout)));
        match done {
            // Out of time before there was a connection: nothing was sent, and the target is not there.
            Err(UpstreamError::TimedOut(limit)) if connection.connection_metadata().is_none() => {
                Err(UpstreamError::Unreachable(format!("no connection within {:?}", limit.min(timeout))))
            }
            done => done,
        }
    }
}

fn to_hyper(request: UpstreamRequest) -> Result<Request<Full<Bytes>>, UpstreamError> {
    let uri: Uri = request.url.as_str().parse().map_err(|_| UpstreamError::Unreachable("the URL cannot be sent".to_owned()))?;
    let mut sent = Request::new(Full::new(request.body));
    *sent.method_mut() = request.method;
    *sent.uri_mut() = uri;
    *sent.headers_mut() = request.headers;
    Ok(sent)
}

/// The whole answer. The caller holds the deadline, so a body that trickles is cut off by it.
async fn read(answer: http::Response<hyper::body::Incoming>, body_bytes_max: usize) -> Result<UpstreamResponse, UpstreamError> {
    let (head, body) = answer.into_parts();
    // A length that is said to be too long need not be read; a HEAD answer may say any, and sends none.
    if hyper::body::Body::size_hint(&body).lower() > body_bytes_max as u64 {
        return Err(UpstreamError::TooLarge);
    }
    let body = collect(body, body_bytes_max).await?;
    Ok(UpstreamResponse { status: head.status, headers: head.headers, body })
}

/// Each piece takes time of the call that waits for it, however small it is: so there is an end to them, too.
async fn collect(mut body: hyper::body::Incoming, body_bytes_max: usize) -> Result<Bytes, UpstreamError> {
    let (mut bytes, mut pieces) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| UpstreamError::Unreachable(format!("the connection broke: {}", chain(&error))))?;
        // Trailers are not kept.
        let Ok(piece) = frame.into_data() else { continue };
        pieces += 1;
        if bytes.len() + piece.len() > body_bytes_max || pieces > RESPONSE_PIECES_MAX {
            return Err(UpstreamError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn classify(error: &hyper_util::client::legacy::Error) -> UpstreamError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(ConnectError::AddressRefused(what)) = cause.downcast_ref() {
            return UpstreamError::AddressRefused(what.clone());
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            return UpstreamError::TooLarge;
        }
        source = cause.source();
    }
    // The outermost error only says `client error (Connect)`; its causes say what was met.
    UpstreamError::Unreachable(chain(error.source().unwrap_or(error)))
}

/// An error with its causes, without the repetition that comes of wrapping.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
