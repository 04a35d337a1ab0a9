//! What a plugin may ask of an alias: a path and query under the base URL, and a method and path of the allow list.
//! Pure; depends on `integration` for [`Allow`].
//!
//! A path is refused rather than mended. It has to come out of the WHATWG parser (<https://url.spec.whatwg.org/>) as it went
//! in, and to mean the same to a server that decodes it once more, or that cuts `;…` off a segment (RFC 3986 section 3.3).

use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::integration::Allow;

/// The longest path and query, in bytes.
pub const PATH_BYTES_MAX: usize = 8 * 1024;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRefused {
    #[error("the path must start with one `/`")]
    NotAbsolute,
    #[error("path and query are longer than 8 KiB")]
    TooLong,
    #[error("path and query may hold printable ASCII only; percent-encode the rest")]
    Characters,
    #[error("a `#` is not sent; percent-encode it")]
    Fragment,
    #[error("a backslash is refused")]
    Backslash,
    #[error("`//` in the path is refused")]
    EmptySegment,
    #[error("`.` and `..` segments are refused, however they are spelled")]
    DotSegment,
    #[error("an encoded `.`, `/` or backslash in the path is refused, once or twice encoded")]
    Encoded,
    #[error("a `%` in the path must begin the percent-encoding of UTF-8 text without control characters")]
    BadEncoding,
    #[error("the path does not come out of URL parsing as it went in")]
    Changed,
    #[error("the alias's url must be http or https, with a host and without user, query and fragment")]
    BadBase,
}

/// The URL of a plugin's `path_and_query` under `base`.
///
/// Scheme, host, port and the path of `base` are kept; anything that could make a difference to them is refused.
pub fn join(base: &Url, path_and_query: &str) -> Result<Url, PathRefused> {
    check_base(base)?;
    check_characters(path_and_query)?;
    let path = path_of(path_and_query);
    path.split('/').skip(1).try_for_each(check_segment)?;
    let inner = path.strip_suffix('/').unwrap_or(path);
    if inner.split('/').skip(1).any(str::is_empty) {
        return Err(PathRefused::EmptySegment);
    }

    let prefix = base.path().trim_end_matches('/');
    let joined = Url::parse(&format!("{}{prefix}{path_and_query}", &base[..Position::BeforePath])).map_err(|_| PathRefused::Changed)?;
    let same_place = joined[..Position::BeforePath] == base[..Position::BeforePath];
    let same_path = joined.path().strip_prefix(prefix) == Some(path);
    if same_place && same_path && joined.fragment().is_none() { Ok(joined) } else { Err(PathRefused::Changed) }
}

/// The path in a path and query.
pub fn path_of(path_and_query: &str) -> &str {
    path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path)
}

/// Whether a binding with `allow` lets `method` and `path` (without query) through. An empty list lets everything through.
pub fn allowed(allow: &[Allow], method: &str, path: &str) -> bool {
    allow.is_empty() || allow.iter().any(|rule| rule.lets(method, path))
}

fn check_base(base: &Url) -> Result<(), PathRefused> {
    let plain = base.username().is_empty() && base.password().is_none() && base.query().is_none() && base.fragment().is_none();
    if matches!(base.scheme(), "http" | "https") && base.has_host() && plain { Ok(()) } else { Err(PathRefused::BadBase) }
}

fn check_characters(text: &str) -> Result<(), PathRefused> {
    if text.len() > PATH_BYTES_MAX {
        return Err(PathRefused::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(PathRefused::Characters);
    }
    if text.contains('\\') {
        return Err(PathRefused::Backslash);
    }
    if text.contains('#') {
        return Err(PathRefused::Fragment);
    }
    if !text.starts_with('/') {
        return Err(PathRefused::NotAbsolute);
    }
    Ok(())
}

/// One segment: once decoded it must be text, hold nothing that structures a path, and not be a dot segment.
fn check_segment(segment: &str) -> Result<(), PathRefused> {
    let encoded_well = segment.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    if !encoded_well {
        return Err(PathRefused::BadEncoding);
    }
    if has_encoded_structure(segment) {
        return Err(PathRefused::Encoded);
    }
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| PathRefused::BadEncoding)?;
    if has_encoded_structure(&decoded) {
        return Err(PathRefused::Encoded);
    }
    if decoded.chars().any(char::is_control) {
        return Err(PathRefused::BadEncoding);
    }
    // A server that decodes first and takes apart then sees its end at a `?` or `#`, too.
    let name = decoded.split([';', '?', '#']).next().unwrap_or_default();
    if matches!(name, "." | "..") { Err(PathRefused::DotSegment) } else { Ok(()) }
}

fn has_encoded_structure(text: &str) -> bool {
    if !text.contains('%') {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    ["%2e", "%2f", "%5c"].iter().any(|code| lower.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://crm.example:8443/services/data/v60.0";

    fn joined(path: &str) -> Result<String, PathRefused> {
        join(&BASE.parse().unwrap(), path).map(String::from)
    }

    #[test]
    fn refuses_hostile_spellings() {
        use PathRefused::*;
        for (path, why) in [
            ("", NotAbsolute),
            ("accounts", NotAbsolute),
            ("@evil.example/", NotAbsolute),
            (":80@evil.example/", NotAbsolute),
            (".evil.example/", NotAbsolute),
            ("?x=1", NotAbsolute),
            ("https://evil.example/", NotAbsolute),
            ("javascript:alert(1)", NotAbsolute),
            ("//evil.example/", EmptySegment),
            ("///evil.example/", EmptySegment),
            ("//user@evil.example/", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/\\evil.example/", Backslash),
            ("\\\\evil.example\\", Backslash),
            ("/a\\..\\b", Backslash),
            ("/a?b=\\", Backslash),
            ("/..", DotSegment),
            ("/../", DotSegment),
            ("/../../admin", DotSegment),
            ("/a/../../../admin", DotSegment),
            ("/.", DotSegment),
            ("/a/./b", DotSegment),
            ("/..;/admin", DotSegment),
            ("/a/..;x=1/b", DotSegment),
            ("/%2e%2e/admin", Encoded),
            ("/%2E%2E/admin", Encoded),
            ("/.%2e/admin", Encoded),
            ("/%2e", Encoded),
            ("/a%2fb", Encoded),
            ("/a%2Fb", Encoded),
            ("/a%5cb", Encoded),
            ("/%252e%252e/admin", Encoded),
            ("/a%252fb", Encoded),
            ("/a%255Cb", Encoded),
            ("/%25%32%65%25%32%65/admin", Encoded),
            ("/%c0%ae%c0%ae/admin", BadEncoding),
            ("/%c0%af", BadEncoding),
            ("/%e0%80%af", BadEncoding),
            ("/a%00b", BadEncoding),
            ("/a%0d%0aX:1", BadEncoding),
            ("/a%", BadEncoding),
            ("/a%2", BadEncoding),
            ("/a%zz", BadEncoding),
            ("/a%u002e", BadEncoding),
            ("/a#b", Fragment),
            ("/a?b#c", Fragment),
            ("/a b", Characters),
            ("/a\tb", Characters),
            ("/a\r\nHost: evil.example", Characters),
            ("/.\t./admin", Characters),
            ("/\u{0}", Characters),
            ("/ä", Characters),
            ("/\u{ff0e}\u{ff0e}/", Characters),
            ("/a?b=ü", Characters),
            ("/a<b", Changed),
            ("/a\"b", Changed),
            ("/{a}", Changed),
        ] {
            assert_eq!(joined(path), Err(why), "{path:?}");
        }
        assert_eq!(joined(&format!("/{}", "a".repeat(PATH_BYTES_MAX))), Err(TooLong));
    }

    #[test]
    fn keeps_what_is_honest_byte_for_byte() {
        for path in [
            "/",
            "/sobjects/Account",
            "/sobjects/Account/",
            "/sobjects/Account/Ext__c/1%201",
            "/@scope/name",
            "/users/me@acme.example",
            "/a:b,c;v=1/~d/$e/!f*(g)'h+i=j",
            "/%E2%82%AC",
            "/100%25",
            "/.well-known/x",
            "/a..b/...",
            "/query?q=SELECT+Id&x=%2e%2e%2f&url=https://other.example//../",
            "/a?",
            "/a??b=/..//",
        ] {
            assert_eq!(joined(path).as_deref(), Ok(format!("{BASE}{path}").as_str()), "{path:?}");
        }
        // The query cannot reach what comes before it, so the parser may encode in it.
        assert_eq!(joined("/q?x='1'").as_deref(), Ok(format!("{BASE}/q?x=%271%27").as_str()));
    }

    #[test]
    fn a_base_without_a_path_or_with_a_slash_at_its_end_is_the_same() {
        for base in ["http://h.example", "http://h.example/"] {
            assert_eq!(join(&base.parse().unwrap(), "/a").unwrap().as_str(), "http://h.example/a");
        }
        assert_eq!(join(&"http://h.example/b/".parse().unwrap(), "/a").unwrap().as_str(), "http://h.example/b/a");
    }

    #[test]
    fn refuses_a_base_that_is_more_than_a_place() {
        for base in
            ["http://u:p@h.example/", "http://u@h.example/", "http://h.example/?k=1", "http://h.example/#f", "ftp://h.example/", "data:x"]
        {
            assert_eq!(join(&base.parse().unwrap(), "/a"), Err(PathRefused::BadBase), "{base}");
        }
    }

    #[test]
    fn an_allow_list_lets_through_what_it_names_only() {
        let allow = [rule("POST", "/v2/quote"), rule("GET", "/v2/rates/*")];
        for (method, path, expected) in [
            ("POST", "/v2/quote", true),
            ("GET", "/v2/quote", false),
            ("post", "/v2/quote", false),
            ("POST", "/v2/quote/", false),
            ("POST", "/v2/quotes", false),
            ("POST", "/V2/quote", false),
            ("GET", "/v2/rates/eur", true),
            ("GET", "/v2/rates/eur/today", true),
            ("GET", "/v2/rates/", true),
            ("GET", "/v2/rates", false),
            ("GET", "/v2/ratesx", false),
            ("DELETE", "/v2/rates/eur", false),
        ] {
            assert_eq!(allowed(&allow, method, path), expected, "{method} {path}");
        }
        assert!(allowed(&[], "DELETE", "/anything"));
        assert!(allowed(&[rule("GET", "/*")], "GET", "/anything"));
    }

    fn rule(method: &str, path: &str) -> Allow {
        Allow { method: method.to_owned(), path: path.to_owned() }
    }

    /// What the WHATWG parser makes of a joined path is where the base leads, and nowhere else.
    fn stays(base: &str, path: &str) {
        let base: Url = base.parse().unwrap();
        let Ok(joined) = join(&base, path) else { return };
        // Read again from what is sent.
        let sent: Url = joined.as_str().parse().unwrap();
        assert_eq!((sent.scheme(), sent.host(), sent.port_or_known_default()), (base.scheme(), base.host(), base.port_or_known_default()));
        assert!(sent.username().is_empty() && sent.password().is_none() && sent.fragment().is_none(), "{path:?}: {sent}");
        let below = sent.path().strip_prefix(base.path().trim_end_matches('/')).unwrap_or_else(|| panic!("{path:?}: {sent}"));
        assert!(below.starts_with('/') && !sent.path().contains("//"), "{path:?}: {sent}");
        // Nor would a server that decodes once more, or takes a backslash for a slash, leave the base.
        let decoded = percent_decode_str(below).decode_utf8().unwrap().replace('\\', "/");
        let again = base.join(&format!("{}{decoded}", base.path().trim_end_matches('/')));
        assert!(again.is_ok_and(|again| again.path().starts_with(base.path()) && again.host() == base.host()), "{path:?}: {decoded}");
    }

    const BASES: [&str; 4] = [BASE, "http://10.0.0.1/", "https://[2606:4700::1111]:444/api/", "https://h.example/a;b/c@d"];

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(2_000))]

        #[test]
        fn whatever_is_let_through_stays_under_the_base(path in "[/.%2eEfF5cC;@:?#\\\\a-c]{0,24}") {
            BASES.iter().for_each(|base| stays(base, &format!("/{path}")));
        }

        #[test]
        fn no_text_at_all_leaves_the_base(path in "\\PC{0,40}", bytes in proptest::collection::vec(0..=255_u8, 0..40)) {
            BASES.iter().for_each(|base| stays(base, &path));
            BASES.iter().for_each(|base| stays(base, &String::from_utf8_lossy(&bytes)));
        }

        #[test]
        fn nor_does_any_row_of_what_attackers_try(parts in proptest::collection::vec(0..ATTEMPTS.len(), 0..8)) {
            let path: String = parts.into_iter().map(|part| ATTEMPTS[part]).collect();
            BASES.iter().for_each(|base| stays(base, &path));
        }
    }

    const ATTEMPTS: [&str; 32] = [
        "/",
        "//",
        "/..",
        "/../",
        "/./",
        "..;/",
        "%2e",
        "%2E%2e",
        "%252e",
        "%2f",
        "%252F",
        "%5c",
        "\\",
        "@",
        "@evil.example",
        ":",
        ":80",
        "?",
        "#",
        "%23",
        "%3f",
        "%00",
        "%0d%0a",
        "\r\n",
        "\t",
        "https://evil.example",
        "evil.example",
        "a",
        "%c0%ae",
        "%u002e",
        "\u{ff0e}",
        ";x=..",
    ];
}
