//! One alias at work: a prepared request goes out with a credential, a 401 is met with a new one once, and every answer is learned from.
//!
//! Depends on the other files of this room. What a plugin may ask is settled before (`registry`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use tokio::sync::{Mutex, watch};
use url::Url;

use super::credential::Credential;
use super::health::{Closed, Health, Ticket};
use super::registry::{EgressError, EgressResponse, RESPONSE_BODY_BYTES_MAX};
use super::secret::{Secret, SecretSource};
use super::token::{self, TokenFailure};
use super::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};
use super::{Alias, Auth, Hold, retry_after};
use crate::clock::{Clock, Timestamp};
use crate::problem::Code;
use crate::random::Random;

/// What all aliases share.
#[derive(Debug)]
pub struct Surroundings {
    pub secrets: Arc<dyn SecretSource>,
    pub upstream: Arc<dyn Upstream>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Ticks at every change of an alias's state.
    pub changes: watch::Sender<u64>,
}

/// A request whose path, headers and method have passed the rules.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub timeout: Duration,
}

/// One alias, its health and its credential.
#[derive(Debug)]
pub struct Endpoint {
    pub alias: Alias,
    pub health: Health,
    name: Arc<str>,
    network: Arc<[ipnet::IpNet]>,
    around: Arc<Surroundings>,
    /// Held while a credential is made, so that many who need a new one make one request.
    credential: Mutex<Option<Arc<Credential>>>,
}

impl Endpoint {
    pub fn new(alias: Alias, around: Arc<Surroundings>) -> Self {
        let (name, network) = (Arc::from(alias.name.as_str()), alias.network.clone().into());
        Self { health: Health::new(around.clock.now()), alias, name, network, around, credential: Mutex::default() }
    }

    /// Sends `request`; the leave to do so was given by [`Health::enter`].
    pub async fn exchange(&self, request: Prepared, ticket: Ticket) -> Result<EgressResponse, EgressError> {
        let mut credential = self.credential(ticket, None).await?;
        let started = self.around.clock.now();
        let mut answer = self.once(request.clone(), &credential, ticket).await?;
        if answer.status == StatusCode::UNAUTHORIZED && !matches!(self.alias.auth, Auth::None) {
            credential = self.credential(ticket, Some(credential.serial)).await?;
            let left = request.timeout.saturating_sub(self.around.clock.now().since(started));
            if left.is_zero() {
                return Err(EgressError::TimedOut);
            }
            answer = self.once(Prepared { timeout: left, ..request }, &credential, ticket).await?;
            if answer.status == StatusCode::UNAUTHORIZED {
                return Err(self.refuse(credential.made_of.clone(), "the target answered 401".to_owned()));
            }
        }
        self.learn(answer, &credential)
    }

    /// What an answer that is not 401 says about the target, and the answer for the plugin.
    fn learn(&self, answer: UpstreamResponse, credential: &Credential) -> Result<EgressResponse, EgressError> {
        let status = answer.status;
        if status.as_u16() < 500 && status != StatusCode::TOO_MANY_REQUESTS {
            self.taken();
        }
        let asks_to_wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let wait = if asks_to_wait { retry_after::parse(&answer.headers, self.now().0) } else { None };
        let retry_after = wait.map(|wait| self.throttle(wait, format!("the target answered {}", status.as_u16())));
        if is_encoded(&answer.headers) && !credential.blanker.is_idle() {
            let detail =
                "the target compressed its answer although it was asked not to, so it cannot be searched for the alias's credential";
            return Err(denied(detail));
        }
        Ok(clean(answer, credential, retry_after))
    }

    /// Sends a request once.
    pub async fn once(&self, request: Prepared, credential: &Credential, ticket: Ticket) -> Result<UpstreamResponse, EgressError> {
        let Prepared { method, mut url, mut headers, body, timeout } = request;
        credential.apply(&mut url, &mut headers);
        let request = UpstreamRequest { method, headers, body, timeout, ..self.template(url) };
        match self.around.upstream.send(request).await {
            Ok(answer) => {
                self.heard();
                Ok(answer)
            }
            Err(error) => Err(self.stumble(error, ticket, credential)),
        }
    }

    /// A request to `url` through this alias's connections.
    fn template(&self, url: Url) -> UpstreamRequest {
        UpstreamRequest {
            alias: Arc::clone(&self.name),
            network: Arc::clone(&self.network),
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: token::TOKEN_TIMEOUT,
            body_bytes_max: RESPONSE_BODY_BYTES_MAX,
        }
    }

    fn stumble(&self, error: UpstreamError, ticket: Ticket, credential: &Credential) -> EgressError {
        match error {
            UpstreamError::AddressRefused(what) => self.address_refused(&what),
            UpstreamError::Unreachable(what) => self.unreachable(ticket, credential.blanker.blank_text(what)),
            UpstreamError::TimedOut(limit) => {
                if self.health.timed_out(ticket, self.now(), &*self.around.random, format!("no answer within {limit:?}")) {
                    self.changed();
                }
                EgressError::TimedOut
            }
            UpstreamError::TooLarge => {
                self.heard();
                EgressError::TooLarge
            }
        }
    }

    /// The credential to send with: the one at hand, or a new one if there is none, it is used up, or it is the one numbered `stale`.
    pub async fn credential(&self, ticket: Ticket, stale: Option<u64>) -> Result<Arc<Credential>, EgressError> {
        let mut slot = self.credential.lock().await;
        if let Some(credential) = slot.as_ref().filter(|credential| credential.is_fresh(self.now()) && stale != Some(credential.serial)) {
            return Ok(Arc::clone(credential));
        }
        // Whoever held the lock before may have learned that there is none to be had.
        self.health.recheck(ticket, self.now()).map_err(held)?;
        let made = Arc::new(self.make_credential(ticket, slot.as_deref(), stale.is_some()).await?);
        *slot = Some(Arc::clone(&made));
        Ok(made)
    }

    async fn make_credential(&self, ticket: Ticket, old: Option<&Credential>, refused: bool) -> Result<Credential, EgressError> {
        let unusable = |error: super::credential::Unusable| denied(&error.to_string());
        let Some(reference) = self.alias.auth.secret() else { return Credential::none().map_err(unusable) };
        let secret = match self.around.secrets.read(reference) {
            Ok(secret) => secret,
            Err(problem) => return Err(self.refuse(None, problem.message)),
        };
        let serial = old.map_or(1, |old| old.serial + 1);
        let made = match &self.alias.auth {
            Auth::OAuth2ClientCredentials { token_url, client_id, scope, .. } => {
                let client = token::Client { token_url, client_id, client_secret: &secret, scope: scope.as_deref() };
                let answer = self.around.upstream.send(client.request(self.template(token_url.clone()))).await;
                let token = token::read(answer, self.now().0).map_err(|failure| self.no_token(failure, ticket, &secret))?;
                Credential::token(&token, client_id, secret.clone(), serial, self.now())
            }
            // The same secret again would be refused again.
            _ if refused && old.is_some_and(|old| old.made_of.as_ref() == Some(&secret)) => {
                return Err(self.refuse(Some(secret), "the target answered 401".to_owned()));
            }
            auth => Credential::fixed(auth, secret.clone(), serial),
        };
        // A secret that cannot be sent needs a person just as one that is refused does.
        made.map_err(|error| self.refuse(Some(secret), error.to_string()))
    }

    fn no_token(&self, failure: TokenFailure, ticket: Ticket, secret: &Secret) -> EgressError {
        match failure {
            TokenFailure::Refused(what) => self.refuse(Some(secret.clone()), what),
            TokenFailure::Unavailable(what) => self.unreachable(ticket, what),
            TokenFailure::AddressRefused(what) => self.address_refused(&what),
            TokenFailure::Throttled(wait, what) => EgressError::Held { kind: Hold::Throttled, until: Some(self.throttle(wait, what)) },
        }
    }

    fn throttle(&self, wait: Duration, detail: String) -> Timestamp {
        let until = self.health.throttle(self.now(), wait, &*self.around.random, detail);
        self.changed();
        until
    }

    fn unreachable(&self, ticket: Ticket, detail: String) -> EgressError {
        let before = self.health.condition(self.now()).hold;
        if self.health.failed(ticket, self.now(), &*self.around.random, detail.clone()) {
            if before != Some(Hold::Unreachable) {
                tracing::warn!(code = %Code::AliasUnreachable, alias = %self.name, detail, "alias {}: {detail}; its messages wait", self.name);
            }
            self.changed();
        }
        EgressError::Unreachable(detail)
    }

    fn address_refused(&self, what: &str) -> EgressError {
        let code = Code::AddressRefused;
        denied(&format!("{code} alias {}: {what}; fix: if it may be dialled, list its network in the alias's `network`", self.name))
    }

    /// Notes that the credential is refused, and tells the owner if that is news.
    fn refuse(&self, secret: Option<Secret>, detail: String) -> EgressError {
        let now = self.now();
        if self.health.refuse(now, secret, detail.clone()) {
            let owner = self.alias.owner.as_ref().map_or("nobody named", |owner| owner.contact.as_str());
            let fix =
                self.alias.auth.secret().map_or_else(String::new, |reference| format!("Fix: put the right secret into {reference}. "));
            tracing::error!(
                code = %Code::CredentialRefused, alias = %self.name, owner,
                "{} alias {}: {detail} since {now}. Its messages wait; none lost. {fix}Delivery resumes by itself.",
                Code::CredentialRefused, self.name,
            );
            self.changed();
        }
        EgressError::CredentialRefused(detail)
    }

    /// A credential made anew, whatever there is, and kept.
    pub async fn renew(&self, ticket: Ticket) -> Result<Arc<Credential>, EgressError> {
        let mut slot = self.credential.lock().await;
        let made = Arc::new(self.make_credential(ticket, slot.as_deref(), false).await?);
        *slot = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The target was seen to take the credential.
    pub fn taken(&self) {
        if self.health.accepted(self.now()) {
            self.tell_recovered("the target takes the credential again");
        }
    }

    /// Drops the credential that was refused, so that the next request makes a new one.
    pub async fn release(&self, why: &str) {
        self.credential.lock().await.take();
        if self.health.accepted(self.now()) {
            self.tell_recovered(why);
        }
    }

    fn heard(&self) {
        if self.health.answered(self.now()) {
            self.tell_recovered("the target answers again");
        }
    }

    fn tell_recovered(&self, what: &str) {
        tracing::info!(alias = %self.name, "alias {}: {what}", self.name);
        self.changed();
    }

    fn changed(&self) {
        self.around.changes.send_modify(|tick| *tick += 1);
    }

    fn now(&self) -> Timestamp {
        self.around.clock.now()
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

/// The answer as a plugin sees it: what belongs to the connection is dropped, credentials are blanked.
fn clean(answer: UpstreamResponse, credential: &Credential, retry_after: Option<Timestamp>) -> EgressResponse {
    let dropped = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TRAILER, header::UPGRADE];
    let headers = answer.headers.iter().filter(|(name, _)| !dropped.contains(name) && name.as_str() != "keep-alive");
    let blank = |value: &http::HeaderValue| {
        let clean = credential.blanker.blank(Bytes::copy_from_slice(value.as_bytes()));
        String::from_utf8_lossy(&clean).into_owned()
    };
    EgressResponse {
        status: answer.status.as_u16(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), blank(value))).collect(),
        body: credential.blanker.blank(answer.body),
        retry_after,
    }
}
