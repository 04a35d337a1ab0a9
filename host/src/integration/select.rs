//! [`Selector`]: how an integration file points at a part of a message: `header:X-Topic`, `json:/customer/id`, `body`.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::message::Headers;

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

fn child<'a>(value: &'a RawValue, token: &str) -> Option<&'a RawValue> {
    match value.get().as_bytes().first() {
        Some(b'{') => serde_json::from_str::<HashMap<std::borrow::Cow<'a, str>, &'a RawValue>>(value.get()).ok()?.remove(token),
        Some(b'[') => {
            let index: usize = token.parse().ok()?;
            serde_json::from_str::<Vec<&'a RawValue>>(value.get()).ok()?.get(index).copied()
        }
        _ => None,
    }
}
