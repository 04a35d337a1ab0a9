//! Who gets to see a page, who gets to change something, and what everybody else is told.

use super::*;
use crate::admin::SESSION_LIVES;
use crate::console::routes::routes;

const OTHER_SITES: [&str; 4] =
    ["origin: http://evil.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n", "sec-fetch-site: same-site\r\n"];

#[tokio::test]
async fn shows_who_is_not_signed_in_how_to_get_in_and_nothing_else() {
    let host = Host::start().await;
    for route in routes().into_iter().filter(|route| route.needs.is_some()) {
        for cookie in ["", "cookie: lockgate-1=x\r\n", &format!("cookie: lockgate-{}=made-up\r\n", host.address.port())] {
            for method in ["GET", "POST"] {
                let reply = ask(&host, method, route.path, cookie, "").await;
                assert!(matches!(reply.status, 401 | 405), "{method} {}: {reply:?}", route.path);
                assert!(reply.status == 405 || reply.body.contains("lockgate console"), "{reply:?}");
                assert!(!reply.body.contains("orders"), "{reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn answers_to_its_own_names_only() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    for (path, headers) in [("/", "host: evil.example\r\n"), ("/", ""), ("/none", "host: evil.example\r\n")] {
        let cookie = &browser.cookie;
        let reply = host.send(format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}cookie: {cookie}\r\n\r\n")).await;
        assert!(matches!(reply.status, 400 | 403), "{reply:?}");
        assert!(!reply.body.contains("form-token"), "{reply:?}");
    }
}

#[tokio::test]
async fn refuses_other_sites_even_with_the_cookie() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let token = format!("form-token={}", browser.form_token().await);
    for headers in OTHER_SITES {
        assert_eq!(browser.post("/sign-out", headers, &token).await.status, 403, "{headers}");
        let reply = ask(&host, "GET", "/", &format!("cookie: {}\r\n{headers}", browser.cookie), "").await;
        assert_eq!(reply.status, 403, "{headers}");
    }
    assert_eq!(browser.get("/").await.status, 200, "and is still signed in");
}

#[tokio::test]
async fn asks_who_followed_a_link_on_another_site_to_go_on() {
    let host = Host::start().await;
    let navigation = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
    let link = link(&host);
    let reply = ask(&host, "GET", &link, navigation, "").await;
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains(&format!("href=\"{link}\"")), "{reply:?}");
    assert_eq!(ask(&host, "GET", &link, "", "").await.status, 303, "the link was not used up");
    let away = ask(&host, "GET", "//evil.example/", navigation, "").await;
    assert!(!away.body.contains("evil.example"), "{away:?}");
    let posted = ask(&host, "POST", "/sign-out", navigation, "").await;
    assert!(posted.status == 403 && !posted.body.contains("Go on"), "{posted:?}");
}

#[tokio::test]
async fn changes_nothing_for_a_form_of_nobody_or_of_another_session() {
    let host = Host::start().await;
    let (browser, other) = (Browser::signed_in(&host).await, Browser::signed_in(&host).await);
    let others = format!("form-token={}", other.form_token().await);
    let own = format!("form-token={}", browser.form_token().await);
    for form in ["", "form-token=", "form-token=zz", &others, &format!("{own}&{own}")] {
        let reply = browser.post("/sign-out", "", form).await;
        assert!(matches!(reply.status, 400 | 403), "{form}: {reply:?}");
    }
    let cookie = format!("cookie: {}\r\ncontent-type: text/plain\r\n", browser.cookie);
    assert_eq!(ask(&host, "POST", "/sign-out", &cookie, &own).await.status, 415);
    assert_eq!(browser.get("/").await.status, 200, "still signed in");
}

#[tokio::test]
async fn opens_a_link_once_and_says_what_to_run_for_another() {
    let host = Host::start().await;
    let (used, late) = (link(&host), link(&host));
    assert_eq!(ask(&host, "GET", &used, "", "").await.status, 303);
    host.clock.advance(std::time::Duration::from_secs(60));
    for link in [used.as_str(), &late, "/sign-in/made-up", "/sign-in/%ff", "/sign-in/%3Cscript%3E"] {
        let reply = ask(&host, "GET", link, "", "").await;
        assert!(matches!(reply.status, 400 | 403), "{link}: {reply:?}");
        assert!(reply.header("set-cookie").is_none(), "{reply:?}");
        assert!(reply.status == 400 || reply.body.contains("lockgate console"), "{reply:?}");
        assert!(!reply.body.contains("<script>"), "{reply:?}");
    }
}

#[tokio::test]
async fn leads_who_is_signed_in_home_from_a_link_that_is_used_up() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    assert_eq!(browser.get("/sign-in/used").await.status, 303);
}

#[tokio::test]
async fn keeps_the_cookie_from_scripts_other_sites_and_the_api() {
    let host = Host::start().await;
    let reply = ask(&host, "GET", &link(&host), "", "").await;
    let cookie = reply.header("set-cookie").unwrap();
    for part in ["path=/", "httponly", "samesite=strict", &format!("max-age={}", SESSION_LIVES.as_secs())] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(cookie.starts_with(&format!("lockgate-{}=", host.address.port())), "{cookie}");
    let browser = Browser::signed_in(&host).await;
    assert_eq!(browser.get("/api/v1/status").await.status, 401);
}

#[tokio::test]
async fn forgets_who_signs_out() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let form = format!("form-token={}", browser.form_token().await);
    let reply = browser.post("/sign-out", "origin: http://localhost\r\nsec-fetch-site: same-origin\r\n", &form).await;
    assert_eq!(reply.status, 303);
    assert!(reply.header("set-cookie").unwrap().contains("max-age=0"));
    assert_eq!(browser.get("/").await.status, 401);
}

#[tokio::test]
async fn forgets_who_was_idle_for_an_hour() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    host.clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!(browser.get("/").await.status, 401);
}

#[tokio::test]
async fn tells_a_browser_to_run_nothing_and_to_keep_nothing() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    for path in ["/", "/none", "/sign-in/none"] {
        let reply = browser.get(path).await;
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(!reply.body.contains(" style=") && !reply.body.contains(" onclick="), "{path}");
        assert_eq!(reply.body.matches("<script").count(), reply.body.matches("<script defer src=").count(), "{path}");
    }
}

#[tokio::test]
async fn says_what_is_not_there_on_a_page_of_its_own() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    for path in ["/none", "/%3Cscript%3Ealert(1)%3C/script%3E", "/%ff"] {
        let reply = browser.get(path).await;
        assert!(reply.status == 404, "{reply:?}");
        assert!(reply.body.contains("Go to the overview") && !reply.body.contains("alert(1)"), "{reply:?}");
    }
    assert_eq!(browser.get("/sign-out").await.status, 405);
}
