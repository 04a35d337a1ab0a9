//! The core in virtual time over a scripted world: intake, dispatcher, delivery, aliases and the capabilities are the host's own; the
//! store is the one in memory, plugins are native, and everything that happens follows from a seed.
//!
//! Depends on every room, as `app` does. `scenarios` is the list of what may happen, `script` its words, `run` the way of one simulation.

mod flows;
mod history;
mod ledger;
mod run;
mod scenarios;
mod script;
mod target;
mod traffic;
