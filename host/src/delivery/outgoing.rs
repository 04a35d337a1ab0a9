//! From what plugins give back to messages: the carried message between steps, children of a fan-out, channel appends.
//!
//! Pure. Every id made here is derived, so that doing it again makes nothing twice.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::catalog::{Catalog, Runnable};
use crate::clock::Timestamp;
use crate::integration::Sink;
use crate::message::{self, Message, MessageId};
use crate::message_store::{Append, AppendedMessage, Dedup, Leased, Stage};
use crate::plugin::{Draft, QueueSend};

/// How long a `dedup-token` of the queue capability is remembered.
const QUEUE_DEDUP_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Of a draft that names none.
pub const UNKNOWN_CONTENT_TYPE: &str = "application/octet-stream";

/// What the next plugin is shown: the draft's content under the message's identity.
pub fn carry(message: &Message, draft: Draft) -> Arc<Message> {
    Arc::new(with_draft(message, message.id, message.parent, message.origin.clone(), message.accepted_at, draft))
}

/// The messages that replace a delivery that became several.
pub fn children(leased: &Leased, carried: &[Arc<Message>], now: Timestamp) -> Vec<Message> {
    let parent = &leased.message;
    carried
        .iter()
        .zip(0_u32..)
        .map(|(content, ordinal)| Message {
            id: parent.id.derive(&leased.integration, "child", ordinal, leased.replay),
            parent: Some(parent.id),
            origin: format!("fan-out {}", leased.integration),
            accepted_at: now,
            ..Message::clone(content)
        })
        .collect()
}

/// The append that delivers to a channel; none where the sink is a plugin. A message that nothing changed is appended as it is.
pub fn sink_append(catalog: &Catalog, runnable: &Runnable, leased: &Leased, content: &Message, now: Timestamp) -> Option<Append> {
    let Sink::Channel(channel) = &runnable.integration.sink else { return None };
    let unchanged = leased.stage == Stage::Sink || runnable.steps.is_empty();
    let message = if unchanged {
        content.clone()
    } else {
        let id = content.id.derive(&leased.integration, &format!("channel {channel}"), 0, leased.replay);
        Message { id, parent: Some(content.id), origin: format!("channel {channel}"), accepted_at: now, ..content.clone() }
    };
    let to = To { catalog, writer: &leased.integration, channel };
    Some(append(to, message, unchanged, None, now))
}

/// On whose behalf a call sent to channels.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    pub integration: &'a str,
    /// What the call was about: the ids of what it sent follow from this one's.
    pub about: &'a Message,
    /// The message they were made from; none for a poll, which is about none.
    pub parent: Option<MessageId>,
    pub replay: u32,
}

/// The appends of a call's queue sends.
pub fn queue_appends(catalog: &Catalog, by: Sending<'_>, sends: Vec<QueueSend>, now: Timestamp) -> Vec<Append> {
    sends
        .into_iter()
        .zip(0_u32..)
        .map(|(send, ordinal)| {
            let id = by.about.id.derive(by.integration, &format!("queue {}", send.channel), ordinal, by.replay);
            let message = with_draft(by.about, id, by.parent, format!("channel {}", send.channel), now, send.draft);
            let dedup = send.dedup_token.map(|token| Dedup {
                scope: format!("channel {}", send.channel),
                token: Sha256::digest(token.as_bytes()).into(),
                expires_at: now.plus(QUEUE_DEDUP_FOR),
            });
            let due_at = send.delay.map_or(now, |delay| now.plus(delay));
            append(To { catalog, writer: by.integration, channel: &send.channel }, message, false, dedup, due_at)
        })
        .collect()
}

/// Who writes where.
struct To<'a> {
    catalog: &'a Catalog,
    writer: &'a str,
    channel: &'a str,
}

fn append(to: To<'_>, message: Message, exists: bool, dedup: Option<Dedup>, due_at: Timestamp) -> Append {
    let To { catalog, writer, channel } = to;
    let deliveries = catalog.channel_deliveries(writer, channel, &message, due_at);
    let message = if exists { AppendedMessage::Existing(message.id) } else { AppendedMessage::New(Arc::new(message)) };
    Append { message, channel: channel.to_owned(), dedup, due_at, deliveries }
}

fn with_draft(of: &Message, id: MessageId, parent: Option<MessageId>, origin: String, accepted_at: Timestamp, draft: Draft) -> Message {
    let mut tracked = Vec::new();
    message::track(&mut tracked, draft.tracked);
    let content_type = if draft.content_type.is_empty() { UNKNOWN_CONTENT_TYPE.to_owned() } else { draft.content_type };
    Message { id, parent, key: of.key.clone(), content_type, headers: draft.headers, body: draft.body, tracked, origin, accepted_at }
}
