//! A CRM for the demo and the end-to-end tests: an HTTP server on loopback that behaves as Salesforce documents its
//! token endpoint and its composite resource, and does as it is told: go down, fail, refuse a value.
//!
//! It keeps what it received, so that what is shown about it is what happened.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

/// Where the composite resource is; the alias's base is this without `/composite`.
pub const API_PATH: &str = "/services/data/v60.0";
/// The client the token endpoint knows.
pub const CLIENT_ID: &str = "dev";
pub const CLIENT_SECRET: &str = "crm-demo-secret";

/// What the CRM received and knows.
#[derive(Debug, Default)]
pub struct Received {
    /// Records by type and external id.
    pub records: BTreeMap<(String, String), Map<String, Value>>,
    /// Every composite request that was taken, in order: idempotency key and body.
    pub requests: Vec<(String, Value)>,
    /// Requests whose idempotency key had been seen: answered from memory, nothing written.
    pub repeats: u64,
    /// How often each record was written; more than its number of versions would be a doubled effect.
    pub writes: BTreeMap<(String, String), u64>,
    /// Requests to the token endpoint.
    pub token_requests: u64,
    answers: BTreeMap<String, (u16, Value)>,
    tokens: u64,
}

/// What the CRM is told to do.
#[derive(Debug, Default)]
struct Script {
    /// Answers given before anything else, oldest first: status, headers, body.
    next: VecDeque<Scripted>,
    /// (field, value): records with it are refused with `INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST`.
    refused: Vec<(String, String)>,
    /// The client secret the token endpoint takes.
    client_secret: String,
    /// Tokens numbered below this are expired.
    tokens_valid_from: u64,
    /// Whether a repeated idempotency key is recognised.
    honours_keys: bool,
}

/// An answer given without looking at the request.
#[derive(Clone, Debug)]
pub struct Scripted {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Do the work of the request first: the answer is lost, the effect is not.
    pub after_effect: bool,
}

impl Scripted {
    /// A bare status.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), after_effect: false }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Received>,
    script: Mutex<Script>,
}

/// The CRM. Dropping it takes it down.
#[derive(Debug)]
pub struct Crm {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

impl Crm {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        {
            let mut script = lock(&shared.script);
            script.client_secret = CLIENT_SECRET.to_owned();
            script.honours_keys = true;
        }
        let mut crm = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), shared, server: None };
        crm.up().await?;
        Ok(crm)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and breaks what is connected.
    pub async fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // The listener is closed once the task is gone.
            drop(server.await);
        }
    }

    /// Listens again, on the address it had.
    ///
    /// # Errors
    /// If the address was taken meanwhile.
    pub async fn up(&mut self) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let app = Router::new()
            .route("/token", post(token))
            .route(&format!("{API_PATH}/composite"), post(composite))
            .with_state(self.shared.clone());
        self.server = Some(tokio::spawn(serve(listener, app)));
        Ok(())
    }

    /// What it received so far.
    pub fn received(&self) -> MutexGuard<'_, Received> {
        lock(&self.shared.received)
    }

    /// Gives `answer` to the next composite request that has no scripted answer yet.
    pub fn answer_next(&self, answer: Scripted) {
        lock(&self.shared.script).next.push_back(answer);
    }

    /// Scripted answers that were not asked for yet.
    pub fn answers_left(&self) -> usize {
        lock(&self.shared.script).next.len()
    }

    /// Refuses records whose `field` is `value`, as a restricted picklist does.
    pub fn refuse(&self, field: &str, value: &str) {
        lock(&self.shared.script).refused.push((field.to_owned(), value.to_owned()));
    }

    /// Refuses nothing any more: an administrator has added the values.
    pub fn accept_all(&self) {
        lock(&self.shared.script).refused.clear();
    }

    /// From now on the token endpoint takes only this secret.
    pub fn rotate_secret(&self, secret: &str) {
        secret.clone_into(&mut lock(&self.shared.script).client_secret);
    }

    /// Expires every token given out so far.
    pub fn expire_tokens(&self) {
        let tokens = lock(&self.shared.received).tokens;
        lock(&self.shared.script).tokens_valid_from = tokens;
    }

    /// Stops recognising repeated idempotency keys, as many real targets never do.
    pub fn ignore_keys(&self) {
        lock(&self.shared.script).honours_keys = false;
    }
}

impl Drop for Crm {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until aborted; connections end with it, so that taking the CRM down is seen at once.
async fn serve(listener: tokio::net::TcpListener, app: Router) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let service = hyper_util::service::TowerToHyperService::new(app.clone());
                connections.spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(stream);
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// OAuth 2.0 client credentials (RFC 6749 section 4.4), credentials in the body or as basic authentication.
async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut received = lock(&shared.received);
    received.token_requests += 1;
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let expected = lock(&shared.script).client_secret.clone();
    let in_body = form.get("client_id").is_some_and(|id| id == CLIENT_ID) && form.get("client_secret") == Some(&expected);
    let basic = format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{CLIENT_ID}:{expected}")));
    let in_header = headers.get("authorization").is_some_and(|value| value.as_bytes() == basic.as_bytes());
    if !in_body && !in_header {
        return (
            StatusCode::UNAUTHORIZED,
            axum::Json(json!({"error": "invalid_client", "error_description": "client identifier or secret is wrong"})),
        )
            .into_response();
    }
    received.tokens += 1;
    axum::Json(json!({"access_token": format!("token-{}", received.tokens), "token_type": "Bearer", "expires_in": 7200})).into_response()
}

/// The composite resource
/// (<https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_composite.htm>).
async fn composite(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut received = lock(&shared.received);
    let mut script = lock(&shared.script);
    let scripted = script.next.pop_front();
    if let Some(answer) = scripted.as_ref().filter(|answer| !answer.after_effect) {
        return scripted_response(answer);
    }
    if !token_is_valid(&headers, script.tokens_valid_from, received.tokens) {
        let body = json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]);
        return (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let (status, answer) = match received.answers.get(&key).filter(|_| script.honours_keys && !key.is_empty()).cloned() {
        Some(before) => {
            received.repeats += 1;
            before
        }
        None => apply(&mut received, &script, &key, &body),
    };
    match scripted {
        Some(lost) => scripted_response(&lost),
        None => (StatusCode::from_u16(status).unwrap_or(StatusCode::OK), axum::Json(answer)).into_response(),
    }
}

fn scripted_response(answer: &Scripted) -> Response {
    let mut response = Response::new(axum::body::Body::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn token_is_valid(headers: &HeaderMap, valid_from: u64, given: u64) -> bool {
    let number = headers.get("authorization").and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer token-"));
    number.and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| number > valid_from && number <= given)
}

/// Writes all records of a composite request, or none (`allOrNone`).
fn apply(received: &mut Received, script: &Script, key: &str, body: &[u8]) -> (u16, Value) {
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return (400, json!([{"message": "The HTTP entity body is not JSON", "errorCode": "JSON_PARSER_ERROR"}]));
    };
    let Some(parts) = request["compositeRequest"].as_array() else {
        return (400, json!([{"message": "compositeRequest is missing", "errorCode": "INVALID_INPUT"}]));
    };
    let errors: Vec<Option<Value>> = parts.iter().map(|part| refusal(part, script)).collect();
    let failed = errors.iter().any(Option::is_some);
    let mut answers = Vec::new();
    for (part, error) in parts.iter().zip(errors) {
        let halted = json!([{"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back since another operation in the same transaction failed."}]);
        let (status, body) = match (error, failed) {
            (Some(error), _) => (400, error),
            (None, true) => (400, halted),
            (None, false) => write(received, part),
        };
        answers.push(json!({"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": part["referenceId"]}));
    }
    let answer = json!({ "compositeResponse": answers });
    received.requests.push((key.to_owned(), request));
    if !failed {
        // A refusal writes nothing, so a key that met one may be used again: that is what makes a replay after a repair work.
        received.answers.insert(key.to_owned(), (200, answer.clone()));
    }
    (200, answer)
}

fn refusal(part: &Value, script: &Script) -> Option<Value> {
    let fields = part["body"].as_object()?;
    let (field, value) = script.refused.iter().find(|(field, value)| fields.get(field).and_then(Value::as_str) == Some(value.as_str()))?;
    Some(json!([{
        "errorCode": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "message": format!("{field}: bad value for restricted picklist field: {value}"),
        "fields": [field],
    }]))
}

/// One `PATCH …/sobjects/<Type>/<Field>/<external id>`.
fn write(received: &mut Received, part: &Value) -> (u16, Value) {
    let url = part["url"].as_str().unwrap_or_default();
    let mut segments = url.rsplit('/');
    let id = segments.next().unwrap_or_default();
    let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned();
    let kind = segments.nth(1).unwrap_or_default().to_owned();
    let fields = part["body"].as_object().cloned().unwrap_or_default();
    let place = (kind, id);
    let created = !received.records.contains_key(&place);
    let number = received.records.len() + 1;
    let remote_id = format!("{}{number:015}", if place.0 == "Account" { "001" } else { "006" });
    received.records.entry(place.clone()).or_default().extend(fields);
    *received.writes.entry(place).or_default() += 1;
    (if created { 201 } else { 200 }, json!({"id": remote_id, "success": true, "errors": [], "created": created}))
}
