//! The delivery core without Wasm, disk or network: rules, then whole ways.

mod deciding;
mod ways;
