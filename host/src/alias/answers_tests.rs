//! What is kept, for whom, for how long, and within which bounds.

use bytes::Bytes;

use super::*;
use crate::alias::Sender;

const HOUR: Duration = Duration::from_secs(3_600);

fn request(integration: &str, path: &str, headers: &[(&str, &str)]) -> Prepared {
    let headers = headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()));
    Prepared {
        method: Method::GET,
        url: format!("https://crm.example{path}").parse().unwrap(),
        headers: headers.collect(),
        body: Bytes::new(),
        timeout: HOUR,
        sender: Sender { integration: integration.into(), message: 1 },
    }
}

fn question(path: &str) -> Question {
    Question::of(&request("orders", path, &[])).unwrap()
}

fn answered(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> EgressResponse {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    EgressResponse { status, headers, body: body.into(), retry_after: None, is_down: false, stale: None }
}

/// What is found at the same time, as text.
fn found(answers: &Answers, question: &Question) -> Option<String> {
    let found = answers.find(question, Timestamp(0), HOUR)?;
    Some(String::from_utf8(found.answer.body.to_vec()).unwrap())
}

fn keep(answers: &Answers, question: &Question, headers: &[(&str, &str)]) -> bool {
    answers.keep(question, &answered(200, headers, "fine"), Timestamp(0), answers.era());
    found(answers, question).is_some()
}

#[test]
fn nothing_is_kept_of_a_request_that_is_more_than_a_question() {
    let with_body = Prepared { body: Bytes::from_static(b"q"), ..request("orders", "/a", &[]) };
    let posted = Prepared { method: Method::POST, ..request("orders", "/a", &[]) };
    let of_a_part = request("orders", "/a", &[("range", "bytes=0-1")]);
    let own_cache = request("orders", "/a", &[("if-none-match", "\"1\"")]);
    let fresh = request("orders", "/a", &[("cache-control", "max-age=0, No-Cache")]);
    for request in [with_body, posted, of_a_part, own_cache, fresh] {
        assert!(Question::of(&request).is_none(), "{request:?}");
    }
}

#[test]
fn nothing_is_kept_that_says_it_must_not_be() {
    let answers = Answers::default();
    for control in ["no-store", "private, NO-STORE", "no-cache=\"set-cookie\"", "max-age=5,must-revalidate"] {
        assert!(!keep(&answers, &question("/a"), &[("cache-control", control)]), "{control}");
    }
    assert!(!keep(&answers, &question("/a"), &[("vary", "accept, *")]));
    assert!(keep(&answers, &question("/a"), &[("cache-control", "private, max-age=5")]), "nobody else gets it");
}

#[test]
fn an_answer_that_is_none_to_be_kept_ends_the_one_before() {
    for other in [answered(404, &[], ""), answered(204, &[], ""), answered(200, &[("cache-control", "no-store")], "new")] {
        let answers = Answers::default();
        assert!(keep(&answers, &question("/a"), &[]));
        answers.keep(&question("/a"), &other, Timestamp(0), answers.era());
        assert_eq!(found(&answers, &question("/a")), None, "{other:?}");
    }
}

#[test]
fn no_integration_finds_what_another_was_answered() {
    let answers = Answers::default();
    assert!(keep(&answers, &question("/a?b=1"), &[]));
    for (integration, path) in [("invoices", "/a?b=1"), ("orders", "/a?b=2"), ("orders", "/a"), ("orders", "/A?b=1")] {
        assert_eq!(found(&answers, &Question::of(&request(integration, path, &[])).unwrap()), None, "{integration} {path}");
    }
}

#[test]
fn what_was_asked_otherwise_is_another_question() {
    let answers = Answers::default();
    let asked = |headers: &[(&str, &str)]| Question::of(&request("orders", "/a", headers)).unwrap();
    assert!(keep(&answers, &asked(&[("accept", "text/csv"), ("x-id", "1")]), &[]));
    assert_eq!(found(&answers, &asked(&[("accept", "application/json")])), None);
    assert_eq!(found(&answers, &asked(&[("accept", "text/csv"), ("accept-language", "de")])), None);
    assert!(found(&answers, &asked(&[("accept", "text/csv"), ("x-id", "2")])).is_some(), "what does not matter to the target");
    assert!(keep(&answers, &asked(&[("accept", "text/csv"), ("x-id", "1")]), &[("vary", "Accept, X-Id")]));
    assert_eq!(found(&answers, &asked(&[("accept", "text/csv"), ("x-id", "2")])), None, "it does");
    assert!(found(&answers, &asked(&[("accept", "text/csv"), ("x-id", "1")])).is_some());
}

#[test]
fn an_answer_is_as_old_as_the_target_says_and_gone_when_it_is_too_old() {
    let answers = Answers::default();
    let kept = answered(200, &[("age", "600"), ("etag", "\"1\"")], "fine");
    answers.keep(&question("/a"), &kept, Timestamp(0), answers.era());
    let found = answers.find(&question("/a"), Timestamp(60_000), HOUR).unwrap();
    assert_eq!((found.age, found.answer.headers.len()), (Duration::from_secs(660), 1), "without the old age");
    assert!(answers.find(&question("/a"), Timestamp(3_000_001), HOUR).is_none());
    assert!(answers.find(&question("/a"), Timestamp(0), HOUR).is_none(), "it is forgotten");
    let odd = answered(200, &[("age", "-7 or so")], "fine");
    answers.keep(&question("/a"), &odd, Timestamp(0), answers.era());
    assert_eq!(answers.find(&question("/a"), Timestamp(0), HOUR).unwrap().age, Duration::ZERO);
}

#[test]
fn what_was_changed_or_given_to_another_credential_is_forgotten() {
    let answers = Answers::default();
    let (changed, other) = (question("/a"), question("/b"));
    assert!(keep(&answers, &changed, &[]) && keep(&answers, &other, &[]));
    answers.forget("https://crm.example/a");
    assert_eq!((found(&answers, &changed), found(&answers, &other).is_some()), (None, true));
    let asked_before = answers.era();
    answers.forget_all();
    assert_eq!(found(&answers, &other), None);
    answers.keep(&other, &answered(200, &[], "fine"), Timestamp(0), asked_before);
    assert_eq!(found(&answers, &other), None, "it was on its way with the old credential");
}

#[test]
fn of_more_than_there_is_room_for_the_least_recently_used_go() {
    let answers = Answers::default();
    for number in 0..ANSWERS_MAX {
        assert!(keep(&answers, &question(&format!("/{number}")), &[]));
    }
    assert!(found(&answers, &question("/0")).is_some(), "used again");
    assert!(keep(&answers, &question("/new"), &[]));
    assert_eq!(found(&answers, &question("/1")), None);
    assert!(found(&answers, &question("/0")).is_some());
}

#[test]
fn their_bytes_are_bounded_each_and_together() {
    let answers = Answers::default();
    let keep = |path: &str, bytes| answers.keep(&question(path), &answered(200, &[], vec![b'x'; bytes]), Timestamp(0), answers.era());
    keep("/too-long", ANSWER_BYTES_MAX);
    assert!(answers.find(&question("/too-long"), Timestamp(0), HOUR).is_none());
    for number in 0..40 {
        keep(&format!("/{number}"), ANSWER_BYTES_MAX / 2);
    }
    let kept = (0..40).filter(|number| answers.find(&question(&format!("/{number}")), Timestamp(0), HOUR).is_some()).count();
    assert_eq!(kept, 31, "as many as fit with what each takes beside its body");
    let inside = answers.lock();
    assert!(inside.bytes <= ANSWERS_BYTES_MAX && inside.by_use.len() == inside.kept.len());
}
