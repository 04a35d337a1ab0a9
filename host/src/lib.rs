//! Lockgate: moves messages between business systems without losing, duplicating or silently bending one.
//!
//! The rooms, and which may know which: `message` ← `integration` ← `message_store`, `plugin` ← `delivery` ← `app`.
//! ARCHITECTURE.md says where to change what.

pub mod admin;
pub mod alias;
pub mod app;
pub mod backup;
pub mod bench;
pub mod capability;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod crash_point;
pub mod delivery;
pub mod demo;
mod difference;
pub mod failures;
pub mod ingress;
pub mod integration;
pub mod layout;
pub mod ledger;
pub mod mapping;
pub mod message;
pub mod message_store;
pub mod moment;
pub mod partial;
pub mod plugin;
pub mod printable;
pub mod problem;
pub mod random;
pub mod rehearsal;
pub mod releases;
pub mod scenario;
#[cfg(test)]
mod simulation;
pub mod source;
pub mod telemetry;
pub mod template;
pub mod virtual_time;
