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
use super::guard::Guard;
use super::sessions::Sessions;
use super::{
    aliases, backup, by_hand, console_links, dead_letters, edit, health, integrations, messages, openapi, operate, parameters, pausing,
    secrets, status,
};
use crate::alias::Aliases;
use crate::alias::secret::Secret;
use crate::clock::Clock;
use crate::delivery::Pauses;
use crate::ingress::answer::Refusal;
use crate::ingress::body::{self, BodyLimits, BodyMemory, ReadBody};
use crate::ingress::{Handler, Intake};
use crate::message_store::sqlite::SqliteStore;
use crate::problem::Code;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// Memory for the bodies of all requests under way.
const BODIES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The longest JSON a request may carry.
const JSON_LIMITS: BodyLimits = BodyLimits { bytes: 1024 * 1024, within: Duration::from_secs(30) };

/// What [`Api`] shows and changes.
#[derive(Clone, Debug)]
pub struct ApiParts {
    pub intake: Arc<Intake>,
    pub store: SqliteStore,
    pub aliases: Arc<Aliases>,
    pub pauses: Arc<Pauses>,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
    pub clock: Arc<dyn Clock>,
    pub sessions: Arc<Sessions>,
    /// The data folder.
    pub data: PathBuf,
    pub environment: Arc<LiveEnvironment>,
}

/// The admin listener's endpoints.
#[derive(Debug)]
pub struct Api {
    pub(crate) parts: ApiParts,
    pub(crate) guard: Guard,
    memory: BodyMemory,
    /// One for each stream of events that may be open.
    pub(super) event_streams: Arc<Semaphore>,
    /// One backup at a time.
    pub(super) backups: Arc<Semaphore>,
}

/// One endpoint. The OpenAPI document is held against the list of them.
pub(super) struct Route {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "`handler` knows it too, but does not tell; the OpenAPI document is held against it")
    )]
    pub method: Method,
    pub path: &'static str,
    /// Whether the token is needed.
    pub guarded: bool,
    handler: MethodRouter<Arc<Api>>,
}

/// Every endpoint there is.
pub(super) fn routes() -> Vec<Route> {
    let read = |path, handler| Route { method: Method::GET, path, guarded: true, handler };
    let change = |path, handler| Route { method: Method::POST, path, guarded: true, handler };
    let open = |path, handler| Route { method: Method::GET, path, guarded: false, handler };
    vec![
        open("/healthz", get(health::lives)),
        open("/readyz", get(health::ready)),
        open("/metrics", get(health::metrics)),
        read("/api/v1/openapi.json", get(openapi::show)),
        read("/api/v1/status", get(status::show)),
        read("/api/v1/integrations", get(integrations::list)),
        read("/api/v1/messages", get(messages::list)),
        read("/api/v1/messages/{id}", get(messages::show)),
        read("/api/v1/messages/{id}/attempts/{attempt}", get(messages::exchanges)),
        change("/api/v1/messages", post(by_hand::put)),
        read("/api/v1/dead-letters", get(dead_letters::list)),
        read("/api/v1/dead-letters/{id}", get(dead_letters::show)),
        change("/api/v1/dead-letters/replay", post(operate::replay)),
        change("/api/v1/dead-letters/discard", post(operate::discard)),
        change("/api/v1/dead-letters/{id}/edit", post(edit::edit)),
        read("/api/v1/events", get(events::stream)),
        read("/api/v1/backup", get(backup::make)),
        read("/api/v1/aliases", get(aliases::list)),
        change("/api/v1/aliases/{name}/test", post(aliases::test)),
        change("/api/v1/integrations/{name}/pause", post(pausing::pause_integration)),
        change("/api/v1/integrations/{name}/resume", post(pausing::resume_integration)),
        change("/api/v1/aliases/{name}/pause", post(pausing::pause_alias)),
        change("/api/v1/aliases/{name}/resume", post(pausing::resume_alias)),
        read("/api/v1/secrets", get(secrets::list)),
        Route { method: Method::PUT, path: "/api/v1/secrets/{name}", guarded: true, handler: put(secrets::set) },
        Route { method: Method::DELETE, path: "/api/v1/secrets/{name}", guarded: true, handler: delete(secrets::unset) },
        read("/api/v1/environment", get(environment::show)),
        change("/api/v1/environment", post(environment::apply)),
        change("/api/v1/console-links", post(console_links::create)),
    ]
}

impl Api {
    /// The API for a listener bound to `bound`, opened by `token`.
    pub fn new(parts: ApiParts, bound: SocketAddr, token: Secret) -> Arc<Self> {
        let (memory, event_streams) = (BodyMemory::new(BODIES_BYTES_MAX), Arc::new(Semaphore::new(EVENT_STREAMS_MAX)));
        let backups = Arc::new(Semaphore::new(1));
        Arc::new(Self { parts, guard: Guard::new(bound, token), memory, event_streams, backups })
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

    /// The body of `request`, within `limits`.
    ///
    /// # Errors
    /// 408, 413 and 503, as [`body::read`] says.
    pub(crate) async fn body(&self, request: Request, limits: BodyLimits) -> Result<ReadBody, Refusal> {
        let (head, body) = request.into_parts();
        body::read(&head.headers, body, limits, &self.memory, self.parts.clock.as_ref()).await
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
    let mut open = Router::new();
    let mut guarded = Router::new();
    for route in routes() {
        if route.guarded {
            guarded = guarded.route(route.path, route.handler);
        } else {
            open = open.route(route.path, route.handler);
        }
    }
    let guarded = guarded.route_layer(middleware::from_fn_with_state(api.clone(), check_token));
    open.merge(guarded)
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

async fn check_token(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match api.guard.check_token(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
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
