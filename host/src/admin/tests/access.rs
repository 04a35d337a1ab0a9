//! Who gets in, and what is said to who does not.

use super::*;
use crate::admin::api::routes;
use crate::problem::Code;

fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n{headers}content-length: 0\r\n\r\n")
}

/// Each change that is applied is kept in the audit trail for good.
#[tokio::test]
async fn an_environment_that_is_too_long_is_refused_by_its_length_alone() {
    let host = Host::start().await;
    let declaring = async |bytes: usize| {
        let head = "POST /api/v1/environment?plan=true HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer";
        host.send(format!("{head} {TOKEN}\r\ncontent-length: {bytes}\r\n\r\n")).await
    };
    declaring(256 * 1024 + 1).await.assert_problem(413, Code::BodyTooLarge);
}

#[tokio::test]
async fn needs_the_token_for_everything_but_health_and_metrics() {
    let host = Host::start().await;
    for route in routes() {
        for headers in ["host: localhost\r\n", "host: localhost\r\nauthorization: Bearer a token of the admins\r\n"] {
            let reply = host.send(request(route.method.as_str(), route.path, headers)).await;
            if route.needs.is_some() {
                reply.assert_problem(401, Code::Unauthorized);
                assert_eq!(reply.header("www-authenticate"), Some("bearer"), "{}", route.path);
            } else {
                assert_eq!(reply.status, 200, "{reply:?}");
            }
        }
    }
    let open: Vec<_> = routes().into_iter().filter(|route| route.needs.is_none()).map(|route| route.path).collect();
    assert_eq!(open, ["/healthz", "/readyz", "/metrics"]);
}

#[tokio::test]
async fn refuses_other_hosts_and_other_sites_even_with_the_token() {
    let host = Host::start().await;
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    for headers in [
        "host: evil.example\r\n",
        "host: localhost\r\norigin: http://evil.example\r\n",
        "host: localhost\r\nsec-fetch-site: cross-site\r\n",
    ] {
        for path in ["/api/v1/status", "/metrics", "/api/v1/none"] {
            host.send(request("GET", path, &format!("{headers}{token}"))).await.assert_problem(403, Code::Elsewhere);
        }
        assert_eq!(host.send(request("GET", "/healthz", headers)).await.status, 200);
    }
    let own = format!("host: {0}\r\norigin: http://{0}\r\nsec-fetch-site: same-origin\r\n{token}", host.address);
    assert_eq!(host.send(request("GET", "/api/v1/status", &own)).await.status, 200);
}

#[tokio::test]
async fn says_in_problem_details_what_is_not_there() {
    let host = Host::start().await;
    host.get("/api/v1/nothing").await.assert_problem(404, Code::NotFound);
    host.get("/api").await.assert_problem(404, Code::NotFound);
    let reply = host.post("/api/v1/status", "", "").await;
    reply.assert_problem(405, Code::BadRequest);
    assert!(reply.header("allow").unwrap().contains("get"), "{reply:?}");
    host.get("/api/v1/status?verbose=1").await.assert_problem(400, Code::BadRequest);
    host.get("/api/v1/integrations?nmae=x").await.assert_problem(400, Code::BadRequest);
}

#[tokio::test]
async fn lets_no_browser_take_an_answer_for_a_page() {
    let host = Host::start().await;
    for path in ["/api/v1/status", "/api/v1/nothing", "/metrics"] {
        let reply = host.get(path).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
}

#[tokio::test]
async fn is_not_ready_once_intake_is_closed_or_the_store_is() {
    let host = Host::start().await;
    assert_eq!(host.get("/readyz").await.json()["status"], "ready");
    host.store.close().await;
    host.get("/readyz").await.assert_problem(503, Code::StoreFailed);
    host.intake.close();
    host.get("/readyz").await.assert_problem(503, Code::ShuttingDown);
    assert_eq!(host.get("/healthz").await.json()["status"], "alive");
}
