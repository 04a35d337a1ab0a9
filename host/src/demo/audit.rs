//! An audit service for the demo and the end-to-end tests: keeps every body that is posted to `/orders`, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::task::JoinHandle;

/// The bearer token it takes.
pub const TOKEN: &str = "audit-demo-token";

/// What was posted: idempotency key and body. A repeated key is counted, not kept twice.
#[derive(Debug, Default)]
pub struct Kept {
    pub bodies: Vec<(String, Bytes)>,
    pub repeats: u64,
}

/// The audit service. Dropping it takes it down.
#[derive(Debug)]
pub struct Audit {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    server: JoinHandle<()>,
}

impl Audit {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let app = Router::new().route("/orders", post(keep)).with_state(kept.clone());
        let server = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
        Ok(Self { address, kept, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has kept so far.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn keep(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if text("authorization") != format!("Bearer {TOKEN}") {
        return StatusCode::UNAUTHORIZED;
    }
    let key = text("idempotency-key");
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.bodies.iter().any(|(before, _)| !key.is_empty() && *before == key) {
        kept.repeats += 1;
        return StatusCode::OK;
    }
    kept.bodies.push((key, body));
    StatusCode::CREATED
}
