//! [`Trace`]: what an attempt did, plugin call by plugin call, for the ledger. Holds no credential and no body.

use serde::Serialize;

use crate::plugin::{Call, CallFailure, OutboundRequest, Output, Report};

/// The calls of one attempt, in order.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trace {
    pub calls: Vec<TracedCall>,
}

/// One call of a plugin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TracedCall {
    pub place: String,
    pub plugin: String,
    pub version: String,
    pub digest: String,
    /// `3 drafts`, `skip test-order`, `receipt`, `failed row-locked`.
    pub result: String,
    pub cpu_us: u64,
    pub wall_us: u64,
    pub requests: Vec<OutboundRequest>,
}

impl Trace {
    /// Notes a call and what came of it.
    pub fn note(&mut self, call: &Call, report: &mut Report) {
        self.calls.push(TracedCall {
            place: call.place.clone(),
            plugin: call.plugin.name.clone(),
            version: call.plugin.version.to_string(),
            digest: call.plugin.digest.clone(),
            result: result_word(&report.result),
            cpu_us: u64::try_from(report.cpu.as_micros()).unwrap_or(u64::MAX),
            wall_us: u64::try_from(report.wall.as_micros()).unwrap_or(u64::MAX),
            requests: std::mem::take(&mut report.requests),
        });
    }

    /// Whether any call so far sent a request.
    pub fn sent_requests(&self) -> bool {
        self.calls.iter().any(|call| !call.requests.is_empty())
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn result_word(result: &Result<Output, CallFailure>) -> String {
    match result {
        Ok(Output::Drafts(drafts)) if drafts.len() == 1 => "1 draft".to_owned(),
        Ok(Output::Drafts(drafts)) => format!("{} drafts", drafts.len()),
        Ok(Output::Skip { code, .. }) => format!("skip {code}"),
        Ok(Output::Receipt { .. }) => "receipt".to_owned(),
        Err(CallFailure::Transient { code, .. } | CallFailure::Permanent { code, .. }) => format!("failed {code}"),
        Err(CallFailure::Fault { class, .. }) => format!("failed {class}"),
    }
}
