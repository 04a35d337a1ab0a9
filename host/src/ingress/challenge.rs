//! Handshakes by which a sender finds out that an address is its receiver's: [`answer`]. A request that is one is answered and
//! never becomes a message.
//!
//! Only Slack's is built. GitHub's `ping` is an event like others, which `when` takes or leaves. Those that come as GET requests
//! or carry no signature (Meta's `hub.challenge`, Microsoft Graph's `validationToken`) belong to schemes that are not built.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use serde::Deserialize;

use crate::alias::Verify;

/// Slack's are about 50 characters; what is echoed to a sender has an end.
const CHALLENGE_BYTES_MAX: usize = 1024;

/// What Slack sends once, when the address of events is entered (<https://docs.slack.dev/reference/events/url_verification>).
#[derive(Deserialize)]
struct UrlVerification {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
}

/// The answer to `body`, which was verified by `rule`, if it is a handshake.
pub fn answer(rule: Option<&Verify>, body: &[u8]) -> Option<Response<Body>> {
    if !matches!(rule, Some(Verify::Slack { .. })) {
        return None;
    }
    let UrlVerification { kind, challenge } = serde_json::from_slice(body).ok()?;
    if kind != "url_verification" || challenge.len() > CHALLENGE_BYTES_MAX {
        return None;
    }
    let mut response = Response::new(Body::from(challenge));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}
