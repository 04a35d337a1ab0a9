//! What is shown: status, integrations, aliases, metrics, messages.

use super::*;
use crate::problem::Code;

#[tokio::test]
async fn finds_messages_by_what_people_know_of_them() {
    let host = Host::start().await;
    let first = host.put(r##"{"id":9007199254740993,"name":"#1001"}"##).await;
    let second = host.put(r##"{"id":7,"name":"#1002"}"##).await;
    let dead = host.put_dead("#1003").await;
    for (query, expected) in [
        ("", vec![&dead, &second, &first]),
        ("?limit=1", vec![&dead]),
        ("?key=9007199254740993", vec![&first]),
        ("?track=order%3D%231002", vec![&second]),
        ("?outcome=dead-lettered", vec![&dead]),
        ("?outcome=waiting&integration=orders", vec![&second, &first]),
        ("?since=2999-01-01T00:00:00Z", vec![]),
        ("?until=2999-01-01T00:00:00Z&limit=1", vec![&dead]),
        ("?until=2000-01-01T00:00:00Z", vec![]),
        (&format!("?id={first}"), vec![&first]),
        (&format!("?id={second}&key=9007199254740993"), vec![]),
        ("?id=00000000", vec![]),
        (&format!("?parent={first}"), vec![]),
    ] {
        let found = host.json(&format!("/api/v1/messages{query}")).await;
        let ids: Vec<_> = found["messages"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn a_mistyped_integration_is_told_and_one_that_was_active_is_not() {
    let host = Host::start().await;
    host.put_dead("#1").await;
    let gone = crate::integration::Release { integration: "returns".into(), file: String::new(), plugins: Vec::new() };
    host.store.releases().put(&gone, crate::clock::Timestamp(0), "anna").await.unwrap();
    for path in ["messages?", "dead-letters?", "dead-letters?group=fingerprint&", "events?follow=false&"] {
        let told = host.get(&format!("/api/v1/{path}integration=oders")).await;
        told.assert_problem(404, Code::NotFound);
        assert!(told.body.contains("there is no integration oders; did you mean orders?"), "{told:?}");
        assert_eq!(host.get(&format!("/api/v1/{path}integration=returns")).await.status, 200, "{path}");
    }
    for (what, more) in [("replay", ""), ("discard", r#","reason":"x""#)] {
        let ask = |name: &str| format!(r#"{{"integration":"{name}"{more}}}"#);
        host.post(&format!("/api/v1/dead-letters/{what}"), "", &ask("oders")).await.assert_problem(404, Code::NotFound);
        assert_eq!(host.post(&format!("/api/v1/dead-letters/{what}"), "", &ask("returns")).await.status, 200);
    }
    assert_eq!(host.json("/api/v1/dead-letters").await["dead-letters"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn shows_a_message_by_the_beginning_of_its_id_unless_several_start_so() {
    let host = Host::start().await;
    let ids = [host.put(r#"{"id":1}"#).await, host.put(r#"{"id":2}"#).await];
    // Made within a minute of each other, mostly; the next digits tell them apart sooner or later.
    let shared = ids[0].bytes().zip(ids[1].bytes()).take_while(|(one, other)| one == other).count();
    let shown = host.json(&format!("/api/v1/messages/{}", &ids[1][..=shared.max(8)])).await;
    assert_eq!(shown["id"], *ids[1]);
    if shared >= 8 {
        let several = host.get(&format!("/api/v1/messages/{}", &ids[0][..8])).await;
        several.assert_problem(409, Code::Ambiguous);
        assert!(ids.iter().all(|id| several.body.contains(id)), "{several:?}");
        assert_eq!(host.json(&format!("/api/v1/messages?id={}", &ids[0][..8])).await["messages"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn pages_through_messages() {
    let host = Host::start().await;
    let ids = [host.put(r#"{"id":1}"#).await, host.put(r#"{"id":2}"#).await];
    let first = host.json("/api/v1/messages?limit=1").await;
    assert_eq!(first["messages"][0]["id"], *ids[1]);
    let second = host.json(&format!("/api/v1/messages?limit=1&before={}", first["next"])).await;
    assert_eq!((&second["messages"][0]["id"], &second["next"]), (&ids[0].clone().into(), &Value::Null));
    let end = host.json("/api/v1/messages?limit=1&before=1").await;
    assert_eq!(end, serde_json::json!({ "messages": [], "next": null, "searched-to": null }), "a page after the last");
}

#[tokio::test]
async fn refuses_questions_it_does_not_understand() {
    let host = Host::start().await;
    for query in [
        "outcome=done",
        "id=1234567",
        "id=not-an-id",
        "until=x",
        "parent=x",
        "track=order",
        "limit=0",
        "limit=1001",
        "since=yesterday",
        "before=x",
        "key=a&key=b",
        "kye=a",
    ] {
        host.get(&format!("/api/v1/messages?{query}")).await.assert_problem(400, Code::BadRequest);
    }
    host.get("/api/v1/messages/01890000/attempts/x").await.assert_problem(404, Code::NotFound);
    let id = host.put(r#"{"id":1}"#).await;
    host.get(&format!("/api/v1/messages/{id}/attempts/x")).await.assert_problem(400, Code::BadRequest);
    host.get(&format!("/api/v1/messages/{id}/attempts/1")).await.assert_problem(404, Code::NotFound);
    host.get(&format!("/api/v1/messages/{id}?attempts-before=x")).await.assert_problem(400, Code::BadRequest);
    host.get("/api/v1/messages/7").await.assert_problem(400, Code::BadRequest);
    host.get("/api/v1/messages/01890000-0000-7000-8000-000000000000").await.assert_problem(404, Code::NotFound);
    host.get("/api/v1/dead-letters/x").await.assert_problem(400, Code::BadRequest);
    host.get("/api/v1/dead-letters/7").await.assert_problem(404, Code::NotFound);
    host.get("/api/v1/dead-letters?class=odd").await.assert_problem(400, Code::BadRequest);
    host.get("/api/v1/dead-letters?group=class").await.assert_problem(400, Code::BadRequest);
}

#[tokio::test]
async fn shows_a_message_as_it_came_without_the_token_it_was_put_in_with() {
    let host = Host::start().await;
    let id = host.put(r##"{"id":1,"name":"Zoë 🚲 <b>"}"##).await;
    let shown = host.json(&format!("/api/v1/messages/{id}")).await;
    assert_eq!(shown["body"]["text"], r##"{"id":1,"name":"Zoë 🚲 <b>"}"##);
    assert_eq!(shown["body-truncated"], false);
    assert_eq!(shown["content-type"], "application/json");
    assert_eq!(shown["key"], "1");
    assert_eq!(shown["origin"], "send");
    assert_eq!(shown["integrations"][0]["state"], "waiting");
    assert!(!shown.to_string().contains(TOKEN));
}

#[tokio::test]
async fn cuts_a_large_body_unless_all_of_it_is_asked_for() {
    let host = Host::start().await;
    let body = format!("{{\"id\":1,\"note\":\"{}\"}}", "x".repeat(100_000));
    let id = host.put(&body).await;
    let shown = host.json(&format!("/api/v1/messages/{id}")).await;
    assert_eq!((shown["body"]["text"].as_str().unwrap().len(), &shown["body-truncated"]), (65_536, &true.into()));
    assert_eq!(shown["body-bytes"], body.len());
    let full = host.json(&format!("/api/v1/messages/{id}?body=full")).await;
    assert_eq!(full["body"]["text"], body);
    host.get(&format!("/api/v1/messages/{id}?body=all")).await.assert_problem(400, Code::BadRequest);
}

#[tokio::test]
async fn shows_how_things_stand() {
    let host = Host::start().await;
    host.put(r#"{"id":1}"#).await;
    host.put_dead("a").await;
    let status = host.json("/api/v1/status").await;
    assert_eq!(status["intake"], "open");
    let orders = &status["integrations"][0];
    assert_eq!(orders["name"], "orders");
    assert_eq!(orders["state"], "delivering");
    assert_eq!(orders["waiting"], 1);
    assert_eq!(orders["dead-letters"], 1);
    for unknown in ["drained-in-s", "p50-ms", "p99-ms", "p99-since"] {
        assert_eq!(orders[unknown], Value::Null, "{unknown}");
    }
    assert_eq!(orders["per-minute"], 0.0);
    assert_eq!(orders["curve"]["dead-lettered"][59], 1);
    assert_eq!(orders["curve"]["delivered"].as_array().unwrap().len(), 60);
    assert_eq!(orders["owner"]["contact"], "ops@acme.example");
    assert_eq!(status["aliases"][0]["name"], "crm");
    let integrations = host.json("/api/v1/integrations").await;
    assert_eq!(integrations["integrations"][0]["sources"][0]["webhook"]["path"], "/in");
    assert_eq!(integrations["integrations"][0]["delivery"]["give-up-after-s"], 86_400);
}

#[tokio::test]
async fn shows_and_tests_aliases_without_their_secrets() {
    let host = Host::start().await;
    let listed = host.get("/api/v1/aliases").await;
    assert_eq!(listed.json()["aliases"][0]["state"], "healthy");
    assert_eq!(listed.json()["aliases"][0]["auth"], "basic");
    let tested = host.post("/api/v1/aliases/crm/test", "", "").await;
    assert_eq!((&tested.json()["reachable"], &tested.json()["authenticated"]), (&true.into(), &true.into()), "{tested:?}");
    assert!(!listed.body.contains(PASSWORD) && !tested.body.contains(PASSWORD));
    host.post("/api/v1/aliases/none/test", "", "").await.assert_problem(404, Code::NotFound);
}

#[tokio::test]
async fn measures_queues_and_aliases_when_metrics_are_read() {
    let host = Host::start().await;
    host.put(r#"{"id":1}"#).await;
    let reply = host.get("/metrics").await;
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "lockgate_messages_accepted_total{integration=\"orders\"} 1",
        "lockgate_queue_depth{integration=\"orders\"} 1",
        "lockgate_alias_state{alias=\"crm\"} 0",
    ] {
        assert!(reply.body.contains(line), "{}", reply.body);
    }
}

#[tokio::test]
async fn describes_itself() {
    let host = Host::start().await;
    assert_eq!(host.json("/api/v1/openapi.json").await["openapi"], "3.1.0");
}
