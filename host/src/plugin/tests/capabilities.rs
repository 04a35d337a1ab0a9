//! What a plugin does through its imports, seen from the report.

use std::time::Duration;

use super::*;
use crate::plugin::ObstacleKind;

#[tokio::test]
async fn shows_a_plugin_its_message_context_and_config() {
    let fixture = fixture(Limits::default());
    assert_eq!(fixture.text("context").await, "2 1 1700000000000 customer-1");
    assert_eq!(fixture.text("config").await, "{\"stage\":\"new\"}");
}

#[tokio::test]
async fn passes_skips_and_failures_on() {
    let fixture = fixture(Limits::default());
    assert_eq!(fixture.run("skip not mine").await.result, Ok(Output::Skip { code: "odd".into(), detail: "not mine".into() }));
    let transient = CallFailure::Transient { code: "busy".into(), detail: "later".into(), retry_after: Some(Duration::from_millis(250)) };
    assert_eq!(fixture.run("transient later").await.result, Err(transient));
    let permanent = CallFailure::Permanent { code: "bad".into(), detail: "never".into() };
    assert_eq!(fixture.run("permanent never").await.result, Err(permanent));
}

#[tokio::test]
async fn buffers_key_value_writes_and_reads_them_back() {
    let report = fixture(Limits::default()).run("kv").await;
    assert_eq!(text(&report), "Ok(()) Ok(Some([49])) Ok(true) Ok(42) Ok([\"a\"]) Ok(())");
    let written: Vec<_> = report.effects.key_values.iter().map(|w| (w.integration.as_str(), w.key.as_str(), w.value.as_deref())).collect();
    assert_eq!(written, [("orders", "a", Some(b"42".as_slice())), ("orders", "gone", None)]);
    assert_eq!(report.effects.locks.len(), 1);
}

#[tokio::test]
async fn carries_effects_from_call_to_call() {
    let fixture = fixture(Limits::default());
    let first = fixture.run("increment n").await;
    let second = fixture.invoker.invoke(call("increment n"), first.effects).await;
    assert_eq!(text(&second), "Ok(2)");
    let third = fixture.invoker.invoke(call("queue read"), second.effects).await;
    assert_eq!((third.effects.key_values.len(), third.effects.locks.len(), third.effects.sends.len()), (1, 1, 1));
}

#[tokio::test]
async fn a_counter_is_held_until_its_settlement() {
    let fixture = fixture(Limits::default());
    let first = fixture.run("increment n").await;
    let mut second = std::pin::pin!(fixture.run("increment n"));
    for _ in 0..50 {
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(first.effects);
    assert_eq!(text(&second.await), "Ok(1)", "the first never settled");
}

#[tokio::test]
async fn sends_only_to_channels_that_are_read() {
    let fixture = fixture(Limits::default());
    assert_eq!(fixture.text("queue unread").await, "Err(QueueError::NoSuchChannel)");
    let report = fixture.run("queue read").await;
    assert_eq!(text(&report), "Ok(())");
    let send = &report.effects.sends[0];
    assert_eq!((send.channel.as_str(), send.delay, send.dedup_token.as_deref()), ("read", Some(Duration::from_millis(5)), Some("once")));
}

#[tokio::test]
async fn denies_http_when_the_slot_is_not_bound() {
    let report = fixture(Limits::default()).run("http tax").await;
    assert!(text(&report).contains("Denied"), "{}", text(&report));
    assert!(report.requests.is_empty() && report.obstacle.is_none());
}

#[tokio::test]
async fn delivers_through_the_alias_bound_to_the_slot() {
    let fixture = fixture(Limits::default());
    let report = fixture.invoker.invoke(Call { export: Export::Deliver, ..call("{}") }, Effects::default()).await;
    let receipt = Output::Receipt { remote_id: Some("200".into()), remote_version: None, detail: Some("fine".into()) };
    assert_eq!(report.result, Ok(receipt));
    let sent = fixture.egress.sent.lock().unwrap();
    let (alias, request) = &sent[0];
    assert_eq!((alias.as_str(), request.method.as_str(), &request.body[..]), ("crm", "POST", b"{}".as_slice()));
    assert_eq!(report.requests[0].idempotency_key, request.idempotency_key);
    assert_eq!(report.requests[0].answer, "200");
}

/// A call for messages with these bodies.
fn batch(bodies: &[&str]) -> Call {
    let mut messages = bodies.iter().map(|body| call(body).message);
    Call { export: Export::DeliverBatch, message: messages.next().unwrap(), others: messages.collect(), ..call("") }
}

#[tokio::test]
async fn one_trap_ends_the_call_of_a_whole_batch() {
    let report = fixture(Limits::default()).invoker.invoke(batch(&["a", "trap", "b"]), Effects::default()).await;
    assert_eq!(fault(report).0, FailureClass::Trapped);
}

#[tokio::test]
async fn a_batch_has_a_result_for_each_message_in_its_order() {
    let call = batch(&["a", "permanent", "skip", "b"]);
    let receipt = |message: &Arc<Message>| Output::Receipt {
        remote_id: Some(message.id.to_string()),
        remote_version: None,
        detail: Some("customer-1 2 1".into()),
    };
    let expected = vec![
        Ok(receipt(&call.message)),
        Err(CallFailure::Permanent { code: "bad".into(), detail: String::new() }),
        Ok(Output::Skip { code: "odd".into(), detail: String::new() }),
        Ok(receipt(&call.others[2])),
    ];
    let report = fixture(Limits::default()).invoker.invoke(call, Effects::default()).await;
    assert_eq!(report.result, Ok(Output::Each(expected)));
}

#[tokio::test]
async fn refuses_the_thirty_third_request() {
    let report = fixture(Limits::default()).run("http-many 33").await;
    let text = text(&report);
    let words: Vec<_> = text.lines().collect();
    assert_eq!(words[..32], ["200"; 32]);
    assert!(words[32].contains("TooManyRequests"));
    assert_eq!(report.requests.iter().map(|r| &r.idempotency_key).collect::<BTreeSet<_>>().len(), 32);
}

#[tokio::test]
async fn reports_the_obstacle_a_target_is() {
    let clock = Arc::new(SystemClock::new());
    let fixture = fixture_with(Limits::default(), clock, Box::new(|_| Some(Err(EgressError::Unreachable("refused".into())))));
    let report = fixture.run("http target").await;
    let obstacle = report.obstacle.unwrap();
    assert_eq!((obstacle.kind, obstacle.alias.as_str()), (ObstacleKind::Unreachable, "crm"));
}

/// A poll of a target that answers with `body`.
async fn poll(body: &'static str) -> (Fixture, Report) {
    let fixture = fixture_with(Limits::default(), Arc::new(SystemClock::new()), Box::new(move |_| Some(answer(200, body))));
    let call = Call { export: Export::Poll, cursor: Some("a".into()), ..call("") };
    let report = fixture.invoker.invoke(call, Effects::default()).await;
    (fixture, report)
}

#[tokio::test]
async fn polls_from_its_cursor_and_gives_a_page_back() {
    let (fixture, report) = poll("b\nmore\n1 k one").await;
    let Ok(Output::Page(page)) = report.result else { panic!("{:?}", report.result) };
    assert_eq!((page.cursor.as_str(), page.more, page.items.len()), ("b", true, 1));
    let item = &page.items[0];
    assert_eq!((item.id.as_str(), item.key.as_deref(), &item.draft.body[..]), ("1", Some("k"), b"one".as_slice()));
    assert_eq!(fixture.egress.sent.lock().unwrap()[0].1.path, "/changes?since=a");
}

#[tokio::test]
async fn a_page_has_the_limits_of_any_output() {
    let many: &'static str = Box::leak(format!("b\nend\n{}", "1 k x\n".repeat(10_001)).into_boxed_str());
    let (_, report) = poll(many).await;
    let (class, detail) = fault(report);
    assert_eq!(class, FailureClass::OutputTooLarge);
    assert!(detail.contains("10001") && detail.contains("messages"), "{detail}");
}
