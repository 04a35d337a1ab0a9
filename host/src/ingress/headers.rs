//! Which headers of a request a message keeps, and what its content type is.
//!
//! A message is stored, shown to people and handed to plugins, so nothing that proves an identity stays in it. The
//! number and the bytes of headers are bounded by the listener (`ServeLimits`).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::answer::Refusal;
use crate::alias::Verify;
use crate::message::Headers;
use crate::problem::Code;

/// Without a content type a body is bytes (RFC 9110 §8.3).
const UNKNOWN_CONTENT_TYPE: &str = "application/octet-stream";

/// Credentials, and what speaks of the connection and not of the message (RFC 9110 §7.6.1).
const DROPPED: [HeaderName; 11] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The headers of `request` that a message keeps, names in lower case. Dropped are credentials, the signature that
/// `verify` checks, and what is between two neighbours only. What a signature covers beside the body (an id, a time) stays.
pub fn kept_headers(request: &HeaderMap, verify: Option<&Verify>) -> Headers {
    let hop_by_hop = named_by_connection(request);
    let signatures = verify.map_or(Vec::new(), signature_headers);
    let kept = request.iter().filter(|(name, _)| {
        let text = name.as_str();
        !(DROPPED.contains(name)
            || text.starts_with("proxy-")
            || signatures.iter().any(|dropped| dropped.eq_ignore_ascii_case(text))
            || hop_by_hop.iter().any(|dropped| dropped.eq_ignore_ascii_case(text)))
    });
    Headers(kept.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect())
}

fn signature_headers(verify: &Verify) -> Vec<&str> {
    match verify {
        Verify::Shopify { .. } => vec!["x-shopify-hmac-sha256"],
        Verify::GitHub { .. } => vec!["x-hub-signature-256", "x-hub-signature"],
        Verify::StandardWebhooks { .. } => vec!["webhook-signature"],
        Verify::Stripe { .. } => vec!["stripe-signature"],
        Verify::Slack { .. } => vec!["x-slack-signature"],
        Verify::Hmac { header, .. } => vec![header],
        Verify::Basic { .. } | Verify::Bearer { .. } => Vec::new(),
    }
}

fn named_by_connection(request: &HeaderMap) -> Vec<&str> {
    let values = request.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim)).collect()
}

/// UTF-8 where it is, else ISO-8859-1, of which every byte is a character (RFC 9110 §5.5).
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// The content type a request gives, as it gives it.
///
/// # Errors
/// 415 for what is not a media type (RFC 9110 §8.3.1). Any media type there is will do.
pub fn media_type(request: &HeaderMap) -> Result<String, Refusal> {
    let Some(value) = request.get(header::CONTENT_TYPE) else { return Ok(UNKNOWN_CONTENT_TYPE.to_owned()) };
    match value.to_str() {
        Ok(text) if is_media_type(text) => Ok(text.trim().to_owned()),
        _ => Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType, "the content type is not `type/subtype`")),
    }
}

/// The essence is checked; parameters are left to whoever reads the body.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alias::secret::SecretRef;

    #[test]
    fn keeps_no_credential_and_nothing_of_the_connection() {
        let mut request = HeaderMap::new();
        for name in
            ["authorization", "cookie", "proxy-authorization", "transfer-encoding", "x-hop", "x-hub-signature-256", "content-length"]
        {
            request.insert(HeaderName::from_static(name), HeaderValue::from_static("dropped"));
        }
        request.insert("connection", HeaderValue::from_static("close, X-Hop"));
        request.insert("x-github-event", HeaderValue::from_static("push"));
        let verify = Verify::GitHub { secret: SecretRef::env("a.verify.secret", "S") };
        assert_eq!(kept_headers(&request, Some(&verify)), Headers(vec![("x-github-event".into(), "push".into())]));
    }

    #[test]
    fn keeps_header_values_that_are_not_ascii() {
        let mut request = HeaderMap::new();
        request.append("x-name", HeaderValue::from_bytes("Zoë 🚲".as_bytes()).unwrap());
        request.append("x-name", HeaderValue::from_bytes(b"Zo\xeb").unwrap());
        assert_eq!(kept_headers(&request, None).0, [("x-name".into(), "Zoë 🚲".into()), ("x-name".into(), "Zoë".into())]);
    }

    #[test]
    fn refuses_only_content_types_that_are_none() {
        for (given, valid) in [
            ("application/json", true),
            ("application/vnd.api+json; charset=utf-8", true),
            ("text/xml;charset", true),
            ("json", false),
            ("/json", false),
            ("text/", false),
            ("te xt/plain", false),
            ("", false),
        ] {
            assert_eq!(is_media_type(given), valid, "{given}");
        }
    }

    #[test]
    fn takes_a_body_without_a_content_type_as_bytes() {
        assert_eq!(media_type(&HeaderMap::new()).unwrap(), "application/octet-stream");
    }
}
