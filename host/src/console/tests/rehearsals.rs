//! Reports of rehearsals: listed on the page of their integration, each on a page of its own, values of messages as text.

use super::*;
use crate::clock::Timestamp;
use crate::rehearsal::{Report, kept};

/// A report with one difference, whose value is hostile.
fn report() -> Report {
    let verdicts = json!({ "same": 4, "changed": 1, "newly-failing": 0, "newly-passing": 0, "diverged": 0, "not-comparable": 0 });
    let sample = json!({ "message": uuid::Uuid::nil(), "before": "</td><script>alert(1)</script>", "after": null });
    let group = json!({ "of": "request crm POST /orders", "path": "/<img src=x>", "count": 1, "samples": [sample] });
    let candidate = json!({ "integration": "orders", "release": "ab".repeat(32), "environment": "test", "plugins": [], "since": "24h", "dead-letters": false });
    let none: [(); 0] = [];
    serde_json::from_value(json!({
        "candidate": candidate, "messages": 5, "releases": {}, "verdicts": verdicts, "changes": [group], "newly-failing": none, "newly-passing": none,
        "diverged": none, "not-comparable": none, "more": 0, "sink-left-out": 0, "left-out": 0, "passed-over": none,
    }))
    .unwrap()
}

#[tokio::test]
async fn a_report_is_listed_and_shown_as_text() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let none = browser.get("/integrations/orders").await;
    assert!(none.body.contains("lockgate rehearse orders"), "{none:?}");
    let id = kept::keep(host.data(), &report(), Timestamp(1_700_000_000_000)).unwrap();
    let list = browser.get("/integrations/orders").await;
    assert!(list.body.contains(&format!("/integrations/orders/rehearsals/{id}")) && list.body.contains("since 24h"), "{list:?}");
    let page = browser.get(&format!("/integrations/orders/rehearsals/{id}")).await;
    for told in ["request crm POST /orders", "&lt;script&gt;", "/&lt;img src=x&gt;", "abababababab", "<b>4</b>same", "null"] {
        assert!(page.body.contains(told), "{told}: {page:?}");
    }
    assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{page:?}");
    for path in ["rehearsals/0000000000000001", "rehearsals/..%2f..%2fhost.key", "rehearsals/x", "shadow"] {
        let missing = browser.get(&format!("/integrations/orders/{path}")).await;
        assert_eq!(missing.status, 404, "{path}: {missing:?}");
    }
    assert_eq!(browser.get("/integrations/..%2f..%2fetc/rehearsals/0000000000000001").await.status, 404);
}
