//! `order-to-invoice`: an order becomes an invoice, five fields mapped.
//!
//! The smallest mapping that is still a real one, and the one that benchmarks run: [`invoice`] is the whole of it, and can be
//! called without a sandbox. The rules are in `order` and `amount`; README.md says them for people. Depends on the SDK only.

mod amount;
mod order;

use lockgate_sdk::{Context, Draft, Failure, Message, Output, Transformer};

pub use order::{Invoice, Order};

/// The plugin.
#[derive(Debug)]
pub struct OrderToInvoice;

impl Transformer for OrderToInvoice {
    fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
        Ok(invoice(&message)?.into())
    }
}

/// The invoice for the order in `message`.
///
/// # Errors
///
/// Permanent: `body-invalid`, `required-field-missing`, `field-type-wrong`, `date-invalid`, `currency-unknown`, `amount-invalid`.
pub fn invoice(message: &Message) -> Result<Draft, Failure> {
    let order: Order<'_> = message.json()?;
    Draft::json(&order.invoice()?)
}

lockgate_sdk::export_transformer!(OrderToInvoice);
