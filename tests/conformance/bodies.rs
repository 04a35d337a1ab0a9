//! What the plugins are given: orders, orders of which one field is another, and what is no order at all.

use serde_json::{Value, json};

use crate::corpus::shopify_orders;
use crate::support::corpus;
use crate::support::shop::order;

/// Bodies by a name.
pub type Bodies = Vec<(String, Vec<u8>)>;

/// Texts that put in the place of a value: JSON, since numbers are to stay as they are written.
const VALUES: [&str; 26] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.0",
    "0.1",
    "1e2",
    "1E-7",
    "123456789012345678901234567890",
    "1e400",
    "-12.345",
    "\"\"",
    "\" x \"",
    "\"12.50\"",
    "\"1e2\"",
    "\"-0.00\"",
    "\"٣\"",
    "\"ÀÉÎ œ 😀 \u{202e}rtl\"",
    "\"<a href='x'>&amp;\"",
    "\"\\u0000\\ud83d\\ude00\"",
    "\"2026-02-30T25:00:00Z\"",
    "[]",
    "[null]",
    "{}",
    "{\"id\": {}}",
];

/// An order, real ones where there are some, and each with one field that is another, missing, or of another type.
pub fn orders() -> Bodies {
    let base = order(1001, 7, "100.10");
    let mut bodies = vec![
        ("an order".to_owned(), base.to_string().into_bytes()),
        ("wrapped".to_owned(), json!({ "order": base }).to_string().into_bytes()),
    ];
    if let Some(folder) = corpus("conformance: real orders") {
        bodies.extend(
            shopify_orders(&folder)
                .iter()
                .enumerate()
                .map(|(number, order)| (format!("real order {number}"), order.to_string().into_bytes())),
        );
    }
    for pointer in pointers(&base, "") {
        for value in VALUES {
            bodies.push((format!("{pointer} is {value}"), put(&base, &pointer, value)));
        }
        bodies.push((format!("{pointer} is missing"), without(&base, &pointer).to_string().into_bytes()));
        bodies.push((format!("{pointer} is long"), put(&base, &pointer, &format!("\"{}\"", "long ".repeat(2000)))));
    }
    bodies
}

/// What no order is, and what is hardly JSON.
pub fn odd() -> Bodies {
    let texts: [(&str, &[u8]); 22] = [
        ("nothing", b""),
        ("spaces", b" \r\n\t "),
        ("null", b"null"),
        ("a number", b"12"),
        ("a text", b"\"order\""),
        ("a list", b"[]"),
        ("an empty object", b"{}"),
        ("an order that is null", b"{\"order\": null}"),
        ("an order that is a list", b"{\"order\": []}"),
        ("cut short", b"{\"name\": \"#1"),
        ("something behind it", b"{} {}"),
        ("HTML", b"<!doctype html><title>502</title>"),
        ("a byte order mark", b"\xef\xbb\xbf{}"),
        ("no UTF-8", b"{\"name\": \"\xff\xfe\"}"),
        ("UTF-16", b"{\0}\0"),
        ("a surrogate alone", b"{\"name\": \"\\ud800\"}"),
        ("a control character", b"{\"name\": \"\x01\"}"),
        ("NaN", b"{\"total_price\": NaN}"),
        ("Infinity", b"{\"total_price\": Infinity}"),
        ("a comma too many", b"{\"name\": \"#1\",}"),
        ("single quotes", b"{'name': '#1'}"),
        ("a name twice", b"{\"name\": \"#1\", \"name\": \"#2\"}"),
    ];
    let mut bodies: Bodies = texts.into_iter().map(|(name, body)| (name.to_owned(), body.to_vec())).collect();
    bodies.push(("nested 100 deep".to_owned(), nested(100)));
    bodies.push(("nested 100,000 deep".to_owned(), nested(100_000)));
    bodies.push(("a long number".to_owned(), format!("{{\"total_price\": {}}}", "9".repeat(10_000)).into_bytes()));
    bodies.push(("a long text".to_owned(), format!("{{\"name\": \"{}\"}}", "x".repeat(200_000)).into_bytes()));
    bodies
}

/// Every byte there is.
pub fn binary() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(2000).collect()
}

fn nested(depth: usize) -> Vec<u8> {
    format!("{{\"note\": {}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
}

/// Where every value is.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    below
        .into_iter()
        .flat_map(|(name, value)| {
            let pointer = format!("{at}/{name}");
            let inside = pointers(value, &pointer);
            std::iter::once(pointer).chain(inside)
        })
        .collect()
}

/// The text of `base` with `value`, which is JSON as it is written, at `pointer`.
fn put(base: &Value, pointer: &str, value: &str) -> Vec<u8> {
    const HERE: &str = "here it is put";
    let mut changed = base.clone();
    *changed.pointer_mut(pointer).unwrap() = HERE.into();
    changed.to_string().replace(&format!("\"{HERE}\""), value).into_bytes()
}

fn without(base: &Value, pointer: &str) -> Value {
    let mut changed = base.clone();
    let (above, name) = pointer.rsplit_once('/').unwrap();
    match changed.pointer_mut(above).unwrap() {
        Value::Object(fields) => drop(fields.remove(name)),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => {}
    }
    changed
}
