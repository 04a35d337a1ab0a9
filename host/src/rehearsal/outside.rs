//! The outside as it was: requests and reads are answered from what a recorded attempt was told, and everything else is noted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::bounds::Bounds;
use crate::alias::{Alias, Aliases, not_allowed, permits};
use crate::capability::egress::{Egress, EgressError, EgressRequest, EgressResponse};
use crate::capability::heard::{Answered, Asked, Heard, Read};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::integration::Allow;
use crate::message_store::{KeyValueRead, StoreError};

/// What a request is told that nobody made before.
const UNKNOWN: &str = "nobody made this request before: a rehearsal knows no answer to it";
/// How far the clock moves at a time while a call waits for an answer that never came.
const STEP: Duration = Duration::from_millis(100);

/// A request as it is sent out, or would be.
#[derive(Clone, Debug)]
pub struct Sent {
    pub alias: String,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub idempotency_key: String,
}

/// How a request was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// By the answer to the recorded one of this place.
    Recorded(usize),
    /// By the rules: it is not let out.
    Denied,
    /// Nobody made it before.
    Unknown,
}

/// What a call of the candidate asked, beside what it was told.
#[derive(Debug, Default)]
pub struct Noted {
    pub requests: Vec<(Sent, Met)>,
    /// Reads that nobody made before.
    pub unknown_reads: Vec<String>,
}

/// What may be asked of the outside now.
#[derive(Clone, Debug)]
pub enum Rules {
    /// As an environment's file says.
    Of(Arc<BTreeMap<String, Alias>>),
    /// As they are on a host that runs.
    Live(Arc<Aliases>),
}

impl Rules {
    fn permit(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Result<(), EgressError> {
        match self {
            Self::Live(aliases) => aliases.permits(alias, allow, request),
            Self::Of(aliases) => match aliases.get(alias) {
                Some(alias) => permits(alias, allow, request),
                None => Err(EgressError::Denied(format!("there is no alias {alias}"))),
            },
        }
    }

    /// Whether the rules that [`permit`](Self::permit) knows were why `asked` was denied, or its binding's `allow` was. Else it was the alias's
    /// rate, its network or its credential, which a release has no part in.
    fn denied(&self, asked: &Asked, request: &EgressRequest) -> bool {
        let Some(Answered::Denied(why)) = &asked.answer else { return false };
        let Asked { method, path, headers, body, idempotency_key, .. } = asked.clone();
        let again = EgressRequest { method, path, headers, body, idempotency_key, ..request.clone() };
        *why == not_allowed(&asked.method, &asked.path) || self.permit(&asked.alias, &[], again).is_err()
    }
}

/// The outside of a part of a message's way.
pub struct Outside {
    /// What was asked then, in order.
    pub asked: Vec<Asked>,
    reads: Vec<Read>,
    rules: Rules,
    bounds: Arc<Bounds>,
    clock: Arc<ManualClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which of what was asked has been given away.
    taken: Vec<bool>,
    /// How often the same was asked so far.
    ordinals: HashMap<(String, String, String), usize>,
    read: Vec<bool>,
    noted: Noted,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("asked", &self.asked.len()).field("reads", &self.reads.len()).finish_non_exhaustive()
    }
}

impl Outside {
    /// What was heard in some calls, in their order. What is asked takes up `bounds`.
    pub fn of<'a>(heard: impl IntoIterator<Item = &'a Heard>, rules: &Rules, bounds: &Arc<Bounds>, clock: &Arc<ManualClock>) -> Arc<Self> {
        let (mut asked, mut reads) = (Vec::new(), Vec::new());
        for heard in heard {
            asked.extend(heard.requests.iter().cloned());
            reads.extend(heard.reads.iter().cloned());
        }
        let state = State { taken: vec![false; asked.len()], read: vec![false; reads.len()], ..State::default() };
        let (rules, bounds, clock) = (rules.clone(), bounds.clone(), clock.clone());
        Arc::new(Self { asked, reads, rules, bounds, clock, state: Mutex::new(state) })
    }

    /// What was noted so far, taken out.
    pub fn noted(&self) -> Noted {
        std::mem::take(&mut self.state().noted)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recorded request that stands for `sent`: the same one, else one of the same method and path, and of several the one in the
    /// same place among them.
    fn find(&self, state: &mut State, sent: &Sent) -> Option<usize> {
        let name = (sent.alias.clone(), sent.method.clone(), sent.path.clone());
        let ordinal = state.ordinals.entry(name).or_insert(0);
        let place = *ordinal;
        *ordinal += 1;
        let alike = |asked: &&Asked| asked.alias == sent.alias && asked.method == sent.method && asked.path == sent.path;
        let equals: Vec<(usize, usize)> =
            (0..self.asked.len()).filter(|index| self.asked.get(*index).as_ref().is_some_and(alike)).zip(0..).collect();
        let is_left = |(index, _): &&(usize, usize)| !state.taken.get(*index).copied().unwrap_or(true);
        let is_same = |(index, _): &&(usize, usize)| self.asked.get(*index).is_some_and(|asked| asked.body == sent.body);
        let in_place = |(_, other): &&(usize, usize)| *other == place;
        let left = || equals.iter().filter(is_left);
        let found = left()
            .filter(is_same)
            .find(in_place)
            .or_else(|| left().find(is_same))
            .or_else(|| left().find(in_place))
            .or_else(|| left().next());
        let index = found.map(|(index, _)| *index)?;
        if let Some(taken) = state.taken.get_mut(index) {
            *taken = true;
        }
        Some(index)
    }

    /// What a request is met with, noted. None where the answer never came.
    fn meet(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Option<Result<EgressResponse, EgressError>> {
        let sent = Sent {
            alias: alias.to_owned(),
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            idempotency_key: request.idempotency_key.clone(),
        };
        let mut state = self.state();
        let found = self.find(&mut state, &sent);
        let recorded = found.and_then(|index| self.asked.get(index));
        let was_denied = recorded.is_some_and(|asked| matches!(asked.answer, Some(Answered::Denied(_))));
        // What was not let out then and is let out now, nobody has answered.
        let is_let_out = recorded.is_some_and(|asked| self.rules.denied(asked, &request));
        let (met, answer) = match (self.rules.permit(alias, allow, request), found.zip(recorded)) {
            (Err(denied), _) if !was_denied => (Met::Denied, Some(Err(denied))),
            (Ok(()), Some(_)) if is_let_out => (Met::Unknown, Some(unknown())),
            (_, Some((index, asked))) => (Met::Recorded(index), asked.answer.as_ref().map(|answer| answer.again(self.clock.now()))),
            (_, None) => (Met::Unknown, Some(unknown())),
        };
        self.note(&mut state.noted, recorded, sent, met);
        answer
    }

    /// What is as it was recorded takes up no room of its own.
    fn note(&self, noted: &mut Noted, recorded: Option<&Asked>, mut sent: Sent, met: Met) {
        let headers = || sent.headers.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        let bytes = || headers().fold(sent.path.len().saturating_add(sent.body.len()), usize::saturating_add);
        let known = recorded.filter(|asked| asked.body == sent.body && asked.headers == sent.headers);
        if known.is_none() && !self.bounds.ask(bytes()) {
            return;
        }
        if let Some(asked) = known {
            sent.body = asked.body.clone();
        }
        noted.requests.push((sent, met));
    }

    /// The next recorded answer that `fits`; the last one again where there is no next.
    fn read<'a, T>(&'a self, what: impl FnOnce() -> String, fits: impl Fn(&'a Read) -> Option<T>) -> Option<T> {
        let mut state = self.state();
        let mut last = None;
        for (index, read) in self.reads.iter().enumerate() {
            let Some(answer) = fits(read) else { continue };
            last = Some(answer);
            if let Some(is_read) = state.read.get_mut(index).filter(|is_read| !**is_read) {
                *is_read = true;
                break;
            }
        }
        if last.is_none() {
            let what = what();
            if self.bounds.ask(what.len()) {
                state.noted.unknown_reads.push(what);
            }
        }
        last
    }
}

fn unknown() -> Result<EgressResponse, EgressError> {
    Err(EgressError::Unreachable(UNKNOWN.to_owned()))
}

#[async_trait]
impl Egress for Outside {
    async fn send(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError> {
        if let Some(answer) = self.meet(alias, allow, request) {
            return answer;
        }
        // Then, the call ended while it waited: its time passes now as well, slowly enough that of several ends the first comes first.
        loop {
            self.clock.advance(STEP);
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl KeyValueRead for Outside {
    async fn get(&self, _: &str, key: &str, _: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.read(
            || format!("the value of `{key}`"),
            |read| match read {
                Read::Value { key: read, value } if read == key => Some(value.clone()),
                _ => None,
            },
        );
        Ok(value.flatten())
    }

    async fn list(&self, _: &str, prefix: &str, after: Option<&str>, limit: usize, _: Timestamp) -> Result<Vec<String>, StoreError> {
        // One that asked for as many, or that got all there were, has the answer.
        let keys = self.read(
            || format!("the keys that start with `{prefix}`"),
            |read| match read {
                Read::Keys { prefix: read, after: behind, most, keys }
                    if read == prefix && behind.as_deref() == after && (*most >= limit || keys.len() < *most) =>
                {
                    Some(keys.iter().take(limit).cloned().collect::<Vec<_>>())
                }
                _ => None,
            },
        );
        Ok(keys.unwrap_or_default())
    }

    /// Of one that wrote nothing then nobody asked; it is taken to have room.
    async fn used_bytes(&self, _: &str) -> Result<u64, StoreError> {
        Ok(self.reads.iter().find_map(|read| if let Read::UsedBytes(bytes) = read { Some(*bytes) } else { None }).unwrap_or(0))
    }
}
