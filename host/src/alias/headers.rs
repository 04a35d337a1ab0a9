//! Which headers a plugin may set on a request, and the ones the host sets. Pure; depends on nothing but `http`.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers a plugin may set on one request.
pub const PLUGIN_HEADERS_MAX: usize = 64;
/// Their names and values together.
pub const PLUGIN_HEADER_BYTES_MAX: usize = 32 * 1024;

/// `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why a plugin's headers are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRefused {
    #[error("{0:?} is not a header name")]
    Name(String),
    #[error("the value of header {0} holds a character that is not allowed")]
    Value(HeaderName),
    #[error("header {0} is set by the host")]
    Owned(HeaderName),
    #[error("header {0} would make a target treat the request as another one")]
    Override(HeaderName),
    #[error("more than {PLUGIN_HEADERS_MAX} headers or 32 KiB of them")]
    TooMany,
}

/// What frames the message, routes it, or belongs to one connection (RFC 9110 section 7.6.1), what proves who sends, and
/// `Accept-Encoding`, because a compressed answer cannot be searched for an echoed credential.
const OWNED: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What some frameworks read in place of the request line, past the path rules and the allow list.
const OVERRIDES: &[&str] = &["x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"];

/// The headers of a request: the plugin's, checked, and the host's. `credential` are the alias's own headers.
pub fn build(from_plugin: &[(String, String)], credential: &[&str], idempotency_key: &str) -> Result<HeaderMap, HeaderRefused> {
    let bytes: usize = from_plugin.iter().map(|(name, value)| name.len() + value.len()).sum();
    if from_plugin.len() > PLUGIN_HEADERS_MAX || bytes > PLUGIN_HEADER_BYTES_MAX {
        return Err(HeaderRefused::TooMany);
    }
    let mut headers = HeaderMap::with_capacity(from_plugin.len() + 4);
    for (name, value) in from_plugin {
        let (name, value) = typed(name, value, credential)?;
        headers.append(name, value);
    }
    let key = HeaderValue::from_str(idempotency_key).map_err(|_| HeaderRefused::Value(IDEMPOTENCY_KEY))?;
    headers.insert(IDEMPOTENCY_KEY, key);
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(concat!("lockgate/", env!("CARGO_PKG_VERSION"))));
    Ok(headers)
}

fn typed(name: &str, value: &str, credential: &[&str]) -> Result<(HeaderName, HeaderValue), HeaderRefused> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderRefused::Name(name.chars().take(64).collect()))?;
    let owned = OWNED.contains(&name.as_str()) || name.as_str().starts_with("proxy-");
    if owned || credential.iter().any(|own| own.eq_ignore_ascii_case(name.as_str())) {
        return Err(HeaderRefused::Owned(name));
    }
    if OVERRIDES.contains(&name.as_str()) {
        return Err(HeaderRefused::Override(name));
    }
    // `from_str` refuses control characters, CR and LF among them; beyond ASCII each server reads something else (RFC 9110 section 5.5).
    match HeaderValue::from_str(value) {
        Ok(typed) if value.is_ascii() => Ok((name, typed)),
        _ => Err(HeaderRefused::Value(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build_one(name: &str, value: &str) -> Result<HeaderMap, HeaderRefused> {
        build(&[(name.to_owned(), value.to_owned())], &["X-Api-Key"], "key-1")
    }

    #[test]
    fn refuses_headers_the_host_owns_however_they_are_written() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "CONNECTION",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Upgrade",
            "Expect",
            "Authorization",
            "Proxy-Authorization",
            "Proxy-Connection",
            "proxy-anything",
            "Idempotency-Key",
            "Accept-Encoding",
            "x-api-key",
            "X-API-KEY",
        ] {
            assert!(matches!(build_one(name, "x"), Err(HeaderRefused::Owned(_))), "{name}");
        }
        for name in ["X-HTTP-Method-Override", "x-original-url"] {
            assert!(matches!(build_one(name, "DELETE"), Err(HeaderRefused::Override(_))), "{name}");
        }
    }

    #[test]
    fn refuses_names_and_values_that_are_not_header_text() {
        for name in ["", "a b", "a:b", "Host ", "a\r\nHost", "ä", "host\0"] {
            assert!(matches!(build_one(name, "x"), Err(HeaderRefused::Name(_))), "{name:?}");
        }
        for value in ["a\r\nX: 1", "a\nb", "a\rb", "\0", "\u{7f}", "ä"] {
            assert!(matches!(build_one("x-a", value), Err(HeaderRefused::Value(_))), "{value:?}");
        }
    }

    #[test]
    fn refuses_too_many_headers() {
        let many = vec![("x-a".to_owned(), String::new()); PLUGIN_HEADERS_MAX + 1];
        assert_eq!(build(&many, &[], "k"), Err(HeaderRefused::TooMany));
        let large = [("x-a".to_owned(), "a".repeat(PLUGIN_HEADER_BYTES_MAX))];
        assert_eq!(build(&large, &[], "k"), Err(HeaderRefused::TooMany));
    }

    #[test]
    fn keeps_the_plugins_headers_and_adds_the_hosts() {
        let headers = build_one("X-Trace", "1").unwrap();
        assert_eq!(headers["x-trace"], "1");
        assert_eq!(headers["idempotency-key"], "key-1");
        assert_eq!(headers["accept-encoding"], "identity");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("lockgate/"));
        assert_eq!(build_one("user-agent", "mine").unwrap()["user-agent"], "mine");
    }
}
