//! A message put in by a person: it enters as if it had come through its integration's first source, unverified,
//! since the person has proved who they are to the admin API.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::answer::Refusal;
use super::dedup;
use super::headers::{kept_headers, media_type};
use super::receive::{Entering, Intake, Receipt};
use crate::message::{Message, MessageId};
use crate::problem::Code;

/// The origin of such a message.
pub(super) const ORIGIN: &str = "send";

/// What [`Intake::put_by_hand`] takes.
#[derive(Clone, Debug)]
pub struct ByHand {
    pub integration: String,
    /// The request's headers; selectors of the source find what they find in them.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether it may be taken for one that came before. A person who sends a file twice mostly means it.
    pub dedup: bool,
}

impl Intake {
    /// Takes a message for one integration, whatever its source's `when` says.
    ///
    /// # Errors
    /// 404 for an integration that is not active, 415, 429 and 503 as for any message.
    pub async fn put_by_hand(&self, by_hand: ByHand) -> Result<Receipt, Refusal> {
        self.check_open()?;
        let routes = self.routes();
        let missing = || Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("no integration {} is active", by_hand.integration));
        let integration = routes.integration(&by_hand.integration).ok_or_else(missing)?;
        let source = integration.sources.first().ok_or_else(missing)?;
        let now = self.parts.clock.now();
        let headers = kept_headers(&by_hand.headers, None);
        let dedup = by_hand.dedup.then(|| dedup::token(source.entry.origin(), &source.id, None, &headers, &by_hand.body, now));
        let message = Message {
            id: MessageId::new(now, self.parts.random.as_ref()),
            parent: None,
            key: None,
            content_type: media_type(&by_hand.headers)?,
            headers,
            body: by_hand.body,
            tracked: Vec::new(),
            origin: ORIGIN.to_owned(),
            accepted_at: now,
        };
        self.take(Entering { message, dedup, readers: vec![(integration, source)], proved_by: None }).await
    }
}
