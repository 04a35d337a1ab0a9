//! [`Reader`]: one stream's place among the events. It takes from the ring what it has not seen, at its own pace.

use std::sync::Arc;
use std::time::Duration;

use super::Events;
use super::event::Told;
use super::filter::Filter;
use crate::clock::Timestamp;

/// Events looked at before whoever tells gets its turn again.
const LOOK_AT: usize = 512;
/// How long news gather before they are read, so that many events are one answer.
const GATHER: Duration = Duration::from_millis(50);

/// Where a reader starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// What happens from now on.
    Now,
    /// The last so many that fit, none of them from before a time, then what happens.
    Last { count: usize, since: Option<Timestamp> },
    /// What comes after the event with this id.
    After(u64),
}

/// What a reader did not get to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many events, of any kind; none where that is not known: another run of the host told them, or nobody listened.
    pub lost: Option<u64>,
}

/// What a reader has not seen yet.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is missing before `told`.
    pub gap: Option<Gap>,
    pub told: Vec<Told>,
    /// What to start after to go on from here.
    pub seen: u64,
}

/// A place among the events.
#[derive(Debug)]
pub struct Reader {
    events: Arc<Events>,
    filter: Filter,
    seen: u64,
    gap: Option<Gap>,
}

impl Events {
    /// A reader of what fits `filter`.
    pub fn read(self: &Arc<Self>, filter: Filter, start: Start) -> Reader {
        let unheard = filter.asks_for().any(|detail| !self.listens(detail));
        self.listen(&filter);
        let ring = self.ring();
        let (seen, gap) = match start {
            Start::Now => (ring.latest(), None),
            Start::Last { count, since } => (ring.before_last(count, since, &filter), None),
            Start::After(id) if id < self.first_id - 1 || id > ring.latest() => (ring.before_oldest(), Some(Gap { lost: None })),
            Start::After(id) => (id, unheard.then_some(Gap { lost: None })),
        };
        drop(ring);
        Reader { events: self.clone(), filter, seen, gap }
    }
}

impl Reader {
    /// What has been told since; empty where nothing was.
    pub fn look(&mut self) -> Batch {
        let mut batch = Batch { gap: self.gap.take(), told: Vec::new(), seen: self.seen };
        while batch.told.is_empty() {
            let found = self.events.ring().after(self.seen, &self.filter, LOOK_AT);
            if found.seen == self.seen {
                break;
            }
            if found.lost > 0 && batch.gap.is_none() {
                batch.gap = Some(Gap { lost: Some(found.lost) });
            }
            (self.seen, batch.seen, batch.told) = (found.seen, found.seen, found.told);
        }
        batch
    }

    /// Waits for something to be told; none when the host goes down. To be dropped in the middle loses nothing.
    pub async fn next(&mut self) -> Option<Batch> {
        let (events, clock) = (self.events.clone(), self.events.clock.clone());
        loop {
            events.listen(&self.filter);
            // Made before the look, so that what is told in between rings.
            let news = events.news.notified();
            let batch = self.look();
            if batch.gap.is_some() || !batch.told.is_empty() {
                return Some(batch);
            }
            tokio::select! {
                biased;
                () = events.closed.cancelled() => return None,
                () = news => {}
            }
            // While the host goes down there is nothing to gather.
            let _ = events.closed.run_until_cancelled(clock.sleep(GATHER)).await;
        }
    }

    /// What to start after to go on from here.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}
