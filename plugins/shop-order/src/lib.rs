//! `shop-order`: a Shopify order (the Order resource of the REST Admin API) becomes one canonical order per shipment.
//!
//! Takes the bare order, as webhooks send it, or the order wrapped as `{"order": …}`, as the REST API answers. The rules
//! are in `canonical` (fields) and `shipments` (splitting, amounts); README.md says them for people. Depends on the SDK only.

mod canonical;
mod decimal;
mod shipments;

use lockgate_sdk::{Context, Draft, Failure, Field, Message, Output, Transformer};
use serde_json::Value;

/// The plugin.
#[derive(Debug)]
pub struct ShopOrder;

impl Transformer for ShopOrder {
    fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
        let document: Value = message.json()?;
        let root = Field::root(&document);
        let root = root.object()?.ok_or_else(|| root.wrong("an object"))?;
        let order = root.at("order").object()?.unwrap_or(root);
        if order.at("test").flag()? == Some(true) {
            return Ok(Output::skip("test-order", "Shopify marks this order as a test; it is not sent on"));
        }
        let name = canonical::required_text(&order, "name")?;
        let canonical = canonical::Order::read(&order)?;
        let shipments = shipments::split(&order, &canonical)?;
        let drafts = shipments.iter().map(|shipment| Ok(Draft::json(&canonical.with(shipment))?.tracked("order", name)));
        drafts.collect::<Result<Vec<Draft>, Failure>>().map(Output::from)
    }
}

lockgate_sdk::export_transformer!(ShopOrder);
