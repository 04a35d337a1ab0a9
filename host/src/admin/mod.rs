//! The admin listener: health, metrics, and the API that commands and scripts use.
//!
//! Knows the message store's ledger, the aliases' states, intake and metrics; decides nothing about deliveries. It is
//! served through ingress's accept loop and answers with its problem details.

mod guard;
mod parameters;
mod shown_body;
pub mod token;

pub use guard::Guard;
