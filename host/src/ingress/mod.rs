//! Webhooks in: accept, verify, respond. Knows the message store, never plugins.

pub mod verify;
