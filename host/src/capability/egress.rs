//! [`Egress`]: the way a plugin's requests leave the host, as the `http` capability needs it.
//!
//! The aliases of a running host are one implementation; tests script another.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::integration::Allow;

/// Sends requests through aliases.
#[async_trait]
pub trait Egress: Send + Sync + std::fmt::Debug + 'static {
    /// Sends one request through `alias`, if `allow` (empty: everything) and the egress rules let it.
    async fn send(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError>;
}

/// A request under an alias's base URL.
#[derive(Clone, Debug)]
pub struct EgressRequest {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub idempotency_key: String,
    /// For the whole request.
    pub timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct EgressResponse {
    pub status: u16,
    /// Names in lower case, credentials blanked.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// From `Retry-After`.
    pub retry_after: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressError {
    /// Against a rule; the text says which.
    Denied(String),
    TimedOut,
    Unreachable(String),
    TooLarge,
    /// The alias sends nothing until then.
    Held {
        kind: Held,
        until: Option<Timestamp>,
    },
    CredentialRefused(String),
}

/// Why an alias sends nothing for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    BreakerOpen,
    RateLimited,
}
