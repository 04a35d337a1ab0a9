//! Rehearsal: what a release would make of messages that came before, with the outside answered from the ledger.
//!
//! [`stories`] picks what is rehearsed: a message with the attempts that ended its way, those of the messages it became included. [`stage`]
//! has the candidate go the same way (`delivery::Way`) with the outside of `outside`, within `bounds`; `gone` is what came of it, then and now; `compare`
//! holds one against the other; [`Report`] gathers that over all messages, by what changed; `page` shows it to people. Nothing is sent,
//! nothing is written, and the same records give the same report. [`rehearse`] does so over what is recorded, [`Beside`] while messages flow.
//!
//! Knows `ledger`, `delivery`'s way and `plugin`; knows nothing of a running host.

mod beside;
mod bounds;
mod compare;
mod gone;
pub mod kept;
mod outside;
mod over;
mod page;
mod report;
mod stage;
mod stories;
#[cfg(test)]
mod tests;

pub use beside::{Beside, Due, ORPHAN_WITHIN};
pub use compare::{Change, Verdict};
pub use outside::Rules;
pub use over::{Over, rehearse};
pub use page::{about, page, told};
pub use report::{Candidate, Group, Report, Sample, Standing};
pub use stage::Stage;
pub use stories::{DeadLetter, Stories, Wanted, stories};
