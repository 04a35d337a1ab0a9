//! The rules of `order-to-opportunity`, failure cases first.

#![expect(clippy::unwrap_used, reason = "a test's own functions stop it where they find what they do not expect")]

use lockgate_sdk::{Context, Draft, Failure, Output, Transformer, testing};
use order_to_opportunity::OrderToOpportunity;
use serde_json::{Value, json};

fn order() -> Value {
    json!({
        "id": "820982911946154508", "name": "#1001", "created_at": "2026-03-14T23:26:53+01:00", "currency": "EUR", "note": "Ring twice",
        "customer": { "id": "9007199254740993", "email": "mira@canal.example", "first_name": "Mira", "last_name": "van Dijk", "phone": "+31 30 555 0142" },
        "billing_address": {
            "name": "Mira van Dijk", "company": null, "line1": "Oudegracht 112", "line2": "2 hoog", "city": "Utrecht", "postal_code": "3511 LN",
            "region": null, "country": "Netherlands", "country_code": "NL", "phone": null
        },
        "shipment": { "id": "820982911946154508", "number": 1, "of": 1, "amount": "10.00" },
    })
}

fn transform(order: &str, config: Value) -> Result<Output, Failure> {
    let host = testing::Host::new().config(config);
    host.run(|| OrderToOpportunity::transform(testing::message(order), Context::default())).result
}

fn draft(order: &Value, config: Value) -> Draft {
    match transform(&order.to_string(), config).unwrap() {
        Output::Drafts(mut drafts) if drafts.len() == 1 => drafts.remove(0),
        other => panic!("not one draft: {other:?}"),
    }
}

fn records(order: &Value) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&draft(order, stage()).body).unwrap();
    body["records"].as_array().unwrap().clone()
}

fn failure(order: &Value, config: Value) -> (String, String) {
    let failure = transform(&order.to_string(), config).unwrap_err();
    assert!(!failure.is_transient(), "{failure}");
    (failure.code().to_owned(), failure.detail().to_owned())
}

fn stage() -> Value {
    json!({ "stage": "Prospecting" })
}

fn with(mut order: Value, pointer: &str, value: Value) -> Value {
    *order.pointer_mut(pointer).unwrap() = value;
    order
}

fn without(mut order: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    order.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    order
}

const REQUIRED: [&str; 9] = [
    "/name",
    "/created_at",
    "/currency",
    "/customer/id",
    "/shipment",
    "/shipment/id",
    "/shipment/number",
    "/shipment/of",
    "/shipment/amount",
];
const OPTIONAL: [&str; 13] = [
    "/note",
    "/customer",
    "/customer/email",
    "/customer/first_name",
    "/customer/last_name",
    "/customer/phone",
    "/billing_address",
    "/billing_address/company",
    "/billing_address/line1",
    "/billing_address/line2",
    "/billing_address/city",
    "/billing_address/postal_code",
    "/billing_address/country",
];

#[test]
fn a_configuration_without_a_stage_or_with_an_unknown_key_fails_and_names_it() {
    assert!(failure(&order(), json!({})).1.contains("missing field `stage`"));
    assert!(failure(&order(), json!({ "stage": "New", "stag": 1 })).1.contains("unknown field `stag`"));
}

#[test]
fn a_body_that_is_no_order_fails_permanently() {
    assert_eq!(transform("not json", stage()).unwrap_err().code(), "body-invalid");
    assert_eq!(failure(&json!([]), stage()).0, "field-type-wrong");
}

#[test]
fn a_required_field_missing_or_null_fails_with_its_pointer() {
    for pointer in REQUIRED {
        assert_eq!(failure(&without(order(), pointer), stage()), ("required-field-missing".into(), format!("{pointer} is missing")));
        assert_eq!(failure(&with(order(), pointer, Value::Null), stage()), ("required-field-missing".into(), format!("{pointer} is null")));
    }
}

#[test]
fn a_field_of_another_type_fails_with_its_pointer() {
    for pointer in REQUIRED.iter().chain(&OPTIONAL) {
        let (code, detail) = failure(&with(order(), pointer, json!([1])), stage());
        assert_eq!((code.as_str(), detail.split(' ').next().unwrap()), ("field-type-wrong", *pointer));
    }
}

#[test]
fn an_optional_field_may_be_missing_or_null() {
    for pointer in OPTIONAL {
        assert_eq!(records(&without(order(), pointer)), records(&with(order(), pointer, Value::Null)), "{pointer}");
    }
}

#[test]
fn a_day_that_does_not_exist_is_refused() {
    for time in [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-4-1T00:00:00Z",
        "14.03.2026",
        "",
        "2026-03-14",
    ] {
        assert_eq!(failure(&with(order(), "/created_at", json!(time)), stage()).0, "date-invalid", "{time}");
    }
    assert_eq!(records(&with(order(), "/created_at", json!("2024-02-29T00:00:00Z")))[1]["fields"]["CloseDate"], "2024-02-29");
}

#[test]
fn an_order_in_another_currency_than_the_orgs_only_one_is_never_booked_as_if_it_were() {
    let config = json!({ "stage": "New", "org-currency": "USD" });
    assert_eq!(failure(&order(), config.clone()).0, "currency-not-in-org");
    let body: Value = serde_json::from_slice(&draft(&with(order(), "/currency", json!("USD")), config).body).unwrap();
    assert_eq!(body.pointer("/records/1/fields/CurrencyIsoCode"), None);
}

#[test]
fn an_order_becomes_an_account_and_an_opportunity_that_refers_to_it() {
    let draft = draft(&order(), stage());
    assert_eq!((draft.content_type.as_str(), draft.tracked[0].value.as_str()), ("application/json", "#1001"));
    let expected = r#"{"records":[{"type":"Account","externalIdField":"Shop_Customer_Id__c","externalId":"9007199254740993","fields":{"Name":"Mira van Dijk","Phone":"+31 30 555 0142","BillingStreet":"Oudegracht 112\n2 hoog","BillingCity":"Utrecht","BillingPostalCode":"3511 LN","BillingCountry":"Netherlands"}},{"type":"Opportunity","externalIdField":"Shop_Order_Id__c","externalId":"820982911946154508","fields":{"Name":"Order #1001","StageName":"Prospecting","CloseDate":"2026-03-14","Amount":10.00,"CurrencyIsoCode":"EUR","Description":"Ring twice","Account":{"Shop_Customer_Id__c":"9007199254740993"}}}]}"#;
    assert_eq!(String::from_utf8(draft.body).unwrap(), expected);
}

#[test]
fn an_amount_is_a_number_of_exactly_its_digits() {
    for digits in ["10.00", "0.10", "123456789012345678901234567890.01", "-5.5"] {
        let body = draft(&with(order(), "/shipment/amount", json!(digits)), stage()).body;
        assert!(String::from_utf8(body).unwrap().contains(&format!(r#""Amount":{digits},"#)), "{digits}");
    }
}

#[test]
fn an_order_without_a_customer_becomes_an_opportunity_alone() {
    let records = records(&with(order(), "/customer", Value::Null));
    assert_eq!((records.len(), &records[0]["type"]), (1, &json!("Opportunity")));
    assert_eq!(records[0].pointer("/fields/Account"), None);
}

#[test]
fn what_the_order_does_not_know_never_erases_the_account_but_clears_the_opportunity() {
    let mut order = with(order(), "/customer/phone", Value::Null);
    order["note"] = Value::Null;
    let records = records(&order);
    assert_eq!(records[0].pointer("/fields/Phone"), None);
    assert_eq!(records[1].pointer("/fields/Description"), Some(&Value::Null));
}

#[test]
fn an_account_is_named_by_company_then_person_then_email_then_id() {
    let name = |order: &Value| records(order)[0]["fields"]["Name"].clone();
    let mut order = with(order(), "/billing_address/company", json!("Brücke & Söhne <GmbH> 🚢"));
    assert_eq!(name(&order), "Brücke & Söhne <GmbH> 🚢");
    order["billing_address"]["company"] = json!("  ");
    order["customer"]["first_name"] = Value::Null;
    assert_eq!(name(&order), "van Dijk");
    order["customer"]["last_name"] = json!("");
    assert_eq!(name(&order), "mira@canal.example");
    order["customer"]["email"] = Value::Null;
    assert_eq!(name(&order), "Shop customer 9007199254740993");
}

#[test]
fn names_are_cut_where_salesforce_would_refuse_them() {
    let mut order = with(order(), "/billing_address/company", json!("😀".repeat(200)));
    order["name"] = json!("n".repeat(200));
    let records = records(&order);
    let units = |record: &Value| record["fields"]["Name"].as_str().unwrap().encode_utf16().count();
    assert_eq!((units(&records[0]), units(&records[1])), (255, 120));
    assert!(records[0]["fields"]["Name"].as_str().unwrap().ends_with("😀…"));
}

#[test]
fn each_shipment_has_its_own_opportunity() {
    let mut order = order();
    order["shipment"] = json!({ "id": "820982911946154508-2", "number": 2, "of": 3, "amount": "5.00" });
    let opportunity = records(&order).remove(1);
    assert_eq!(opportunity["externalId"], "820982911946154508-2");
    assert_eq!(opportunity["fields"]["Name"], "Order #1001 (shipment 2 of 3)");
}
