//! Splitting an order into shipments, and what each is worth.
//!
//! Lines that ship from the same place are one shipment: the same `fulfillment_service` (`manual`, or the provider's name) and
//! the same `origin_location.id`. Shipments are numbered in the order of their first lines. Lines that need no shipping travel
//! with the first shipment; an order without lines is one shipment.
//!
//! An order of one shipment is worth its `total_price`. In a split order each shipment is worth its lines (price × quantity −
//! discount), and the first also what belongs to the whole order (shipping, tax, discounts on the order), so that the shipments
//! always add up to `total_price` exactly.

use lockgate_sdk::{Failure, Field};
use serde_json::{Value, json};

use crate::canonical::{self, Order};
use crate::decimal::{Decimal, out_of_range};

/// One shipment of an order.
pub struct Shipment {
    id: String,
    number: usize,
    of: usize,
    place: Place,
    amount: String,
    /// Canonical lines.
    pub lines: Vec<Value>,
}

/// Where lines ship from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    fulfillment_service: Option<String>,
    location_id: Option<String>,
}

#[derive(Default)]
struct Group<'a> {
    place: Place,
    lines: Vec<Field<'a>>,
}

impl Shipment {
    /// The canonical order's `shipment`.
    pub fn description(&self) -> Value {
        json!({
            "id": self.id,
            "number": self.number,
            "of": self.of,
            "fulfillment_service": self.place.fulfillment_service,
            "location_id": self.place.location_id,
            "amount": self.amount,
        })
    }
}

/// The shipments of `order`, at least one.
///
/// # Errors
///
/// Permanent: `required-field-missing` or `field-type-wrong` in a line; `amount-out-of-range` where a sum would not be exact.
pub fn split(order: &Field<'_>, canonical: &Order) -> Result<Vec<Shipment>, Failure> {
    let field = order.at("line_items");
    let groups = group(field.required(field.objects()?)?)?;
    let amounts = amounts(&groups, &canonical.total)?;
    let of = groups.len();
    let shipments = groups.into_iter().zip(amounts).enumerate().map(|(index, (group, amount))| {
        let lines = group.lines.iter().map(canonical::line).collect::<Result<_, _>>()?;
        Ok(Shipment { id: id(&canonical.id, index + 1), number: index + 1, of, place: group.place, amount, lines })
    });
    shipments.collect()
}

/// The first shipment has the order's own id, so that a record made for it stays the same when the order is split later.
fn id(order: &str, number: usize) -> String {
    if number == 1 { order.to_owned() } else { format!("{order}-{number}") }
}

fn group(lines: Vec<Field<'_>>) -> Result<Vec<Group<'_>>, Failure> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut without_shipping = Vec::new();
    for line in lines {
        if line.at("requires_shipping").flag()? == Some(false) {
            without_shipping.push(line);
            continue;
        }
        let place = place(&line)?;
        match groups.iter_mut().find(|group| group.place == place) {
            Some(group) => group.lines.push(line),
            None => groups.push(Group { place, lines: vec![line] }),
        }
    }
    if groups.is_empty() {
        groups.push(Group::default());
    }
    groups[0].lines.extend(without_shipping);
    Ok(groups)
}

fn place(line: &Field<'_>) -> Result<Place, Failure> {
    let location_id = match line.at("origin_location").object()? {
        Some(location) => location.at("id").digits()?,
        None => None,
    };
    Ok(Place { fulfillment_service: line.at("fulfillment_service").text()?.map(str::to_owned), location_id })
}

fn amounts(groups: &[Group<'_>], total: &str) -> Result<Vec<String>, Failure> {
    if groups.len() == 1 {
        return Ok(vec![total.to_owned()]);
    }
    let total = parse(total, "/total_price")?;
    let mut rest = total;
    let mut amounts = Vec::with_capacity(groups.len());
    for group in groups {
        let worth = worth(group)?;
        rest = rest.minus(worth).ok_or_else(|| out_of_range("the sum of all lines"))?;
        amounts.push(worth);
    }
    amounts[0] = amounts[0].plus(rest).ok_or_else(|| out_of_range("the first shipment"))?;
    Ok(amounts.iter().map(Decimal::to_string).collect())
}

fn worth(group: &Group<'_>) -> Result<Decimal, Failure> {
    let mut sum = Decimal::ZERO;
    for line in &group.lines {
        let pointer = line.pointer();
        let price = parse(&canonical::required_decimal(line, "price")?, pointer)?;
        let discount = match canonical::discount(line)? {
            Some(discount) => parse(&discount, pointer)?,
            None => Decimal::ZERO,
        };
        let quantity = canonical::quantity(line)?;
        let worth = price.times(quantity).and_then(|gross| gross.minus(discount));
        sum = worth.and_then(|worth| sum.plus(worth)).ok_or_else(|| out_of_range(pointer))?;
    }
    Ok(sum)
}

fn parse(text: &str, pointer: &str) -> Result<Decimal, Failure> {
    Decimal::parse(text).ok_or_else(|| out_of_range(pointer))
}
