//! Bodies as they are shown: [`Body`], as text where they are UTF-8, else as bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Serialize, Serializer};

/// A body, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    Text(String),
    #[serde(rename = "base64", serialize_with = "base64")]
    Binary(Bytes),
}

impl Body {
    /// `bytes`; where `cut`, they may end within a character, whose part is dropped.
    pub(super) fn of(bytes: Vec<u8>, cut: bool) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => {
                let broken = error.utf8_error();
                let mut bytes = error.into_bytes();
                if cut && broken.error_len().is_none() {
                    bytes.truncate(broken.valid_up_to());
                }
                String::from_utf8(bytes).map_or_else(|error| Self::Binary(error.into_bytes().into()), Self::Text)
            }
        }
    }

    /// The bytes of it.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

fn base64<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_text_only_where_all_of_it_is() {
        assert_eq!(Body::of(b"a\xff".to_vec(), false), Body::Binary(Bytes::from_static(b"a\xff")));
        assert_eq!(Body::of(b"a\xc3".to_vec(), false), Body::Binary(Bytes::from_static(b"a\xc3")), "half a character is not text");
        assert_eq!(Body::of(b"a\xff\xc3".to_vec(), true), Body::Binary(Bytes::from_static(b"a\xff\xc3")));
        assert_eq!(Body::of("aé".into(), false), Body::Text("aé".into()));
    }

    #[test]
    fn a_cut_within_a_character_leaves_text() {
        assert_eq!(Body::of(b"a\xc3".to_vec(), true), Body::Text("a".into()));
        assert_eq!(Body::of("aé".into(), true), Body::Text("aé".into()));
    }

    #[test]
    fn says_which_of_both_it_is() {
        let json = |body: &Body| serde_json::to_value(body).unwrap();
        assert_eq!(json(&Body::Text("1".into())), serde_json::json!({ "text": "1" }));
        assert_eq!(json(&Body::Binary(Bytes::from_static(&[0xff, 0]))), serde_json::json!({ "base64": "/wA=" }));
    }
}
