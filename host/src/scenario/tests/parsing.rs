//! What a file of scenarios may say, and what of it is a mistake.

use std::time::Duration;

use super::super::file::{Fate, Fault, Pattern, Span, Subject, To};
use super::{one, parse};
use crate::problem::Code;

const MESSAGE: &str = "message = { json = { id = 1 } }\n";
const EXPECT: &str = "expect = { outcome = \"delivered\" }\n";

/// The one problem with a scenario that says `rest`: its code, its line and column, and its fix.
#[track_caller]
fn problem(rest: &str) -> (Code, (usize, usize), String) {
    let problems = parse(&one(rest)).unwrap_err().0;
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let at = problems[0].location.clone().unwrap();
    assert_eq!(at.file.to_str(), Some("tests/quoted.toml"));
    (problems[0].code, (at.line, at.column), problems[0].fix.clone().unwrap())
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_that_is_known() {
    let (code, place, fix) = problem(&format!("{MESSAGE}{EXPECT}mesage = 1"));
    assert_eq!((code, place), (Code::UnknownKey, (6, 1)));
    assert!(fix.starts_with("did you mean `message`?"), "{fix}");
    let (code, place, fix) = problem(&format!("{MESSAGE}expect = {{ outcom = \"delivered\" }}"));
    assert_eq!((code, place), (Code::UnknownKey, (5, 12)));
    assert!(fix.starts_with("did you mean `outcome`?"), "{fix}");
    let (code, _, fix) = problem(&format!("{MESSAGE}{EXPECT}answer = {{ too = \"POST /x\" }}"));
    assert!(code == Code::UnknownKey && fix.starts_with("did you mean `to`?"), "{fix}");
    let (code, _, fix) = problem(&format!("{MESSAGE}expect = {{ request = {{ to = \"* *\", field = {{}} }} }}"));
    assert!(code == Code::UnknownKey && fix.starts_with("did you mean `fields`?"), "{fix}");
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text =
        "[[scenario]]\nname = \"a\"\nexpect = { outcome = \"sent\" }\n[[scenario]]\nmessage = { text = \"x\", json = 1 }\nexpect = {}\n";
    let codes: Vec<_> = parse(text).unwrap_err().0.into_iter().map(|problem| problem.code).collect();
    assert_eq!(codes.len(), 6, "{codes:?}");
}

#[test]
fn a_scenario_that_expects_nothing_is_none() {
    assert_eq!(problem(MESSAGE).0, Code::MissingKey);
    assert_eq!(problem(&format!("{MESSAGE}expect = {{}}")).0, Code::WrongValue);
}

#[test]
fn what_excludes_another_part_of_an_answer_is_refused() {
    for answer in [
        "{ fault = \"reset\", status = 200 }",
        "{ fault = \"unreachable\", json = {} }",
        "{ fault = \"truncated\" }",
        "{ to = \"POST /x\", expires-in = \"1m\" }",
        "{ fault = \"broken\" }",
        "{ to = \"/x\" }",
        "{ status = 99 }",
        "{ until = \"1\" }",
    ] {
        let (code, place, _) = problem(&format!("{MESSAGE}{EXPECT}answer = {answer}"));
        assert_eq!((code, place.0), (Code::WrongValue, 6), "{answer}");
    }
}

#[test]
fn two_messages_of_one_name_are_refused() {
    let two = "message = [{ name = \"a\", text = \"1\" }, { name = \"a\", text = \"2\" }]\n";
    assert_eq!(problem(&format!("{two}{EXPECT}")).0, Code::WrongValue);
}

#[test]
fn a_file_that_is_not_there_is_named_where_it_is_asked_for() {
    let (code, place, fix) = problem(&format!("message = {{ file = \"orders/none.json\" }}\n{EXPECT}"));
    assert_eq!((code, place), (Code::FileUnreadable, (4, 20)));
    assert!(fix.contains("/nowhere"), "{fix}");
}

#[test]
fn json_that_is_none_and_a_pointer_that_is_none_are_refused() {
    assert_eq!(problem(&format!("message = {{ json = '{{\"id\": }}' }}\n{EXPECT}")).0, Code::WrongValue);
    for wrong in ["fields = { name = 1 }", "absent = [\"name\"]", "null = [\"/a~2\"]"] {
        assert_eq!(problem(&format!("{MESSAGE}expect = {{ output = {{ {wrong} }} }}")).0, Code::WrongValue, "{wrong}");
    }
}

#[test]
fn who_is_about_nothing_or_about_two_things_is_told() {
    let problems = parse("[[scenario]]\nname = \"a\"\nmessage = { text = \"\" }\nexpect = { attempts = 1 }\n").unwrap_err().0;
    assert_eq!(problems[0].code, Code::MissingKey);
    let both = "plugin = \"p\"\n".to_owned() + &one(&format!("{MESSAGE}{EXPECT}"));
    assert_eq!(parse(&both).unwrap_err().0[0].code, Code::WrongValue);
    let config = "config = { a = 1 }\n".to_owned() + &one(&format!("{MESSAGE}{EXPECT}"));
    assert_eq!(parse(&config).unwrap_err().0[0].code, Code::UnknownKey, "an integration has a config of its own");
}

#[test]
fn a_scenario_says_otherwise_what_the_plugin_of_its_file_is_given() {
    let head = "plugin = \"p\"\nconfig = { a = 1 }\nrole = \"sink\"\n";
    let scenario = |rest: &str| format!("{head}[[scenario]]\nname = \"one\"\n{MESSAGE}{EXPECT}{rest}\n");
    let given = |rest: &str| match parse(&scenario(rest)).unwrap().scenarios[0].subject.clone() {
        Subject::Plugin(plugin) => (plugin.step.config["a"].to_string(), plugin.role.unwrap().as_str()),
        Subject::Integration(name) => panic!("{name}"),
    };
    assert_eq!(given(""), ("1".to_owned(), "sink"));
    assert_eq!(given("config = { a = 2 }"), ("2".to_owned(), "sink"));
    assert_eq!(given("role = \"transformer\""), ("1".to_owned(), "transformer"));
    assert_eq!(problem(&format!("{MESSAGE}{EXPECT}bind = {{ target = \"crm\" }}")).0, Code::UnknownKey, "an integration has its own");
}

#[test]
fn numbers_keep_every_digit_and_json_text_may_hold_nulls() {
    let file = parse(&one(&format!("message = [{{ json = {{ total = 10.00 }} }}, {{ json = '{{\"a\": null}}' }}]\n{EXPECT}"))).unwrap();
    let bodies: Vec<_> = file.scenarios[0].messages.iter().map(|message| message.content.body.clone()).collect();
    assert_eq!(bodies, [&br#"{"total":10.00}"#[..], br#"{"a": null}"#]);
    assert!(file.scenarios[0].messages.iter().all(|message| message.content.content_type == "application/json"));
}

#[test]
fn everything_a_scenario_may_say_is_read() {
    let text = "plugin = \"shop-order@1.2\"\nrole = \"transformer\"\n[[answer]]\nto = \"GET /any/*\"\n[[scenario]]\nname = \"all\"\n\
        start = \"2026-03-29T00:59:00Z\"\nclock = \"2h\"\ndata = { seen = \"yes\", count = 3 }\n\
        [[scenario.message]]\nname = \"a\"\ntext = \"\"\nheaders = { X-Topic = \"new\" }\nid = \"1\"\nkey = \"k\"\nafter = \"until idle\"\n\
        [[scenario.answer]]\nalias = \"crm\"\nto = \"token\"\nexpires-in = \"10m\"\ntimes = 2\nfrom = \"1s\"\nuntil = \"30m\"\n\
        [[scenario.answer]]\nto = \"*\"\nstatus = 207\njson = []\nfault = \"truncated\"\ndelay = \"2s\"\n\
        [[scenario.expect]]\nof = \"a\"\noutcome = \"dead-lettered\"\nclass = \"gave-up\"\ncode = \"c\"\ndetail = \"d\"\nattempts = 3\nwaits = 0\n\
        not-before = \"1s\"\nwithin = \"1h\"\nkey-values = { seen = \"no\" }\nabsent-key-values = [\"count\"]\ncursor = \"7\"\n\
        aliases = { crm = \"open\" }\ntokens = { crm = 0 }\nchannels = { out = [{ text = \"x\" }] }\nrequest = { to = \"PUT /x?y=*\", times = \"any\" }\n";
    let file = parse(text).unwrap();
    let scenario = &file.scenarios[0];
    assert!(matches!(&scenario.subject, Subject::Plugin(plugin) if plugin.step.plugin == "shop-order"));
    assert_eq!(scenario.clock, Span::For(Duration::from_secs(7_200)));
    assert_eq!(scenario.start.to_string(), "2026-03-29T00:59:00.000Z");
    assert_eq!(scenario.data, [("count".to_owned(), b"3".to_vec()), ("seen".to_owned(), b"yes".to_vec())]);
    let message = &scenario.messages[0];
    assert_eq!((message.headers[0].0.as_str(), message.after), ("x-topic", Span::UntilIdle));
    let [token, all, of_the_file] = scenario.answers.as_slice() else { panic!("{:?}", scenario.answers) };
    assert_eq!((&token.to, token.expires_in, token.times), (&To::Token, Some(Duration::from_secs(600)), Some(2)));
    assert_eq!((&all.to, all.fault, all.status), (&To::Requests(Pattern::all()), Some(Fault::Truncated), 207));
    assert!(matches!(&of_the_file.to, To::Requests(pattern) if pattern.fits("GET", "/any/1/2?x=3") && !pattern.fits("GET", "/other")));
    let expect = &scenario.expects[0];
    assert_eq!((expect.outcome, expect.key_values.len(), expect.key_values["count"].is_none()), (Some(Fate::DeadLettered), 2, true));
    let request = &expect.requests.as_ref().unwrap()[0];
    assert!(request.times.is_none() && request.to.fits("PUT", "/x?y=1") && !request.to.fits("PUT", "/x"));
}
