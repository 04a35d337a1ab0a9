//! One message's way through its integration: dispatching what is due, running steps and sink, deciding what follows.
//!
//! Knows `message_store`, `plugin` (through their traits) and `alias` (its gates); knows nothing of files, sockets or SQL.
//! Read `deliver` for the way, [`decide`](decide()) for the rules, `settling` for what the store is told, `batch` for what deliveries
//! share whose sink takes several messages at once.

mod batch;
mod canary;
mod catalog;
mod decide;
mod deliver;
mod dispatcher;
mod feeds;
mod fingerprint;
mod gathered;
mod idempotency;
mod outgoing;
mod pauses;
mod retirements;
mod settling;
mod stopped;
mod telling;
mod trace;

pub use canary::{Canary, Figures, Side, SideFigures, Trial, WHOLE};
pub use catalog::{Catalog, LiveConfig, PollUse, Runnable, Use};
pub use decide::{Decision, Tries, decide};
pub use deliver::Delivery;
pub use dispatcher::{Bells, Dispatcher};
pub use fingerprint::fingerprint;
pub use idempotency::idempotency_base;
pub use outgoing::{Sending, UNKNOWN_CONTENT_TYPE, queue_appends};
pub use pauses::{Pause, Pauses};
pub use retirements::{Retirement, Retirements};

#[cfg(test)]
pub(crate) mod tests;
