//! The world outside: targets that do as their script says, and watch what they are asked.
//!
//! They know what each order did and in which order the host took them in, and tell the history what the host must not do: a second
//! effect, a newer order of a customer before an older one, a request that it should not have sent now (`traffic`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::history::History;
use super::ledger::{Blamed, Taken, Watched};
use super::script::{Kind, Order, Script, Spell, TARGETS, Target as Scripted, Weather, in_force};
use super::traffic::Traffic;
use crate::alias::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};
use crate::clock::{Clock, Timestamp};
use crate::random::dice::Dice;

/// Number and part of an order.
pub type Label = (u32, u32);

/// All targets, by alias.
pub struct World(pub BTreeMap<&'static str, Target>);

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

#[async_trait]
impl Upstream for World {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let target = self.0.get(&*request.alias).ok_or_else(|| UpstreamError::Unreachable("nobody there".to_owned()))?;
        if request.url.path() == "/token" { target.token(&request).await } else { target.order(&request).await }
    }
}

/// One target.
pub struct Target {
    name: &'static str,
    script: Scripted,
    /// It gets several orders in one call: one whose answer did not come comes again in other company, and so under another key.
    gets_batches: bool,
    /// When the host dies.
    crashes: Vec<Timestamp>,
    clock: Arc<dyn Clock>,
    dice: Dice,
    history: History,
    taken: Arc<Taken>,
    blamed: Arc<Blamed>,
    state: Mutex<State>,
}

struct State {
    traffic: Traffic,
    /// Effects, each with the key it came under.
    done: BTreeMap<Label, String>,
    /// When it answered what it had done; none where the answer did not come.
    answered: HashMap<Label, Option<Timestamp>>,
    /// What was sent under a key.
    sent: HashMap<String, [u8; 32]>,
    /// By customer: the newest order asked for, by the place at which it was taken in.
    newest: HashMap<u32, (usize, Label)>,
    under_way: HashMap<u32, Label>,
    tokens: BTreeMap<String, Timestamp>,
}

/// An order is being worked on. It is no more when this is dropped, whatever became of who asked.
struct UnderWay<'a>(&'a Target, u32);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way.remove(&self.1);
    }
}

impl Target {
    /// The one that `script` calls `scripted`, asked by the host of `watched`.
    pub fn new(name: &'static str, scripted: &Scripted, script: &Script, dice: Dice, watched: &Watched) -> Self {
        let starts = script.crashes.iter().map(|(at, down)| at.plus(*down)).collect();
        let state = State {
            traffic: Traffic::new(&scripted.rate, starts),
            done: BTreeMap::new(),
            answered: HashMap::new(),
            sent: HashMap::new(),
            newest: HashMap::new(),
            under_way: HashMap::new(),
            tokens: BTreeMap::new(),
        };
        Self {
            name,
            script: scripted.clone(),
            gets_batches: name == TARGETS[1] && script.erp_batches.is_some(),
            crashes: script.crashes.iter().map(|(at, _)| *at).collect(),
            clock: watched.clock.clone(),
            dice,
            history: watched.history.clone(),
            taken: watched.taken.clone(),
            blamed: watched.blamed.clone(),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has done so far.
    pub fn done(&self) -> Vec<Label> {
        self.lock().done.keys().copied().collect()
    }

    pub fn requests(&self) -> usize {
        self.lock().traffic.requests()
    }

    async fn order(&self, request: &UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let now = self.clock.now();
        let order: Order = serde_json::from_slice(&request.body).map_err(|error| UpstreamError::Unreachable(error.to_string()))?;
        let key = header_text(request, "idempotency-key");
        let spell = self.script.weather(now).copied();
        self.watch(&order, &key, request, spell.as_ref(), now);
        let _under_way = UnderWay(self, order.customer);
        let answer = self.answer(&order, &key, request, spell).await;
        let (said, may_be_its_fault) = match &answer {
            Ok(answer) => (answer.status.as_u16().to_string(), !matches!(answer.status.as_u16(), 401 | 429 | 503)),
            Err(error) => (error.to_string(), matches!(error, UpstreamError::TimedOut(_))),
        };
        self.blamed.note(self.name, (order.number, order.part), may_be_its_fault);
        if answer.as_ref().is_ok_and(|answer| answer.status.as_u16() < 500 && answer.status != StatusCode::TOO_MANY_REQUESTS) {
            self.lock().traffic.answers(self.clock.now());
        }
        self.history
            .tell(self.clock.now(), format_args!("{} answers {} of {}: {said}", self.name, key.get(..8).unwrap_or(""), order.number));
        answer
    }

    /// Notes a request, and whether it should have been sent.
    fn watch(&self, order: &Order, key: &str, request: &UpstreamRequest, spell: Option<&Spell>, now: Timestamp) {
        let (name, label) = (self.name, (order.number, order.part));
        self.history.tell(now, format_args!("{name} is asked for {label:?} of customer {}", order.customer));
        let broken = |why: fmt::Arguments<'_>| self.history.broken(now, format_args!("{name}: {why}"));
        let mut state = self.lock();
        let others = state.under_way.len();
        if let Err(why) = state.traffic.request(now, spell, others) {
            broken(format_args!("{label:?}: {why}"));
        }
        let place = (self.taken.place(order.number), label);
        if let Some(newest) = state.newest.insert(order.customer, place).filter(|newest| *newest > place) {
            broken(format_args!("{label:?} was sent after {:?}, which is newer and of the same customer", newest.1));
        }
        if let Some(other) = state.under_way.insert(order.customer, label) {
            broken(format_args!("{label:?} was sent while {other:?} of the same customer was under way"));
        }
        let body: [u8; 32] = Sha256::digest(&request.body).into();
        if state.sent.insert(key.to_owned(), body).is_some_and(|before| before != body) {
            broken(format_args!("another body for {label:?} under the same key"));
        }
    }

    async fn answer(
        &self,
        order: &Order,
        key: &str,
        request: &UpstreamRequest,
        spell: Option<Spell>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let weather = spell.map(|spell| spell.weather);
        self.pass_some_time().await;
        let hits = |percent| self.dice.chance(percent);
        match weather {
            Some(Weather::Refuses) => return Err(UpstreamError::Unreachable("connection refused".to_owned())),
            Some(Weather::Hangs) => {
                self.clock.sleep(request.timeout).await;
                return Err(UpstreamError::TimedOut(request.timeout));
            }
            Some(Weather::Throttles { percent, retry_after }) if hits(percent) => {
                return Ok(self.asks_to_wait(StatusCode::TOO_MANY_REQUESTS, retry_after));
            }
            Some(Weather::Unavailable { retry_after }) => return Ok(self.asks_to_wait(StatusCode::SERVICE_UNAVAILABLE, retry_after)),
            Some(Weather::Errs { percent }) if hits(percent) => return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR)),
            _ => {}
        }
        if !self.is_authorized(request) {
            return Ok(plain(StatusCode::UNAUTHORIZED));
        }
        match &order.kind {
            Kind::RefusedBy(by) if by == self.name => return Ok(plain(StatusCode::UNPROCESSABLE_ENTITY)),
            Kind::Breaks(by) if by == self.name => return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR)),
            _ => {}
        }
        self.work(order, key);
        self.pass_some_time().await;
        match weather {
            Some(Weather::LosesAnswers { percent }) if hits(percent) => Err(UpstreamError::Unreachable("connection reset".to_owned())),
            _ => {
                self.lock().answered.insert((order.number, order.part), Some(self.clock.now()));
                Ok(plain(StatusCode::CREATED))
            }
        }
    }

    async fn pass_some_time(&self) {
        let (least, most) = self.script.latency_ms;
        let more = self.dice.below(usize::try_from(most - least).unwrap() + 1);
        self.clock.sleep(Duration::from_millis(least + more as u64)).await;
    }

    /// Once for each key.
    fn work(&self, order: &Order, key: &str) {
        let (now, label) = (self.clock.now(), (order.number, order.part));
        self.history.tell(now, format_args!("{} does {label:?}", self.name));
        let mut state = self.lock();
        let before = state.done.insert(label, key.to_owned());
        let answered = state.answered.insert(label, None).flatten();
        if before.is_some_and(|before| before != key) && !self.may_come_again(answered, now) {
            self.history.broken(now, format_args!("{}: {label:?} was done a second time, under another key", self.name));
        }
    }

    /// What was done and answered at `answered` comes again only where the host died before it had written that down.
    fn may_come_again(&self, answered: Option<Timestamp>, now: Timestamp) -> bool {
        let died_since = |answered: Timestamp| self.crashes.iter().any(|crash| answered <= *crash && *crash <= now);
        self.gets_batches && answered.is_none_or(died_since)
    }

    fn asks_to_wait(&self, status: StatusCode, seconds: Option<u64>) -> UpstreamResponse {
        let mut answer = plain(status);
        if let Some(seconds) = seconds {
            answer.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            let until = self.clock.now().plus(Duration::from_secs(seconds));
            self.lock().traffic.asks_to_wait(until);
        }
        answer
    }

    /// The token endpoint: a secret for a token.
    async fn token(&self, request: &UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        self.pass_some_time().await;
        let now = self.clock.now();
        if let Some(Spell { weather: Weather::Refuses, .. }) = self.script.weather(now) {
            return Err(UpstreamError::Unreachable("connection refused".to_owned()));
        }
        let secret = in_force(&self.script.secret_taken, now).unwrap_or_default();
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("client:{secret}")));
        let (said, lives) = self.script.token_lives;
        let good = header_text(request, "authorization") == basic;
        self.history.tell(now, format_args!("{} is asked for a token, {}", self.name, if good { "gives one" } else { "refuses" }));
        if !good {
            return Ok(UpstreamResponse::new(StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#));
        }
        let mut state = self.lock();
        let token = format!("token-{}", state.tokens.len());
        state.tokens.insert(token.clone(), now.plus(lives));
        let granted = serde_json::json!({ "access_token": token, "token_type": "bearer", "expires_in": said.as_secs() });
        Ok(UpstreamResponse::new(StatusCode::OK, granted.to_string()))
    }

    fn is_authorized(&self, request: &UpstreamRequest) -> bool {
        let authorization = header_text(request, "authorization");
        let Some(token) = authorization.strip_prefix("Bearer ") else { return false };
        let now = self.clock.now();
        let (_, lives) = self.script.token_lives;
        let revoked = self.script.tokens_revoked.iter().rev().find(|at| **at <= now);
        let state = self.lock();
        state.tokens.get(token).is_some_and(|until| {
            let given_at = Timestamp(until.0 - i64::try_from(lives.as_millis()).unwrap());
            now < *until && revoked.is_none_or(|revoked| *revoked <= given_at)
        })
    }
}

fn plain(status: StatusCode) -> UpstreamResponse {
    UpstreamResponse::new(status, "{}")
}

fn header_text(request: &UpstreamRequest, name: &str) -> String {
    request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
