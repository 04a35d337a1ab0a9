//! Write Lockgate plugins in Rust: one trait implementation and one macro line.
//!
//! ```
//! use lockgate_sdk::{Context, Draft, Failure, Message, Output, Transformer};
//!
//! struct Shout;
//!
//! impl Transformer for Shout {
//!     fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
//!         let order: serde_json::Value = message.json()?;
//!         if order["test"] == true {
//!             return Ok(Output::skip("test-order", "test orders are not sent on"));
//!         }
//!         Ok(Draft::json(&order)?.tracked("order", order["name"].as_str().unwrap_or_default()).into())
//!     }
//! }
//!
//! lockgate_sdk::export_transformer!(Shout);
//! ```
//!
//! [`Sink`], [`BatchSink`] and [`Source`] work the same, with [`export_sink!`], [`export_batch_sink!`] and [`export_source!`]; [`Setup`] beside them does once what
//! need not be done for every message. What the host offers is in
//! [`http`], [`key_value`], [`queue`], [`log`] and [`config()`]; a component asks only for what its code really calls, and the
//! integration has to grant it. Natively, [`testing`] stands in for the host, so that `cargo test` runs a plugin's rules.
//!
//! Owns the shape of what an author writes. Depends on the WIT package in `wit/` and on nothing of the host.

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[path = "bindings.rs"]
pub mod __bindings;
#[cfg(target_family = "wasm")]
use __bindings::imports;
#[cfg(all(target_family = "wasm", feature = "arena"))]
mod arena;
#[cfg(target_family = "wasm")]
mod printing;

#[cfg(not(target_family = "wasm"))]
pub mod testing;
#[cfg(not(target_family = "wasm"))]
use testing::imports;

mod config;
pub mod date;
mod export;
mod failure;
mod field;
pub mod http;
pub mod key_value;
pub mod log;
mod message;
pub mod queue;
mod role;

pub use config::config;
pub use failure::Failure;
pub use field::Field;
pub use message::{Context, Draft, Header, Message, Tracked, header};
pub use role::{BatchSink, Delivered, Item, Output, Page, Receipt, Setup, Sink, Skip, Source, Transformer};

/// The Rust blocks of the page for authors, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins.md")]
pub mod page {}
