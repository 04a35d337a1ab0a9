//! The examples that no other test runs, end to end over the real binary. `shop-to-crm` is what most tests run.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::json;

use crate::support::build::{plugin_files, root};
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{hex_signature, runtime};
use crate::support::shop::accepted;
use crate::support::workspace::{SHOP_SECRET, Workspace};

/// What billing was sent; it refuses the first request with 503.
type Received = Arc<Mutex<Vec<String>>>;

/// Billing on a free port, and its address.
fn billing() -> (String, Received) {
    let received = Received::default();
    let kept = received.clone();
    let app = Router::new().route(
        "/invoices",
        post(move |body: String| {
            let mut kept = kept.lock().unwrap();
            kept.push(body);
            let status = if kept.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CREATED };
            async move { status }
        }),
    );
    let listener = runtime().block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime().spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, received)
}

#[test]
fn order_to_invoice_refuses_a_forged_order_and_bills_a_signed_one_once() {
    let example = root().join("examples/order-to-invoice");
    let read = |file: &str| std::fs::read_to_string(example.join(file)).unwrap();
    let (address, received) = billing();
    let workspace = Workspace::empty();
    workspace.write("lockgate.toml", &format!("[plugins]\npaths = [{:?}]\n", plugin_files().display().to_string()));
    workspace.write("integrations/order-to-invoice.toml", &read("integrations/order-to-invoice.toml"));
    workspace.write("environments/test.toml", &read("environments/dev.toml").replace("127.0.0.1:9030", &address));
    let host = Host::start(&workspace);

    let order = read("orders/plain.json");
    let forged = hex_signature("not-the-secret", order.as_bytes());
    assert_eq!(host.post("/orders", &[("x-signature", forged.as_str())], order.clone()).status, 401);
    let signature = hex_signature(SHOP_SECRET, order.as_bytes());
    let headers = [("x-signature", signature.as_str()), ("content-type", "application/json")];
    let id = accepted(&host.post("/orders", &headers, order.clone()));
    assert_eq!(host.post("/orders", &headers, order).json(), json!({"id": id, "status": "duplicate"}));

    eventually("the order is delivered", || {
        let message = host.api(&format!("/api/v1/messages/{id}"));
        (message["integrations"][0]["state"] == "delivered").then_some(())
    });
    let invoice =
        r#"{"reference":"2026-001042","debtor":"9007199254740993","issued_on":"2026-03-14","currency":"EUR","amount_minor":6485}"#;
    assert_eq!(*received.lock().unwrap(), [invoice, invoice], "the first was answered with 503");
}
