//! What is ready, in memory: [`Ready`]. A delivery that has just come is handed out from here without a read, as long as it is known
//! that nothing else is due.
//!
//! A cache of the database that is never asked about: what is in doubt is forgotten, and the next lease reads. It is changed with the
//! lease table locked, which it is a part of: by the writer after a commit, and by a read that saw all there is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::message::Message;
use crate::message_store::DeliveryId;

/// Deliveries of one integration that are kept. More are a backlog, which is read in batches.
const FRESH_MAX: usize = 4096;
/// Bytes that are kept, of all integrations.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a message takes beside its body, roughly: headers, texts, the places it is held in.
const BESIDE_BODY_BYTES: usize = 1024;

/// A time that never comes.
pub(super) const NEVER: Timestamp = Timestamp(i64::MAX);

/// By integration; of one that is not here, nothing is known.
#[derive(Debug, Default)]
pub(super) struct Ready {
    known: HashMap<String, Known>,
    bytes: usize,
}

/// Every delivery that is ready, is due before `until` and was not handed out is in `fresh`.
#[derive(Debug)]
struct Known {
    until: Timestamp,
    fresh: VecDeque<Fresh>,
}

/// A delivery at its first step that was never handed out.
#[derive(Debug)]
pub(super) struct Fresh {
    pub id: DeliveryId,
    pub message: Arc<Message>,
    pub due_at: Timestamp,
}

impl Ready {
    /// At most `limit` of those that are due, and none more once their bodies have `bytes_max` bytes; none where the database is to be
    /// asked.
    pub(super) fn take(&mut self, integration: &str, now: Timestamp, limit: usize, bytes_max: usize) -> Option<Vec<Fresh>> {
        let known = self.known.get_mut(integration)?;
        let (mut due, mut bytes) = (0, 0_usize);
        let has_all = |due, bytes| due == limit || bytes >= bytes_max;
        let mut waiting = known.fresh.iter().take_while(|fresh| fresh.due_at <= now && fresh.due_at < known.until);
        while !has_all(due, bytes)
            && let Some(fresh) = waiting.next()
        {
            due += 1;
            bytes = bytes.saturating_add(fresh.message.body.len());
        }
        // Those that are due before `until` go before all that is not known, however late it is; what is missing may be among that.
        if !has_all(due, bytes) && now >= known.until {
            return None;
        }
        let taken: Vec<_> = known.fresh.drain(..due).collect();
        self.bytes -= taken.iter().map(bytes_of).sum::<usize>();
        Some(taken)
    }

    /// When the next one is due, and never if there is none; none where the database is to be asked.
    pub(super) fn next_due(&self, integration: &str) -> Option<Timestamp> {
        let known = self.known.get(integration)?;
        Some(known.fresh.front().map_or(known.until, |fresh| fresh.due_at.min(known.until)))
    }

    /// A read has seen all that is ready: nothing that was not handed out is due before `until`.
    pub(super) fn know(&mut self, integration: &str, until: Timestamp) {
        self.forget(integration);
        self.known.insert(integration.to_owned(), Known { until, fresh: VecDeque::new() });
    }

    /// A delivery has come that is due as soon as it is there. Where there is no room for it, what came before it is still known.
    pub(super) fn came(&mut self, integration: &str, fresh: Fresh) {
        let bytes = bytes_of(&fresh);
        let Some(known) = self.known.get_mut(integration) else { return };
        if known.fresh.len() >= FRESH_MAX || self.bytes + bytes > BYTES_MAX {
            known.until = known.until.min(fresh.due_at);
        }
        if fresh.due_at >= known.until {
            return;
        }
        self.bytes += bytes;
        known.fresh.push_back(fresh);
    }

    /// There is one that is not kept here, and it is due at `due_at`.
    pub(super) fn is_due(&mut self, integration: &str, due_at: Timestamp) {
        if let Some(known) = self.known.get_mut(integration) {
            known.until = known.until.min(due_at);
        }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self, integration: &str) {
        if let Some(known) = self.known.remove(integration) {
            self.bytes -= known.fresh.iter().map(bytes_of).sum::<usize>();
        }
    }
}

fn bytes_of(fresh: &Fresh) -> usize {
    fresh.message.body.len() + BESIDE_BODY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Headers, MessageId};

    fn fresh(id: i64, due_at: i64, body: &'static str) -> Fresh {
        let message = Message {
            id: MessageId(uuid::Uuid::nil()),
            parent: None,
            key: None,
            content_type: "text/plain".into(),
            headers: Headers(Vec::new()),
            body: body.into(),
            tracked: Vec::new(),
            origin: "webhook /shop/orders".into(),
            accepted_at: Timestamp(0),
        };
        Fresh { id: DeliveryId(id), message: Arc::new(message), due_at: Timestamp(due_at) }
    }

    fn ids(taken: Option<Vec<Fresh>>) -> Option<Vec<i64>> {
        taken.map(|taken| taken.into_iter().map(|fresh| fresh.id.0).collect())
    }

    #[test]
    fn says_nothing_of_what_nobody_has_read() {
        let mut ready = Ready::default();
        ready.came("crm", fresh(1, 0, "body"));
        assert_eq!(ids(ready.take("crm", Timestamp(10), 10, usize::MAX)), None);
        assert_eq!(ready.next_due("crm"), None);
        assert_eq!(ready.bytes, 0);
    }

    #[test]
    fn hands_out_what_came_since_until_something_else_is_due() {
        let mut ready = Ready::default();
        ready.know("crm", NEVER);
        assert_eq!(ready.next_due("crm"), Some(NEVER));
        for id in 1..=3 {
            ready.came("crm", fresh(id, 5, "body"));
        }
        assert_eq!(ids(ready.take("crm", Timestamp(4), 10, usize::MAX)), Some(vec![]));
        assert_eq!(ready.next_due("crm"), Some(Timestamp(5)));
        assert_eq!(ids(ready.take("crm", Timestamp(5), 2, usize::MAX)), Some(vec![1, 2]));
        ready.is_due("crm", Timestamp(8));
        ready.is_due("crm", Timestamp(9));
        assert_eq!(ids(ready.take("crm", Timestamp(7), 10, usize::MAX)), Some(vec![3]));
        assert_eq!(ready.next_due("crm"), Some(Timestamp(8)));
        assert_eq!(ids(ready.take("crm", Timestamp(8), 10, usize::MAX)), None);
        assert_eq!(ready.bytes, 0);
    }

    #[test]
    fn hands_out_what_came_before_there_was_no_more_room_and_then_says_nothing() {
        let kept = i64::try_from(FRESH_MAX).unwrap();
        let mut ready = Ready::default();
        ready.know("crm", NEVER);
        ready.know("erp", NEVER);
        ready.came("erp", fresh(9, 0, "body"));
        for id in 0..kept + 10 {
            ready.came("crm", fresh(id, id / 8, "body"));
        }
        let now = Timestamp(2 * kept);
        assert_eq!(ready.next_due("crm"), Some(Timestamp(0)));
        assert_eq!(ids(ready.take("crm", now, 2, usize::MAX)), Some(vec![0, 1]));
        // Room again: but what comes now is younger than what was not kept.
        ready.came("crm", fresh(kept + 10, 3 * kept, "body"));
        assert_eq!(ids(ready.take("crm", now, FRESH_MAX - 1, usize::MAX)), None);
        assert_eq!(ids(ready.take("crm", now, FRESH_MAX - 2, usize::MAX)), Some((2..kept).collect()));
        assert_eq!(ids(ready.take("crm", now, 1, usize::MAX)), None);
        assert_eq!(ready.next_due("crm"), Some(Timestamp(kept / 8)));
        assert_eq!(ids(ready.take("erp", Timestamp(1), 1, usize::MAX)), Some(vec![9]));
        assert_eq!(ready.bytes, 0);
    }

    #[test]
    fn hands_out_no_more_once_the_bodies_are_as_large_as_asked() {
        let mut ready = Ready::default();
        ready.know("crm", Timestamp(9));
        for id in 1..=3 {
            ready.came("crm", fresh(id, 5, "body"));
        }
        assert_eq!(ids(ready.take("crm", Timestamp(20), 10, 5)), Some(vec![1, 2]), "which are all it wants: nobody has to read");
        assert_eq!(ids(ready.take("crm", Timestamp(20), 10, 1)), Some(vec![3]));
        assert_eq!(ids(ready.take("crm", Timestamp(20), 10, 1)), None);
    }

    #[test]
    fn one_that_is_due_when_the_first_without_room_was_is_handed_out_by_the_read() {
        let kept = i64::try_from(FRESH_MAX).unwrap();
        let mut ready = Ready::default();
        ready.know("crm", NEVER);
        for id in 0..=kept {
            ready.came("crm", fresh(id, 5, "body"));
        }
        assert_eq!(ids(ready.take("crm", Timestamp(5), 1, usize::MAX)), None);
        ready.know("crm", NEVER);
        assert_eq!(ready.bytes, 0);
    }
}
