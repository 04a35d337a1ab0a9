//! The rules of `shop-order`, failure cases first, over the orders in `examples/shop-to-crm/orders`.

use lockgate_sdk::{Context, Draft, Failure, Output, Transformer, testing};
use serde_json::{Map, Value, json};
use shop_order::ShopOrder;

fn example(name: &str) -> Value {
    let path = format!("{}/../../examples/shop-to-crm/orders/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn transform(body: impl Into<Vec<u8>>) -> Result<Output, Failure> {
    ShopOrder::transform(testing::message(body), Context::default())
}

fn drafts(order: &Value) -> Vec<Draft> {
    match transform(order.to_string()).unwrap() {
        Output::Drafts(drafts) => drafts,
        Output::Skip(skip) => panic!("skipped: {skip:?}"),
    }
}

fn canonical(order: &Value) -> Vec<Value> {
    drafts(order).iter().map(|draft| serde_json::from_slice(&draft.body).unwrap()).collect()
}

fn failure(order: &Value) -> (String, String) {
    let failure = transform(order.to_string()).unwrap_err();
    assert!(!failure.is_transient(), "nothing in an order changes by waiting: {failure}");
    (failure.code().to_owned(), failure.detail().to_owned())
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

const REQUIRED: [&str; 11] = [
    "/id",
    "/name",
    "/created_at",
    "/currency",
    "/total_price",
    "/line_items",
    "/customer/id",
    "/line_items/0/id",
    "/line_items/0/title",
    "/line_items/0/quantity",
    "/line_items/0/price",
];

/// Where an optional field of Shopify's goes, by pointers.
const OPTIONAL: [(&str, &str); 24] = [
    ("/updated_at", "/updated_at"),
    ("/cancelled_at", "/cancelled_at"),
    ("/financial_status", "/financial_status"),
    ("/source_name", "/source_name"),
    ("/email", "/email"),
    ("/phone", "/phone"),
    ("/note", "/note"),
    ("/tags", "/tags"),
    ("/customer", "/customer"),
    ("/customer/email", "/customer/email"),
    ("/customer/first_name", "/customer/first_name"),
    ("/customer/last_name", "/customer/last_name"),
    ("/customer/phone", "/customer/phone"),
    ("/billing_address", "/billing_address"),
    ("/billing_address/city", "/billing_address/city"),
    ("/shipping_address/zip", "/shipping_address/postal_code"),
    ("/subtotal_price", "/totals/subtotal"),
    ("/total_discounts", "/totals/discounts"),
    ("/total_tax", "/totals/tax"),
    ("/line_items/0/sku", "/lines/0/sku"),
    ("/line_items/0/product_id", "/lines/0/product_id"),
    ("/line_items/0/vendor", "/lines/0/vendor"),
    ("/line_items/0/total_discount", "/lines/0/discount"),
    ("/line_items/0/requires_shipping", "/lines/0/requires_shipping"),
];

#[test]
fn a_body_that_is_no_order_fails_permanently() {
    for body in ["", "{", "<order/>", "\u{feff}{}"] {
        assert_eq!(transform(body).unwrap_err().code(), "body-invalid", "{body:?}");
    }
    for body in ["[]", "null", "7", r#"{"order": []}"#] {
        assert_eq!(transform(body).unwrap_err().code(), "field-type-wrong", "{body:?}");
    }
    assert_eq!(transform("{}").unwrap_err().detail(), "/name is missing");
}

#[test]
fn a_required_field_missing_or_null_fails_with_its_pointer() {
    for pointer in REQUIRED {
        let missing = failure(&without(example("plain"), pointer));
        assert_eq!(missing, ("required-field-missing".into(), format!("{pointer} is missing")));
        let null = failure(&with(example("plain"), pointer, Value::Null));
        assert_eq!(null, ("required-field-missing".into(), format!("{pointer} is null")));
    }
}

#[test]
fn pointers_into_a_wrapped_order_start_at_the_wrapper() {
    let wrapped = json!({ "order": without(example("plain"), "/currency") });
    assert_eq!(failure(&wrapped).1, "/order/currency is missing");
}

#[test]
fn a_field_of_another_type_fails_with_its_pointer_and_is_never_nulled() {
    for pointer in REQUIRED.iter().copied().chain(OPTIONAL.iter().map(|(theirs, _)| *theirs)).chain(["/test"]) {
        let (code, detail) = failure(&with(example("plain"), pointer, json!(["unexpected"])));
        let place = detail.split(' ').next().unwrap();
        assert_eq!(code, "field-type-wrong", "{pointer}");
        assert!(place == pointer || place == format!("{pointer}/0"), "{pointer}: {detail}");
    }
}

#[test]
fn an_optional_field_missing_or_null_is_null_and_stays_visible() {
    for (theirs, ours) in OPTIONAL {
        for order in [without(example("plain"), theirs), with(example("plain"), theirs, Value::Null)] {
            let canonical = canonical(&order).remove(0);
            assert_eq!(canonical.pointer(ours), Some(&Value::Null), "{theirs}");
        }
    }
}

#[test]
fn empty_text_stays_empty_text() {
    let canonical = canonical(&with(example("plain"), "/note", json!(""))).remove(0);
    assert_eq!(canonical["note"], "");
}

#[test]
fn amounts_and_ids_that_are_none_are_refused() {
    for (pointer, value) in [
        ("/total_price", json!("12,50")),
        ("/total_price", json!("")),
        ("/total_price", json!("€ 5")),
        ("/id", json!(12.5)),
        ("/id", json!(-1)),
        ("/id", json!("gid://shopify/Order/1")),
        ("/line_items/0/quantity", json!("2")),
        ("/line_items/0/quantity", json!(1.5)),
        ("/line_items/0/quantity", json!(-1)),
    ] {
        assert_eq!(failure(&with(example("plain"), pointer, value)).0, "field-type-wrong", "{pointer}");
    }
}

#[test]
fn a_split_order_whose_sum_would_not_be_exact_is_refused() {
    let huge: Value = serde_json::from_str("1e400").unwrap();
    for pointer in ["/total_price", "/line_items/1/price", "/line_items/1/discount_allocations/0/amount"] {
        assert_eq!(failure(&with(example("split"), pointer, huge.clone())).0, "amount-out-of-range", "{pointer}");
    }
}

#[test]
fn a_test_order_is_skipped_with_a_reason() {
    let Output::Skip(skip) = transform(example("test-order").to_string()).unwrap() else { panic!("not skipped") };
    assert_eq!(skip.code, "test-order");
}

#[test]
fn wrapped_and_bare_orders_become_the_same() {
    assert_eq!(drafts(&json!({ "order": example("plain") })), drafts(&example("plain")));
}

#[test]
fn a_plain_order_becomes_one_canonical_order() {
    let drafts = drafts(&example("plain"));
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].content_type, "application/json");
    assert_eq!((drafts[0].tracked[0].name.as_str(), drafts[0].tracked[0].value.as_str()), ("order", "#1001"));
    let canonical: Value = serde_json::from_slice(&drafts[0].body).unwrap();
    assert_eq!(canonical["customer"]["id"], "6940095");
    assert_eq!(
        canonical["shipment"],
        json!({ "id": "450801001", "number": 1, "of": 1, "fulfillment_service": "manual", "location_id": null, "amount": "64.85" })
    );
    assert_eq!(canonical["totals"], json!({ "subtotal": "59.90", "discounts": "0.00", "tax": "10.40", "order": "64.85" }));
    assert_eq!(canonical["lines"][0]["quantity"], 2);
}

#[test]
fn ids_above_2_to_the_53_arrive_digit_by_digit() {
    let canonical = canonical(&example("big-id")).remove(0);
    assert_eq!(canonical["id"], "820982911946154508");
    assert_eq!(canonical["customer"]["id"], "9007199254740993");
    assert_eq!(canonical["lines"][0]["id"], "9223372036854775783");
    assert_eq!(canonical["lines"][0]["variant_id"], "9007199254740995");
}

#[test]
fn amounts_arrive_as_exactly_their_decimals_however_they_are_written() {
    for (written, text) in [
        ("\"10.00\"", "10.00"),
        ("10.00", "10.00"),
        ("0.10", "0.10"),
        ("123456789012345678901234567890.01", "123456789012345678901234567890.01"),
    ] {
        let order = with(example("plain"), "/total_price", serde_json::from_str(written).unwrap());
        let canonical = canonical(&order).remove(0);
        assert_eq!((&canonical["totals"]["order"], &canonical["shipment"]["amount"]), (&json!(text), &json!(text)));
    }
}

#[test]
fn emoji_and_characters_special_to_xml_arrive_unchanged() {
    let order = example("emoji-xml");
    let canonical = canonical(&order).remove(0);
    for (theirs, ours) in [
        ("/note", "/note"),
        ("/tags", "/tags"),
        ("/customer/first_name", "/customer/first_name"),
        ("/customer/last_name", "/customer/last_name"),
        ("/billing_address/company", "/billing_address/company"),
        ("/billing_address/address1", "/billing_address/line1"),
        ("/line_items/0/title", "/lines/0/title"),
        ("/line_items/0/sku", "/lines/0/sku"),
    ] {
        assert_eq!(canonical.pointer(ours), order.pointer(theirs), "{theirs}");
    }
}

#[test]
fn a_split_order_becomes_one_canonical_order_per_shipment_that_add_up() {
    let shipments = canonical(&example("split"));
    assert_eq!(shipments.len(), 2);
    let skus = |shipment: &Value| shipment["lines"].as_array().unwrap().iter().map(|line| line["sku"].clone()).collect::<Vec<_>>();
    assert_eq!(skus(&shipments[0]), ["LAMP-BRASS", "WICK-10", "GUIDE-PDF"]);
    assert_eq!(skus(&shipments[1]), ["BOAT-KIT"]);
    assert_eq!(shipments[1]["lines"][0]["discount"], "24.90");
    // 249.00 − 20.00 − 4.90, and the rest of 309.44: the other lines and 4.95 for shipping.
    assert_eq!((&shipments[0]["shipment"]["amount"], &shipments[1]["shipment"]["amount"]), (&json!("85.34"), &json!("224.10")));
    assert_eq!((&shipments[0]["shipment"]["id"], &shipments[1]["shipment"]["id"]), (&json!("450801005"), &json!("450801005-2")));
    assert_eq!((&shipments[1]["shipment"]["number"], &shipments[1]["shipment"]["of"]), (&json!(2), &json!(2)));
    assert_eq!(shipments[1]["shipment"]["fulfillment_service"], "north-sea-logistics");
    assert_eq!(shared(&shipments[0]), shared(&shipments[1]));
}

fn shared(canonical: &Value) -> Map<String, Value> {
    let mut shared = canonical.as_object().unwrap().clone();
    shared.retain(|name, _| name != "shipment" && name != "lines");
    shared
}

#[test]
fn lines_from_two_locations_are_two_shipments() {
    let mut order = example("split");
    for (index, location) in [(0, 487838322), (1, 487838322), (2, 905684977)] {
        let line = order["line_items"][index].as_object_mut().unwrap();
        line.insert("fulfillment_service".into(), json!("manual"));
        line.insert("origin_location".into(), json!({ "id": location, "name": "Depot" }));
    }
    let shipments = canonical(&order);
    assert_eq!(shipments.len(), 2);
    assert_eq!(shipments[1]["shipment"]["location_id"], "905684977");
}

#[test]
fn an_order_of_downloads_or_without_lines_is_one_shipment() {
    let mut downloads = example("plain");
    downloads["line_items"][0]["requires_shipping"] = json!(false);
    assert_eq!(canonical(&downloads)[0]["lines"].as_array().unwrap().len(), 1);
    let empty = canonical(&with(example("plain"), "/line_items", json!([])));
    assert_eq!((empty.len(), &empty[0]["lines"]), (1, &json!([])));
}

#[test]
fn every_example_is_read() {
    for name in ["plain", "big-id", "nulls", "emoji-xml", "split", "poison"] {
        assert!(!drafts(&example(name)).is_empty(), "{name}");
    }
}
