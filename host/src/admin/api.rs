//! [`Api`]: the table of routes, and what every request to the admin listener goes through.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post, put};
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;
use tower_service::Service;

use super::environment::{self, LiveEnvironment};
use super::events::{self, EVENT_STREAMS_MAX};
use super::guard::{Guard, forbidden};
use super::named_tokens::Tokens;
use super::refused::Refused;
use super::role::Role;
use super::sessions::Sessions;
use super::who::{Ended, Who};
use super::{
    aliases, approving, audit, backup, by_hand, components, console_links, dead_letters, edit, health, integrations, messages, openapi,
    operate, parameters, pausing, rehearsals, release_list, releases, retiring, secrets, status, tokens, trying,
};
use crate::alias::Aliases;
use crate::alias::secret::Secret;
use crate::clock::Clock;
use crate::delivery::{Pauses, Retirements};
use crate::ingress::answer::Refusal;
use crate::ingress::body::{self, BodyLimits, BodyMemory, ReadBody, Room};
use crate::ingress::{Handler, Intake};
use crate::message_store::audit::{Act, Came, cut};
use crate::message_store::sqlite::SqliteStore;
use crate::problem::Code;
use crate::releases::live::LiveReleases;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// Memory for the bodies of all requests under way, and as much for those of the data folder's own token.
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest JSON a request may carry.
const JSON_LIMITS: BodyLimits = BodyLimits { bytes: 1024 * 1024, within: Duration::from_secs(30) };

/// What [`Api`] shows and changes.
#[derive(Clone, Debug)]
pub struct ApiParts {
    pub intake: Arc<Intake>,
    pub store: SqliteStore,
    pub aliases: Arc<Aliases>,
    pub pauses: Arc<Pauses>,
    pub retirements: Arc<Retirements>,
    pub releases: Arc<LiveReleases>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
    pub clock: Arc<dyn Clock>,
    pub sessions: Arc<Sessions>,
    /// The named ones; the data folder's own is the guard's.
    pub tokens: Arc<Tokens>,
    /// The data folder.
    pub data: PathBuf,
    pub environment: Arc<LiveEnvironment>,
}

/// The admin listener's endpoints.
#[derive(Debug)]
pub struct Api {
    pub(crate) parts: ApiParts,
    pub(crate) guard: Guard,
    /// For the bodies of named tokens, each of which has a share.
    memory: BodyMemory,
    /// For those of the data folder's own: whoever has it comes through, whatever others hold.
    memory_of_owner: BodyMemory,
    /// One for each stream of events that may be open.
    pub(super) event_streams: Arc<Semaphore>,
    pub(super) backups: backup::Backups,
    /// One look at the whole audit trail at a time.
    pub(super) verifying: tokio::sync::Mutex<()>,
    refused: Refused,
}

/// How much of a path is entered of a request that a role does not allow.
const PATH_BYTES_MAX: usize = 256;

/// One endpoint. The OpenAPI document is held against the list of them.
pub(super) struct Route {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "`handler` knows it too, but does not tell; the OpenAPI document is held against it")
    )]
    pub method: Method,
    pub path: &'static str,
    /// What a token must allow; none: no token is needed. There is no endpoint that does not say.
    pub needs: Option<Role>,
    handler: MethodRouter<Arc<Api>>,
}

/// Every endpoint there is.
pub(super) fn routes() -> Vec<Route> {
    use Role::{Approver, Deployer, Local, Operator, Viewer};
    let endpoint = |method, path, needs, handler| Route { method, path, needs, handler };
    let open = |path, handler| endpoint(Method::GET, path, None, handler);
    let look = |path, handler| endpoint(Method::GET, path, Some(Viewer), handler);
    let change = |path, needs, handler| endpoint(Method::POST, path, Some(needs), handler);
    vec![
        open("/healthz", get(health::lives)),
        open("/readyz", get(health::ready)),
        open("/metrics", get(health::metrics)),
        look("/api/v1/openapi.json", get(openapi::show)),
        look("/api/v1/status", get(status::show)),
        look("/api/v1/integrations", get(integrations::list)),
        look("/api/v1/messages", get(messages::list)),
        look("/api/v1/messages/{id}", get(messages::show)),
        look("/api/v1/messages/{id}/attempts/{attempt}", get(messages::exchanges)),
        change("/api/v1/messages", Operator, post(by_hand::put)),
        look("/api/v1/dead-letters", get(dead_letters::list)),
        look("/api/v1/dead-letters/{id}", get(dead_letters::show)),
        change("/api/v1/dead-letters/replay", Operator, post(operate::replay)),
        change("/api/v1/dead-letters/discard", Operator, post(operate::discard)),
        change("/api/v1/dead-letters/{id}/edit", Operator, post(edit::edit)),
        look("/api/v1/events", get(events::stream)),
        endpoint(Method::GET, "/api/v1/backup", Some(Deployer), get(backup::make)),
        look("/api/v1/aliases", get(aliases::list)),
        change("/api/v1/aliases/{name}/test", Operator, post(aliases::test)),
        change("/api/v1/integrations/{name}/pause", Operator, post(pausing::pause_integration)),
        change("/api/v1/integrations/{name}/resume", Operator, post(pausing::resume_integration)),
        change("/api/v1/integrations/{name}/retire", Deployer, post(retiring::retire)),
        look("/api/v1/integrations/{name}/releases", get(release_list::list)),
        change("/api/v1/integrations/{name}/rollback", Deployer, post(releases::roll_back)),
        change("/api/v1/integrations/{name}/canary", Deployer, post(trying::end_canary)),
        look("/api/v1/integrations/{name}/shadow", get(trying::show_shadow)),
        change("/api/v1/integrations/{name}/shadow", Deployer, post(trying::end_shadow)),
        look("/api/v1/integrations/{name}/rehearsals", get(rehearsals::list)),
        look("/api/v1/integrations/{name}/rehearsals/{id}", get(rehearsals::show)),
        change("/api/v1/integrations/{name}/approve", Approver, post(approving::approve)),
        change("/api/v1/integrations/{name}/reject", Approver, post(approving::reject)),
        look("/api/v1/approvals", get(release_list::approvals)),
        change("/api/v1/releases", Deployer, post(releases::deploy)),
        look("/api/v1/releases/{id}", get(releases::show)),
        endpoint(Method::PUT, "/api/v1/plugins/{digest}", Some(Deployer), put(components::put)),
        endpoint(Method::GET, "/api/v1/plugins/{digest}", Some(Deployer), get(components::get)),
        change("/api/v1/aliases/{name}/pause", Operator, post(pausing::pause_alias)),
        change("/api/v1/aliases/{name}/resume", Operator, post(pausing::resume_alias)),
        look("/api/v1/secrets", get(secrets::list)),
        endpoint(Method::PUT, "/api/v1/secrets/{name}", Some(Deployer), put(secrets::set)),
        endpoint(Method::DELETE, "/api/v1/secrets/{name}", Some(Deployer), delete(secrets::unset)),
        look("/api/v1/environment", get(environment::show)),
        change("/api/v1/environment", Deployer, post(environment::apply)),
        change("/api/v1/console-links", Viewer, post(console_links::create)),
        look("/api/v1/tokens", get(tokens::list)),
        change("/api/v1/tokens", Local, post(tokens::create)),
        endpoint(Method::DELETE, "/api/v1/tokens/{name}", Some(Local), delete(tokens::revoke)),
        look("/api/v1/audit", get(audit::list)),
        look("/api/v1/audit/verify", get(audit::verify)),
    ]
}

impl Api {
    /// The API for a listener bound to `bound`, opened by `token`.
    pub fn new(parts: ApiParts, bound: SocketAddr, token: Secret) -> Arc<Self> {
        let [memory, memory_of_owner] = [(); 2].map(|()| BodyMemory::new(BODIES_BYTES_MAX));
        let event_streams = Arc::new(Semaphore::new(EVENT_STREAMS_MAX));
        let (backups, verifying) = (backup::Backups::default(), tokio::sync::Mutex::default());
        let guard = Guard::new(bound, token, parts.tokens.clone());
        Arc::new(Self { parts, guard, memory, memory_of_owner, event_streams, backups, verifying, refused: Refused::default() })
    }

    /// What [`serve`](crate::ingress::serve) calls for the admin listener: the API, and beside it `pages`, which look after
    /// themselves: who may see them, and what is said about a path that nobody has.
    pub fn handler(self: &Arc<Self>, pages: Router) -> Handler {
        let router = router(self.clone()).merge(pages);
        Arc::new(move |request| {
            let mut router = router.clone();
            async move {
                let Ok(response) = router.call(request.map(Body::new)).await;
                response
            }
            .boxed()
        })
    }

    /// Whether `who` may do what needs the role `needed`. Who may not is told so, and it is entered in the audit trail, as long as it is
    /// not too often.
    ///
    /// # Errors
    /// 403 where it is not allowed.
    pub(crate) async fn allow(&self, who: &Who, needed: Role, (method, path): (&Method, &str)) -> Result<(), Refusal> {
        if who.may(needed) {
            return Ok(());
        }
        let now = self.parts.clock.now();
        if let Some(left_out) = self.refused.enters(who.name(), now) {
            let (needs, has) = (needed.as_str(), who.role().as_str());
            tracing::warn!(by = who.name(), needs, has, left_out, "a request was refused: the token's role does not allow it");
            let asked = cut(&format!("{method} {path}"), PATH_BYTES_MAX);
            let after = serde_json::json!({ "needs": needs, "has": has, "not-entered-before": left_out });
            let note = who.note(now, Act::Request, asked).came(Came::Refused).after(after);
            if let Err(error) = self.parts.store.audit().append(note).await {
                tracing::error!(%error, "a refused request could not be entered in the audit trail");
            }
        }
        Err(forbidden(who, needed))
    }

    /// The body of `request`, within `limits`.
    ///
    /// # Errors
    /// 408, 413 and 503, as [`body::read`] says; 401 as soon as the token ends while it is read.
    pub(crate) async fn body(&self, request: Request, limits: BodyLimits) -> Result<ReadBody, Refusal> {
        let (head, body) = request.into_parts();
        let (who, clock) = (head.extensions.get::<Who>(), self.parts.clock.as_ref());
        let memory = match who.and_then(Who::bodies) {
            Some(_) => &self.memory,
            None => &self.memory_of_owner,
        };
        let reading = body::read(&head.headers, body, limits, Room { memory, share: who.and_then(Who::bodies) }, clock);
        let Some(who) = who else { return reading.await };
        tokio::select! {
            biased;
            () = who.ended(clock) => Err(Ended.into()),
            read = reading => read,
        }
    }

    /// Bytes that are free for the bodies of named tokens, and for those of the data folder's own.
    #[cfg(test)]
    pub(super) fn memory_left(&self) -> (usize, usize) {
        (self.memory.left(), self.memory_of_owner.left())
    }

    /// The body of `request`, read as JSON.
    ///
    /// # Errors
    /// 400 for what is not JSON or not what is expected; what is wrong is named.
    pub(super) async fn json<T: serde::de::DeserializeOwned>(&self, request: Request) -> Result<T, Refusal> {
        let body = self.body(request, JSON_LIMITS).await?;
        serde_json::from_slice(&body.bytes).map_err(|error| parameters::wrong(format!("the body: {error}")))
    }
}

fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for Route { path, needs, handler, .. } in routes() {
        let handler = match needs {
            Some(needed) => handler.route_layer(middleware::from_fn_with_state((api.clone(), needed), check_token)),
            None => handler,
        };
        router = router.route(path, handler);
    }
    router
        .route("/api", any(no_such_endpoint))
        .route("/api/{*path}", any(no_such_endpoint))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(api.clone(), check_place))
        .with_state(api)
}

async fn no_such_endpoint() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no such endpoint; see /api/v1/openapi.json")
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "this endpoint has no such method; see /api/v1/openapi.json")
}

async fn check_token(State((api, needed)): State<(Arc<Api>, Role)>, mut request: Request, next: Next) -> Response {
    let who = match api.guard.check_token(request.headers(), api.parts.clock.now()) {
        Ok(who) => who,
        Err(refusal) => return refusal.into_response(),
    };
    if let Err(refusal) = api.allow(&who, needed, (request.method(), request.uri().path())).await {
        return refusal.into_response();
    }
    request.extensions_mut().insert(who);
    next.run(request).await
}

/// For every request. Health checks come from machines that name the host as they like, and learn nothing.
async fn check_place(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let checked = match request.uri().path() {
        "/healthz" | "/readyz" => Ok(()),
        _ => api.guard.check_place(&request),
    };
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    // What is shown came from outside: no browser is to take it for a page, and nobody is to keep it.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
