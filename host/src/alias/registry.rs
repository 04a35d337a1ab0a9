//! [`Aliases`]: the aliases of the running environment, through which every request of a plugin leaves.
//!
//! Owns the rules on what a plugin may ask of an alias and the view of their states. Depends on the other files of this room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::admission::Entrance;
use super::endpoint::{Endpoint, Prepared, Surroundings};
use super::health::Hold;
use super::probe::{self, AliasTest};
use super::rate::{RateLimit, RateUse};
use super::secret::SecretSource;
use super::stale::Stale;
use super::turnstile::{Gate, Kept, Standing};
use super::upstream::Upstream;
use super::vault::Vault;
use super::{Alias, Environment, Verify, headers, path};
use crate::clock::{Clock, Timestamp};
use crate::integration::{Allow, Owner};
use crate::random::Random;

/// The longest body a plugin may send.
pub const REQUEST_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest path and query a plugin may ask for. What no HTTP library takes must not look like a target that is down.
pub const REQUEST_PATH_BYTES_MAX: usize = 32 * 1024;
/// The longest body a target may answer with.
pub const RESPONSE_BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// What a request's time-out is clamped to. The lower bound keeps a plugin from making a healthy target look unreachable.
pub const TIMEOUT_MIN: Duration = Duration::from_secs(1);
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// How often a refused secret is read again.
const REFUSED_SECRET_EVERY: Duration = Duration::from_secs(1);

/// For whom a request is sent.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Integrations share an alias's rate.
    pub integration: Arc<str>,
    /// The message's id: however often a target fails at one message, that alone does not make it down.
    pub message: u128,
}

/// One request of a plugin.
#[derive(Clone, Debug)]
pub struct EgressRequest {
    pub sender: Sender,
    pub method: String,
    /// Path and query under the alias's base URL, starting with `/`.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Sent as `Idempotency-Key`.
    pub idempotency_key: String,
    /// For the exchange with the target, a second try after a 401 included; getting a token is not. Clamped to 1 to 60 s.
    pub timeout: Duration,
}

/// An answer, whatever its status, with credentials blanked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressResponse {
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Of a 429, or a 503 that says when to come back: not before this.
    pub retry_after: Option<Timestamp>,
    /// It says that the target is down, and so have others: the alias's breaker is open.
    pub is_down: bool,
    /// It is not of now: it was kept, and the target gave none.
    pub stale: Option<Stale>,
}

/// Why a request of a plugin has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// Against the rules; nothing was sent, or its answer cannot be shown. The text says which rule.
    #[error("denied: {0}")]
    Denied(String),
    /// No answer in time; the target may have done the work.
    #[error("no answer in time")]
    TimedOut,
    /// The target or its token endpoint could not be reached, or the connection broke.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The answer was over 10 MiB or 100 headers, or came in more than 100,000 pieces.
    #[error("the answer is larger than allowed")]
    TooLarge,
    /// Nothing was sent, because the alias sends nothing for now.
    #[error("the alias is {}", kind.as_str())]
    Held { kind: Hold, until: Option<Timestamp> },
    /// Nothing was sent, because the alias's breaker is open; it was asked all the same, since an answer might have been kept.
    #[error("the alias is open, and no answer is kept")]
    NotKept { until: Option<Timestamp> },
    /// Nothing was sent, because the alias's rate leaves no room before `until`; none where nobody knows when it will.
    #[error("the alias's rate is used up")]
    RateUsedUp { until: Option<Timestamp> },
    /// Nothing was sent, because the delivery had all of this limit to itself and wants more.
    #[error("this one delivery sends more requests than the alias's rate of {0} allows; raise the rate, or send less for one message")]
    RateTooLow(RateLimit),
    /// The credential is refused, or there is none to be had.
    #[error("credential refused: {0}")]
    CredentialRefused(String),
}

/// What is shown of an alias. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AliasStatus {
    pub name: String,
    pub owner: Option<Owner>,
    pub url: Option<String>,
    /// The kind, as in environment files; `none` where there is none.
    pub auth: &'static str,
    /// What the secrets of that are called, for `lockgate secret set`.
    pub secrets: Vec<String>,
    /// How it proves who sent a webhook; none where it verifies none.
    pub verify: Option<&'static str>,
    /// `healthy`, `throttled`, `open`, `credential-refused`, `paused`.
    pub state: &'static str,
    /// `closed`, `open`, `half-open`: one request finds out whether the target is back.
    pub breaker: &'static str,
    /// What is used of its rate.
    pub rate: Vec<RateUse>,
    /// The limit of its own rate that throttles it: `20/s`. Without `until` it sends all the while, no more than that.
    pub limited_by: Option<String>,
    pub since: Timestamp,
    /// Nothing is sent before this, unless the state changes by itself.
    pub until: Option<Timestamp>,
    pub detail: Option<String>,
}

impl AliasStatus {
    #[cfg(test)]
    pub fn healthy(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            owner: None,
            url: None,
            auth: "none",
            secrets: Vec::new(),
            verify: None,
            state: "healthy",
            breaker: "closed",
            rate: Vec::new(),
            limited_by: None,
            since: Timestamp(0),
            until: None,
            detail: None,
        }
    }

    /// Whether nothing is sent for now.
    pub fn is_held(&self) -> bool {
        self.state != "healthy" && !(self.limited_by.is_some() && self.until.is_none())
    }
}

/// What is kept of an alias over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAlias {
    pub name: String,
    /// What is known of one target is not held against another.
    url: Option<String>,
    kept: Kept,
}

/// The aliases of the running environment. Share it as an `Arc`.
#[derive(Debug)]
pub struct Aliases {
    endpoints: RwLock<Arc<Endpoints>>,
    /// Those no environment has had since: one that comes back is the one it was, paused if it was, with its token and what is known of
    /// its target.
    gone: Mutex<Endpoints>,
    around: Arc<Surroundings>,
}

/// More that are gone are forgotten, and start anew if they come back.
const GONE_MAX: usize = 1_000;

type Endpoints = BTreeMap<String, Arc<Endpoint>>;

/// What [`Aliases`] work with.
#[derive(Debug)]
pub struct AliasesParts {
    pub secrets: Arc<dyn SecretSource>,
    pub vault: Arc<Vault>,
    pub upstream: Arc<dyn Upstream>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl Aliases {
    /// The aliases of `environment`, all taken to be healthy. Reads no secret yet.
    pub fn new(environment: &Environment, parts: AliasesParts) -> Self {
        let AliasesParts { secrets, vault, upstream, clock, random } = parts;
        let (changes, to_keep) = (watch::Sender::new(0), Notify::new());
        let around = Arc::new(Surroundings { secrets, vault, upstream, clock, random, changes, to_keep });
        let endpoint = |alias: &Alias| (alias.name.clone(), Arc::new(Endpoint::new(alias.clone(), Arc::clone(&around))));
        let endpoints: Endpoints = environment.aliases.values().map(endpoint).collect();
        Self { endpoints: RwLock::new(Arc::new(endpoints)), gone: Mutex::default(), around }
    }

    /// [`Aliases::new`], keeping tokens nowhere but in memory.
    pub fn in_memory(
        environment: &Environment,
        secrets: Arc<dyn SecretSource>,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let vault = Arc::new(Vault::in_memory());
        Self::new(environment, AliasesParts { secrets, vault, upstream, clock, random })
    }

    /// From now on the aliases are those of `environment`. What is under way ends where it began. An alias that leads where it led
    /// keeps what is known of its target; one that leads elsewhere is taken to be healthy. All at once: nobody sees half of it.
    pub fn replace(&self, environment: &Environment) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.endpoints();
        let mut endpoints = Endpoints::new();
        for alias in environment.aliases.values() {
            let endpoint = match before.get(&alias.name).cloned().or_else(|| gone.remove(&alias.name)) {
                Some(same) if same.alias == *alias => same,
                Some(old) => Arc::new(old.succeeded_by(alias.clone())),
                None => Arc::new(Endpoint::new(alias.clone(), Arc::clone(&self.around))),
            };
            endpoints.insert(alias.name.clone(), endpoint);
        }
        let leaving: Vec<_> = before.iter().filter(|(name, _)| !endpoints.contains_key(*name)).collect();
        let room = GONE_MAX.saturating_sub(gone.len());
        gone.extend(leaving.into_iter().take(room).map(|(name, endpoint)| (name.clone(), Arc::clone(endpoint))));
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(endpoints);
        self.around.changes.send_modify(|tick| *tick += 1);
        self.around.to_keep.notify_one();
    }

    fn endpoints(&self) -> Arc<Endpoints> {
        Arc::clone(&self.endpoints.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends one request of a plugin through `alias`, within what `allow` lets through (nothing in it: everything).
    ///
    /// A 401 is met with a fresh credential and one more try. Any other answer is an answer.
    pub async fn send(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError> {
        let endpoint = self.endpoint(alias)?;
        endpoint.answer(prepare(&endpoint.alias, allow, request)?).await
    }

    /// Whether a request is within the rules of the alias of that name, as they are now, and what `allow` lets through. Sends nothing.
    ///
    /// # Errors
    /// [`EgressError::Denied`], as it would be told.
    pub fn permits(&self, alias: &str, allow: &[Allow], request: EgressRequest) -> Result<(), EgressError> {
        permits(&self.endpoint(alias)?.alias, allow, request)
    }

    /// Where `integration` asks for leave to start deliveries that use `aliases`. Unknown aliases let everybody through: the
    /// delivery will say what is wrong. `bell` is rung when it is worth asking again.
    pub fn entrance<'a>(&self, integration: &str, aliases: impl IntoIterator<Item = &'a str>, bell: Arc<Notify>) -> Entrance {
        let endpoints = self.endpoints();
        let turnstiles = aliases.into_iter().filter_map(|alias| endpoints.get(alias)).map(|endpoint| Arc::clone(&endpoint.turnstile));
        Entrance::new(integration, turnstiles.collect(), bell, Arc::clone(&self.around.clock))
    }

    /// Whether the target of `alias` may be asked now. An unknown alias is open: the delivery will say what is wrong.
    pub fn gate(&self, alias: &str) -> Gate {
        self.endpoints().get(alias).map_or(Gate::Open, |endpoint| endpoint.turnstile.gate(self.around.clock.now()))
    }

    /// All aliases, by name.
    pub fn states(&self) -> Vec<AliasStatus> {
        let now = self.around.clock.now();
        self.endpoints().values().map(|endpoint| status(endpoint, now)).collect()
    }

    /// How long `deliveries` of `integration` take at least by the rate of `alias`, if nobody else sends anything.
    pub fn time_for(&self, alias: &str, integration: &str, deliveries: u64) -> Duration {
        let time = |endpoint: &Endpoint| endpoint.turnstile.time_for(integration, deliveries, self.around.clock.now());
        self.endpoints().get(alias).map_or(Duration::ZERO, |endpoint| time(endpoint))
    }

    /// A person keeps back what is sent through `alias`, since then and for that reason. False where there is no such alias.
    pub fn pause(&self, alias: &str, since: Timestamp, reason: &str) -> bool {
        let Some(endpoint) = self.endpoints().get(alias).cloned() else { return false };
        endpoint.turnstile.pause(since, reason.to_owned(), self.around.clock.now());
        endpoint.changed();
        true
    }

    /// `alias` goes on, slowly at first. False where it was not paused.
    pub fn resume(&self, alias: &str) -> bool {
        let Some(endpoint) = self.endpoints().get(alias).cloned() else { return false };
        let news = endpoint.turnstile.resume(self.around.clock.now());
        if news {
            endpoint.changed();
        }
        news
    }

    /// Since when `alias` is paused, and why.
    pub fn paused(&self, alias: &str) -> Option<(Timestamp, String)> {
        self.endpoints().get(alias)?.turnstile.paused()
    }

    /// Ticks at every change of a state. The end of a wait is not told: that is its `until`; nor is what an alias's own rate does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.around.changes.subscribe()
    }

    /// Takes up what was kept before a restart, of those aliases that still lead where they led.
    pub fn restore(&self, kept: Vec<KeptAlias>) {
        let endpoints = self.endpoints();
        for KeptAlias { name, url, kept } in kept {
            if let Some(endpoint) = endpoints.get(&name).filter(|endpoint| url_of(endpoint) == url) {
                endpoint.turnstile.restore(kept, self.around.clock.now());
            }
        }
    }

    /// Waits until there is something to be kept over a restart, and gives it. Only one should wait.
    pub async fn next_to_keep(&self) -> Vec<KeptAlias> {
        loop {
            let now = self.around.clock.now();
            let kept = |endpoint: &Arc<Endpoint>| endpoint.turnstile.changed_to_keep(now).map(|kept| keep(endpoint, kept));
            let changed: Vec<_> = self.endpoints().values().filter_map(kept).collect();
            if !changed.is_empty() {
                return changed;
            }
            self.around.to_keep.notified().await;
        }
    }

    /// What is to be kept of all aliases when nothing more is sent.
    pub fn all_to_keep(&self) -> Vec<KeptAlias> {
        let now = self.around.clock.now();
        self.endpoints().values().map(|endpoint| keep(endpoint, endpoint.turnstile.kept(now))).collect()
    }

    /// Asks the endpoint of `alias` for its base URL with a credential made anew. Where that shows that the credential is taken, a
    /// refused alias is released.
    pub async fn test(&self, alias: &str) -> AliasTest {
        match self.endpoint(alias) {
            Ok(endpoint) => probe::run(&endpoint, &*self.around.clock).await,
            Err(error) => AliasTest::not_asked(alias, error.to_string()),
        }
    }

    /// Runs until dropped: while a credential is refused, reads its secret again every second, and releases the alias once it is
    /// another one.
    pub async fn watch_refused(&self) {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if !self.endpoints().values().any(|endpoint| endpoint.turnstile.is_refused()) {
                // The sender lives in `self`, so this ends with a change only.
                let _ = changes.changed().await;
                continue;
            }
            self.around.clock.sleep(REFUSED_SECRET_EVERY).await;
            for endpoint in self.endpoints().values().filter(|endpoint| endpoint.turnstile.is_refused()) {
                self.release_if_changed(endpoint).await;
            }
        }
    }

    /// Whether it was changed, and so released.
    async fn release_if_changed(&self, endpoint: &Endpoint) -> bool {
        // Still no secret to read: nothing has changed.
        let Ok(given) = endpoint.given() else { return false };
        let is_changed = endpoint.turnstile.is_refused_with_other_than(&given.joined());
        if is_changed {
            endpoint.release("there is a new secret; delivery resumes").await;
        }
        is_changed
    }

    /// Releases refused aliases whose secrets are others now, at once: somebody has set one. Gives their names. What is kept of answers
    /// that were given to other secrets is forgotten.
    pub async fn secrets_changed(&self) -> Vec<String> {
        let mut released = Vec::new();
        for (name, endpoint) in self.endpoints().iter() {
            if endpoint.turnstile.is_refused() && self.release_if_changed(endpoint).await {
                released.push(name.clone());
            } else {
                forget_answers(endpoint);
            }
        }
        // Those may come back.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(forget_answers);
        released
    }

    /// A secret was taken away: no request is sent with what was made of it, but those under way.
    pub async fn secret_unset(&self) {
        let gone: Vec<_> = self.gone.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for endpoint in self.endpoints().values().chain(&gone) {
            endpoint.let_go_of_other_than(endpoint.given().ok().as_ref());
        }
        self.secrets_changed().await;
    }

    /// Ends when no token is being asked for: what was given is kept.
    pub async fn settle_tokens(&self) {
        let gone: Vec<_> = self.gone.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for endpoint in self.endpoints().values().chain(&gone) {
            endpoint.settle().await;
        }
    }

    fn endpoint(&self, alias: &str) -> Result<Arc<Endpoint>, EgressError> {
        self.endpoints().get(alias).cloned().ok_or_else(|| EgressError::Denied(format!("there is no alias {alias}")))
    }
}

/// What was answered to another secret is not for whoever has this one.
fn forget_answers(endpoint: &Arc<Endpoint>) {
    if endpoint.alias.stale_if_error.is_some()
        && let Ok(given) = endpoint.given()
    {
        endpoint.forget_answers_to_other_than(&given);
    }
}

fn status(endpoint: &Endpoint, now: Timestamp) -> AliasStatus {
    let Standing { condition, rate, limited_by } = endpoint.turnstile.standing(now);
    AliasStatus {
        name: endpoint.alias.name.clone(),
        owner: endpoint.alias.owner.clone(),
        url: url_of(endpoint),
        auth: endpoint.alias.auth.kind(),
        secrets: endpoint.alias.auth.secrets().into_iter().map(|(_, reference)| reference.name.clone()).collect(),
        verify: endpoint.alias.verify.as_ref().map(Verify::kind),
        state: condition.hold.map_or("healthy", Hold::as_str),
        breaker: condition.breaker,
        rate,
        limited_by: limited_by.map(|limit| limit.to_string()),
        since: condition.since,
        until: condition.until,
        detail: condition.detail,
    }
}

fn keep(endpoint: &Endpoint, kept: Kept) -> KeptAlias {
    KeptAlias { name: endpoint.alias.name.clone(), url: url_of(endpoint), kept }
}

fn url_of(endpoint: &Endpoint) -> Option<String> {
    endpoint.alias.url.as_ref().map(without_secrets)
}

/// A base URL with a user or a query is refused when it is used, and is not shown before.
fn without_secrets(url: &url::Url) -> String {
    format!("{}://{}{}", url.scheme(), &url[url::Position::BeforeHost..url::Position::AfterPort], url.path())
}

/// Whether a request is within the rules of `alias` and what `allow` lets through, as far as that can be said without sending it.
///
/// # Errors
/// [`EgressError::Denied`], as it would be told.
pub fn permits(alias: &Alias, allow: &[Allow], request: EgressRequest) -> Result<(), EgressError> {
    prepare(alias, allow, request).map(|_| ())
}

/// What is told of a request that the binding's `allow` does not let through.
pub fn not_allowed(method: &str, path: &str) -> String {
    format!("the binding does not allow {method} {}", path::path_of(path))
}

/// Everything a plugin asked for, held against the rules.
fn prepare(alias: &Alias, allow: &[Allow], request: EgressRequest) -> Result<Prepared, EgressError> {
    let denied = |what: String| EgressError::Denied(what);
    let base = alias.url.as_ref().ok_or_else(|| denied(format!("alias {} has no url", alias.name)))?;
    if request.path.len() > REQUEST_PATH_BYTES_MAX {
        return Err(denied(format!("the path is over {} KiB", REQUEST_PATH_BYTES_MAX >> 10)));
    }
    let url = path::join(base, &request.path).map_err(|refused| denied(refused.to_string()))?;
    if url.as_str().parse::<http::Uri>().is_err() {
        return Err(denied("the path, as it would be sent, is too long or not a valid one".to_owned()));
    }
    let method = method(&request.method)?;
    let path = path::path_of(&request.path);
    if !path::allowed(allow, method.as_str(), path) {
        return Err(denied(not_allowed(method.as_str(), &request.path)));
    }
    if let Some(own) = alias.auth.own_parameter()
        && url.query_pairs().any(|(name, _)| name == own)
    {
        return Err(denied(format!("query parameter {own} is set by the host")));
    }
    if request.body.len() > REQUEST_BODY_BYTES_MAX {
        return Err(denied(format!("the body is over {} MiB", REQUEST_BODY_BYTES_MAX >> 20)));
    }
    let headers = headers::build(&request.headers, &alias.auth.own_headers(), &request.idempotency_key)
        .map_err(|refused| denied(refused.to_string()))?;
    let timeout = request.timeout.clamp(TIMEOUT_MIN, TIMEOUT_MAX);
    Ok(Prepared { method, url, headers, body: request.body, timeout, sender: request.sender })
}

/// `CONNECT` would open a tunnel and `TRACE` would have the credential sent back; the rest is the target's business.
fn method(text: &str) -> Result<Method, EgressError> {
    let denied = || EgressError::Denied(format!("{:?} is not a method that may be sent", text.chars().take(32).collect::<String>()));
    let plain = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    if !plain || matches!(text, "CONNECT" | "TRACE") {
        return Err(denied());
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| denied())
}
