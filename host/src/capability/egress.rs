//! [`Egress`]: the way a plugin's requests leave the host, as the `http` capability needs it.
//!
//! The aliases of a running host are one implementation; tests script another.

use async_trait::async_trait;

pub use crate::alias::{Aliases, EgressError, EgressRequest, EgressResponse, Hold, Sender, Stale};
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::alias::Environment;
    use crate::alias::scripted::ScriptedUpstream;
    use crate::alias::secret::MachineSecrets;
    use crate::alias::upstream::UpstreamError;
    use crate::clock::{ManualClock, Timestamp};
    use crate::random::SeededRandom;

    #[tokio::test]
    async fn goes_through_the_aliases_which_deny_an_unknown_one() {
        let environment = Environment { name: "dev".into(), values: BTreeMap::new(), aliases: BTreeMap::new() };
        let upstream = Arc::new(ScriptedUpstream::new(|_| Err(UpstreamError::TooLarge)));
        let secrets = Arc::new(MachineSecrets::new("."));
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let egress: Arc<dyn Egress> = Arc::new(Aliases::in_memory(&environment, secrets, upstream, clock, Arc::new(SeededRandom::new(1))));
        let request = EgressRequest {
            sender: Sender { integration: "orders".into(), message: 1 },
            method: "GET".into(),
            path: "/".into(),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            idempotency_key: "key".into(),
            timeout: Duration::from_secs(1),
        };
        assert!(matches!(egress.send("crm", &[], request).await, Err(EgressError::Denied(_))));
    }
}
