//! The shop that sends orders, in the shape of Shopify's Order resource
//! (<https://shopify.dev/docs/api/admin-rest/latest/resources/order>).

use serde_json::{Value, json};

use super::host::Host;
use super::http::{Answer, request, shopify_signature};
use super::workspace::SHOP_SECRET;

/// An order that the example takes.
pub fn order(id: u64, customer: u64, total: &str) -> Value {
    json!({
        "id": id,
        "name": format!("#{id}"),
        "order_number": id % 100_000,
        "created_at": "2026-03-01T10:15:00+01:00",
        "updated_at": "2026-03-01T10:15:00+01:00",
        "test": false,
        "currency": "EUR",
        "financial_status": "paid",
        "email": "ada@example.org",
        "total_price": total,
        "subtotal_price": total,
        "total_tax": "0.00",
        "note": null,
        "customer": {"id": customer, "email": "ada@example.org", "first_name": "Ada", "last_name": "Lovelace"},
        "billing_address": address(),
        "shipping_address": address(),
        "line_items": [{
            "id": id * 10,
            "sku": "SKU-1",
            "title": "Difference engine",
            "name": "Difference engine",
            "quantity": 1,
            "price": total,
            "fulfillment_service": "manual",
            "requires_shipping": true,
        }],
        "shipping_lines": [],
    })
}

fn address() -> Value {
    json!({
        "first_name": "Ada", "last_name": "Lovelace", "name": "Ada Lovelace", "company": null, "address1": "12 St James's Square",
        "address2": null, "city": "London", "zip": "SW1Y 4LB", "province": null, "country": "United Kingdom", "country_code": "GB", "phone": null,
    })
}

/// Posts an order as the shop does; `webhook_id` is what the shop calls the event.
pub fn post_order(host: &Host, webhook_id: &str, order: &Value) -> Answer {
    post_body(&host.ingress, webhook_id, order.to_string().as_bytes()).unwrap()
}

/// Posts any body with the shop's signature; an error is one of the connection.
pub fn post_body(ingress: &str, webhook_id: &str, body: &[u8]) -> Result<Answer, String> {
    let signature = shopify_signature(SHOP_SECRET, body);
    let headers = [
        ("content-type", "application/json"),
        ("x-shopify-topic", "orders/create"),
        ("x-shopify-webhook-id", webhook_id),
        ("x-shopify-hmac-sha256", signature.as_str()),
    ];
    request("POST", &format!("{ingress}/shop/orders"), &headers, body.to_vec())
}

/// The id of a message that was accepted.
#[track_caller]
pub fn accepted(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    let body = answer.json();
    assert_eq!(body["status"], "accepted");
    body["id"].as_str().unwrap().to_owned()
}
