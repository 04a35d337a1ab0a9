//! What is entered in the audit trail of what people do, and what never is.

use serde_json::json;

use super::*;

/// A request as the token's owner; its body is JSON or what a secret is.
async fn ask(host: &Host, token: &str, line: &str, body: &str) -> Reply {
    let head = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    );
    host.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
}

/// `who act came subject` of every entry, oldest first.
async fn told(host: &Host) -> Vec<String> {
    let line = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        format!("{} {} {} {}", text("who"), text("act"), text("came"), text("subject"))
    };
    host.audit().await.iter().rev().map(line).collect()
}

#[tokio::test]
async fn every_change_is_entered_with_who_did_it() {
    let host = Host::start().await;
    let anna = host.token("anna", "deployer").await;
    for (line, body) in [
        ("POST /api/v1/integrations/orders/pause", r#"{"reason":"a look"}"#),
        ("POST /api/v1/integrations/orders/resume", "{}"),
        ("POST /api/v1/aliases/crm/pause", r#"{"reason":"a look"}"#),
        ("POST /api/v1/aliases/crm/resume", "{}"),
        ("POST /api/v1/aliases/crm/test", ""),
        ("PUT /api/v1/secrets/crm.password", "canary-of-the-audit"),
        ("DELETE /api/v1/secrets/crm.password", ""),
        (
            "POST /api/v1/environment",
            "[values]\nstage = \"new\"\n[alias.crm]\nurl = \"http://crm.example/other\"\nauth = { basic = { username = \"lockgate\", password = { env = \"CRM\" } } }\n",
        ),
    ] {
        let reply = ask(&host, &anna, line, body).await;
        assert_eq!(reply.status, 200, "{line}: {reply:?}");
    }
    let put = ask(&host, &anna, "POST /api/v1/messages?integration=orders", r#"{"name":"canary-of-the-audit"}"#).await;
    let message = put.json()["id"].as_str().unwrap().to_owned();
    let letter = host.json("/api/v1/dead-letters").await["dead-letters"][0]["id"].to_string();
    let edited =
        ask(&host, &anna, &format!("POST /api/v1/dead-letters/{letter}/edit?reason=why"), r#"{"id":1,"name":"canary-of-the-audit"}"#).await;
    assert_eq!(edited.json()["result"], "queued", "{edited:?}");
    host.put_dead("x").await;
    let other = host.json("/api/v1/dead-letters").await["dead-letters"][0]["id"].to_string();
    ask(&host, &anna, "POST /api/v1/dead-letters/discard", &format!("{{\"ids\":[{other}],\"reason\":\"a test\"}}")).await;
    ask(&host, &anna, "POST /api/v1/dead-letters/replay", &format!("{{\"ids\":[{other}]}}")).await;
    assert_eq!(ask(&host, &anna, "POST /api/v1/integrations/orders/retire", "{}").await.status, 200);
    assert_eq!(ask(&host, &anna, "POST /api/v1/integrations/orders/resume", "{}").await.status, 200);
    assert_eq!(
        told(&host).await,
        [
            "local create-token done token anna",
            "anna pause done integration orders",
            "anna resume done integration orders",
            "anna pause done alias crm",
            "anna resume done alias crm",
            "anna test-alias asked alias crm",
            "anna set-secret asked secret crm.password",
            "anna set-secret done secret crm.password",
            "anna unset-secret asked secret crm.password",
            "anna unset-secret done secret crm.password",
            "anna apply-environment done environment test",
            "anna send asked integration orders",
            "anna send done integration orders",
            &format!("anna edit done dead letter {letter}"),
            "local send asked integration orders",
            "local send done integration orders",
            &format!("anna discard asked dead letter {other}"),
            &format!("anna discard done dead letter {other}"),
            &format!("anna replay asked dead letter {other}"),
            &format!("anna replay failed dead letter {other}"),
            "anna retire done integration orders",
            "anna take-back done integration orders",
        ]
    );
    let entries = host.audit().await;
    let of = |act: &str| entries.iter().find(|entry| entry["act"] == act).unwrap();
    assert_eq!(of("edit")["before"], json!({ "message": message }));
    assert_eq!((&of("edit")["after"]["message"], &of("edit")["after"]["reason"]), (&edited.json()["message"], &json!("why")));
    assert_eq!((&of("resume")["before"]["reason"], &of("resume")["after"]), (&json!("a look"), &Value::Null));
    assert_eq!(of("send")["after"]["status"], "accepted");
    let shown = host.json(&format!("/api/v1/messages/{}", edited.json()["message"].as_str().unwrap())).await;
    assert_eq!(shown["origin"], "send, edited by anna");
    assert!(host.json("/api/v1/audit/verify").await["misfit"].is_null());
    let all = json!(entries).to_string();
    for secret in ["canary-of-the-audit", PASSWORD, TOKEN, &anna, &hex::encode(crate::admin::named_tokens::hash(anna.as_bytes()))] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
}

#[tokio::test]
async fn what_changes_nothing_is_not_entered() {
    let host = Host::start().await;
    for (line, body) in [
        ("POST /api/v1/integrations/orders/resume", "{}"),
        ("POST /api/v1/integrations/none/pause", r#"{"reason":"x"}"#),
        ("POST /api/v1/integrations/orders/pause", r#"{"reason":" "}"#),
        ("POST /api/v1/dead-letters/replay", r#"{"class":"gave-up"}"#),
        ("DELETE /api/v1/secrets/crm.password", ""),
        ("PUT /api/v1/secrets/none", "x"),
        ("POST /api/v1/environment?plan=true", "[alias.crm]\nurl = \"http://crm.example/other\"\n"),
        ("POST /api/v1/environment", "not TOML"),
        ("GET /api/v1/audit", ""),
    ] {
        ask(&host, TOKEN, line, body).await;
    }
    assert_eq!(told(&host).await, [""; 0]);
}

#[tokio::test]
async fn what_could_not_be_done_is_entered_as_that() {
    let host = Host::start().await;
    host.intake.close();
    ask(&host, TOKEN, "POST /api/v1/messages?integration=orders", "{}").await.assert_problem(503, Code::ShuttingDown);
    ask(&host, TOKEN, "POST /api/v1/dead-letters/discard", r#"{"ids":[7,9],"reason":"x"}"#).await;
    assert_eq!(
        told(&host).await,
        [
            "local send asked integration orders",
            "local send failed integration orders",
            "local discard asked 2 dead letters",
            "local discard failed 2 dead letters"
        ]
    );
    assert_eq!(host.audit().await[2]["after"], json!({ "code": "LG-4009", "asked-in": 1 }));
}

#[tokio::test]
async fn nothing_is_done_that_cannot_be_entered() {
    let host = Host::start().await;
    host.put_dead("x").await;
    host.store.close().await;
    for (line, body) in [
        ("POST /api/v1/dead-letters/discard", r#"{"ids":[1],"reason":"x"}"#),
        ("POST /api/v1/aliases/crm/test", ""),
        ("PUT /api/v1/secrets/crm.password", "x"),
        (
            "POST /api/v1/environment",
            "[alias.crm]\nurl = \"http://crm.example/other\"\nauth = { basic = { username = \"lockgate\", password = { env = \"CRM\" } } }\n",
        ),
        ("POST /api/v1/tokens", r#"{"name":"ci","role":"viewer"}"#),
    ] {
        ask(&host, TOKEN, line, body).await.assert_problem(503, Code::ShuttingDown);
    }
    assert_eq!(host.json("/api/v1/aliases").await["aliases"][0]["url"], "http://crm.example/base");
    assert_eq!(host.json("/api/v1/tokens").await["tokens"], json!([]));
    assert_eq!(host.json("/api/v1/secrets").await["secrets"][0]["set-at"], Value::Null);
}

#[tokio::test]
async fn the_trail_is_asked_for_in_pages_and_by_who() {
    let host = Host::start().await;
    for name in ["a", "b", "c"] {
        host.token(name, "viewer").await;
    }
    let page = host.json("/api/v1/audit?limit=2").await;
    assert_eq!((page["entries"].as_array().unwrap().len(), &page["next"]), (2, &json!(2)));
    let rest = host.json("/api/v1/audit?limit=2&before=2").await;
    assert_eq!((rest["entries"][0]["subject"].as_str(), &rest["next"]), (Some("token a"), &Value::Null));
    assert_eq!(host.json("/api/v1/audit?who=a").await["entries"], json!([]));
    assert_eq!(host.json("/api/v1/audit?who=local&since=0").await["entries"].as_array().unwrap().len(), 3);
    let head = host.json("/api/v1/audit/verify").await["head"].clone();
    assert_eq!(head, page["entries"][0]["hash"]);
    let asked = host.json(&format!("/api/v1/audit/verify?head={}", head.as_str().unwrap())).await;
    assert_eq!(asked, json!({ "entries": 3, "head": head, "misfit": null, "kept-head-is-in-it": true }));
    assert_eq!(host.json(&format!("/api/v1/audit/verify?head={}", "0".repeat(64))).await["kept-head-is-in-it"], true, "that of no entry");
    assert_eq!(host.json(&format!("/api/v1/audit/verify?head={}", "1".repeat(64))).await["kept-head-is-in-it"], false);
    for query in ["audit?who=a&who=b", "audit?whom=a", "audit?limit=0", "audit?before=x", "audit?since=2&until=1", "audit/verify?head=abc"]
    {
        host.get(&format!("/api/v1/{query}")).await.assert_problem(400, Code::BadRequest);
    }
}
