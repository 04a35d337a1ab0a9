//! Pausing and resuming.

use super::*;
use crate::problem::Code;

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn what_is_not_there_and_a_pause_without_a_reason_are_refused() {
    let host = Host::start().await;
    for path in ["/api/v1/integrations/nothing/pause", "/api/v1/aliases/orders/pause"] {
        host.post(path, JSON, r#"{"reason":"x"}"#).await.assert_problem(404, Code::NotFound);
    }
    for body in ["{}", r#"{"reason":"  "}"#, r#"{"reason":"x","until":"noon"}"#, ""] {
        host.post("/api/v1/integrations/orders/pause", JSON, body).await.assert_problem(400, Code::BadRequest);
    }
    host.post("/api/v1/integrations/nothing/resume", JSON, "{}").await.assert_problem(404, Code::NotFound);
    assert_eq!(host.store.pauses().all().await.unwrap(), []);
}

#[tokio::test]
async fn of_many_who_pause_and_resume_at_once_disk_and_memory_tell_the_same() {
    let host = Host::start().await;
    for _ in 0..15 {
        let asked = (0..8).map(|number| {
            let host = &host;
            async move {
                let (what, body) = if number % 2 == 0 { ("pause", r#"{"reason":"x"}"#) } else { ("resume", "{}") };
                assert_eq!(host.post(&format!("/api/v1/integrations/orders/{what}"), JSON, body).await.status, 200);
                assert_eq!(host.post(&format!("/api/v1/aliases/crm/{what}"), JSON, body).await.status, 200);
            }
        });
        futures_util::future::join_all(asked).await;
        let rows: Vec<String> = host.store.pauses().all().await.unwrap().into_iter().map(|row| row.kind).collect();
        let status = host.json("/api/v1/status").await;
        let integration = !status["integrations"][0]["paused"].is_null();
        let alias = status["aliases"].as_array().unwrap().iter().any(|alias| alias["name"] == "crm" && alias["state"] == "paused");
        assert_eq!((rows.contains(&"integration".to_owned()), rows.contains(&"alias".to_owned())), (integration, alias), "{rows:?}");
    }
}

#[tokio::test]
async fn a_pause_is_written_before_it_is_answered_and_gone_when_it_is_resumed() {
    let host = Host::start().await;
    for (path, kind, name) in [("/api/v1/integrations/orders", "integration", "orders"), ("/api/v1/aliases/crm", "alias", "crm")] {
        let reply = host.post(&format!("{path}/pause"), JSON, r#"{"reason":" maintenance "}"#).await;
        assert_eq!((reply.status, reply.json()["paused"]["reason"].as_str()), (200, Some("maintenance")), "{reply:?}");
        let rows = host.store.pauses().all().await.unwrap();
        assert_eq!((rows.len(), rows[0].kind.as_str(), rows[0].name.as_str(), rows[0].reason.as_str()), (1, kind, name, "maintenance"));
        for was_paused in [true, false] {
            let reply = host.post(&format!("{path}/resume"), JSON, "{}").await;
            assert_eq!((reply.status, reply.json()["was-paused"].as_bool()), (200, Some(was_paused)), "{reply:?}");
        }
        assert_eq!(host.store.pauses().all().await.unwrap(), []);
    }
}
