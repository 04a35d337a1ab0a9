//! Signed webhooks: what is not genuine is refused and leaves nothing, and a forged id suppresses nothing.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::support::*;
use crate::alias::Verify;
use crate::alias::secret::SecretRef;
use crate::clock::jumping::jumps;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::ingress::{IntakeLimits, ServeLimits};
use crate::integration::{Entry, Source};
use crate::problem::Code;

fn secret() -> SecretRef {
    SecretRef::env("shop.verify.secret", "SECRET")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn shopify(id: &str, body: &str) -> String {
    let signature = STANDARD.encode(hmac(b"a secret", body));
    format!("x-shopify-hmac-sha256: {signature}\r\nx-shopify-webhook-id: {id}\r\n")
}

/// As the Standard Webhooks specification signs; the key in the table is base64.
fn standard(id: &str, body: &str) -> String {
    let timestamp = clock().now().0 / 1000;
    let key = STANDARD.decode(STANDARD_KEY).unwrap();
    let signature = STANDARD.encode(hmac(&key, &format!("{id}.{timestamp}.{body}")));
    format!("webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{signature}\r\n")
}

async fn host(source: Source, verify: Verify) -> Host {
    Host::start(vec![integration("orders", source)], environment(vec![("shop", verify)])).await
}

async fn shopify_host() -> Host {
    let mut source = webhook("/in", Some("shop"));
    source.id = vec!["header:X-Shopify-Webhook-Id".parse().unwrap()];
    host(source, Verify::Shopify { secret: secret() }).await
}

#[tokio::test]
async fn refuses_what_is_not_signed_and_stores_nothing() {
    let host = shopify_host().await;
    let signed = shopify("1", "genuine");
    for (headers, body) in [("", "genuine"), (signed.as_str(), "forged"), ("x-shopify-hmac-sha256: AAAA\r\n", "genuine")] {
        let reply = host.post("/in", headers, body).await;
        reply.assert_problem(401, Code::BadSignature);
        assert_eq!(reply.header("www-authenticate"), Some("signature"));
        assert!(!reply.body.contains("shop") && !reply.body.contains("hmac"), "{reply:?}");
    }
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn asks_to_come_back_where_the_secret_is_missing() {
    let host = host(webhook("/in", Some("shop")), Verify::Shopify { secret: SecretRef::env("shop.verify.secret", "NOT_SET") }).await;
    let reply = host.post("/in", &shopify("1", "genuine"), "genuine").await;
    reply.assert_problem(503, Code::IntakeBusy);
    assert!(reply.header("retry-after").is_some());
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn verifies_before_it_looks_at_when() {
    let mut source = webhook("/in", Some("shop"));
    let Entry::Webhook { when, .. } = &mut source.entry else { unreachable!() };
    when.insert("header:x-topic".parse().unwrap(), vec!["a".into()]);
    let host = host(source, Verify::Shopify { secret: secret() }).await;
    host.post("/in", "x-topic: b\r\n", "").await.assert_problem(401, Code::BadSignature);
}

#[tokio::test]
async fn lets_a_forged_id_suppress_no_genuine_message() {
    let host = shopify_host().await;
    // The id is not signed: whoever holds one genuine request can send it again under any id.
    assert_eq!(host.post("/in", &shopify("2", "first order"), "first order").await.json()["status"], "accepted");
    assert_eq!(host.post("/in", &shopify("2", "second order"), "second order").await.json()["status"], "accepted");
    assert_eq!(host.post("/in", &shopify("2", "second order"), "second order").await.json()["status"], "duplicate");
    assert_eq!(host.store.taken().len(), 2);
}

#[tokio::test]
async fn a_caught_request_under_another_unsigned_id_is_the_same_where_its_id_is_taken_from_what_is_signed() {
    let source = Source { id: vec!["json:/id".parse().unwrap()], ..webhook("/in", Some("shop")) };
    let host = host(source, Verify::Shopify { secret: secret() }).await;
    let body = "{\"id\":7}";
    assert_eq!(host.post("/in", &shopify("1", body), body).await.json()["status"], "accepted");
    for other in ["2", "3", ""] {
        assert_eq!(host.post("/in", &shopify(other, body), body).await.json()["status"], "duplicate");
    }
    assert_eq!(host.store.taken().len(), 1);
}

#[tokio::test]
async fn keeps_no_signature_but_the_id_it_covers() {
    let host =
        host(webhook("/in", Some("shop")), Verify::StandardWebhooks { secret: SecretRef::env("shop.verify.secret", "STANDARD") }).await;
    assert_eq!(host.post("/in", &standard("msg_1", "{}"), "{}").await.status, 202);
    let headers = host.store.taken()[0].message.headers.clone();
    assert_eq!(headers.get("webhook-signature"), None);
    assert_eq!(headers.get("webhook-id"), Some("msg_1"));
}

#[tokio::test]
async fn a_signed_time_is_held_against_the_wall_clock_however_far_the_hosts_own_is_from_it() {
    for millis in jumps() {
        // Set while the host ran; as of this moment it is right.
        let own = Arc::new(ManualClock::at(Timestamp(clock().now().0 - millis)));
        own.set_wall_by(millis);
        let verify = Verify::StandardWebhooks { secret: SecretRef::env("shop.verify.secret", "STANDARD") };
        let (integrations, environment) = (vec![integration("orders", webhook("/in", Some("shop")))], environment(vec![("shop", verify)]));
        let host = Host::at(own.clone(), integrations, environment, (IntakeLimits::default(), ServeLimits::default())).await;
        assert_eq!(host.post("/in", &standard("msg_1", "{}"), "{}").await.status, 202);
        assert_eq!(host.store.taken()[0].message.accepted_at, own.now());
    }
}

#[tokio::test]
async fn goes_by_the_signed_id_of_standard_webhooks() {
    let host =
        host(webhook("/in", Some("shop")), Verify::StandardWebhooks { secret: SecretRef::env("shop.verify.secret", "STANDARD") }).await;
    let first = host.post("/in", &standard("msg_1", "{\"sent\":1}"), "{\"sent\":1}").await.json();
    let again = host.post("/in", &standard("msg_1", "{\"sent\":2}"), "{\"sent\":2}").await.json();
    assert_eq!(again, serde_json::json!({ "id": first["id"], "status": "duplicate" }));
    assert_eq!(host.post("/in", &standard("msg_2", "{\"sent\":2}"), "{\"sent\":2}").await.json()["status"], "accepted");
}

#[tokio::test]
async fn challenges_a_sender_that_should_use_basic() {
    let host = host(webhook("/in", Some("shop")), Verify::Basic { username: "shop".into(), password: secret() }).await;
    let reply = host.post("/in", "", "{}").await;
    reply.assert_problem(401, Code::BadSignature);
    assert_eq!(reply.header("www-authenticate"), Some("basic realm=\"lockgate\""));
    let credential = STANDARD.encode("shop:a secret");
    assert_eq!(host.post("/in", &format!("authorization: Basic {credential}\r\n"), "{}").await.status, 202);
}

/// As Slack signs.
fn slack(key: &[u8], body: &str) -> String {
    let time = clock().now().0 / 1000;
    let signature = hex::encode(hmac(key, &format!("v0:{time}:{body}")));
    format!("x-slack-request-timestamp: {time}\r\nx-slack-signature: v0={signature}\r\ncontent-type: application/json\r\n")
}

#[tokio::test]
async fn a_challenge_is_answered_only_to_who_proved_to_be_the_sender_and_is_no_message() {
    let host = host(webhook("/in", Some("shop")), Verify::Slack { secret: secret() }).await;
    let body = r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    for headers in ["", &slack(b"not the secret", body)] {
        let reply = host.post("/in", headers, body).await;
        reply.assert_problem(401, Code::BadSignature);
        assert!(!reply.body.contains("3eZbrw"), "{reply:?}");
    }
    let reply = host.post("/in", &slack(b"a secret", body), body).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert!(host.store.taken().is_empty());
}

#[tokio::test]
async fn what_only_looks_like_a_challenge_is_a_message() {
    let slack_host = host(webhook("/in", Some("shop")), Verify::Slack { secret: secret() }).await;
    let long = format!(r#"{{"type":"url_verification","challenge":"{}"}}"#, "c".repeat(2000));
    for body in [r#"{"type":"event_callback","challenge":"c"}"#, r#"{"type":"url_verification"}"#, &long] {
        assert_eq!(slack_host.post("/in", &slack(b"a secret", body), body).await.status, 202, "{body}");
    }
    let others = shopify_host().await;
    let body = r#"{"type":"url_verification","challenge":"c"}"#;
    assert_eq!(others.post("/in", &shopify("1", body), body).await.status, 202);
}

/// As Stripe signs.
fn stripe(body: &str) -> String {
    let time = clock().now().0 / 1000;
    format!("stripe-signature: t={time},v1={}\r\n", hex::encode(hmac(b"a secret", &format!("{time}.{body}"))))
}

#[tokio::test]
async fn goes_by_the_signed_id_of_a_stripe_event_which_is_sent_again_with_another_body() {
    let host = host(webhook("/in", Some("shop")), Verify::Stripe { secret: secret() }).await;
    let (first, again) = (r#"{"id":"evt_1","pending_webhooks":2}"#, r#"{"id":"evt_1","pending_webhooks":1}"#);
    assert_eq!(host.post("/in", &stripe(first), first).await.json()["status"], "accepted");
    assert_eq!(host.post("/in", &stripe(again), again).await.json()["status"], "duplicate");
    let other = r#"{"id":"evt_2","pending_webhooks":2}"#;
    assert_eq!(host.post("/in", &stripe(other), other).await.json()["status"], "accepted");
    assert_eq!(host.store.taken()[0].message.headers.get("stripe-signature"), None);
}
