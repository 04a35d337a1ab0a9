//! One message's way through its integration: dispatching what is due, running steps and sink, deciding what follows.
//!
//! Knows `message_store`, `plugin` (through their traits) and `alias` (its gates); knows nothing of files, sockets or SQL.
//! Read `deliver` for the life of a delivery, `way` for its calls, [`decide`](decide()) for the rules, `settling` for what the store is told, `batch` for what deliveries
//! share whose sink takes several messages at once, `recording` for what the ledger has of an attempt, `canary` and `shadow` for releases that are tried beside the active one.

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
mod recording;
mod retirements;
mod settling;
mod shadow;
mod stopped;
mod telling;
mod trace;
mod way;

pub use canary::{Canary, Figures, Side, SideFigures, Trial, WHOLE};
pub use catalog::{Beside, Catalog, LiveConfig, Part, PollUse, Runnable, Use};
pub use decide::{Decision, Tries, decide};
pub use deliver::Delivery;
pub use dispatcher::{Bells, Dispatcher};
pub use fingerprint::fingerprint;
pub use gathered::{Gathered, Wanted};
pub use idempotency::idempotency_base;
pub use outgoing::{Sending, UNKNOWN_CONTENT_TYPE, children, queue_appends};
pub use pauses::{Pause, Pauses};
pub use retirements::{Retirement, Retirements};
pub use shadow::{Configs, Seen, Shadow, family};
pub use stopped::Stopped;
pub use way::{Made, Taken, Way};

#[cfg(test)]
pub(crate) mod tests;
