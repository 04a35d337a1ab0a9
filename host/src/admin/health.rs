//! Whether the process lives, whether it takes messages, and its figures. Open to everybody who reaches the listener.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{HeaderValue, Response, StatusCode, header};

use super::api::Api;
use super::status;
use crate::ingress::answer::{self, Refusal};
use crate::problem::Code;
use crate::telemetry::METRICS_CONTENT_TYPE;

/// `GET /healthz`: the process answers.
pub async fn lives() -> Response<Body> {
    answer::json(StatusCode::OK, &serde_json::json!({ "status": "alive" }))
}

/// `GET /readyz`: messages are taken and can be stored.
pub async fn ready(State(api): State<Arc<Api>>) -> Result<Response<Body>, Refusal> {
    let not_ready = |code, detail: &str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    if !api.parts.intake.is_open() {
        return Err(not_ready(Code::ShuttingDown, "intake is closed"));
    }
    if let Err(error) = api.parts.store.check_writable().await {
        tracing::warn!(%error, "not ready: the message store cannot be written");
        return Err(not_ready(Code::StoreFailed, "the message store cannot be written"));
    }
    Ok(answer::json(StatusCode::OK, &serde_json::json!({ "status": "ready" })))
}

/// `GET /metrics`.
pub async fn metrics(State(api): State<Arc<Api>>) -> Response<Body> {
    status::measure(&api).await;
    let mut response = Response::new(Body::from(api.parts.metrics.encode()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(METRICS_CONTENT_TYPE));
    response
}
