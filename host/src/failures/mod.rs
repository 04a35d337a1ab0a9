//! The failure suite: any plugin, or integration, put through everything that goes wrong, from sample messages. Nobody writes a line for it.
//!
//! [`trouble`] is what a target does, [`target`] the one that does it; [`field`] are the ways in which a message is another one. [`intact`]
//! finds the samples that are delivered as they are, [`play`] puts messages through a chamber (`scenario`), and [`vary`] has it find which
//! outputs are made of which fields (`follow`). [`cases`] lists what is tried, [`suite`] tries it, and [`source`] does so for a source. `judge`
//! says whether what came of it is sound, with `vanish` for what an output lost, and [`report`] and [`page`] tell it.
//!
//! Knows `scenario`; knows nothing of files, sockets or a running host.

pub mod cases;
pub mod field;
pub mod follow;
pub mod intact;
mod judge;
pub mod page;
pub mod play;
pub mod report;
pub mod source;
pub mod suite;
pub mod target;
#[cfg(test)]
mod tests;
pub mod trouble;
pub mod vanish;
pub mod vary;
