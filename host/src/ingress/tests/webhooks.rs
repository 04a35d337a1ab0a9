//! What senders get, and what is stored.

use std::collections::BTreeMap;

use super::support::*;
use crate::message::Tracked;
use crate::message_store::{Accepted, Lane, StoreError};
use crate::problem::{Code, Problem};

async fn host() -> Host {
    Host::start(vec![integration("orders", webhook("/in", None))], environment(Vec::new())).await
}

#[tokio::test]
async fn refuses_a_path_nobody_listens_on() {
    let host = host().await;
    for path in ["/", "/in/", "/IN", "/in/..", "//in", "/%69n"] {
        host.post(path, "", "").await.assert_problem(404, Code::NoSuchPath);
    }
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn refuses_methods_other_than_post() {
    let host = host().await;
    let reply = host.send("GET /in HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    reply.assert_problem(405, Code::MethodNotAllowed);
    assert_eq!(reply.header("allow"), Some("post"));
}

#[tokio::test]
async fn refuses_a_content_type_that_is_none() {
    let host = host().await;
    host.post("/in", "content-type: json\r\n", "{}").await.assert_problem(415, Code::UnsupportedMediaType);
}

#[tokio::test]
async fn says_when_to_come_back_where_it_cannot_take_a_message() {
    let host = host().await;
    let failed = StoreError::Failed(Problem::new(Code::StoreFailed, "/var/lib/lockgate/messages.db: I/O error"));
    for (answer, status, code) in [
        (Ok(Accepted::Full("orders".into())), 429, Code::TooManyWaiting),
        (Ok(Accepted::HostFull), 503, Code::TooManyWaiting),
        (Err(StoreError::Busy), 503, Code::IntakeBusy),
        (Err(StoreError::Full), 503, Code::IntakeBusy),
        (Err(failed), 503, Code::IntakeBusy),
        (Err(StoreError::Closed), 503, Code::ShuttingDown),
    ] {
        *host.store.refuse.lock().unwrap() = Some(answer);
        let reply = host.post("/in", "", "{}").await;
        reply.assert_problem(status, code);
        assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        assert!(!reply.body.contains("orders") && !reply.body.contains("/var"), "{reply:?}");
    }
    assert!(host.metrics.encode().contains("lockgate_requests_refused_total{reason=\"LG-4006\"} 3"));
}

#[tokio::test]
async fn takes_nothing_once_it_is_closed() {
    let host = host().await;
    host.intake.close();
    let reply = host.post("/in", "", "{}").await;
    reply.assert_problem(503, Code::ShuttingDown);
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn stores_the_bytes_as_they_came_and_answers_202() {
    let host = host().await;
    let body = "{\"id\": 12345678901234567890,\n \"name\":\"Zoë 🚲\" }  ";
    let reply = host.post("/in?shop=1", "content-type: application/json\r\nx-topic: orders\r\nauthorization: Bearer x\r\n", body).await;
    assert_eq!(reply.status, 202);
    let taken = host.store.taken();
    let message = &taken[0].message;
    assert_eq!(reply.json(), serde_json::json!({ "id": message.id, "status": "accepted" }));
    assert_eq!(message.body, body);
    assert_eq!(message.content_type, "application/json");
    assert_eq!(message.headers.get("x-topic"), Some("orders"));
    assert_eq!(message.headers.get("authorization"), None);
    assert_eq!(message.origin, "webhook /in");
    assert!(host.metrics.encode().contains("lockgate_messages_accepted_total{integration=\"orders\"} 1"));
}

#[tokio::test]
async fn answers_a_repetition_with_the_first_id() {
    let host = host().await;
    let first = host.post("/in", "", "the same").await.json();
    let again = host.post("/in", "", "the same").await;
    assert_eq!(again.status, 202);
    assert_eq!(again.json(), serde_json::json!({ "id": first["id"], "status": "duplicate" }));
    assert_eq!(host.store.taken().len(), 1);
    assert!(host.metrics.encode().contains("lockgate_messages_duplicate_total{integration=\"orders\"} 1"));
}

#[tokio::test]
async fn ignores_what_nobody_listens_for_and_stores_nothing() {
    let mut source = webhook("/in", None);
    let crate::integration::Entry::Webhook { when, .. } = &mut source.entry else { unreachable!() };
    when.insert("header:X-Topic".parse().unwrap(), vec!["orders/create".into(), "orders/updated".into()]);
    let host = Host::start(vec![integration("orders", source)], environment(Vec::new())).await;
    for headers in ["", "x-topic: products/create\r\n"] {
        let reply = host.post("/in", headers, "{}").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["status"], "ignored");
        assert!(reply.json()["reason"].as_str().unwrap().contains("header"), "{reply:?}");
    }
    assert!(host.store.taken().is_empty());
    assert!(host.metrics.encode().contains("lockgate_messages_ignored_total{path=\"/in\"} 2"));
    assert_eq!(host.post("/in", "x-topic: orders/updated\r\n", "{}").await.status, 202);
}

#[tokio::test]
async fn makes_one_message_with_one_delivery_for_each_integration_that_listens() {
    let mut keyed = webhook("/in", None);
    keyed.key = Some("json:/customer/id".parse().unwrap());
    keyed.track = BTreeMap::from([("order".to_owned(), "json:/name".parse().unwrap())]);
    let host = Host::start(vec![integration("crm", keyed), integration("audit", webhook("/in", None))], environment(Vec::new())).await;
    let reply = host.post("/in", "", r##"{"customer":{"id":9007199254740993},"name":"#1001"}"##).await;
    assert_eq!(reply.status, 202);
    let taken = host.store.taken();
    assert_eq!(taken.len(), 1);
    let lanes: Vec<_> = taken[0].deliveries.iter().map(|delivery| (delivery.integration.as_str(), delivery.lane.clone())).collect();
    assert_eq!(lanes, [("crm", Lane::Key("9007199254740993".into())), ("audit", Lane::Free)]);
    assert_eq!(taken[0].message.key.as_ref().unwrap().0, "9007199254740993");
    assert_eq!(taken[0].message.tracked, [Tracked { name: "order".into(), value: "#1001".into() }]);
}

#[tokio::test]
async fn takes_a_message_without_its_key_and_a_body_that_is_not_json() {
    let mut keyed = webhook("/in", None);
    keyed.key = Some("json:/customer/id".parse().unwrap());
    let host = Host::start(vec![integration("crm", keyed)], environment(Vec::new())).await;
    assert_eq!(host.post("/in", "", "{}").await.status, 202);
    assert_eq!(host.post("/in", "", "not JSON").await.status, 202);
    assert!(host.store.taken().iter().all(|accept| matches!(accept.deliveries[0].lane, Lane::Unkeyed(_))));
    assert!(host.metrics.encode().contains("lockgate_messages_dead_lettered_total{integration=\"crm\",class=\"unkeyed\"} 2"));
}

#[tokio::test]
async fn listens_to_new_routes_from_the_next_request_on() {
    let host = host().await;
    let routes = crate::ingress::Routes::build(&[integration("other", webhook("/other", None)).into()], &environment(Vec::new()));
    host.intake.replace_routes(routes.unwrap());
    host.post("/in", "", "{}").await.assert_problem(404, Code::NoSuchPath);
    assert_eq!(host.post("/other", "", "{}").await.status, 202);
}
