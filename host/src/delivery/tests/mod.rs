//! The delivery core without Wasm, disk or network: rules, then whole ways, then how they end with the host.

mod batches;
mod deciding;
mod gates;
mod kept_answers;
pub(crate) mod lab;
mod retiring;
mod stopping;
mod target;
mod telling;
mod ways;
