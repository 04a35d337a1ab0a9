//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls, natively.

use lockgate_sdk::testing::{self, Host};
use lockgate_sdk::{Context, Failure, Output, Transformer};
use serde_json::{Value, json};

use {{crate}}::Plugin;

fn transform(config: Value, order: &Value) -> Result<Output, Failure> {
    Host::new()
        .config(config)
        .run(|| Plugin::transform(testing::message(order.to_string()), Context::default()))
        .result
}

fn record(config: Value, order: &Value) -> Value {
    match transform(config, order).unwrap() {
        Output::Drafts(drafts) => serde_json::from_slice(&drafts[0].body).unwrap(),
        Output::Skip(skip) => panic!("{skip:?}"),
    }
}

#[test]
fn an_order_without_a_number_is_a_dead_letter_that_names_the_field() {
    let failure = transform(json!({}), &json!({ "total": "12.50" })).unwrap_err();
    assert!(!failure.is_transient());
    assert!(failure.detail().contains("/number"), "{failure}");
}

#[test]
fn an_email_of_another_type_is_a_dead_letter() {
    let order = json!({ "number": "A-1001", "total": "12.50", "customer": { "email": 7 } });
    assert!(
        transform(json!({}), &order)
            .unwrap_err()
            .detail()
            .contains("/customer/email")
    );
}

#[test]
fn test_orders_are_skipped() {
    assert!(
        matches!(transform(json!({}), &json!({ "test": true })), Ok(Output::Skip(skip)) if skip.code == "test-order")
    );
}

#[test]
fn the_record_has_the_amount_digit_by_digit() {
    let order = json!({ "number": "A-1001", "total": "12.50", "customer": { "email": " Ada@Example.com" } });
    let expected = json!({ "externalId": "A-1001", "email": "ada@example.com", "amount": "12.50", "currency": "EUR" });
    assert_eq!(record(json!({}), &order), expected);
    assert_eq!(
        record(json!({ "currency": "CHF" }), &order)["currency"],
        "CHF"
    );
}
