//! What counts as a defect, what is worth knowing, and what is sound.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::failures::cases::{Case, Spoilt};
use crate::failures::field::{Bent, Field};
use crate::failures::follow::Follows;
use crate::failures::judge::{Held, Judged};
use crate::failures::play::Ran;
use crate::failures::report::{Defect, NotTried, Report, Tried, Verdict};
use crate::failures::target::Done;
use crate::failures::trouble::Trouble;
use crate::message::FailureClass;
use crate::scenario::file::Fate;
use crate::scenario::run::Came;

fn came(fate: Fate) -> Came {
    Came { fate, ..Came::waiting("sample") }
}

fn done(method: &str, key: &str) -> Done {
    Done { alias: "crm".into(), method: method.into(), path: "/records".into(), key: key.into(), body: Bytes::new(), is_json_known: false }
}

fn ran(came: Came, done: Vec<Done>) -> Ran {
    Ran { came: vec![came], done, other_body: None, asked: 1, tokens: 0, made: json!({"output": [], "request": []}) }
}

fn made(of: Value) -> Ran {
    Ran { made: json!({"output": [of], "request": []}), ..ran(came(Fate::Delivered), Vec::new()) }
}

/// What is said of a trouble around a message that is one POST when all is well.
fn of_trouble(trouble: Trouble, ran: &Ran) -> Judged {
    let intact = super::judging::ran(came(Fate::Delivered), vec![done("POST", "a")]);
    Held { case: &Case::Outside(trouble), intact: &intact, ran, follows: &Follows::default() }.judge()
}

/// What is said of a field that is bent, where `/total` is made of `/sum`, `/name` of `/customer/name` and `/email` of `/customer/email`.
fn of_field(pointer: &str, value: Value, bent: Bent, before: Value, after: Value) -> (Verdict, String) {
    let mut follows = Follows::default();
    for (field, output) in [("/sum", "/total"), ("/customer/name", "/debtor/name"), ("/customer/email", "/debtor/email")] {
        let field = Field { pointer: field.into(), value: Value::Null };
        follows.insert(&field, [format!("/output/0{output}")].into());
    }
    let case = Case::Field(Field { pointer: pointer.into(), value }, bent);
    let judged = Held { case: &case, intact: &made(before), ran: &made(after), follows: &follows }.judge();
    (judged.verdict, judged.look)
}

#[test]
fn what_counts_as_delivered_and_was_not_done_is_lost() {
    let judged = of_trouble(Trouble::Status(500), &ran(came(Fate::Delivered), Vec::new()));
    assert_eq!((judged.verdict, judged.happened.as_str()), (Verdict::Defect(Defect::Lost), "delivered"));
    let judged = of_trouble(Trouble::Silence, &ran(came(Fate::Skipped), Vec::new()));
    assert_eq!(judged.verdict, Verdict::Defect(Defect::Lost), "a skip is for good");
}

#[test]
fn a_page_for_an_answer_is_lost_where_it_is_known_that_the_answer_is_json() {
    let none_done = ran(came(Fate::Delivered), Vec::new());
    assert_eq!(of_trouble(Trouble::Html, &none_done).verdict, Verdict::Note);
    let known = Done { is_json_known: true, ..done("POST", "a") };
    let intact = ran(came(Fate::Delivered), vec![known]);
    let judged = Held { case: &Case::Outside(Trouble::Html), intact: &intact, ran: &none_done, follows: &Follows::default() }.judge();
    assert_eq!(judged.verdict, Verdict::Defect(Defect::Lost));
}

#[test]
fn what_is_done_again_under_another_key_is_duplicated() {
    let twice = ran(came(Fate::Delivered), vec![done("POST", "a"), done("POST", "b")]);
    assert_eq!(of_trouble(Trouble::LostHonoured, &twice).verdict, Verdict::Defect(Defect::Duplicated));
    let asked_first = Done { path: "/search".into(), ..done("POST", "b") };
    let looked = ran(came(Fate::Delivered), vec![asked_first, done("POST", "a")]);
    assert_eq!(of_trouble(Trouble::LostHonoured, &looked).verdict, Verdict::Sound, "it looked first whether it was there");
}

#[test]
fn what_comes_twice_under_one_key_is_worth_knowing_and_sound_where_it_may_be_repeated() {
    let twice = |method: &str| ran(Came { attempts: 2, ..came(Fate::Delivered) }, vec![done(method, "a"), done(method, "a")]);
    assert_eq!(of_trouble(Trouble::LostIgnored, &twice("POST")).verdict, Verdict::Note);
    assert_eq!(of_trouble(Trouble::LostIgnored, &twice("PUT")).verdict, Verdict::Sound);
}

#[test]
fn another_body_under_the_same_key_is_unrepeatable() {
    let restless = Ran { other_body: Some("a".into()), ..ran(came(Fate::Delivered), vec![done("POST", "a")]) };
    let judged = of_trouble(Trouble::Status(502), &restless);
    assert_eq!(judged.verdict, Verdict::Defect(Defect::Unrepeatable));
    assert!(judged.look.contains("POST /records"), "{judged:?}");
}

#[test]
fn a_call_that_the_host_stopped_is_a_defect_also_where_a_later_one_went_well() {
    let faulty = |class| ran(Came { fault: Some((class, "at map.rs:7".into())), ..came(Fate::Delivered) }, vec![done("POST", "a")]);
    let judged = of_trouble(Trouble::Truncated, &faulty(FailureClass::Trapped));
    assert_eq!((judged.verdict, judged.look.as_str()), (Verdict::Defect(Defect::Trapped), "at map.rs:7"));
    assert_eq!(of_trouble(Trouble::Down, &faulty(FailureClass::CpuExceeded)).verdict, Verdict::Defect(Defect::OverLimits));
    let follows = Follows::default();
    let largest = faulty(FailureClass::OutOfMemory);
    let judged = Held { case: &Case::SizeLimit, intact: &largest, ran: &largest, follows: &follows }.judge();
    assert_eq!(judged.verdict, Verdict::Note, "four megabytes may ask for more than a plugin is given");
}

#[test]
fn what_is_parked_for_what_passes_is_worth_knowing() {
    let parked = Came { class: Some(FailureClass::Permanent), code: Some("http-500".into()), ..came(Fate::DeadLettered) };
    let judged = of_trouble(Trouble::Status(500), &ran(parked, Vec::new()));
    assert_eq!((judged.verdict, judged.happened.as_str()), (Verdict::Note, "dead-lettered: permanent (http-500)"));
}

#[test]
fn a_value_that_is_gone_though_the_message_has_it_is_silently_null() {
    let before = json!({"total": "64.85"});
    let (verdict, look) = of_field("/sum", json!("64.85"), Bent::OtherType, before.clone(), json!({"total": null}));
    assert_eq!((verdict, look.as_str()), (Verdict::Defect(Defect::SilentlyNull), "output /total becomes nothing"));
    let (verdict, look) = of_field("/other", json!("x"), Bent::Null, before.clone(), json!({}));
    assert_eq!((verdict, look.as_str()), (Verdict::Defect(Defect::SilentlyNull), "output /total becomes nothing (made of /sum)"));
    assert_eq!(of_field("/sum", json!("64.85"), Bent::Null, before, json!({"total": null})).0, Verdict::Sound, "there was none");
}

#[test]
fn what_goes_with_a_record_is_worth_knowing() {
    let before = json!({"debtor": {"name": "Mira", "email": "m@x.test"}});
    let (verdict, look) = of_field("/customer/email", json!("m@x.test"), Bent::Missing, before, json!({"debtor": null}));
    assert_eq!(verdict, Verdict::Note);
    assert!(look.starts_with("goes with it, though the message still has what it is made of: output /debtor"), "{look}");
}

#[test]
fn a_copy_that_becomes_something_else_is_worth_knowing() {
    let before = json!({"total": "64.85"});
    let of = |bent, after: Value| of_field("/sum", json!("64.85"), bent, before.clone(), json!({ "total": after }));
    assert_eq!(of(Bent::Missing, json!("0.00")).1, "output /total is a copy of it, and becomes \"0.00\"");
    assert_eq!(of(Bent::OtherType, json!("4711")).0, Verdict::Sound, "as text");
    assert_eq!(of(Bent::Emoji, json!("64.85 ??? end")).0, Verdict::Note);
    assert_eq!(of(Bent::Emoji, json!("64.85 👩🏽‍🚀🇳🇱😀 end")).0, Verdict::Sound);
    assert_eq!(of(Bent::Long, json!("64.85xxx…")).0, Verdict::Sound, "cut to what there is room for");
}

#[test]
fn an_output_made_of_a_message_that_is_none_is_silently_null() {
    let of = |after: Ran| {
        let intact = made(json!({"total": 1, "name": "x"}));
        Held { case: &Case::Body(Spoilt::Half), intact: &intact, ran: &after, follows: &Follows::default() }.judge().verdict
    };
    assert_eq!(of(made(json!({"total": null, "name": null}))), Verdict::Defect(Defect::SilentlyNull));
    assert_eq!(of(made(json!("{\"total\": 1, \"na"))), Verdict::Sound, "handed on as it is");
    assert_eq!(of(ran(came(Fate::DeadLettered), Vec::new())), Verdict::Sound);
}

#[test]
fn a_report_gathers_what_went_the_same_way_and_puts_defects_first() {
    let tried = |case: &str, verdict, field: &str, look: &str| {
        let judged = Judged { happened: "delivered".into(), verdict, field: Some(field.into()), look: look.into() };
        Tried { case: case.into(), sample: "s".into(), judged }
    };
    let all = vec![
        tried("field null", Verdict::Sound, "/a", ""),
        tried("field null", Verdict::Sound, "/b", ""),
        tried("field null", Verdict::Defect(Defect::SilentlyNull), "/lines/0/c", "x"),
        tried("field null", Verdict::Defect(Defect::SilentlyNull), "/lines/1/c", "x"),
    ];
    let skipped = |case: &str| NotTried { case: case.into(), why: "it asks no system".into() };
    let report = Report::of("p".into(), Vec::new(), Vec::new(), all, vec![skipped("down"), skipped("500")]);
    assert_eq!((report.cases, report.sound, report.defects), (4, 2, 2));
    let titles: Vec<(String, &str)> = report.rows.iter().map(|row| (row.title(), row.verdict())).collect();
    assert_eq!(titles[0], ("field null: /lines/0/c, /lines/1/c".to_owned(), "silently null"));
    assert_eq!(titles[1], ("field null (2 fields)".to_owned(), "sound"));
    assert_eq!(report.not_tried_by_why(), [("it asks no system", vec!["down", "500"])]);
    assert_eq!(report.summary(), "p: 4 cases tried, 2 sound, 0 notes, 2 defects");
}
