//! What a caller is told when a request is refused: problem details (RFC 9457) with a stable code.
//!
//! An answer says less than the log: no names of integrations, aliases, plugins or files.

use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Response, StatusCode, header};

use crate::problem::Code;

/// The content type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: Code,
    /// For the caller: what to change, or that it is worth trying again.
    pub detail: String,
    /// What the log has beyond that; the caller is not told.
    pub why: Option<String>,
    /// Not before this; rounded up to whole seconds.
    pub retry_after: Option<Duration>,
    /// The methods allowed, where the method was the trouble.
    pub allow: Option<&'static str>,
    /// How to prove who one is, where that was the trouble (RFC 9110 §11.6.1).
    pub challenge: Option<&'static str>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), why: None, retry_after: None, allow: None, challenge: None }
    }

    /// For the log alone.
    pub fn because(mut self, why: impl std::fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Worth trying again after this long.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Only these methods are answered here: `GET, POST`.
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// With a 401: the scheme to use.
    pub fn challenge(mut self, scheme: &'static str) -> Self {
        self.challenge = Some(scheme);
        self
    }

    /// The problem details. `type` is a URN with the stable code; it is a name, not a place.
    pub fn body(&self) -> serde_json::Value {
        serde_json::json!({
            "type": format!("urn:lockgate:error:{}", self.code),
            "title": self.code.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code.as_str(),
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(wait) = self.retry_after {
            let seconds = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(scheme) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        response
    }
}

/// Problem details that say more than a [`Refusal`] does.
pub fn problem(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = json(status, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
}

/// `body` as JSON.
pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the answer could not be written").into_response()
        }
    }
}
