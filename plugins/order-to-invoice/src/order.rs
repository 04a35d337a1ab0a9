//! Which field of the order becomes which field of the invoice.
//!
//! What is read is borrowed from the body, and numbers stay the text they are: nothing is copied or rounded on the way.

use std::borrow::Cow;

use lockgate_sdk::{Failure, date};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::amount;

/// What is read of an order; all else is for others.
#[derive(Debug, Deserialize)]
pub struct Order<'a> {
    #[serde(borrow)]
    number: Option<Cow<'a, str>>,
    #[serde(borrow)]
    customer: Option<Customer<'a>>,
    #[serde(borrow)]
    placed_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    total: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Customer<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// An invoice as it is written.
#[derive(Debug, Serialize)]
pub struct Invoice<'a> {
    reference: &'a str,
    debtor: &'a str,
    issued_on: &'a str,
    currency: &'a str,
    amount_minor: i64,
}

impl Order<'_> {
    /// The invoice for this order.
    ///
    /// # Errors
    ///
    /// Permanent: `required-field-missing` and `field-type-wrong` with the field's pointer, `date-invalid`, `currency-unknown`, `amount-invalid`.
    pub fn invoice(&self) -> Result<Invoice<'_>, Failure> {
        let currency = filled("/currency", self.currency.as_deref())?;
        let total = number("/total", self.total)?;
        Ok(Invoice {
            reference: filled("/number", self.number.as_deref())?,
            debtor: id("/customer/id", self.customer.as_ref().and_then(|customer| customer.id))?,
            issued_on: day("/placed_at", self.placed_at.as_deref())?,
            currency,
            amount_minor: amount::in_minor_units(total, currency)?,
        })
    }
}

/// What has to be there, and not be empty.
fn filled<'a>(pointer: &str, text: Option<&'a str>) -> Result<&'a str, Failure> {
    let text = text.filter(|text| !text.is_empty());
    text.ok_or_else(|| Failure::permanent("required-field-missing", format!("{pointer} is missing, null or empty")))
}

/// The digits of a number or a text, as they were written.
fn number<'a>(pointer: &str, raw: Option<&'a RawValue>) -> Result<&'a str, Failure> {
    let json = filled(pointer, raw.map(RawValue::get))?;
    let text = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json);
    if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        Ok(text)
    } else {
        Err(Failure::permanent("field-type-wrong", format!("{pointer} should be a number, or a text of one")))
    }
}

/// An id of digits, however many.
fn id<'a>(pointer: &str, raw: Option<&'a RawValue>) -> Result<&'a str, Failure> {
    let digits = number(pointer, raw)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(digits)
    } else {
        Err(Failure::permanent("field-type-wrong", format!("{pointer} should be an id of digits")))
    }
}

/// The day of a time, in the offset it was written in.
fn day<'a>(pointer: &str, time: Option<&'a str>) -> Result<&'a str, Failure> {
    date::day(filled(pointer, time)?)
        .ok_or_else(|| Failure::permanent("date-invalid", format!("{pointer} should be a time like 2026-03-14T09:26:53+01:00")))
}
