//! `order-to-opportunity`: a canonical order becomes the Account and Opportunity records the `salesforce` sink upserts.
//!
//! The rules are in `records` and `length`; README.md says them for people. Depends on the SDK only.

mod length;
mod records;

use lockgate_sdk::{Context, Draft, Failure, Message, Output, Transformer};
use serde_json::Value;

/// The plugin.
#[derive(Debug)]
pub struct OrderToOpportunity;

impl Transformer for OrderToOpportunity {
    fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
        let config = lockgate_sdk::config::<records::Config>()?;
        let order: Value = message.json()?;
        let (records, name) = records::records(&order, &config)?;
        Ok(Draft::json(&records)?.tracked("order", name).into())
    }
}

lockgate_sdk::export_transformer!(OrderToOpportunity);
