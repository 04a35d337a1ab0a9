//! `queue`: messages for channels of this host, buffered until the settlement.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use crate::plugin::QueueSend;
use crate::plugin::limits::Limits;

/// The channels that integrations read, shared and replaced as releases come and go.
#[derive(Clone, Debug, Default)]
pub struct Channels(Arc<RwLock<BTreeSet<String>>>);

impl Channels {
    /// Replaces the set.
    pub fn set(&self, channels: BTreeSet<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = channels;
    }

    /// Whether any integration reads `channel`.
    pub fn is_read(&self, channel: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(channel)
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    NoSuchChannel,
    TooLarge,
    TooMany,
}

/// What one call sends.
#[derive(Debug)]
pub struct Queue {
    channels: Channels,
    sends_max: usize,
    body_bytes_max: usize,
    bytes_left: usize,
    sends: Vec<QueueSend>,
    own: usize,
}

impl Queue {
    /// With the sends of the calls before it, which count for nothing here.
    pub fn new(channels: Channels, limits: &Limits, carried: Vec<QueueSend>) -> Self {
        Self {
            channels,
            sends_max: limits.queue_sends,
            body_bytes_max: limits.queue_body_bytes,
            bytes_left: limits.output_bytes,
            sends: carried,
            own: 0,
        }
    }

    /// Takes a message, to be appended when the delivery settles.
    pub fn send(&mut self, send: QueueSend) -> Result<(), QueueError> {
        if !self.channels.is_read(&send.channel) {
            return Err(QueueError::NoSuchChannel);
        }
        let bytes = send.draft.bytes();
        if send.draft.body.len() > self.body_bytes_max || bytes > self.bytes_left {
            return Err(QueueError::TooLarge);
        }
        if self.own >= self.sends_max {
            return Err(QueueError::TooMany);
        }
        self.bytes_left -= bytes;
        self.own += 1;
        self.sends.push(send);
        Ok(())
    }

    /// Bytes sent by this call.
    pub fn sent_bytes(&self, limits: &Limits) -> usize {
        limits.output_bytes.saturating_sub(self.bytes_left)
    }

    pub fn into_sends(self) -> Vec<QueueSend> {
        self.sends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Headers;
    use crate::plugin::Draft;

    fn send(channel: &str, body_bytes: usize) -> QueueSend {
        let body = bytes::Bytes::from(vec![0; body_bytes]);
        let draft = Draft { content_type: String::new(), headers: Headers::default(), body, tracked: Vec::new() };
        QueueSend { channel: channel.into(), draft, delay: None, dedup_token: None }
    }

    fn queue(limits: &Limits) -> Queue {
        let channels = Channels::default();
        channels.set(BTreeSet::from(["read".to_owned()]));
        Queue::new(channels, limits, Vec::new())
    }

    #[test]
    fn refuses_a_channel_nobody_reads() {
        assert_eq!(queue(&Limits::default()).send(send("unread", 1)), Err(QueueError::NoSuchChannel));
    }

    #[test]
    fn refuses_a_large_body_and_too_many() {
        let limits = Limits { queue_sends: 2, queue_body_bytes: 10, output_bytes: 15, ..Limits::default() };
        let mut queue = queue(&limits);
        assert_eq!(queue.send(send("read", 11)), Err(QueueError::TooLarge));
        assert_eq!(queue.send(send("read", 10)), Ok(()));
        assert_eq!(queue.send(send("read", 10)), Err(QueueError::TooLarge));
        assert_eq!(queue.send(send("read", 1)), Ok(()));
        assert_eq!(queue.send(send("read", 1)), Err(QueueError::TooMany));
        assert_eq!(queue.into_sends().len(), 2);
    }
}
