//! Scenarios: an integration, or one plugin, run in the host's own core, with the outside scripted and time virtual.
//!
//! [`file`] says what a scenario is and `parse` reads it; [`outside`] answers requests as it says; [`chamber`] is a host over all that, as
//! `app` is one over the network and a disk, and [`book`] keeps what happens in it; [`run`] is the way of one scenario, `check` says whether a scenario can mean anything for what it is about, `judge` holds what
//! happened against what is expected, and [`report`] tells it.
//!
//! Knows the rooms of the core, as `app` does; knows nothing of files beyond those a scenario names, nothing of sockets, nothing of a data folder.

pub mod book;
pub mod chamber;
pub mod check;
pub mod content;
pub mod file;
mod judge;
pub mod outside;
mod parse;
mod parse_body;
mod parse_expect;
pub mod report;
pub mod run;
mod secrets;
#[cfg(test)]
mod tests;
