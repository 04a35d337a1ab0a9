//! [`Exchange`]: the bodies of one request a plugin sent, for the ledger, within bounds. What else is known of a request stands in
//! the attempt's trace.
//!
//! Depends on nothing. No credential comes here: the host adds it to headers and URL on the way out, and blanks it in answers before.

use bytes::Bytes;

/// What is kept of a body; of a longer one its beginning.
pub const KEPT_BODY_BYTES_MAX: usize = 64 * 1024;
/// What is kept of the bodies of one attempt, all together; of those that come after it, their length.
pub const KEPT_ATTEMPT_BYTES_MAX: usize = 1024 * 1024;
/// Exchanges kept of one attempt.
pub const EXCHANGES_PER_ATTEMPT_MAX: usize = 4096;
const CONTENT_TYPE_BYTES_MAX: usize = 256;

/// What was sent and what was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    pub sent: KeptBody,
    /// None where no answer came.
    pub answer: Option<KeptBody>,
}

impl Exchange {
    /// Bytes it holds.
    pub fn kept_bytes(&self) -> usize {
        self.sent.beginning.len() + self.answer.as_ref().map_or(0, |answer| answer.beginning.len())
    }

    /// Cuts it to what is left of `room`, and takes that from `room`.
    pub fn fit(&mut self, room: &mut usize) {
        for body in std::iter::once(&mut self.sent).chain(&mut self.answer) {
            body.beginning.truncate(*room);
            *room -= body.beginning.len();
        }
    }
}

/// A body, or the beginning of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptBody {
    pub content_type: Option<String>,
    pub beginning: Bytes,
    /// Bytes of all of it.
    pub bytes: u64,
}

impl KeptBody {
    /// The beginning of `body`: shared where that is all of it, copied where the rest need not be held for it.
    pub fn of(headers: &[(String, String)], body: &Bytes) -> Self {
        let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| {
            let end = value.floor_char_boundary(CONTENT_TYPE_BYTES_MAX);
            value[..end].to_owned()
        });
        let beginning = body.get(..KEPT_BODY_BYTES_MAX).map_or_else(|| body.clone(), Bytes::copy_from_slice);
        Self { content_type, beginning, bytes: u64::try_from(body.len()).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_beginning_of_a_long_body_and_says_how_long_it_was() {
        let long = Bytes::from(vec![b'x'; KEPT_BODY_BYTES_MAX + 1]);
        let kept = KeptBody::of(&[("Content-Type".into(), "text/plain".into())], &long);
        assert_eq!((kept.beginning.len(), kept.bytes), (KEPT_BODY_BYTES_MAX, 65_537));
        assert_eq!(kept.content_type.as_deref(), Some("text/plain"));
        let header = KeptBody::of(&[("content-type".into(), "é".repeat(1000))], &Bytes::new());
        assert_eq!(header.content_type.map(|value| value.len()), Some(CONTENT_TYPE_BYTES_MAX));
    }

    #[test]
    fn keeps_no_more_than_there_is_room_for() {
        let body = KeptBody::of(&[], &Bytes::from_static(b"0123456789"));
        let mut exchange = Exchange { sent: body.clone(), answer: Some(body) };
        let mut room = 12;
        exchange.fit(&mut room);
        assert_eq!((exchange.kept_bytes(), room), (12, 0));
        assert_eq!(exchange.answer.map(|answer| (answer.beginning, answer.bytes)), Some((Bytes::from_static(b"01"), 10)));
    }
}
