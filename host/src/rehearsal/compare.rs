//! What differs between how a message went and how it would go: [`compare`], pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gone::{Asking, Content, Failure, Gone, SinkEnd, Steps, Unknown};
use super::outside::{Met, Sent};
use crate::capability::heard::Asked;
use crate::difference;
use crate::integration::ReleaseId;
use crate::message::Tracked;
use crate::message_store::KeyValueWrite;
use crate::plugin::QueueSend;

/// Changes of one message that are told; `compare` stops there.
const CHANGES_MAX: usize = 1_000;
/// Requests that are named where they come in another order.
const ORDER_SHOWN: usize = 10;

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Same,
    Changed,
    NewlyFailing,
    NewlyPassing,
    /// It asks what nobody asked before: how it would end is not known.
    Diverged,
    /// Nothing is known to hold it against.
    NotComparable,
}

impl Verdict {
    pub const ALL: [Self; 6] = [Self::Same, Self::Changed, Self::NewlyFailing, Self::NewlyPassing, Self::Diverged, Self::NotComparable];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::NewlyFailing => "newly-failing",
            Self::NewlyPassing => "newly-passing",
            Self::Diverged => "diverged",
            Self::NotComparable => "not-comparable",
        }
    }
}

/// One thing that would be another.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `output`, `request crm POST /orders`, `receipt`, `outcome`, `failure`, `key-value`, `channel orders`.
    pub of: String,
    /// Where in it: a JSON Pointer (RFC 6901) into a body, else `content-type`, `header x-id`, `body`, … or nothing.
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// Which of the messages that it became, where there is more than one.
    pub part: Option<usize>,
}

/// What is told of one message.
#[derive(Debug)]
pub struct Told {
    pub verdict: Verdict,
    /// The release that it went through; none where nothing is known.
    pub release: Option<ReleaseId>,
    pub changes: Vec<Change>,
    /// Why it failed then, and why it would now.
    pub failed: Option<Failure>,
    pub fails: Option<Failure>,
    /// What nobody asked before.
    pub unknown: Vec<Unknown>,
    /// Why it cannot be compared.
    pub why: Option<&'static str>,
    /// Its way was compared up to the sink.
    pub sink_left_out: bool,
}

impl Told {
    /// What is made goes elsewhere.
    pub fn goes_to(&mut self, before: String, after: String) {
        if before == after {
            return;
        }
        self.changes.push(Change {
            of: "output".to_owned(),
            path: "goes to".to_owned(),
            before: Some(json!(before)),
            after: Some(json!(after)),
            part: None,
        });
        if self.verdict == Verdict::Same {
            self.verdict = Verdict::Changed;
        }
    }

    pub fn not_comparable(why: &'static str) -> Self {
        let (release, changes, unknown) = Default::default();
        Self { verdict: Verdict::NotComparable, release, changes, failed: None, fails: None, unknown, why: Some(why), sink_left_out: false }
    }
}

/// Holds what would come of a message against what came of it in `release`.
pub fn compare(before: &Gone, after: &Gone, release: ReleaseId) -> Told {
    let unknown: Vec<Unknown> = after.unknown().collect();
    // A part that fails besides others that did is as much as a message that does.
    let newly = after.newly_failing(before).cloned();
    let (failed, fails) = (before.failure().cloned(), newly.clone().or_else(|| after.failure().cloned()));
    let ends_otherwise = !unknown.is_empty() || failed.is_some() != fails.is_some();
    let mut changes = Changes { found: Vec::new(), part: None };
    changes.look(before, after, ends_otherwise);
    let verdict = match (&failed, &fails) {
        _ if !unknown.is_empty() => Verdict::Diverged,
        _ if newly.is_some() => Verdict::NewlyFailing,
        (Some(_), None) => Verdict::NewlyPassing,
        _ if changes.found.is_empty() => Verdict::Same,
        _ => Verdict::Changed,
    };
    Told { verdict, release: Some(release), changes: changes.found, failed, fails, unknown, why: None, sink_left_out: false }
}

struct Changes {
    found: Vec<Change>,
    part: Option<usize>,
}

impl Changes {
    /// Of a way that ends otherwise, only what both came to is compared: what is missing behind that goes without saying.
    fn look(&mut self, before: &Gone, after: &Gone, ends_otherwise: bool) {
        if before.steps == Steps::Done && after.steps == Steps::Done {
            self.outputs(&before.made, &after.made);
        }
        self.asked(&after.steps_asked, ends_otherwise);
        let several = before.made.len().max(after.made.len()) > 1;
        for (place, sunk) in &after.sinks {
            self.part = several.then_some(*place);
            self.asked(&sunk.asked, ends_otherwise);
            match before.sinks.get(place) {
                Some(was) => self.sink_ends(&was.end, &sunk.end, ends_otherwise),
                None if !ends_otherwise => self.note("outcome", "", None, Some(json!(sunk.end.word()))),
                None => {}
            }
        }
        self.part = None;
        if ends_otherwise {
            return;
        }
        self.step_ends(&before.steps, &after.steps);
        self.key_values(&before.key_values, &after.key_values);
        self.sends(&before.sends, &after.sends);
        self.note("output", "tracked", Some(tracked(&before.tracked)), Some(tracked(&after.tracked)));
    }

    fn note(&mut self, of: &str, path: &str, before: Option<Value>, after: Option<Value>) {
        if before != after && self.found.len() < CHANGES_MAX {
            self.found.push(Change { of: of.to_owned(), path: path.to_owned(), before, after, part: self.part });
        }
    }

    fn text(&mut self, of: &str, path: &str, before: Option<&str>, after: Option<&str>) {
        self.note(of, path, before.map(|text| json!(text)), after.map(|text| json!(text)));
    }

    fn outputs(&mut self, before: &[Content], after: &[Content]) {
        if before.len() != after.len() {
            self.note("output", "", Some(json!(messages(before.len()))), Some(json!(messages(after.len()))));
        }
        let several = before.len().max(after.len()) > 1;
        for (place, (was, is)) in before.iter().zip(after).enumerate() {
            self.part = several.then_some(place);
            self.content("output", was, is);
        }
        self.part = None;
    }

    fn content(&mut self, of: &str, before: &Content, after: &Content) {
        self.text(of, "content-type", Some(&before.content_type), Some(&after.content_type));
        self.headers(of, &before.headers.0, &after.headers.0);
        self.body(of, &before.body, &after.body);
    }

    fn headers(&mut self, of: &str, before: &[(String, String)], after: &[(String, String)]) {
        let all = |headers: &[(String, String)]| {
            let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (name, value) in headers {
                all.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
            }
            all
        };
        let (before, after) = (all(before), all(after));
        let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (was, is) = (before.get(name), after.get(name));
            if was == is {
                continue;
            }
            let value = |values: &Vec<String>| json!(values.join(", "));
            let path = format!("header {name}");
            match (was.map(value), is.map(value)) {
                // One `x: a, b` in the place of an `x: a` and an `x: b`.
                (Some(was), Some(is)) => {
                    let (was, is) = told_apart(was, is);
                    self.note(of, &path, Some(was), Some(is));
                }
                (was, is) => self.note(of, &path, was, is),
            }
        }
    }

    fn body(&mut self, of: &str, before: &[u8], after: &[u8]) {
        if before == after {
            return;
        }
        match difference::fields_of_few(before, after).filter(|difference| !difference.fields.is_empty()) {
            Some(difference) => {
                for field in difference.fields {
                    self.note(of, &field.path, field.before, field.after);
                }
            }
            None => {
                let (was, is) = told_apart(shown(before), shown(after));
                self.note(of, "body", Some(was), Some(is));
            }
        }
    }

    /// What was asked, against what that stands for.
    fn asked(&mut self, asking: &Asking, ends_otherwise: bool) {
        let recorded = asking.outside.as_ref().map(|outside| outside.asked.as_slice()).unwrap_or_default();
        let mut left: Vec<bool> = vec![true; recorded.len()];
        for (sent, met) in &asking.noted.requests {
            let of = named(&sent.alias, &sent.method, &sent.path);
            match met {
                Met::Recorded(index) => {
                    if let (Some(asked), Some(left)) = (recorded.get(*index), left.get_mut(*index)) {
                        *left = false;
                        self.request(&of, asked, sent);
                    }
                }
                Met::Denied => self.note(&of, "", None, Some(json!("denied by the egress rules"))),
                Met::Unknown => {}
            }
        }
        self.order(recorded, asking);
        for (asked, _) in recorded.iter().zip(left).filter(|(_, left)| *left && !ends_otherwise) {
            self.note(&named(&asked.alias, &asked.method, &asked.path), "", Some(json!("sent")), Some(json!("not sent")));
        }
    }

    /// Requests that were made one after the other, in another order. Those of one `send-all` have none.
    fn order(&mut self, recorded: &[Asked], asking: &Asking) {
        let mut groups = Vec::with_capacity(recorded.len());
        for asked in recorded {
            let group = groups.last().map_or(0, |(group, together)| group + usize::from(*together != asked.together));
            groups.push((group, asked.together));
        }
        let met = asking.noted.requests.iter().filter_map(|(_, met)| if let Met::Recorded(index) = met { Some(*index) } else { None });
        let order: Vec<usize> = met.collect();
        let rises = order.is_sorted_by_key(|index| groups.get(*index).map(|(group, _)| *group));
        if rises {
            return;
        }
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let told = |order: &[usize]| {
            let names = order.iter().filter_map(|index| recorded.get(*index)).take(ORDER_SHOWN);
            json!(
                names
                    .map(|asked| format!("{} {}", asked.method, asked.path.split('?').next().unwrap_or_default()))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        let (was, is) = told_apart(told(&sorted), told(&order));
        self.note("requests", "order", Some(was), Some(is));
    }

    fn request(&mut self, of: &str, before: &Asked, after: &Sent) {
        self.text(of, "idempotency-key", Some(&before.idempotency_key), Some(&after.idempotency_key));
        self.headers(of, &before.headers, &after.headers);
        self.body(of, &before.body, &after.body);
    }

    fn step_ends(&mut self, before: &Steps, after: &Steps) {
        let word = |steps: &Steps| match steps {
            Steps::Done => "went to the sink".to_owned(),
            Steps::Skipped { code, .. } => format!("skipped: {code}"),
            Steps::Failed(failure) => format!("failed: {}", failure.code),
        };
        match (before, after) {
            (Steps::Failed(was), Steps::Failed(is)) => self.failures(was, is),
            (Steps::Skipped { code: was, detail: told }, Steps::Skipped { code: is, detail: tells }) => {
                self.text("outcome", "code", Some(was), Some(is));
                self.text("outcome", "detail", Some(told), Some(tells));
            }
            _ => self.text("outcome", "", Some(&word(before)), Some(&word(after))),
        }
    }

    fn sink_ends(&mut self, before: &SinkEnd, after: &SinkEnd, ends_otherwise: bool) {
        match (before, after) {
            (SinkEnd::Delivered { receipt: was }, SinkEnd::Delivered { receipt: is }) => {
                for field in ["remote-id", "remote-version", "detail"] {
                    self.note("receipt", &format!("/{field}"), Some(was[field].clone()), Some(is[field].clone()));
                }
            }
            (SinkEnd::Failed(was), SinkEnd::Failed(is)) => self.failures(was, is),
            (SinkEnd::Skipped { code: was, detail: told }, SinkEnd::Skipped { code: is, detail: tells }) => {
                self.text("outcome", "code", Some(was), Some(is));
                self.text("outcome", "detail", Some(told), Some(tells));
            }
            _ if ends_otherwise => {}
            _ => self.text("outcome", "", Some(&before.word()), Some(&after.word())),
        }
    }

    fn failures(&mut self, before: &Failure, after: &Failure) {
        self.text("failure", "place", Some(&before.place), Some(&after.place));
        self.text("failure", "code", Some(&before.code), Some(&after.code));
        self.text("failure", "detail", Some(&before.detail), Some(&after.detail));
        // Of what the ledger has no call of, nobody knows the kind.
        if !before.kind.is_empty() && !after.kind.is_empty() {
            self.text("failure", "kind", Some(before.kind), Some(after.kind));
        }
        let retry_after = |failure: &Failure| failure.retry_after.map(milliseconds);
        self.note("failure", "retry-after-ms", retry_after(before), retry_after(after));
    }

    /// Whether a value lives for ever is compared, for how long is not: that is counted from the time of the call.
    fn key_values<'a>(&mut self, before: &'a [KeyValueWrite], after: &'a [KeyValueWrite]) {
        let all = |writes: &'a [KeyValueWrite]| -> BTreeMap<&'a str, &'a KeyValueWrite> {
            writes.iter().map(|write| (write.key.as_str(), write)).collect()
        };
        let (before, after) = (all(before), all(after));
        let keys: std::collections::BTreeSet<&&str> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (was, is) = (before.get(*key), after.get(*key));
            if was.map(|write| &write.value) != is.map(|write| &write.value) {
                let value = |write: &&KeyValueWrite| write.value.as_ref().map_or(json!("deleted"), |value| shown(value));
                match (was.map(value), is.map(value)) {
                    (Some(was), Some(is)) => {
                        let (was, is) = told_apart(was, is);
                        self.note("key-value", key, Some(was), Some(is));
                    }
                    (was, is) => self.note("key-value", key, was, is),
                }
            }
            if let (Some(was), Some(is)) = (was, is) {
                let word = |write: &KeyValueWrite| Some(json!(if write.expires_at.is_some() { "expires" } else { "stays" }));
                self.note("key-value", &format!("{key}: ttl"), word(was), word(is));
            }
        }
    }

    fn sends(&mut self, before: &[QueueSend], after: &[QueueSend]) {
        for (was, is) in before.iter().zip(after) {
            let of = format!("channel {}", is.channel);
            self.text(&of, "channel", Some(&was.channel), Some(&is.channel));
            self.text(&of, "content-type", Some(&was.draft.content_type), Some(&is.draft.content_type));
            self.headers(&of, &was.draft.headers.0, &is.draft.headers.0);
            self.body(&of, &was.draft.body, &is.draft.body);
            self.text(&of, "dedup-token", was.dedup_token.as_deref(), is.dedup_token.as_deref());
            let delay = |send: &QueueSend| send.delay.map(milliseconds);
            self.note(&of, "delay-ms", delay(was), delay(is));
            self.note(&of, "tracked", Some(tracked(&was.draft.tracked)), Some(tracked(&is.draft.tracked)));
        }
        for send in before.iter().skip(after.len()) {
            self.note(&format!("channel {}", send.channel), "", Some(json!("sent")), Some(json!("not sent")));
        }
        for send in after.iter().skip(before.len()) {
            self.note(&format!("channel {}", send.channel), "", Some(json!("not sent")), Some(json!("sent")));
        }
    }
}

/// A request, for people; what follows the path is left out.
fn named(alias: &str, method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    format!("request {alias} {method} {path}")
}

fn milliseconds(duration: std::time::Duration) -> Value {
    json!(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn tracked(tracked: &[Tracked]) -> Value {
    json!(tracked.iter().map(|tracked| format!("{}={}", tracked.name, tracked.value)).collect::<Vec<_>>().join(", "))
}

/// Two things that are not the same and may be shown in the same words.
fn told_apart(before: Value, after: Value) -> (Value, Value) {
    let after = if before == after { json!(format!("{} (another)", after.as_str().unwrap_or_default())) } else { after };
    (before, after)
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// What is no JSON: a short text as it is, else its length.
pub fn shown(bytes: &[u8]) -> Value {
    const TEXT_BYTES_MAX: usize = 256;
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= TEXT_BYTES_MAX => json!(text),
        _ => json!(format!("{} bytes, SHA-256 {}", bytes.len(), &crate::plugin::sha256_hex(bytes)[..12])),
    }
}
