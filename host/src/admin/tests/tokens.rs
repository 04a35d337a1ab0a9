//! Named tokens: what none is made of, and that they end when they should, with all that was begun with them.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::admin::role::Role;
use crate::admin::{approving, releases};

async fn create(host: &Host, body: Value) -> Reply {
    host.post("/api/v1/tokens", "content-type: application/json\r\n", &body.to_string()).await
}

async fn revoke(host: &Host, name: &str) -> Reply {
    let head = format!("DELETE /api/v1/tokens/{name} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}");
    host.send(format!("{head}\r\ncontent-length: 0\r\n\r\n")).await
}

#[tokio::test]
async fn no_token_is_made_of_what_is_not_said_rightly() {
    let host = Host::start().await;
    for body in [
        json!({}),
        json!({ "name": "ci" }),
        json!({ "name": "CI", "role": "viewer" }),
        json!({ "name": "", "role": "viewer" }),
        json!({ "name": "a\nb", "role": "viewer" }),
        json!({ "name": "local", "role": "viewer" }),
        json!({ "name": "start", "role": "viewer" }),
        json!({ "name": "host", "role": "viewer" }),
        json!({ "name": "ci", "role": "local" }),
        json!({ "name": "ci", "role": "root" }),
        json!({ "name": "ci", "role": "viewer", "expires": "0s" }),
        json!({ "name": "ci", "role": "viewer", "expires": "59s" }),
        json!({ "name": "ci", "role": "viewer", "expires": "367d" }),
        json!({ "name": "ci", "role": "viewer", "expires": "soon" }),
        json!({ "name": "ci", "role": "viewer", "token": "mine" }),
    ] {
        create(&host, body).await.assert_problem(400, Code::BadRequest);
    }
    assert_eq!(host.json("/api/v1/tokens").await["tokens"], json!([]));
    assert!(host.audit().await.is_empty());
}

#[tokio::test]
async fn of_two_tokens_of_a_name_there_is_one() {
    let host = Host::start().await;
    let first = host.token("ci", "viewer").await;
    create(&host, json!({ "name": "ci", "role": "deployer" })).await.assert_problem(409, Code::TokenExists);
    assert_eq!(host.status("POST", "/api/v1/environment", &first).await, 403, "it is what it was");
    revoke(&host, "none").await.assert_problem(404, Code::NotFound);
    assert_eq!(revoke(&host, "ci").await.status, 200);
    revoke(&host, "ci").await.assert_problem(404, Code::NotFound);
    assert_ne!(host.token("ci", "viewer").await, first);
}

#[tokio::test]
async fn who_has_a_token_that_ended_is_told_no_more_than_who_made_one_up() {
    let host = Host::start_by_hand().await;
    let (revoked, expired) = (host.token("gone", "viewer").await, host.token("old", "viewer").await);
    revoke(&host, "gone").await;
    let told = async |token: &str| {
        let head = format!("GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n");
        let reply = host.send(head).await;
        (reply.status, reply.body)
    };
    host.clock.advance(Duration::from_secs(90 * 24 * 3600 - 1));
    assert_eq!(told(&expired).await.0, 200);
    host.clock.advance(Duration::from_secs(1));
    let made_up = told("lockgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(made_up.0, 401);
    assert_eq!((told(&revoked).await, told(&expired).await), (made_up.clone(), made_up));
    let listed = host.json("/api/v1/tokens").await;
    assert_eq!((&listed["tokens"][0]["name"], &listed["tokens"][0]["expired"]), (&json!("old"), &json!(true)));
}

#[tokio::test]
async fn a_token_for_ever_is_asked_for_and_never_made_by_leaving_something_out() {
    let host = Host::start().await;
    let for_ever = create(&host, json!({ "name": "wallboard", "role": "viewer", "expires": "never" })).await.json();
    assert_eq!(for_ever["expires-at"], Value::Null);
    let usual = create(&host, json!({ "name": "ci", "role": "viewer" })).await.json();
    assert!(usual["expires-at"].is_string(), "{usual}");
}

/// The first line of an open stream has come; then whether it ends.
struct Stream(TcpStream);

impl Stream {
    async fn open(host: &Host, path: &str, credential: &str) -> Self {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{credential}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut heard = vec![0; 12];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, b"HTTP/1.1 200");
        Self(stream)
    }

    /// Reads to its end, which has to come.
    async fn ends(mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
    }
}

/// A cookie of a session that `token` opened.
async fn session(host: &Host, token: &str) -> String {
    let ask = async |line: String| host.send(format!("{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
    let made = ask(format!("POST /api/v1/console-links HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-length: 0")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let opened = ask(format!("GET {} HTTP/1.1", made.json()["path"].as_str().unwrap())).await;
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap();
    format!("cookie: {cookie}")
}

async fn page(host: &Host, cookie: &str) -> Reply {
    host.send(format!("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{cookie}\r\n\r\n")).await
}

#[tokio::test]
async fn revoking_a_token_ends_its_sessions_links_and_streams_and_nobody_elses() {
    let host = Host::start().await;
    let (token, other) = (host.token("anna", "operator").await, host.token("ben", "viewer").await);
    let (cookie, others) = (session(&host, &token).await, session(&host, &other).await);
    let shown = page(&host, &cookie).await;
    assert!(shown.status == 200 && shown.body.contains("anna (operator)"), "{shown:?}");
    let link = host.sessions.link(host.api.guard.check_token(&bearer(&token), clock().now()).unwrap());
    let events = Stream::open(&host, "/api/v1/events", &format!("authorization: Bearer {token}")).await;
    let live = Stream::open(&host, "/live/overview", &cookie).await;
    assert_eq!(revoke(&host, "anna").await.status, 200);
    assert_eq!(page(&host, &cookie).await.status, 401);
    let opened = host.send(format!("GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", link.path())).await;
    assert_eq!(opened.status, 403, "{opened:?}");
    events.ends().await;
    host.clock.advance(Duration::from_secs(1));
    live.ends().await;
    assert_eq!(page(&host, &others).await.status, 200);
}

#[tokio::test]
async fn a_token_that_expires_ends_what_was_begun_with_it() {
    let host = Host::start_by_hand().await;
    let made = create(&host, json!({ "name": "anna", "role": "operator", "expires": "30m" })).await.json();
    let token = made["token"].as_str().unwrap();
    let cookie = session(&host, token).await;
    let events = Stream::open(&host, "/api/v1/events", &format!("authorization: Bearer {token}")).await;
    host.clock.advance(Duration::from_secs(29 * 60));
    assert_eq!(page(&host, &cookie).await.status, 200);
    host.clock.advance(Duration::from_secs(60));
    assert_eq!(page(&host, &cookie).await.status, 401, "though a session may last an hour without use");
    events.ends().await;
}

#[tokio::test]
async fn one_token_takes_no_streams_of_others() {
    let host = Host::start().await;
    let (many, other) = (host.token("many", "viewer").await, host.token("other", "viewer").await);
    let events = async |token: &str| Stream::open(&host, "/api/v1/events", &format!("authorization: Bearer {token}")).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(events(&many).await);
    }
    assert_eq!(host.status("GET", "/api/v1/events", &many).await, 503);
    open.push(events(&other).await);
}

#[tokio::test]
async fn a_backup_under_way_breaks_off_when_its_token_is_revoked() {
    let host = Host::start().await;
    std::fs::write(host.folder.path().join(crate::plugin::host_key::FILE), [7; 32]).unwrap();
    // More than the sockets hold.
    for number in 0..8 {
        host.put(&format!("{{\"id\":{number},\"fill\":\"{}\"}}", "x".repeat(4_000_000))).await;
    }
    let token = host.token("anna", "deployer").await;
    let Stream(mut whole) = Stream::open(&host, "/api/v1/backup", &format!("authorization: Bearer {TOKEN}")).await;
    let mut bytes = Vec::new();
    whole.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.ends_with(b"0\r\n\r\n"), "the owner's is sent to its end");
    let Stream(mut cut) = Stream::open(&host, "/api/v1/backup", &format!("authorization: Bearer {token}")).await;
    assert_eq!(revoke(&host, "anna").await.status, 200);
    let mut rest = Vec::new();
    // That it ends with an error, or without the last chunk, says the same.
    let _ = cut.read_to_end(&mut rest).await;
    assert!(rest.len() < bytes.len() && !rest.ends_with(b"0\r\n\r\n"), "{} of {}", rest.len(), bytes.len());
}

#[tokio::test]
async fn who_asks_for_a_second_backup_is_told_whose_the_first_is() {
    let host = Host::start().await;
    std::fs::write(host.folder.path().join(crate::plugin::host_key::FILE), [7; 32]).unwrap();
    // More than the sockets hold.
    for number in 0..12 {
        host.put(&format!("{{\"id\":{number},\"fill\":\"{}\"}}", "x".repeat(4_000_000))).await;
    }
    let token = host.token("anna", "deployer").await;
    let _open = Stream::open(&host, "/api/v1/backup", &format!("authorization: Bearer {token}")).await;
    let refused = host.get("/api/v1/backup").await;
    refused.assert_problem(409, Code::BackupUnderWay);
    assert!(refused.body.contains("made by anna"), "{refused:?}");
}

#[tokio::test]
async fn a_body_that_is_being_sent_ends_with_its_token_and_its_memory_is_free() {
    let host = Host::start().await;
    let begin = async |token: &str| {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let head = format!("POST /api/v1/messages?integration=orders HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n");
        stream.write_all(format!("{head}content-length: 4000000\r\n\r\n").as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 3_999_999]).await.unwrap();
        stream
    };
    let token = host.token("anna", "operator").await;
    // 62 pieces each, of the 576 that its share has.
    let mut bodies = Vec::new();
    for count in 1..=9 {
        bodies.push(begin(&token).await);
        while host.api.memory_left().0 > (1024 - 62 * count) * 64 * 1024 {
            tokio::task::yield_now().await;
        }
    }
    let body = "x".repeat(1_500_000);
    let head = format!(
        "POST /api/v1/messages?integration=orders HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n"
    );
    let reply = host.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    let other = host.token("other", "operator").await;
    let head = format!(
        "POST /api/v1/messages?integration=orders HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {other}\r\n"
    );
    let reply = host.send(format!("{head}content-type: application/json\r\ncontent-length: 8\r\n\r\n{{\"id\":1}}")).await;
    assert_eq!(reply.status, 202, "one token takes no memory of others: {reply:?}");
    assert_eq!(host.put(r#"{"id":2}"#).await.len(), reply.json()["id"].as_str().unwrap().len(), "nor of the host's owner");
    assert_eq!(revoke(&host, "anna").await.status, 200);
    for mut body in bodies {
        let mut answer = Vec::new();
        let _ = body.read_to_end(&mut answer).await;
        assert_eq!(answer.get(9..12), Some(&b"401"[..]), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(host.api.memory_left(), (64 * 1024 * 1024, 64 * 1024 * 1024));
}

#[tokio::test]
async fn who_waits_to_deploy_roll_back_or_approve_does_nothing_once_the_token_is_revoked() {
    let host = Host::start().await;
    let request = |body: Value| http::Request::builder().body(axum::body::Body::from(body.to_string())).unwrap();
    let orders = || Ok(axum::extract::Path("orders".to_owned()));
    let api = || axum::extract::State(host.api.clone());
    let anna = crate::admin::Who::named("anna", Role::Deployer, None);
    let turn = host.api.parts.environment.running().await;
    let wanted = json!({ "releases": [{ "integration": "orders", "file": "what is this", "plugins": [] }] });
    let mut deploying = Box::pin(releases::deploy(api(), anna.clone(), request(wanted)));
    let mut rolling_back = Box::pin(releases::roll_back(api(), anna.clone(), orders(), request(json!({}))));
    let approval = json!({ "release": "abcdef", "note": "x" });
    let mut approving = Box::pin(approving::approve(api(), anna.clone(), orders(), request(approval)));
    assert!(futures_util::poll!(&mut deploying).is_pending());
    assert!(futures_util::poll!(&mut rolling_back).is_pending());
    assert!(futures_util::poll!(&mut approving).is_pending());
    anna.revoke();
    drop(turn);
    for done in [deploying.await, rolling_back.await, approving.await] {
        assert_eq!(done.unwrap_err().code, Code::Unauthorized);
    }
}

fn bearer(token: &str) -> http::HeaderMap {
    [(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())].into_iter().collect()
}

#[tokio::test]
async fn pages_show_no_button_that_the_role_may_not_use_and_refuse_what_is_posted_all_the_same() {
    let host = Host::start().await;
    let message = host.put_dead("x").await;
    let letter = host.json("/api/v1/dead-letters").await["dead-letters"][0].clone();
    let (cause, id) = (letter["fingerprint"].as_str().unwrap(), letter["id"].to_string());
    for role in [Role::Viewer, Role::Approver, Role::Operator, Role::Deployer] {
        let cookie = session(&host, &host.token(role.as_str(), role.as_str()).await).await;
        let may = role.may(Role::Operator);
        let get =
            async |path: &str| host.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{cookie}\r\n\r\n")).await;
        let shown = get(&format!("/dead-letters/{cause}")).await;
        let (_, after) = shown.body.split_once("name=\"form-token\" value=\"").unwrap();
        let form_token = after.split('"').next().unwrap().to_owned();
        for path in
            [format!("/dead-letters/{cause}"), format!("/messages/{message}"), "/dead-letters?find=none".into(), "/aliases/crm".into()]
        {
            let body = get(&path).await.body;
            let actions = ["action=\"/dead-letters/", "formaction=", "/edit\"", "/test\""].iter().any(|action| body.contains(action));
            assert_eq!(actions, may && path != "/dead-letters?find=none", "{path} as {role}: {body}");
        }
        assert_eq!(get(&format!("/dead-letters/{id}/edit")).await.status == 200, may, "{role}");
        if !may {
            for path in ["/dead-letters/replay", "/dead-letters/discard", "/aliases/crm/test"] {
                let form = format!("form-token={form_token}&id={id}&reason=x");
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{cookie}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
                );
                let refused = host.send(format!("{head}content-length: {}\r\n\r\n{form}", form.len())).await;
                assert_eq!(refused.status, 403, "{path} as {role}: {refused:?}");
                assert!(refused.body.contains("LG-7013"), "{refused:?}");
            }
        }
    }
    assert_eq!(host.json("/api/v1/dead-letters").await["dead-letters"].as_array().unwrap().len(), 1, "nothing was done about it");
}
