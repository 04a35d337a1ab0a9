//! Each endpoint against each role, from the table of endpoints itself.

use http::Method;

use super::*;
use crate::admin::Role;
use crate::admin::api::routes;

#[tokio::test]
async fn each_endpoint_lets_those_in_whose_role_it_names_and_nobody_else() {
    let host = Host::start().await;
    // Without it a backup breaks off before it has begun.
    std::fs::write(host.folder.path().join(crate::plugin::host_key::FILE), [7; 32]).unwrap();
    let mut tokens = vec![(Role::Local, TOKEN.to_owned())];
    for role in Role::GIVEN {
        tokens.push((*role, host.token(role.as_str(), role.as_str()).await));
    }
    for route in routes() {
        let Some(needed) = route.needs else { continue };
        for (role, token) in &tokens {
            let status = host.status(route.method.as_str(), route.path, token).await;
            let is_refused = matches!(status, 401 | 403);
            assert_eq!(is_refused, !role.may(needed), "{} {} as {role}: {status}", route.method, route.path);
            assert_ne!(status, 401, "{} {} as {role}", route.method, route.path);
        }
        assert_eq!(host.status(route.method.as_str(), route.path, "made-up-token-of-nobody").await, 401, "{}", route.path);
    }
}

/// Were a change put into the table as something that may be looked at, this would not be so.
#[test]
fn nothing_is_changed_by_who_may_only_look() {
    for route in routes() {
        let (method, path) = (&route.method, route.path);
        let expected = match (method, path) {
            (_, "/healthz" | "/readyz" | "/metrics") => None,
            // Who asks gets what there is to see with the same token.
            (_, "/api/v1/console-links") => Some(Role::Viewer),
            // It is a copy of everything, with what is sealed, and the host's key.
            (_, "/api/v1/backup") => Some(Role::Deployer),
            // Other hosts are given components; nobody else needs them.
            (_, "/api/v1/plugins/{digest}") => Some(Role::Deployer),
            (_, "/api/v1/integrations/{name}/approve" | "/api/v1/integrations/{name}/reject") => Some(Role::Approver),
            (&Method::GET, _) => Some(Role::Viewer),
            (_, "/api/v1/releases" | "/api/v1/integrations/{name}/rollback" | "/api/v1/integrations/{name}/canary") => Some(Role::Deployer),
            (_, "/api/v1/integrations/{name}/shadow") => Some(Role::Deployer),
            (_, "/api/v1/tokens" | "/api/v1/tokens/{name}") => Some(Role::Local),
            (_, "/api/v1/environment" | "/api/v1/secrets/{name}" | "/api/v1/integrations/{name}/retire") => Some(Role::Deployer),
            _ => Some(Role::Operator),
        };
        assert_eq!(route.needs, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn who_is_refused_is_told_which_role_it_takes() {
    let host = Host::start().await;
    let token = host.token("wallboard", "viewer").await;
    let ask = async |line: &str| {
        let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}");
        host.send(format!("{head}\r\ncontent-length: 0\r\n\r\n")).await
    };
    let refused = ask("POST /api/v1/integrations/orders/pause").await;
    refused.assert_problem(403, Code::NotAllowed);
    assert_eq!(refused.json()["detail"], "the token wallboard has the role viewer, and this needs the role operator");
    let refused = ask("DELETE /api/v1/tokens/wallboard").await;
    refused.assert_problem(403, Code::NotAllowed);
    assert!(refused.json()["detail"].as_str().unwrap().contains("data folder"), "{refused:?}");
    let [of_token, of_pause, ..] = host.audit().await.try_into().map_err(drop).map(|[a, b, c]: [Value; 3]| [a, b, c]).unwrap();
    assert_eq!((&of_pause["came"], &of_pause["who"]), (&"refused".into(), &"wallboard".into()));
    assert_eq!((&of_pause["subject"], &of_pause["after"]["needs"]), (&"POST /api/v1/integrations/orders/pause".into(), &"operator".into()));
    assert_eq!(of_token["after"], serde_json::json!({ "needs": "local", "has": "viewer", "not-entered-before": 0 }));
}

#[tokio::test]
async fn an_operator_resumes_what_is_paused_and_takes_back_nothing_that_a_deployer_retires() {
    let host = Host::start().await;
    let (operator, deployer) = (host.token("anna", "operator").await, host.token("ci", "deployer").await);
    host.put(r#"{"id":1}"#).await;
    let post = async |path: &str, token: &str, body: &str| {
        let head = format!(
            "POST /api/v1/integrations/orders/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}"
        );
        host.send(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await
    };
    assert_eq!(post("retire", &deployer, "{}").await.status, 200);
    assert_eq!(post("pause", &operator, r#"{"reason":"a look"}"#).await.status, 200);
    assert_eq!(post("resume", &operator, "{}").await.json()["was-paused"], true);
    post("resume", &operator, "{}").await.assert_problem(403, Code::NotAllowed);
    assert_eq!(post("resume", &deployer, "{}").await.json()["was-retiring"], true);
    assert_eq!(post("resume", &operator, "{}").await.json()["was-retiring"], false, "there is nothing to take back");
}

#[tokio::test]
async fn many_refused_attempts_make_few_entries() {
    let host = Host::start().await;
    let token = host.token("wallboard", "viewer").await;
    for _ in 0..300 {
        assert_eq!(host.status("POST", "/api/v1/dead-letters/replay", &token).await, 403);
    }
    let refused = host.audit().await.iter().filter(|entry| entry["came"] == "refused").count();
    assert_eq!(refused, 5);
}
