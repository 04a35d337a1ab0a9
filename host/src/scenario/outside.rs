//! The outside: [`Wire`] is the network of a host in a chamber. It keeps what is asked, and has an [`Answers`] say what is answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use url::Url;

use super::file::{Answer, Fault, To};
use crate::alias::Environment;
use crate::alias::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};
use crate::clock::{Clock, Timestamp};

/// What every answer takes at least: nothing goes on without end at one moment.
const LATENCY: Duration = Duration::from_millis(1);
/// Requests that are kept; a chamber ends before it comes to more.
pub const REQUESTS_MAX: usize = 100_000;
/// For how long a token is good where nobody says.
const EXPIRES_IN: Duration = Duration::from_secs(60 * 60);

/// One request as its target got it.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Timestamp,
    pub alias: String,
    /// It asks for a token of the alias.
    pub is_token: bool,
    pub method: String,
    /// Path and query under the alias's base.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub idempotency_key: String,
    pub reply: Reply,
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Bytes,
    },
    /// Nobody takes the connection.
    Unreachable,
    /// The connection breaks when the request is there.
    Reset,
    /// None comes.
    Silence,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Whether it says that what was asked is done.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Answer { status: 200..=299, .. })
    }
}

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// What `request` is answered, whose own `reply` is not that yet, and after how long.
    fn answer(&self, request: &Request) -> (Duration, Reply);
}

/// A network with nobody on it but an [`Answers`].
pub struct Wire {
    answers: Arc<dyn Answers>,
    clock: Arc<dyn Clock>,
    /// Of each alias, where it begins, and where its tokens are.
    places: BTreeMap<String, (Option<Url>, Option<Url>)>,
    asked: Mutex<Vec<Request>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Wire {
    pub fn new(environment: &Environment, answers: Arc<dyn Answers>, clock: Arc<dyn Clock>) -> Self {
        let place = |alias: &crate::alias::Alias| (alias.url.clone(), alias.auth.token_url().cloned());
        let places = environment.aliases.iter().map(|(name, alias)| (name.clone(), place(alias))).collect();
        Self { answers, clock, places, asked: Mutex::default() }
    }

    /// What was asked so far, in order.
    pub fn asked(&self) -> Vec<Request> {
        self.lock().clone()
    }

    /// How much that is.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, request: &UpstreamRequest) -> Request {
        let (base, token_url) = self.places.get(&*request.alias).cloned().unwrap_or_default();
        let full = &request.url[url::Position::BeforePath..];
        let under = base.as_ref().and_then(|base| full.strip_prefix(base.path().trim_end_matches('/')));
        let headers: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let idempotency_key = headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, key)| key.clone()).unwrap_or_default();
        Request {
            at: self.clock.now(),
            alias: request.alias.to_string(),
            // What a plugin sends has a key, also where the token endpoint is under the alias's base.
            is_token: idempotency_key.is_empty() && token_url.as_ref() == Some(&request.url),
            method: request.method.to_string(),
            path: under.unwrap_or(full).to_owned(),
            headers,
            body: request.body.clone(),
            idempotency_key,
            reply: Reply::Silence,
        }
    }
}

#[async_trait]
impl Upstream for Wire {
    async fn send(&self, sent: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let mut request = self.request(&sent);
        let (delay, reply) = self.answers.answer(&request);
        let delay = delay.max(LATENCY);
        let reply = if delay >= sent.timeout { Reply::Silence } else { reply };
        request.reply = reply.clone();
        self.lock().push(request);
        let wait = if reply == Reply::Silence { sent.timeout } else { delay };
        self.clock.sleep(wait).await;
        match reply {
            Reply::Answer { body, .. } if body.len() > sent.body_bytes_max => Err(UpstreamError::TooLarge),
            Reply::Answer { status, headers, body } => Ok(response(status, headers, body)),
            Reply::Unreachable => Err(UpstreamError::Unreachable("connection refused".to_owned())),
            Reply::Reset => Err(UpstreamError::Unreachable("the connection broke before the answer was complete".to_owned())),
            Reply::Silence => Err(UpstreamError::TimedOut(sent.timeout)),
        }
    }
}

fn response(status: u16, headers: Vec<(String, String)>, body: Bytes) -> UpstreamResponse {
    let headers =
        headers.into_iter().filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)));
    UpstreamResponse { status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK), headers: headers.collect::<HeaderMap>(), body }
}

/// A token that is taken by whoever is asked.
pub fn token(number: usize, expires_in: Option<Duration>) -> Reply {
    let granted = serde_json::json!({
        "access_token": format!("made-up-token-{number}"),
        "token_type": "bearer",
        "expires_in": expires_in.unwrap_or(EXPIRES_IN).as_secs(),
    });
    let headers = vec![(header::CONTENT_TYPE.as_str().to_owned(), "application/json".to_owned())];
    Reply::Answer { status: 200, headers, body: granted.to_string().into() }
}

/// A scenario's answers.
pub struct Script {
    answers: Vec<Answer>,
    start: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often each was given.
    given: Vec<u32>,
    tokens: usize,
    unanswered: Option<Request>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("answers", &self.answers.len()).finish_non_exhaustive()
    }
}

impl Script {
    pub fn new(answers: Vec<Answer>, start: Timestamp) -> Self {
        let state = State { given: vec![0; answers.len()], ..State::default() };
        Self { answers, start, state: Mutex::new(state) }
    }

    /// The first request that no answer was there for.
    pub fn unanswered(&self) -> Option<Request> {
        self.lock().unanswered.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fits(&self, answer: &Answer, given: u32, request: &Request) -> bool {
        let since = request.at.since(self.start);
        let is_asked = match &answer.to {
            To::Token => request.is_token,
            To::Requests(pattern) => !request.is_token && pattern.fits(&request.method, &request.path),
        };
        is_asked
            && answer.alias.as_ref().is_none_or(|alias| *alias == request.alias)
            && answer.times.is_none_or(|times| given < times)
            && since >= answer.from
            && answer.until.is_none_or(|until| since < until)
    }
}

impl Answers for Script {
    fn answer(&self, request: &Request) -> (Duration, Reply) {
        let mut state = self.lock();
        let found = self.answers.iter().enumerate().find(|(index, answer)| self.fits(answer, state.given[*index], request));
        if request.is_token {
            state.tokens += 1;
        }
        let number = state.tokens;
        let Some((index, answer)) = found else {
            if request.is_token {
                return (LATENCY, token(number, None));
            }
            state.unanswered.get_or_insert_with(|| request.clone());
            return (LATENCY, Reply::Unreachable);
        };
        state.given[index] += 1;
        (answer.delay, reply(answer, number))
    }
}

fn reply(answer: &Answer, token_number: usize) -> Reply {
    match answer.fault {
        Some(Fault::Unreachable) => return Reply::Unreachable,
        Some(Fault::Reset) => return Reply::Reset,
        Some(Fault::Timeout) => return Reply::Silence,
        Some(Fault::Truncated) | None => {}
    }
    let is_plain_token = answer.to == To::Token && answer.content.is_none() && answer.status == 200;
    if is_plain_token {
        return token(token_number, answer.expires_in);
    }
    let mut headers = answer.headers.clone();
    let mut body = Bytes::new();
    if let Some(content) = &answer.content {
        body = content.body.clone();
        if !headers.iter().any(|(name, _)| name == header::CONTENT_TYPE.as_str()) {
            headers.push((header::CONTENT_TYPE.as_str().to_owned(), content.content_type.clone()));
        }
    }
    if answer.fault == Some(Fault::Truncated) {
        body.truncate(body.len() / 2);
    }
    Reply::Answer { status: answer.status, headers, body }
}
