//! OAuth 2.0 client credentials (RFC 6749 section 4.4): one request to the token endpoint, and what its answer means.
//!
//! Depends on `upstream`. When a token is fetched, kept and thrown away is `credential`'s business.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::retry_after::{self, Asked};
use super::secret::Secret;
use super::upstream::{UpstreamError, UpstreamRequest, UpstreamResponse};

/// A token endpoint that takes longer is taken to be down.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
const TOKEN_RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// How long a token is used whose endpoint does not say (`expires_in` is optional, RFC 6749 section 5.1): a 401 ends it earlier.
const LIFETIME_UNSAID: Duration = Duration::from_secs(30 * 60);
/// The longest a token is used without asking again.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A token is replaced this long before it expires, or a tenth of its life before if that is less.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// What the token endpoint gave.
#[derive(Debug)]
pub struct Token {
    pub access_token: Secret,
    /// How long it is used; the margin is taken off.
    pub usable_for: Duration,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFailure {
    /// The endpoint refuses what it was given. Trying again without a change cannot work.
    Refused(String),
    /// The endpoint is down, or does not behave like one.
    Unavailable(String),
    /// The endpoint asks to wait.
    Throttled(Asked, String),
    /// The endpoint's address may not be dialled.
    AddressRefused(String),
}

/// Who asks, and for what.
#[derive(Debug)]
pub struct Client<'a> {
    pub token_url: &'a Url,
    pub client_id: &'a str,
    pub client_secret: &'a Secret,
    pub scope: Option<&'a str>,
}

impl Client<'_> {
    /// The request for a token. `template` says whose connections are used.
    ///
    /// The client proves itself by HTTP Basic, which every server has to support (RFC 6749 section 2.3.1); id and secret are
    /// form-encoded first, as that section asks.
    pub fn request(&self, template: UpstreamRequest) -> UpstreamRequest {
        let encode = |bytes: &[u8]| url::form_urlencoded::byte_serialize(bytes).collect::<String>();
        let pair = Zeroizing::new(format!("{}:{}", encode(self.client_id.as_bytes()), encode(self.client_secret.expose())));
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = self.scope {
            form.append_pair("scope", scope);
        }

        let mut headers = HeaderMap::new();
        // Base64 is always header text.
        if let Ok(mut authorization) = HeaderValue::from_str(&basic) {
            authorization.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, authorization);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        UpstreamRequest {
            method: Method::POST,
            url: self.token_url.clone(),
            headers,
            body: Bytes::from(form.finish()),
            timeout: TOKEN_TIMEOUT,
            body_bytes_max: TOKEN_RESPONSE_BYTES_MAX,
            ..template
        }
    }
}

/// RFC 6749 section 5.1. Some endpoints send the number as text.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
}

/// RFC 6749 section 5.2.
#[derive(Deserialize)]
struct Denied {
    error: String,
}

/// What the endpoint's answer means. `now_ms` is for a `Retry-After` date without a `Date`.
pub fn read(answer: Result<UpstreamResponse, UpstreamError>, now_ms: i64) -> Result<Token, TokenFailure> {
    let answer = answer.map_err(|error| match error {
        UpstreamError::AddressRefused(what) => TokenFailure::AddressRefused(what),
        other => TokenFailure::Unavailable(format!("token endpoint: {other}")),
    })?;
    match answer.status {
        StatusCode::OK => granted(&answer.body),
        status if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE => {
            let detail = format!("token endpoint answered {}", status.as_u16());
            let asked = retry_after::parse(&answer.headers, now_ms);
            let throttles = status == StatusCode::TOO_MANY_REQUESTS || asked.wait.is_some();
            Err(if throttles { TokenFailure::Throttled(asked, detail) } else { TokenFailure::Unavailable(detail) })
        }
        StatusCode::REQUEST_TIMEOUT => Err(TokenFailure::Unavailable("token endpoint answered 408".to_owned())),
        status if status.is_client_error() => {
            let code = serde_json::from_slice::<Denied>(&answer.body).ok().map(|denied| denied.error).filter(|code| is_error_code(code));
            Err(TokenFailure::Refused(
                format!("token endpoint answered {} {}", status.as_u16(), code.unwrap_or_default()).trim_end().to_owned(),
            ))
        }
        status => Err(TokenFailure::Unavailable(format!("token endpoint answered {}", status.as_u16()))),
    }
}

/// Only what looks like one of RFC 6749's codes is repeated to people; the text beside it may hold anything.
fn is_error_code(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn granted(body: &[u8]) -> Result<Token, TokenFailure> {
    let unavailable = |what: &str| TokenFailure::Unavailable(format!("token endpoint answered 200 {what}"));
    let granted: Granted = serde_json::from_slice(body).map_err(|_| unavailable("without a token"))?;
    let bearer = granted.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer {
        return Err(unavailable("with a token that is not a bearer token"));
    }
    let token = granted.access_token;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unavailable("with a token that cannot be sent"));
    }
    let lifetime = granted.expires_in.as_ref().and_then(seconds).unwrap_or(LIFETIME_UNSAID).min(LIFETIME_MAX);
    Ok(Token { access_token: Secret::new(token), usable_for: lifetime - EXPIRY_MARGIN.min(lifetime / 10) })
}

fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: u16, body: &str) -> Result<u64, TokenFailure> {
        let answer = UpstreamResponse::new(StatusCode::from_u16(status).unwrap(), body.to_owned());
        read(Ok(answer), 0).map(|token| token.usable_for.as_secs())
    }

    fn refused(text: &str) -> Result<u64, TokenFailure> {
        Err(TokenFailure::Refused(format!("token endpoint answered {text}")))
    }

    #[test]
    fn what_needs_a_person_is_refused_and_what_passes_is_unavailable() {
        assert_eq!(meaning(400, r#"{"error":"invalid_grant"}"#), refused("400 invalid_grant"));
        assert_eq!(
            meaning(401, r#"{"error":"invalid_client","error_description":"secret s3cret is wrong"}"#),
            refused("401 invalid_client")
        );
        assert_eq!(meaning(400, r#"{"error":"<script>"}"#), refused("400"));
        assert_eq!(meaning(404, "not here"), refused("404"));
        for (status, body) in [
            (500, r#"{"error":"invalid_client"}"#),
            (502, ""),
            (503, ""),
            (408, ""),
            (302, ""),
            (204, ""),
            (200, ""),
            (200, "<html>"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":"a\r\nX: 1"}"#),
            (200, r#"{"access_token":"a","token_type":"mac"}"#),
        ] {
            assert!(matches!(meaning(status, body), Err(TokenFailure::Unavailable(_))), "{status} {body}");
        }
        assert!(matches!(meaning(429, ""), Err(TokenFailure::Throttled(..))));
        for error in [UpstreamError::Unreachable("no".into()), UpstreamError::TimedOut(TOKEN_TIMEOUT), UpstreamError::TooLarge] {
            assert!(matches!(read(Err(error), 0), Err(TokenFailure::Unavailable(_))));
        }
    }

    #[test]
    fn a_token_is_replaced_before_it_expires() {
        assert_eq!(meaning(200, r#"{"access_token":"a","token_type":"Bearer","expires_in":3600}"#), Ok(3540));
        assert_eq!(meaning(200, r#"{"access_token":"a","token_type":"bearer","expires_in":"100"}"#), Ok(90));
        assert_eq!(meaning(200, r#"{"access_token":"a"}"#), Ok(1740));
        assert_eq!(meaning(200, r#"{"access_token":"a","expires_in":-5}"#), Ok(1740));
        assert_eq!(meaning(200, r#"{"access_token":"a","expires_in":1e300}"#), Ok(1740));
    }
}
