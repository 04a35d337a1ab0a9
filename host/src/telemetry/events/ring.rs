//! [`Ring`]: the latest events, bounded by count and by bytes. Ids have no gaps in it, so a place is a subtraction.

use std::collections::VecDeque;

use super::event::{Event, Told};
use super::filter::Filter;
use crate::clock::Timestamp;

/// Events kept at most.
pub const EVENTS_MAX: usize = 8 * 1024;
/// Bytes of events kept at most.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Ring {
    told: VecDeque<Told>,
    bytes: usize,
    /// The id of the next event.
    next: u64,
}

/// What [`Ring::after`] found.
#[derive(Debug)]
pub(super) struct Found {
    /// Events that were let go before they were read, whether or not they would have fitted.
    pub lost: u64,
    pub told: Vec<Told>,
    /// The last event that was looked at.
    pub seen: u64,
}

impl Ring {
    /// Empty; the first event gets the id `first`, at least 1.
    pub fn new(first: u64) -> Self {
        Self { told: VecDeque::new(), bytes: 0, next: first }
    }

    /// The id of the latest event, or the one before the first.
    pub fn latest(&self) -> u64 {
        self.next - 1
    }

    /// The id before that of the oldest event that is kept.
    pub fn before_oldest(&self) -> u64 {
        self.latest() - self.told.len() as u64
    }

    pub fn push(&mut self, at: Timestamp, event: Event) {
        self.bytes += event.bytes();
        self.told.push_back(Told { id: self.next, at, event });
        self.next += 1;
        while self.told.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.told.pop_front() else { return };
            self.bytes -= oldest.event.bytes();
        }
    }

    /// Events after `seen` that fit: looks at `look_at` of them at most, so that who tells does not wait for who reads.
    pub fn after(&self, seen: u64, filter: &Filter, look_at: usize) -> Found {
        let from = seen.max(self.before_oldest());
        let skip = usize::try_from(from - self.before_oldest()).unwrap_or(usize::MAX);
        let looked_at = self.told.iter().skip(skip).take(look_at);
        let until = looked_at.clone().next_back().map_or(from, |told| told.id);
        Found { lost: from - seen, told: looked_at.filter(|told| filter.fits(&told.event)).cloned().collect(), seen: until }
    }

    /// From where on there are no more than `count` events that fit, none of them told before `since`.
    pub fn before_last(&self, count: usize, since: Option<Timestamp>, filter: &Filter) -> u64 {
        let recent = self.told.iter().rev().take_while(|told| since.is_none_or(|since| told.at >= since));
        let fitting = recent.filter(|told| filter.fits(&told.event)).take(count);
        fitting.last().map_or(self.latest(), |told| told.id - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Kind, Level};
    use super::*;

    fn told(text: impl Into<String>) -> Event {
        Event::new(Kind::Log, Level::Info, text.into())
    }

    fn texts(found: &Found) -> Vec<&str> {
        found.told.iter().map(|told| told.event.text.as_ref()).collect()
    }

    #[test]
    fn lets_the_oldest_go_and_says_how_many() {
        let mut ring = Ring::new(1);
        (0..EVENTS_MAX + 3).for_each(|n| ring.push(Timestamp(0), told(n.to_string())));
        let found = ring.after(1, &Filter::default(), 2);
        assert_eq!((found.lost, texts(&found), found.seen), (2, vec!["3", "4"], 5));
        assert_eq!(ring.told.len(), EVENTS_MAX);
    }

    #[test]
    fn is_bounded_by_bytes() {
        let mut ring = Ring::new(1);
        (0..3_000).for_each(|_| ring.push(Timestamp(0), told("x".repeat(4_000)).bounded()));
        assert!(ring.bytes <= BYTES_MAX && ring.told.len() < 1_100, "{} events of {} bytes", ring.told.len(), ring.bytes);
        while ring.told.pop_front().map(|told| ring.bytes -= told.event.bytes()).is_some() {}
        assert_eq!(ring.bytes, 0);
    }

    #[test]
    fn moves_on_over_what_does_not_fit() {
        let mut ring = Ring::new(10);
        ["a", "b", "c"].into_iter().for_each(|name| ring.push(Timestamp(0), told(name).of(name)));
        let only = |name: &str| Filter { integration: Some(name.into()), ..Filter::default() };
        let found = ring.after(9, &only("c"), 2);
        assert_eq!((found.told.len(), found.seen, found.lost), (0, 11, 0));
        assert_eq!(texts(&ring.after(11, &only("c"), 2)), ["c"]);
        assert_eq!(ring.after(12, &only("c"), 2).seen, 12);
    }

    #[test]
    fn finds_the_last_ones_that_fit() {
        let mut ring = Ring::new(1);
        for n in 0..6 {
            ring.push(Timestamp(n), told(n.to_string()).of(if n % 2 == 0 { "even" } else { "odd" }));
        }
        let even = Filter { integration: Some("even".into()), ..Filter::default() };
        let last = |count, since: Option<i64>| ring.after(ring.before_last(count, since.map(Timestamp), &even), &even, 100);
        assert_eq!(texts(&last(2, None)), ["2", "4"]);
        assert_eq!(texts(&last(9, Some(1))), ["2", "4"]);
        assert!(last(0, None).told.is_empty() && last(9, Some(5)).told.is_empty());
    }
}
