//! From a message and an integration's source to the delivery that will be made: the lane it stands in.

use super::{Lane, NewDelivery};
use crate::clock::Timestamp;
use crate::integration::{Entry, Integration, Order, Source};
use crate::message::Message;

/// The delivery of `message` for `integration`, where it entered through `source`. Due at `due_at`.
pub fn delivery_for(integration: &Integration, source: &Source, message: &Message, due_at: Timestamp) -> NewDelivery {
    let lane = lane_for(integration, source, message);
    NewDelivery { integration: integration.name.clone(), lane, ordering: integration.ordering, due_at, record: None }
}

/// A source's own key rule wins; a channel or a poll without one takes the key the message has; one without has no order otherwise.
fn lane_for(integration: &Integration, source: &Source, message: &Message) -> Lane {
    if integration.delivery.order == Order::None {
        return Lane::Free;
    }
    match (&source.key, &source.entry) {
        (Some(selector), _) => match selector.find_key(&message.headers, &message.body) {
            Ok(key) => Lane::Key(key.0),
            Err(why) => Lane::Unkeyed(format!("key = \"{selector}\": {why}")),
        },
        (None, entry @ (Entry::Channel { .. } | Entry::Poll(_))) => match &message.key {
            Some(key) => Lane::Key(key.0.clone()),
            // Nothing says what it must not overtake.
            None if integration.delivery.order == Order::Strict => Lane::Unkeyed(format!("a message of `{}` has no key", entry.name())),
            None => Lane::Free,
        },
        (None, Entry::Webhook { .. } | Entry::Schedule(_)) => Lane::Free,
    }
}
