//! What lives in a call's `Store`: [`CallState`], and the part of it that outlives borrows of the store, [`Shared`].

use std::sync::Arc;

use super::Call;
use super::meter::{MemoryLimiter, Meter};
use super::wasi::{VirtualClock, Wasi};
use crate::capability::http::Http;
use crate::capability::key_value::KeyValue;
use crate::capability::log::{CallLog, OpenLine, Speaker};
use crate::capability::over::Over;
use crate::capability::queue::Queue;
use crate::telemetry::events::Events;

/// The data of a call's store.
#[derive(Debug)]
pub struct CallState {
    pub shared: Arc<Shared>,
    pub limiter: MemoryLimiter,
    pub wasi: Wasi,
    pub http: Http,
    pub key_value: KeyValue,
    pub queue: Queue,
    pub standard_output: OpenLine,
    pub standard_error: OpenLine,
    /// Its `setup` runs: no capability is there.
    pub is_setting_up: bool,
}

impl CallState {
    /// The limits it ran into and went on.
    pub fn over(&self) -> Over {
        self.http.over().and(self.key_value.over())
    }

    /// Writes what was printed of lines that never ended.
    pub fn end_lines(&mut self) {
        for line in [&mut self.standard_output, &mut self.standard_error] {
            line.end(&self.shared.log, self.shared.speaker());
        }
    }
}

/// What the call's future, its streams and its pollables reach without the store.
#[derive(Debug)]
pub struct Shared {
    pub call: Call,
    pub meter: Meter,
    pub clock: VirtualClock,
    pub log: CallLog,
    /// Who hears the log's lines beside the log.
    pub events: Arc<Events>,
}

impl Shared {
    /// Who speaks in the lines of this call's log.
    pub fn speaker(&self) -> Speaker<'_> {
        Speaker { integration: &self.call.integration, message: self.call.message.id, plugin: &self.call.plugin, events: &self.events }
    }
}
