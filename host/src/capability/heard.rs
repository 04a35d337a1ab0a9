//! [`Heard`]: what one call asked the outside and was told, so that the same call can be made again and be told the same.
//!
//! With the message, the config and what random bytes and clocks follow from, this is all a plugin can see. Credentials are blanked in
//! answers before they come here. Depends on `egress` and on the trait the message store is read through.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::egress::{EgressError, EgressResponse, Hold, Stale};
use crate::clock::Timestamp;
use crate::message_store::{KeyValueRead, StoreError};

/// Bytes that are kept of what one call heard. The host would otherwise hold, until the call's attempt ends, what a plugin asked for once
/// and let go of.
pub const HEARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a question counts for beside its content, and a key of those that were listed.
const ENTRY_BYTES: usize = 128;
const KEY_BYTES: usize = 32;

/// What a call heard, each kind in the order in which it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub requests: Vec<Asked>,
    pub reads: Vec<Read>,
    /// There was more of it than is kept, or the host itself was in trouble: the call cannot be made again from this.
    pub is_cut: bool,
}

/// A request as the plugin gave it, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub slot: String,
    pub alias: String,
    pub method: String,
    /// Path and query under the alias's base.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub idempotency_key: String,
    /// Those of one `send-all` have the same number.
    pub together: u32,
    pub took_ms: u64,
    /// None where the call ended before one came.
    pub answer: Option<Answered>,
}

/// What a request was told. Times are relative, so that they mean the same at any time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answered {
    Response { status: u16, headers: Vec<(String, String)>, body: Bytes, wait_ms: Option<u64>, is_down: bool, stale: Option<(u64, String)> },
    Denied(String),
    TimedOut,
    Unreachable(String),
    TooLarge,
    Held { kind: Hold, wait_ms: Option<u64> },
    NotKept { wait_ms: Option<u64> },
    RateUsedUp { wait_ms: Option<u64> },
    CredentialRefused(String),
}

/// A read of the integration's key-value data, of what is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Read {
    Value { key: String, value: Option<Vec<u8>> },
    Keys { prefix: String, after: Option<String>, most: usize, keys: Vec<String> },
    UsedBytes(u64),
}

impl Answered {
    /// What was answered at `now`.
    pub fn of(answer: &Result<EgressResponse, EgressError>, now: Timestamp) -> Self {
        let wait = |until: &Option<Timestamp>| until.map(|until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX));
        match answer {
            Ok(EgressResponse { status, headers, body, retry_after, is_down, stale }) => Self::Response {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
                wait_ms: wait(retry_after),
                is_down: *is_down,
                stale: stale.as_ref().map(|stale| (stale.age_s, stale.instead_of.clone())),
            },
            Err(EgressError::Denied(why)) => Self::Denied(why.clone()),
            Err(too_low @ EgressError::RateTooLow(_)) => Self::Denied(too_low.to_string()),
            Err(EgressError::TimedOut) => Self::TimedOut,
            Err(EgressError::Unreachable(why)) => Self::Unreachable(why.clone()),
            Err(EgressError::TooLarge) => Self::TooLarge,
            Err(EgressError::Held { kind, until }) => Self::Held { kind: *kind, wait_ms: wait(until) },
            Err(EgressError::NotKept { until }) => Self::NotKept { wait_ms: wait(until) },
            Err(EgressError::RateUsedUp { until }) => Self::RateUsedUp { wait_ms: wait(until) },
            Err(EgressError::CredentialRefused(why)) => Self::CredentialRefused(why.clone()),
        }
    }

    /// The same answer, given at `now`.
    pub fn again(&self, now: Timestamp) -> Result<EgressResponse, EgressError> {
        let until = |wait_ms: &Option<u64>| wait_ms.map(|wait_ms| now.plus(Duration::from_millis(wait_ms)));
        Err(match self {
            Self::Response { status, headers, body, wait_ms, is_down, stale } => {
                let stale = stale.as_ref().map(|(age_s, instead_of)| Stale { age_s: *age_s, instead_of: instead_of.clone() });
                let (headers, body, retry_after) = (headers.clone(), body.clone(), until(wait_ms));
                return Ok(EgressResponse { status: *status, headers, body, retry_after, is_down: *is_down, stale });
            }
            Self::Denied(why) => EgressError::Denied(why.clone()),
            Self::TimedOut => EgressError::TimedOut,
            Self::Unreachable(why) => EgressError::Unreachable(why.clone()),
            Self::TooLarge => EgressError::TooLarge,
            Self::Held { kind, wait_ms } => EgressError::Held { kind: *kind, until: until(wait_ms) },
            Self::NotKept { wait_ms } => EgressError::NotKept { until: until(wait_ms) },
            Self::RateUsedUp { wait_ms } => EgressError::RateUsedUp { until: until(wait_ms) },
            Self::CredentialRefused(why) => EgressError::CredentialRefused(why.clone()),
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Response { headers, body, .. } => header_bytes(headers).saturating_add(body.len()),
            _ => 0,
        }
    }
}

fn header_bytes(headers: &[(String, String)]) -> usize {
    headers.iter().fold(0, |bytes, (name, value)| bytes.saturating_add(name.len()).saturating_add(value.len()))
}

impl Asked {
    /// Bytes of what was sent and answered.
    pub fn bytes(&self) -> usize {
        let sent = header_bytes(&self.headers).saturating_add(self.body.len()).saturating_add(self.path.len());
        sent.saturating_add(self.answer.as_ref().map_or(0, Answered::bytes)).saturating_add(ENTRY_BYTES)
    }
}

impl Read {
    fn bytes(&self) -> usize {
        match self {
            Self::Value { key, value } => key.len().saturating_add(value.as_ref().map_or(0, Vec::len)).saturating_add(ENTRY_BYTES),
            Self::Keys { prefix, keys, .. } => keys
                .iter()
                .fold(prefix.len().saturating_add(ENTRY_BYTES), |bytes, key| bytes.saturating_add(key.len().saturating_add(KEY_BYTES))),
            Self::UsedBytes(_) => ENTRY_BYTES,
        }
    }
}

impl Heard {
    /// Bytes of all of it.
    pub fn bytes(&self) -> usize {
        let requests = self.requests.iter().map(Asked::bytes);
        requests.chain(self.reads.iter().map(Read::bytes)).fold(0, usize::saturating_add)
    }
}

/// The requests of one call, gathered within bounds.
#[derive(Debug, Default)]
pub struct HeardRequests {
    requests: Vec<Asked>,
    bytes: usize,
    is_cut: bool,
}

impl HeardRequests {
    /// A request is about to be sent.
    pub fn ask(&mut self, asked: Asked) {
        self.take(asked.bytes());
        if !self.is_cut {
            self.requests.push(asked);
        }
    }

    /// The request at `place`, in the order of sending, has been answered at `now`.
    pub fn answer(&mut self, place: usize, answer: &Result<EgressResponse, EgressError>, took: Duration, now: Timestamp) {
        let answered = Answered::of(answer, now);
        self.take(answered.bytes());
        if let Some(asked) = self.requests.get_mut(place) {
            asked.answer = Some(answered);
            asked.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        }
    }

    fn take(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > HEARD_BYTES_MAX {
            self.is_cut = true;
            self.requests = Vec::new();
        }
    }

    /// What was heard, with `reads` beside it.
    pub fn with(self, reads: Option<&HeardReads>) -> Heard {
        let Self { requests, is_cut, .. } = self;
        let (reads, reads_cut) = reads.map(HeardReads::take).unwrap_or_default();
        Heard { requests, reads, is_cut: is_cut || reads_cut }
    }
}

/// The key-value data one call reads: hands on every question and writes down the answers.
pub struct HeardReads {
    stored: Arc<dyn KeyValueRead>,
    gathered: Mutex<GatheredReads>,
}

#[derive(Default)]
struct GatheredReads {
    reads: Vec<Read>,
    bytes: usize,
    is_cut: bool,
}

impl HeardReads {
    pub fn of(stored: Arc<dyn KeyValueRead>) -> Arc<Self> {
        Arc::new(Self { stored, gathered: Mutex::default() })
    }

    fn take(&self) -> (Vec<Read>, bool) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut gathered.reads), gathered.is_cut)
    }

    /// Writes an answer down; that there was none leaves the record cut.
    fn note<T>(&self, answer: Result<T, StoreError>, read: impl FnOnce(&T) -> Read) -> Result<T, StoreError> {
        let read = answer.as_ref().ok().map(read);
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.bytes = gathered.bytes.saturating_add(read.as_ref().map_or(0, Read::bytes));
        match read {
            Some(read) if gathered.bytes <= HEARD_BYTES_MAX => gathered.reads.push(read),
            _ => {
                gathered.is_cut = true;
                gathered.reads = Vec::new();
            }
        }
        answer
    }
}

impl std::fmt::Debug for HeardReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeardReads").finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyValueRead for HeardReads {
    async fn get(&self, integration: &str, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let answer = self.stored.get(integration, key, now).await;
        self.note(answer, |value| Read::Value { key: key.to_owned(), value: value.clone() })
    }

    async fn list(
        &self,
        integration: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let answer = self.stored.list(integration, prefix, after, limit, now).await;
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.note(answer, |keys| Read::Keys { prefix, after, most: limit, keys: keys.clone() })
    }

    async fn used_bytes(&self, integration: &str) -> Result<u64, StoreError> {
        let answer = self.stored.used_bytes(integration).await;
        self.note(answer, |bytes| Read::UsedBytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_can_be_given_again_at_another_time() {
        let (then, now) = (Timestamp(1_000), Timestamp(900_000));
        let response = EgressResponse {
            status: 503,
            headers: vec![("retry-after".into(), "7".into())],
            body: Bytes::from_static(b"no"),
            retry_after: Some(Timestamp(8_000)),
            is_down: true,
            stale: Some(Stale { age_s: 3, instead_of: "unreachable".into() }),
        };
        let later = EgressResponse { retry_after: Some(Timestamp(907_000)), ..response.clone() };
        assert_eq!(Answered::of(&Ok(response), then).again(now), Ok(later));
        for error in [EgressError::Denied("no".into()), EgressError::TimedOut, EgressError::Unreachable("x".into()), EgressError::TooLarge]
        {
            assert_eq!(Answered::of(&Err(error.clone()), then).again(now), Err(error));
        }
        let held = EgressError::Held { kind: Hold::Throttled, until: Some(Timestamp(1_500)) };
        let again = EgressError::Held { kind: Hold::Throttled, until: Some(Timestamp(900_500)) };
        assert_eq!(Answered::of(&Err(held), then).again(now), Err(again));
    }

    #[test]
    fn what_is_too_much_is_not_held_on_to() {
        let asked = |bytes: usize| Asked {
            slot: "target".into(),
            alias: "crm".into(),
            method: "POST".into(),
            path: "/".into(),
            headers: Vec::new(),
            body: Bytes::from(vec![0; bytes]),
            idempotency_key: "key".into(),
            together: 0,
            took_ms: 0,
            answer: None,
        };
        let mut requests = HeardRequests::default();
        requests.ask(asked(10));
        requests.ask(asked(HEARD_BYTES_MAX));
        requests.ask(asked(10));
        requests.answer(0, &Err(EgressError::TimedOut), Duration::ZERO, Timestamp(0));
        let heard = requests.with(None);
        assert!(heard.is_cut && heard.requests.is_empty());
    }
}
