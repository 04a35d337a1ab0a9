//! [`Breaker`]: whether a target is taken to be down, from what requests to it came to. Pure: time and chance come in with each call.
//!
//! Closed, it counts; where too many of the latest requests failed, or none of the last few was answered, it opens, waits, and lets
//! one request through (half-open) whose answer closes it. Depends on `clock` and `random` for their types only.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::integration::{Backoff, Jitter};
use crate::random::{Random, uniform};

/// How long a request counts.
pub const WINDOW: Duration = Duration::from_secs(30);
/// Requests that count at most: the latest.
const WINDOW_REQUESTS_MAX: usize = 200;
/// Fewer requests say nothing about a target.
pub const REQUESTS_MIN: usize = 5;
/// It opens where as many of a hundred failed.
pub const FAILURE_PERCENT: usize = 50;
/// It opens, too, where as many requests in a row had no answer of the target's own. A share says little of a target that hangs for
/// half a minute at each of a few requests, and comes late where many were answered before. Five is what Envoy's outlier detection
/// takes by default for consecutive gateway failures, and for those it sees itself (`consecutive_gateway_failure`,
/// `consecutive_local_origin_failure`: envoyproxy.io, "Outlier detection").
pub const IN_A_ROW: u32 = 5;
/// A row must have lasted as long: requests that are cut off together, as when one connection or one gateway goes, are one event.
pub const ROW_LASTS: Duration = Duration::from_secs(1);
/// Waits between tries at a target that is down: between half of the ceiling and all of it.
const WAIT: Backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(10), jitter: Jitter::Full };

/// What an exchange says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answers.
    Answers,
    /// It is not there, whoever asks: no connection, or a gateway without its server.
    Down,
    /// It did not answer this message's request in time. That may be the message's own fault, so a message counts once; but a row of
    /// nothing else is no message's fault.
    Silent(u128),
    /// It is there, and failed at the request of this message. A message counts once.
    Failed(u128),
}

/// What a sign changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    Opened,
    /// The try failed.
    StillOpen,
    Closed,
}

#[derive(Debug, Default)]
pub struct Breaker {
    /// Oldest first.
    seen: VecDeque<Seen>,
    failures: usize,
    /// Requests without an answer since the last that had one.
    row: Option<Row>,
    open: Option<Opening>,
    /// Times it opened, or a try failed, since the target last proved itself: the waits grow with it.
    openings: u32,
    tries: u64,
}

#[derive(Debug)]
struct Seen {
    at: Timestamp,
    failed: bool,
    message: Option<u128>,
}

#[derive(Debug)]
struct Row {
    since: Timestamp,
    requests: u32,
}

/// An open breaker. Past `until` it is half-open.
#[derive(Debug)]
pub struct Opening {
    pub since: Timestamp,
    pub until: Timestamp,
    pub detail: String,
    /// The number of the try that is under way; `until` is then how long it may take.
    trying: Option<u64>,
}

impl Breaker {
    pub fn opening(&self) -> Option<&Opening> {
        self.open.as_ref()
    }

    /// How often it opened in a row.
    pub fn openings(&self) -> u32 {
        self.openings
    }

    /// An open breaker as it was before a restart. A try that was under way then is over.
    pub fn reopen(&mut self, since: Timestamp, until: Timestamp, openings: u32, detail: String, now: Timestamp) {
        self.open = Some(Opening { since, until: until.min(now.plus(WAIT.cap)), detail, trying: None });
        self.openings = openings;
    }

    /// Whether a request failed of late.
    pub fn is_failing(&self, now: Timestamp) -> bool {
        self.seen.iter().any(|seen| seen.failed && seen.at.plus(WINDOW) > now)
    }

    /// The target has proved itself.
    pub fn settled(&mut self) {
        self.openings = 0;
    }

    /// A request goes out though the breaker is open: the number of this try. The others wait up to `lease` for what it finds.
    pub fn begin_try(&mut self, now: Timestamp, lease: Duration) -> Option<u64> {
        let opening = self.open.as_mut()?;
        self.tries += 1;
        opening.trying = Some(self.tries);
        opening.until = now.plus(lease);
        opening.trying
    }

    /// The try ended and nobody knows how: it is another's turn.
    pub fn end_try(&mut self, number: u64, now: Timestamp) {
        if let Some(opening) = self.open.as_mut().filter(|opening| opening.trying == Some(number)) {
            opening.trying = None;
            opening.until = now;
        }
    }

    /// Learns from an exchange. An open breaker learns from its tries only: what was under way when it opened says nothing new.
    pub fn note(&mut self, sign: Sign, is_try: bool, now: Timestamp, random: &dyn Random, detail: &str) -> News {
        match (&self.open, sign) {
            // Who tried to find out found that it is not there: no need to see more requests fail.
            (None, Sign::Down) if is_try => {
                self.open(now, now, random, detail);
                News::Opened
            }
            (None, _) => self.count(sign, now, random, detail),
            (Some(_), _) if !is_try => News::Nothing,
            (Some(_), Sign::Answers) => {
                self.close();
                News::Closed
            }
            (Some(opening), _) => {
                let since = opening.since;
                self.open(since, now, random, detail);
                News::StillOpen
            }
        }
    }

    /// The target is there after all.
    pub fn close(&mut self) {
        self.open = None;
        self.seen.clear();
        self.failures = 0;
        self.row = None;
    }

    /// The target said something: whatever it was, it is there.
    pub fn is_there(&mut self) {
        self.row = None;
    }

    fn count(&mut self, sign: Sign, now: Timestamp, random: &dyn Random, detail: &str) -> News {
        let in_a_row = self.lengthens_the_row(sign, now);
        if self.is_many(sign, now) || in_a_row {
            self.open(now, now, random, detail);
            return News::Opened;
        }
        News::Nothing
    }

    /// Whether so many requests in a row, this one the last, had no answer that nobody is there.
    fn lengthens_the_row(&mut self, sign: Sign, now: Timestamp) -> bool {
        if matches!(sign, Sign::Answers | Sign::Failed(_)) {
            self.is_there();
            return false;
        }
        let row = self.row.get_or_insert(Row { since: now, requests: 0 });
        row.requests = row.requests.saturating_add(1);
        row.requests >= IN_A_ROW && now.since(row.since) >= ROW_LASTS
    }

    /// Whether too many of the latest requests failed, this one among them.
    fn is_many(&mut self, sign: Sign, now: Timestamp) -> bool {
        self.forget(now);
        let (failed, message) = match sign {
            Sign::Answers => (false, None),
            Sign::Down => (true, None),
            Sign::Silent(message) | Sign::Failed(message) => (true, Some(message)),
        };
        if message.is_some() && self.seen.iter().any(|seen| seen.message == message) {
            return false;
        }
        self.failures += usize::from(failed);
        self.seen.push_back(Seen { at: now, failed, message });
        failed && self.seen.len() >= REQUESTS_MIN && self.failures * 100 >= self.seen.len() * FAILURE_PERCENT
    }

    /// Half of the wait is certain, so that a target that is down is asked no more often than that.
    fn open(&mut self, since: Timestamp, now: Timestamp, random: &dyn Random, detail: &str) {
        let half = WAIT.ceiling(self.openings) / 2;
        let until = now.plus(half).plus(uniform(random, half));
        self.open = Some(Opening { since, until, detail: detail.to_owned(), trying: None });
        self.openings = self.openings.saturating_add(1);
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.seen.front()
            && (oldest.at.plus(WINDOW) <= now || self.seen.len() >= WINDOW_REQUESTS_MAX)
        {
            self.failures -= usize::from(oldest.failed);
            self.seen.pop_front();
        }
    }
}

impl Opening {
    /// The word for it beside `closed`.
    pub fn as_str(&self, now: Timestamp) -> &'static str {
        if self.trying.is_some() || self.until <= now { "half-open" } else { "open" }
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
