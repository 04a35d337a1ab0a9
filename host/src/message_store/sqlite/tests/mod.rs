//! What only the store on disk has: the folder, the writer's groups, the ledger, releases.

mod alias_states;
mod audit;
mod backfill;
mod curves;
mod folder;
mod groups;
mod ledger;
mod power_cut;
mod questions;
mod races;
mod releases;
mod retention;
mod retirements;
mod sealed;
