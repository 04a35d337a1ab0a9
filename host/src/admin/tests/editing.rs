//! A dead letter's message edited and delivered in its place.

use serde_json::json;

use super::*;
use crate::problem::Code;

const JSON: &str = "content-type: application/json\r\n";

/// The path of an edit of the newest dead letter.
async fn path(host: &Host, query: &str) -> String {
    let letters = host.json("/api/v1/dead-letters").await;
    format!("/api/v1/dead-letters/{}/edit?{query}", letters["dead-letters"][0]["id"])
}

#[tokio::test]
async fn refuses_what_cannot_be_delivered_or_is_no_edit() {
    let host = Host::start().await;
    host.put_dead("a").await;
    let good = r#"{"id":7,"name":"a"}"#;
    host.post("/api/v1/dead-letters/999/edit?reason=x", JSON, good).await.assert_problem(404, Code::NotFound);
    host.post("/api/v1/dead-letters/one/edit?reason=x", JSON, good).await.assert_problem(400, Code::BadRequest);
    for query in ["", "reason=", "reason=%20", "reason=x&dry-run=perhaps", "reason=x&anyhow=true"] {
        host.post(&path(&host, query).await, JSON, good).await.assert_problem(400, Code::BadRequest);
    }
    let edit = path(&host, "reason=x").await;
    for body in [r#"{"id":7,}"#, "", r#"{"name":"a"}"#, r#"{"name":"still no id"}"#] {
        host.post(&edit, JSON, body).await.assert_problem(400, Code::InvalidEdit);
    }
    host.post(&edit, "content-type: json\r\n", good).await.assert_problem(415, Code::UnsupportedMediaType);
    let large = format!("{{\"id\":7,\"name\":\"{}\"}}", "x".repeat(4 * 1024 * 1024));
    host.post(&edit, JSON, &large).await.assert_problem(413, Code::BodyTooLarge);
    assert_eq!(host.json("/api/v1/dead-letters").await["dead-letters"].as_array().unwrap().len(), 1, "nothing was done");
}

#[tokio::test]
async fn names_line_and_column_of_a_mistake() {
    let host = Host::start().await;
    host.put_dead("a").await;
    let edit = path(&host, "reason=x").await;
    let detail = host.post(&edit, JSON, "{\n  \"id\": 7,\n  \"name\": 'a'\n}").await.json()["detail"].clone();
    assert_eq!(detail, "line 3, column 11: expected value; the content type is application/json");
    let detail = host.post(&edit, JSON, r#"{"name":"b"}"#).await.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("the edited body would be parked again as unkeyed: key = \"json:/id\""), "{detail}");
}

#[tokio::test]
async fn shows_what_would_be_different_and_does_nothing() {
    let host = Host::start().await;
    host.put_dead("a").await;
    let shown = host.post(&path(&host, "dry-run=true").await, JSON, r#"{"id":7,"name":"b"}"#).await.json();
    let fields = json!([{ "path": "/name", "before": "a", "after": "b" }, { "path": "/id", "after": 7 }]);
    let difference = json!({ "fields": fields, "more": 0, "facts": [{ "name": "key", "before": null, "after": "7" }] });
    assert_eq!(shown, json!({ "id": 1, "result": "would-be-queued", "difference": difference }));
    assert_eq!(host.json("/api/v1/dead-letters").await["dead-letters"][0]["status"], "open");
    assert_eq!(host.json("/api/v1/messages").await["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_who_edit_one_is_first_and_the_other_is_told() {
    let host = Host::start().await;
    host.put_dead("a").await;
    let edit = path(&host, "reason=id%20added").await;
    let bodies = [r#"{"id":7,"name":"a"}"#, r#"{"id":8,"name":"a"}"#];
    let [one, other] = bodies.map(|body| host.post(&edit, JSON, body));
    let (one, other) = tokio::join!(one, other);
    let answers = [one.json(), other.json()];
    let first = answers.iter().find(|answer| answer["result"] == "queued").unwrap();
    let second = answers.iter().find(|answer| answer["result"] == "already-replayed").unwrap();
    assert_eq!((&second["edited-as"], &second["replay"]), (&first["message"], &json!(1)));
    assert_eq!(host.json("/api/v1/messages").await["messages"].as_array().unwrap().len(), 2, "the original and one edited");
    let later = host.post(&edit, JSON, bodies[0]).await.json();
    assert_eq!((&later["result"], &later["edited-as"]), (&json!("already-replayed"), &first["message"]));
}

#[tokio::test]
async fn the_original_stays_as_it_is_and_each_names_the_other() {
    let host = Host::start().await;
    let original = host.put_dead("a").await;
    let edit = path(&host, "reason=id%20added").await;
    let edited = host.post(&edit, "content-type: application/vnd.shop+json\r\n", r##"{"id":7,"name":"#1001"}"##).await.json();
    assert_eq!((&edited["result"], &edited["replay"]), (&json!("queued"), &json!(1)));
    let new = edited["message"].as_str().unwrap();

    let shown = host.json(&format!("/api/v1/messages/{original}")).await;
    assert_eq!(shown["body"]["text"], r#"{"name":"a"}"#);
    assert_eq!(shown["integrations"][0]["state"], "edited");
    let last = shown["outcomes"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["outcome"], &last["detail"], &last["receipt"]), (&json!("edited"), &json!("id added"), &json!({ "message": new })));
    let letter = &shown["dead-letters"][0];
    assert_eq!((&letter["status"], &letter["reason"], &letter["edited-as"]), (&json!("replayed"), &json!("id added"), &json!(new)));
    assert_eq!(shown["children"][0]["id"], new);

    let shown = host.json(&format!("/api/v1/messages/{new}")).await;
    assert_eq!((&shown["parent"], &shown["origin"]), (&json!(original), &json!("send, edited by local")));
    assert_eq!((&shown["key"], &shown["content-type"]), (&json!("7"), &json!("application/vnd.shop+json")));
    assert_eq!(shown["tracked"], json!([{ "name": "order", "value": "#1001" }]));
    assert_eq!((&shown["waiting"][0]["lane"], &shown["waiting"][0]["replay"]), (&json!("7"), &json!(1)));
    assert_eq!(host.json("/api/v1/dead-letters").await["dead-letters"], json!([]));
}
