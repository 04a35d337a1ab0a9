//! What is held against what is expected, and how a difference is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::super::content::Content;
use super::super::file::{Fate, START};
use super::super::judge::{Mismatch, judge};
use super::super::outside::{Reply, Request};
use super::super::run::{Came, Happened, Output};
use super::{one, parse};
use crate::message::FailureClass;

/// A message that was delivered as `output`, with some requests, all under one key.
fn happened(output: &str, requests: &[(&str, &str, u16)]) -> Happened {
    let request = |(alias, to, status): &(&str, &str, u16)| {
        let (method, path) = to.split_once(' ').unwrap();
        Request {
            at: START,
            alias: (*alias).into(),
            is_token: false,
            method: method.into(),
            path: path.into(),
            headers: vec![("x-a".into(), "1".into())],
            body: Bytes::copy_from_slice(output.as_bytes()),
            idempotency_key: "key".into(),
            reply: Reply::status(*status),
        }
    };
    Happened {
        messages: vec![came("1", Fate::Delivered, output)],
        brought: Vec::new(),
        requests: requests.iter().map(request).collect(),
        channels: BTreeMap::new(),
        key_values: BTreeMap::new(),
        aliases: Vec::new(),
        cursor: None,
        unanswered: None,
        lines: Vec::new(),
        took: Duration::from_secs(60),
    }
}

fn came(name: &str, fate: Fate, output: &str) -> Came {
    Came {
        name: name.into(),
        id: None,
        fate,
        class: None,
        code: None,
        detail: None,
        fault: None,
        attempts: 1,
        waits: 0,
        took: Some(Duration::from_secs(5)),
        outputs: vec![Output { content: Content::json_text(output), headers: Vec::new() }],
        family: Vec::new(),
        keys: BTreeSet::from(["key".to_owned()]),
        receipts: Vec::new(),
    }
}

/// What is not as `expect` says: of what, where, expected, got.
fn told(expect: &str, happened: &Happened) -> Vec<(String, String, String, String)> {
    let message = "message = [{ name = \"1\", text = \"\" }, { name = \"2\", text = \"\" }]";
    let file = parse(&one(&format!("{message}\nexpect = {expect}"))).unwrap();
    let short = |mismatch: Mismatch| (mismatch.of, mismatch.path, mismatch.expected, mismatch.got);
    judge(&file.scenarios[0], happened).into_iter().map(short).collect()
}

fn row(of: &str, path: &str, expected: &str, got: &str) -> (String, String, String, String) {
    (of.into(), path.into(), expected.into(), got.into())
}

#[test]
fn another_outcome_is_told_with_its_reason() {
    let mut happened = happened("{}", &[]);
    let dead = Came {
        class: Some(FailureClass::Permanent),
        code: Some("bad".into()),
        detail: Some("/a is missing".into()),
        ..came("1", Fate::DeadLettered, "{}")
    };
    happened.messages = vec![dead];
    let got = "dead-lettered permanent bad: /a is missing";
    assert_eq!(told("{ outcome = \"delivered\", code = \"x\" }", &happened), [row("outcome", "", "delivered", got)]);
    assert_eq!(told("{ code = \"worse\", class = \"permanent\", detail = \"/a\" }", &happened), [row("code", "", "worse", got)]);
    assert_eq!(told("{ detail = \"/b\" }", &happened), [row("detail", "", "something with \"/b\"", got)]);
}

#[test]
fn json_is_told_field_by_field() {
    let happened = happened(r#"{"a":1,"b":{"c":"x"},"d":10.00}"#, &[]);
    let whole = r#"{ output = { json = { a = 2, b = { c = "x" }, d = 10.0, e = true } } }"#;
    assert_eq!(
        told(whole, &happened),
        [row("output", "/a", "2", "1"), row("output", "/d", "10.0", "10.00"), row("output", "/e", "true", "nothing")]
    );
    assert_eq!(told(r#"{ output = { json = { d = 10.00, b = { c = "x" }, a = 1 } } }"#, &happened), [], "whatever the order");
    let fields = r#"{ output = { fields = { "/a" = 1, "/b/c" = "y" }, absent = ["/d"], null = ["/a"] } }"#;
    assert_eq!(
        told(fields, &happened),
        [row("output", "/b/c", "\"y\"", "\"x\""), row("output", "/d", "nothing", "10.00"), row("output", "/a", "null", "1")]
    );
}

#[test]
fn a_field_that_nobody_has_is_told_with_the_one_that_is_nearest() {
    let file =
        parse(&one("message = { text = \"\" }\nexpect = { output = { fields = { \"/customer/nam\" = 1 }, null = [\"/zzz\"] } }")).unwrap();
    let hints: Vec<_> =
        judge(&file.scenarios[0], &happened(r#"{"customer":{"name":1}}"#, &[])).into_iter().map(|one| one.hint.unwrap()).collect();
    assert_eq!(hints, ["did you mean /customer/name?", "there is: customer"]);
}

#[test]
fn requests_are_all_and_in_order() {
    let got = happened("{}", &[("crm", "POST /a", 500), ("crm", "POST /a", 200), ("erp", "GET /b", 200)]);
    let two = r#"{ to = "POST /a", times = 2, same-key = true, headers = { X-A = "1" } }"#;
    assert_eq!(told(&format!("{{ request = [{two}, {{ alias = \"erp\", to = \"GET *\" }}] }}"), &got), []);
    assert_eq!(told(&format!("{{ request = {two} }}"), &got), [row("request 3", "", "none", "erp GET /b (answered 200)")]);
    assert_eq!(told("{ request = [] }", &got), [row("request 1", "", "none", "crm POST /a (answered 500), and 2 more")]);
    assert_eq!(told("{ request = { to = \"POST /a\", times = 3 } }", &got), [row("request 3", "", "POST /a", "erp GET /b (answered 200)")]);
    let any = "{ request = [{ to = \"POST /a\", times = \"any\" }, { to = \"GET /b\" }, { to = \"GET /c\" }] }";
    assert_eq!(told(any, &got), [row("request 4", "", "GET /c", "none")]);
}

#[test]
fn what_nobody_took_the_target_did_not_get() {
    let mut got = happened("{}", &[("crm", "POST /a", 200)]);
    got.requests.insert(0, Request { reply: Reply::Unreachable, ..got.requests[0].clone() });
    assert_eq!(told("{ request = { to = \"POST /a\" } }", &got), []);
}

#[test]
fn other_keys_for_what_should_be_the_same_are_told() {
    let mut got = happened("{}", &[("crm", "POST /a", 500), ("crm", "POST /a", 200)]);
    got.requests[1].idempotency_key = "other".into();
    let told = told("{ request = { to = \"POST /a\", times = 2, same-key = true } }", &got);
    assert_eq!(told, [row("requests POST /a", "idempotency-key", "the same for all of them", "several")]);
}

#[test]
fn of_several_messages_the_one_that_differs_is_named() {
    let mut happened = happened("{}", &[]);
    happened.messages.push(Came { attempts: 3, took: None, ..came("2", Fate::Waiting, "{}") });
    assert_eq!(told("{ outcome = \"delivered\" }", &happened), [row("message 2: outcome", "", "delivered", "waiting")]);
    assert_eq!(told("{ of = \"2\", outcome = \"waiting\", attempts = 2 }", &happened), [row("message 2: attempts", "", "2", "3")]);
    assert_eq!(told("{ of = \"1\", not-before = \"10s\", within = \"1s\" }", &happened).len(), 2);
    assert_eq!(told("{ of = \"2\", within = \"1s\" }", &happened), [row("message 2: time", "", "within 1s", "it has not ended")]);
}

#[test]
fn what_is_written_is_compared_key_by_key_and_message_by_message() {
    let mut happened = happened("{}", &[]);
    happened.key_values = BTreeMap::from([("a".to_owned(), Some(Bytes::from_static(b"{\"n\":1}"))), ("b".to_owned(), None)]);
    assert_eq!(
        told("{ key-values = { a = { n = 2 }, b = \"x\" } }", &happened),
        [row("key-value a", "/n", "2", "1"), row("key-value b", "", "a value", "none")]
    );
    assert_eq!(told("{ absent-key-values = [\"a\", \"b\"] }", &happened), [row("key-value a", "", "none", "{\"n\":1}")]);
    happened.channels = BTreeMap::from([("out".to_owned(), vec![Output { content: Content::text("x"), headers: Vec::new() }])]);
    assert_eq!(told("{ channels = { out = [{ text = \"y\" }] } }", &happened), [row("channel out message", "", "y", "x")]);
    assert_eq!(told("{ channels = { out = [] } }", &happened), [row("channel out messages", "", "0", "1")]);
}

#[test]
fn a_request_without_an_answer_is_all_that_is_told() {
    let mut got = happened("{}", &[("crm", "POST /a", 200)]);
    got.unanswered = Some(got.requests[0].clone());
    assert_eq!(told("{ outcome = \"waiting\" }", &got), [row("request crm POST /a", "", "an answer in the scenario", "none")]);
}
