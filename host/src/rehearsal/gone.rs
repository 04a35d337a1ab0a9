//! [`Gone`]: what came of a message, in terms that are the same for the recorded attempt and for the candidate.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::outside::{Met, Noted, Outside};
use crate::capability::heard::Heard;
use crate::delivery::{Taken, UNKNOWN_CONTENT_TYPE};
use crate::ledger::{Ended, Record, RecordedCall};
use crate::message::{self, FailureClass, Headers, Message, Tracked};
use crate::message_store::{KeyValueWrite, Stage};
use crate::plugin::{CallFailure, Draft, Export, Output, QueueSend};

/// What came of a message.
#[derive(Debug, Default)]
pub struct Gone {
    pub steps: Steps,
    /// The messages that go to the sink, in order.
    pub made: Vec<Content>,
    /// What the steps asked the outside.
    pub steps_asked: Asking,
    /// What the sink did with each, by its place; none where the sink is no plugin, or that part is not known.
    pub sinks: BTreeMap<usize, Sunk>,
    pub key_values: Vec<KeyValueWrite>,
    pub sends: Vec<QueueSend>,
    /// What the message is found by.
    pub tracked: Vec<Tracked>,
}

/// How the steps ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Steps {
    #[default]
    Done,
    Skipped {
        code: String,
        detail: String,
    },
    Failed(Failure),
}

/// What the sink did with one message.
#[derive(Debug)]
pub struct Sunk {
    pub end: SinkEnd,
    pub asked: Asking,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SinkEnd {
    Delivered { receipt: Value },
    Skipped { code: String, detail: String },
    Failed(Failure),
}

/// Why it went no further.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// `step 1`, `sink`.
    pub place: String,
    pub code: String,
    /// Empty where it would not be the same the next time.
    pub detail: String,
    /// A word: whether it may pass. Empty where nobody knows.
    pub kind: &'static str,
    /// Not to be tried again before.
    pub retry_after: Option<std::time::Duration>,
}

/// What was asked of the outside: what was recorded of it, and what of that the candidate asked.
#[derive(Debug, Default)]
pub struct Asking {
    pub outside: Option<Arc<Outside>>,
    pub noted: Noted,
}

/// What nobody asked before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub what: String,
    /// What would be sent.
    pub body: Option<bytes::Bytes>,
}

/// A message's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub content_type: String,
    pub headers: Headers,
    pub body: bytes::Bytes,
}

impl Content {
    pub fn of(message: &Message) -> Self {
        Self { content_type: message.content_type.clone(), headers: message.headers.clone(), body: message.body.clone() }
    }

    fn of_draft(draft: &Draft) -> Self {
        let content_type = if draft.content_type.is_empty() { UNKNOWN_CONTENT_TYPE } else { &draft.content_type };
        Self { content_type: content_type.to_owned(), headers: draft.headers.clone(), body: draft.body.clone() }
    }
}

impl Failure {
    /// What a limit has to say of use and time is of that one call, and of that machine.
    pub fn new(place: &str, failure: &CallFailure) -> Self {
        let (code, detail) = match failure {
            CallFailure::Transient { code, detail, .. } | CallFailure::Permanent { code, detail } => (code.as_str(), detail.as_str()),
            CallFailure::Fault { class, .. } => (class.as_str(), ""),
        };
        let retry_after = if let CallFailure::Transient { retry_after, .. } = failure { *retry_after } else { None };
        Self { place: place.to_owned(), code: code.to_owned(), detail: detail.to_owned(), kind: failure.class_word(), retry_after }
    }
}

impl Sunk {
    fn failure(&self) -> Option<&Failure> {
        if let SinkEnd::Failed(failure) = &self.end { Some(failure) } else { None }
    }

    fn has_failed(&self) -> bool {
        self.failure().is_some()
    }
}

impl SinkEnd {
    /// The word for it.
    pub fn word(&self) -> String {
        match self {
            Self::Delivered { .. } => "delivered".to_owned(),
            Self::Skipped { code, .. } => format!("skipped: {code}"),
            Self::Failed(failure) => format!("failed: {}", failure.code),
        }
    }
}

impl From<Taken> for SinkEnd {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Delivered { receipt } => Self::Delivered { receipt },
            Taken::Skipped { code, detail } => Self::Skipped { code, detail },
        }
    }
}

impl Gone {
    /// The first failure, if there is one.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.steps {
            Steps::Failed(failure) => Some(failure),
            _ => self.sinks.values().find_map(Sunk::failure),
        }
    }

    /// Whether a call was out of time, and would end otherwise in `after`: there no time passes but for answers that never came.
    pub fn ran_out_of_time(&self, after: &Self) -> bool {
        let is_late = |failure: Option<&Failure>| failure.is_some_and(|failure| failure.code == FailureClass::TimedOut.as_str());
        let of_steps = |gone: &Self| if let Steps::Failed(failure) = &gone.steps { is_late(Some(failure)) } else { false };
        let of_sink = |gone: &Self, place: &usize| is_late(gone.sinks.get(place).and_then(Sunk::failure));
        of_steps(self) && !of_steps(after) || self.sinks.keys().any(|place| of_sink(self, place) && !of_sink(after, place))
    }

    /// The first failure where `before` had none, in one place of several, too; none where nothing of that went well.
    pub fn newly_failing(&self, before: &Self) -> Option<&Failure> {
        let failed = |gone: &Self, place: &usize| gone.sinks.get(place).is_some_and(Sunk::has_failed);
        let nothing_went_well = !before.sinks.is_empty() && before.sinks.values().all(Sunk::has_failed);
        match (&before.steps, &self.steps) {
            _ if nothing_went_well => None,
            (Steps::Failed(_), _) => None,
            (_, Steps::Failed(failure)) => Some(failure),
            _ => self.sinks.iter().filter(|(place, _)| !failed(before, place)).find_map(|(_, sunk)| sunk.failure()),
        }
    }

    /// What nobody asked before.
    pub fn unknown(&self) -> impl Iterator<Item = Unknown> {
        let askings = std::iter::once(&self.steps_asked).chain(self.sinks.values().map(|sunk| &sunk.asked));
        askings.flat_map(|asking| {
            let requests = asking.noted.requests.iter().filter(|(_, met)| *met == Met::Unknown);
            let requests = requests.map(|(sent, _)| Unknown {
                what: format!("{} {} {}", sent.alias, sent.method, sent.path),
                body: (!sent.body.is_empty()).then(|| sent.body.clone()),
            });
            requests.chain(asking.noted.unknown_reads.iter().map(|what| Unknown { what: what.clone(), body: None }))
        })
    }

    /// What a recorded attempt came to, with those of its parts that are known, by their place.
    pub fn of(root: &Record, parts: &BTreeMap<usize, Record>, sink_alone: bool) -> Self {
        let mut gone = Self { key_values: root.key_values.clone(), sends: root.sends.clone(), ..Self::default() };
        if root.stage == Stage::Sink {
            gone.made = vec![Content::of(&root.message)];
        } else {
            gone.take_steps(root);
        }
        if !sink_alone {
            return gone;
        }
        if let Some(sunk) = sunk(root) {
            gone.sinks.insert(0, sunk);
        }
        for (place, part) in parts {
            gone.key_values.extend(part.key_values.iter().cloned());
            gone.sends.extend(part.sends.iter().cloned());
            gone.sinks.extend(sunk(part).map(|sunk| (*place, sunk)));
        }
        gone
    }

    fn take_steps(&mut self, root: &Record) {
        let steps: Vec<&RecordedCall> = step_calls(root).collect();
        let drafts = steps.iter().filter_map(|call| if let Some(Ok(Output::Drafts(drafts))) = &call.result { Some(drafts) } else { None });
        message::track(&mut self.tracked, drafts.flatten().flat_map(|draft| draft.tracked.iter().cloned()));
        let failed = steps.iter().find_map(|call| match &call.result {
            Some(Err(failure)) => Some(Failure::new(&call.place, failure)),
            None => Some(Failure { place: call.place.clone(), code: "cut-off".to_owned(), ..Failure::default() }),
            Some(Ok(_)) => None,
        });
        let reached_sink = root.calls.iter().any(|call| call.export != Export::Transform);
        self.steps = match (&root.ended, failed) {
            (_, Some(failure)) => Steps::Failed(failure),
            (Ended::Failed { code, .. }, None) if !reached_sink => {
                let place = steps.last().map_or_else(|| "sink".to_owned(), |call| call.place.clone());
                Steps::Failed(Failure { place, code: code.clone(), ..Failure::default() })
            }
            (Ended::Skipped { code, detail }, None) if !reached_sink => Steps::Skipped { code: code.clone(), detail: detail.clone() },
            _ => Steps::Done,
        };
        if self.steps == Steps::Done {
            self.made = made(root, &steps);
        }
    }
}

/// The calls of a record's steps.
pub fn step_calls(record: &Record) -> impl Iterator<Item = &RecordedCall> {
    record.calls.iter().filter(|call| call.export == Export::Transform)
}

/// The calls of its sink.
pub fn sink_calls(record: &Record) -> impl Iterator<Item = &RecordedCall> {
    record.calls.iter().filter(|call| call.export != Export::Transform)
}

/// What those heard.
pub fn sink_heard(record: &Record) -> impl Iterator<Item = &Heard> {
    sink_calls(record).map(|call| &call.heard)
}

/// What the last step made; without any, the message as it came.
fn made(root: &Record, steps: &[&RecordedCall]) -> Vec<Content> {
    // `step 2`, or `step 2 #3` where it was called for the fourth message.
    let step = |call: &RecordedCall| call.place.split(" #").next().unwrap_or_default().to_owned();
    let Some(last) = steps.last().map(|call| step(call)) else { return vec![Content::of(&root.message)] };
    let drafts = steps.iter().filter(|call| step(call) == last).filter_map(|call| match &call.result {
        Some(Ok(Output::Drafts(drafts))) => Some(drafts),
        _ => None,
    });
    drafts.flatten().map(Content::of_draft).collect()
}

/// What the sink did in a recorded attempt, if it came so far.
fn sunk(record: &Record) -> Option<Sunk> {
    let call = record.calls.iter().rfind(|call| call.export != Export::Transform)?;
    let end = match &call.result {
        Some(Ok(Output::Receipt { remote_id, remote_version, detail })) => {
            let receipt = serde_json::json!({ "remote-id": remote_id, "remote-version": remote_version, "detail": detail });
            SinkEnd::Delivered { receipt }
        }
        Some(Ok(Output::Skip { code, detail })) => SinkEnd::Skipped { code: code.clone(), detail: detail.clone() },
        Some(Err(failure)) => SinkEnd::Failed(Failure::new(&call.place, failure)),
        Some(Ok(_)) | None => SinkEnd::Failed(Failure { place: call.place.clone(), code: "cut-off".to_owned(), ..Failure::default() }),
    };
    Some(Sunk { end, asked: Asking::default() })
}
