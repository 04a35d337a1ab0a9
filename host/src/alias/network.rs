//! The network behind [`Upstream`]: HTTP/1.1 over TCP or TLS, connections kept per alias, everything bounded.
//!
//! Redirects are not followed and proxies from the environment are not used. Depends on `clock` and `upstream`.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;

pub use super::network_connect::{CONNECT_TIMEOUT, Dial, Resolve, SystemNetwork};
use super::network_connect::{CheckedDialer, Connect, ConnectError};
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
    tls: Arc<rustls::ClientConfig>,
    /// One per alias, because the addresses that may be dialled are the alias's own; another one when these are others.
    clients: Mutex<HashMap<Arc<str>, Own>>,
}

/// The client of an alias, and the networks it may dial.
type Own = (Arc<[IpNet]>, HttpClient);

impl NetworkUpstream {
    /// With the system's resolver, sockets and trusted roots.
    pub fn system(clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        let network = Arc::new(SystemNetwork::default());
        Self::new(clock, Arc::clone(&network) as _, network)
    }

    /// With a resolver and sockets of one's own.
    pub fn new(clock: Arc<dyn Clock>, resolve: Arc<dyn Resolve>, dial: Arc<dyn Dial>) -> Result<Self, Problem> {
        let tls = tls().map_err(|error| Problem::new(Code::Internal, format!("TLS cannot be set up: {error}")))?;
        Ok(Self { clock, resolve, dial, tls: Arc::new(tls), clients: Mutex::default() })
    }

    fn client(&self, request: &UpstreamRequest) -> HttpClient {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        // An alias whose networks are others now gets another client: neither rules nor connections outlive the change.
        if let Some((network, client)) = clients.get(&request.alias)
            && *network == request.network
        {
            return client.clone();
        }
        let client = self.build_client(request);
        clients.insert(Arc::clone(&request.alias), (Arc::clone(&request.network), client.clone()));
        client
    }

    fn build_client(&self, request: &UpstreamRequest) -> HttpClient {
        let dialer = CheckedDialer {
            network: Arc::clone(&request.network),
            resolve: Arc::clone(&self.resolve),
            dial: Arc::clone(&self.dial),
            clock: Arc::clone(&self.clock),
        };
        let connect = Connect { https: (dialer, Arc::clone(&self.tls)).into(), clock: Arc::clone(&self.clock) };
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_headers(RESPONSE_HEADERS_MAX)
            .http1_max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .build(connect)
    }
}

/// TLS 1.2 and 1.3 with the system's trusted roots. A machine without any can still reach `http` aliases; for `https` ones the
/// handshake says that the issuer is unknown.
fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    use hyper_rustls::ConfigBuilderExt as _;
    // The provider is named because the process-wide default depends on what other crates switch on.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    match builder.clone().with_native_roots() {
        Ok(config) => Ok(config.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(%error, "this machine has no trusted certificates (Debian package ca-certificates): no https alias can be reached");
            Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
        }
    }
}

#[async_trait]
impl Upstream for NetworkUpstream {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let client = self.client(&request);
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
    let body = match Limited::new(body, body_bytes_max).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(UpstreamError::TooLarge),
        Err(error) => return Err(UpstreamError::Unreachable(format!("the connection broke: {}", chain(&*error)))),
    };
    Ok(UpstreamResponse { status: head.status, headers: head.headers, body })
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
