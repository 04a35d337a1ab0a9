//! The stream of events: what is refused, resumed, bounded, and how it ends.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::problem::Code;
use crate::telemetry::events::{Event, Kind, Level};

/// A stream that is open.
struct Listening {
    stream: TcpStream,
    heard: String,
}

impl Listening {
    async fn to(host: &Host, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let head = format!("GET /api/v1/events{query} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut listening = Self { stream, heard: String::new() };
        listening.until("\n\n").await;
        listening
    }

    /// Reads until `text` has come; false if the stream ends before.
    async fn until(&mut self, text: &str) -> bool {
        let mut piece = [0; 4096];
        while !self.heard.contains(text) {
            match self.stream.read(&mut piece).await.unwrap() {
                0 => return false,
                count => self.heard.push_str(std::str::from_utf8(&piece[..count]).unwrap()),
            }
        }
        true
    }
}

fn line(text: &str) -> Event {
    Event::new(Kind::Log, Level::Info, text.to_owned())
}

/// What `follow=false` gave: the events, and how much the gaps say is lost.
fn told(reply: &Reply) -> (Vec<Value>, Vec<Value>) {
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")), "{reply:?}");
    let data = |block: &str| block.lines().find_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap());
    let is_gap = |block: &&str| block.contains("event: gap");
    let (gaps, rest): (Vec<&str>, Vec<&str>) = reply.body.split("\n\n").partition(is_gap);
    (rest.into_iter().filter_map(data).collect(), gaps.into_iter().filter_map(data).collect())
}

fn texts(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn refuses_words_it_does_not_know() {
    let host = Host::start().await;
    for query in ["level=loud", "kind=logs", "kind=log&kind=x", "last=ten", "since=yesterday", "follow=yes", "message=7", "levle=info"] {
        host.get(&format!("/api/v1/events?{query}")).await.assert_problem(400, Code::BadRequest);
    }
    host.get("/api/v1/events?integration=nobody").await.assert_problem(404, Code::NotFound);
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\nlast-event-id: x\r\n\r\n"
    );
    host.send(request).await.assert_problem(400, Code::BadRequest);
    let unsigned = "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    host.send(unsigned.to_owned()).await.assert_problem(401, Code::Unauthorized);
}

#[tokio::test]
async fn serves_so_many_streams_and_no_more() {
    let host = Host::start().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Listening::to(&host, "", "").await);
    }
    let refused = host.get("/api/v1/events").await;
    refused.assert_problem(503, Code::TooManyStreams);
    assert_eq!(refused.header("retry-after"), Some("10"));
    drop(open.pop());
    loop {
        // The other side's end is noticed when something is written.
        host.events.tell(line("tick"));
        let again = host.get("/api/v1/events?follow=false").await;
        if again.status == 200 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ends_with_the_host_and_not_after_the_drain() {
    let host = Host::start().await;
    let mut listening = Listening::to(&host, "?last=5", "").await;
    host.events.tell(line("the last one"));
    assert!(listening.until("the last one").await);
    host.events.close();
    assert!(listening.until("\r\n0\r\n\r\n").await, "the answer has its end: {}", listening.heard);
}

#[tokio::test]
async fn tells_a_stream_that_comes_back_what_it_missed_or_how_much_is_lost() {
    let host = Host::start().await;
    let mut listening = Listening::to(&host, "", "").await;
    host.events.tell(line("first"));
    assert!(listening.until("first").await);
    let place = listening.heard.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().trim().to_owned();
    drop(listening);
    host.events.tell(line("second"));
    let resume = |id: &str| {
        format!(
            "GET /api/v1/events?last=0&follow=false HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\nlast-event-id: {id}\r\n\r\n"
        )
    };
    let (events, gaps) = told(&host.send(resume(&place)).await);
    assert_eq!((texts(&events), gaps), (vec!["second"], vec![]));
    (0..10_000).for_each(|_| host.events.tell(line("flood")));
    let (events, gaps) = told(&host.send(resume(&place)).await);
    assert_eq!((events.len(), gaps), (8192, vec![json!({ "lost": 10_001 - 8192 })]));
    let (events, gaps) = told(&host.send(resume("17")).await);
    assert_eq!((events.len(), gaps), (8192, vec![json!({ "lost": null })]), "an id of another run");
}

#[tokio::test]
async fn gives_the_last_ones_that_fit_and_ends_where_it_is_not_to_follow() {
    let host = Host::start().await;
    for n in 0..5 {
        host.events.tell(line(&n.to_string()).of("orders"));
        host.events.tell(Event::new(Kind::Host, Level::Warn, "the disk is slow"));
    }
    for (query, expected) in [
        ("last=2&kind=log", vec!["3", "4"]),
        ("last=0", vec![]),
        ("since=2020-01-01T00:00:00Z&integration=orders", vec!["0", "1", "2", "3", "4"]),
        ("since=2999-01-01T00:00:00Z", vec![]),
        ("last=1&level=warn", vec!["the disk is slow"]),
        ("last=9&kind=host&kind=alias&level=error", vec![]),
    ] {
        let (events, gaps) = told(&host.get(&format!("/api/v1/events?follow=false&{query}")).await);
        assert_eq!((texts(&events), gaps.len()), (expected, 0), "{query}");
    }
}

#[tokio::test]
async fn tells_what_came_and_what_people_did() {
    let host = Host::start().await;
    let mut listening = Listening::to(&host, "", "").await;
    let id = host.put(r#"{"id":1}"#).await;
    let dead = host.put_dead("a").await;
    host.post("/api/v1/dead-letters/replay", "content-type: application/json\r\n", r#"{"class":"unkeyed"}"#).await;
    host.post("/api/v1/aliases/crm/test", "", "").await;
    assert!(listening.until("an alias was tested").await);
    let (events, _) = told(&host.get("/api/v1/events?follow=false&last=100").await);
    let shown: Vec<_> = events.iter().map(|event| (event["kind"].as_str().unwrap(), event["message"].as_str())).collect();
    let (id, dead) = (Some(id.as_str()), Some(dead.as_str()));
    let accepted = [("accepted", id), ("operator", id), ("accepted", dead), ("outcome", dead), ("operator", dead)];
    assert_eq!(shown, [&accepted[..], &[("operator", None), ("operator", None)]].concat());
    assert_eq!((&events[3]["fields"]["outcome"], &events[3]["fields"]["class"]), (&json!("dead-lettered"), &json!("unkeyed")));
    let replayed = json!({ "by": "local", "way": "api", "dead-letters": "1", "asked": 1, "done": 1, "chosen": "class unkeyed" });
    assert_eq!(events[5]["fields"], replayed);
    assert_eq!((&events[6]["fields"]["by"], &events[6]["fields"]["alias"]), (&json!("local"), &json!("crm")));
    let heard = format!("{} {events:?}", listening.heard);
    assert!(!heard.contains(PASSWORD) && !heard.contains(TOKEN));
}

#[tokio::test]
async fn tells_by_what_way_people_paused_set_secrets_applied_and_backed_up() {
    let host = Host::start().await;
    let json = "content-type: application/json\r\n";
    host.post("/api/v1/integrations/orders/pause", json, r#"{"reason":"x"}"#).await;
    host.post("/api/v1/integrations/orders/resume", json, "{}").await;
    host.post("/api/v1/aliases/crm/pause", json, r#"{"reason":"x"}"#).await;
    let put = "PUT /api/v1/secrets/crm.password HTTP/1.1\r\nhost: localhost\r\nconnection: close";
    host.send(format!("{put}\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 1\r\n\r\nx")).await;
    // What comes of it is for `backup`'s tests; here somebody asks for it.
    let mut listening = Listening::to(&host, "?kind=operator", "").await;
    let mut asking = TcpStream::connect(host.address).await.unwrap();
    let backup = format!("GET /api/v1/backup HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    asking.write_all(backup.as_bytes()).await.unwrap();
    assert!(listening.until("a backup is being made").await);
    host.post("/api/v1/environment", "", "[alias.other]\nurl = \"https://other.example\"\n").await;
    let (events, _) = told(&host.get("/api/v1/events?follow=false&last=100&kind=operator").await);
    for what in ["was paused", "was resumed", "alias crm was paused", "a secret was set", "a backup", "another environment"] {
        let event = events.iter().find(|event| event["text"].as_str().unwrap().contains(what));
        assert_eq!(event.unwrap_or_else(|| panic!("{what}: {events:?}"))["fields"]["by"], "local", "{what}");
    }
}

#[tokio::test]
async fn has_a_place_to_resume_from_before_anything_happens() {
    let host = Host::start().await;
    let listening = Listening::to(&host, "", "").await;
    assert!(listening.heard.contains(&format!("retry: 1000\nid: {}", host.events.latest())), "{}", listening.heard);
}
