//! The rules of `order-to-invoice`, failure cases first, on the order that the example sends.

#![expect(clippy::unwrap_used, reason = "a test's own functions stop it where they find what they do not expect")]

use lockgate_sdk::{Context, Failure, Output, Transformer, testing};
use order_to_invoice::OrderToInvoice;
use serde_json::{Value, json};

const ORDER: &str = include_str!("../../../examples/order-to-invoice/orders/plain.json");

fn order() -> Value {
    serde_json::from_str(ORDER).unwrap()
}

fn with(field: &str, value: Value) -> Value {
    let mut order = order();
    *order.pointer_mut(field).unwrap() = value;
    order
}

fn invoice(order: &Value) -> Result<String, Failure> {
    match OrderToInvoice::transform(testing::message(order.to_string()), Context::default())? {
        Output::Drafts(drafts) => {
            assert_eq!((drafts.len(), drafts[0].content_type.as_str()), (1, "application/json"));
            Ok(String::from_utf8(drafts[0].body.clone()).unwrap())
        }
        Output::Skip(skip) => panic!("skipped: {skip:?}"),
    }
}

#[track_caller]
fn refused(order: &Value, code: &str) -> String {
    let failure = invoice(order).unwrap_err();
    assert_eq!((failure.code(), failure.is_transient()), (code, false), "{order}");
    failure.detail().to_owned()
}

#[test]
fn every_field_is_required_and_named_where_it_is_missing() {
    for field in ["/number", "/customer/id", "/placed_at", "/currency", "/total"] {
        assert!(refused(&with(field, Value::Null), "required-field-missing").contains(field), "{field}");
    }
    assert!(refused(&with("/customer", Value::Null), "required-field-missing").contains("/customer/id"));
    assert!(refused(&with("/number", json!("")), "required-field-missing").contains("/number"));
    refused(&json!({}), "required-field-missing");
}

#[test]
fn another_type_is_a_failure_and_never_a_guess() {
    for field in ["/number", "/placed_at", "/currency"] {
        refused(&with(field, json!(7)), "body-invalid");
    }
    for value in [json!(true), json!([]), json!({}), json!("x"), json!("")] {
        assert!(refused(&with("/total", value.clone()), "field-type-wrong").contains("/total"), "{value}");
    }
    for value in [json!("-7"), json!(7.5), json!("7\\u0031"), json!("seven")] {
        assert!(refused(&with("/customer/id", value.clone()), "field-type-wrong").contains("/customer/id"), "{value}");
    }
    refused(&json!([]), "body-invalid");
}

#[test]
fn what_would_have_to_be_rounded_is_refused() {
    assert!(refused(&with("/total", json!("64.855")), "amount-invalid").contains("64.855"));
    assert!(refused(&with("/currency", json!("JPY")), "amount-invalid").contains("JPY"));
    refused(&with("/total", json!("1e2")), "amount-invalid");
}

#[test]
fn an_unknown_currency_and_a_day_that_is_none_are_refused() {
    assert!(refused(&with("/currency", json!("XTS")), "currency-unknown").contains("XTS"));
    assert!(refused(&with("/placed_at", json!("2026-02-29T09:26:53+01:00")), "date-invalid").contains("/placed_at"));
}

#[test]
fn the_five_fields_of_the_invoice_follow_from_the_order() {
    let invoice = invoice(&order()).unwrap();
    assert_eq!(
        invoice,
        r#"{"reference":"2026-001042","debtor":"9007199254740993","issued_on":"2026-03-14","currency":"EUR","amount_minor":6485}"#
    );
}

#[test]
fn special_characters_and_the_way_numbers_are_written_make_no_difference() {
    let body: Value = serde_json::from_str(&invoice(&with("/number", json!("№ \"7\" 🚢"))).unwrap()).unwrap();
    assert_eq!(body["reference"], "№ \"7\" 🚢");
    let text = invoice(&with("/customer/id", json!("9007199254740993"))).unwrap();
    assert_eq!(text, invoice(&order()).unwrap());
    assert_eq!(invoice(&with("/total", json!(64.85))).unwrap(), invoice(&order()).unwrap());
}

#[test]
fn the_order_is_of_the_size_that_is_measured() {
    assert!((280..=320).contains(&ORDER.trim_end().len()), "{}", ORDER.len());
}
