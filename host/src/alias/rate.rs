//! [`Rate`]: how many requests an alias may send in a time, exactly, and for whom they are held. Pure: time comes in with each call.
//!
//! Each window is a log of what was sent in it, told apart to a 64th of its length, so that no span of that length ever sees more
//! than the limit; `docs/decisions/0005-rate-windows.md` says why not a token bucket. Depends on `clock` for its timestamps only.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How finely the requests of a window are told apart where they are many. Those of one grain leave the window together, with the last
/// of them, so a window under full load gives away at most a 64th.
const GRAINS: u32 = 64;
/// Windows of at least this length are kept over a restart while the host runs; shorter ones are taken to be used up after a crash.
const KEPT_FROM: Duration = Duration::from_secs(10);
/// How many deliveries an integration's average is taken over, roughly.
const AVERAGED_OVER: u32 = 32;
/// How long a request waits for its time. One that would have to wait longer is not sent, and its delivery waits.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// At most `requests` in any `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: u32,
    pub period: Duration,
}

impl fmt::Display for RateLimit {
    /// As environment files have it: `20/s`, `90000/day`, `100/10s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.period.as_secs();
        let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let (unit_s, unit) = units.into_iter().find(|(unit_s, _)| seconds.is_multiple_of(*unit_s)).unwrap_or((1, "s"));
        match (seconds / unit_s, unit) {
            (1, "d") => write!(f, "{}/day", self.requests),
            (1, unit) => write!(f, "{}/{unit}", self.requests),
            (count, unit) => write!(f, "{}/{count}{unit}", self.requests),
        }
    }
}

/// The limits of one alias and what of them is spent or held.
#[derive(Debug)]
pub struct Rate {
    windows: Vec<Window>,
    /// Requests that deliveries under way may still send: sum over the users.
    held: u32,
    users: BTreeMap<Arc<str>, User>,
}

/// What an integration has of an alias's rate.
#[derive(Debug, Default)]
struct User {
    /// Deliveries under way.
    seats: u32,
    held: u32,
    /// Requests that were wanted and deliveries that ended, of late: how many requests a delivery sends.
    wanted: u32,
    ended: u32,
    /// What the one delivery under way has sent, if all of the rate was held for it when it started.
    alone: Option<u32>,
}

/// Why a request is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The rate leaves no room before this; none if a delivery under way has to end first.
    Until(Option<Timestamp>),
    /// Its delivery had all of this limit to itself, and wants more: it would meet it again however often it is repeated.
    Never(RateLimit),
}

/// One limit and what was sent within its period.
#[derive(Debug)]
struct Window {
    limit: RateLimit,
    /// Oldest first; the newest may lie ahead, where a request waits for its time.
    grains: VecDeque<Grain>,
    spent: u32,
    /// Requests that may be sent before what is kept of the window falls short of the truth.
    covered: u32,
}

/// Requests that went close together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grain {
    first: Timestamp,
    last: Timestamp,
    requests: u32,
}

/// A window as it is kept over a restart: `[first, last, requests]` of each grain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptWindow {
    period_ms: u64,
    grains: Vec<(Timestamp, Timestamp, u32)>,
}

/// A window as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateUse {
    /// `20/s`
    pub limit: String,
    /// Requests of the window that ends now.
    pub used: u32,
}

impl Rate {
    pub fn new(limits: &[RateLimit]) -> Self {
        let window = |limit: &RateLimit| Window { limit: *limit, grains: VecDeque::new(), spent: 0, covered: 0 };
        Self { windows: limits.iter().map(window).collect(), held: 0, users: BTreeMap::new() }
    }

    /// The same users under other limits: what was sent counts within the limits that stay, and who is under way keeps what is held for it,
    /// as far as that fits into them.
    pub fn with_limits(&mut self, limits: &[RateLimit], now: Timestamp) -> Self {
        let sent = self.kept(now);
        let mut next = Self::new(limits);
        next.restore(&sent, true, now);
        next.users = std::mem::take(&mut self.users);
        let mut left = next.left();
        for user in next.users.values_mut() {
            user.held = user.held.min(left);
            left -= user.held;
            next.held += user.held;
            // Whether it has all of another limit nobody knows.
            user.alone = None;
        }
        next
    }

    pub fn is_limited(&self) -> bool {
        !self.windows.is_empty()
    }

    /// How many deliveries of `integration` could start at `now` and find room for the requests they are likely to send.
    pub fn seats(&mut self, integration: &str, now: Timestamp) -> usize {
        self.forget(now);
        (self.left().saturating_sub(self.held) / self.needs(integration)) as usize
    }

    /// Requests that every window has room for.
    fn left(&self) -> u32 {
        self.windows.iter().map(Window::left).min().unwrap_or(u32::MAX)
    }

    /// When the next delivery of `integration` could; none if one under way has to end first.
    pub fn next_seat(&self, integration: &str, now: Timestamp) -> Option<Timestamp> {
        self.earliest(self.held.saturating_add(self.needs(integration)), now)
    }

    /// `seats` deliveries of `integration` start: what they are likely to send is held for them.
    pub fn hold(&mut self, integration: &Arc<str>, seats: u32) {
        let needs = self.needs(integration);
        let (held, is_all) = (needs.saturating_mul(seats), needs == self.smallest());
        let user = self.users.entry(Arc::clone(integration)).or_default();
        user.alone = (is_all && user.seats == 0 && seats == 1).then_some(0);
        user.seats = user.seats.saturating_add(seats);
        user.held = user.held.saturating_add(held);
        self.held = self.held.saturating_add(held);
    }

    /// As many have ended, or never began: what is held beyond what the others may still need is free again.
    pub fn give_back(&mut self, integration: &str, seats: u32, began: bool) {
        let needs = self.needs(integration);
        let Some(user) = self.users.get_mut(integration) else { return };
        user.seats = user.seats.saturating_sub(seats);
        user.alone = user.alone.filter(|_| user.seats > 0);
        if began {
            user.ended = user.ended.saturating_add(seats);
            if user.ended > AVERAGED_OVER {
                (user.wanted, user.ended) = (user.wanted / 2, user.ended / 2);
            }
        }
        let excess = user.held.saturating_sub(user.seats.saturating_mul(needs));
        user.held -= excess;
        self.held = self.held.saturating_sub(excess);
    }

    /// A request of `integration`, which may take up to `timeout`, wants to go at `now` or a little later: gives when it goes. What it
    /// gives a time to is spent, whether it goes or not.
    pub fn send(&mut self, integration: &Arc<str>, now: Timestamp, timeout: Duration) -> Result<Timestamp, Refused> {
        if !self.is_limited() {
            return Ok(now);
        }
        self.forget(now);
        let needs = self.needs(integration);
        let user = self.users.entry(Arc::clone(integration)).or_default();
        if user.held > 0 {
            user.held -= 1;
            self.held = self.held.saturating_sub(1);
            self.spend(integration, now);
            return Ok(now);
        }
        let alone = user.alone;
        // Whoever has the rate for itself holds up nobody.
        let patience = if alone.is_some() { timeout } else { PATIENCE.min(timeout) };
        match self.earliest(self.held.saturating_add(1), now) {
            Some(at) if at.since(now) <= patience => {
                self.spend(integration, at);
                Ok(at)
            }
            until => {
                // It counts as twice what it was taken for, so that its next run finds room for the whole of it, and does not spend
                // the rate on the same first requests again and again.
                if let Some(user) = self.users.get_mut(integration) {
                    user.wanted = user.wanted.saturating_add(needs);
                }
                let had_all_of_it = |limit: &RateLimit| alone.is_some_and(|sent| sent >= limit.requests);
                let full = self.fullest(now).map(|(_, limit)| limit);
                Err(full.filter(had_all_of_it).map_or(Refused::Until(until), Refused::Never))
            }
        }
    }

    fn spend(&mut self, integration: &str, at: Timestamp) {
        if let Some(user) = self.users.get_mut(integration) {
            user.wanted = user.wanted.saturating_add(1);
            user.alone = user.alone.map(|sent| sent.saturating_add(1));
        }
        self.windows.iter_mut().for_each(|window| window.spend(at));
    }

    /// When a request could go, if not at once.
    pub fn used_up_until(&mut self, now: Timestamp) -> Option<(Timestamp, RateLimit)> {
        self.forget(now);
        self.fullest(now)
    }

    /// How long `deliveries` of `integration` take at least, if nobody else sends anything: what is left of each limit goes at once,
    /// the rest at its pace.
    pub fn time_for(&mut self, integration: &str, deliveries: u64, now: Timestamp) -> Duration {
        self.forget(now);
        let requests = deliveries.saturating_mul(u64::from(self.needs(integration)));
        let take = |window: &Window| {
            let later = requests.saturating_sub(u64::from(window.left()));
            let periods = later as f64 / f64::from(window.limit.requests.max(1));
            Duration::try_from_secs_f64(window.limit.period.as_secs_f64() * periods).unwrap_or(Duration::MAX)
        };
        self.windows.iter().map(take).max().unwrap_or_default()
    }

    /// The limit that leaves no room at `now`, the one for longest first; if all have room again, the one with the least of it.
    pub fn tightest(&self, now: Timestamp) -> Option<RateLimit> {
        let full = self.fullest(now).map(|(_, limit)| limit);
        full.or_else(|| self.windows.iter().min_by_key(|window| window.left()).map(|window| window.limit))
    }

    fn fullest(&self, now: Timestamp) -> Option<(Timestamp, RateLimit)> {
        let full = |window: &Window| window.earliest(now, 1).filter(|at| *at > now).map(|at| (at, window.limit));
        self.windows.iter().filter_map(full).max_by_key(|(at, _)| *at)
    }

    pub fn shown(&mut self, now: Timestamp) -> Vec<RateUse> {
        self.forget(now);
        self.windows.iter().map(|window| RateUse { limit: window.limit.to_string(), used: window.spent }).collect()
    }

    /// How many requests a delivery of `integration` sends, on average and rounded up; never more than any window holds.
    fn needs(&self, integration: &str) -> u32 {
        let average = self.users.get(integration).map_or(1, |user| user.wanted.div_ceil(user.ended.saturating_add(user.seats).max(1)));
        average.clamp(1, self.smallest())
    }

    /// The requests of the limit with the fewest.
    fn smallest(&self) -> u32 {
        self.windows.iter().map(|window| window.limit.requests).min().unwrap_or(1).max(1)
    }

    /// When all windows have room for `requests`; none if they never have while as much is held.
    fn earliest(&self, requests: u32, now: Timestamp) -> Option<Timestamp> {
        self.windows.iter().map(|window| window.earliest(now, requests)).try_fold(now, |latest, at| at.map(|at| latest.max(at)))
    }

    fn forget(&mut self, now: Timestamp) {
        self.windows.iter_mut().for_each(|window| window.forget(now));
    }
}

/// What of a rate outlives the host.
impl Rate {
    /// Whether what was kept last is about to fall short of what was sent.
    pub fn is_to_be_kept(&self) -> bool {
        self.windows.iter().any(|window| window.limit.period >= KEPT_FROM && window.covered <= window.chunk() / 2)
    }

    /// The windows to be kept while the host runs on: each says a little more than was sent, so that a crash forgets nothing and
    /// not every request has to be written.
    pub fn kept_ahead(&mut self, now: Timestamp) -> Vec<KeptWindow> {
        self.forget(now);
        self.windows.iter_mut().filter(|window| window.limit.period >= KEPT_FROM).map(|window| window.kept_ahead(now)).collect()
    }

    /// The windows as they are, to be kept when nothing more is sent.
    pub fn kept(&mut self, now: Timestamp) -> Vec<KeptWindow> {
        self.forget(now);
        self.windows.iter().map(Window::kept).collect()
    }

    /// Takes up what was kept. Of a host that ended `cleanly` that is all; after a crash nobody knows what was sent last in a short
    /// window, which is taken to be used up.
    pub fn restore(&mut self, kept: &[KeptWindow], cleanly: bool, now: Timestamp) {
        for window in &mut self.windows {
            let period_ms = u64::try_from(window.limit.period.as_millis()).unwrap_or(u64::MAX);
            match kept.iter().find(|kept| kept.period_ms == period_ms) {
                Some(kept) => window.restore(kept, now),
                None if !cleanly && window.limit.period < KEPT_FROM => {
                    window.grains = VecDeque::from([Grain { first: now, last: now, requests: window.limit.requests }]);
                }
                None => {}
            }
            window.spent = window.grains.iter().fold(0, |sum, grain| sum.saturating_add(grain.requests));
        }
        self.forget(now);
    }
}

impl Window {
    fn left(&self) -> u32 {
        self.limit.requests.saturating_sub(self.spent)
    }

    /// Lets go what is a whole period past: a request at the end of the period is in the next one.
    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.grains.front()
            && oldest.last.plus(self.limit.period) <= now
        {
            self.spent = self.spent.saturating_sub(oldest.requests);
            self.grains.pop_front();
        }
    }

    /// When there is room for `requests` more.
    fn earliest(&self, now: Timestamp, requests: u32) -> Option<Timestamp> {
        let room = self.limit.requests.checked_sub(requests)?;
        let mut spent = self.spent;
        if spent <= room {
            return Some(now);
        }
        for grain in &self.grains {
            spent = spent.saturating_sub(grain.requests);
            if spent <= room {
                return Some(grain.last.plus(self.limit.period).max(now));
            }
        }
        None
    }

    fn spend(&mut self, at: Timestamp) {
        self.spent = self.spent.saturating_add(1);
        self.covered = self.covered.saturating_sub(1);
        // Almost always the last one: only requests that wait for their time lie ahead.
        let behind = self.grains.iter().rposition(|grain| grain.first <= at);
        // A few requests are told apart exactly.
        let grain_length = if self.grains.len() < GRAINS as usize { Duration::from_millis(1) } else { self.limit.period / GRAINS };
        if let Some(grain) = behind.and_then(|index| self.grains.get_mut(index))
            && at.since(grain.first) < grain_length
        {
            grain.last = grain.last.max(at);
            grain.requests = grain.requests.saturating_add(1);
            return;
        }
        self.grains.insert(behind.map_or(0, |index| index + 1), Grain { first: at, last: at, requests: 1 });
    }

    /// Requests between two writes of what is kept.
    fn chunk(&self) -> u32 {
        (self.limit.requests / GRAINS).max(1)
    }

    fn kept(&self) -> KeptWindow {
        KeptWindow {
            period_ms: u64::try_from(self.limit.period.as_millis()).unwrap_or(u64::MAX),
            grains: self.grains.iter().map(|grain| (grain.first, grain.last, grain.requests)).collect(),
        }
    }

    fn kept_ahead(&mut self, now: Timestamp) -> KeptWindow {
        self.covered = self.chunk();
        let mut kept = self.kept();
        // When they will have been sent nobody knows who finds this after a crash: at the latest when that is.
        kept.grains.push((now, Timestamp(i64::MAX), self.covered));
        kept
    }

    /// What is kept may have been written by anybody: nothing in it lies ahead of now or counts without end.
    fn restore(&mut self, kept: &KeptWindow, now: Timestamp) {
        let mut grains: Vec<Grain> = kept
            .grains
            .iter()
            .map(|(first, last, requests)| Grain { first: (*first).min(now), last: (*last).max(*first).min(now), requests: *requests })
            .collect();
        grains.sort_by_key(|grain| grain.first);
        self.grains = grains.into();
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
