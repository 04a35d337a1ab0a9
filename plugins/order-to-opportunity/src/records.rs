//! Which field of the canonical order becomes which field of which record.
//!
//! Field names and lengths: Salesforce Object Reference,
//! <https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_opportunity.htm>
//! and `…_account.htm`.

use lockgate_sdk::{Failure, Field, date};
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use crate::length::cut;

/// What the text fields hold.
const ACCOUNT_NAME_UNITS_MAX: usize = 255;
const OPPORTUNITY_NAME_UNITS_MAX: usize = 120;
const DESCRIPTION_UNITS_MAX: usize = 32_000;
const PHONE_UNITS_MAX: usize = 40;
const STREET_UNITS_MAX: usize = 255;
const CITY_UNITS_MAX: usize = 40;
const POSTAL_CODE_UNITS_MAX: usize = 20;
const STATE_UNITS_MAX: usize = 80;
const COUNTRY_UNITS_MAX: usize = 80;

/// The step's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    stage: String,
    #[serde(default = "account_external_id")]
    account_external_id: String,
    #[serde(default = "opportunity_external_id")]
    opportunity_external_id: String,
    #[serde(default)]
    org_currency: Option<String>,
}

fn account_external_id() -> String {
    "Shop_Customer_Id__c".into()
}

fn opportunity_external_id() -> String {
    "Shop_Order_Id__c".into()
}

/// The records of `order`, and the order's name.
///
/// # Errors
///
/// Permanent: `required-field-missing` and `field-type-wrong` with the field's pointer, `date-invalid`, `currency-not-in-org`.
pub fn records(order: &Value, config: &Config) -> Result<(Value, String), Failure> {
    let root = Field::root(order);
    let root = root.object()?.ok_or_else(|| root.wrong("an object"))?;
    let name = required_text(&root, "name")?;
    let account = account(&root, config)?;
    let opportunity = opportunity(&root, name, account.is_some(), config)?;
    let records: Vec<Value> = account.into_iter().chain([opportunity]).collect();
    Ok((json!({ "records": records }), name.to_owned()))
}

/// The customer's account; none for an order without a customer. What the order does not know is left out, so that it does
/// not erase what the CRM knows.
fn account(order: &Field<'_>, config: &Config) -> Result<Option<Value>, Failure> {
    let Some(customer) = order.at("customer").object()? else { return Ok(None) };
    let id = required_text(&customer, "id")?;
    let mut fields = Map::new();
    fields.insert("Name".into(), json!(cut(&account_name(order, &customer, id)?, ACCOUNT_NAME_UNITS_MAX)));
    let billing = order.at("billing_address");
    billing.object()?;
    let phone = customer.at("phone").text()?.or(billing.at("phone").text()?);
    let street = [billing.at("line1").text()?, billing.at("line2").text()?];
    let street = street.into_iter().flatten().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    for (field, text, units_max) in [
        ("Phone", phone, PHONE_UNITS_MAX),
        ("BillingStreet", Some(street.as_str()), STREET_UNITS_MAX),
        ("BillingCity", billing.at("city").text()?, CITY_UNITS_MAX),
        ("BillingPostalCode", billing.at("postal_code").text()?, POSTAL_CODE_UNITS_MAX),
        ("BillingState", billing.at("region").text()?, STATE_UNITS_MAX),
        ("BillingCountry", billing.at("country").text()?, COUNTRY_UNITS_MAX),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            fields.insert(field.into(), json!(cut(text, units_max)));
        }
    }
    Ok(Some(record("Account", &config.account_external_id, id, fields)))
}

/// The company on the billing address; else the customer's names; else the e-mail address; else the customer's id.
fn account_name(order: &Field<'_>, customer: &Field<'_>, id: &str) -> Result<String, Failure> {
    let filled = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let names = [customer.at("first_name").text()?, customer.at("last_name").text()?];
    let names = names.into_iter().filter_map(filled).collect::<Vec<_>>().join(" ");
    let company = filled(order.at("billing_address").at("company").text()?);
    let email = filled(customer.at("email").text()?);
    Ok(company.or(filled(Some(&names))).or(email).unwrap_or_else(|| format!("Shop customer {id}")))
}

/// The shipment's opportunity. The order owns it: what the order does not know is sent as `null`.
fn opportunity(order: &Field<'_>, name: &str, has_account: bool, config: &Config) -> Result<Value, Failure> {
    let field = order.at("shipment");
    let shipment = field.required(field.object()?)?;
    let id = required_text(&shipment, "id")?;
    let mut fields = Map::new();
    fields.insert("Name".into(), json!(cut(&opportunity_name(name, &shipment)?, OPPORTUNITY_NAME_UNITS_MAX)));
    fields.insert("StageName".into(), json!(config.stage));
    fields.insert("CloseDate".into(), json!(day(&order.at("created_at"))?));
    fields.insert("Amount".into(), amount(&shipment.at("amount"))?);
    let currency = required_text(order, "currency")?;
    match &config.org_currency {
        None => {
            fields.insert("CurrencyIsoCode".into(), json!(currency));
        }
        Some(only) if only == currency => {}
        Some(only) => {
            let detail = format!("/currency is {currency}, and the org only has {only}: the amount would be booked in the wrong currency");
            return Err(Failure::permanent("currency-not-in-org", detail));
        }
    }
    fields.insert("Description".into(), json!(order.at("note").text()?.map(|note| cut(note, DESCRIPTION_UNITS_MAX))));
    if has_account {
        // A reference by external id: Salesforce finds the account by it.
        let customer = required_text(&order.at("customer"), "id")?;
        fields.insert("Account".into(), json!({ config.account_external_id.as_str(): customer }));
    }
    Ok(record("Opportunity", &config.opportunity_external_id, id, fields))
}

/// `Order #1001`, and which shipment if there are several.
fn opportunity_name(name: &str, shipment: &Field<'_>) -> Result<String, Failure> {
    let (number, of) = (count(&shipment.at("number"))?, count(&shipment.at("of"))?);
    Ok(if of == 1 { format!("Order {name}") } else { format!("Order {name} (shipment {number} of {of})") })
}

/// The amount as a JSON number of exactly the canonical digits.
fn amount(field: &Field<'_>) -> Result<Value, Failure> {
    let text = field.required(field.decimal()?)?;
    text.parse::<Number>().map(Value::Number).map_err(|_| field.wrong("a decimal"))
}

/// The day of an RFC 3339 time, in the offset it was written in: the shop's own day.
fn day<'a>(field: &Field<'a>) -> Result<&'a str, Failure> {
    let text = field.required(field.text()?)?;
    date::day(text)
        .ok_or_else(|| Failure::permanent("date-invalid", format!("{} should be a time like 2026-03-14T09:26:53+01:00", field.pointer())))
}

fn count(field: &Field<'_>) -> Result<u64, Failure> {
    field.required(field.value())?.as_u64().ok_or_else(|| field.wrong("a whole number"))
}

fn required_text<'a>(of: &Field<'a>, name: &str) -> Result<&'a str, Failure> {
    let field = of.at(name);
    field.required(field.text()?)
}

fn record(kind: &str, external_id_field: &str, external_id: &str, fields: Map<String, Value>) -> Value {
    json!({ "type": kind, "externalIdField": external_id_field, "externalId": external_id, "fields": fields })
}
