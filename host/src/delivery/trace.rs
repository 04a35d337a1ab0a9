//! [`Trace`]: what an attempt did, plugin call by plugin call, for the ledger. Holds no credential; bodies of requests go beside it.

use std::sync::Arc;

use serde::Serialize;

use crate::message_store::exchange::{EXCHANGES_PER_ATTEMPT_MAX, Exchange, KEPT_ATTEMPT_BYTES_MAX};
use crate::plugin::{Call, CallFailure, OutboundRequest, Output, Report};

/// Calls an attempt's trace lists: the first ones, and the last. A step that is called for each of thousands of messages must not
/// make a ledger of its own.
const CALLS_MAX: usize = 100;
/// The result of a call that never reported.
const CUT_OFF: &str = "cut off";

/// The calls of one attempt, in order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trace {
    pub calls: Vec<TracedCall>,
    /// Calls between the last but one and the last that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omitted: Option<u64>,
    /// The host died while an attempt before this one may have been under way: what it sent may have been sent before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_repeat: bool,
    #[serde(skip)]
    sent_requests: bool,
    /// Bytes of bodies that may still be kept.
    #[serde(skip)]
    room: usize,
}

impl Default for Trace {
    fn default() -> Self {
        Self { calls: Vec::new(), omitted: None, may_repeat: false, sent_requests: false, room: KEPT_ATTEMPT_BYTES_MAX }
    }
}

/// One call of a plugin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TracedCall {
    pub place: String,
    pub plugin: String,
    pub version: String,
    pub digest: String,
    /// Messages in the call, where it was for more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// `3 drafts`, `skip test-order`, `receipt`, `failed row-locked`, `cut off`.
    pub result: String,
    pub cpu_us: u64,
    pub wall_us: u64,
    pub requests: Vec<OutboundRequest>,
}

impl Trace {
    /// A call starts.
    pub fn begin(&mut self, call: &Call) {
        if self.calls.len() >= CALLS_MAX {
            self.calls.pop();
            self.omitted = Some(self.omitted.unwrap_or(0).saturating_add(1));
        }
        self.calls.push(TracedCall {
            place: call.place.clone(),
            plugin: call.plugin.name.clone(),
            version: call.plugin.version.to_string(),
            digest: call.plugin.digest.clone(),
            batch: None,
            result: CUT_OFF.to_owned(),
            cpu_us: 0,
            wall_us: 0,
            requests: Vec::new(),
        });
    }

    /// The call that started last is for `size` messages.
    pub fn shared_by(&mut self, size: usize) {
        if let Some(call) = self.calls.last_mut() {
            call.batch = (size > 1).then_some(size);
        }
    }

    /// The call that started last has ended. Takes its requests out of the report.
    pub fn end(&mut self, report: &mut Report) {
        self.sent_requests |= !report.requests.is_empty();
        self.note(report);
    }

    /// The same, where what it sent does not count.
    pub fn note(&mut self, report: &mut Report) {
        let Some(call) = self.calls.last_mut() else { return };
        call.result = result_word(&report.result);
        call.cpu_us = u64::try_from(report.cpu.as_micros()).unwrap_or(u64::MAX);
        call.wall_us = u64::try_from(report.wall.as_micros()).unwrap_or(u64::MAX);
        call.requests = std::mem::take(&mut report.requests);
        // The bodies of a batch are kept with each of its messages, so each keeps its part of what one attempt may.
        let share = self.room.min(KEPT_ATTEMPT_BYTES_MAX / call.batch.unwrap_or(1));
        let mut left = share;
        for request in &mut call.requests {
            request.exchange.fit(&mut left);
        }
        self.room -= share - left;
    }

    /// Whether any call that ended sent a request.
    pub fn sent_requests(&self) -> bool {
        self.sent_requests
    }

    /// What the requests sent and were answered, in their order; taken out.
    pub fn take_exchanges(&mut self) -> Vec<Exchange> {
        let requests = self.calls.iter_mut().flat_map(|call| &mut call.requests);
        requests.take(EXCHANGES_PER_ATTEMPT_MAX).map(|request| std::mem::take(&mut request.exchange)).collect()
    }

    pub fn to_json(&self) -> Arc<str> {
        // Strings and numbers: there is nothing in it that JSON could not say.
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned()).into()
    }
}

fn result_word(result: &Result<Output, CallFailure>) -> String {
    match result {
        Ok(Output::Drafts(drafts)) if drafts.len() == 1 => "1 draft".to_owned(),
        Ok(Output::Drafts(drafts)) => format!("{} drafts", drafts.len()),
        Ok(Output::Skip { code, .. }) => format!("skip {code}"),
        Ok(Output::Receipt { .. }) => "receipt".to_owned(),
        Ok(Output::Each(results)) => format!("{} results", results.len()),
        Ok(Output::Page(page)) => format!("page of {}", page.items.len()),
        Err(CallFailure::Transient { code, .. } | CallFailure::Permanent { code, .. }) => format!("failed {code}"),
        Err(CallFailure::Fault { class, .. }) => format!("failed {class}"),
    }
}
