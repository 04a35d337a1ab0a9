//! The http capability against scripted answers: grants, limits, idempotency keys, obstacles.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::capability::egress::Stale;
use crate::clock::ManualClock;
use crate::integration::Allow;

/// Answers one after the other, and counts how many are asked for at once.
#[derive(Debug, Default)]
struct Answers {
    answers: Mutex<Vec<Result<EgressResponse, EgressError>>>,
    sent: Mutex<Vec<EgressRequest>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Egress for Answers {
    async fn send(&self, _: &str, _: &[Allow], request: EgressRequest) -> Result<EgressResponse, EgressError> {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.sent.lock().unwrap().push(request);
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.is_empty() { status(200, "") } else { answers.remove(0) }
        };
        tokio::task::yield_now().await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

fn status(status: u16, body: &str) -> Result<EgressResponse, EgressError> {
    Ok(EgressResponse {
        status,
        headers: Vec::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        retry_after: None,
        is_down: false,
        stale: None,
    })
}

fn http(answers: Vec<Result<EgressResponse, EgressError>>) -> (Http, Arc<Answers>) {
    http_within(answers, &Limits::default())
}

fn http_within(answers: Vec<Result<EgressResponse, EgressError>>, limits: &Limits) -> (Http, Arc<Answers>) {
    let egress = Arc::new(Answers { answers: Mutex::new(answers), ..Answers::default() });
    let bindings = BTreeMap::from([("target".to_owned(), Binding { alias: "crm".into(), allow: Vec::new() })]);
    let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
    let outside = Outside { egress: egress.clone(), clock, metrics: Arc::new(Metrics::new()) };
    let sender = Sender { integration: "orders".into(), message: 1 };
    (Http::new(outside, Arc::new(bindings), sender, "base".into(), limits), egress)
}

fn request(path: &str) -> Request {
    Request { method: "GET".into(), path: path.into(), headers: Vec::new(), body: Bytes::new(), label: None, timeout: None }
}

#[tokio::test]
async fn refuses_unknown_slots_and_methods_without_a_trace() {
    let (mut http, _) = http(vec![]);
    assert!(matches!(http.send("other", request("/")).await, Err(HttpError::Denied(_))));
    let odd = Request { method: "TRACE".into(), ..request("/") };
    assert!(matches!(http.send("target", odd).await, Err(HttpError::Denied(_))));
    assert!(http.into_record().0.is_empty());
}

#[tokio::test]
async fn keeps_what_was_sent_and_what_was_answered_if_anything_was() {
    let answered = EgressResponse {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into())],
        body: Bytes::from_static(b"{}"),
        retry_after: None,
        is_down: false,
        stale: None,
    };
    let (mut http, _) = http(vec![Ok(answered), Err(EgressError::Unreachable("refused".into()))]);
    let headers = vec![("Content-Type".to_owned(), "text/xml".to_owned())];
    for _ in 0..2 {
        drop(http.send("target", Request { headers: headers.clone(), body: Bytes::from_static(b"<a/>"), ..request("/") }).await);
    }
    let kept: Vec<_> = http.into_record().0.into_iter().map(|record| record.exchange).collect();
    let sent = KeptBody { content_type: Some("text/xml".into()), beginning: Bytes::from_static(b"<a/>"), bytes: 4 };
    let answer = KeptBody { content_type: Some("application/json".into()), beginning: Bytes::from_static(b"{}"), bytes: 2 };
    assert_eq!(kept, [Exchange { sent: sent.clone(), answer: Some(answer) }, Exchange { sent, answer: None }]);
}

fn stale() -> Stale {
    Stale { age_s: 300, instead_of: "unreachable".into() }
}

#[tokio::test]
async fn the_ledger_says_of_a_kept_answer_how_old_it_is_and_what_it_stands_for() {
    let (mut http, _) = http(vec![status(200, "kept").map(|answer| EgressResponse { stale: Some(stale()), ..answer })]);
    assert_eq!(http.send("target", request("/")).await.unwrap().body, "kept");
    let record = http.into_record().0.remove(0);
    let told = serde_json::to_value(&record).unwrap();
    assert_eq!((record.answer.as_str(), &told["stale"]), ("200", &serde_json::json!({ "age-s": 300, "instead-of": "unreachable" })));
}

#[tokio::test]
async fn sends_at_most_six_at_once_and_answers_in_order() {
    let (mut http, egress) = http(vec![]);
    let mut requests: Vec<_> = (0..20).map(|n| request(&format!("/{n}"))).collect();
    requests[3].method = "TRACE".into();
    let answers = http.send_all("target", requests).await;
    assert!(answers.iter().enumerate().all(|(index, answer)| answer.is_err() == (index == 3)));
    assert_eq!(egress.most.load(Ordering::SeqCst), 6);
    let paths: Vec<_> = http.into_record().0.into_iter().map(|record| record.path).collect();
    assert_eq!(paths[..4], ["/0", "/1", "/2", "/4"]);
}

#[tokio::test]
async fn the_last_request_says_what_stands_in_the_way() {
    let held = |kind| Err(EgressError::Held { kind, until: Some(Timestamp(9_000)) });
    let cases = [
        (Err(EgressError::Unreachable("refused".into())), Some(ObstacleKind::Unreachable)),
        (held(Hold::Open), Some(ObstacleKind::BreakerOpen)),
        (Err(EgressError::NotKept { until: None }), Some(ObstacleKind::NotKept)),
        (status(503, "").map(|answer| EgressResponse { status: 200, stale: Some(stale()), ..answer }), None),
        (held(Hold::Throttled), Some(ObstacleKind::RateLimited)),
        (held(Hold::CredentialRefused), Some(ObstacleKind::CredentialRefused)),
        (status(429, ""), Some(ObstacleKind::RateLimited)),
        (status(503, ""), Some(ObstacleKind::Unavailable)),
        (Err(EgressError::RateUsedUp { until: None }), Some(ObstacleKind::RateLimited)),
        (status(502, "").map(|answer| EgressResponse { is_down: true, ..answer }), Some(ObstacleKind::Unavailable)),
        (status(502, ""), None),
        (Err(EgressError::CredentialRefused("401".into())), Some(ObstacleKind::CredentialRefused)),
        (Err(EgressError::TimedOut), None),
        (status(500, ""), None),
        (status(404, ""), None),
    ];
    for (answer, kind) in cases {
        let (mut alone, _) = http(vec![answer.clone()]);
        let _ = alone.send("target", request("/")).await;
        assert_eq!(alone.into_record().1.map(|obstacle| obstacle.kind), kind, "{answer:?}");
        let (mut cleared, _) = http(vec![answer, status(200, "")]);
        let _ = cleared.send("target", request("/")).await;
        let _ = cleared.send("target", request("/")).await;
        assert_eq!(cleared.into_record().1, None, "an ordinary answer clears it");
    }
}

#[tokio::test]
async fn in_a_call_for_many_messages_an_answer_about_another_one_clears_no_obstacle() {
    let (http, _) = http(vec![Err(EgressError::Unreachable("reset".into())), status(200, "")]);
    let mut http = http.for_many(true);
    let _ = http.send("target", request("/")).await;
    let _ = http.send("target", request("/")).await;
    assert_eq!(http.into_record().1.map(|obstacle| obstacle.kind), Some(ObstacleKind::Unreachable));
}

#[tokio::test]
async fn of_several_obstacles_a_refused_credential_comes_first() {
    let until = |at| Err(EgressError::Held { kind: Hold::Throttled, until: Some(Timestamp(at)) });
    let (mut http, _) = http(vec![until(5_000), Err(EgressError::CredentialRefused("401".into())), until(7_000)]);
    let _ = http.send_all("target", vec![request("/"); 3]).await;
    let obstacle = http.into_record().1.unwrap();
    assert_eq!((obstacle.kind, obstacle.not_before), (ObstacleKind::CredentialRefused, Some(Timestamp(7_000))));
}

#[tokio::test]
async fn keys_are_by_label_or_by_ordinal_and_the_same_in_another_call() {
    let send = async || {
        let (mut http, egress) = http(vec![]);
        let labelled = Request { label: Some("account".into()), ..request("/a") };
        for request in [request("/a"), request("/a"), request("/b"), labelled] {
            http.send("target", request).await.unwrap();
        }
        let sent = egress.sent.lock().unwrap();
        sent.iter().map(|request| request.idempotency_key.clone()).collect::<Vec<_>>()
    };
    let keys = send().await;
    assert_eq!(keys, send().await);
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[tokio::test]
async fn keeps_an_excerpt_of_an_answer_that_is_not_2xx() {
    let (mut http, _) = http(vec![status(400, &"x".repeat(5_000)), status(200, "secret")]);
    let _ = http.send_all("target", vec![request("/"); 2]).await;
    let (records, _) = http.into_record();
    assert_eq!(records[0].answer_excerpt.as_ref().unwrap().len(), EXCERPT_BYTES_MAX);
    assert_eq!(records[1].answer_excerpt, None);
}

#[tokio::test]
async fn a_request_ends_before_its_call_does() {
    let (mut http, egress) = http(vec![]);
    http.send("target", Request { timeout: Some(Duration::from_secs(600)), ..request("/") }).await.unwrap();
    http.send("target", Request { timeout: Some(Duration::from_millis(5)), ..request("/") }).await.unwrap();
    let sent = egress.sent.lock().unwrap();
    assert_eq!(sent[0].timeout, Limits::default().wall - LEFT_AFTER_TIMEOUT);
    assert_eq!(sent[1].timeout, Duration::from_millis(5));
}

#[tokio::test]
async fn refuses_answers_that_do_not_fit_into_the_guest_together() {
    let limits = Limits { memory_bytes: 10, ..Limits::default() };
    let (mut http, _) = http_within(vec![status(200, "123456"), status(200, "123456"), status(200, "1234")], &limits);
    let answers = http.send_all("target", vec![request("/"); 3]).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(HttpError::TooLarge))).count();
    let bytes: usize = answers.iter().flatten().map(|response| response.body.len()).sum();
    assert_eq!((refused, bytes), (1, 10), "whichever of the first two came later");
}
