//! Pages that keep up: what is sent, how many may listen, and when it ends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A page that listens.
struct Listening {
    stream: TcpStream,
    heard: String,
}

impl Listening {
    async fn to(browser: &Browser<'_>, path: &str) -> Self {
        let mut stream = TcpStream::connect(browser.host.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {}\r\n\r\n", browser.cookie);
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, heard: String::new() }
    }

    /// Listens until `text` has come since the last call; false if the stream ends before.
    async fn hears(&mut self, text: &str) -> bool {
        while !self.heard.contains(text) {
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return false,
                Ok(read) => self.heard.push_str(&String::from_utf8_lossy(&bytes[..read])),
            }
        }
        self.heard.clear();
        true
    }
}

#[tokio::test]
async fn opens_no_stream_without_a_session() {
    let host = Host::start().await;
    let message = format!("/live/messages/{}", host.put("{\"id\":1}").await);
    for path in ["/live/overview", "/live/integrations/orders", "/live/aliases", "/live/aliases/crm", "/live/dead-letters", &message] {
        assert_eq!(ask(&host, "GET", path, "", "").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn sends_a_region_at_once_and_again_when_it_changes() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    for path in ["/live/overview", "/live/integrations/orders", "/live/aliases", "/live/aliases/crm", "/live/dead-letters"] {
        let mut page = Listening::to(&browser, path).await;
        assert!(page.hears("event: page").await, "{path}");
    }
    let mut page = Listening::to(&browser, "/live/integrations/orders").await;
    assert!(page.hears("event: page").await);
    host.put_dead("x").await;
    assert!(page.hears("unkeyed").await);
}

#[tokio::test]
async fn a_message_tells_what_becomes_of_it_and_sends_its_body_once() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let id = host.put("{\"id\":1,\"text\":\"in the body\"}").await;
    let loaded = browser.get(&format!("/messages/{id}")).await.body;
    let (_, region) = loaded.split_once("data-live=\"").unwrap();
    let address = region.split('"').next().unwrap().replace("&amp;", "&");
    let (region, _) = region.split_once("id=\"bodies\"").unwrap();
    assert!(loaded.contains("in the body") && !region.contains("in the body") && !region.contains("More was sent"), "{loaded}");

    let mut page = Listening::to(&browser, &address).await;
    assert!(page.hears("for its turn").await);
    attempt(&host, "sent", "answered", delivered()).await;
    assert!(page.hears("More was sent since this page was loaded").await);
    let again = browser.get(&format!("/messages/{id}")).await.body;
    assert!(!again.contains("More was sent") && again.contains("shown=1&amp;seen=1"), "{again}");
}

#[tokio::test]
async fn a_page_of_dead_letters_tells_of_new_causes() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    assert!(browser.get("/dead-letters?class=unkeyed").await.body.contains("data-live=\"/live/dead-letters?class=unkeyed\""));
    let mut page = Listening::to(&browser, "/live/dead-letters?class=unkeyed").await;
    assert!(page.hears("No dead letters").await);
    host.put_dead("x").await;
    assert!(page.hears("href=\"/integrations/orders\"").await);
}

#[tokio::test]
async fn refuses_to_keep_up_what_is_not_there_or_not_understood() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let id = host.put("{\"id\":1}").await;
    for (path, status) in [
        ("/live/messages/00000000-0000-7000-8000-000000000000", 404),
        ("/live/messages/x", 400),
        (&format!("/live/messages/{id}?seen=x"), 400),
        (&format!("/live/messages/{id}?more=1"), 400),
        ("/live/dead-letters?class=none", 400),
    ] {
        assert_eq!(browser.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn takes_a_bounded_number_of_streams_and_more_when_one_is_gone() {
    let host = Host::start().await;
    let (browser, other) = (Browser::signed_in(&host).await, Browser::signed_in(&host).await);
    let mut pages = Vec::new();
    for _ in 0..6 {
        let mut page = Listening::to(&browser, "/live/aliases").await;
        assert!(page.hears("event: page").await);
        pages.push(page);
    }
    let refused = browser.get("/live/aliases").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")), "{refused:?}");
    assert!(refused.body.contains("LG-7009"), "{refused:?}");
    assert!(Listening::to(&other, "/live/aliases").await.hears("event: page").await, "another session has its own");
    pages.pop();
    // The host sees that it is gone when it next has something to say, or sooner.
    while !Listening::to(&browser, "/live/aliases").await.hears("event: page").await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ends_a_stream_when_its_session_ends() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let form = format!("form-token={}", browser.form_token().await);
    let mut page = Listening::to(&browser, "/live/aliases").await;
    assert!(page.hears("event: page").await);
    assert_eq!(browser.post("/sign-out", "", &form).await.status, 303);
    assert!(!page.hears("never sent").await);
}

#[tokio::test]
async fn ends_all_streams_when_the_host_goes_down() {
    let host = Host::start().await;
    let browser = Browser::signed_in(&host).await;
    let mut page = Listening::to(&browser, "/live/overview").await;
    assert!(page.hears("event: page").await);
    host.console.end();
    assert!(!page.hears("never sent").await);
    assert!(!Listening::to(&browser, "/live/overview").await.hears("event: ").await, "nor is one opened");
}
