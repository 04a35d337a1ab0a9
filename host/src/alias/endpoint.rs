//! One alias at work: a prepared request goes out with a credential, a 401 is met with a new one once, and every answer is learned from.
//!
//! Depends on the other files of this room. What a plugin may ask is settled before (`registry`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use tokio::task::JoinError;
use url::Url;

use super::answers::Answers;
use super::credential::{Credential, Unusable};
use super::expired::is_expired;
use super::grant::{Given, Purse};
use super::health::{Closed, Ticket};
use super::rate::{self, Refused};
use super::registry::{EgressError, EgressResponse, RESPONSE_BODY_BYTES_MAX, Sender, TIMEOUT_MIN};
use super::secret::{Secret, SecretRef, SecretSource};
use super::stale::STALE_HEADER;
use super::token;
use super::turnstile::Turnstile;
use super::upstream::{Upstream, UpstreamRequest, UpstreamResponse};
use super::vault::Vault;
use super::{Alias, Auth, Route};
use crate::clock::{Clock, Timestamp};
use crate::crash_point::{CrashPoint, reached};
use crate::problem::{Code, Problem};
use crate::random::Random;

/// What all aliases share.
#[derive(Debug)]
pub struct Surroundings {
    pub secrets: Arc<dyn SecretSource>,
    /// Where tokens are kept before they are used.
    pub vault: Arc<Vault>,
    pub upstream: Arc<dyn Upstream>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Ticks at every change of an alias's state.
    pub changes: watch::Sender<u64>,
    /// Rung when there is something of an alias to be kept over a restart.
    pub to_keep: Notify,
}

/// A request whose path, headers and method have passed the rules.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub timeout: Duration,
    pub sender: Sender,
}

/// What a target answered, and what was learned from it.
#[derive(Debug)]
pub struct Heard {
    pub answer: UpstreamResponse,
    /// It asks everybody to wait until then.
    pub wait_until: Option<Timestamp>,
    /// It is one of the answers that keep the breaker open.
    pub is_down: bool,
}

/// One alias, its gate and its credential.
#[derive(Debug)]
pub struct Endpoint {
    pub alias: Alias,
    pub turnstile: Arc<Turnstile>,
    pub(super) name: Arc<str>,
    route: Arc<Route>,
    pub(super) around: Arc<Surroundings>,
    /// Held while a credential is made, so that many who need a new one make one request.
    credential: Arc<Mutex<Wallet>>,
    /// One for all that the alias was: whoever asks for a token asks with the refresh token that was given last.
    pub(super) purse: Arc<Mutex<Purse>>,
    /// For the time in which the target gives none.
    pub(super) answers: Arc<Answers>,
    /// Requests for a credential that came to nothing.
    credentials_failed: AtomicU64,
}

/// The credential at hand, and why there was none the last time there was none.
#[derive(Debug, Default)]
struct Wallet {
    credential: Option<Arc<Credential>>,
    /// Credentials there were: a number is never given again, though its credential was dropped.
    serials: u64,
    failure: Option<EgressError>,
}

impl Wallet {
    /// Whether what is sent was made of another secret than `given`, or of any where there is none.
    fn is_made_of_other_than(&self, given: Option<&Secret>) -> bool {
        let made_of = self.credential.as_ref().and_then(|credential| credential.made_of.as_ref());
        made_of.is_some_and(|made_of| given != Some(made_of))
    }
}

/// Why a new credential is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// There is none, or it is used up.
    None,
    /// The target refused the one there is.
    Refused,
    /// A person asks whether there is one to be had.
    Asked,
}

/// Leave to send the requests of one exchange. Dropped, however that ends, it is given back.
#[derive(Debug)]
struct Entered<'a>(&'a Endpoint, Ticket);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.turnstile.leave(self.1, self.0.now());
    }
}

impl Endpoint {
    pub fn new(alias: Alias, around: Arc<Surroundings>) -> Self {
        let (name, route) = (Arc::from(alias.name.as_str()), Arc::new(alias.route()));
        let turnstile = Arc::new(Turnstile::new(&alias.rate, around.clock.now()));
        turnstile.let_pass_while_open(alias.stale_if_error.is_some());
        let purse = Arc::new(Mutex::new(Purse::of(around.vault.take_token(&alias.name))));
        let (credential, answers, credentials_failed) = (Arc::default(), Arc::default(), AtomicU64::new(0));
        Self { turnstile, alias, name, route, around, credential, purse, answers, credentials_failed }
    }

    /// The same alias as it is to be from now on. Requests that are under way end on this one.
    pub fn succeeded_by(&self, alias: Alias) -> Self {
        let now = self.now();
        if alias.rate != self.alias.rate {
            self.turnstile.limit(&alias.rate, now);
        }
        if alias.url != self.alias.url {
            self.turnstile.lead_elsewhere(now);
        }
        self.turnstile.let_pass_while_open(alias.stale_if_error.is_some());
        let mut credential = Arc::clone(&self.credential);
        if alias.auth != self.alias.auth {
            credential = Arc::default();
            self.turnstile.has_another_credential(now);
        }
        let answers = if self.answers_for(&alias) { Arc::clone(&self.answers) } else { Arc::default() };
        let around = Arc::clone(&self.around);
        let (name, route) = (Arc::clone(&self.name), Arc::new(alias.route()));
        // The token may still be good, or be what the next one is got with.
        let (turnstile, purse, credentials_failed) = (Arc::clone(&self.turnstile), Arc::clone(&self.purse), AtomicU64::new(0));
        Self { turnstile, alias, name, route, around, credential, purse, answers, credentials_failed }
    }

    /// Whether what is kept of this one's answers is what `alias` would be answered. What another target said, or was said to another
    /// credential, is not; nor what another rule would have taken for no answer. Nobody notes what changes while none are kept.
    fn answers_for(&self, alias: &Alias) -> bool {
        let what = |alias: &Alias| (alias.url.clone(), alias.auth.clone(), alias.expired_when.clone());
        what(alias) == what(&self.alias) && alias.stale_if_error.is_some() && self.alias.stale_if_error.is_some()
    }

    /// Sends `request`, if the alias sends anything now.
    pub async fn exchange(self: &Arc<Self>, request: Prepared) -> Result<EgressResponse, EgressError> {
        // Long enough for all that is done under the ticket.
        let lease = request.timeout + token::TOKEN_TIMEOUT + rate::PATIENCE;
        let ticket = self.turnstile.enter(self.now(), lease).map_err(held)?;
        let _entered = Entered(self, ticket);
        let mut credential = self.credential(ticket, None).await?;
        let started = self.now();
        let (timeout, again) = (request.timeout, (!matches!(self.alias.auth, Auth::None)).then(|| request.clone()));
        let mut heard = self.once(request, &credential, ticket).await?;
        if let Some(request) = again.filter(|_| self.says_expired(&heard)) {
            credential = self.credential(ticket, Some(credential.serial)).await?;
            let left = timeout.saturating_sub(self.now().since(started));
            if left.is_zero() {
                return Err(EgressError::TimedOut);
            }
            // The second try is the host's own: a delivery that found no room for it will not need it again.
            let repeated = self.once(Prepared { timeout: left, ..request }, &credential, ticket).await;
            heard = repeated.map_err(|error| match error {
                EgressError::RateTooLow(_) => EgressError::RateUsedUp { until: None },
                other => other,
            })?;
            if self.says_expired(&heard) {
                return Err(self.refuse(ticket, credential.made_of.clone(), refusal(heard.answer.status)));
            }
        }
        self.shown(heard, &credential, ticket)
    }

    /// Whether it is a 401, or what the alias's rule says is as good as one.
    pub(super) fn says_expired(&self, heard: &Heard) -> bool {
        is_expired(self.alias.expired_when.as_ref(), &heard.answer)
    }

    /// An answer that takes the credential, as the plugin gets it.
    fn shown(&self, heard: Heard, credential: &Credential, ticket: Ticket) -> Result<EgressResponse, EgressError> {
        let status = heard.answer.status;
        if status.as_u16() < 500 && status != StatusCode::TOO_MANY_REQUESTS {
            self.taken(ticket);
        }
        if is_encoded(&heard.answer.headers) && !credential.blanker.is_idle() {
            let detail =
                "the target compressed its answer although it was asked not to, so it cannot be searched for the alias's credential";
            return Err(denied(detail));
        }
        Ok(clean(heard, credential))
    }

    /// Sends a request once, within the alias's rate, and learns from what comes of it.
    pub async fn once(&self, request: Prepared, credential: &Credential, ticket: Ticket) -> Result<Heard, EgressError> {
        let Prepared { method, mut url, mut headers, body, timeout, sender } = request;
        let waited = self.wait_for_slot(&sender, timeout, ticket).await?;
        credential.apply(&mut url, &mut headers, &body, self.around.clock.wall());
        // Time spent waiting here must not make a healthy target look like one that does not answer.
        let timeout = timeout.saturating_sub(waited).max(TIMEOUT_MIN.min(timeout));
        let request = UpstreamRequest { method, headers, body, timeout, ..self.template(url) };
        match self.around.upstream.send(request).await {
            Ok(answer) => {
                reached(CrashPoint::ResponseReceived);
                Ok(self.hear(answer, &sender, ticket, credential))
            }
            Err(error) => Err(self.stumble(error, &sender, ticket, credential)),
        }
    }

    /// Waits, for at most half of `timeout`, until the alias's rate lets the request go. Gives how long that took.
    async fn wait_for_slot(&self, sender: &Sender, timeout: Duration, ticket: Ticket) -> Result<Duration, EgressError> {
        if self.alias.rate.is_empty() {
            return Ok(Duration::ZERO);
        }
        let now = self.now();
        let slot = self.turnstile.slot(&sender.integration, now, timeout / 2);
        if self.turnstile.is_to_be_kept() {
            self.around.to_keep.notify_one();
        }
        let at = slot.map_err(|refused| match refused {
            Refused::Until(until) => EgressError::RateUsedUp { until },
            Refused::Never(limit) => EgressError::RateTooLow(limit),
        })?;
        let wait = at.since(now);
        if !wait.is_zero() {
            self.around.clock.sleep(wait).await;
            self.turnstile.recheck(ticket, self.now()).map_err(held)?;
        }
        Ok(wait)
    }

    /// A request to `url` through this alias's connections.
    pub(super) fn template(&self, url: Url) -> UpstreamRequest {
        UpstreamRequest {
            alias: Arc::clone(&self.name),
            route: Arc::clone(&self.route),
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: token::TOKEN_TIMEOUT,
            body_bytes_max: RESPONSE_BODY_BYTES_MAX,
        }
    }

    /// The credential to send with: the one at hand, or a new one if there is none, it is used up, or it is the one numbered `stale`.
    pub async fn credential(self: &Arc<Self>, ticket: Ticket, stale: Option<u64>) -> Result<Arc<Credential>, EgressError> {
        let failed_before = self.credentials_failed.load(Ordering::SeqCst);
        let wallet = Arc::clone(&self.credential).lock_owned().await;
        let at_hand = wallet.credential.as_ref();
        if let Some(credential) = at_hand.filter(|credential| credential.is_fresh(self.now()) && stale != Some(credential.serial)) {
            return Ok(Arc::clone(credential));
        }
        // Whoever held the lock before may have learned that there is none to be had.
        self.turnstile.recheck(ticket, self.now()).map_err(held)?;
        if let Some(failure) = wallet.failure.as_ref().filter(|_| failed_before != self.credentials_failed.load(Ordering::SeqCst)) {
            return Err(failure.clone());
        }
        self.replace(wallet, ticket, if stale.is_some() { Because::Refused } else { Because::None }).await
    }

    /// Makes a credential. A token endpoint takes the old refresh token back when it gives a new one, so nobody who stops waiting
    /// for a token ends the request for it: it goes on until the token is kept.
    async fn replace(
        self: &Arc<Self>,
        mut wallet: OwnedMutexGuard<Wallet>,
        ticket: Ticket,
        because: Because,
    ) -> Result<Arc<Credential>, EgressError> {
        if self.alias.auth.token_url().is_none() {
            return self.put_new(&mut wallet, ticket, because).await;
        }
        let endpoint = Arc::clone(self);
        let making = tokio::spawn(async move { endpoint.put_new(&mut wallet, ticket, because).await });
        making.await.unwrap_or_else(|ended| Err(self.not_made(&ended)))
    }

    /// Why the task that makes a credential made none.
    fn not_made(&self, ended: &JoinError) -> EgressError {
        if !ended.is_panic() {
            return EgressError::Unreachable("the host goes down".to_owned());
        }
        let (code, name) = (Code::Internal, &self.name);
        tracing::error!(%code, alias = %name, "{code} alias {name}: the host panicked while it made a credential; its messages wait");
        EgressError::Unreachable("the host panicked while it made a credential".to_owned())
    }

    /// Makes a credential and keeps it, or keeps why there is none for those who wait.
    async fn put_new(&self, wallet: &mut Wallet, ticket: Ticket, because: Because) -> Result<Arc<Credential>, EgressError> {
        match self.make_credential(wallet, ticket, because).await {
            Ok(made) => {
                let made = Arc::new(made);
                if wallet.credential.as_ref().is_some_and(|before| before.made_of != made.made_of) {
                    self.answers.forget_all();
                }
                wallet.credential = Some(Arc::clone(&made));
                Ok(made)
            }
            Err(failure) => {
                wallet.failure = Some(failure.clone());
                self.credentials_failed.fetch_add(1, Ordering::SeqCst);
                Err(failure)
            }
        }
    }

    async fn make_credential(&self, wallet: &mut Wallet, ticket: Ticket, because: Because) -> Result<Credential, EgressError> {
        let given = match self.given() {
            Ok(given) => given,
            Err(problem) => return Err(self.refuse(ticket, None, problem.message)),
        };
        let old = wallet.credential.as_deref();
        wallet.serials += 1;
        let serial = wallet.serials;
        let Some(secret) = given.0.first() else { return Credential::none().map_err(|error: Unusable| denied(&error.to_string())) };
        let made = if self.alias.auth.token_url().is_some() {
            let mut purse = self.purse.lock().await;
            let granted = self.granted(&mut purse, &given, because != Because::None, ticket).await?;
            Credential::token(granted, &given, self.alias.auth.client_id(), serial)
        } else if because == Because::Refused && old.is_some_and(|old| old.made_of.as_ref() == Some(secret)) {
            // The same secret again would be refused again.
            return Err(self.refuse(ticket, Some(secret.clone()), "the target answered 401".to_owned()));
        } else {
            Credential::fixed(&self.alias.auth, secret.clone(), serial)
        };
        // A secret that cannot be sent needs a person just as one that is refused does.
        made.map_err(|error| self.refuse(ticket, Some(given.joined()), error.to_string()))
    }

    /// The alias's secrets, read now.
    pub(super) fn given(&self) -> Result<Given, Problem> {
        let secrets = self.alias.auth.secrets().into_iter().map(|(_, reference)| self.around.secrets.read(reference));
        secrets.collect::<Result<_, _>>().map(Given)
    }

    pub(super) fn address_refused(&self, what: &str) -> EgressError {
        let code = Code::AddressRefused;
        denied(&format!("{code} alias {}: {what}; fix: if it may be dialled, list its network in the alias's `network`", self.name))
    }

    /// Notes that the credential is refused, and tells the owner if that is news.
    pub(super) fn refuse(&self, ticket: Ticket, secret: Option<Secret>, detail: String) -> EgressError {
        let now = self.now();
        if self.turnstile.refuse(ticket, now, secret, detail.clone()) {
            let owner = self.alias.owner.as_ref().map_or("nobody named", |owner| owner.contact.as_str());
            let fix = |(_, reference): &(_, &SecretRef)| format!("lockgate secret set {} (or put it into: {reference})", reference.name);
            let fixes: Vec<String> = self.alias.auth.secrets().iter().map(fix).collect();
            tracing::error!(
                code = %Code::CredentialRefused, alias = %self.name, owner,
                "{} alias {}: {detail} since {now}. Its messages wait; none lost. Fix: {}. Delivery resumes by itself.",
                Code::CredentialRefused, self.name, fixes.join(", or "),
            );
            self.changed();
        }
        EgressError::CredentialRefused(detail)
    }

    /// A credential made anew, whatever there is, and kept.
    pub async fn renew(self: &Arc<Self>, ticket: Ticket) -> Result<Arc<Credential>, EgressError> {
        let wallet = Arc::clone(&self.credential).lock_owned().await;
        self.replace(wallet, ticket, Because::Asked).await
    }

    /// Ends when no token is being asked for, by those it replaced neither.
    pub async fn settle(&self) {
        drop(self.credential.lock().await);
        drop(self.purse.lock().await);
    }

    /// The target was seen to take the credential.
    pub fn taken(&self, ticket: Ticket) {
        if self.turnstile.accepted(ticket, self.now()) {
            self.tell_recovered("the target takes the credential again");
        }
    }

    /// Drops the credential that was refused, so that the next request makes a new one.
    pub async fn release(&self, why: &str) {
        self.credential.lock().await.credential.take();
        // Whoever asks from here on has another credential.
        self.answers.forget_all();
        if self.turnstile.has_another_credential(self.now()) {
            self.tell_recovered(why);
        }
    }

    /// Forgets the answers that were given to another credential than one made of `given`.
    pub fn forget_answers_to_other_than(self: &Arc<Self>, given: &Given) {
        let joined = given.joined();
        self.with_wallet(move |endpoint, wallet| {
            if wallet.is_made_of_other_than(Some(&joined)) {
                endpoint.answers.forget_all();
            }
        });
    }

    /// A secret was taken away: what was made of it is used no more.
    pub fn let_go_of_other_than(self: &Arc<Self>, given: Option<&Given>) {
        let joined = given.map(Given::joined);
        self.with_wallet(move |endpoint, wallet| {
            if wallet.is_made_of_other_than(joined.as_ref()) {
                wallet.credential = None;
                endpoint.answers.forget_all();
            }
        });
    }

    /// At once, or as soon as a token that is being asked for is there.
    fn with_wallet(self: &Arc<Self>, change: impl FnOnce(&Self, &mut Wallet) + Send + 'static) {
        let endpoint = Arc::clone(self);
        match Arc::clone(&self.credential).try_lock_owned() {
            Ok(mut wallet) => change(&endpoint, &mut wallet),
            Err(_) => drop(tokio::spawn(async move {
                let mut wallet = Arc::clone(&endpoint.credential).lock_owned().await;
                change(&endpoint, &mut wallet);
            })),
        }
    }

    /// A person has seen the target answer: if it still asks to wait, that was a mistake.
    pub fn end_throttle(&self) {
        if self.turnstile.end_throttle(self.now()) {
            self.tell_recovered("the target answers; the wait it asked for is ended");
        }
    }

    pub(super) fn tell_recovered(&self, what: &str) {
        tracing::info!(alias = %self.name, "alias {}: {what}", self.name);
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.around.changes.send_modify(|tick| *tick += 1);
        self.around.to_keep.notify_one();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.around.clock.now()
    }
}

/// What is said of an alias whose target answered so to a fresh credential.
pub fn refusal(status: StatusCode) -> String {
    match status.as_u16() {
        401 => "the target answered 401".to_owned(),
        other => format!("the target answered {other}, and that its credential has expired"),
    }
}

/// A closed gate as an error.
pub fn held(closed: Closed) -> EgressError {
    EgressError::Held { kind: closed.kind, until: Some(closed.until) }
}

fn denied(what: &str) -> EgressError {
    EgressError::Denied(what.to_owned())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The answer as a plugin sees it: what belongs to the connection, or is the host's to say, is dropped, credentials are blanked.
fn clean(heard: Heard, credential: &Credential) -> EgressResponse {
    let Heard { answer, wait_until, is_down } = heard;
    let dropped = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TRAILER, header::UPGRADE];
    let is_dropped = |name: &HeaderName| dropped.contains(name) || ["keep-alive", STALE_HEADER].contains(&name.as_str());
    // A name cannot be blanked and be one.
    let echoes = |name: &HeaderName| credential.blanker.blank(Bytes::copy_from_slice(name.as_str().as_bytes())) != name.as_str();
    let headers = answer.headers.iter().filter(|(name, _)| !is_dropped(name) && !echoes(name));
    let blank = |value: &http::HeaderValue| {
        let clean = credential.blanker.blank(Bytes::copy_from_slice(value.as_bytes()));
        String::from_utf8_lossy(&clean).into_owned()
    };
    EgressResponse {
        status: answer.status.as_u16(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), blank(value))).collect(),
        body: credential.blanker.blank(answer.body),
        retry_after: wait_until,
        is_down,
        stale: None,
    }
}
