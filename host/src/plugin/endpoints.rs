//! URLs in what a plugin carries: a system it was built to call, which its integration could then not choose.
//!
//! A plugin reaches nothing but the aliases its slots are bound to, so that no such URL does harm by being called. It does by being
//! right in one environment only. What is found is text in data segments, as UTF-8 or as UTF-16: what a plugin puts together at run
//! time is not found. Depends on nothing.

use std::collections::BTreeSet;

/// So many of one plugin are looked for. One that has as many has more, and is refused whatever is known of them.
pub const FOUND_MAX: usize = 1_000;
/// So much of each.
const URL_CHARS_MAX: usize = 120;
const SCHEME_CHARS_MAX: usize = 16;

/// Schemes of systems that are called. Texts stand side by side in data, so that a scheme may have another word's end before it.
const SCHEMES: [&str; 22] = [
    "https",
    "http",
    "wss",
    "ws",
    "sftp",
    "ftps",
    "ftp",
    "amqps",
    "amqp",
    "mqtts",
    "mqtt",
    "nats",
    "kafka",
    "rediss",
    "redis",
    "postgresql",
    "postgres",
    "mysql",
    "mongodb",
    "ldaps",
    "ldap",
    "grpc",
];

/// Names that look like URLs and that nobody calls: of XML namespaces and JSON schemas, and where compilers and their libraries ask people
/// to report what should not have happened.
const NAMES: [&str; 13] = [
    "http://www.w3.org/",
    "https://www.w3.org/",
    "http://schemas.xmlsoap.org/",
    "http://schemas.openxmlformats.org/",
    "http://schemas.microsoft.com/",
    "http://purl.org/",
    "http://json-schema.org/",
    "https://json-schema.org/",
    "https://docs.rs/",
    "https://doc.rust-lang.org/",
    "https://github.com/rust-lang/",
    "https://github.com/rustwasm/",
    "https://github.com/bytecodealliance/",
];

/// The URLs in `segments`, each once, sorted, at most [`FOUND_MAX`].
pub fn of_data<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for segment in segments {
        for width in [1, 2] {
            let text = Text { bytes: segment, width };
            for at in text.separators() {
                if found.len() == FOUND_MAX {
                    return found;
                }
                found.extend(text.url(at).filter(|url| !NAMES.iter().any(|name| url.starts_with(name))));
            }
        }
    }
    found
}

/// Whether a text is an endpoint, or begins with one, without a scheme: `//host`, `host:443`, `10.0.0.1/path`, `api.acme.example/v1`. A name
/// alone is not: channels, fields and packages look the same.
pub fn begins_with_host(text: &str) -> bool {
    let text = text.trim_start();
    let (text, is_relative) = text.strip_prefix("//").map_or((text, false), |rest| (rest, true));
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c))).unwrap_or(text.len());
    let (host, rest) = text.split_at(end);
    if is_relative {
        return !host.is_empty() || rest.starts_with('[');
    }
    let has_port = rest.strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
    let has_path = rest.starts_with('/');
    if host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return has_port || has_path || rest.is_empty();
    }
    let is_name = host.rsplit_once('.').is_some_and(|(before, top)| {
        !before.is_empty() && top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic()) && !before.contains("..")
    });
    // IPv6 addresses stand in brackets wherever a port or path follows (RFC 3986, section 3.2.2).
    is_name && (has_port || has_path)
}

/// A segment read as characters of one or two bytes.
struct Text<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl Text<'_> {
    /// Where `://` stands.
    fn separators(&self) -> impl Iterator<Item = usize> + '_ {
        let last = self.bytes.len().saturating_sub(2 * self.width);
        (0..last).filter(|at| {
            // The first comparison is what nearly all of a segment goes through.
            self.bytes.get(*at) == Some(&b':')
                && self.char(*at) == Some(':')
                && self.char(at + self.width) == Some('/')
                && self.char(at + 2 * self.width) == Some('/')
        })
    }

    /// The ASCII character at a byte, if there is one.
    fn char(&self, at: usize) -> Option<char> {
        let byte = *self.bytes.get(at)?;
        let is_whole = self.width == 1 || *self.bytes.get(at + 1)? == 0;
        (is_whole && byte.is_ascii_graphic()).then_some(char::from(byte))
    }

    /// The URL around the `://` at `at`, if it has a scheme that is called and a host.
    fn url(&self, at: usize) -> Option<String> {
        let before = (1..=SCHEME_CHARS_MAX).map_while(|back| self.char(at.checked_sub(back * self.width)?));
        let before: String = before.take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)).collect();
        let before: String = before.chars().rev().map(|c| c.to_ascii_lowercase()).collect();
        let scheme = SCHEMES.into_iter().find(|scheme| before.ends_with(scheme))?;
        let behind = (3..).map_while(|forward| self.char(at + forward * self.width));
        let rest: String = behind.take_while(|c| !"\"'`<>{}|\\^".contains(*c)).take(URL_CHARS_MAX).collect();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        is_host(host).then(|| format!("{scheme}://{rest}"))
    }
}

/// Whether it could be one: a name with a dot or a known one, an address. What is put together later is cut off before: `http://{}`.
fn is_host(host: &str) -> bool {
    let name = host.strip_prefix('[').or_else(|| host.split(':').next()).unwrap_or_default();
    name.chars().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == ':')
        && name.chars().filter(char::is_ascii_alphanumeric).count() > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(data: &[u8]) -> Vec<String> {
        of_data([data]).into_iter().collect()
    }

    #[test]
    fn finds_urls_between_other_texts_and_in_both_encodings() {
        let data = b"invalid digithttps://api.acme.example/v1/orders?x=1 and\0http://127.0.0.1:9010\"amqp://user:pw@mq.acme.example";
        let expected = ["amqp://user:pw@mq.acme.example", "http://127.0.0.1:9010", "https://api.acme.example/v1/orders?x=1"];
        assert_eq!(found(data), expected);
        let wide = |shift: usize| {
            let text = "x = \"wss://crm.acme.example/feed\"".encode_utf16().flat_map(u16::to_le_bytes);
            vec![b'!'; shift].into_iter().chain(text).collect::<Vec<u8>>()
        };
        for shift in [0, 1] {
            assert_eq!(found(&wide(shift)), ["wss://crm.acme.example/feed"], "from byte {shift}");
        }
        assert_eq!(found(b"HTTPS://API.ACME.EXAMPLE/"), ["https://API.ACME.EXAMPLE/"]);
        assert_eq!(found(b"http://[::1]:80/"), ["http://[::1]:80/"]);
    }

    #[test]
    fn takes_no_name_and_no_piece_for_an_endpoint() {
        for text in [
            "http://www.w3.org/2001/XMLSchema-instance",
            "https://json-schema.org/draft/2020-12/schema",
            "https://github.com/rust-lang/rust/issues/1",
            "http://",
            "https://{}/services",
            "://",
            "a://b",
            "wasi:io/streams@0.2.6",
            "file:///etc/passwd",
            "library/std/src/io.rs:12:3",
        ] {
            assert_eq!(found(text.as_bytes()), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn bounds_what_it_tells_and_what_it_takes() {
        let many: String = (0..3000).map(|n| format!("https://host-{n}.acme.example/{} ", "x".repeat(500))).collect();
        let found = found(many.as_bytes());
        assert_eq!(found.len(), FOUND_MAX);
        assert!(found.iter().all(|url| url.len() < 140));
        assert!(of_data([&b"://".repeat(400_000)[..], &b":".repeat(1 << 20), b":/", b""]).is_empty());
    }

    #[test]
    fn knows_a_host_without_a_scheme_from_other_texts_with_dots() {
        for text in [
            "//api.acme.example",
            "//crm/x",
            "//[::1]/",
            "localhost",
            "localhost:9010",
            "LOCALHOST/x",
            "127.0.0.1",
            "10.0.0.1:80/x",
            "api.acme.example/v1",
            "api.acme.example:8443",
            " crm.acme.example/",
        ] {
            assert!(begins_with_host(text), "{text}");
        }
        for text in [
            "",
            "/",
            "/orders",
            "/shop/orders",
            "orders.canonical",
            "com.acme.Order",
            "application/vnd.acme+json",
            "json:/customer/id",
            "header:X-Shopify-Topic",
            "1.2/x",
            "v1.2",
            "10.30:15",
            "Prospecting",
            "order-ops@acme.example",
            "{values.stage}",
            "../x/y",
            "...",
            "x.1:2",
            "a.b",
            "localhosts",
            "e.g. a/b",
            "8.0/x",
            "-.-/x",
        ] {
            assert!(!begins_with_host(text), "{text}");
        }
    }
}
