//! The admin listener: health, metrics, and the API that commands and scripts use.
//!
//! Knows the message store's ledger, the aliases' states, intake and metrics; decides nothing about deliveries. It is
//! served through ingress's accept loop and answers with its problem details.

mod aliases;
mod api;
mod by_hand;
mod dead_letters;
mod events;
mod guard;
mod health;
mod integrations;
mod messages;
mod openapi;
mod operate;
pub mod overview;
mod parameters;
mod shown_body;
mod status;
mod store_refusal;
#[cfg(test)]
mod tests;
pub mod token;

pub use api::{Api, ApiParts};
