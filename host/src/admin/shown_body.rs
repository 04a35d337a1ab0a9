//! A message's body in JSON: as text where it is text, else in base64, and only so much of it unless all is asked for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

/// What is shown of a body unless `?body=full`.
pub const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// A body as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShownBody {
    /// The body's bytes in all.
    pub bytes: usize,
    /// How `body` is to be read.
    pub encoding: Encoding,
    pub body: String,
    /// Whether `body` is only the beginning.
    pub truncated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    Utf8,
    Base64,
}

impl ShownBody {
    /// `body`, all of it if `full`.
    pub fn of(body: &Bytes, full: bool) -> Self {
        let shown = if full { body } else { &body[..body.len().min(SHOWN_BYTES_MAX)] };
        // Whether it is text is a property of the whole body; a cut must not go through a character.
        let (encoding, text, shown_bytes) = match std::str::from_utf8(body) {
            Ok(text) => {
                let end = text.floor_char_boundary(shown.len());
                (Encoding::Utf8, text[..end].to_owned(), end)
            }
            Err(_) => (Encoding::Base64, STANDARD.encode(shown), shown.len()),
        };
        Self { bytes: body.len(), encoding, body: text, truncated: shown_bytes < body.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_bytes_that_are_not_text_in_base64() {
        let shown = ShownBody::of(&Bytes::from_static(&[0xff, 0x00]), false);
        assert_eq!(
            serde_json::to_value(shown).unwrap(),
            serde_json::json!({ "bytes": 2, "encoding": "base64", "body": "/wA=", "truncated": false })
        );
    }

    #[test]
    fn cuts_large_bodies_between_characters_unless_all_is_asked_for() {
        let body = Bytes::from(format!("a{}", "é".repeat(SHOWN_BYTES_MAX)));
        let shown = ShownBody::of(&body, false);
        assert_eq!((shown.body.len(), shown.truncated, shown.encoding), (SHOWN_BYTES_MAX - 1, true, Encoding::Utf8));
        assert!(body.starts_with(shown.body.as_bytes()));
        let full = ShownBody::of(&body, true);
        assert_eq!((full.body.len(), full.truncated), (body.len(), false));
    }
}
