//! [`Target`]: systems that work as their good answers say, but for one trouble, and keep what they did.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::trouble::{DOWN_FOR, RETRY_AFTER, TIMES, Trouble};
use crate::clock::Timestamp;
use crate::scenario::file::{Answer, To};
use crate::scenario::outside::{Answers, Reply, Request, token};

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(20);
/// How long one takes in the middle of which a host is stopped.
const SLOW: Duration = Duration::from_secs(10);

/// What a target answers where nothing is wrong.
#[derive(Clone, Debug)]
pub struct Good {
    /// The first that fits; none: as `otherwise` says.
    pub answers: Vec<Answer>,
    pub otherwise: (u16, &'static str),
}

impl Good {
    /// What somebody said that it is answered.
    fn said(&self, request: &Request) -> Option<&Answer> {
        let fits = |answer: &&Answer| {
            let is_asked = matches!(&answer.to, To::Requests(pattern) if pattern.fits(&request.method, &request.path));
            is_asked && answer.alias.as_ref().is_none_or(|alias| *alias == request.alias)
        };
        self.answers.iter().find(fits)
    }

    fn reply(&self, request: &Request) -> Reply {
        let of_type = |content_type: &str| ("content-type".to_owned(), content_type.to_owned());
        match self.said(request) {
            Some(answer) => {
                let mut headers = answer.headers.clone();
                let body = answer.content.as_ref().map(|content| content.body.clone()).unwrap_or_default();
                headers.extend(answer.content.as_ref().map(|content| of_type(&content.content_type)));
                Reply::Answer { status: answer.status, headers, body }
            }
            None => {
                let (status, body) = self.otherwise;
                Reply::Answer { status, headers: vec![of_type("application/json")], body: Bytes::from_static(body.as_bytes()) }
            }
        }
    }
}

/// Every system of a chamber.
pub struct Target {
    good: Good,
    trouble: Option<Trouble>,
    /// The first answer takes its time.
    is_slow: bool,
    honours_keys: bool,
    start: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: u32,
    tokens: usize,
    done: Vec<Done>,
    /// The answers given under a key.
    answered: HashMap<String, Reply>,
    /// Under each key the bodies that came, as hashes.
    bodies: BTreeMap<String, Vec<[u8; 32]>>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub alias: String,
    pub method: String,
    pub path: String,
    pub key: String,
    pub body: Bytes,
    /// Somebody said what it is answered, and that is JSON.
    pub is_json_known: bool,
}

impl Done {
    /// Whether it is the same request, whatever its key and its body.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.alias, &self.method, &self.path) == (&other.alias, &other.method, &other.path)
    }

    /// Whether it changed anything (RFC 9110, section 9.2.1).
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// Whether to do it twice is to do it once (RFC 9110, section 9.2.2).
    pub fn is_repeatable(&self) -> bool {
        matches!(self.method.as_str(), "PUT" | "DELETE")
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("trouble", &self.trouble).finish_non_exhaustive()
    }
}

impl Target {
    pub fn new(good: Good, trouble: Option<Trouble>, start: Timestamp) -> Self {
        let honours_keys = trouble != Some(Trouble::LostIgnored);
        Self { good, trouble, is_slow: false, honours_keys, start, state: Mutex::default() }
    }

    /// The same, whose first answer comes late.
    #[must_use]
    pub fn slow(self) -> Self {
        Self { is_slow: true, ..self }
    }

    /// What was done, in order.
    pub fn done(&self) -> Vec<Done> {
        self.lock().done.clone()
    }

    /// The first key under which another body came than before.
    pub fn other_body(&self) -> Option<String> {
        let state = self.lock();
        state.bodies.iter().find(|(_, bodies)| bodies.len() > 1).map(|(key, _)| key.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens in the place of the `number`-th answer; the work is done before, if the flag says so.
    fn in_its_place(&self, request: &Request, number: u32, good: &Reply) -> Option<(bool, Reply)> {
        let since = request.at.since(self.start);
        let undone = |reply| Some((false, reply));
        match self.trouble? {
            Trouble::Down if since < DOWN_FOR => undone(Reply::Unreachable),
            Trouble::Unavailable if since < DOWN_FOR => undone(Reply::status(503)),
            Trouble::Status(status) if number <= TIMES => undone(error(status)),
            Trouble::RetryAfter if number == 1 => {
                let headers = vec![("retry-after".to_owned(), RETRY_AFTER.as_secs().to_string())];
                undone(Reply::Answer { status: 429, headers, body: Bytes::new() })
            }
            Trouble::Silence if number == 1 => undone(Reply::Silence),
            Trouble::Html if number == 1 => undone(html()),
            Trouble::TokenExpires if number >= 2 && is_of_first_token(request) => undone(Reply::status(401)),
            Trouble::Reset | Trouble::LostHonoured | Trouble::LostIgnored if number == 1 => Some((true, Reply::Reset)),
            Trouble::Truncated if number == 1 => Some((true, half(good))),
            _ => None,
        }
    }
}

impl Answers for Target {
    fn answer(&self, request: &Request) -> (Duration, Reply) {
        let mut state = self.lock();
        if request.is_token {
            state.tokens += 1;
            return (LATENCY, token(state.tokens, None));
        }
        state.requests += 1;
        let number = state.requests;
        let body: [u8; 32] = Sha256::digest(&request.body).into();
        let bodies = state.bodies.entry(request.idempotency_key.clone()).or_default();
        if !bodies.contains(&body) {
            bodies.push(body);
        }
        let good = self.good.reply(request);
        let (is_done, reply) = self.in_its_place(request, number, &good).unwrap_or((true, good.clone()));
        let delay = if self.is_slow && number == 1 { SLOW } else { LATENCY };
        if !is_done {
            return (delay, reply);
        }
        if let Some(before) = state.answered.get(&request.idempotency_key).filter(|_| self.honours_keys) {
            return (delay, if reply == good { before.clone() } else { reply });
        }
        let is_json_known =
            self.good.said(request).and_then(|answer| answer.content.as_ref()).is_some_and(|content| content.content_type.contains("json"));
        let Request { alias, method, path, idempotency_key: key, body, .. } = request.clone();
        if good.is_good() {
            state.done.push(Done { alias, method, path, key: key.clone(), body, is_json_known });
        }
        state.answered.insert(key, good);
        (delay, reply)
    }
}

/// A status as a system that is not well gives it: with a page that is no JSON.
fn error(status: u16) -> Reply {
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    Reply::Answer { status, headers, body: format!("<html><body><h1>{status}</h1></body></html>").into() }
}

fn html() -> Reply {
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form action=\"/login\">&nbsp;</form></body></html>";
    Reply::Answer { status: 200, headers, body: Bytes::from_static(page.as_bytes()) }
}

fn half(good: &Reply) -> Reply {
    let Reply::Answer { status, headers, body } = good else { return good.clone() };
    Reply::Answer { status: *status, headers: headers.clone(), body: body.slice(..body.len() / 2) }
}

fn is_of_first_token(request: &Request) -> bool {
    request.headers.iter().any(|(name, value)| name == "authorization" && value.ends_with("made-up-token-1"))
}
