//! What the outside answers, and what is told of what differs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::bounds::Bounds;
use super::compare::{Verdict, compare};
use super::gone::{Asking, Content, Failure, Gone, SinkEnd, Steps, Sunk};
use super::outside::{Met, Outside, Rules};
use super::page::page;
use super::report::{Candidate, Report};
use crate::alias::{Alias, Auth, Sender};
use crate::capability::egress::{Egress, EgressError, EgressRequest};
use crate::capability::heard::{Answered, Asked, Heard, Read};
use crate::clock::{Clock, ManualClock, Timestamp, within};
use crate::integration::{Allow, ReleaseId};
use crate::message::{Headers, MessageId};
use crate::message_store::KeyValueRead;

const START: Timestamp = Timestamp(1_700_000_000_000);

fn alias() -> Alias {
    Alias {
        name: "crm".into(),
        owner: None,
        url: Some("http://crm.example/".parse().unwrap()),
        auth: Auth::None,
        rate: Vec::new(),
        expired_when: None,
        stale_if_error: None,
        network: Vec::new(),
        ca_file: None,
        authorities: None,
        proxy: None,
        verify: None,
    }
}

/// A request as it was made, answered with its own number.
fn asked(path: &str, body: &str, status: u16) -> Asked {
    let response = Answered::Response { status, headers: Vec::new(), body: Bytes::new(), wait_ms: None, is_down: false, stale: None };
    Asked {
        slot: "target".into(),
        alias: "crm".into(),
        method: "POST".into(),
        path: path.into(),
        headers: Vec::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        idempotency_key: "key".into(),
        together: 0,
        took_ms: 0,
        answer: Some(response),
    }
}

fn request(path: &str, body: &str) -> EgressRequest {
    EgressRequest {
        sender: Sender { integration: "orders".into(), message: 1 },
        method: "POST".into(),
        path: path.into(),
        headers: Vec::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        idempotency_key: "key".into(),
        timeout: Duration::from_secs(1),
    }
}

fn outside(requests: Vec<Asked>, reads: Vec<Read>) -> Arc<Outside> {
    let rules = Rules::Of(Arc::new(BTreeMap::from([("crm".to_owned(), alias())])));
    let heard = Heard { requests, reads, is_cut: false };
    Outside::of([&heard], &rules, &Bounds::of([]), &Arc::new(ManualClock::at(START)))
}

/// The numbers that requests are answered with; 0 where none is known.
async fn answers(outside: &Outside, requests: &[(&str, &str)]) -> Vec<u16> {
    let mut answers = Vec::new();
    for (path, body) in requests {
        answers.push(outside.send("crm", &[], request(path, body)).await.map_or(0, |response| response.status));
    }
    answers
}

#[tokio::test]
async fn a_request_is_answered_as_the_same_one_was_whatever_the_order() {
    let outside = outside(vec![asked("/a", "1", 201), asked("/a", "2", 202), asked("/b", "1", 203)], Vec::new());
    assert_eq!(answers(&outside, &[("/b", "1"), ("/a", "2"), ("/a", "1")]).await, [203, 202, 201]);
    assert!(outside.noted().requests.iter().all(|(_, met)| matches!(met, Met::Recorded(_))));
}

#[tokio::test]
async fn another_body_is_answered_as_the_one_in_its_place_and_takes_no_others_answer() {
    let outside = outside(vec![asked("/a", "1", 201), asked("/a", "2", 202), asked("/a", "3", 203)], Vec::new());
    assert_eq!(answers(&outside, &[("/a", "1"), ("/a", "other"), ("/a", "3")]).await, [201, 202, 203]);
}

#[tokio::test]
async fn what_nobody_asked_before_has_no_answer() {
    let outside = outside(vec![asked("/a", "1", 201)], Vec::new());
    assert_eq!(answers(&outside, &[("/a", "1"), ("/a", "1"), ("/a?page=2", "1")]).await, [201, 0, 0]);
    let denied = outside.send("erp", &[], request("/a", "1")).await;
    assert_eq!(denied, Err(EgressError::Denied("there is no alias erp".into())));
    let met: Vec<Met> = outside.noted().requests.into_iter().map(|(_, met)| met).collect();
    assert_eq!(met, [Met::Recorded(0), Met::Unknown, Met::Unknown, Met::Denied]);
}

/// How one request is met whose recorded one was denied, and why.
async fn met(allow: &[Allow], why: &str, body: &str) -> Met {
    let denied = Asked { answer: Some(Answered::Denied(why.into())), ..asked("/secret-export", body, 0) };
    let outside = outside(vec![denied], Vec::new());
    let _ = outside.send("crm", allow, request("/secret-export", "1")).await;
    outside.noted().requests[0].1
}

#[tokio::test]
async fn what_was_not_let_out_then_and_is_now_has_no_answer() {
    let allow = |path: &str| Allow { method: "POST".into(), path: path.into() };
    let (other, same) = (allow("/x"), allow("/secret-export"));
    let by_binding = "the binding does not allow POST /secret-export";
    assert_eq!(met(&[same], by_binding, "1").await, Met::Unknown);
    assert_eq!(met(&[], by_binding, "1").await, Met::Unknown);
    assert_eq!(met(&[other], by_binding, "1").await, Met::Recorded(0), "denied then, and denied now");
    // What the release sent was not to be sent; what it sends now may be.
    let too_large = "x".repeat(20 * 1024 * 1024);
    assert_eq!(met(&[], "the body is over 16 MiB", &too_large).await, Met::Unknown);
    // The alias's own rules are not the release's, and deny the same again.
    for why in ["this one delivery sends more requests than the alias's rate of 1/s allows; raise the rate", "LG-5004 alias crm: no"] {
        assert_eq!(met(&[], why, "1").await, Met::Recorded(0), "{why}");
    }
}

#[tokio::test]
async fn what_a_candidate_asks_is_kept_within_bounds() {
    let bounds = Bounds::of([]);
    let rules = Rules::Of(Arc::new(BTreeMap::from([("crm".to_owned(), alias())])));
    let large = "x".repeat(9 * 1024 * 1024);
    let heard = Heard { requests: vec![asked("/a", &large, 200), asked("/a", &large, 200)], reads: Vec::new(), is_cut: false };
    let outside = Outside::of([&heard], &rules, &bounds, &Arc::new(ManualClock::at(START)));
    answers(&outside, &[("/a", &large), ("/a", &large)]).await;
    assert_eq!(bounds.over(), None, "what was sent then takes up no room");
    answers(&outside, &[("/b", &large), ("/b", &large)]).await;
    assert_eq!((bounds.over().is_some(), outside.noted().requests.len()), (true, 3));
    // Many small ones, too.
    let bounds = Bounds::of([]);
    let outside = Outside::of([], &rules, &bounds, &Arc::new(ManualClock::at(START)));
    for number in 0..70_000 {
        outside.get("orders", &number.to_string(), START).await.unwrap();
    }
    assert!(bounds.over().is_some() && outside.noted().unknown_reads.len() < 70_000);
}

#[tokio::test]
async fn a_call_whose_answer_never_came_runs_out_of_time_again() {
    let clock = Arc::new(ManualClock::at(START));
    let heard = Heard { requests: vec![Asked { answer: None, ..asked("/a", "1", 200) }], reads: Vec::new(), is_cut: false };
    let outside = Outside::of([&heard], &Rules::Of(Arc::new(BTreeMap::from([("crm".to_owned(), alias())]))), &Bounds::of([]), &clock);
    let waits = outside.send("crm", &[], request("/a", "1"));
    assert_eq!(within(&*clock, Duration::from_secs(30), waits).await, None);
    assert!(clock.now() > START);
}

#[tokio::test]
async fn key_value_data_reads_as_it_read_then() {
    let value = |key: &str, value: Option<&[u8]>| Read::Value { key: key.into(), value: value.map(<[u8]>::to_vec) };
    let keys = Read::Keys { prefix: "p/".into(), after: None, most: 3, keys: vec!["p/a".into(), "p/b".into(), "p/c".into()] };
    let outside = outside(Vec::new(), vec![value("n", Some(b"1")), value("gone", None), value("n", Some(b"2")), keys, Read::UsedBytes(7)]);
    let mut read = Vec::new();
    for key in ["n", "n", "n", "gone", "never"] {
        read.push(outside.get("orders", key, START).await.unwrap());
    }
    assert_eq!(read, [Some(b"1".to_vec()), Some(b"2".to_vec()), Some(b"2".to_vec()), None, None]);
    assert_eq!(outside.list("orders", "p/", None, 2, START).await.unwrap(), ["p/a", "p/b"]);
    assert_eq!(outside.list("orders", "p/", None, 9, START).await.unwrap(), Vec::<String>::new(), "more than were asked for then");
    assert_eq!(outside.used_bytes("orders").await.unwrap(), 7);
    assert_eq!(outside.noted().unknown_reads, ["the value of `never`", "the keys that start with `p/`"]);
}

fn content(body: &str) -> Content {
    Content { content_type: "application/json".into(), headers: Headers::default(), body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn failure(code: &str) -> Failure {
    Failure { place: "sink".into(), code: code.into(), ..Failure::default() }
}

/// A message that was made into `body`, and the sink's word on it.
fn gone(body: &str, end: SinkEnd) -> Gone {
    let sunk = Sunk { end, asked: Asking::default() };
    Gone { made: vec![content(body)], sinks: BTreeMap::from([(0, sunk)]), ..Gone::default() }
}

fn delivered() -> SinkEnd {
    SinkEnd::Delivered { receipt: json!({ "remote-id": "1", "remote-version": null, "detail": null }) }
}

fn verdict(before: &Gone, after: &Gone) -> (Verdict, Vec<(String, String)>) {
    let told = compare(before, after, ReleaseId("00".repeat(32)));
    (told.verdict, told.changes.into_iter().map(|change| (change.of, change.path)).collect())
}

#[test]
fn what_fails_where_it_did_not_is_told_before_what_differs() {
    let (well, ill) = (gone("{}", delivered()), gone("{}", SinkEnd::Failed(failure("no"))));
    assert_eq!(verdict(&well, &well), (Verdict::Same, Vec::new()));
    assert_eq!(verdict(&well, &ill), (Verdict::NewlyFailing, Vec::new()));
    assert_eq!(verdict(&ill, &well), (Verdict::NewlyPassing, Vec::new()));
    assert_eq!(verdict(&ill, &ill), (Verdict::Same, Vec::new()));
    let otherwise = gone("{}", SinkEnd::Failed(failure("never")));
    assert_eq!(verdict(&ill, &otherwise), (Verdict::Changed, vec![("failure".into(), "code".into())]));
    let stopped = Gone { steps: Steps::Failed(failure("no")), ..Gone::default() };
    assert_eq!(verdict(&well, &stopped).0, Verdict::NewlyFailing);
}

#[test]
fn of_what_ran_out_of_time_nobody_knows_whether_it_would_again() {
    let (late, refused) = (SinkEnd::Failed(failure("timed-out")), SinkEnd::Failed(failure("no")));
    let (late, refused, well) = (gone("{}", late), gone("{}", refused), gone("{}", delivered()));
    assert!(late.ran_out_of_time(&well) && late.ran_out_of_time(&refused) && !late.ran_out_of_time(&late));
    assert!(!refused.ran_out_of_time(&well) && !well.ran_out_of_time(&late), "that it would be out of time now is told");
    let stopped = Gone { steps: Steps::Failed(failure("timed-out")), ..Gone::default() };
    assert!(stopped.ran_out_of_time(&well) && !stopped.ran_out_of_time(&stopped));
}

#[test]
fn one_part_more_that_fails_is_newly_failing() {
    let several = |ends: [bool; 3]| {
        let end = |fails: bool| if fails { SinkEnd::Failed(failure("no")) } else { delivered() };
        let sinks = ends.into_iter().map(|fails| Sunk { end: end(fails), asked: Asking::default() }).enumerate().collect();
        Gone { made: vec![content("{}"), content("{}"), content("{}")], sinks, ..Gone::default() }
    };
    let before = several([false, true, false]);
    assert_eq!(verdict(&before, &several([false, true, false])).0, Verdict::Same);
    assert_eq!(verdict(&before, &several([false, true, true])).0, Verdict::NewlyFailing);
    assert_eq!(verdict(&before, &several([true, false, false])).0, Verdict::NewlyFailing);
    assert_eq!(verdict(&before, &several([false, false, false])).0, Verdict::NewlyPassing);
    let stopped = Gone { steps: Steps::Failed(failure("no")), ..Gone::default() };
    assert_eq!(verdict(&before, &stopped).0, Verdict::NewlyFailing);
    assert_eq!(verdict(&several([true, true, true]), &stopped).0, Verdict::Changed, "nothing of it went well before");
}

#[test]
fn a_header_in_one_line_is_another_than_in_two() {
    let with = |headers: &[(&str, &str)]| {
        let headers = Headers(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        let made = vec![Content { headers, ..content("{}") }];
        Gone { made, ..gone("{}", delivered()) }
    };
    let (two, one) = (with(&[("x", "a"), ("x", "b")]), with(&[("x", "a, b")]));
    assert_eq!(verdict(&two, &two).0, Verdict::Same);
    assert_eq!(verdict(&two, &one), (Verdict::Changed, vec![("output".into(), "header x".into())]));
}

#[test]
fn fields_of_json_are_told_and_of_other_bodies_that_they_differ() {
    let before = gone(r#"{"a":1,"b":[1,2]}"#, delivered());
    let changed = |body: &str| verdict(&before, &gone(body, delivered()));
    let output = |path: &str| ("output".to_owned(), path.to_owned());
    assert_eq!(changed(r#"{"a":1,"b":[1,3],"c":0}"#), (Verdict::Changed, vec![output("/b/1"), output("/c")]));
    assert_eq!(changed(r#"{"a":1, "b":[1,2]}"#), (Verdict::Changed, vec![output("body")]), "another layout is another body");
    assert_eq!(changed("a;1"), (Verdict::Changed, vec![output("body")]));
    let two = Gone { made: vec![content("{}"), content("{}")], ..Gone::default() };
    assert!(verdict(&before, &two).1.contains(&output("")), "two messages in the place of one");
}

#[test]
fn a_skip_in_the_place_of_a_delivery_is_a_change() {
    let skipped = gone("{}", SinkEnd::Skipped { code: "test".into(), detail: String::new() });
    assert_eq!(verdict(&gone("{}", delivered()), &skipped), (Verdict::Changed, vec![("outcome".into(), String::new())]));
}

fn report() -> Report {
    Report::of(Candidate {
        integration: "orders".into(),
        release: ReleaseId("00".repeat(32)),
        environment: "test".into(),
        plugins: Vec::new(),
        since: "24h".into(),
        dead_letters: false,
        shadow: false,
    })
}

#[test]
fn what_a_message_holds_is_text_on_the_page_whatever_it_is() {
    let mut report = report();
    let before = gone(r#"{"<img src=x onerror=alert(1)>":"</style><script>alert(1)</script>"}"#, delivered());
    let after = gone(r#"{"<img src=x onerror=alert(1)>":"\u202e<b>"}"#, delivered());
    report.add(MessageId(uuid::Uuid::nil()), compare(&before, &after, ReleaseId("00".repeat(32))));
    let page = page(&report.sorted());
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;") && page.contains("&lt;script&gt;"), "{page}");
    for bad in ["<script", "<img", "<b>", "\u{202e}"] {
        assert!(!page.to_lowercase().contains(bad) || bad == "<b>" && page.matches("<b>").count() == Verdict::ALL.len(), "{bad}: {page}");
    }
}

#[test]
fn a_message_counts_once_in_a_group_and_a_few_are_shown() {
    let mut report = report();
    let before = gone(r#"{"lines":[1,2,3]}"#, delivered());
    let after = gone(r#"{"lines":[4,5,6]}"#, delivered());
    for number in 0..5 {
        report.add(MessageId(uuid::Uuid::from_u128(number)), compare(&before, &after, ReleaseId("00".repeat(32))));
    }
    let [group] = report.changes.as_slice() else { panic!("{:?}", report.changes) };
    assert_eq!((group.path.as_str(), group.count, group.samples.len()), ("/lines/*", 5, 3));
    assert_eq!((group.samples[0].path.as_str(), &group.samples[0].after), ("/lines/0", &Some(json!(4))));
    assert_eq!((report.messages, report.count(Verdict::Changed), report.is_same()), (5, 5, false));
    // One that is replayed is told of each time.
    report.add(MessageId(uuid::Uuid::from_u128(4)), compare(&before, &after, ReleaseId("00".repeat(32))));
    assert_eq!((report.changes[0].count, report.count(Verdict::Changed)), (6, 6));
}
