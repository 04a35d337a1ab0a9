//! What a running host tells about itself: metric names and figures ([`Metrics`]), and logs ([`logging`]).
//!
//! Depends on `message` for the words of outcomes; everybody may depend on it.

pub mod logging;
mod metrics;

pub use metrics::{METRICS_CONTENT_TYPE, Metrics};
