//! The way of one message in, top-down: [`Intake`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::answer::{self, Refusal};
use super::body::{self, BodyLimits, BodyMemory, Room};
use super::challenge;
use super::dedup;
use super::headers::{kept_headers, media_type};
use super::log_limit::LogLimit;
use super::routes::{Leaving, Routes, Webhook};
use super::serve::Handler;
use super::verify::{self, Refused, Verified};
use crate::alias::Verify;
use crate::alias::secret::SecretSource;
use crate::clock::{Clock, Timestamp};
use crate::crash_point::{CrashPoint, reached};
use crate::integration::{Integration, Source, WaitingMax};
use crate::message::{FailureClass, Key, Message, MessageId, Tracked};
use crate::message_store::{Accept, Accepted, Dedup, Lane, MessageStore, NewDelivery, StoreError, routing};
use crate::problem::Code;
use crate::random::Random;
use crate::telemetry::Metrics;
use crate::telemetry::events::{Detail, Event, Events, Kind, Level};

/// When to come back where too many deliveries wait: the target is slow or down, so not at once.
const RETRY_AFTER_FULL: Duration = Duration::from_secs(30);
/// When to come back where the store was busy or failed.
const RETRY_AFTER_BUSY: Duration = Duration::from_secs(5);
/// When to come back where the secret to verify with is missing: a person has to act.
const RETRY_AFTER_UNVERIFIABLE: Duration = Duration::from_secs(60);
/// When to come back where the host goes down: a restart takes about as long.
const RETRY_AFTER_SHUTDOWN: Duration = Duration::from_secs(10);

/// What intake puts up with.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    pub body: BodyLimits,
    /// Memory for the bodies of all requests under way.
    pub bodies_bytes: usize,
    /// Deliveries that may wait: over an integration's, its senders get 429; over the host's, all get 503.
    pub waiting_max: WaitingMax,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            body: BodyLimits { bytes: 4 * 1024 * 1024, within: Duration::from_secs(30) },
            bodies_bytes: 128 * 1024 * 1024,
            waiting_max: WaitingMax::default(),
        }
    }
}

/// What [`Intake`] works with.
#[derive(Clone)]
pub struct IntakeParts {
    pub store: Arc<dyn MessageStore>,
    pub secrets: Arc<dyn SecretSource>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
}

impl std::fmt::Debug for IntakeParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntakeParts").finish_non_exhaustive()
    }
}

/// Where messages enter.
#[derive(Debug)]
pub struct Intake {
    pub(super) parts: IntakeParts,
    limits: IntakeLimits,
    routes: RwLock<Arc<Routes>>,
    memory: BodyMemory,
    open: AtomicBool,
    bad_signatures: LogLimit,
    store_failures: LogLimit,
    refusals: LogLimit,
}

/// What the sender of a message that was taken is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// The id under which the message is, or was, taken.
    pub id: MessageId,
    pub status: ReceiptStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptStatus {
    Accepted,
    Duplicate,
}

/// A message on its way to the store.
pub(super) struct Entering<'a> {
    pub message: Message,
    pub dedup: Option<Dedup>,
    /// The integrations it is for, each with the source it enters through.
    pub readers: Vec<(&'a Integration, &'a Source)>,
    /// How it proved who sent it; none where it did not, or where nothing may take it for one that came before.
    pub proved_by: Option<&'a Verify>,
}

impl Intake {
    /// An intake that is open. It answers what `routes` says until [`Intake::replace_routes`].
    pub fn new(parts: IntakeParts, limits: IntakeLimits, routes: Routes) -> Arc<Self> {
        introduce(&parts.metrics, &routes);
        Arc::new(Self {
            parts,
            limits,
            routes: RwLock::new(Arc::new(routes)),
            memory: BodyMemory::new(limits.bodies_bytes),
            open: AtomicBool::new(true),
            bad_signatures: LogLimit::default(),
            store_failures: LogLimit::default(),
            refusals: LogLimit::default(),
        })
    }

    /// From the next request on, `routes` is what counts, but for who is on the way out.
    pub fn replace_routes(&self, routes: Routes) {
        introduce(&self.parts.metrics, &routes);
        let mut current = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(routes.leaving_as(&current));
    }

    /// From the next request on, `integration` is so far on its way out; none: it stays.
    pub fn set_leaving(&self, integration: &str, leaving: Option<Leaving>) {
        let mut current = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(current.with(integration, leaving));
    }

    /// What is listened to now.
    pub fn routes(&self) -> Arc<Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From here on every request gets 503: the host goes down.
    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// Whether messages are taken.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// How much may wait.
    pub fn waiting_max(&self) -> WaitingMax {
        self.limits.waiting_max
    }

    /// How long and how large a body may be.
    pub fn body_limits(&self) -> BodyLimits {
        self.limits.body
    }

    /// What [`serve`](super::serve::serve) calls for the ingress listener.
    pub fn handler(self: &Arc<Self>) -> Handler {
        let intake = self.clone();
        Arc::new(move |request| {
            let intake = intake.clone();
            async move { intake.answer(request).await }.boxed()
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let uri = request.uri().clone();
        match self.receive(request).await {
            Ok(response) => response,
            Err(refusal) => {
                self.parts.metrics.refused(refusal.code.as_str());
                tracing::debug!(status = refusal.status.as_u16(), code = %refusal.code, detail = refusal.detail, "a request was refused");
                self.tell_refused(uri.path(), &refusal);
                refusal.into_response()
            }
        }
    }

    /// Anybody can make requests that are refused: a few events a second say enough.
    fn tell_refused(&self, path: &str, refusal: &Refusal) {
        let Some(suppressed) = self.refusals.admit(self.parts.clock.now()) else { return };
        let event = Event::new(Kind::Refused, Level::Warn, "a request was refused").with("status", u64::from(refusal.status.as_u16()));
        let event = event.with("code", refusal.code.as_str()).with("path", path.to_owned());
        let event = event.with("why", refusal.why.as_ref().unwrap_or(&refusal.detail).clone());
        self.parts.events.tell(if suppressed > 0 { event.with("suppressed", suppressed) } else { event });
    }

    /// One request, from its head to its answer. Nothing is stored before it is verified; 202 comes after the commit.
    async fn receive(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        self.check_open()?;
        let routes = self.routes();
        let (head, body) = request.into_parts();
        let webhook = find(&routes, head.uri.path(), &head.method)?;
        let content_type = media_type(&head.headers)?;
        let body = body::read(&head.headers, body, self.limits.body, Room { memory: &self.memory, share: None }, self.parts.clock.as_ref())
            .await?;
        let now = self.parts.clock.now();
        let signed_id = self.verify(webhook, &head.headers, &body.bytes, now)?.signed_id;
        if let Some(answer) = challenge::answer(webhook.verify.as_ref(), &body.bytes) {
            tracing::info!(path = webhook.path, alias = webhook.alias, "a sender's challenge was answered");
            return Ok(answer);
        }

        let headers = kept_headers(&head.headers, webhook.verify.as_ref());
        let listeners = match webhook.matching(&headers, &body.bytes) {
            Ok(listeners) => listeners,
            Err(reason) => return Ok(self.ignored(webhook, &reason)),
        };
        let origin = format!("webhook {}", webhook.path);
        let dedup = dedup::token(origin.clone(), &webhook.id, signed_id.as_deref(), &headers, &body.bytes, now);
        let readers: Vec<_> = listeners.iter().map(|listener| (listener.integration.as_ref(), listener.source())).collect();
        let message = Message {
            id: MessageId::new(now, self.parts.random.as_ref()),
            parent: None,
            key: None,
            content_type,
            headers,
            body: body.bytes.clone(),
            tracked: Vec::new(),
            origin,
            accepted_at: now,
        };
        let receipt = self.take(Entering { message, dedup: Some(dedup), readers, proved_by: webhook.verify.as_ref() }).await?;
        Ok(answer::json(StatusCode::ACCEPTED, &receipt))
    }

    pub(super) fn check_open(&self) -> Result<(), Refusal> {
        if self.is_open() { Ok(()) } else { Err(shutting_down()) }
    }

    /// Whether the request comes from who it says. One that does not leaves no trace but a line of log, and few of those.
    fn verify(&self, webhook: &Webhook, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, Refusal> {
        let Some(rule) = &webhook.verify else { return Ok(Verified { signed_id: None }) };
        // Whoever signed a time read it from a wall clock: after a jump of the machine's, the host's own may be a day off.
        let wall = self.parts.clock.wall();
        verify::verify(rule, self.parts.secrets.as_ref(), headers, body, wall).map_err(|why| {
            let suppressed = self.bad_signatures.admit(now);
            let alias = webhook.alias.as_deref().unwrap_or_default();
            if let Refused::Secret(_) = why {
                if let Some(suppressed) = suppressed {
                    let code = Code::MissingSecret;
                    tracing::error!(%code, path = webhook.path, alias, %why, suppressed, "requests cannot be verified; senders get 503");
                }
                return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::IntakeBusy, "the request cannot be verified now; try again")
                    .because(why)
                    .retry_after(RETRY_AFTER_UNVERIFIABLE);
            }
            if let Some(suppressed) = suppressed {
                tracing::warn!(code = %Code::BadSignature, path = webhook.path, alias, %why, suppressed, "a request was not verified");
            }
            Refusal::new(StatusCode::UNAUTHORIZED, Code::BadSignature, "the request could not be verified")
                .because(why)
                .challenge(challenge(rule))
        })
    }

    /// Genuine, but nobody asked for it: the sender is told that all is well, or it would send it again.
    fn ignored(&self, webhook: &Webhook, reason: &str) -> Response<Body> {
        self.parts.metrics.ignored(&webhook.path);
        self.parts.events.detail(Detail::Routine, || {
            let event = Event::new(Kind::Ignored, Level::Info, "a request was ignored: no integration listens for it");
            event.with("path", webhook.path.clone()).with("why", reason.to_owned())
        });
        tracing::info!(path = webhook.path, reason, "a request was ignored: no integration listens for it");
        answer::json(StatusCode::OK, &serde_json::json!({ "status": "ignored", "reason": reason }))
    }

    /// Completes the message by what its readers' sources say, and stores it with one delivery for each of them.
    pub(super) async fn take(&self, entering: Entering<'_>) -> Result<Receipt, Refusal> {
        let Entering { mut message, dedup, readers, proved_by } = entering;
        message.key = key(&readers, &message);
        message.tracked = tracked(&readers, &message);
        let id = message.id;
        let due_at = message.accepted_at;
        let deliveries: Vec<_> = readers
            .iter()
            .map(|(integration, source)| {
                let record = || dedup::record(&integration.name, source, proved_by, &message.headers, &message.body, due_at);
                let record = if integration.shares_records() { record() } else { None };
                NewDelivery { record, ..routing::delivery_for(integration, source, &message, due_at) }
            })
            .collect();
        let unkeyed: Vec<(String, String)> = deliveries.iter().filter_map(unkeyed).collect();
        let accept = Accept { message: Arc::new(message), dedup, deliveries, waiting_max: self.limits.waiting_max };
        match self.parts.store.accept(accept).await {
            Ok(accepted @ (Accepted::New | Accepted::Partly(_))) => {
                reached(CrashPoint::BeforeAnswer);
                let known = if let Accepted::Partly(known) = accepted { known } else { Vec::new() };
                tracing::debug!(message = %id, ?known, "a message was accepted");
                for (integration, _) in &readers {
                    self.tell_entered(integration, id, !known.contains(&integration.name));
                }
                for (integration, why) in unkeyed.iter().filter(|(integration, _)| !known.contains(integration)) {
                    self.parts.metrics.dead_lettered(integration, FailureClass::Unkeyed);
                    self.parts.events.tell(Event::unkeyed(why).of(integration).about(id));
                }
                Ok(Receipt { id, status: ReceiptStatus::Accepted })
            }
            Ok(Accepted::Duplicate(first)) => {
                tracing::debug!(message = %first, "a message came again");
                readers.iter().for_each(|(integration, _)| self.tell_entered(integration, first, false));
                Ok(Receipt { id: first, status: ReceiptStatus::Duplicate })
            }
            Ok(Accepted::Full(integration)) => Err(self.full(&integration, due_at)),
            Ok(Accepted::HostFull) => Err(self.host_full(due_at)),
            Err(error) => Err(self.not_stored(&error, due_at)),
        }
    }

    /// That a message came, which was new to `integration` or not.
    fn tell_entered(&self, integration: &Integration, id: MessageId, new: bool) {
        let (kind, text) = if new { (Kind::Accepted, "accepted") } else { (Kind::Duplicate, "came again") };
        if new {
            self.parts.metrics.accepted(&integration.name);
        } else {
            self.parts.metrics.duplicate(&integration.name);
        }
        self.parts.events.detail(Detail::Routine, || Event::new(kind, Level::Info, text).of(&integration.name).about(id));
    }

    fn full(&self, integration: &str, now: Timestamp) -> Refusal {
        if let Some(suppressed) = self.store_failures.admit(now) {
            tracing::warn!(code = %Code::TooManyWaiting, integration, suppressed, "as many deliveries wait as may; senders get 429");
        }
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyWaiting, "too many messages are waiting; try again later")
            .because(format!("as many deliveries of {integration} wait as may"))
            .retry_after(RETRY_AFTER_FULL)
    }

    fn host_full(&self, now: Timestamp) -> Refusal {
        if let Some(suppressed) = self.store_failures.admit(now) {
            tracing::warn!(code = %Code::TooManyWaiting, suppressed, "as many deliveries wait in all integrations together as may; all senders get 503");
        }
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooManyWaiting, "too many messages are waiting; try again later")
            .because("as many deliveries wait in all integrations together as may")
            .retry_after(RETRY_AFTER_FULL)
    }

    fn not_stored(&self, error: &StoreError, now: Timestamp) -> Refusal {
        match error {
            StoreError::Closed => return shutting_down(),
            // It was retired while the request was read.
            StoreError::Retired(_) => return nothing_listens(),
            _ => {}
        }
        if let Some(suppressed) = self.store_failures.admit(now) {
            tracing::error!(code = %Code::IntakeBusy, %error, suppressed, "a message could not be stored; its sender gets 503");
        }
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::IntakeBusy, "the message was not stored; try again")
            .because(error)
            .retry_after(RETRY_AFTER_BUSY)
    }
}

/// The integration of a delivery that cannot be put in order, and why.
fn unkeyed(delivery: &NewDelivery) -> Option<(String, String)> {
    match &delivery.lane {
        Lane::Unkeyed(why) => Some((delivery.integration.clone(), why.clone())),
        Lane::Free | Lane::Key(_) => None,
    }
}

fn introduce(metrics: &Metrics, routes: &Routes) {
    routes.integrations().for_each(|integration| metrics.introduce(&integration.name));
}

fn find<'a>(routes: &'a Routes, path: &str, method: &Method) -> Result<&'a Webhook, Refusal> {
    let webhook = routes.webhook(path).ok_or_else(nothing_listens)?;
    if method != Method::POST {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, "send a POST request").allow("POST"));
    }
    Ok(webhook)
}

fn nothing_listens() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NoSuchPath, "nothing listens on this path")
}

/// What RFC 9110 §15.5.2 wants with every 401. Signature schemes have no registered name.
fn challenge(rule: &Verify) -> &'static str {
    match rule {
        Verify::Basic { .. } => "Basic realm=\"lockgate\"",
        Verify::Bearer { .. } => "Bearer",
        Verify::Shopify { .. }
        | Verify::GitHub { .. }
        | Verify::StandardWebhooks { .. }
        | Verify::Stripe { .. }
        | Verify::Slack { .. }
        | Verify::Hmac { .. } => "Signature",
    }
}

fn shutting_down() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::ShuttingDown, "the host is going down; try again").retry_after(RETRY_AFTER_SHUTDOWN)
}

/// The first key that any reader's rule finds.
pub(super) fn key(readers: &[(&Integration, &Source)], message: &Message) -> Option<Key> {
    let mut rules = readers.iter().filter_map(|(_, source)| source.key.as_ref());
    rules.find_map(|selector| selector.find_key(&message.headers, &message.body).ok())
}

/// What the readers track, each name once; the first reader that finds a value has it.
pub(super) fn tracked(readers: &[(&Integration, &Source)], message: &Message) -> Vec<Tracked> {
    let mut found = BTreeMap::new();
    for Tracked { name, value } in readers.iter().flat_map(|(_, source)| source.tracked(&message.headers, &message.body)) {
        found.entry(name).or_insert(value);
    }
    found.into_iter().map(|(name, value)| Tracked { name, value }).collect()
}
