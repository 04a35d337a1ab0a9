//! Retiring: what is refused, what is taken while one drains, and its end.

use super::*;
use crate::ingress::Routes;
use crate::integration::{Sink, Source};
use crate::message_store::{Attempt, Lease, MessageStore, Settle, Settlement};
use crate::problem::Code;

const JSON: &str = "content-type: application/json\r\n";
const RETIRE: &str = "/api/v1/integrations/orders/retire";

/// `orders` writes to `out`, which `reader` and whoever else is named read.
fn read_by(host: &Host, readers: &[&str]) {
    let reader = |name: &&str| {
        let mut reader = integration(name, Source::channel("out"));
        reader.sink = Sink::Channel("nowhere".into());
        Arc::new(reader)
    };
    let mut all = vec![Arc::new(integration("orders", webhook("/in", None)))];
    all.extend(readers.iter().map(reader));
    host.intake.replace_routes(Routes::build(&all, &environment(Vec::new())).unwrap());
}

/// What is sent to the intake, by a person: how it is answered.
async fn put(host: &Host) -> Reply {
    host.post("/api/v1/messages?integration=orders", JSON, r#"{"id":1,"name":"x"}"#).await
}

/// The one that waits is delivered.
async fn deliver(host: &Host) {
    let now = clock().now();
    let leased = host.store.lease(Lease { integration: "orders".into(), now, limit: 1, bytes_max: usize::MAX }).await.unwrap().remove(0);
    let attempt = Attempt {
        release: crate::integration::ReleaseId("r".into()),
        started_at: now,
        ended_at: now,
        result: "delivered",
        code: None,
        detail: None,
        trace: "[]".into(),
        exchanges: Vec::new(),
    };
    let settlement = Settlement::Skipped { code: "test".into(), detail: String::new() };
    let settle = Settle { delivery: leased.id, attempt, settlement, appends: Vec::new(), key_values: Vec::new(), tracked: Vec::new() };
    host.store.settle(Arc::new(settle)).await.unwrap();
}

async fn state(host: &Host) -> Value {
    host.json("/api/v1/status").await["integrations"][0]["state"].clone()
}

#[tokio::test]
async fn an_unknown_name_and_an_alias_are_refused_with_what_to_do() {
    let host = Host::start().await;
    let reply = host.post("/api/v1/integrations/order/retire", JSON, "{}").await;
    reply.assert_problem(404, Code::NotFound);
    assert!(reply.json()["detail"].as_str().unwrap().contains("did you mean orders?"), "{reply:?}");
    let reply = host.post("/api/v1/integrations/crm/retire", JSON, "{}").await;
    reply.assert_problem(400, Code::WrongUsage);
    assert!(reply.json()["detail"].as_str().unwrap().contains("`lockgate env apply`"), "{reply:?}");
    for body in [r#"{"reason":" "}"#, r#"{"force":true}"#, ""] {
        host.post(RETIRE, JSON, body).await.assert_problem(400, Code::BadRequest);
    }
    assert_eq!(host.store.retirements().all().await.unwrap(), []);
}

#[tokio::test]
async fn the_only_reader_of_a_channel_that_others_write_to_stays_unless_that_is_meant() {
    let host = Host::start().await;
    read_by(&host, &["reader"]);
    let retire = |name: &str, body: &'static str| {
        let path = format!("/api/v1/integrations/{name}/retire");
        let host = &host;
        async move { host.post(&path, JSON, body).await }
    };
    let reply = retire("reader", "{}").await;
    reply.assert_problem(409, Code::UnreadChannel);
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("channel out") && detail.contains("orders writes to it"), "{detail}");
    assert_eq!(host.store.retirements().all().await.unwrap(), []);

    read_by(&host, &["reader", "other"]);
    assert_eq!(retire("other", "{}").await.status, 200, "the first one reads it, too");
    retire("reader", "{}").await.assert_problem(409, Code::UnreadChannel);
    assert_eq!(retire("reader", r#"{"anyway":true}"#).await.status, 200);
}

#[tokio::test]
async fn who_reads_what_it_alone_wrote_is_named() {
    let host = Host::start().await;
    read_by(&host, &["reader"]);
    let reply = host.post(RETIRE, JSON, "{}").await;
    let note = reply.json()["notes"][0].as_str().unwrap().to_owned();
    assert!(note.contains("channel out: reader will get nothing more"), "{note}");
}

#[tokio::test]
async fn one_that_drains_takes_nothing_new_and_is_inactive_when_nothing_waits() {
    let host = Host::start().await;
    host.put(r#"{"id":1,"name":"first"}"#).await;
    let reply = host.post(RETIRE, JSON, r#"{"reason":" the old CRM goes "}"#).await;
    let answer = reply.json();
    assert_eq!((&answer["waiting"], &answer["retirement"]["done-at"]), (&1.into(), &Value::Null), "{answer}");
    let row = host.store.retirements().all().await.unwrap().remove(0);
    assert_eq!((row.integration.as_str(), row.reason.as_deref(), row.done_at), ("orders", Some("the old CRM goes"), None));
    assert_eq!(state(&host).await, "retiring");
    assert_eq!(host.json("/api/v1/integrations").await["integrations"][0]["state"], "retiring");
    put(&host).await.assert_problem(409, Code::Retired);
    assert!(host.intake.routes().webhook("/in").is_none(), "nobody listens");

    host.finish_retiring().await;
    assert_eq!(state(&host).await, "retiring", "one waits");
    deliver(&host).await;
    host.finish_retiring().await;
    assert_eq!(state(&host).await, "inactive");
    assert_eq!(host.json("/api/v1/integrations").await["integrations"], serde_json::json!([]));
    put(&host).await.assert_problem(404, Code::NotFound);
    for path in [RETIRE, "/api/v1/integrations/orders/resume"] {
        host.post(path, JSON, "{}").await.assert_problem(409, Code::Retired);
    }
    let events = host.get("/api/v1/events?follow=false&last=100&kind=operator").await.body;
    let of = |what: &str| events.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{events}"));
    assert!(of("takes nothing new").contains("\"by\":\"local\""), "{events}");
    let end = of("its release is active no more");
    assert!(!end.contains("\"by\"") && end.contains("the old CRM goes"), "nobody asked then: {end}");
}

#[tokio::test]
async fn one_that_drains_is_taken_back_and_listens_again() {
    let host = Host::start().await;
    host.put(r#"{"id":1,"name":"first"}"#).await;
    host.post(RETIRE, JSON, "{}").await;
    host.post("/api/v1/integrations/orders/pause", JSON, r#"{"reason":"x"}"#).await;
    let again = host.post(RETIRE, JSON, "{}").await.json();
    assert_eq!(again["paused"]["reason"], "x", "who asks is told that it takes more to take it back: {again}");
    let resumed = host.post("/api/v1/integrations/orders/resume", JSON, "{}").await.json();
    assert_eq!((&resumed["was-paused"], &resumed["was-retiring"]), (&true.into(), &false.into()), "it drains on: {resumed}");
    assert_eq!(state(&host).await, "retiring");
    let resumed = host.post("/api/v1/integrations/orders/resume", JSON, "{}").await.json();
    assert_eq!((&resumed["was-paused"], &resumed["was-retiring"]), (&false.into(), &true.into()), "{resumed}");
    assert!(host.intake.routes().webhook("/in").is_some());
    assert_eq!(put(&host).await.status, 202);
    assert_eq!(host.store.retirements().all().await.unwrap(), []);
}

#[tokio::test]
async fn a_dead_letter_is_replayed_while_it_drains_and_discarded_afterwards() {
    let host = Host::start().await;
    host.put_dead("a").await;
    host.put_dead("b").await;
    host.put(r#"{"id":1,"name":"first"}"#).await;
    host.post(RETIRE, JSON, "{}").await;
    let act =
        async |what: &str, body: &str| host.post(&format!("/api/v1/dead-letters/{what}"), JSON, body).await.json()["results"][0].clone();
    assert_eq!(act("replay", r#"{"ids":[1]}"#).await["result"], "queued");
    deliver(&host).await;
    host.finish_retiring().await;
    assert_eq!(state(&host).await, "retiring", "the replayed one waits");
    deliver(&host).await;
    host.finish_retiring().await;
    assert_eq!(state(&host).await, "inactive");
    assert_eq!(act("discard", r#"{"ids":[2],"reason":"gone"}"#).await, serde_json::json!({ "id": 2, "result": "discarded" }));
}

#[tokio::test]
async fn a_dead_letter_of_one_that_is_retired_is_not_replayed_for_nobody() {
    let host = Host::start().await;
    host.put_dead("a").await;
    host.post(RETIRE, JSON, "{}").await;
    assert_eq!(state(&host).await, "inactive", "nothing waited");
    let reply = host.post("/api/v1/dead-letters/replay", JSON, r#"{"integration":"orders"}"#).await.json();
    assert_eq!(reply["results"][0]["result"], "integration-retired", "{reply}");
    assert_eq!(host.store.waiting("orders"), 0);
    let reply = host.post("/api/v1/dead-letters/discard", JSON, r#"{"integration":"orders","reason":"gone"}"#).await.json();
    assert_eq!(reply["results"][0]["result"], "discarded", "{reply}");
}

#[tokio::test]
async fn an_environment_that_is_applied_opens_no_path_of_one_that_drains() {
    let host = Host::start().await;
    host.put(r#"{"id":1,"name":"first"}"#).await;
    host.post(RETIRE, JSON, "{}").await;
    read_by(&host, &[]);
    assert!(host.intake.routes().webhook("/in").is_none());
}
