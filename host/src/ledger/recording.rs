//! [`Recording`]: the calls of an attempt as they happen, within bounds.

use super::record::{Cut, RecordedCall};
use crate::plugin::{Call, Output, Report};

/// Bytes of one attempt that are kept; of more, nothing but how it ended.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a call counts for beside its content.
const CALL_BYTES: usize = 256;

/// What is known of an attempt's calls so far.
#[derive(Debug, Default)]
pub struct Recording {
    calls: Vec<RecordedCall>,
    bytes: usize,
    cut: Option<Cut>,
}

impl Recording {
    /// A call starts. If it never reports, the record shows that.
    pub fn begin(&mut self, call: &Call) {
        self.make_room(CALL_BYTES.saturating_add(call.config.len()));
        if self.cut == Some(Cut::TooLarge) {
            return;
        }
        self.calls.push(RecordedCall {
            place: call.place.clone(),
            plugin: call.plugin.clone(),
            export: call.export,
            config: call.config.clone(),
            messages: 1,
            heard: Default::default(),
            result: None,
            cpu_us: 0,
            wall_us: 0,
        });
    }

    /// The call that started last is for `size` messages.
    pub fn shared_by(&mut self, size: usize) {
        if let Some(call) = self.calls.last_mut() {
            call.messages = u32::try_from(size).unwrap_or(u32::MAX);
        }
    }

    /// It has ended. Takes what it heard out of the report.
    pub fn end(&mut self, report: &mut Report) {
        let heard = std::mem::take(&mut report.heard);
        if heard.is_cut {
            self.cut = self.cut.or(Some(Cut::Unrepeatable));
        }
        let made = report.result.as_ref().map_or(0, Output::held_bytes);
        self.make_room(heard.bytes().saturating_add(made));
        let Some(call) = self.calls.last_mut() else { return };
        call.heard = heard;
        call.result = Some(report.result.clone());
        call.cpu_us = u64::try_from(report.cpu.as_micros()).unwrap_or(u64::MAX);
        call.wall_us = u64::try_from(report.wall.as_micros()).unwrap_or(u64::MAX);
    }

    fn make_room(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > BYTES_MAX {
            self.cut = Some(Cut::TooLarge);
            self.calls = Vec::new();
        }
    }

    /// Bytes of what is kept.
    pub fn bytes(&self) -> usize {
        self.bytes.min(BYTES_MAX)
    }

    /// The calls, and why they are not all.
    pub fn into_calls(self) -> (Vec<RecordedCall>, Option<Cut>) {
        (self.calls, self.cut)
    }
}
