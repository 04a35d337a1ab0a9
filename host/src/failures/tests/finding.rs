//! What is done to fields, and what is found to be made of them.

use serde_json::{Value, json};

use crate::failures::cases::Spoilt;
use crate::failures::field::{Bent, Field, fields, shape, varied, with};
use crate::failures::follow::following;
use crate::failures::play::place;
use crate::failures::vanish::lost;

/// What is gone of an output, as pointers into it.
fn gone(intact: &Value, other: &Value) -> Vec<String> {
    let made = |output: &Value| json!({"output": [output], "request": []});
    lost(&made(intact), &made(other)).into_iter().map(|lost| lost.gone.replacen("/output/0", "", 1)).collect()
}

#[test]
fn a_field_of_each_kind_is_bent_in_the_ways_that_it_can_be() {
    assert_eq!(Bent::Null.of(&Value::Null), None, "it is that already");
    assert_eq!(Bent::Missing.of(&json!(1)), Some(None));
    assert_eq!(Bent::Empty.of(&json!("")), None);
    assert_eq!(Bent::Empty.of(&json!([1])), Some(Some(json!([]))));
    assert_eq!(Bent::Empty.of(&json!(7)), None);
    assert_eq!(Bent::OtherType.of(&json!("x")), Some(Some(json!(4711))));
    assert!(Bent::OtherType.of(&json!({"a": 1})).unwrap().unwrap().is_string());
    assert_eq!(Bent::Emoji.of(&json!(7)), None, "only a text has characters");
    assert!(Bent::Quotes.of(&json!("x")).unwrap().unwrap().as_str().unwrap().starts_with("x "));
}

#[test]
fn fields_are_found_with_names_that_pointers_escape() {
    let document = json!({"a/b": {"~c": [1, 2, 3, 4]}});
    let found: Vec<String> = fields(&document).into_iter().map(|field| field.pointer).collect();
    assert_eq!(found, ["/a~1b", "/a~1b/~0c", "/a~1b/~0c/0", "/a~1b/~0c/1", "/a~1b/~0c/2"], "of a list the first three");
    assert_eq!(with(&document, "/a~1b/~0c/1", None), json!({"a/b": {"~c": [1, 3, 4]}}));
    assert_eq!(with(&document, "/a~1b/~0c", None), json!({"a/b": {}}));
    assert_eq!(with(&document, "/a~1b", Some(json!(0))), json!({"a/b": 0}));
    assert_eq!(shape("/lines/12/sku/3a"), "/lines/*/sku/3a");
}

#[test]
fn other_values_are_of_the_same_kind_and_as_long() {
    assert_eq!(varied(&json!("EUR")), [json!("EUS"), json!("EVR"), json!("FUR")]);
    assert_eq!(varied(&json!(64.85)), [json!(64.86), json!(64.95), json!(74.85)]);
    assert_eq!(varied(&json!(true)), [json!(false)]);
    assert_eq!(varied(&json!("…")), [json!("…x")]);
    assert!(varied(&Value::Null).is_empty());
}

#[test]
fn what_becomes_null_missing_or_empty_is_gone_and_what_becomes_another_value_is_not() {
    let intact = json!({"a": "x", "b": {"c": 1, "d": 2}, "e": [1]});
    assert!(gone(&intact, &json!({"a": "y", "b": {"c": 0, "d": false}, "e": [2]})).is_empty());
    assert_eq!(gone(&intact, &json!({"a": null, "b": {"c": 1}, "e": []})), ["/a", "/b/d", "/e"]);
    assert_eq!(gone(&intact, &json!({"a": "", "b": null, "e": [1]})), ["/a", "/b", "/b"]);
    assert_eq!(gone(&json!({"a": "x"}), &json!({"a": null})), ["/a"], "of an output with nothing in it, too");
}

#[test]
fn an_item_that_is_gone_moves_none_of_the_others() {
    let intact = json!([{"id": 1, "sku": "a"}, {"id": 2, "sku": "b"}, {"id": 3, "sku": "c"}]);
    assert_eq!(gone(&intact, &json!([{"id": 1, "sku": "a"}, {"id": 3, "sku": "c"}])), ["/1", "/1"], "with its two values");
    assert!(gone(&intact, &json!([{"id": 3, "sku": "c"}, {"id": 2, "sku": "b"}, {"id": 1, "sku": "a"}])).is_empty(), "another order");
}

#[test]
fn an_output_follows_the_field_with_which_it_becomes_another() {
    let field = Field { pointer: "/total".into(), value: json!("64.85") };
    let intact = json!({"amount": 64.85, "sum": 6485, "note": "x", "paid": true});
    let other = json!({"amount": 64.86, "sum": 6486, "note": "x"});
    let found = following(&field, &intact, &[Some(&other), None]);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/amount", "/sum"], "what is gone depends on it, and is not made of it");
    let taken_nowhere = following(&field, &intact, &[None, None]);
    assert_eq!(taken_nowhere.into_iter().collect::<Vec<_>>(), ["/amount"], "the same text is taken to be made of it");
}

#[test]
fn places_are_told_as_people_call_them() {
    for (pointer, told) in [
        ("/output/0/customer/name", "output /customer/name"),
        ("/output/1/id", "output 2 /id"),
        ("/output/0", "output"),
        ("/output/*/id", "output * /id"),
        ("/request/0/body/records/0", "request 1 /records/0"),
        ("/request/0/body", "request 1"),
        ("/request/1/to", "request 2 path"),
    ] {
        assert_eq!(place(pointer), told);
    }
}

#[test]
fn a_body_is_spoilt_whatever_it_is() {
    for body in [&b""[..], b"x", b"{\"a\":1}"] {
        for spoilt in Spoilt::ALL {
            assert!(spoilt.of(body) != body || body.is_empty(), "{spoilt:?}");
        }
        assert!(String::from_utf8(Spoilt::NotUtf8.of(body)).is_err());
    }
}
