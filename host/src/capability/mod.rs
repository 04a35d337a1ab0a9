//! What plugins may import, one file per import of the WIT package: plain Rust, without a word of Wasm.
//!
//! Each keeps what one call did with it. `plugin::bindings` translates from and to the generated types of each frozen version.
//! Depends on `message_store` for reading, on `integration` for bindings and on the plain types of `plugin`.

pub mod config;
pub mod egress;
pub mod heard;
pub mod http;
pub mod idempotency;
pub mod key_value;
pub mod log;
pub mod over;
pub mod queue;
pub mod rows;

use crate::message_store::StoreError;

/// The host could not do what a plugin asked for; not the plugin's fault, so the call is tried again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("the integration's key-value data could not be read: {0}")]
    KeyValue(#[from] StoreError),
}

impl Unavailable {
    /// The stable word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyValue(_) => "key-value-unavailable",
        }
    }
}
