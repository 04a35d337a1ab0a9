//! An [`Upstream`] that answers from a script and remembers what it was asked: for tests of plugins and of the core.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};

/// Requests a script remembers; older ones are forgotten.
pub const REMEMBERED_MAX: usize = 100_000;

type Script = dyn Fn(&UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> + Send + Sync;

/// Answers each request with what a function makes of it.
pub struct ScriptedUpstream {
    script: Box<Script>,
    requests: Mutex<std::collections::VecDeque<UpstreamRequest>>,
}

impl ScriptedUpstream {
    /// An upstream that answers with `script`.
    pub fn new(script: impl Fn(&UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), requests: Mutex::default() }
    }

    /// What it was asked so far, oldest first.
    pub fn requests(&self) -> Vec<UpstreamRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl fmt::Debug for ScriptedUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedUpstream")
    }
}

#[async_trait]
impl Upstream for ScriptedUpstream {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let answer = match (self.script)(&request) {
            Ok(answer) if answer.body.len() > request.body_bytes_max => Err(UpstreamError::TooLarge),
            answer => answer,
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == REMEMBERED_MAX {
            requests.pop_front();
        }
        requests.push_back(request);
        answer
    }
}

impl UpstreamResponse {
    /// An answer with `status` and `body` and no headers.
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::test_support::{START, TableSecrets, aliases_at, get};
    use super::super::{Auth, EgressError};
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn stands_in_for_the_network_and_remembers_what_it_was_asked() {
        let upstream = Arc::new(ScriptedUpstream::new(|request| match request.url.path() {
            "/base/down" => Err(UpstreamError::Unreachable("down".to_owned())),
            "/base/large" => Ok(UpstreamResponse::new(StatusCode::OK, vec![0; request.body_bytes_max + 1])),
            _ => Ok(UpstreamResponse::new(StatusCode::CREATED, "made")),
        }));
        let clock = Arc::new(ManualClock::at(START));
        let aliases =
            aliases_at("http://crm.example/base", Auth::None, Arc::new(TableSecrets::default()), Arc::clone(&upstream) as _, clock);
        assert_eq!(aliases.send("crm", &[], get("/a")).await.unwrap().status, 201);
        assert_eq!(aliases.send("crm", &[], get("/large")).await, Err(EgressError::TooLarge));
        assert_eq!(aliases.send("crm", &[], get("/down?key=1")).await, Err(EgressError::Unreachable("down".to_owned())));
        let printed: Vec<String> = upstream.requests().iter().map(|request| format!("{request:?}")).collect();
        assert_eq!(printed.len(), 3);
        assert_eq!(printed[2], "GET http://crm.example/base/down (alias crm, 0 bytes)", "no query: an API key may be in it");
    }
}
