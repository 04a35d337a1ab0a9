//! The world outside: a receiver that recognises an `Idempotency-Key` it has seen, one that ignores them, and the token endpoint of the
//! first. Both write down all they see.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::item::Item;
use crate::support::http::runtime;

/// A token is good for so many requests; then it is refused, and a new one fetched.
const TOKEN_USES: u64 = 30;

/// What one receiver saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each request that was let in.
    pub arrivals: Vec<(Item, String)>,
    keys: BTreeSet<String>,
    /// How often each item was written.
    pub effects: BTreeMap<Item, u64>,
}

#[derive(Debug, Default)]
pub struct World {
    pub careful: Seen,
    pub careless: Seen,
    tokens: Vec<u64>,
    /// Requests until the one that the careless receiver takes and never answers.
    unanswered_in: Option<u64>,
    /// It has come.
    pub unanswered: bool,
}

/// Everything outside, on one address.
#[derive(Debug)]
pub struct Outside {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
    server: JoinHandle<()>,
}

impl Outside {
    pub fn start() -> Self {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let world = Arc::<Mutex<World>>::default();
            let app = Router::new().route("/token", post(token)).route("/careful/orders", post(careful));
            let app = app.route("/careless/orders", post(careless)).with_state(world.clone());
            let server = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
            Self { address, world, server }
        })
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The careless receiver takes its `nth` request from now on, and never answers it.
    pub fn leave_unanswered(&self, nth: u64) {
        let mut world = self.world();
        (world.unanswered_in, world.unanswered) = (Some(nth), false);
    }

    /// The latest number of `key` that has come to the careless receiver.
    pub fn latest(&self, key: &str) -> u64 {
        let first_of_next = Item { key: format!("{key}\0"), number: 0, part: 0 };
        let world = self.world();
        world.careless.effects.range(..first_of_next).next_back().map_or(0, |(item, _)| if item.key == key { item.number } else { 0 })
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Seen {
    /// Writes down a request; gives whether its key was new.
    fn note(&mut self, headers: &HeaderMap, body: &str) -> (Item, bool) {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let item: Item = body.parse().unwrap();
        self.arrivals.push((item.clone(), key.clone()));
        (item, self.keys.insert(key))
    }
}

/// OAuth 2.0 client credentials (RFC 6749 section 4.4).
async fn token(State(world): State<Arc<Mutex<World>>>) -> Response {
    let mut world = world.lock().unwrap();
    world.tokens.push(TOKEN_USES);
    let number = world.tokens.len() - 1;
    axum::Json(json!({ "access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": 3600 })).into_response()
}

async fn careful(State(world): State<Arc<Mutex<World>>>, headers: HeaderMap, body: String) -> StatusCode {
    let mut world = world.lock().unwrap();
    let number = headers[header::AUTHORIZATION].to_str().unwrap().trim_start_matches("Bearer token-").parse::<usize>().unwrap();
    let Some(uses) = world.tokens.get_mut(number).filter(|uses| **uses > 0) else { return StatusCode::UNAUTHORIZED };
    *uses -= 1;
    let (item, is_new) = world.careful.note(&headers, &body);
    if is_new {
        *world.careful.effects.entry(item).or_default() += 1;
    }
    StatusCode::CREATED
}

async fn careless(State(world): State<Arc<Mutex<World>>>, headers: HeaderMap, body: String) -> StatusCode {
    let hangs = {
        let mut world = world.lock().unwrap();
        let (item, _) = world.careless.note(&headers, &body);
        *world.careless.effects.entry(item).or_default() += 1;
        world.unanswered_in = world.unanswered_in.map(|left| left.saturating_sub(1));
        let hangs = world.unanswered_in == Some(0);
        world.unanswered_in = world.unanswered_in.filter(|left| *left > 0);
        world.unanswered |= hangs;
        hangs
    };
    if hangs { std::future::pending().await } else { StatusCode::CREATED }
}
