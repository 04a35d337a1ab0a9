//! What a host may ask of a target, and when: [`Traffic`] counts its requests and says which of them should not have been sent.
//!
//! It knows the rules, not the code that keeps them: no more than the rate, nothing before the time a target asked for, only probes
//! while it is down, and no stampede when it is back.

use std::collections::VecDeque;
use std::time::Duration;

use super::script::{Spell, Weather};
use crate::alias::RateLimit;
use crate::clock::Timestamp;
use crate::integration::DeliveryPolicy;

/// A breaker looks at the requests of so long, and opens where at least so many came and half of them failed.
const LOOKS_BACK: Duration = Duration::from_secs(30);
const OPENS_FROM: usize = 5;
/// A probe is sent no more often than this, after the first few.
const PROBES_EVERY: Duration = Duration::from_secs(5);
const PROBES_AT_FIRST: usize = 5;
/// How long a target that is back is asked with care.
const SLOW_START: Duration = Duration::from_secs(60);

pub struct Traffic {
    windows: Vec<(RateLimit, VecDeque<Timestamp>)>,
    /// When the host started again after a crash.
    starts: Vec<Timestamp>,
    not_before: Option<Timestamp>,
    /// When it answered of late.
    answered: VecDeque<Timestamp>,
    down: Option<Down>,
    requests: usize,
}

/// The latest time in which the target was down.
struct Down {
    from: Timestamp,
    until: Timestamp,
    hangs: bool,
    requests: usize,
    /// Requests after which a breaker is open.
    opens_after: usize,
    /// Answers since it is back.
    answered: usize,
}

impl Traffic {
    pub fn new(rate: &[RateLimit], starts: Vec<Timestamp>) -> Self {
        let windows = rate.iter().map(|limit| (*limit, VecDeque::new())).collect();
        Self { windows, starts, not_before: None, answered: VecDeque::new(), down: None, requests: 0 }
    }

    /// So far.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// It asks everybody to wait.
    pub fn asks_to_wait(&mut self, until: Timestamp) {
        self.not_before = self.not_before.max(Some(until));
    }

    /// It answers, whatever it says.
    pub fn answers(&mut self, now: Timestamp) {
        self.answered.push_back(now);
        while self.answered.front().is_some_and(|at| at.plus(LOOKS_BACK) <= now) {
            self.answered.pop_front();
        }
        if let Some(down) = self.down.as_mut().filter(|down| down.until <= now) {
            down.answered += 1;
        }
    }

    /// A request comes in `spell` while `others` are under way. An error if it should not.
    pub fn request(&mut self, now: Timestamp, spell: Option<&Spell>, others: usize) -> Result<(), String> {
        self.requests += 1;
        if let Some(until) = self.not_before.filter(|until| now < *until) {
            return Err(format!("a request although it asked to wait until {until}"));
        }
        for (limit, sent) in &mut self.windows {
            sent.push_back(now);
            while sent.front().is_some_and(|first| first.plus(limit.period) <= now) {
                sent.pop_front();
            }
            if sent.len() > limit.requests as usize {
                return Err(format!("{} requests within {:?}, and its rate is {limit}", sent.len(), limit.period));
            }
        }
        match spell.filter(|spell| spell.weather.is_down()) {
            Some(spell) => self.probe(now, spell, others),
            None => self.slow_start(now, others),
        }
    }

    fn probe(&mut self, now: Timestamp, spell: &Spell, others: usize) -> Result<(), String> {
        if self.down.as_ref().is_none_or(|down| down.from != spell.from) {
            let lately = self.answered.iter().filter(|at| at.plus(LOOKS_BACK) > now).count();
            let opens_after = DeliveryPolicy::default().concurrency + lately.max(OPENS_FROM);
            let hangs = matches!(spell.weather, Weather::Hangs);
            self.down = Some(Down { from: spell.from, until: spell.until, hangs, requests: 0, opens_after, answered: 0 });
        }
        let Some(down) = &mut self.down else { return Ok(()) };
        down.requests += 1;
        let starts = self.starts.iter().filter(|start| down.from < **start && **start <= now).count();
        let before_it_opens = down.opens_after * (1 + starts);
        let probes = PROBES_AT_FIRST + (now.since(down.from).as_secs() / PROBES_EVERY.as_secs()) as usize;
        if down.requests > before_it_opens + probes {
            return Err(format!("{} requests since it is down, at {}", down.requests, down.from));
        }
        // Of one that hangs nobody knows before a request has timed out, and few time out at about the same time.
        if down.requests > before_it_opens && others > 0 && !down.hangs {
            return Err(format!("{} probes at once, and it is down since {}", others + 1, down.from));
        }
        Ok(())
    }

    fn slow_start(&self, now: Timestamp, others: usize) -> Result<(), String> {
        let Some(down) = self.down.as_ref().filter(|down| now < down.until.plus(SLOW_START)) else { return Ok(()) };
        let is_open = down.requests > down.opens_after && !down.hangs;
        if is_open && others > down.answered {
            return Err(format!("{} requests at once, and it has answered {} since it is back", others + 1, down.answered));
        }
        Ok(())
    }
}

impl Weather {
    /// Nobody gets an answer that is one.
    fn is_down(self) -> bool {
        matches!(self, Self::Refuses | Self::Hangs | Self::Unavailable { retry_after: None })
    }
}
