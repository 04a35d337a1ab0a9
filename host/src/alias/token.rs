//! OAuth 2.0 (RFC 6749): one request to the token endpoint, and what its answer means.
//!
//! Depends on `upstream`. When a token is fetched, kept and thrown away is `grant`'s business.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
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
/// However short-lived its tokens, an endpoint is not asked more than once in this time for their age.
const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// The longest a token is used without asking again.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// An endpoint that names a longer one is mistaken, or means milliseconds.
const LIFETIME_SENSIBLE_SECONDS: f64 = 10.0 * 365.0 * 24.0 * 60.0 * 60.0;
/// A token is replaced this long before it expires, or a tenth of its life before if that is less.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// What the token endpoint gave.
#[derive(Debug)]
pub struct Token {
    pub access_token: Secret,
    /// How long it is used; the margin is taken off.
    pub usable_for: Duration,
    /// To be used in the place of the one that got it (RFC 6749 section 6).
    pub refresh_token: Option<Secret>,
    /// What is odd about its lifetime, for people.
    pub oddity: Option<String>,
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
    pub client_id: Option<&'a str>,
    pub client_secret: Option<&'a Secret>,
    pub scope: Option<&'a str>,
    pub grant: Grant<'a>,
}

/// By what a token is asked for.
#[derive(Debug)]
pub enum Grant<'a> {
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 6.
    RefreshToken(&'a Secret),
    /// RFC 7523 section 2.1.
    JwtBearer(&'a str),
}

impl Client<'_> {
    /// The request for a token. `template` says whose connections are used.
    ///
    /// A client that has a secret proves itself by HTTP Basic, which every server has to support (RFC 6749 section 2.3.1); id and
    /// secret are form-encoded first, as that section asks. One that has none only says who it is (section 3.2.1).
    pub fn request(&self, template: UpstreamRequest) -> UpstreamRequest {
        let mut headers = HeaderMap::new();
        if let (Some(id), Some(secret)) = (self.client_id, self.client_secret) {
            headers.extend(basic(id, secret).map(|value| (header::AUTHORIZATION, value)));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        UpstreamRequest {
            method: Method::POST,
            url: self.token_url.clone(),
            headers,
            body: self.form(),
            timeout: TOKEN_TIMEOUT,
            body_bytes_max: TOKEN_RESPONSE_BYTES_MAX,
            ..template
        }
    }

    /// What it is asked for with, if that proves who asks for some time.
    pub fn assertion(&self) -> Option<Secret> {
        match self.grant {
            Grant::JwtBearer(assertion) => Some(Secret::new(assertion)),
            Grant::ClientCredentials | Grant::RefreshToken(_) => None,
        }
    }

    fn form(&self) -> Bytes {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        match &self.grant {
            Grant::ClientCredentials => form.append_pair("grant_type", "client_credentials"),
            Grant::RefreshToken(token) => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", &String::from_utf8_lossy(token.expose()))
            }
            Grant::JwtBearer(assertion) => form.append_pair("grant_type", JWT_BEARER).append_pair("assertion", assertion),
        };
        if let (Some(id), None) = (self.client_id, self.client_secret) {
            form.append_pair("client_id", id);
        }
        if let Some(scope) = self.scope {
            form.append_pair("scope", scope);
        }
        Bytes::from(form.finish())
    }
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Id and secret as they are sent in HTTP Basic.
pub fn client_pair(client_id: &str, client_secret: &Secret) -> Zeroizing<String> {
    let encode = |bytes: &[u8]| Zeroizing::new(url::form_urlencoded::byte_serialize(bytes).collect::<String>());
    Zeroizing::new(format!("{}:{}", *encode(client_id.as_bytes()), *encode(client_secret.expose())))
}

fn basic(client_id: &str, client_secret: &Secret) -> Option<HeaderValue> {
    let pair = client_pair(client_id, client_secret);
    let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    // Base64 is always header text.
    let mut value = HeaderValue::from_str(&basic).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// RFC 6749 section 5.1. Some endpoints send the number as text.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
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
    // From here on they are wiped, whatever is wrong with the rest.
    let (access_token, refresh_token) = (Secret::new(granted.access_token), granted.refresh_token.map(Secret::new));
    let bearer = granted.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer {
        return Err(unavailable("with a token that is not a bearer token"));
    }
    if access_token.expose().is_empty() || !access_token.expose().iter().all(u8::is_ascii_graphic) {
        return Err(unavailable("with a token that cannot be sent"));
    }
    let (lifetime, oddity) = lifetime(granted.expires_in.as_ref());
    let refresh_token = refresh_token.filter(|token| !token.expose().is_empty());
    let usable_for = (lifetime - EXPIRY_MARGIN.min(lifetime / 10)).max(LIFETIME_MIN);
    Ok(Token { access_token, usable_for, refresh_token, oddity })
}

/// How long a token lives, and what is odd about what was said. One that has expired before it came is tried all the same: if the
/// target takes it the endpoint only said it wrongly, and if not, that is a credential that is refused.
fn lifetime(said: Option<&Value>) -> (Duration, Option<String>) {
    let said = match said {
        None | Some(Value::Null) => return (LIFETIME_UNSAID, None),
        Some(said) => said,
    };
    let seconds = said.as_f64().or_else(|| said.as_str()?.trim().parse().ok());
    match seconds.filter(|seconds| !seconds.is_nan()) {
        None => (LIFETIME_UNSAID, Some("is no number".to_owned())),
        Some(seconds) if seconds <= 0.0 => (LIFETIME_UNSAID, Some(format!("is {}: it has expired before it came", shown(seconds)))),
        Some(seconds) if seconds > LIFETIME_SENSIBLE_SECONDS => (LIFETIME_MAX, Some(format!("is {}: more than ten years", shown(seconds)))),
        Some(seconds) => (Duration::try_from_secs_f64(seconds).unwrap_or(LIFETIME_MAX).min(LIFETIME_MAX), None),
    }
}

/// A number as people are told it: never longer than a word.
fn shown(number: f64) -> String {
    if number.abs() < 1e15 { format!("{number}") } else { format!("{number:e}") }
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
        assert_eq!(meaning(200, r#"{"access_token":"a","expires_in":null}"#), Ok(1740));
        assert_eq!(meaning(200, r#"{"access_token":"a","expires_in":31536000}"#), Ok(24 * 3600 - 60));
        assert_eq!(meaning(200, r#"{"access_token":"a","expires_in":0.001}"#), Ok(1), "no endpoint is asked in a circle");
    }

    #[test]
    fn a_lifetime_that_makes_no_sense_is_named_and_bounded() {
        let hours_24 = 24 * 3600 - 60;
        for (said, usable, what) in [
            ("-1", 1740, "is -1: it has expired before it came"),
            ("0", 1740, "is 0: it has expired before it came"),
            ("\"-0\"", 1740, "is -0: it has expired"),
            ("-1e400", 1740, "is no number"),
            ("1000000000000", hours_24, "is 1000000000000: more than ten years"),
            ("1e300", hours_24, "is 1e300: more than ten years"),
            ("\"inf\"", hours_24, "is inf: more than ten years"),
            ("\"NaN\"", 1740, "is no number"),
            ("\"soon\"", 1740, "is no number"),
            ("\"\"", 1740, "is no number"),
            ("true", 1740, "is no number"),
            ("[3600]", 1740, "is no number"),
        ] {
            let answer = UpstreamResponse::new(StatusCode::OK, format!(r#"{{"access_token":"a","expires_in":{said}}}"#));
            let token = read(Ok(answer), 0).unwrap_or_else(|failure| panic!("{said}: {failure:?}"));
            assert_eq!(token.usable_for.as_secs(), usable, "{said}");
            assert!(token.oddity.as_ref().is_some_and(|oddity| oddity.contains(what)), "{said}: {:?}", token.oddity);
        }
    }
}
