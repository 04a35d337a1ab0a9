//! What a scripted system answers, and when.

use std::time::Duration;

use bytes::Bytes;

use super::super::file::{Pattern, START};
use super::super::outside::{Answers, Reply, Request, Script};
use super::{one, parse};

fn script(answers: &str) -> Script {
    let text = one(&format!("message = {{ text = \"\" }}\nexpect = {{ attempts = 1 }}\nanswer = {answers}"));
    Script::new(parse(&text).unwrap().scenarios[0].answers.clone(), START)
}

fn request(alias: &str, method: &str, path: &str, after: Duration) -> Request {
    Request {
        at: START.plus(after),
        alias: alias.into(),
        is_token: method == "TOKEN",
        method: method.into(),
        path: path.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        idempotency_key: String::new(),
        reply: Reply::Silence,
    }
}

fn status(script: &Script, request: &Request) -> Option<u16> {
    match script.answer(request).1 {
        Reply::Answer { status, .. } => Some(status),
        _ => None,
    }
}

#[test]
fn a_request_that_nothing_fits_is_noted_once_and_meets_nobody() {
    let script = script("{ to = \"POST /a\" }");
    assert_eq!(script.answer(&request("crm", "POST", "/b", Duration::ZERO)).1, Reply::Unreachable);
    script.answer(&request("crm", "POST", "/c", Duration::ZERO));
    assert_eq!(script.unanswered().unwrap().path, "/b");
}

#[test]
fn the_first_answer_that_fits_and_is_not_used_up_is_given() {
    let script = script(
        "[{ alias = \"crm\", to = \"POST /a\", status = 500, times = 2 }, { to = \"POST /a\", status = 429, until = \"1m\" }, \
         { to = \"* /a\", status = 201, from = \"1m\" }]",
    );
    let ask = |alias, after| status(&script, &request(alias, "POST", "/a", Duration::from_secs(after)));
    assert_eq!(ask("erp", 0), Some(429), "the first is the CRM's");
    assert_eq!([ask("crm", 0), ask("crm", 0), ask("crm", 59), ask("crm", 60)], [Some(500), Some(500), Some(429), Some(201)]);
}

#[test]
fn a_token_is_given_where_nothing_else_is_said_of_it() {
    let script = script("[{ to = \"*\", status = 404 }, { to = \"token\", status = 503, times = 1 }]");
    let ask = || status(&script, &request("crm", "TOKEN", "/token", Duration::ZERO));
    assert_eq!([ask(), ask()], [Some(503), Some(200)], "what is said of every request is not said of tokens");
    assert!(script.unanswered().is_none());
}

#[test]
fn half_of_a_body_comes_where_it_is_truncated() {
    let script = script("{ text = \"12345678\", fault = \"truncated\" }");
    let Reply::Answer { status, headers, body } = script.answer(&request("crm", "GET", "/", Duration::ZERO)).1 else { panic!("no answer") };
    assert_eq!((status, &body[..]), (200, &b"1234"[..]));
    assert_eq!(headers, [("content-type".to_owned(), "text/plain".to_owned())]);
}

#[test]
fn a_star_stands_for_any_characters() {
    for (pattern, method, path, fits) in [
        ("POST /a", "POST", "/a", true),
        ("POST /a", "POST", "/a?b=1", true),
        ("POST /a", "PUT", "/a", false),
        ("POST /a", "POST", "/a/b", false),
        ("* /a/*/c", "PUT", "/a/b/b/c", true),
        ("* /a/*/c", "PUT", "/a/b/cc", false),
        ("GET /a?x=*", "GET", "/a?x=1&y=2", true),
        ("GET /a?x=*", "GET", "/a", false),
        ("GET *", "GET", "/", true),
        ("GET /**a", "GET", "/bca", true),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().fits(method, path), fits, "{pattern} {method} {path}");
    }
    for wrong in ["", "POST", "post /a", "POST a", "POST  /a"] {
        assert!(Pattern::parse(wrong).is_err(), "{wrong}");
    }
}
