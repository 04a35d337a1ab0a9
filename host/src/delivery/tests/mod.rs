//! The delivery core without Wasm, disk or network: rules, then whole ways, then how they end with the host.

mod deciding;
mod lab;
mod stopping;
mod telling;
mod ways;
