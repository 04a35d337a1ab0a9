//! A message's body in an answer: only so much of it unless all is asked for.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use serde::Serialize;

use super::parameters::{Parameters, named, wrong};
use crate::ingress::answer::Refusal;
use crate::message_store::sqlite::ledger::{Body, Timeline};

/// What is shown of a body unless `?body=full`.
pub const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// A message and all that happened to it, its body cut.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    #[serde(flatten)]
    timeline: Timeline,
    /// Whether `body` is only the beginning; `body-bytes` is the length of all of it.
    body_truncated: bool,
}

impl Shown {
    /// `timeline` with all of the body if `full`, else with its first 64 KiB.
    pub fn of(mut timeline: Timeline, full: bool) -> Self {
        let body_truncated = !full && cut(&mut timeline.body);
        Self { timeline, body_truncated }
    }
}

/// Which one is asked for, by the id in the path, and whether with all of its body.
///
/// # Errors
/// 400 for a path that is not UTF-8 and for any other parameter.
pub fn asked(id: Result<Path<String>, PathRejection>, request: &Request) -> Result<(String, bool), Refusal> {
    let mut query = Parameters::parse(request.uri().query());
    let full = is_full(&mut query)?;
    query.finish()?;
    Ok((named(id)?, full))
}

/// Takes `?body=full` from a query.
///
/// # Errors
/// 400 for any other value.
fn is_full(query: &mut Parameters) -> Result<bool, Refusal> {
    match query.one("body")?.as_deref() {
        None => Ok(false),
        Some("full") => Ok(true),
        Some(other) => Err(wrong(format!("`body={other}`: expected `full`"))),
    }
}

/// Cuts between characters, and between groups of base64. Says whether there was more.
fn cut(body: &mut Body) -> bool {
    let (text, end) = match body {
        Body::Text(text) => {
            let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
            (text, end)
        }
        Body::Base64(text) => {
            let end = text.len().min(SHOWN_BYTES_MAX / 3 * 4);
            (text, end)
        }
    };
    let more = end < text.len();
    text.truncate(end);
    more
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn cuts_text_between_characters() {
        let whole = format!("a{}", "é".repeat(SHOWN_BYTES_MAX));
        let mut body = Body::Text(whole.clone());
        assert!(cut(&mut body));
        let Body::Text(text) = body else { panic!("{body:?}") };
        assert_eq!(text.len(), SHOWN_BYTES_MAX - 1);
        assert!(whole.starts_with(&text));
    }

    #[test]
    fn cuts_base64_where_it_can_still_be_decoded() {
        let whole = vec![0xfe; SHOWN_BYTES_MAX + 10];
        let mut body = Body::Base64(STANDARD.encode(&whole));
        assert!(cut(&mut body));
        let Body::Base64(text) = body else { panic!("{body:?}") };
        assert_eq!(STANDARD.decode(text).unwrap(), whole[..SHOWN_BYTES_MAX / 3 * 3]);
    }

    #[test]
    fn leaves_small_bodies_as_they_are() {
        for body in [Body::Text("é".into()), Body::Base64("/wA=".into())] {
            let mut cut_body = body.clone();
            assert!(!cut(&mut cut_body));
            assert_eq!(cut_body, body);
        }
    }
}
