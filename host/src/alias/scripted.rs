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
