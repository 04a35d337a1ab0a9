//! The whole core in virtual time, over a scripted world: one seed, one history.

mod clock;
mod flows;
mod history;
mod ledger;
mod run;
mod scenarios;
mod script;
mod target;
