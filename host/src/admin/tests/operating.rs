//! What people change: messages put in by hand, dead letters replayed and discarded.

use serde_json::json;

use super::*;
use crate::message_store::{Lease, MessageStore};
use crate::problem::Code;

#[tokio::test]
async fn puts_in_by_hand_what_is_asked_for_and_nothing_else() {
    let host = Host::start().await;
    host.post("/api/v1/messages", "", "{}").await.assert_problem(400, Code::BadRequest);
    host.post("/api/v1/messages?integration=none", "", "{}").await.assert_problem(404, Code::NotFound);
    host.post("/api/v1/messages?integration=orders&dedup=maybe", "", "{}").await.assert_problem(400, Code::BadRequest);
    host.post("/api/v1/messages?integration=orders", "content-type: json\r\n", "{}").await.assert_problem(415, Code::UnsupportedMediaType);
    let large = "x".repeat(4 * 1024 * 1024 + 1);
    host.post("/api/v1/messages?integration=orders", "", &large).await.assert_problem(413, Code::BodyTooLarge);
    host.intake.close();
    host.post("/api/v1/messages?integration=orders", "", "{}").await.assert_problem(503, Code::ShuttingDown);
    assert_eq!(host.json("/api/v1/messages").await["messages"], json!([]));
}

#[tokio::test]
async fn takes_a_file_sent_twice_as_two_messages_unless_asked_otherwise() {
    let host = Host::start().await;
    assert_ne!(host.put(r#"{"id":1}"#).await, host.put(r#"{"id":1}"#).await);
    let path = "/api/v1/messages?integration=orders&dedup=true";
    let first = host.post(path, "", r#"{"id":1}"#).await.json();
    assert_eq!(first["status"], "accepted");
    let again = host.post(path, "", r#"{"id":1}"#).await.json();
    assert_eq!(again, json!({ "id": first["id"], "status": "duplicate" }));
}

#[tokio::test]
async fn lists_groups_and_shows_dead_letters() {
    let host = Host::start().await;
    let messages = [host.put_dead("a").await, host.put_dead("b").await];
    let listed = host.json("/api/v1/dead-letters?integration=orders&class=unkeyed").await;
    assert_eq!(listed["dead-letters"].as_array().unwrap().len(), 2);
    assert_eq!(listed["next"], Value::Null);
    let newest = &listed["dead-letters"][0];
    assert_eq!(newest["message"], *messages[1]);
    let groups = host.json("/api/v1/dead-letters?group=fingerprint").await;
    assert_eq!(groups["groups"][0]["count"], 2);
    assert_eq!(groups["groups"][0]["fingerprint"], newest["fingerprint"]);
    assert_eq!(host.json("/api/v1/dead-letters?group=fingerprint&class=gave-up").await["groups"], json!([]));
    for (query, found) in [("track=order%3Da", 1), ("track=order%3Dc", 0), ("key=7", 0), ("since=0", 2), ("until=0", 0)] {
        let letters = host.json(&format!("/api/v1/dead-letters?{query}")).await;
        assert_eq!((letters["dead-letters"].as_array().unwrap().len(), &letters["searched-to"]), (found, &Value::Null), "{query}");
    }
    for query in ["track=order", "since=soon", "since=2&until=1", "group=fingerprint&key=7"] {
        host.get(&format!("/api/v1/dead-letters?{query}")).await.assert_problem(400, Code::BadRequest);
    }
    let shown = host.json(&format!("/api/v1/dead-letters/{}", newest["id"])).await;
    assert_eq!(shown["dead-letter"], *newest);
    assert_eq!(shown["message"]["body"]["text"], "{\"name\":\"b\"}");
}

#[tokio::test]
async fn a_replay_at_a_rate_goes_oldest_first_one_after_the_other() {
    let host = Host::start().await;
    for name in ["a", "b", "c"] {
        host.put_dead(name).await;
    }
    let started = clock().now();
    let reply =
        host.post("/api/v1/dead-letters/replay", "content-type: application/json\r\n", r#"{"class":"unkeyed","rate":"2/1000s"}"#).await;
    assert_eq!(reply.json()["results"].as_array().unwrap().len(), 3, "{reply:?}");
    let late = started.plus(std::time::Duration::from_secs(3_600));
    let first = host
        .store
        .lease(Lease {
            integration: "orders".into(),
            now: started.plus(std::time::Duration::from_secs(400)),
            limit: 10,
            bytes_max: usize::MAX,
        })
        .await
        .unwrap();
    let rest = host.store.lease(Lease { integration: "orders".into(), now: late, limit: 10, bytes_max: usize::MAX }).await.unwrap();
    let names = |leased: &[crate::message_store::Leased]| -> Vec<String> {
        leased.iter().map(|leased| String::from_utf8(leased.message.body.to_vec()).unwrap()).collect()
    };
    assert_eq!((names(&first), names(&rest)), (vec![r#"{"name":"a"}"#.into()], vec![r#"{"name":"b"}"#.into(), r#"{"name":"c"}"#.into()]));
}

#[tokio::test]
async fn refuses_to_change_what_was_not_named() {
    let host = Host::start().await;
    host.put_dead("a").await;
    for (path, body) in [
        ("replay", "{}"),
        ("replay", "[]"),
        ("replay", "not JSON"),
        ("replay", r#"{"ids":[1],"class":"unkeyed"}"#),
        ("replay", r#"{"ids":[1],"supersede":"skip"}"#),
        ("replay", r#"{"ids":[1],"rate":"0/s"}"#),
        ("replay", r#"{"ids":[1],"rate":"fast"}"#),
        ("replay", r#"{"ids":[1],"superseded":"whatever"}"#),
        ("replay", r#"{"class":"odd"}"#),
        ("discard", r#"{"ids":[1]}"#),
        ("discard", r#"{"ids":[1],"reason":"  "}"#),
        ("discard", r#"{"reason":"all of it"}"#),
    ] {
        host.post(&format!("/api/v1/dead-letters/{path}"), "", body).await.assert_problem(400, Code::BadRequest);
    }
    assert_eq!(host.json("/api/v1/dead-letters").await["dead-letters"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn says_for_each_dead_letter_what_became_of_it() {
    let host = Host::start().await;
    host.put_dead("a").await;
    host.put_dead("b").await;
    let letters = host.json("/api/v1/dead-letters").await;
    let (newer, older) = (&letters["dead-letters"][0]["id"], &letters["dead-letters"][1]["id"]);
    let body = json!({ "ids": [older, 999] }).to_string();
    let replayed = host.post("/api/v1/dead-letters/replay", "", &body).await.json();
    assert_eq!(replayed["results"], json!([{ "id": older, "result": "queued", "replay": 1 }, { "id": 999, "result": "not-found" }]));
    let body = json!({ "ids": [newer, older], "reason": "a test order" }).to_string();
    let discard = async || {
        let mut results = host.post("/api/v1/dead-letters/discard", "", &body).await.json()["results"].clone();
        for result in results.as_array_mut().unwrap() {
            let at = result.as_object_mut().unwrap().remove("at");
            assert_eq!(at.is_some(), result["result"].as_str().unwrap().starts_with("already"), "{result}");
        }
        results
    };
    let replayed_before = json!({ "id": older, "result": "already-replayed", "replay": 1 });
    assert_eq!(discard().await, json!([replayed_before, { "id": newer, "result": "discarded" }]));
    let discarded_before = json!({ "id": newer, "result": "already-discarded", "reason": "a test order" });
    assert_eq!(discard().await, json!([replayed_before, discarded_before]), "what was done is not done again");
    let shown = host.json(&format!("/api/v1/dead-letters/{newer}")).await;
    assert_eq!((&shown["dead-letter"]["status"], &shown["dead-letter"]["reason"]), (&json!("discarded"), &json!("a test order")));
}

#[tokio::test]
async fn replays_all_that_fit_oldest_first() {
    let host = Host::start().await;
    for name in ["a", "b", "c"] {
        host.put_dead(name).await;
    }
    let fingerprint = host.json("/api/v1/dead-letters").await["dead-letters"][0]["fingerprint"].clone();
    assert_eq!(
        host.post("/api/v1/dead-letters/replay", "", r#"{"integration":"orders","class":"gave-up"}"#).await.json(),
        json!({ "results": [], "more": false })
    );
    let body = json!({ "fingerprint": fingerprint, "superseded": "anyway" }).to_string();
    let replayed = host.post("/api/v1/dead-letters/replay", "", &body).await.json();
    let ids: Vec<_> = replayed["results"].as_array().unwrap().iter().map(|done| done["id"].as_i64().unwrap()).collect();
    assert!(ids.len() == 3 && ids.is_sorted(), "{replayed}");
    assert!(replayed["results"].as_array().unwrap().iter().all(|done| done["result"] == "queued"));
    assert_eq!(host.json("/api/v1/dead-letters").await["dead-letters"], json!([]));
}

#[tokio::test]
async fn a_message_that_waits_in_what_a_person_paused_says_so() {
    let host = Host::start().await;
    let id = host.put(r#"{"id":1}"#).await;
    let waiting = async || host.json(&format!("/api/v1/messages/{id}")).await["waiting"][0].clone();
    assert_eq!(waiting().await["paused"], Value::Null);
    host.post("/api/v1/integrations/orders/pause", "content-type: application/json\r\n", r#"{"reason":"new fields"}"#).await;
    assert_eq!(waiting().await["paused"]["reason"], "new fields");
}

#[tokio::test]
async fn who_unsets_a_secret_is_told_which_alias_has_none_now() {
    let host = Host::start().await;
    let ask = async |line: &str| {
        let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}");
        host.send(format!("{head}\r\ncontent-length: 1\r\n\r\nx")).await.json()
    };
    ask("PUT /api/v1/secrets/crm.password").await;
    let unset = ask("DELETE /api/v1/secrets/crm.password").await;
    assert_eq!(unset["left-without"], Value::Null, "the environment's file has another value: {unset}");
    let stored =
        "[alias.crm]\nurl = \"http://crm.example/base\"\nauth = { basic = { username = \"lockgate\", password = { store = true } } }\n";
    assert_eq!(host.post("/api/v1/environment", "", stored).await.json()["applied"], true);
    ask("PUT /api/v1/secrets/crm.password").await;
    let unset = ask("DELETE /api/v1/secrets/crm.password").await;
    assert_eq!(unset["left-without"], json!({ "alias": "crm", "integrations": [], "waiting": 0 }), "{unset}");
}
