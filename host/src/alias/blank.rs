//! Blanking: wherever an answer echoes a credential, `[blanked]` stands instead. Pure; depends on `escaped` only.
//!
//! A credential is looked for as it is and in the spellings servers echo (base64, hex, form-encoded, escaped in JSON or HTML), in the
//! answer as it came and in what it is once its escapes are undone.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::escaped::{ENTITIES, Escaping, JSON, PERCENT};

/// What stands where a credential was.
pub const BLANKED: &str = "[blanked]";

/// Shorter values are not looked for: a secret of three letters would blank half of every answer, and protects nothing.
const SECRET_BYTES_MIN: usize = 4;

/// An answer with more echoes of a credential is one: all of it is blanked.
const ECHOES_MAX: usize = 10_000;

/// What may be undone in an answer, one upon the other: a URL, encoded once more on its way into another one, in a page, in JSON, in a page.
const ESCAPINGS: &[Escaping] = &[ENTITIES, JSON, ENTITIES, PERCENT, PERCENT];

/// Percent-encoding that leaves RFC 3986 section 2.3 unreserved characters alone.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Finds credentials in answers. Built once per credential.
pub struct Blanker(Option<AhoCorasick>);

impl std::fmt::Debug for Blanker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blanker")
    }
}

/// A secret too large to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is too large")]
pub struct TooLarge;

impl Blanker {
    /// One that looks for all of `secrets`.
    pub fn new(secrets: &[&[u8]]) -> Result<Self, TooLarge> {
        let worth_it = secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN);
        let needles: BTreeSet<Vec<u8>> = worth_it.flat_map(|secret| spellings(secret)).collect();
        if needles.is_empty() {
            return Ok(Self(None));
        }
        // The kind is fixed because the default makes a table of a kilobyte for each byte of a secret.
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostLongest).kind(Some(AhoCorasickKind::ContiguousNFA));
        builder.build(needles).map(|search| Self(Some(search))).map_err(|_| TooLarge)
    }

    /// Whether there is anything to look for.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// `bytes` without credentials; the same bytes where there are none.
    pub fn blank(&self, bytes: Bytes) -> Bytes {
        let Some(search) = &self.0 else { return bytes };
        match echoes(search, &bytes, ESCAPINGS) {
            None => Bytes::from_static(BLANKED.as_bytes()),
            Some(echoes) if echoes.is_empty() => bytes,
            Some(echoes) => without(&bytes, echoes),
        }
    }

    /// `text` without credentials.
    pub fn blank_text(&self, text: String) -> String {
        if self.is_idle() {
            return text;
        }
        String::from_utf8_lossy(&self.blank(Bytes::from(text))).into_owned()
    }
}

/// Where in `text` there are credentials, as it is and once `escapings` are undone; none where there are too many to say.
fn echoes(search: &AhoCorasick, text: &[u8], escapings: &[Escaping]) -> Option<Vec<Range<usize>>> {
    let mut found: Vec<_> = search.find_iter(text).take(ECHOES_MAX + 1).map(|found| found.range()).collect();
    if let [escaping, rest @ ..] = escapings {
        match escaping.undone(text) {
            // Nothing to undo: what is left to undo may be in the text itself.
            None => found.extend(echoes(search, text, rest)?),
            Some(plain) => found.extend(escaping.places(text, &echoes(search, &plain, rest)?)),
        }
    }
    let found = joined(found);
    (found.len() <= ECHOES_MAX).then_some(found)
}

/// The same in their order, those that meet as one.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut().filter(|last| range.start < last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => joined.push(range),
        }
    }
    joined
}

/// `text` with [`BLANKED`] in the place of each of `echoes`.
fn without(text: &[u8], echoes: Vec<Range<usize>>) -> Bytes {
    let mut clean = Vec::with_capacity(text.len());
    let mut done = 0;
    for echo in echoes {
        clean.extend_from_slice(&text[done..echo.start]);
        clean.extend_from_slice(BLANKED.as_bytes());
        done = echo.end;
    }
    clean.extend_from_slice(&text[done..]);
    clean.into()
}

fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = hex::encode(secret);
    let mut spellings = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for set in [NON_ALPHANUMERIC, RESERVED] {
        let encoded = percent_encode(secret, set).to_string();
        spellings.push(lower_percent(&encoded).into_bytes());
        spellings.push(encoded.into_bytes());
    }
    spellings.push(url::form_urlencoded::byte_serialize(secret).collect::<String>().into_bytes());
    if let Ok(text) = std::str::from_utf8(secret) {
        let json = serde_json::Value::from(text).to_string();
        let escaped = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
        spellings.push(escaped.as_bytes().to_vec());
        spellings.push(escaped.replace('/', "\\/").into_bytes());
        for (double, single) in [("&quot;", "&#39;"), ("&#34;", "&#39;"), ("&quot;", "&#x27;")] {
            let tags = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            spellings.push(tags.replace('"', double).replace('\'', single).into_bytes());
        }
    }
    spellings.extend(base64_spellings(secret));
    spellings
}

/// `%2F` as `%2f`, the rest as it is.
fn lower_percent(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_at_checked(2) {
        Some((code, rest)) => format!("{text}%{}{rest}", code.to_lowercase()),
        None => format!("{text}%{part}"),
    })
}

/// Base64 of the secret by itself, padded or not, and what any base64 text that holds the secret contains, at each of the three
/// alignments: the characters made of the secret's bits alone.
fn base64_spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut spellings = Vec::new();
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        let alone = engine.encode(secret);
        let padding = "=".repeat((4 - alone.len() % 4) % 4);
        spellings.push(format!("{alone}{padding}").into_bytes());
        spellings.push(alone.into_bytes());
        for before in 0..3 {
            let shifted = engine.encode([&[0; 2][..before], secret].concat());
            let first = (before * 8).div_ceil(6);
            let last = (before + secret.len()) * 8 / 6;
            let inner = shifted.get(first..last).unwrap_or_default();
            // Too little of a secret is common text.
            if inner.len() >= 8 {
                spellings.push(inner.as_bytes().to_vec());
            }
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SECRET: &str = "s3cr/t \"+ü?&=%";

    fn blanked(text: &str) -> String {
        Blanker::new(&[SECRET.as_bytes()]).unwrap().blank_text(text.to_owned())
    }

    #[test]
    fn blanks_a_secret_in_every_spelling_a_server_echoes() {
        for echo in [
            SECRET.to_owned(),
            STANDARD.encode(SECRET),
            URL_SAFE_NO_PAD.encode(SECRET),
            hex::encode(SECRET),
            hex::encode_upper(SECRET),
            percent_encode(SECRET.as_bytes(), NON_ALPHANUMERIC).to_string(),
            percent_encode(SECRET.as_bytes(), RESERVED).to_string(),
            lower_percent(&percent_encode(SECRET.as_bytes(), RESERVED).to_string()),
            url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect(),
            r#"s3cr/t \"+ü?&=%"#.to_owned(),
            r#"s3cr\/t \"+ü?&=%"#.to_owned(),
        ] {
            assert_eq!(blanked(&format!("a {echo} b {echo}")), "a [blanked] b [blanked]", "{echo}");
        }
    }

    #[test]
    fn blanks_a_secret_however_much_or_little_of_it_is_escaped() {
        let every_byte: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for echo in [
            "s3cr%2ft%20\"+%c3%bc?&=%25".to_owned(),
            "s3cr%2Ft \"%2B%C3%bC?%26=%25".to_owned(),
            every_byte.clone(),
            every_byte.replace('%', "%25"),
            every_byte.to_uppercase(),
            r#"s3cr/t \"\u002b\u00FC?\u0026=%"#.to_owned(),
            r#"\u0073\u0033\u0063\u0072\u002f\u0074\u0020\u0022\u002B\u00fc\u003f\u0026\u003D\u0025"#.to_owned(),
            r#"s3cr\/t%20\"%2Bü?&=%25"#.to_owned(),
            "s3cr/t &quot;+ü?&amp;=%".to_owned(),
            STANDARD.encode(SECRET).replace('=', "%3D").replace('/', "%2f"),
            hex::encode(SECRET).bytes().map(|byte| format!("%{byte:02X}")).collect(),
            SECRET.chars().map(|character| format!("\\u0026#{};", u32::from(character))).collect(),
            SECRET.chars().map(|character| format!("&#{:012};", u32::from(character))).collect(),
            SECRET.chars().map(|character| format!("&#{}", u32::from(character))).collect(),
        ] {
            assert_eq!(blanked(&format!("a {echo} b%20{echo}")), "a [blanked] b%20[blanked]", "{echo}");
        }
        assert_eq!(blanked("100% of s3cr%2 and \\u00"), "100% of s3cr%2 and \\u00", "what is no secret stays as it came");
    }

    #[test]
    fn an_answer_made_of_nothing_but_a_secret_is_blanked_as_one() {
        assert_eq!(blanked(&format!("{SECRET},").repeat(ECHOES_MAX + 1)), BLANKED);
        assert_eq!(blanked(&SECRET.repeat(3)), "[blanked][blanked][blanked]");
    }

    proptest::proptest! {
        #[test]
        fn no_mixture_of_escapes_hides_a_secret(ways in proptest::collection::vec(0..4_u8, SECRET.len()), before in ".{0,20}", after in ".{0,20}") {
            let echo: String = SECRET.chars().zip(ways).map(|(character, way)| {
                let mut bytes = [0; 4];
                let bytes = character.encode_utf8(&mut bytes).bytes();
                match way {
                    0 => bytes.map(|byte| format!("%{byte:02x}")).collect(),
                    1 => bytes.map(|byte| format!("%{byte:02X}")).collect(),
                    // What is no URL has to be escaped in one.
                    _ if character.is_ascii_alphanumeric() => character.to_string(),
                    _ => bytes.map(|byte| format!("%{byte:02X}")).collect(),
                }
            }).collect();
            let clean = blanked(&format!("{before} {echo} {after}"));
            proptest::prop_assert!(clean.contains(BLANKED), "{echo}: {clean}");
            proptest::prop_assert!(!clean.contains(&echo), "{echo}: {clean}");
        }
    }

    #[test]
    fn blanks_a_secret_inside_longer_base64_at_every_alignment() {
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "x", "xy"] {
                let echo = STANDARD.encode(format!("{before}{SECRET}{after}"));
                let clean = blanked(&echo);
                assert!(clean.contains(BLANKED), "{before} {after}: {clean}");
                // What is left is made of the bytes around the secret, and of the two at its edges.
                let around = STANDARD.encode([before, after].concat()).len() + 8;
                assert!(clean.len() <= BLANKED.len() + around, "{before} {after}: {clean}");
            }
        }
    }

    #[test]
    fn leaves_what_is_no_secret_alone_and_does_not_look_for_tiny_ones() {
        assert_eq!(blanked("nothing here"), "nothing here");
        let tiny = Blanker::new(&[b"a"]).unwrap();
        assert!(tiny.is_idle());
        assert_eq!(tiny.blank_text("banana".to_owned()), "banana");
    }

    #[test]
    fn a_secret_of_the_largest_size_is_still_looked_for() {
        let secret: Vec<u8> = (0..64 * 1024_u32).map(|n| (n * 7 % 251) as u8).collect();
        let blanker = Blanker::new(&[&secret]).unwrap();
        assert_eq!(blanker.blank(Bytes::from(secret)), BLANKED);
    }
}
