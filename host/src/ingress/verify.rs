//! Whether a webhook was sent by who it says: signatures and credentials over the raw bytes, compared in constant time.
//!
//! Depends on `alias` for the rules and their secrets. Fails closed: what is missing, doubled or odd is refused. Nothing of why is
//! told to the outside; [`Refused`] is for the log.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::alias::secret::{Secret, SecretRef, SecretSource};
use crate::alias::{HmacEncoding, Verify};
use crate::clock::Timestamp;
use crate::problem::Problem;

/// How far a signed time may be from now, either way (the Standard Webhooks libraries' tolerance).
const TIME_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Signatures of one request that are looked at: more than a sender that rotates its keys needs.
const SIGNATURES_MAX: usize = 16;
/// A header with a signature or credential that is longer is refused unread.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// A request that proved who sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The id the signature covers, if the scheme signs one: it can be trusted to tell two requests apart.
    pub signed_id: Option<String>,
}

/// Why a request is not believed. For the log; the outside learns that it was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("header {0} is missing")]
    Missing(String),
    #[error("header {0} is there more than once")]
    Doubled(String),
    #[error("header {0} is not of the expected form")]
    Malformed(String),
    #[error("the signature does not match")]
    Mismatch,
    #[error("the signed time is {0:?} in the past")]
    TooOld(Duration),
    #[error("the signed time is {0:?} in the future")]
    TooNew(Duration),
    #[error("more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// The host cannot check: not the sender's fault.
    #[error("the alias's secret cannot be used: {0}")]
    Secret(String),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Secret(problem.message)
    }
}

/// Holds a request's headers and raw `body` against `rule`. `now` is for schemes that sign a time.
pub fn verify(rule: &Verify, secrets: &dyn SecretSource, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, Refused> {
    match rule {
        Verify::Shopify { secret } => shopify(&read(secrets, secret)?, headers, body),
        Verify::GitHub { secret } => github(&read(secrets, secret)?, headers, body),
        Verify::StandardWebhooks { secret } => standard_webhooks(&read(secrets, secret)?, headers, body, now),
        Verify::Stripe { secret } => stripe(&read(secrets, secret)?, headers, body, now),
        Verify::Slack { secret } => slack(&read(secrets, secret)?, headers, body, now),
        Verify::Hmac { secret, header, encoding, prefix } => hmac(&read(secrets, secret)?, (header, *encoding, prefix), headers, body),
        Verify::Basic { username, password } => basic(username, &read(secrets, password)?, headers),
        Verify::Bearer { token } => bearer(&read(secrets, token)?, headers),
    }
}

/// The secret; an empty one would accept what anybody can compute.
fn read(secrets: &dyn SecretSource, reference: &SecretRef) -> Result<Secret, Refused> {
    let secret = secrets.read(reference)?;
    if secret.expose().is_empty() { Err(Refused::Secret(format!("{reference} is empty"))) } else { Ok(secret) }
}

/// `X-Shopify-Hmac-Sha256`: base64 of HMAC-SHA256 over the body, keyed with the app's client secret
/// (<https://shopify.dev/docs/apps/build/webhooks/subscribe/https>, "Validate the origin of your webhook").
/// Neither topic nor id is signed.
fn shopify(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Refused> {
    hmac(secret, ("x-shopify-hmac-sha256", HmacEncoding::Base64, ""), headers, body)
}

/// `X-Hub-Signature-256`: `sha256=` and hex of HMAC-SHA256 over the body
/// (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>). `X-GitHub-Delivery` is not signed.
fn github(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Refused> {
    hmac(secret, ("x-hub-signature-256", HmacEncoding::Hex, "sha256="), headers, body)
}

/// HMAC-SHA256 (RFC 2104) over the body, in a header, behind a prefix.
fn hmac(
    secret: &Secret,
    (name, encoding, prefix): (&str, HmacEncoding, &str),
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Verified, Refused> {
    let tag = decoded(one(headers, name)?, prefix, encoding).ok_or_else(|| Refused::Malformed(name.to_owned()))?;
    check_tag(secret.expose(), &[body], &tag)?;
    Ok(Verified::default())
}

/// `webhook-id`, `webhook-timestamp`, `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`, base64, behind `v1,`; several
/// signatures are separated by spaces, other versions are passed over. The secret is base64, behind `whsec_`
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
fn standard_webhooks(secret: &Secret, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, Refused> {
    let key = standard_webhooks_key(secret)?;
    let id = one(headers, "webhook-id")?;
    let timestamp = one(headers, "webhook-timestamp")?;
    let signatures = one(headers, "webhook-signature")?;
    if id.is_empty() || id.contains('.') {
        // "Not be allowed to include any `.`", says the spec: else what is signed could be cut apart at another place.
        return Err(Refused::Malformed("webhook-id".to_owned()));
    }
    check_time("webhook-timestamp", timestamp, now)?;
    let signatures = signatures.split(' ').filter(|part| !part.is_empty());
    let tags = signatures.map(|signature| decoded(signature, "v1,", HmacEncoding::Base64));
    check_any(&key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body], tags)?;
    Ok(Verified { signed_id: Some(id.to_owned()) })
}

fn standard_webhooks_key(secret: &Secret) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let encoded = secret.expose().strip_prefix(b"whsec_").unwrap_or(secret.expose());
    match STANDARD.decode(encoded) {
        Ok(key) if !key.is_empty() => Ok(Zeroizing::new(key)),
        _ => Err(Refused::Secret("it is not `whsec_` and base64".to_owned())),
    }
}

/// `Stripe-Signature`: `t=` and a time, `v1=` and hex of HMAC-SHA256 over `time.body`, between commas. While a secret is rolled there
/// is a `v1` for each; other schemes are passed over, or a sender could choose a weaker one
/// (<https://docs.stripe.com/webhooks#verify-manually>). The event's id is in the body and so signed with it.
fn stripe(secret: &Secret, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, Refused> {
    let name = "stripe-signature";
    let malformed = || Refused::Malformed(name.to_owned());
    let elements = one(headers, name)?.split(',').map(|element| element.split_once('='));
    let elements: Vec<(&str, &str)> = elements.collect::<Option<_>>().ok_or_else(malformed)?;
    let mut times = elements.iter().filter(|(scheme, _)| *scheme == "t");
    let (Some((_, time)), None) = (times.next(), times.next()) else { return Err(malformed()) };
    check_time(name, time, now)?;
    let signatures = elements.iter().filter(|(scheme, _)| *scheme != "t");
    let tags = signatures.map(|(scheme, value)| if *scheme == "v1" { decoded(value, "", HmacEncoding::Hex) } else { None });
    check_any(secret.expose(), &[time.as_bytes(), b".", body], tags)?;
    Ok(Verified { signed_id: event_id(body) })
}

/// The `id` of a JSON object that has one, and has it once.
fn event_id(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Event {
        id: String,
    }
    serde_json::from_slice::<Event>(body).ok().map(|event| event.id).filter(|id| !id.is_empty())
}

/// `X-Slack-Signature`: `v0=` and hex of HMAC-SHA256 over `v0:time:body`, with the time in `X-Slack-Request-Timestamp`
/// (<https://docs.slack.dev/authentication/verifying-requests-from-slack>).
fn slack(secret: &Secret, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, Refused> {
    let (name, time_name) = ("x-slack-signature", "x-slack-request-timestamp");
    let time = one(headers, time_name)?;
    let signature = one(headers, name)?;
    check_time(time_name, time, now)?;
    let tag = decoded(signature, "v0=", HmacEncoding::Hex).ok_or_else(|| Refused::Malformed(name.to_owned()))?;
    check_tag(secret.expose(), &[b"v0:", time.as_bytes(), b":", body], &tag)?;
    Ok(Verified::default())
}

/// Whole seconds since 1970 in header `name`, at most [`TIME_TOLERANCE`] from `now`.
fn check_time(name: &str, text: &str, now: Timestamp) -> Result<(), Refused> {
    let malformed = || Refused::Malformed(name.to_owned());
    // Digits only: `parse` would also take a sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let seconds: i64 = text.parse().map_err(|_| malformed())?;
    let signed = Timestamp(seconds.checked_mul(1000).ok_or_else(malformed)?);
    let (past, future) = (now.since(signed), signed.since(now));
    if past > TIME_TOLERANCE {
        return Err(Refused::TooOld(past));
    }
    if future > TIME_TOLERANCE { Err(Refused::TooNew(future)) } else { Ok(()) }
}

/// HTTP Basic (RFC 7617).
fn basic(username: &str, password: &Secret, headers: &HeaderMap) -> Result<Verified, Refused> {
    let encoded = authorization(headers, "basic")?;
    let given = STANDARD.decode(encoded).map_err(|_| Refused::Malformed("authorization".to_owned()))?;
    let expected = Zeroizing::new([username.as_bytes(), b":", password.expose()].concat());
    check_equal(&given, &expected)
}

/// A bearer token (RFC 6750 section 2.1).
fn bearer(token: &Secret, headers: &HeaderMap) -> Result<Verified, Refused> {
    check_equal(authorization(headers, "bearer")?.as_bytes(), token.expose())
}

/// What comes behind `scheme`, whose name has no case (RFC 9110 section 11.1).
fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Result<&'a str, Refused> {
    let value = one(headers, header::AUTHORIZATION.as_str())?;
    match value.split_once(' ') {
        Some((given, rest)) if given.eq_ignore_ascii_case(scheme) => Ok(rest.trim_start_matches(' ')),
        _ => Err(Refused::Malformed("authorization".to_owned())),
    }
}

/// The one value of a header. Two would let a sender show one to us and another to somebody else.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refused> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| Refused::Missing(name.to_owned()))?;
    if values.next().is_some() {
        return Err(Refused::Doubled(name.to_owned()));
    }
    let text = value.to_str().ok().filter(|text| text.len() <= HEADER_BYTES_MAX);
    text.ok_or_else(|| Refused::Malformed(name.to_owned()))
}

/// The tag in `text` behind `prefix`.
fn decoded(text: &str, prefix: &str, encoding: HmacEncoding) -> Option<Vec<u8>> {
    let encoded = text.strip_prefix(prefix)?;
    match encoding {
        HmacEncoding::Hex => hex::decode(encoded).ok(),
        HmacEncoding::Base64 => STANDARD.decode(encoded).ok(),
    }
}

/// Whether `tag` is the whole HMAC-SHA256 of `parts` one after the other; in constant time.
fn check_tag(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> Result<(), Refused> {
    check_any(key, parts, std::iter::once(Some(tag.to_vec())))
}

/// [`check_tag`] for any of `tags`, of which there may be [`SIGNATURES_MAX`]. None is one that cannot match. The parts are gone
/// through once, however many there are.
fn check_any(key: &[u8], parts: &[&[u8]], tags: impl Iterator<Item = Option<Vec<u8>>>) -> Result<(), Refused> {
    let tags: Vec<_> = tags.take(SIGNATURES_MAX + 1).collect();
    if tags.len() > SIGNATURES_MAX {
        return Err(Refused::TooManySignatures);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Refused::Secret("it is no HMAC key".to_owned()))?;
    parts.iter().for_each(|part| mac.update(part));
    let expected = mac.finalize().into_bytes();
    let equal = |tag: &Vec<u8>| bool::from(tag.as_slice().ct_eq(expected.as_slice()));
    // All are compared, also behind one that is equal.
    let count = tags.iter().flatten().filter(|tag| equal(tag)).count();
    if count > 0 { Ok(()) } else { Err(Refused::Mismatch) }
}

/// Compares digests, so that neither content nor length shows in the time it takes.
fn check_equal(given: &[u8], expected: &[u8]) -> Result<Verified, Refused> {
    let equal: bool = Sha256::digest(given).ct_eq(&Sha256::digest(expected)).into();
    if equal { Ok(Verified::default()) } else { Err(Refused::Mismatch) }
}

#[cfg(test)]
#[path = "verify_schemes_tests.rs"]
mod schemes_tests;
#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
