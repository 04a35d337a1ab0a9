//! The accept loop of both listeners: bounded connections, handshakes under a deadline, bounded headers, time-outs, an orderly end.
//!
//! Knows HTTP and nothing of what is served.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tls::Tls;
use super::write_stall::Stalling;
use crate::clock::{self, Clock};

/// What answers requests.
pub type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// After a failed accept (no file descriptors left, most often) the loop waits this long.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);
/// How long, and how many bytes, a connection that ends is still read, so that a sender in the middle of a body that
/// was refused gets to see the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What a sender gets whose headers do not arrive in time. hyper only closes the connection.
const HEADERS_TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What a listener puts up with.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a request's head may take, and before the first one the TLS handshake. A connection that waits for its next request is
    /// closed after as long.
    pub head_within: Duration,
    /// Headers of a request; more get 431.
    pub headers: usize,
    /// Bytes of a request's head; more get 431.
    pub head_bytes: usize,
    /// How long an answer may wait for the other side to read.
    pub write_within: Duration,
    /// Bytes buffered for a connection.
    pub buffer_bytes: usize,
    /// How long requests under way may take once the listener is told to stop.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head_within: Duration::from_secs(10),
            headers: 100,
            head_bytes: 32 * 1024,
            write_within: Duration::from_secs(30),
            buffer_bytes: 64 * 1024,
            drain: Duration::from_secs(20),
        }
    }
}

/// Where connections come in: as they are, or over TLS.
#[derive(Debug)]
pub struct Door {
    pub listener: TcpListener,
    pub tls: Option<Arc<Tls>>,
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// Serves `handler` at `door` until `stop` is cancelled: then nothing new is accepted, requests under way are
/// answered, and this returns when they are, or after `limits.drain`.
pub async fn serve(door: impl Into<Door>, handler: Handler, limits: ServeLimits, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let Door { listener, tls } = door.into();
    let http = protocol(&limits);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some((stream, slot)) = next_connection(&listener, &slots, clock.as_ref(), &stop).await {
        let (http, handler, clock, stop) = (http.clone(), handler.clone(), clock.clone(), stop.clone());
        let talk = Talk { http, handler, clock, stop, limits };
        let (cut, tls) = (cut.clone(), tls.clone());
        connections.spawn(async move {
            let _slot = slot;
            // A connection that is cut is dropped where it stands: its request gets no answer, so nothing was promised.
            let _ = cut.run_until_cancelled(talk.begin(stream, tls)).await;
        });
    }
    drop(listener);
    connections.close();
    if clock::within(clock.as_ref(), limits.drain, connections.wait()).await.is_none() {
        tracing::warn!(open = connections.len(), "connections still open after the drain time are cut");
        cut.cancel();
        connections.wait().await;
    }
}

fn protocol(limits: &ServeLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.buffer_bytes);
    http
}

/// The next connection, once there is room for one; none when it is time to stop.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    clock: &dyn Clock,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    stop.run_until_cancelled(async {
        let slot = slots.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, slot)),
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    clock.sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
                }
            }
        }
    })
    .await
    .flatten()
}

/// What one connection needs.
struct Talk {
    http: http1::Builder,
    handler: Handler,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    limits: ServeLimits,
}

impl Talk {
    async fn begin(self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "answers may be sent late");
        }
        let Some(tls) = tls else { return self.until_closed(stream).await };
        let handshake = self.stop.run_until_cancelled(tls.shake_hands(stream));
        match clock::within(self.clock.as_ref(), self.limits.head_within, handshake).await.flatten() {
            Some(Ok(stream)) => self.until_closed(stream).await,
            Some(Err((error, stream))) => {
                tracing::debug!(%error, "a TLS handshake came to nothing");
                let _ = clock::within(self.clock.as_ref(), LINGER, linger(stream, &[])).await;
            }
            None => tracing::debug!("a TLS handshake was cut off"),
        }
    }

    async fn until_closed<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let handler = self.handler;
        let service = hyper::service::service_fn(move |request| handler(request).map(Ok::<_, Infallible>));
        let mut connection =
            self.http.serve_connection(TokioIo::new(Stalling::new(stream, self.limits.write_within, self.clock.clone())), service);
        let mut stopping = false;
        let end = loop {
            tokio::select! {
                end = poll_fn(|context| connection.poll_without_shutdown(context)) => break end,
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let parts = connection.into_parts();
        let stream = parts.io.into_inner().into_inner();
        let mut last_words: &[u8] = &[];
        if let Err(error) = end {
            tracing::debug!(%error, "a connection ended early");
            if is_write_stall(&error) {
                return;
            }
            if error.is_timeout() && !parts.read_buf.is_empty() {
                last_words = HEADERS_TOO_SLOW;
            }
        }
        let _ = clock::within(self.clock.as_ref(), LINGER, linger(stream, last_words)).await;
    }
}

fn is_write_stall(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}

/// Says `last_words` and that no more will be sent, then reads what the other side still sends, so that closing does not reset the
/// connection under an answer it has not read.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, last_words: &[u8]) {
    if stream.write_all(last_words).await.is_ok() && stream.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await;
    }
}
