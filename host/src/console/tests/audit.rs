//! The page of the audit trail: what stands in it is text, and it goes back a page at a time.

use super::*;

async fn pause(host: &Host, reason: &str) {
    let body = json!({ "reason": reason }).to_string();
    let reply = host.post("/api/v1/integrations/orders/pause", "content-type: application/json\r\n", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn shows_what_people_wrote_as_text_and_nothing_of_it_runs() {
    let host = Host::start().await;
    pause(&host, "<script>alert(1)</script>\u{202e}\" onclick=x").await;
    let page = Browser::signed_in(&host).await.get("/audit").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("&lt;script&gt;alert(1)"), "{page:?}");
    assert!(!page.body.contains("<script>alert") && !page.body.contains('\u{202e}') && !page.body.contains("\" onclick"), "{page:?}");
}

#[tokio::test]
async fn goes_back_by_pages_and_finds_by_who_and_time() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    assert!(browser.get("/audit").await.body.contains("No entry fits"));
    for number in 0..51 {
        pause(&host, &format!("reason {number}.")).await;
    }
    let page = browser.get("/audit").await.body;
    assert!(page.contains("reason 50.") && page.contains("href=\"/audit?before=2\""), "{page}");
    assert_eq!(page.matches("<tr").count(), 1 + 50, "{page}");
    let last = browser.get("/audit?before=2").await.body;
    assert!(last.contains("reason 0.") && !last.contains("reason 1.") && last.contains("← First page"), "{last}");
    assert!(browser.get("/audit?who=local&since=1h").await.body.contains("reason 50."));
    assert!(browser.get("/audit?who=nobody").await.body.contains("No entry fits"));
    let wrong = browser.get("/audit?since=whenever").await;
    assert!(wrong.status == 400 && wrong.body.contains("whenever"), "{wrong:?}");
    assert_eq!(browser.get("/audit?what=x").await.status, 400);
}
