//! The demo's web shop: posts orders as Shopify does, signed
//! (<https://shopify.dev/docs/apps/build/webhooks/subscribe/https>).

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sha2::Sha256;

use crate::problem::{Code, Problem};

/// What the shop signs with.
pub const SECRET: &str = "shop-demo-secret";

/// The shop.
#[derive(Debug)]
pub struct Shop {
    to: SocketAddr,
    client: Client,
}

/// What the demo's people ask the host with.
pub(super) type Client = hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>;

pub(super) fn client() -> Client {
    hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http()
}

/// What the host answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The id the message was accepted under.
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }
}

impl Shop {
    pub fn new(to: SocketAddr) -> Self {
        Self { to, client: client() }
    }

    /// Posts an order, signed with the right secret or another.
    pub async fn post(&self, event: &str, order: &[u8], secret: &str) -> Result<Answer, Problem> {
        let request = http::Request::post(format!("http://{}/shop/orders", self.to))
            .header("content-type", "application/json")
            .header("x-shopify-topic", "orders/create")
            .header("x-shopify-webhook-id", event)
            .header("x-shopify-hmac-sha256", sign(order, secret))
            .body(Full::new(Bytes::copy_from_slice(order)));
        ask(&self.client, request).await
    }
}

/// Sends a request to the host and takes its answer.
pub(super) async fn ask(client: &Client, request: http::Result<http::Request<Full<Bytes>>>) -> Result<Answer, Problem> {
    let response = client.request(request.map_err(|error| lost(&error))?).await.map_err(|error| lost(&error))?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| lost(&error))?.to_bytes();
    Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
}

fn sign(body: &[u8], secret: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

fn lost(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::Internal, format!("the demo could not reach its host: {error}")).fix("run the demo again")
}

/// One of the example's orders, byte for byte.
pub fn order(example: &Path, name: &str) -> Result<Vec<u8>, Problem> {
    let path = example.join("orders").join(name);
    std::fs::read(&path).map_err(|error| {
        Problem::new(Code::FileUnreadable, format!("{}: {error}", path.display())).fix("run the demo in the project's folder")
    })
}

/// The same order under another id and name, textually: nothing else of it is touched.
pub fn renumbered(order: &[u8], id: u64, name: &str) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(order) else { return order.to_vec() };
    value["id"] = id.into();
    value["name"] = name.into();
    value.to_string().into_bytes()
}
