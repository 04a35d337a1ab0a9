//! Rehearsal: what a release would make of messages that came before, with the outside answered from the ledger.
//!
//! [`stories`] picks what is rehearsed: a message with the attempts that ended its way, those of the messages it became included. [`stage`]
//! has the candidate go the same way (`delivery::Way`) with the outside of `outside`; `gone` is what came of it, then and now; `compare`
//! holds one against the other; [`Report`] gathers that over all messages, by what changed; `page` shows it to people. Nothing is sent,
//! nothing is written, and the same records give the same report.
//!
//! Knows `ledger`, `delivery`'s way and `plugin`; knows nothing of a running host.

mod compare;
mod gone;
mod outside;
mod page;
mod report;
mod stage;
mod stories;
#[cfg(test)]
mod tests;

pub use compare::{Change, Verdict};
pub use page::page;
pub use report::{Candidate, Group, Report, Sample};
pub use stage::{Stage, rehearse};
pub use stories::{DeadLetter, Stories, Wanted, stories};
