//! Blanking: wherever an answer echoes a credential, `[blanked]` stands instead. Pure; depends on nothing.
//!
//! A credential is looked for as it is and in the spellings servers echo: base64, hex, percent-encoded, escaped in JSON.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What stands where a credential was.
pub const BLANKED: &str = "[blanked]";

/// Shorter values are not looked for: a secret of three letters would blank half of every answer, and protects nothing.
const SECRET_BYTES_MIN: usize = 4;

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
        let Some(search) = self.0.as_ref().filter(|search| search.is_match(&bytes[..])) else { return bytes };
        let mut clean = Vec::with_capacity(bytes.len());
        search.replace_all_with_bytes(&bytes, &mut clean, |_, _, clean| {
            clean.extend_from_slice(BLANKED.as_bytes());
            true
        });
        clean.into()
    }

    /// `text` without credentials.
    pub fn blank_text(&self, text: String) -> String {
        match &self.0 {
            Some(search) if search.is_match(&text) => String::from_utf8_lossy(&self.blank(Bytes::from(text))).into_owned(),
            _ => text,
        }
    }
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
