//! `POST /api/v1/console-links`: a one-time link into the console, for who has a token (`lockgate console`). The session is that token's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use serde_json::json;

use super::api::Api;
use super::parameters::Parameters;
use super::who::Who;
use crate::ingress::answer::{self, Refusal};

/// Makes a link. Its path is given, not the address: who asks knows under which one the host is reached.
pub async fn create(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    tracing::info!(by = who.name(), "a link into the console was made");
    let link = api.parts.sessions.link(who);
    Ok(answer::json(StatusCode::CREATED, &json!({ "path": link.path(), "expires-at": link.expires_at.to_string() })))
}
