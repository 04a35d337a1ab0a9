//! `http`: requests through the aliases bound to a plugin's slots, written down for the ledger, with the obstacle they met.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::egress::{Egress, EgressError, EgressRequest, EgressResponse, Hold, Sender};
use super::heard::{Asked, HeardRequests};
use super::idempotency::{RequestName, idempotency_key};
use super::over::{Over, count};
use crate::clock::{Clock, Timestamp};
use crate::integration::{Binding, Limit};
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::plugin::limits::Limits;
use crate::plugin::{Obstacle, ObstacleKind, OutboundRequest};
use crate::telemetry::Metrics;

/// How long a request may take where the plugin does not say.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What is left of a call's wall time when a request in it times out, so that the plugin still hears of it.
const LEFT_AFTER_TIMEOUT: Duration = Duration::from_secs(1);
/// What is kept of an answer that is not 2xx.
const EXCERPT_BYTES_MAX: usize = 1024;
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// The answer of a request that the end of its call cut off.
const CUT_OFF: &str = "cut-off";
/// The status of requests in metrics that were answered with what the host had kept.
const STALE: &str = "stale";

/// One request as a plugin gives it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub label: Option<String>,
    pub timeout: Option<Duration>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    Denied(String),
    TimedOut,
    Unreachable(String),
    TooLarge,
    BreakerOpen,
    RateLimited(Option<Duration>),
    CredentialRefused,
    TooManyRequests,
}

/// What every call's requests go through and are counted by.
#[derive(Clone)]
pub struct Outside {
    pub egress: Arc<dyn Egress>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("egress", &self.egress).finish_non_exhaustive()
    }
}

/// The requests of one call.
#[derive(Debug)]
pub struct Http {
    outside: Outside,
    bindings: Arc<BTreeMap<String, Binding>>,
    sender: Sender,
    base: String,
    /// The end of the call's wall time.
    deadline: Timestamp,
    requests_max: usize,
    at_once_max: usize,
    /// What the answers of one `send-all` may hold together: more would not fit into the guest's memory.
    answer_bytes_max: usize,
    ordinals: HashMap<(String, String, String), u32>,
    requests: Vec<OutboundRequest>,
    /// All of them whole, where somebody wants that.
    heard: Option<HeardRequests>,
    /// How often something was sent, alone or together.
    sendings: u32,
    obstacle: Option<Obstacle>,
    is_for_many: bool,
    /// Requests that were refused because there had been too many.
    refused: usize,
}

/// A request that may go out: where its record is, through which alias, and what is sent.
struct Planned {
    record: usize,
    binding: Binding,
    request: EgressRequest,
}

/// What came of a planned request.
struct Done {
    record: usize,
    took: Duration,
    answer: Result<EgressResponse, EgressError>,
}

impl Http {
    /// `base` is the call's idempotency base.
    pub fn new(outside: Outside, bindings: Arc<BTreeMap<String, Binding>>, sender: Sender, base: String, limits: &Limits) -> Self {
        let deadline = outside.clock.now().plus(limits.wall);
        Self {
            outside,
            bindings,
            sender,
            base,
            deadline,
            requests_max: limits.requests,
            at_once_max: limits.requests_at_once.max(1),
            answer_bytes_max: limits.memory_bytes,
            ordinals: HashMap::new(),
            requests: Vec::new(),
            heard: None,
            sendings: 0,
            obstacle: None,
            is_for_many: false,
            refused: 0,
        }
    }

    /// The same for a call for several messages (`is_for_many`), whose requests are each about another one: what stood in the way of any
    /// of them counts.
    pub fn for_many(self, is_for_many: bool) -> Self {
        Self { is_for_many, ..self }
    }

    /// The same, and every request is kept whole, with its answer, if `listens`.
    pub fn listening(self, listens: bool) -> Self {
        Self { heard: listens.then(HeardRequests::default), ..self }
    }

    /// What was kept whole; none unless it [listens](Self::listening).
    pub fn take_heard(&mut self) -> Option<HeardRequests> {
        self.heard.take()
    }

    /// Every request in the order of sending, and what stood in the way of the last; of a call [for many](Self::for_many), of any.
    pub fn into_record(self) -> (Vec<OutboundRequest>, Option<Obstacle>) {
        (self.requests, self.obstacle)
    }

    /// The limits it ran into.
    pub fn over(&self) -> Over {
        let mut over = Over::default();
        if self.refused > 0 {
            over.note(Limit::Requests, count(self.requests.len().saturating_add(self.refused)), count(self.requests_max));
        }
        over
    }

    /// Sends one request and waits for its answer.
    pub async fn send(&mut self, slot: &str, request: Request) -> Result<Response, HttpError> {
        self.send_all(slot, vec![request]).await.pop().unwrap_or(Err(HttpError::TooManyRequests))
    }

    /// Sends several, a few at once, and gives the answers in the order of the requests.
    pub async fn send_all(&mut self, slot: &str, requests: Vec<Request>) -> Vec<Result<Response, HttpError>> {
        let mut answers: Vec<Option<Result<Response, HttpError>>> = Vec::with_capacity(requests.len());
        let mut planned = Vec::new();
        self.sendings = self.sendings.saturating_add(1);
        for request in requests {
            match self.plan(slot, request) {
                Ok(plan) => {
                    planned.push((answers.len(), plan));
                    answers.push(None);
                }
                Err(why) => answers.push(Some(Err(why))),
            }
        }
        let sends: Vec<_> = planned.into_iter().map(|(index, plan)| send_planned(self.outside.clone(), index, plan)).collect();
        let mut under_way = futures_util::stream::iter(sends).buffer_unordered(self.at_once_max);
        let mut obstacles = Vec::new();
        let mut sent_any = false;
        let mut bytes_left = self.answer_bytes_max;
        while let Some((index, mut done)) = under_way.next().await {
            bytes_left = take_bytes(bytes_left, &mut done.answer);
            sent_any |= !matches!(done.answer, Err(EgressError::Denied(_)));
            // One reading for what is told and for what is kept of it: how long to wait is counted from it.
            let now = self.outside.clock.now();
            obstacles.extend(self.note(&done, now).map(|obstacle| (index, obstacle)));
            if let Some(answer) = answers.get_mut(index) {
                *answer = Some(told(done.answer, now));
            }
        }
        if sent_any {
            let before = self.obstacle.take().filter(|_| self.is_for_many);
            obstacles.extend(before.map(|obstacle| (0, obstacle)));
            self.obstacle = worst(obstacles);
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Err(HttpError::TooManyRequests))).collect()
    }

    /// Checks a request, names it and writes it down before it is sent: if the call ends meanwhile, the ledger has it.
    fn plan(&mut self, slot: &str, request: Request) -> Result<Planned, HttpError> {
        let Some(binding) = self.bindings.get(slot).cloned() else {
            return Err(HttpError::Denied(format!("no alias is bound to the slot `{slot}`")));
        };
        if !METHODS.contains(&request.method.as_str()) {
            return Err(HttpError::Denied(format!("the method is none of {}", METHODS.join(", "))));
        }
        if self.requests.len() >= self.requests_max {
            self.refused = self.refused.saturating_add(1);
            return Err(HttpError::TooManyRequests);
        }
        let idempotency_key = self.key(slot, &request);
        self.requests.push(OutboundRequest {
            slot: slot.to_owned(),
            alias: binding.alias.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            idempotency_key: idempotency_key.clone(),
            body_sha256: hex::encode(Sha256::digest(&request.body)),
            answer: CUT_OFF.to_owned(),
            answer_excerpt: None,
            stale: None,
            took_ms: 0,
            exchange: Exchange { sent: KeptBody::of(&request.headers, &request.body), answer: None },
        });
        if let Some(heard) = &mut self.heard {
            heard.ask(Asked {
                slot: slot.to_owned(),
                alias: binding.alias.clone(),
                method: request.method.clone(),
                path: request.path.clone(),
                headers: request.headers.clone(),
                body: request.body.clone(),
                idempotency_key: idempotency_key.clone(),
                together: self.sendings,
                took_ms: 0,
                answer: None,
            });
        }
        let left = self.deadline.since(self.outside.clock.now()).saturating_sub(LEFT_AFTER_TIMEOUT);
        let timeout = request.timeout.unwrap_or(TIMEOUT).min(left).max(Duration::from_millis(1));
        let Request { method, path, headers, body, .. } = request;
        let request = EgressRequest { sender: self.sender.clone(), method, path, headers, body, idempotency_key, timeout };
        Ok(Planned { record: self.requests.len() - 1, binding, request })
    }

    fn key(&mut self, slot: &str, request: &Request) -> String {
        if let Some(label) = &request.label {
            return idempotency_key(&self.base, slot, RequestName::Label(label));
        }
        let equals = self.ordinals.entry((slot.to_owned(), request.method.clone(), request.path.clone())).or_insert(0);
        let ordinal = *equals;
        *equals = equals.saturating_add(1);
        idempotency_key(&self.base, slot, RequestName::Ordinal { method: &request.method, path: &request.path, ordinal })
    }

    /// Completes the record of a request; gives the obstacle it met.
    fn note(&mut self, done: &Done, now: Timestamp) -> Option<Obstacle> {
        if let Some(heard) = &mut self.heard {
            heard.answer(done.record, &done.answer, done.took, now);
        }
        let record = self.requests.get_mut(done.record)?;
        record.took_ms = u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX);
        record.answer = answer_word(&done.answer);
        if let Ok(response) = &done.answer {
            record.stale.clone_from(&response.stale);
            record.exchange.answer = Some(KeptBody::of(&response.headers, &response.body));
            if !(200..300).contains(&response.status) {
                let excerpt = response.body.get(..EXCERPT_BYTES_MAX).unwrap_or(&response.body);
                record.answer_excerpt = Some(String::from_utf8_lossy(excerpt).into_owned());
            }
        }
        obstacle(&record.alias, &done.answer)
    }
}

/// An answer that came at `now`, as the plugin gets it.
fn told(answer: Result<EgressResponse, EgressError>, now: Timestamp) -> Result<Response, HttpError> {
    let until = |at: Option<Timestamp>| at.map(|at| at.since(now));
    match answer {
        Ok(response) => Ok(Response { status: response.status, headers: response.headers, body: response.body }),
        Err(EgressError::Denied(why)) => Err(HttpError::Denied(why)),
        Err(too_low @ EgressError::RateTooLow(_)) => Err(HttpError::Denied(too_low.to_string())),
        Err(EgressError::TimedOut) => Err(HttpError::TimedOut),
        Err(EgressError::Unreachable(why)) => Err(HttpError::Unreachable(why)),
        Err(EgressError::TooLarge) => Err(HttpError::TooLarge),
        Err(EgressError::Held { kind: Hold::Open | Hold::Paused, .. } | EgressError::NotKept { .. }) => Err(HttpError::BreakerOpen),
        Err(EgressError::Held { kind: Hold::Throttled, until: at } | EgressError::RateUsedUp { until: at }) => {
            Err(HttpError::RateLimited(until(at)))
        }
        Err(EgressError::CredentialRefused(_) | EgressError::Held { kind: Hold::CredentialRefused, .. }) => {
            Err(HttpError::CredentialRefused)
        }
    }
}

async fn send_planned(outside: Outside, index: usize, planned: Planned) -> (usize, Done) {
    let alias = &planned.binding.alias;
    let started_at = outside.clock.now();
    let answer = outside.egress.send(alias, &planned.binding.allow, planned.request).await;
    let took = outside.clock.now().since(started_at);
    let is_stale = answer.as_ref().is_ok_and(|response| response.stale.is_some());
    outside.metrics.http_out(alias, &if is_stale { STALE.to_owned() } else { answer_word(&answer) }, took);
    (index, Done { record: planned.record, took, answer })
}

/// What is left of `bytes_left` after `answer`, which is dropped at once where it does not fit.
fn take_bytes(bytes_left: usize, answer: &mut Result<EgressResponse, EgressError>) -> usize {
    let bytes = answer.as_ref().map_or(0, |response| response.body.len());
    bytes_left.checked_sub(bytes).unwrap_or_else(|| {
        *answer = Err(EgressError::TooLarge);
        bytes_left
    })
}

fn answer_word(answer: &Result<EgressResponse, EgressError>) -> String {
    match answer {
        Ok(response) => return response.status.to_string(),
        Err(EgressError::Denied(_)) => "denied",
        Err(EgressError::TimedOut) => "timed-out",
        Err(EgressError::Unreachable(_)) => "unreachable",
        Err(EgressError::TooLarge) => "too-large",
        Err(EgressError::Held { kind: Hold::Open, .. } | EgressError::NotKept { .. }) => "breaker-open",
        Err(EgressError::Held { kind: Hold::Paused, .. }) => "paused",
        Err(EgressError::Held { kind: Hold::Throttled, .. } | EgressError::RateUsedUp { .. } | EgressError::RateTooLow(_)) => {
            "rate-limited"
        }
        Err(EgressError::CredentialRefused(_) | EgressError::Held { kind: Hold::CredentialRefused, .. }) => "credential-refused",
    }
    .to_owned()
}

/// What the host itself saw in an answer that stands in the way of the target.
fn obstacle(alias: &str, answer: &Result<EgressResponse, EgressError>) -> Option<Obstacle> {
    let (kind, not_before, detail) = match answer {
        Ok(response) if response.status == 429 => (ObstacleKind::RateLimited, response.retry_after, "answered 429".to_owned()),
        Ok(response) if response.status == 503 => (ObstacleKind::Unavailable, response.retry_after, "answered 503".to_owned()),
        Ok(response) if response.is_down => {
            (ObstacleKind::Unavailable, None, format!("answered {}, and fails at other messages too", response.status))
        }
        Err(EgressError::Unreachable(why)) => (ObstacleKind::Unreachable, None, why.clone()),
        Err(EgressError::Held { kind, until }) => {
            let (kind, detail) = match kind {
                Hold::Open => (ObstacleKind::BreakerOpen, "failed too often a moment ago; nothing is sent for now"),
                Hold::Paused => (ObstacleKind::BreakerOpen, "is paused; nothing is sent until a person resumes it"),
                Hold::Throttled => (ObstacleKind::RateLimited, "asked to wait"),
                Hold::CredentialRefused => (ObstacleKind::CredentialRefused, "refuses the credential"),
            };
            (kind, *until, detail.to_owned())
        }
        Err(EgressError::NotKept { until }) => {
            (ObstacleKind::NotKept, *until, "failed too often a moment ago, and no answer to this request is kept".to_owned())
        }
        Err(EgressError::RateUsedUp { until }) => (ObstacleKind::RateLimited, *until, "its rate is used up".to_owned()),
        Err(EgressError::CredentialRefused(why)) => (ObstacleKind::CredentialRefused, None, why.clone()),
        Ok(_) | Err(EgressError::Denied(_) | EgressError::RateTooLow(_) | EgressError::TimedOut | EgressError::TooLarge) => return None,
    };
    Some(Obstacle { kind, alias: alias.to_owned(), not_before, detail })
}

/// Of several obstacles the first, but a refused credential before all others: only a person can mend it.
/// Nothing is tried again before the latest time any of them names.
fn worst(mut obstacles: Vec<(usize, Obstacle)>) -> Option<Obstacle> {
    obstacles.sort_by_key(|(index, obstacle)| (obstacle.kind != ObstacleKind::CredentialRefused, *index));
    let not_before = obstacles.iter().filter_map(|(_, obstacle)| obstacle.not_before).max();
    let (_, first) = obstacles.into_iter().next()?;
    Some(Obstacle { not_before, ..first })
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
