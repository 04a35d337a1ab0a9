//! Pages of integrations and aliases.

use super::*;

#[tokio::test]
async fn shows_every_integration_and_alias_and_what_is_dead() {
    let host = Host::start().await;
    host.put("{\"id\":1}").await;
    host.put_dead("x").await;
    let page = Browser::signed_in(&host).await.get("/").await;
    assert_eq!(page.status, 200);
    for part in ["href=\"/integrations/orders\"", "href=\"/aliases/crm\"", "href=\"/dead-letters?integration=orders\"", "/live/overview"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
}

#[tokio::test]
async fn shows_one_integration_with_all_it_is_made_of() {
    let host = Host::start().await;
    host.put_dead("x").await;
    let page = Browser::signed_in(&host).await.get("/integrations/orders").await;
    assert_eq!(page.status, 200);
    for part in ["/in", "json:/id", "order = json:/name", "by key", "unkeyed", "href=\"/messages?integration=orders\""] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
}

#[tokio::test]
async fn shows_one_alias_and_never_its_secret() {
    let host = Host::start().await;
    let page = Browser::signed_in(&host).await.get("/aliases/crm").await;
    assert_eq!(page.status, 200);
    for part in ["http://crm.example/base", "basic", "No active integration sends through this alias", "/aliases/crm/test"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains("canary-secret"));
}

#[tokio::test]
async fn tests_an_alias_for_who_has_the_form_and_for_nobody_else() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let form = format!("form-token={}", browser.form_token().await);
    assert_eq!(browser.post("/aliases/crm/test", "", "").await.status, 403);
    let page = browser.post("/aliases/crm/test", "", &form).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Answers, and takes the credential"), "{}", page.body);
    assert_eq!(browser.post("/aliases/none/test", "", &form).await.status, 404);
    assert_eq!(browser.post("/aliases/crm/test", "", &format!("{form}&more=1")).await.status, 400);
}

#[tokio::test]
async fn says_what_is_not_there_and_where_to_go() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    for (path, next) in [
        ("/integrations/none", "All integrations"),
        ("/integrations/%3Cscript%3E", "All integrations"),
        ("/aliases/none", "All aliases"),
        ("/live/integrations/none", "All integrations"),
        ("/live/aliases/none", "All aliases"),
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.body.contains(next) && !page.body.contains("<script>"), "{path}: {}", page.body);
    }
    for path in ["/?page=x", "/?unknown=1", "/aliases?x=1", "/live/overview?show=x", "/integrations/%ff"] {
        assert_eq!(browser.get(path).await.status, 400, "{path}");
    }
}
