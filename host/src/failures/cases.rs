//! What is tried: [`Case`]. Pure.

use super::field::{Bent, Field};
use super::trouble::Trouble;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Case {
    Outside(Trouble),
    /// Its sender sends it again.
    SentTwice,
    /// The host is stopped while a request is under way, and started again.
    Stopped,
    /// The messages come in another order.
    Reordered,
    /// As large as a message may be.
    SizeLimit,
    Body(Spoilt),
    Field(Field, Bent),
}

impl Case {
    /// What it is called in reports.
    pub fn title(&self) -> String {
        match self {
            Self::Outside(trouble) => trouble.title(),
            Self::SentTwice => "duplicate: sent twice by its sender".into(),
            Self::Stopped => "redelivery: host stopped while a request is under way".into(),
            Self::Reordered => "messages in another order".into(),
            Self::SizeLimit => "message at the size limit".into(),
            Self::Body(spoilt) => format!("message {}", spoilt.as_str()),
            Self::Field(_, bent) => format!("field {}", bent.as_str()),
        }
    }
}

/// A message that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoilt {
    Half,
    Html,
    Empty,
    NotUtf8,
}

impl Spoilt {
    pub const ALL: [Self; 4] = [Self::Half, Self::Html, Self::Empty, Self::NotUtf8];

    /// What it is called in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Half => "cut in half",
            Self::Html => "that is a page of HTML",
            Self::Empty => "without a body",
            Self::NotUtf8 => "with bytes that are no UTF-8",
        }
    }

    /// The body instead of `body`.
    pub fn of(self, body: &[u8]) -> Vec<u8> {
        let (half, rest) = body.split_at(body.len() / 2);
        match self {
            Self::Half => half.to_vec(),
            Self::Html => b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>".to_vec(),
            Self::Empty => Vec::new(),
            Self::NotUtf8 => [half, &[0xff, 0xfe], rest].concat(),
        }
    }
}
