//! What travels through the floor: an [`Order`] on its way to the database, a [`Delivery`] on its way out, and how it [`Settled`].

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::rows::Place;

/// The integration's name, as in the host's example.
pub const INTEGRATION: &str = "order-to-invoice";
/// Where orders come in.
pub const PATH: &str = "/orders";
/// Where the host says that they came from.
pub const ORIGIN: &str = "webhook /orders";

/// An order that was verified.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: [u8; 16],
    /// SHA-256 over the body: what makes two orders the same.
    pub token: [u8; 32],
    /// The customer, whose orders stay in order.
    pub key: String,
    /// By which the order is found.
    pub number: String,
    /// The number as the host writes tracked values: JSON.
    pub tracked: String,
    pub content_type: String,
    /// The headers that are kept, as JSON.
    pub headers: String,
    pub body: Bytes,
    pub accepted_at: i64,
}

/// What became of an order at the way in.
#[derive(Clone, Copy, Debug)]
pub enum Accepted {
    New,
    /// It was taken before, under this id.
    Duplicate([u8; 16]),
}

/// What the writer is asked.
#[derive(Debug)]
pub enum Command {
    Accept(Box<Order>, oneshot::Sender<Accepted>),
    Start { delivery: i64, at: i64 },
    Settle(Box<Settled>),
}

/// An order that is on disk.
#[derive(Debug)]
pub struct Delivery {
    pub place: Place,
    pub order: Box<Order>,
}

/// A delivery that arrived.
#[derive(Debug)]
pub struct Settled {
    pub place: Place,
    /// The customer.
    pub key: String,
    pub started_at: i64,
    pub ended_at: i64,
    /// What was called and sent, as JSON.
    pub trace: String,
    /// What the target answered, as JSON.
    pub receipt: String,
    /// The body that was sent.
    pub sent: Bytes,
    /// The body that was answered.
    pub answer: Bytes,
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the floor runs in real time only")]
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
