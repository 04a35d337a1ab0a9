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
