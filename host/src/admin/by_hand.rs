//! `POST /api/v1/messages`: a message put in by a person (`lockgate send`).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::api::{Api, ApiParts};
use super::audit;
use super::parameters::{Parameters, wrong};
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::ingress::answer::{self, Refusal};
use crate::ingress::{ByHand, Receipt};
use crate::message_store::audit::{Act, Came};
use crate::telemetry::events::{Event, Kind, Level};

/// Takes the request's body as a message for `?integration=`; with `&dedup=true` it may be a duplicate.
pub async fn put(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    let mut query = Parameters::parse(request.uri().query());
    let integration = query.one("integration")?.ok_or_else(|| wrong("name the integration: ?integration=NAME"))?;
    let dedup = query.read("dedup", "true or false")?.unwrap_or(false);
    query.finish()?;
    let headers = request.headers().clone();
    let limits = api.parts.intake.body_limits();
    let body = api.body(request, limits).await?;
    let (parts, body) = (api.parts.clone(), body.bytes.clone());
    let receipt = to_its_end(async move {
        let note = || who.note(parts.clock.now(), Act::Send, format!("integration {integration}"));
        // The body's hash finds the message should the host die before its id is entered.
        let sha256 = hex::encode(Sha256::digest(&body));
        let asked = audit::asked(&parts, note().after(json!({ "bytes": body.len(), "sha256": sha256, "dedup": dedup }))).await?;
        let put = parts.intake.put_by_hand(ByHand { integration: integration.clone(), headers, body, dedup }).await;
        match &put {
            Ok(receipt) => {
                audit::ended(&parts, asked, note().after(json!({ "message": receipt.id, "status": receipt.status }))).await;
                tell(&parts, &who, &integration, receipt);
            }
            Err(refused) => audit::ended(&parts, asked, note().came(Came::Failed).after(json!({ "code": refused.code.as_str() }))).await,
        }
        put
    });
    Ok(answer::json(StatusCode::ACCEPTED, &receipt.await??))
}

fn tell(parts: &ApiParts, who: &Who, integration: &str, receipt: &Receipt) {
    let (by, message) = (who.name(), receipt.id);
    tracing::info!(by, integration, %message, status = ?receipt.status, "a message was put in by hand");
    let event = Event::new(Kind::Operator, Level::Info, "a message was put in by hand").of(integration).about(message);
    parts.events.tell(who.told(event));
}
