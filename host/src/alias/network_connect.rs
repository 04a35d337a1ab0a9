//! Connections: a name is resolved once, its addresses are checked against `address`, and only an address that passed is dialled. Where
//! an alias names a proxy, that is the proxy's name, and what is behind it is the proxy's to resolve.
//!
//! Depends on `clock` and `address`. [`Resolve`] and [`Dial`] are seams, so that tests reach no network.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower_service::Service;
use url::Url;

use super::address;
use crate::clock::{Clock, within};

/// For resolving, dialling and the TLS handshake together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one address, so that one that swallows packets leaves time for the next.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Lookups of one name at once. Each takes a thread for as long as the system's resolver does, and others need threads too.
const LOOKUPS_MAX: usize = 2;

/// Where names get their addresses from.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug + 'static {
    /// The addresses of `host`, best first.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Who opens connections.
#[async_trait]
pub trait Dial: Send + Sync + fmt::Debug + 'static {
    /// A connection to `address`, which has passed the address policy.
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The system's resolver and sockets.
#[derive(Debug, Default)]
pub struct SystemNetwork {
    /// By host: as many as aliases lead to.
    lookups: Mutex<HashMap<String, Arc<Semaphore>>>,
}

#[async_trait]
impl Resolve for SystemNetwork {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let lookups = {
            let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lookups.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(LOOKUPS_MAX))))
        };
        let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        // The permit is held by the thread: a lookup that hangs goes on after whoever asked has given up.
        let lookup = tokio::task::spawn_blocking(move || {
            let addresses = (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
            drop(permit);
            addresses
        });
        lookup.await.map_err(io::Error::other)?
    }
}

#[async_trait]
impl Dial for SystemNetwork {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    AddressRefused(String),
    #[error("{0}")]
    Failed(String),
}

/// Opens TCP connections for one alias.
#[derive(Clone, Debug)]
pub struct CheckedDialer {
    pub network: Arc<[IpNet]>,
    pub resolve: Arc<dyn Resolve>,
    pub dial: Arc<dyn Dial>,
    pub clock: Arc<dyn Clock>,
}

impl CheckedDialer {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let failed = |what: String| ConnectError::Failed(what);
        let host = uri.host().ok_or_else(|| failed("the URL has no host".to_owned()))?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut last = failed(format!("{host} has no address"));
        for address in self.addresses(host).await?.into_iter().take(ADDRESSES_MAX) {
            let address = SocketAddr::new(address, port);
            last = match within(&*self.clock, DIAL_TIMEOUT, self.dial.dial(address)).await {
                Some(Ok(stream)) => return Ok(TokioIo::new(stream)),
                Some(Err(error)) => failed(format!("{host} ({address}): {error}")),
                None => failed(format!("{host} ({address}): no connection within {DIAL_TIMEOUT:?}")),
            };
        }
        Err(last)
    }

    /// The addresses of `host` that may be dialled; an error if it has addresses and none may.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        let found = match literal(host) {
            Some(address) => vec![address],
            None => {
                self.resolve.resolve(host).await.map_err(|error| ConnectError::Failed(format!("{host} cannot be resolved: {error}")))?
            }
        };
        let mut refused = None;
        let mut open = Vec::with_capacity(found.len());
        for address in found {
            match address::check(address, &self.network) {
                Ok(()) => open.push(address),
                Err(forbidden) => refused = Some(forbidden),
            }
        }
        match refused {
            Some(forbidden) if open.is_empty() => Err(ConnectError::AddressRefused(format!("{host}: {forbidden}"))),
            _ => Ok(open),
        }
    }
}

/// The address that a host is written as, if it is one.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

type Connecting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for CheckedDialer {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// The way to a target.
#[derive(Clone, Debug)]
pub enum Way {
    Direct(CheckedDialer),
    /// A proxy is dialled, and asked for a tunnel to the target (RFC 9110 section 9.3.6).
    Through(Tunnel<CheckedDialer>, Arc<[IpNet]>),
}

impl Way {
    /// Through `proxy`, if there is one.
    pub fn new(dialer: CheckedDialer, proxy: Option<&Url>) -> Result<Self, http::uri::InvalidUri> {
        let Some(proxy) = proxy else { return Ok(Self::Direct(dialer)) };
        let network = Arc::clone(&dialer.network);
        Ok(Self::Through(Tunnel::new(proxy.as_str().parse()?, dialer), network))
    }
}

impl Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Self::Direct(dialer) => {
                let dialing = dialer.call(uri);
                Box::pin(async move { Ok(dialing.await?) })
            }
            Self::Through(tunnel, network) => {
                // Names are the proxy's to resolve; an address is what it is.
                let checked = uri.host().and_then(literal).map_or(Ok(()), |address| address::check(address, network));
                let digging = tunnel.call(uri);
                Box::pin(async move {
                    checked.map_err(|forbidden| ConnectError::AddressRefused(forbidden.to_string()))?;
                    Ok(digging.await?)
                })
            }
        }
    }
}

/// A [`Way`] with TLS on top where the URL says `https`, all of it under [`CONNECT_TIMEOUT`].
#[derive(Clone, Debug)]
pub struct Connect {
    pub https: HttpsConnector<Way>,
    pub clock: Arc<dyn Clock>,
}

impl Service<Uri> for Connect {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let clock = Arc::clone(&self.clock);
        let connecting = self.https.call(uri);
        Box::pin(async move {
            within(&*clock, CONNECT_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|| Err(ConnectError::Failed(format!("no connection within {CONNECT_TIMEOUT:?}")).into()))
        })
    }
}
