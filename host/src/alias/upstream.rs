//! The seam between an alias and the network: [`Upstream`] takes one request to one URL and gives the answer or why there is none.
//!
//! Implemented by `network` for a running host and by `scripted` for tests. Knows nothing of credentials or states.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::{Position, Url};

use super::Route;

/// Who sends requests: the network, or a script.
#[async_trait]
pub trait Upstream: Send + Sync + fmt::Debug + 'static {
    /// Sends `request` once and reads the whole answer. Redirects are answers. Never retries what may have been sent.
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError>;
}

/// One request with everything decided: the credential is in it. Printing one shows no header value and no query.
#[derive(Clone)]
pub struct UpstreamRequest {
    /// Whose connections are used; they are not shared between aliases.
    pub alias: Arc<str>,
    /// How they are made.
    pub route: Arc<Route>,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// For connecting, sending and reading the whole answer.
    pub timeout: Duration,
    /// An answer with a longer body is [`UpstreamError::TooLarge`].
    pub body_bytes_max: usize,
}

impl fmt::Debug for UpstreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (alias {}, {} bytes)", self.method, &self.url[..Position::AfterPath], self.alias, self.body.len())
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct UpstreamResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Every address of the host is one the alias may not dial. Nothing was sent.
    #[error("{0}")]
    AddressRefused(String),
    /// No connection, or it broke before the answer was complete.
    #[error("{0}")]
    Unreachable(String),
    /// Connected, but no complete answer in time. The request may have been carried out.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// More body, more headers, or a body in more pieces than allowed.
    #[error("the answer is larger than allowed")]
    TooLarge,
}
