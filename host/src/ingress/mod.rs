//! Webhooks in: match the path, bound and read the body, verify who sent it, build a message, hand it to the message store.
//!
//! Knows the message store, integrations and the verification rules of aliases; never plugins. `admin` serves through
//! the same accept loop and answers with the same problem details.

pub mod answer;
pub mod body;
mod by_hand;
mod challenge;
mod dedup;
mod edited;
mod headers;
mod log_limit;
mod receive;
mod routes;
mod serve;
mod tls;
pub mod verify;
mod write_stall;

#[cfg(test)]
pub(crate) mod tests;

pub use by_hand::ByHand;
pub use dedup::DEDUP_KEPT;
pub use edited::Edited;
pub use headers::{kept_headers, media_type};
pub use receive::{Intake, IntakeLimits, IntakeParts, Receipt, ReceiptStatus};
pub use routes::{Leaving, Listener, Routes, Webhook};
pub use serve::{Door, Handler, ServeLimits, serve};
pub use tls::{Look, Tls, TlsFiles};
