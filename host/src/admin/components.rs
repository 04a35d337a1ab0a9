//! `PUT` and `GET /api/v1/plugins/{digest}`: the components that releases pin, by content. What nothing pins is taken away again after a day.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::api::Api;
use super::parameters::{Parameters, named, wrong};
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::crash_point::{CrashPoint, reached};
use crate::ingress::answer::{self, Refusal};
use crate::ingress::body::BodyLimits;
use crate::plugin::component::COMPONENT_BYTES_MAX;
use crate::plugin::sha256_hex;
use crate::plugin::signature::Signature;
use crate::problem::Code;
use crate::releases::plugin_files;

const COMPONENT_LIMITS: BodyLimits = BodyLimits { bytes: COMPONENT_BYTES_MAX, within: Duration::from_secs(300) };
/// A detached signature over the whole component: 64 bytes, in base64.
pub const SIGNATURE_HEADER: &str = "lockgate-signature";
/// What nobody pins may wait so long to be pinned.
const UNPINNED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Components that nothing pins, at most; then the oldest gives way.
const UNPINNED_MAX: usize = 256;
/// One that was sent just now does not give way: what it is for is on its way.
const STAYS_FOR: Duration = Duration::from_secs(120);

/// Keeps a component under its digest, for releases to pin. It is not looked at before one does.
pub async fn put(
    State(api): State<Arc<Api>>,
    who: Who,
    digest: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let digest = digest_of(digest)?;
    let signature = signature(request.headers())?;
    let body = api.body(request, COMPONENT_LIMITS).await?;
    if sha256_hex(&body.bytes) != digest {
        return Err(wrong(format!("the body has the digest {}, and not {digest}", sha256_hex(&body.bytes))));
    }
    if !wasmparser::Parser::is_component(&body.bytes) {
        return Err(wrong("the body is no Wasm component"));
    }
    let pinned = api.parts.store.releases().pinned().await.map_err(|error| refusal(&error))?;
    let data = api.parts.data.clone();
    let kept = to_its_end(async move {
        let keep = move || {
            let is_new = !plugin_files::has(&data, &digest);
            if is_new && !plugin_files::make_room(&data, &pinned, UNPINNED_MAX, (UNPINNED_FOR, STAYS_FOR)) {
                return Ok(None);
            }
            plugin_files::keep(&data, &digest, &body.bytes, signature.as_ref())?;
            reached(CrashPoint::PluginKept);
            Ok(Some((digest, body.bytes.len(), is_new)))
        };
        tokio::task::spawn_blocking(keep).await
    });
    let kept = kept.await?.map_err(|_stopped| refusal(&crate::message_store::StoreError::Closed))?;
    let kept = kept.map_err(|problem: crate::problem::Problem| {
        tracing::error!(%problem, "a component could not be kept");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, problem.code, "the component could not be kept; the log says why")
    })?;
    let Some((digest, bytes, is_new)) = kept else { return Err(too_many()) };
    if is_new {
        tracing::info!(by = who.name(), digest, bytes, "a component was sent");
    }
    Ok(answer::json(StatusCode::OK, &json!({ "digest": digest, "bytes": bytes, "new": is_new })))
}

/// A component as it is kept, for another host.
pub async fn get(
    State(api): State<Arc<Api>>,
    digest: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let digest = digest_of(digest)?;
    Parameters::parse(request.uri().query()).finish()?;
    let data = api.parts.data.clone();
    let read = tokio::task::spawn_blocking(move || plugin_files::read_with_signature(&data, &digest)).await;
    let missing = || Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "the host has no component with this digest");
    let (bytes, signature) = read.ok().flatten().ok_or_else(missing)?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    if let Some(signature) = signature
        && let Ok(value) = HeaderValue::from_str(&BASE64.encode(signature.bytes()))
    {
        headers.insert(SIGNATURE_HEADER, value);
    }
    Ok(response)
}

fn digest_of(digest: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    let digest = named(digest)?;
    let is_one = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_one { Ok(digest) } else { Err(wrong("a digest is SHA-256 as 64 hexadecimal digits, in lower case")) }
}

fn signature(headers: &HeaderMap) -> Result<Option<Signature>, Refusal> {
    let Some(value) = headers.get(SIGNATURE_HEADER) else { return Ok(None) };
    let bytes = value.to_str().ok().and_then(|text| BASE64.decode(text).ok());
    let signature = bytes.and_then(|bytes| Signature::of(&bytes));
    signature.map(Some).ok_or_else(|| wrong(format!("`{SIGNATURE_HEADER}`: 64 bytes in base64")))
}

fn too_many() -> Refusal {
    let detail = format!("{UNPINNED_MAX} components were sent in two minutes that no release pins; try again then");
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::PluginsLacking, detail).retry_after(STAYS_FOR)
}
