//! Dead letters: what is there, and what is done about it, once.

use super::*;
use crate::message::FailureClass;

const REPLAY: &str = "/dead-letters/replay";
const DISCARD: &str = "/dead-letters/discard";

impl Browser<'_> {
    /// Posts a form of this session.
    async fn fill_in(&self, path: &str, fields: &str) -> Reply {
        let token = self.form_token().await;
        self.post(path, "", &format!("form-token={token}&{fields}")).await
    }
}

async fn open_ones(host: &Host) -> usize {
    host.json("/api/v1/dead-letters").await["dead-letters"].as_array().unwrap().len()
}

async fn fingerprint(host: &Host) -> String {
    host.json("/api/v1/dead-letters").await["dead-letters"][0]["fingerprint"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn says_that_there_are_none_or_no_such() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    assert!(browser.get("/dead-letters").await.body.contains("No dead letters"));
    for path in ["/dead-letters/0123456789abcdef", "/dead-letters/17", "/dead-letters/%3Cb%3E"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.body.contains("Dead letters that are open") && !page.body.contains("<b>"), "{}", page.body);
    }
    assert_eq!(browser.get("/dead-letters?class=odd").await.status, 400);
    assert_eq!(browser.get(REPLAY).await.status, 405);
}

#[tokio::test]
async fn groups_by_cause_and_leads_from_there_to_each() {
    let host = Host::start().await;
    let message = host.put_dead("<b>").await;
    host.put_dead("b").await;
    let browser = Browser::signed_in(&host).await;
    let cause = fingerprint(&host).await;
    let page = browser.get("/dead-letters").await.body;
    assert!(page.contains(&format!("href=\"/dead-letters/{cause}\"")) && page.contains("unkeyed"), "{page}");
    let page = browser.get(&format!("/dead-letters/{cause}")).await.body;
    for part in ["Replay all 2", "Discard all 2", "What to do", "name=\"id\" value=\"1\"", &format!("/messages/{message}")] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let one = browser.get("/dead-letters/1").await;
    assert_eq!((one.status, one.header("location")), (303, Some(format!("/messages/{message}#dead-letter-1").as_str())));
    let page = browser.get(&format!("/messages/{message}")).await.body;
    assert!(page.contains("Dead letter 1 in orders") && page.contains("action=\"/dead-letters/replay\""), "{page}");
    assert!(browser.get(&format!("/dead-letters/{cause}?before=1")).await.body.contains("No more of this cause"));
}

#[tokio::test]
async fn is_searched_by_what_messages_are_known_by_and_by_time_and_leads_back_to_the_search() {
    let host = Host::start().await;
    host.put_dead("a").await;
    host.put_dead("<b>").await;
    let browser = Browser::signed_in(&host).await;
    let page = browser.get("/dead-letters").await.body;
    assert!(page.contains("name=\"find\"") && page.contains("cause-"), "{page}");
    let page = browser.get("/dead-letters?find=order%3D%3Cb%3E&since=&until=").await.body;
    for part in ["name=\"id\" value=\"2\"", "Replay ticked", "value=\"order=&lt;b&gt;\"", "Clear"] {
        assert!(page.contains(part) && !page.contains("name=\"id\" value=\"1\"") && !page.contains("<b>"), "{part}: {page}");
    }
    assert!(browser.get("/dead-letters?since=24h").await.body.contains("value=\"1\""));
    assert!(browser.get("/dead-letters?find=customer-7").await.body.contains("No open dead letter fits"));
    let wrong = browser.get("/dead-letters?since=soon").await;
    assert!(wrong.status == 400 && wrong.body.contains("name=\"find\""), "{wrong:?}");
    assert_eq!(browser.get("/dead-letters?find=a&odd=1").await.status, 400);
    let done = browser.fill_in(REPLAY, "id=2&back=%2Fdead-letters%3Ffind%3Dorder%253D%253Cb%253E%26since%3D24h").await.body;
    assert!(done.contains("href=\"/dead-letters?find=order%3D%3Cb%3E&amp;since=24h\""), "{done}");
}

#[tokio::test]
async fn a_form_that_is_sent_twice_has_one_effect_and_says_so() {
    let host = Host::start().await;
    host.put_dead("a").await;
    host.put_dead("b").await;
    let browser = Browser::signed_in(&host).await;
    let first = browser.fill_in(REPLAY, "id=1").await;
    assert!(first.status == 200 && first.body.contains("On its way again, as replay 1"), "{first:?}");
    let second = browser.fill_in(REPLAY, "id=1&id=2").await.body;
    assert!(second.contains("Already replayed at ") && second.contains("as replay 1; nothing was done now"), "{second}");
    assert!(second.contains("Done: <strong>1</strong> of 2"), "the other is done all the same: {second}");
    assert_eq!(open_ones(&host).await, 0);
    assert!(browser.fill_in(DISCARD, "id=1&reason=late").await.body.contains("Already replayed at "));
    let unknown = browser.fill_in(REPLAY, "id=99").await.body;
    assert!(unknown.contains("There is no such dead letter"), "{unknown}");
}

#[tokio::test]
async fn an_edit_shows_what_is_different_and_is_done_when_somebody_is_sure() {
    let host = Host::start().await;
    let message = host.put_dead("</textarea><b>").await;
    let browser = Browser::signed_in(&host).await;
    let page = browser.get(&format!("/messages/{message}")).await.body;
    assert!(page.contains("href=\"/dead-letters/1/edit\""), "{page}");
    let form = browser.get("/dead-letters/1/edit").await;
    assert!(form.status == 200 && form.body.contains("&quot;name&quot;: &quot;&lt;/textarea&gt;&lt;b&gt;&quot;"), "{form:?}");

    let edited = "body=%7B%22id%22%3A7%2C%0D%0A%22name%22%3A%22%3Ci%3E%22%7D";
    for (fields, why) in [
        (format!("{edited}&reason=+"), "say why"),
        ("body=%7B%22id%22%3A&reason=typo".to_owned(), "line 1, column"),
        ("body=%7B%22name%22%3A%22b%22%7D&reason=typo".to_owned(), "key"),
    ] {
        let page = browser.fill_in("/dead-letters/1/edit", &fields).await;
        assert!(page.status == 400 && page.body.contains("Nothing was done") && page.body.contains(why), "{why}: {page:?}");
    }
    let shown = browser.fill_in("/dead-letters/1/edit", &format!("{edited}&reason=%3Cu%3Eid+added")).await.body;
    for part in ["What is different", "/id", "/name", "&lt;i&gt;", "Deliver this in its place", "&lt;u&gt;id added"] {
        assert!(shown.contains(part) && !shown.contains("<i>") && !shown.contains("<u>"), "{part}: {shown}");
    }
    assert_eq!(open_ones(&host).await, 1, "nothing was done so far");

    let done = browser.fill_in("/dead-letters/1/edit", &format!("{edited}&reason=id+added&sure=yes")).await.body;
    assert!(done.contains("On its way as"), "{done}");
    assert_eq!(open_ones(&host).await, 0);
    let page = browser.get(&format!("/messages/{message}")).await.body;
    assert!(page.contains("id added"), "{page}");
    let late = browser.fill_in("/dead-letters/1/edit", &format!("{edited}&reason=me+too&sure=yes")).await.body;
    assert!(late.contains("Already edited at"), "{late}");
    assert_eq!(browser.get("/dead-letters/1/edit").await.status, 404);
    assert_eq!(browser.get("/dead-letters/99/edit").await.status, 404);
    assert_eq!(browser.get("/dead-letters/odd/edit").await.status, 400);
}

#[tokio::test]
async fn a_form_gives_lines_back_the_ends_they_came_with_and_takes_no_text_that_has_several() {
    let host = Host::start().await;
    let put =
        async |body: &str| host.post("/api/v1/messages?integration=orders", "content-type: text/csv\r\n", body).await.json()["id"].clone();
    put("a,b\r\nc,d\r\n").await;
    put("a,b\r\nc,d\n").await;
    let browser = Browser::signed_in(&host).await;
    assert!(browser.get("/dead-letters/2/edit").await.body.contains("more than one way"));
    // It still has no key, and so is refused; what was taken of it is shown.
    let refused = browser.fill_in("/dead-letters/1/edit", "body=a%2Cb%0D%0Ac%2CX%0D%0A&reason=typo").await;
    assert!(refused.status == 400 && refused.body.contains("a,b\r\nc,X\r\n"), "{refused:?}");
}

#[tokio::test]
async fn a_form_is_offered_where_what_a_browser_would_send_of_it_fits_and_no_other() {
    let host = Host::start().await;
    host.put(&format!("{{\"name\":[{}0]}}", "1,".repeat(125_000))).await;
    host.put_dead(&"x".repeat(700_000)).await;
    host.put_dead(&"é".repeat(190_000)).await;
    let browser = Browser::signed_in(&host).await;
    let page = browser.get("/dead-letters/1/edit").await.body;
    assert!(page.contains("textarea") && page.contains("1,1,1,1"), "laid out it would be twelve bytes for two: it is shown as it came");
    assert!(browser.get("/dead-letters/2/edit").await.body.contains("xxxx"), "what is sent as it is may be long");
    let page = browser.get("/dead-letters/3/edit").await.body;
    assert!(!page.contains("éé") && page.contains("lockgate dead-letters edit 3 --body FILE"), "{page}");

    let sent =
        browser.fill_in("/dead-letters/1/edit", &format!("reason=typo&body=%7B%22name%22%3A%5B{}0%5D%7D", "1%2C".repeat(125_000))).await;
    assert!(sent.status == 400 && sent.body.contains("key"), "it goes through: {}", sent.status);
    let sent = browser.fill_in("/dead-letters/3/edit", &format!("reason=typo&body={}", "%C3%A9".repeat(190_000))).await;
    assert!(sent.status == 413 && sent.body.contains("1024 KiB") && sent.body.contains("dead-letters edit ID --body FILE"), "{sent:?}");
}

#[tokio::test]
async fn asks_why_before_it_discards_and_does_nothing_without_a_reason() {
    let host = Host::start().await;
    host.put_dead("a").await;
    host.put_dead("b").await;
    let browser = Browser::signed_in(&host).await;
    let asks = browser.fill_in(DISCARD, "id=1&id=2").await;
    assert!(asks.status == 200 && asks.body.contains("2 dead letters") && asks.body.contains("name=\"reason\""), "{asks:?}");
    assert_eq!(browser.fill_in(DISCARD, "id=1&id=2&reason=+").await.status, 400);
    assert_eq!(browser.fill_in(DISCARD, &format!("id=1&reason={}", "x".repeat(1001))).await.status, 400);
    assert_eq!(open_ones(&host).await, 2, "nothing was done");
    let done = browser.fill_in(DISCARD, "id=1&id=2&reason=%3Cb%3Ea+test").await.body;
    assert!(done.contains("Done: <strong>2</strong> of 2"), "{done}");
    assert_eq!(open_ones(&host).await, 0);
    let again = browser.fill_in(DISCARD, "id=1&reason=again").await.body;
    assert!(again.contains("Already discarded at ") && again.contains("&lt;b&gt;a test"), "{again}");
}

#[tokio::test]
async fn does_nothing_where_nothing_was_ticked_or_what_was_asked_is_odd() {
    let host = Host::start().await;
    host.put_dead("a").await;
    let browser = Browser::signed_in(&host).await;
    for fields in ["", "back=%2Fdead-letters", "id=x", "id=1&superseded=whatever", "id=1&fingerprint=a&fingerprint=b", "id=1&odd=1"] {
        let page = browser.fill_in(REPLAY, fields).await;
        assert_eq!(page.status, 400, "{fields}");
    }
    assert!(browser.fill_in(REPLAY, "").await.body.contains("Nothing was ticked"));
    assert_eq!(open_ones(&host).await, 1);
}

#[tokio::test]
async fn replays_and_discards_all_of_a_cause() {
    let host = Host::start().await;
    for name in ["a", "b", "c"] {
        host.put_dead(name).await;
    }
    let cause = fingerprint(&host).await;
    let browser = Browser::signed_in(&host).await;
    let asks = browser.fill_in(DISCARD, &format!("fingerprint={cause}")).await.body;
    assert!(asks.contains(&format!("name=\"fingerprint\" value=\"{cause}\"")), "{asks}");
    assert_eq!(open_ones(&host).await, 3);
    let done = browser.fill_in(REPLAY, &format!("fingerprint={cause}")).await.body;
    assert!(done.contains("Done: <strong>3</strong> of 3"), "{done}");
    let nothing = browser.fill_in(REPLAY, &format!("fingerprint={cause}")).await.body;
    assert!(nothing.contains("somebody may have been faster"), "{nothing}");
}

#[tokio::test]
async fn asks_what_to_do_with_those_whose_key_moved_on() {
    let host = Host::start().await;
    for _ in 0..2 {
        host.put(r#"{"id":1}"#).await;
        let (class, code, detail) = (FailureClass::Permanent, "refused".to_owned(), "no <b>".to_owned());
        attempt(&host, "", "", Settlement::DeadLettered { class, code, detail, fingerprint: "f00d".into(), stops_lane: false }).await;
    }
    host.put(r#"{"id":1}"#).await;
    attempt(&host, "", "", delivered()).await;
    let browser = Browser::signed_in(&host).await;
    let asks = browser.fill_in(REPLAY, "fingerprint=f00d").await.body;
    assert!(asks.contains("2 were not replayed") && asks.contains("value=\"skip\"") && asks.contains("value=\"anyway\""), "{asks}");
    assert_eq!(open_ones(&host).await, 2, "nothing was done");
    assert!(browser.fill_in(REPLAY, "id=1&superseded=skip").await.body.contains("Discarded: newer ones of its key"));
    assert!(browser.fill_in(REPLAY, "id=2&superseded=anyway").await.body.contains("On its way again"));
}

#[tokio::test]
async fn leads_back_to_pages_of_its_own_only() {
    let host = Host::start().await;
    host.put_dead("a").await;
    let browser = Browser::signed_in(&host).await;
    for elsewhere in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2Fdead-letters%2F..%2F%2Fevil.example", "javascript%3Aalert(1)"]
    {
        let page = browser.fill_in(REPLAY, &format!("id=1&back={elsewhere}")).await.body;
        assert!(!page.contains("evil.example") && !page.contains("javascript:"), "{page}");
    }
    let page = browser.fill_in(REPLAY, "id=1&back=%2Fdead-letters%2F0123456789abcdef%3Fbefore%3D7").await.body;
    assert!(page.contains("href=\"/dead-letters/0123456789abcdef?before=7\""), "{page}");
}
