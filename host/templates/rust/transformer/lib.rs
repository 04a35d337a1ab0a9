//! `{{name}}`: an order of the web shop becomes what the CRM takes.

use lockgate_sdk::{Context, Draft, Failure, Field, Message, Output, Transformer};
use serde::Deserialize;
use serde_json::{Value, json};

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

/// The step's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "euro")]
    currency: String,
}

fn euro() -> String {
    "EUR".into()
}

impl Transformer for Plugin {
    fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
        let config: Config = lockgate_sdk::config()?;
        let document: Value = message.json()?;
        let order = Field::root(&document);
        if order.at("test").flag()? == Some(true) {
            return Ok(Output::skip("test-order", "test orders are not sent on"));
        }
        // What is missing or of another type is a dead letter that names the field; nothing is guessed.
        let number = order.at("number");
        let number = number.required(number.text()?)?;
        let total = order.at("total");
        let total = total.required(total.decimal()?)?;
        let customer = order.at("customer").object()?;
        let email = customer.map(|customer| customer.at("email").text());
        let email = email.transpose()?.flatten();
        let record = json!({
            "externalId": number,
            "email": email.map(|email| email.trim().to_lowercase()),
            "amount": total,
            "currency": order.at("currency").text()?.unwrap_or(&config.currency),
        });
        Ok(Draft::json(&record)?.tracked("order", number).into())
    }
}

lockgate_sdk::export_transformer!(Plugin);
