//! In which way an output follows a field, and how that is written down; on pairs made by hand.

use serde_json::{Value, json};

use super::differ::differing;
use super::draft::draft;
use super::how::{How, how};
use super::observation::{Becomes, Constant, FieldSeen, Observation, REMARK, gathered};
use super::observe::in_list;
use crate::failures::report::Sampled;

/// What the field was and what the output; the first pair is the sample as it is.
fn of(pairs: &[(Value, Option<Value>)]) -> Option<How> {
    let pairs: Vec<_> = pairs.iter().map(|(field, output)| (field, output.as_ref())).collect();
    how(pairs[0], &pairs[1..])
}

fn texts(pairs: &[(&str, &str)]) -> Option<How> {
    of(&pairs.iter().map(|(field, output)| (json!(field), Some(json!(output)))).collect::<Vec<_>>())
}

#[test]
fn an_output_that_never_changes_follows_nothing() {
    assert_eq!(texts(&[("a", "x"), ("b", "x"), ("c", "x")]), None);
    assert_eq!(of(&[(json!("a"), Some(json!("x")))]), None, "nothing was delivered with another value");
}

#[test]
fn copies_are_told_apart_by_what_is_done_to_them() {
    assert_eq!(texts(&[("Mira", "Mira"), (" Mira ", " Mira "), ("MIRA", "MIRA")]), Some(How::Copied));
    assert_eq!(texts(&[("Mira", "Mira"), (" Mira ", "Mira"), ("Nira", "Nira")]), Some(How::Trimmed));
    assert_eq!(texts(&[("eur", "EUR"), ("Eur", "EUR"), ("euS", "EUS")]), Some(How::UpperCase));
    assert_eq!(texts(&[("A@x", "a@x"), (" A@X ", "a@x"), ("B@x", "b@x")]), Some(How::LowerCase));
    assert_eq!(of(&[(json!(7), Some(json!("7"))), (json!(8), Some(json!("8")))]), Some(How::CopiedAsText));
    assert_eq!(of(&[(json!("64.85"), Some(json!(64.85))), (json!("64.86"), Some(json!(64.86)))]), Some(How::CopiedAsNumber));
}

#[test]
fn parts_switches_and_everything_else_are_told_as_what_they_are() {
    assert_eq!(texts(&[("1001", "Order 1001"), ("1002", "Order 1002")]), Some(How::Within));
    assert_eq!(texts(&[("2026-03-14T09:00", "2026-03-14"), ("2026-03-15T09:00", "2026-03-15")]), Some(How::PartOf));
    assert_eq!(texts(&[("M", "Male"), ("N", "Unknown"), ("m", "Unknown")]), Some(How::Switches));
    assert_eq!(of(&[(json!(64.85), Some(json!(6485))), (json!(64.86), Some(json!(6486)))]), Some(How::Follows));
    assert_eq!(of(&[(json!("a"), Some(json!("x"))), (json!("b"), None)]), Some(How::Follows), "it is there only sometimes");
}

#[test]
fn a_place_in_a_list_is_that_of_the_whole_list_where_its_neighbour_goes_the_same_way() {
    let outputs = |field: &str| if field == "/items/2/sku" { vec!["/output/0/lines/1/sku"] } else { Vec::new() };
    assert_eq!(in_list("/items/0/sku", "/output/0/lines/0/sku", &outputs), "/output/0/lines/*/sku");
    assert_eq!(in_list("/items/0/sku", "/output/0/first", &outputs), "/output/0/first");
    assert_eq!(in_list("/items/0/sku", "/output/0/other/0/sku", &outputs), "/output/0/other/0/sku", "nothing says that it is of the list");
    assert_eq!(in_list("/id", "/output/0/lines/0/order", &outputs), "/output/0/lines/0/order");
}

#[test]
fn what_is_another_is_told_as_far_out_as_it_is() {
    let before = json!({"a": 1, "b": {"c": 1, "d": 2}, "list": [{"x": 1}, {"x": 2}], "gone": null});
    let places = |after: Value| -> Vec<(String, bool)> {
        differing(&before, &after).into_iter().map(|place| (place.pointer, place.is_count)).collect()
    };
    assert!(places(json!({"a": 1, "b": {"c": 1, "d": 2}, "list": [{"x": 1}, {"x": 2}], "gone": ""})).is_empty());
    let found = places(json!({"a": 2, "b": null, "list": [{"x": 2}]}));
    assert_eq!(found, [("/a".to_owned(), false), ("/b".to_owned(), false), ("/list".to_owned(), true)]);
    assert_eq!(places(json!({"a": 1, "b": {"c": 1, "d": 2}, "list": [{"x": 1}, {"x": 3}]})), [("/list/1/x".to_owned(), false)]);
}

fn seen(field: &str, output: &str, how: How) -> FieldSeen {
    let becomes = Becomes { output: output.into(), how, example: ("\"a|b`\"".into(), "1".into()), missing: ["nothing".to_owned()].into() };
    FieldSeen { field: field.into(), becomes: vec![becomes], ..FieldSeen::default() }
}

#[test]
fn of_several_samples_the_loosest_counts_and_a_list_covers_its_places() {
    let all = gathered([
        seen("/items/*/sku", "output /lines/0/sku", How::Copied),
        seen("/items/*/sku", "output /lines/*/sku", How::Copied),
        seen("/items/*/sku", "output /lines/*/sku", How::PartOf),
        FieldSeen { field: "/note".into(), not_varied: true, ..FieldSeen::default() },
        FieldSeen { field: "/note".into(), ..FieldSeen::default() },
    ]);
    let [items, note] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(items.becomes.len(), 1, "{items:?}");
    assert_eq!((items.becomes[0].output.as_str(), items.becomes[0].how), ("output /lines/*/sku", How::PartOf));
    assert!(note.seems_unused(), "one sample had something in it");
}

#[test]
fn a_draft_holds_what_messages_hold_as_text() {
    let sampled = Sampled { name: "orders/<b>.json".into(), intact: "delivered".into(), used: true };
    let observation = Observation {
        about: "acme|crm".into(),
        plugins: Vec::new(),
        samples: vec![sampled],
        fields: vec![seen("/a|b", "output /x", How::Copied)],
        constants: vec![Constant { output: "output /kind".into(), value: json!("in`voice\n# no title") }],
        unexplained: Vec::new(),
        remark: REMARK,
    };
    let text = draft(&observation);
    assert!(text.starts_with("# Mapping of acme\\|crm (draft)\n"), "{text}");
    assert!(text.contains("over 1 sample message. Observed, not proven"), "{text}");
    assert!(text.contains("| `/a\\|b` | `output /x` | copied | nothing |"), "{text}");
    assert!(text.contains("| `` \"a\\|b`\" `` → `1` |") || text.contains("`` \"a\\|b`\" `` → `1`"), "{text}");
    assert!(!text.contains("\n# no title") && text.contains("orders/&lt;b>.json"), "{text}");
}
