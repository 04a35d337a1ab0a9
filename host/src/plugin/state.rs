//! What lives in a call's `Store`: [`CallState`], and the part of it that outlives borrows of the store, [`Shared`].

use std::sync::Arc;

use super::Call;
use super::meter::{MemoryLimiter, Meter};
use super::wasi::{VirtualClock, Wasi};
use crate::capability::http::Http;
use crate::capability::key_value::KeyValue;
use crate::capability::log::CallLog;
use crate::capability::queue::Queue;

/// The data of a call's store.
#[derive(Debug)]
pub struct CallState {
    pub shared: Arc<Shared>,
    pub limiter: MemoryLimiter,
    pub wasi: Wasi,
    pub http: Http,
    pub key_value: KeyValue,
    pub queue: Queue,
}

/// What the call's future, its streams and its pollables reach without the store.
#[derive(Debug)]
pub struct Shared {
    pub call: Call,
    pub meter: Meter,
    pub clock: VirtualClock,
    pub log: CallLog,
}
