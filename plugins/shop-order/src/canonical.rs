//! Which field of Shopify's order becomes which field of the canonical one.
//!
//! Every canonical field is always there: what Shopify leaves out or sends as `null` is `null`, never an empty text or a zero.
//! Ids are text of exactly their digits, amounts text of exactly their decimals. Field meanings:
//! <https://shopify.dev/docs/api/admin-rest/latest/resources/order>.

use lockgate_sdk::{Failure, Field};
use serde_json::{Map, Value, json};

use crate::decimal::{self, Decimal};
use crate::shipments::Shipment;

/// The order without what differs between its shipments.
pub struct Order {
    /// Digits of Shopify's order id.
    pub id: String,
    /// `total_price`, exactly.
    pub total: String,
    /// Fields before and behind the shipment and its lines.
    head: Value,
    totals: Value,
}

impl Order {
    /// Reads what all shipments share.
    ///
    /// # Errors
    ///
    /// Permanent, `required-field-missing` or `field-type-wrong`, with the field's pointer.
    pub fn read(order: &Field<'_>) -> Result<Order, Failure> {
        let id = required_digits(order, "id")?;
        let total = required_decimal(order, "total_price")?;
        let head = json!({
            "id": id,
            "name": required_text(order, "name")?,
            "created_at": required_text(order, "created_at")?,
            "updated_at": order.at("updated_at").text()?,
            "cancelled_at": order.at("cancelled_at").text()?,
            "currency": required_text(order, "currency")?,
            "financial_status": order.at("financial_status").text()?,
            "source_name": order.at("source_name").text()?,
            "email": order.at("email").text()?,
            "phone": order.at("phone").text()?,
            "note": order.at("note").text()?,
            "tags": order.at("tags").text()?,
            "customer": customer(&order.at("customer"))?,
            "billing_address": address(&order.at("billing_address"))?,
            "shipping_address": address(&order.at("shipping_address"))?,
        });
        let totals = json!({
            "subtotal": order.at("subtotal_price").decimal()?,
            "discounts": order.at("total_discounts").decimal()?,
            "tax": order.at("total_tax").decimal()?,
            "order": total,
        });
        Ok(Order { id, total, head, totals })
    }

    /// The canonical order for one of its shipments.
    pub fn with(&self, shipment: &Shipment) -> Value {
        let mut canonical = self.head.as_object().cloned().unwrap_or_else(Map::new);
        canonical.insert("shipment".into(), shipment.description());
        canonical.insert("lines".into(), Value::Array(shipment.lines.clone()));
        canonical.insert("totals".into(), self.totals.clone());
        Value::Object(canonical)
    }
}

/// One line of the order.
///
/// # Errors
///
/// As [`Order::read`].
pub fn line(line: &Field<'_>) -> Result<Value, Failure> {
    Ok(json!({
        "id": required_digits(line, "id")?,
        "product_id": line.at("product_id").digits()?,
        "variant_id": line.at("variant_id").digits()?,
        "sku": line.at("sku").text()?,
        "title": required_text(line, "title")?,
        "variant_title": line.at("variant_title").text()?,
        "vendor": line.at("vendor").text()?,
        "quantity": quantity(line)?,
        "price": required_decimal(line, "price")?,
        "discount": discount(line)?,
        "requires_shipping": line.at("requires_shipping").flag()?,
    }))
}

/// What is taken off a line: the sum of its `discount_allocations`, which Shopify recommends over `total_discount` because
/// discount codes are only found there; `total_discount` where there are none.
///
/// # Errors
///
/// As [`Order::read`]; permanent, `amount-out-of-range`, where several allocations cannot be added exactly.
pub fn discount(line: &Field<'_>) -> Result<Option<String>, Failure> {
    let allocations = line.at("discount_allocations").objects()?.unwrap_or_default();
    let amounts = allocations.iter().map(|allocation| required_decimal(allocation, "amount")).collect::<Result<Vec<_>, _>>()?;
    match amounts.as_slice() {
        [] => line.at("total_discount").decimal(),
        [amount] => Ok(Some(amount.clone())),
        several => {
            let sum = several.iter().try_fold(Decimal::ZERO, |sum, amount| sum.plus(Decimal::parse(amount)?));
            Ok(Some(sum.ok_or_else(|| decimal::out_of_range(line.pointer()))?.to_string()))
        }
    }
}

/// How many pieces a line is for.
///
/// # Errors
///
/// As [`Order::read`].
pub fn quantity(line: &Field<'_>) -> Result<u64, Failure> {
    let field = line.at("quantity");
    let value = field.required(field.value())?;
    value.as_u64().ok_or_else(|| field.wrong("a whole number of pieces"))
}

/// A customer; Shopify sends none for orders taken at a till without one.
fn customer(customer: &Field<'_>) -> Result<Value, Failure> {
    let Some(customer) = customer.object()? else { return Ok(Value::Null) };
    Ok(json!({
        "id": required_digits(&customer, "id")?,
        "email": customer.at("email").text()?,
        "first_name": customer.at("first_name").text()?,
        "last_name": customer.at("last_name").text()?,
        "phone": customer.at("phone").text()?,
    }))
}

fn address(address: &Field<'_>) -> Result<Value, Failure> {
    const FIELDS: [(&str, &str); 10] = [
        ("name", "name"),
        ("company", "company"),
        ("address1", "line1"),
        ("address2", "line2"),
        ("city", "city"),
        ("zip", "postal_code"),
        ("province", "region"),
        ("country", "country"),
        ("country_code", "country_code"),
        ("phone", "phone"),
    ];
    let Some(address) = address.object()? else { return Ok(Value::Null) };
    let mut canonical = Map::new();
    for (theirs, ours) in FIELDS {
        canonical.insert(ours.into(), json!(address.at(theirs).text()?));
    }
    Ok(Value::Object(canonical))
}

/// Text that has to be there.
///
/// # Errors
///
/// As [`Order::read`].
pub fn required_text<'a>(of: &Field<'a>, name: &str) -> Result<&'a str, Failure> {
    let field = of.at(name);
    field.required(field.text()?)
}

/// An amount that has to be there.
///
/// # Errors
///
/// As [`Order::read`].
pub fn required_decimal(of: &Field<'_>, name: &str) -> Result<String, Failure> {
    let field = of.at(name);
    field.required(field.decimal()?)
}

fn required_digits(of: &Field<'_>, name: &str) -> Result<String, Failure> {
    let field = of.at(name);
    field.required(field.digits()?)
}
