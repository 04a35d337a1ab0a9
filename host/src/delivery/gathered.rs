//! [`Gathered`]: what a delivery gathers on its way, call by call, within bounds.

use super::batch::Part;
use super::stopped::Stopped;
use super::trace::Trace;
use crate::ledger::Recording;
use crate::message::{FailureClass, Tracked};
use crate::message_store::KeyValueWrite;
use crate::plugin::{Call, Effects, Output, QueueSend, Report};

/// Bytes the calls of one delivery may give back and send to channels, all together: four times what one call may. Each step may
/// be called for every message that the one before made, so a bound on a call bounds nothing.
const MADE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Key-value writes and queue sends.
pub type Wanted = (Vec<KeyValueWrite>, Vec<QueueSend>);

/// Trace and tracked values are kept however the attempt ends; the effects are committed if it succeeds.
#[derive(Debug, Default)]
pub struct Gathered {
    pub trace: Trace,
    pub effects: Effects,
    /// Values by which the delivery's message is to be found, from the drafts of its steps.
    pub tracked: Vec<Tracked>,
    /// Its calls whole, where attempts are recorded.
    pub recording: Option<Recording>,
    sends: usize,
    made_bytes: usize,
}

impl Gathered {
    /// A call starts. If it never reports, the trace shows it as cut off.
    pub fn begin(&mut self, call: &Call) {
        self.sends = self.effects.sends.len();
        self.trace.begin(call);
        if let Some(recording) = &mut self.recording {
            recording.begin(call);
        }
    }

    /// A call has ended that was for other deliveries too. This one's effects are not the call's.
    pub fn end_shared(&mut self, Part { report, size }: Part) -> Result<Output, Stopped> {
        self.shared_by(size);
        let effects = std::mem::take(&mut self.effects);
        self.end(Report { effects, ..report })
    }

    /// Such a call has ended, and is repeated for fewer of them. What it sent says nothing of what comes of the repetition.
    pub fn end_repeated(&mut self, Part { mut report, size }: Part) {
        self.shared_by(size);
        self.trace.note(&mut report);
        self.keep(&mut report);
    }

    fn shared_by(&mut self, size: usize) {
        self.trace.shared_by(size);
        if let Some(recording) = &mut self.recording {
            recording.shared_by(size);
        }
    }

    fn keep(&mut self, report: &mut Report) {
        if let Some(recording) = &mut self.recording {
            recording.end(report);
        }
    }

    /// What its calls want written and sent so far, where that is recorded: a settlement takes it, or drops it.
    pub fn wanted(&self) -> Wanted {
        let wanted = |_: &Recording| (self.effects.key_values.clone(), self.effects.sends.clone());
        self.recording.as_ref().map(wanted).unwrap_or_default()
    }

    /// A call has ended.
    pub fn end(&mut self, mut report: Report) -> Result<Output, Stopped> {
        self.trace.end(&mut report);
        self.keep(&mut report);
        self.effects = report.effects;
        let output = report.result.map_err(|failure| Stopped::Failed { failure, obstacle: report.obstacle.map(Box::new) })?;
        let drafts = if let Output::Drafts(drafts) = &output { drafts.as_slice() } else { &[] };
        let sent = self.effects.sends.get(self.sends..).unwrap_or_default();
        let made = drafts.iter().chain(sent.iter().map(|QueueSend { draft, .. }| draft)).map(|draft| draft.bytes());
        self.made_bytes = made.fold(self.made_bytes, usize::saturating_add);
        if self.made_bytes > MADE_BYTES_MAX {
            let detail = format!("what was made from this message is over {} MiB, all together", MADE_BYTES_MAX >> 20);
            return Err(Stopped::fault(FailureClass::OutputTooLarge, detail));
        }
        Ok(output)
    }
}
