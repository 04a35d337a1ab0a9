//! `POST /api/v1/messages`: a message put in by a person (`lockgate send`).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};

use super::api::Api;
use super::operate::BY_API;
use super::parameters::{Parameters, wrong};
use crate::ingress::ByHand;
use crate::ingress::answer::{self, Refusal};
use crate::telemetry::events::{Event, Kind, Level};

/// Takes the request's body as a message for `?integration=`; with `&dedup=true` it may be a duplicate.
pub async fn put(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let mut query = Parameters::parse(request.uri().query());
    let integration = query.one("integration")?.ok_or_else(|| wrong("name the integration: ?integration=NAME"))?;
    let dedup = query.read("dedup", "true or false")?.unwrap_or(false);
    query.finish()?;
    let headers = request.headers().clone();
    let limits = api.parts.intake.body_limits();
    let body = api.body(request, limits).await?;
    let receipt =
        api.parts.intake.put_by_hand(ByHand { integration: integration.clone(), headers, body: body.bytes.clone(), dedup }).await?;
    let (message, by) = (receipt.id, BY_API);
    tracing::info!(by, integration, %message, status = ?receipt.status, "a message was put in by hand");
    let event = Event::new(Kind::Operator, Level::Info, "a message was put in by hand").of(&integration).about(message);
    api.parts.events.tell(event.with("by", by));
    Ok(answer::json(StatusCode::ACCEPTED, &receipt))
}
