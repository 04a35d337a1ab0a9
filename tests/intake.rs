//! Webhooks in, over the real binary: what is refused and how, duplicates, forged ids, bytes kept as they came.

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{Answer, request, shopify_signature};
use crate::support::shop::{accepted, order, post_body, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::SHOP_SECRET;

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem:#}");
    assert_eq!(problem["status"], status);
}

fn stored(host: &Host) -> usize {
    host.api("/api/v1/messages")["messages"].as_array().unwrap().len()
}

#[test]
fn refuses_what_it_must_with_a_problem_and_stores_nothing() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let body = order(1, 1, "1.00").to_string();
    let signature = shopify_signature(SHOP_SECRET, body.as_bytes());
    let signed =
        [("x-shopify-topic", "orders/create"), ("x-shopify-hmac-sha256", signature.as_str()), ("content-type", "application/json")];

    refused(&host.post("/shop/orders", &[("x-shopify-topic", "orders/create")], body.clone()), 401, "LG-4001");
    let forged = shopify_signature("not-the-secret", body.as_bytes());
    refused(&host.post("/shop/orders", &[("x-shopify-hmac-sha256", forged.as_str())], body.clone()), 401, "LG-4001");
    refused(&host.post("/shop/nothing", &signed, body.clone()), 404, "LG-4002");
    refused(&host.post("/shop/orders", &signed, vec![b' '; (4 << 20) + 1]), 413, "LG-4003");
    refused(&request("GET", &format!("{}/shop/orders", host.ingress), &[], "").unwrap(), 405, "LG-4004");
    assert_eq!(stored(&host), 0);
}

#[test]
fn a_webhook_fired_twice_is_one_message_and_one_effect() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let order = order(1001, 7, "10.00");
    let id = accepted(&post_order(&host, "evt-1", &order));
    let again = post_order(&host, "evt-1", &order);
    assert_eq!((again.status, again.json()["status"].as_str().unwrap()), (202, "duplicate"));
    assert_eq!(again.json()["id"], id.as_str());
    eventually("the order is in the CRM", || outside.crm.received().requests.first().map(|_| ()));
    assert_eq!(host.api("/api/v1/messages?integration=shop-orders")["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_forged_id_suppresses_nothing() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    // Shopify does not sign its webhook id: whoever replays a signed body under the id of a coming event must not stop it.
    accepted(&post_order(&host, "evt-of-the-next-order", &order(1, 7, "10.00")));
    accepted(&post_order(&host, "evt-of-the-next-order", &order(2, 7, "10.00")));
}

#[test]
fn a_topic_nobody_takes_is_ignored_openly() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let body = order(1, 1, "1.00").to_string();
    let signature = shopify_signature(SHOP_SECRET, body.as_bytes());
    let headers =
        [("x-shopify-topic", "orders/delete"), ("x-shopify-hmac-sha256", signature.as_str()), ("content-type", "application/json")];
    let answer = host.post("/shop/orders", &headers, body);
    assert_eq!((answer.status, answer.json()["status"].as_str().unwrap()), (200, "ignored"));
    assert_eq!(stored(&host), 0);
}

#[test]
fn an_order_without_its_key_or_not_in_json_is_taken_and_parked_as_unkeyed() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let mut order = order(1, 1, "1.00");
    order.as_object_mut().unwrap().remove("customer");
    accepted(&post_order(&host, "evt-1", &order));
    accepted(&post_body(&host.ingress, "evt-2", b"{ this is not JSON").unwrap());
    let letters = host.api("/api/v1/dead-letters");
    let letters = letters["dead-letters"].as_array().unwrap();
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter["class"] == "unkeyed"), "{letters:#?}");
}
