//! What a running host tells about itself: metric names and figures ([`Metrics`]), what happens ([`events`]), and logs ([`logging`]).
//!
//! Depends on `clock`, and on `message` for the words of outcomes; everybody may depend on it.

pub mod events;
mod last_hour;
pub mod logging;
mod metrics;

pub use last_hour::Latency;
pub use metrics::{METRICS_CONTENT_TYPE, Metrics};
