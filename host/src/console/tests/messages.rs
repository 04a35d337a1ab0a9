//! Finding messages, and looking at one.

use super::*;
use crate::clock::Timestamp;

/// The ids that a page of messages links to, in order.
fn listed(reply: &Reply) -> Vec<String> {
    let rows = reply.body.split("<th scope=\"row\"><a class=\"mono\" href=\"/messages/").skip(1);
    rows.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn says_why_there_is_nothing_and_what_to_do_next() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    assert!(browser.get("/messages").await.body.contains("lockgate send"), "nothing came yet");
    host.put(r#"{"id":1}"#).await;
    for (address, says) in [
        ("/messages?find=none", "No message fits"),
        ("/messages?find=none", "looked for as a key"),
        ("/messages?outcome=delivered", "No message fits"),
        ("/messages?before=1", "That was the last page"),
        ("/messages?find=01234567-89ab", "No message fits"),
    ] {
        let page = browser.get(address).await;
        assert_eq!(page.status, 200, "{address}");
        assert!(page.body.contains(says), "{address}: {}", page.body);
    }
}

#[tokio::test]
async fn answers_a_question_that_is_put_wrongly_above_its_own_fields() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    for (address, says) in [
        ("/messages?since=yesterday&find=%3Cb%3E", "expected 30m"),
        ("/messages?outcome=done", "expected one of"),
        ("/messages?since=1h&until=24h", "swap them"),
        ("/messages?id=1", "at least its first 8 digits"),
        ("/messages?before=x", "of the page before"),
    ] {
        let page = browser.get(address).await;
        assert_eq!(page.status, 400, "{address}");
        assert!(page.body.contains(says) && page.body.contains("name=\"find\"") && !page.body.contains("<b>"), "{address}: {}", page.body);
    }
    assert_eq!(browser.get("/messages?kye=1").await.status, 400);
}

#[tokio::test]
async fn finds_messages_by_whatever_people_type() {
    let host = Host::start().await;
    let first = host.put(r##"{"id":20886001,"name":"#1001"}"##).await;
    let second = host.put(r##"{"id":7,"name":"#1002"}"##).await;
    let dead = host.put_dead("#1003").await;
    let browser = Browser::signed_in(&host).await;
    for (address, expected) in [
        ("/messages".to_owned(), vec![&dead, &second, &first]),
        // Eight digits that no id starts with: a key.
        ("/messages?find=20886001&integration=&outcome=&since=&until=".to_owned(), vec![&first]),
        ("/messages?find=order%3D%231002".to_owned(), vec![&second]),
        (format!("/messages?find={second}"), vec![&second]),
        ("/messages?outcome=dead-lettered&integration=orders&since=1h".to_owned(), vec![&dead]),
        ("/messages?until=2020-01-01+08%3A00".to_owned(), vec![]),
    ] {
        assert_eq!(listed(&browser.get(&address).await), expected.into_iter().cloned().collect::<Vec<_>>(), "{address}");
    }
    let page = browser.get("/messages?find=order%3D%231002&since=24h").await;
    assert!(page.body.contains("value=\"order=#1002\"") && page.body.contains("value=\"24h\""), "the question stays in its fields");
}

#[tokio::test]
async fn shows_a_hostile_message_as_text() {
    let host = Host::start().await;
    let body = "{\"id\":\"<b>\u{202e}key\",\"name\":\"<img src=x onerror=alert(1)>\",\"n\":820982911946154508.10,\"s\":\"</pre><script>alert(1)</script>\"}";
    let headers = "content-type: application/json\r\nx-note: <i>\r\n";
    let id = host.post("/api/v1/messages?integration=orders", headers, body).await.json()["id"].as_str().unwrap().to_owned();
    attempt(&host, "<script>alert(2)</script>", "\u{7}<b>", delivered()).await;
    let browser = Browser::signed_in(&host).await;
    for address in [format!("/messages/{id}"), "/messages".to_owned()] {
        let page = browser.get(&address).await;
        assert_eq!(page.status, 200);
        for tag in ["<script>", "<b>", "<img src=x", "<i>", "</pre><"] {
            assert!(!page.body.contains(tag) || tag == "</pre><" && !page.body.contains("</pre><script"), "{tag} in {}", page.body);
        }
        assert!(!page.body.contains('\u{202e}') && !page.body.contains('\u{7}'));
    }
    let page = browser.get(&format!("/messages/{id}")).await.body;
    for part in
        ["\\u{202e}key", "820982911946154508.10", "&lt;script&gt;alert(2)", "\\u{7}&lt;b&gt;", "/orders?a=&lt;b&gt;", "006&lt;b&gt;"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn shows_what_came_beside_what_was_sent_by_the_attempt_that_is_chosen() {
    let host = Host::start().await;
    let id = host.put(r#"{"id":1}"#).await;
    attempt(&host, "the first", "no", Settlement::Retries { due_at: Timestamp(0) }).await;
    attempt(&host, "the second", "yes", delivered()).await;
    let browser = Browser::signed_in(&host).await;
    let page = browser.get(&format!("/messages/{}", &id[..18])).await.body;
    for part in ["What came", "the second", "Other attempts that sent requests: 1", "?attempt=1#bodies", "in 7 ms", "key-1", "remote-id"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("the first"));
    assert!(browser.get(&format!("/messages/{id}?attempt=1")).await.body.contains("the first"));
    let other = host.put(r#"{"id":2}"#).await;
    let page = browser.get(&format!("/messages/{other}?attempt=1")).await;
    assert!(page.status == 200 && !page.body.contains("the first"), "an attempt of another message: {page:?}");
}

#[tokio::test]
async fn shows_the_beginning_of_a_long_body_and_gives_all_of_it_as_a_file() {
    let host = Host::start().await;
    let body = format!("{{\"id\":1,\"text\":\"{}\"}}", "x".repeat(4_000_000));
    let id = host.put(&body).await;
    let browser = Browser::signed_in(&host).await;
    let page = browser.get(&format!("/messages/{id}")).await.body;
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(page.contains("This is the beginning.") && page.contains("Download all 3.8 MiB"));
    let file = browser.get(&format!("/messages/{id}/body")).await;
    assert_eq!(file.header("content-type"), Some("application/octet-stream"));
    assert_eq!(file.header("content-disposition"), Some(format!("attachment; filename=\"message-{id}.bin\"").as_str()));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(file.body, body);
}

#[tokio::test]
async fn says_what_is_no_message_and_lists_those_whose_ids_start_so() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    for (path, status) in [("00000000", 404), ("00000000/body", 404), ("x", 400), ("%3Cb%3E", 400), ("%ff", 400)] {
        let page = browser.get(&format!("/messages/{path}")).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.body.contains("Search messages") || path == "%ff", "{path}: {}", page.body);
        assert!(!page.body.contains("<b>"));
    }
    let ids = [host.put(r#"{"id":1}"#).await, host.put(r#"{"id":2}"#).await];
    if ids[0][..8] == ids[1][..8] {
        let several = browser.get(&format!("/messages/{}", &ids[0][..8])).await;
        assert_eq!((several.status, several.header("location")), (303, Some(format!("/messages?id={}", &ids[0][..8]).as_str())));
    }
}
