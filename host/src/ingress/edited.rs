//! A message that a person edited: it goes where the original went, under the key that its integration's rule finds in it.

use bytes::Bytes;
use http::StatusCode;

use super::answer::Refusal;
use super::receive::{Intake, key, tracked};
use crate::integration::{Entry, Integration, Source};
use crate::message::{Key, Message};
use crate::message_store::sqlite::ledger::{DeadLetterRow, Timeline};
use crate::message_store::{Edit, Lane, Stage, routing};
use crate::problem::Code;

/// Stands between where a message entered and who edited it.
const EDITED: &str = ", edited ";

/// What [`Intake::edited`] takes.
#[derive(Debug)]
pub struct Edited<'a> {
    pub letter: &'a DeadLetterRow,
    pub original: &'a Timeline,
    pub body: Bytes,
    pub content_type: String,
    /// By whom: the name of a token.
    pub by: &'a str,
}

impl Intake {
    /// The message that takes the place of a dead letter's, and the lane it stands in. At its steps it has the key and the tracked
    /// values that the rules of its source find in it; at the sink those of the original, as its plugins made them.
    ///
    /// # Errors
    /// 400 where it has no key and its integration orders by one: it would be parked again at once.
    pub fn edited(&self, edited: Edited<'_>) -> Result<(Message, Option<String>), Refusal> {
        let Edited { letter, original: Timeline { message: original, headers, .. }, body, content_type, by } = edited;
        let replay = u32::try_from(letter.replay).unwrap_or(u32::MAX).saturating_add(1);
        let (entered, _) = original.origin.split_once(EDITED).unwrap_or((&original.origin, ""));
        let mut headers = headers.clone();
        headers.0.iter_mut().filter(|(name, _)| name == "content-type").for_each(|(_, value)| value.clone_from(&content_type));
        let mut message = Message {
            id: Edit::id(letter.message, &letter.integration, letter.id, replay),
            parent: Some(original.id),
            key: original.key.clone().map(Key),
            content_type,
            headers,
            body,
            tracked: original.tracked.clone(),
            origin: format!("{entered}{EDITED}by {by}"),
            accepted_at: self.parts.clock.now(),
        };
        let routes = self.routes();
        let integration = routes.integration(&letter.integration).filter(|_| letter.stage == Stage::Steps);
        let Some((integration, source)) = integration.and_then(|integration| Some((integration, source_of(integration, entered)?))) else {
            return Ok((message, letter.lane.clone()));
        };
        let reader = [(integration.as_ref(), source)];
        message.key = key(&reader, &message).or(message.key);
        message.tracked = tracked(&reader, &message);
        match routing::delivery_for(integration, source, &message, message.accepted_at).lane {
            Lane::Free => Ok((message, None)),
            Lane::Key(lane) => Ok((message, Some(lane))),
            Lane::Unkeyed(why) => {
                let detail = format!("the edited body would be parked again as unkeyed: {why}");
                Err(Refusal::new(StatusCode::BAD_REQUEST, Code::InvalidEdit, detail))
            }
        }
    }
}

/// The source a message came through: the one it says, else a channel, on which a message keeps where it entered; what was put in
/// by hand came through the first.
fn source_of<'a>(integration: &'a Integration, entered: &str) -> Option<&'a Source> {
    let sources = &integration.sources;
    let said = |source: &&Source| source.entry.origin() == entered;
    let channel = |source: &&Source| entered != super::by_hand::ORIGIN && matches!(source.entry, Entry::Channel { .. });
    sources.iter().find(said).or_else(|| sources.iter().find(channel)).or(sources.first())
}
