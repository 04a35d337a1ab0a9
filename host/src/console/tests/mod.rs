//! The pages over real loopback sockets, beside the API they share a listener with.

mod access;
mod assets;
mod audit;
mod dead_letters;
mod live;
mod messages;
mod pages;
mod rehearsals;
mod releases;

use std::sync::Arc;

use serde_json::json;

use crate::admin::Who;
use crate::admin::tests::Host;
use crate::ingress::tests::support::{Reply, clock};
use crate::integration::ReleaseId;
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::message_store::{Attempt, Lease, MessageStore, Settle, Settlement};

/// Somebody's browser.
struct Browser<'a> {
    host: &'a Host,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// One that opened a link.
    async fn signed_in(host: &'a Host) -> Self {
        let reply = ask(host, "GET", &link(host), "", "").await;
        assert_eq!((reply.status, reply.header("location")), (303, Some("/")), "{reply:?}");
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { host, cookie }
    }

    async fn get(&self, path: &str) -> Reply {
        ask(self.host, "GET", path, &format!("cookie: {}\r\n", self.cookie), "").await
    }

    async fn post(&self, path: &str, headers: &str, form: &str) -> Reply {
        let headers = format!("cookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n{headers}", self.cookie);
        ask(self.host, "POST", path, &headers, form).await
    }

    /// What the forms of this session carry, read from a page as a browser does.
    async fn form_token(&self) -> String {
        let page = self.get("/").await.body;
        let (_, after) = page.split_once("name=\"form-token\" value=\"").unwrap_or_else(|| panic!("{page}"));
        after.split('"').next().unwrap().to_owned()
    }
}

/// The path of a link that was just made.
fn link(host: &Host) -> String {
    host.sessions.link(Who::local()).path()
}

async fn ask(host: &Host, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    host.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))
    .await
}

/// An attempt of what is due of `orders` next, which sent `sent` and was answered 201 `answered`, and what came of it.
async fn attempt(host: &Host, sent: &str, answered: &str, settlement: Settlement) {
    let now = clock().now();
    let leased = host.store.lease(Lease { integration: "orders".into(), now, limit: 1, bytes_max: usize::MAX }).await.unwrap();
    let request = json!({
        "slot": "target", "alias": "crm", "method": "POST", "path": "/orders?a=<b>", "idempotency-key": "key-1", "body-sha256": "",
        "answer": "201", "answer-excerpt": null, "took-ms": 7,
    });
    let call = json!({
        "place": "sink", "plugin": "to-crm", "version": "1.0.0", "digest": "", "result": "receipt", "cpu-us": 412, "wall-us": 7_100,
        "requests": [request],
    });
    let kept = |text: &str| KeptBody::of(&[], &bytes::Bytes::copy_from_slice(text.as_bytes()));
    let result = match settlement {
        Settlement::Delivered { .. } => "delivered",
        _ => "failed",
    };
    let attempt = Attempt {
        release: ReleaseId("ab".repeat(32)),
        started_at: now,
        ended_at: now,
        result,
        code: None,
        detail: None,
        trace: json!({ "calls": [call] }).to_string().into(),
        exchanges: vec![Exchange { sent: kept(sent), answer: Some(kept(answered)) }],
    };
    let delivery = leased[0].id;
    let settle = Settle { delivery, attempt, settlement, appends: Vec::new(), key_values: Vec::new(), tracked: Vec::new() };
    host.store.settle(Arc::new(settle)).await.unwrap();
}

fn delivered() -> Settlement {
    Settlement::Delivered { receipt: json!({ "remote-id": "006<b>" }) }
}
