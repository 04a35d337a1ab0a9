//! [`Selector`]: how an integration file points at a part of a message: `header:X-Topic`, `json:/customer/id`, `body`.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::{Headers, KEY_BYTES_MAX, Key};

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// A header, by its lower-case name.
    Header(String),
    /// A value in a JSON body, by JSON pointer (RFC 6901).
    Json(String),
    /// The whole body.
    Body,
}

/// Why a selector found nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    #[error("header {0} is not there")]
    NoHeader(String),
    #[error("{0} is not there")]
    NoField(String),
    #[error("{0} is null")]
    Null(String),
    #[error("{0} is an object or a list; a text, number or boolean is needed")]
    NotScalar(String),
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("{0} is empty")]
    Empty(String),
    #[error("{0} has {1} bytes; {KEY_BYTES_MAX} are the most a key may have")]
    TooLong(String, usize),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "body" {
            return Ok(Self::Body);
        }
        if let Some(name) = text.strip_prefix("header:") {
            return http::HeaderName::from_str(name)
                .map(|name| Self::Header(name.as_str().to_owned()))
                .map_err(|_| format!("`{name}` is not a header name"));
        }
        match text.strip_prefix("json:") {
            Some(pointer) if pointer.starts_with('/') => Ok(Self::Json(pointer.to_owned())),
            Some(pointer) => Err(format!("a JSON pointer starts with `/`: json:/{pointer}")),
            None => Err("expected `header:<Name>`, `json:/<pointer>` or `body`".to_owned()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::Body => f.write_str("body"),
        }
    }
}

impl Selector {
    /// The part as text. Numbers are given digit by digit as the body has them, never through a double.
    pub fn find(&self, headers: &Headers, body: &[u8]) -> Result<String, NotFound> {
        let text = match self {
            Self::Header(name) => headers.get(name).map(str::to_owned).ok_or_else(|| NotFound::NoHeader(name.clone()))?,
            Self::Json(pointer) => json_text(pointer, body)?,
            Self::Body => return Ok(String::from_utf8_lossy(body).into_owned()),
        };
        if text.is_empty() { Err(NotFound::Empty(self.to_string())) } else { Ok(text) }
    }
}

impl Selector {
    /// The part as a key.
    pub fn find_key(&self, headers: &Headers, body: &[u8]) -> Result<Key, NotFound> {
        let text = self.find(headers, body)?;
        if text.len() > KEY_BYTES_MAX { Err(NotFound::TooLong(self.to_string(), text.len())) } else { Ok(Key(text)) }
    }
}

fn json_text(pointer: &str, body: &[u8]) -> Result<String, NotFound> {
    let not_json = |error: serde_json::Error| NotFound::NotJson(error.to_string());
    let mut value: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        value = child(value, &token).ok_or_else(|| NotFound::NoField(pointer.to_owned()))?;
    }
    match value.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(value.get()).map_err(not_json),
        Some(b'{' | b'[') => Err(NotFound::NotScalar(pointer.to_owned())),
        Some(b'n') => Err(NotFound::Null(pointer.to_owned())),
        _ => Ok(value.get().to_owned()),
    }
}

/// What `value` has under `token`: a member of an object, an item of a list. Nothing else of it is kept, so that a wide
/// body costs no more memory than it has bytes.
fn child<'a>(value: &'a RawValue, token: &str) -> Option<&'a RawValue> {
    let mut json = serde_json::Deserializer::from_str(value.get());
    match value.get().as_bytes().first() {
        Some(b'{') => json.deserialize_map(Member(token)).ok()?,
        Some(b'[') => json.deserialize_seq(Item(token.parse().ok()?)).ok()?,
        _ => None,
    }
}

/// Finds the member of an object with this name; of several, the last, as most parsers do.
struct Member<'t>(&'t str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = members.next_key_seed(Named(self.0))? {
            if wanted {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a member's name is this one. Names are taken as bytes: a half of a surrogate pair in one of them is no reason
/// not to find the others.
struct Named<'t>(&'t str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<bool, E> {
        Ok(name == self.0.as_bytes())
    }
}

/// Finds the item of a list at this place.
struct Item(usize);

impl<'de> Visitor<'de> for Item {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.0 {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = items.next_element()?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(selector: &str, body: &[u8]) -> Result<String, NotFound> {
        selector.parse::<Selector>().unwrap().find(&Headers::default(), body)
    }

    #[test]
    fn finds_nothing_in_what_is_not_json() {
        for body in [&b""[..], b"no", b"{\"a\":1} x", b"\xef\xbb\xbf{\"a\":1}", b"{\"a\":\"\xff\"}"] {
            assert!(matches!(found("json:/a", body), Err(NotFound::NotJson(_))), "{body:?}");
        }
    }

    #[test]
    fn says_what_is_there_instead() {
        let body = br#"{"a": {"b": [1]}, "n": null, "e": ""}"#;
        assert_eq!(found("json:/a/c", body), Err(NotFound::NoField("/a/c".into())));
        assert_eq!(found("json:/a/b/1", body), Err(NotFound::NoField("/a/b/1".into())));
        assert_eq!(found("json:/a/b/x", body), Err(NotFound::NoField("/a/b/x".into())));
        assert_eq!(found("json:/a", body), Err(NotFound::NotScalar("/a".into())));
        assert_eq!(found("json:/n", body), Err(NotFound::Null("/n".into())));
        assert_eq!(found("json:/e", body), Err(NotFound::Empty("json:/e".into())));
        assert_eq!(found("json:/e/f", body), Err(NotFound::NoField("/e/f".into())));
    }

    #[test]
    fn a_key_that_is_too_long_is_none() {
        let selector: Selector = "json:/a".parse().unwrap();
        let body = |length: usize| format!("{{\"a\":\"{}\"}}", "k".repeat(length)).into_bytes();
        assert_eq!(selector.find_key(&Headers::default(), &body(KEY_BYTES_MAX)).unwrap().0.len(), KEY_BYTES_MAX);
        let why = selector.find_key(&Headers::default(), &body(KEY_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(why.to_string(), "json:/a has 1025 bytes; 1024 are the most a key may have");
    }

    #[test]
    fn survives_depth_and_width() {
        let deep = [b"{\"a\":".repeat(100_000), b"1".to_vec(), b"}".repeat(100_000)].concat();
        assert_eq!(found("json:/a", &deep), Err(NotFound::NotScalar("/a".into())));
        let wide = format!("{{{}\"a\":7}}", "\"x\":[1,2],".repeat(100_000));
        assert_eq!(found("json:/a", wide.as_bytes()), Ok("7".into()));
    }

    #[test]
    fn half_a_surrogate_pair_elsewhere_is_no_reason_not_to_find_a_field() {
        assert_eq!(found("json:/a/1", br#"{"\ud800": "\udfff", "a": ["\ud800", 5]}"#), Ok("5".into()));
        assert!(matches!(found("json:/a", br#"{"a": "\ud800"}"#), Err(NotFound::NotJson(_))));
    }

    #[test]
    fn gives_numbers_digit_by_digit_and_the_last_of_several_members() {
        let body = br#"{"big": 9007199254740993, "huge": 1e400, "a/b": {"~": "x"}, "twice": 1, "\u0074wice": 2, "0": true}"#;
        let all = ["json:/big", "json:/huge", "json:/a~1b/~0", "json:/twice", "json:/0"].map(|selector| found(selector, body).unwrap());
        assert_eq!(all, ["9007199254740993", "1e400", "x", "2", "true"]);
    }
}
