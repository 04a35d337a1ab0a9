//! One suite for every language: the same plugins, written in Rust, JavaScript (TypeScript) and Python, are given the same messages and the same
//! answers. What they make of them is the same, to the byte; and nothing that a message can hold ends one of them with a trap.

mod bodies;
mod languages;
mod stage;

use lockgate::capability::egress::EgressError;
use lockgate::plugin::{CallFailure, Output};

use languages::{Spoken, spoken};
use stage::{Answers, Given, answer};

/// A call of each language's plugin, and its name.
fn each<'a, T>(all: &'a [Spoken], call: impl Fn(&'a Spoken) -> T) -> Vec<(&'static str, T)> {
    all.iter().map(|spoken| (spoken.language, call(spoken))).collect()
}

/// All are what the first one is.
#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, all: &[(&'static str, T)]) {
    let (first, expected) = &all[0];
    for (language, one) in &all[1..] {
        assert!(one == expected, "{what}\n{first}: {expected:#?}\n{language}: {one:#?}");
    }
}

/// What came of a call, as far as every language says it alike: the words about text that is no JSON are the language's own.
fn told(result: Result<Output, CallFailure>) -> Result<Output, CallFailure> {
    result.map_err(|failure| match failure {
        CallFailure::Permanent { code, .. } if code == "body-invalid" => CallFailure::Permanent { code, detail: String::new() },
        other => other,
    })
}

#[test]
fn an_order_becomes_the_same_in_every_language_to_the_byte() {
    let all = spoken();
    for (name, body) in bodies::orders() {
        let made = each(all, |spoken| told(spoken.stage().call(&Given::body("shop-order", body.clone()), &[]).0));
        same(&name, &made);
    }
}

#[test]
fn what_no_order_is_fails_alike_and_is_never_a_trap() {
    let all = spoken();
    for (name, body) in bodies::odd() {
        let made = each(all, |spoken| told(spoken.stage().call(&Given::body("shop-order", body.clone()), &[]).0));
        for (language, made) in &made {
            assert!(!matches!(made, Err(CallFailure::Fault { .. })), "{name}, {language}: {made:?}");
        }
        same(&name, &made);
    }
}

#[test]
fn a_sink_asks_the_same_and_says_the_same_of_every_answer() {
    let all = spoken();
    let answers: Vec<(&str, Answers)> = vec![
        ("200", vec![answer(200, &[], "{}")]),
        ("201", vec![answer(201, &[("location", "/orders/7"), ("etag", "\"3\"")], "")]),
        ("204", vec![answer(204, &[], "")]),
        ("301", vec![answer(301, &[("location", "https://elsewhere.example/")], "")]),
        ("400", vec![answer(400, &[], "no, because “ü” is missing\u{0}")]),
        ("401", vec![answer(401, &[], "<html>")]),
        ("404", vec![answer(404, &[], "")]),
        ("408", vec![answer(408, &[], "")]),
        ("409", vec![answer(409, &[], "{\"error\": \"there is one\"}")]),
        ("422 that is long", vec![answer(422, &[], &"ü".repeat(3000))]),
        ("425", vec![answer(425, &[], "")]),
        ("429", vec![answer(429, &[], "slower")]),
        ("429 with seconds", vec![answer(429, &[("retry-after", "17")], "")]),
        ("429 with a date", vec![answer(429, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], "")]),
        ("429 with nonsense", vec![answer(429, &[("retry-after", "soon")], "")]),
        ("500", vec![answer(500, &[], "oops")]),
        ("503 with seconds", vec![answer(503, &[("retry-after", "120")], "")]),
        ("timed out", vec![Err(EgressError::TimedOut)]),
        ("unreachable", vec![Err(EgressError::Unreachable("connection refused".into()))]),
        ("denied", vec![Err(EgressError::Denied("POST /x is not allowed".into()))]),
        ("too large", vec![Err(EgressError::TooLarge)]),
    ];
    for (name, answers) in answers {
        for given in [Given::body("http-post", b"{\"a\": 1}".to_vec()), Given::body("http-post", bodies::binary())] {
            let made = each(all, |spoken| spoken.stage().call(&given, &answers));
            same(name, &made);
        }
    }
}

#[test]
fn a_configuration_that_is_wrong_is_refused_alike() {
    let all = spoken();
    for config in ["{\"path\": 7}", "{\"paht\": \"/\"}", "{\"path\": \"/orders?a=ü b\"}", "{\"path\": \"\"}"] {
        let given = Given::configured("http-post", config, b"{}".to_vec());
        let made = each(all, |spoken| {
            let (result, asked) = spoken.stage().call(&given, &[answer(200, &[], "")]);
            // The words are the language's own.
            (result.map_err(|failure| if let CallFailure::Permanent { code, .. } = failure { code } else { format!("{failure:?}") }), asked)
        });
        same(config, &made);
    }
}

const COUNTRIES: &str = r#"{"field": "country", "names": {"NL": "Nederland", "ö/~": "Österreich"}}"#;

#[test]
fn what_is_set_up_once_or_in_each_call_does_the_same_in_every_language() {
    let all = spoken();
    let codes =
        [r#""NL""#, r#""ö/~""#, r#""XX""#, "null", "7", "[]"].map(|code| format!(r#"{{"b": 10.00, "country": {code}, "a": -0.0}}"#));
    let bodies: Vec<Vec<u8>> = codes.into_iter().map(String::into_bytes).chain(bodies::odd().into_iter().map(|(_, body)| body)).collect();
    let calls = |spoken: &Spoken| -> Vec<_> {
        let call = |body: &Vec<u8>| told(spoken.stage().call(&Given::configured("code-names", COUNTRIES, body.clone()), &[]).0);
        bodies.iter().map(call).collect()
    };
    let in_each_call = each(all, calls);
    for spoken in all {
        spoken.stage().set_up("code-names", COUNTRIES).unwrap_or_else(|problem| panic!("{}: {problem}", spoken.language));
    }
    let once = each(all, calls);
    assert!(once == in_each_call, "{once:#?}\n{in_each_call:#?}");
    same("code-names", &once);
    let refused = each(all, |spoken| spoken.stage().set_up("code-names", r#"{"field": "country", "names": {}}"#).unwrap_err().message);
    same("a table without a name", &refused);
}

#[test]
fn the_same_call_gives_the_same_in_another_instance() {
    for spoken in spoken() {
        let (name, body) = bodies::orders().swap_remove(0);
        let given = Given::body("shop-order", body);
        let twice = [(), ()].map(|()| spoken.stage().call(&given, &[]).0);
        assert!(twice[0] == twice[1], "{name}, {}: {twice:#?}", spoken.language);
    }
}
