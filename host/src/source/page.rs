//! From what a poll found to what the message store takes. Pure, but for the ids of messages.

use std::sync::Arc;

use super::Limits;
use super::trouble::Trouble;
use crate::clock::Timestamp;
use crate::delivery::UNKNOWN_CONTENT_TYPE;
use crate::integration::{Integration, Order, Source};
use crate::message::{self, KEY_BYTES_MAX, Key, Message, MessageId};
use crate::message_store::{Lane, NewDelivery, records, routing};
use crate::plugin::{Item, Page};
use crate::random::Random;

/// A cursor is read and written at every poll, and shown to people.
pub const CURSOR_BYTES_MAX: usize = 64 * 1024;

/// The source of an integration that was polled.
#[derive(Clone, Copy, Debug)]
pub struct Polled<'a> {
    pub integration: &'a Integration,
    pub source: &'a Source,
    pub now: Timestamp,
}

impl Polled<'_> {
    /// The messages of a page, each with its delivery.
    ///
    /// # Errors
    /// A cursor or a body over its limit, an item that nothing identifies. Nothing of such a page is taken: what is wrong with it would
    /// be lost if the cursor moved on.
    pub fn messages(&self, page: Page, limits: Limits, random: &dyn Random) -> Result<Vec<(Arc<Message>, NewDelivery)>, Trouble> {
        if page.cursor.len() > CURSOR_BYTES_MAX {
            let detail = format!("its cursor has {} bytes; {CURSOR_BYTES_MAX} are the most", page.cursor.len());
            return Err(Trouble::page("cursor-too-large", detail));
        }
        page.items.into_iter().zip(1..).map(|(item, number)| self.message(item, number, limits, random)).collect()
    }

    fn message(&self, item: Item, number: usize, limits: Limits, random: &dyn Random) -> Result<(Arc<Message>, NewDelivery), Trouble> {
        let body_bytes = item.draft.body.len();
        if body_bytes > limits.body_bytes {
            let detail = format!("item {number} has a body of {body_bytes} bytes; {} are the most (limits.body)", limits.body_bytes);
            return Err(Trouble::page("item-too-large", detail));
        }
        let Item { id, key, draft } = item;
        let ids = self.ids(id, number, &draft.headers, &draft.body)?;
        let found = self.source.tracked(&draft.headers, &draft.body);
        let mut tracked = Vec::new();
        message::track(&mut tracked, found.chain(draft.tracked));
        let ruled = self.source.key.as_ref().and_then(|rule| rule.find_key(&draft.headers, &draft.body).ok());
        let own = key.filter(|key| !key.is_empty());
        let too_long = own.as_ref().filter(|key| key.len() > KEY_BYTES_MAX && self.source.key.is_none()).map(String::len);
        let message = Message {
            id: MessageId::new(self.now, random),
            parent: None,
            key: ruled.or(own.filter(|key| key.len() <= KEY_BYTES_MAX).map(Key)),
            content_type: if draft.content_type.is_empty() { UNKNOWN_CONTENT_TYPE.to_owned() } else { draft.content_type },
            headers: draft.headers,
            body: draft.body,
            tracked,
            origin: self.source.entry.origin(),
            accepted_at: self.now,
        };
        let mut delivery = routing::delivery_for(self.integration, self.source, &message, self.now);
        if let (Some(bytes), Order::Key | Order::Strict) = (too_long, self.integration.delivery.order) {
            delivery.lane = Lane::Unkeyed(format!("the item's key has {bytes} bytes; {KEY_BYTES_MAX} are the most"));
        }
        delivery.record = Some(records::record(&self.integration.name, &ids, self.now));
        Ok((Arc::new(message), delivery))
    }

    /// What makes an item the same as another: what the source's `id` names, or the item's own id.
    fn ids(&self, own: String, number: usize, headers: &message::Headers, body: &[u8]) -> Result<Vec<String>, Trouble> {
        let nameless = |why: String| Trouble::page("item-without-id", format!("item {number} {why}"));
        match self.source.id.as_slice() {
            [] if own.is_empty() => Err(nameless("has no id".to_owned())),
            [] => Ok(vec![own]),
            rules => rules.iter().map(|rule| rule.find(headers, body).map_err(|why| nameless(format!("has no id: {why}")))).collect(),
        }
    }
}
