//! Intake over real loopback sockets, with a scripted message store.

mod framing;
mod hostile;
pub(crate) mod support;
mod tls;
mod verified;
mod webhooks;
