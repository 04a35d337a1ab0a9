//! [`Egress`]: the way a plugin's requests leave the host, as the `http` capability needs it.
//!
//! The aliases of a running host are one implementation; tests script another.

use async_trait::async_trait;

pub use crate::alias::{Aliases, EgressError, EgressRequest, EgressResponse, Hold};
use crate::integration::Allow;

/// Sends requests through aliases.
#[async_trait]
pub trait Egress: Send + Sync + std::fmt::Debug + 'static {
    /// Sends one request through `alias`, if `allow` (empty: everything) and the egress rules let it.
    async fn send(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError>;
}

#[async_trait]
impl Egress for Aliases {
    async fn send(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError> {
        Self::send(self, alias, allow, request).await
    }
}
