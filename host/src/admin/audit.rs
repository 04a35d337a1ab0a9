//! `GET /api/v1/audit` and `/api/v1/audit/verify`: who changed what. And how the others enter what is not in one transaction with its
//! entry: [`asked`] before it, [`ended`] after.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use serde_json::Value;

use super::api::{Api, ApiParts};
use super::messages::in_order;
use super::parameters::{Parameters, limit, wrong};
use super::store_refusal::refusal;
use crate::ingress::answer::{self, Refusal};
use crate::message_store::audit::{Came, Head, Link, Note};
use crate::message_store::sqlite::AuditQuery;
use crate::problem::Code;

const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A page of entries, newest first.
pub async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let query = query(Parameters::parse(request.uri().query()))?;
    let page = api.parts.store.audit().page(query).await.map_err(|error| refusal(&error))?;
    Ok(answer::json(StatusCode::OK, &page))
}

/// What a listing's parameters ask for.
///
/// # Errors
/// 400 for what is not known or not understood.
pub(crate) fn query(mut given: Parameters) -> Result<AuditQuery, Refusal> {
    let query = AuditQuery {
        who: given.one("who")?,
        since: given.time("since")?,
        until: given.time("until")?,
        before: given.read("before", "the `next` of the page before")?,
        limit: limit(&mut given)?,
    };
    given.finish()?;
    in_order(query.since, query.until)?;
    Ok(query)
}

/// Looks at every entry: whether each is what was written behind the one before, and with `?head=` whether a hash that was kept is that
/// of one of them.
pub async fn verify(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    let mut query = Parameters::parse(request.uri().query());
    let digits = || wrong("`head`: expected 64 hexadecimal digits");
    let kept = query.one("head")?.map(|text| Link::parse(&text).ok_or_else(digits)).transpose()?;
    query.finish()?;
    // One at a time, since each reads all there is; and nobody waits, since places to wait in are few.
    let _one = api.verifying.try_lock().map_err(|_| under_way())?;
    let verdict = api.parts.store.audit().verify(kept).await.map_err(|error| refusal(&error))?;
    Ok(answer::json(StatusCode::OK, &verdict))
}

fn under_way() -> Refusal {
    let detail = "the audit trail is being looked at; try again when that is done";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::StoreFailed, detail).retry_after(RETRY_AFTER)
}

/// Enters, before anything is done, what is asked for.
///
/// # Errors
/// 503 where it cannot be stored: then nothing is to be done.
pub(super) async fn asked(parts: &ApiParts, note: Note) -> Result<Head, Refusal> {
    parts.store.audit().append(note.came(Came::Asked)).await.map_err(|error| refusal(&error))
}

/// Enters what became of what was entered as `asked`. Where that cannot be stored it stays so, and the log says the rest.
pub(super) async fn ended(parts: &ApiParts, asked: Head, note: Note) {
    let note = Note { after: Some(with_number(note.after.clone(), asked)), ..note };
    if let Err(error) = parts.store.audit().append(note.clone()).await {
        tracing::error!(entry = asked.seq, ?note, %error, "what became of this could not be entered in the audit trail");
    }
}

fn with_number(after: Option<Value>, asked: Head) -> Value {
    let mut after = after.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    after["asked-in"] = asked.seq.into();
    after
}
