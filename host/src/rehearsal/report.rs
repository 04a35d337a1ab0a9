//! [`Report`]: what a rehearsal found, gathered by what changed. The same rehearsal gives the same report.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::compare::{Change, Told, Verdict, shown};
use super::gone::Unknown;
use crate::integration::{PinnedPlugin, ReleaseId};
use crate::ledger::Passed;
use crate::message::MessageId;

/// Messages that are shown of a group.
const SAMPLES_MAX: usize = 3;
/// Groups of each kind; what belongs to others is counted.
const GROUPS_MAX: usize = 500;
/// A value that is longer, as JSON, is shown by its beginning.
const VALUE_BYTES_MAX: usize = 512;
/// A body that nobody sent before is told as the JSON it is up to this length.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// What was rehearsed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    pub integration: String,
    pub release: ReleaseId,
    pub environment: String,
    pub plugins: Vec<PinnedPlugin>,
    /// The time that was asked for, as it was asked.
    pub since: String,
    /// Dead letters alone were rehearsed.
    pub dead_letters: bool,
    /// It ran beside the active release, on messages as that one settled them.
    #[serde(default)]
    pub shadow: bool,
}

/// What a rehearsal found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    pub candidate: Candidate,
    /// Messages rehearsed.
    pub messages: usize,
    /// How many of them went through which release.
    pub releases: BTreeMap<String, usize>,
    pub verdicts: BTreeMap<Verdict, usize>,
    /// What would be another, by where it is.
    pub changes: Vec<Group>,
    /// Why what was delivered would fail, and why what failed would not any more.
    pub newly_failing: Vec<Group>,
    pub newly_passing: Vec<Group>,
    /// What nobody asked before.
    pub diverged: Vec<Group>,
    /// Why messages could not be compared.
    pub not_comparable: Vec<Group>,
    /// Changes beyond the groups above.
    pub more: usize,
    /// Messages that were compared up to the sink: it takes several at once.
    pub sink_left_out: usize,
    /// Older messages that there was no room for.
    pub left_out: usize,
    /// Files of the ledger, or parts of them, that could not be read.
    pub passed_over: Vec<Passed>,
}

/// What a report is of, and how many messages of each verdict it has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Standing {
    pub candidate: Candidate,
    pub messages: usize,
    pub verdicts: BTreeMap<Verdict, usize>,
}

/// What several messages have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// What it is about: `output`, `request crm POST /orders`, a failure, a reason.
    pub of: String,
    /// Where in it; places of lists are `*`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Messages.
    pub count: usize,
    pub samples: Vec<Sample>,
    /// Which of the tellings was the last to have it.
    #[serde(skip)]
    last: usize,
}

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sample {
    pub message: MessageId,
    /// Which of the messages it became, from 0, where it became several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<usize>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// `null` is something else than nothing.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

impl Report {
    /// A report of nothing yet.
    pub fn of(candidate: Candidate) -> Self {
        Self {
            candidate,
            messages: 0,
            releases: BTreeMap::new(),
            verdicts: Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect(),
            changes: Vec::new(),
            newly_failing: Vec::new(),
            newly_passing: Vec::new(),
            diverged: Vec::new(),
            not_comparable: Vec::new(),
            more: 0,
            sink_left_out: 0,
            left_out: 0,
            passed_over: Vec::new(),
        }
    }

    pub fn standing(&self) -> Standing {
        Standing { candidate: self.candidate.clone(), messages: self.messages, verdicts: self.verdicts.clone() }
    }

    /// Messages of a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// Whether everything that could be compared is the same.
    pub fn is_same(&self) -> bool {
        [Verdict::Changed, Verdict::NewlyFailing, Verdict::NewlyPassing, Verdict::Diverged].iter().all(|verdict| self.count(*verdict) == 0)
    }

    /// Adds what is told of a message.
    pub(super) fn add(&mut self, message: MessageId, told: Told) {
        self.messages += 1;
        *self.verdicts.entry(told.verdict).or_default() += 1;
        if let Some(release) = &told.release {
            *self.releases.entry(release.0.clone()).or_default() += 1;
        }
        self.sink_left_out += usize::from(told.sink_left_out);
        // A message that is replayed is told of again.
        let telling = self.messages;
        let plain = |of: String| (of, String::new(), Sample::of(message));
        match told.verdict {
            Verdict::NewlyFailing => {
                let fails = told.fails.map(|failure| Sample { after: detail(&failure.detail), ..Sample::of(message) }.of_failure(failure));
                self.more += fails.map_or(0, |entry| put(&mut self.newly_failing, telling, entry));
            }
            Verdict::NewlyPassing => {
                let failed =
                    told.failed.map(|failure| Sample { before: detail(&failure.detail), ..Sample::of(message) }.of_failure(failure));
                self.more += failed.map_or(0, |entry| put(&mut self.newly_passing, telling, entry));
            }
            Verdict::NotComparable => {
                self.more += put(&mut self.not_comparable, telling, plain(told.why.unwrap_or_default().to_owned()));
            }
            Verdict::Diverged => {
                // That it failed before it came so far is told beside what would be sent.
                let failed = told.failed.as_ref().map(|failure| Value::from(format!("failed in {}: {}", failure.place, failure.code)));
                for Unknown { what, body } in told.unknown {
                    let after = body.map(|body| cut(document(&body).unwrap_or_else(|| shown(&body))));
                    let sample = Sample { before: failed.clone(), after, ..Sample::of(message) };
                    self.more += put(&mut self.diverged, telling, (one_path(&shortened(what)), String::new(), sample));
                }
            }
            Verdict::Same | Verdict::Changed => {}
        }
        for change in told.changes {
            let Change { of, path, before, after, part } = change;
            let (of, path) = (shortened(of), shortened(path));
            let general = (one_path(&of), generalised(&path));
            let sample = Sample { message, part, path, before: before.map(cut), after: after.map(cut) };
            self.more += put(&mut self.changes, telling, (general.0, general.1, sample));
        }
    }

    /// Puts what most messages have first.
    pub fn sorted(mut self) -> Self {
        for groups in [&mut self.changes, &mut self.newly_failing, &mut self.newly_passing, &mut self.diverged, &mut self.not_comparable] {
            groups.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| (&one.of, &one.path).cmp(&(&other.of, &other.path))));
        }
        self
    }
}

impl Sample {
    fn of(message: MessageId) -> Self {
        Self { message, part: None, path: String::new(), before: None, after: None }
    }

    fn of_failure(self, failure: super::gone::Failure) -> (String, String, Self) {
        (format!("{}: {}", failure.place, failure.code), String::new(), self)
    }
}

fn detail(detail: &str) -> Option<Value> {
    (!detail.is_empty()).then(|| cut(Value::from(detail)))
}

/// A body that is JSON, and not so long that it takes up far more taken apart.
fn document(body: &[u8]) -> Option<Value> {
    (body.len() <= DOCUMENT_BYTES_MAX).then(|| serde_json::from_slice(body).ok()).flatten()
}

/// Adds to the group of that name and path; 1 where there is no room for it. A message counts once each time it is told of, however often it has the same.
fn put(groups: &mut Vec<Group>, telling: usize, (of, path, sample): (String, String, Sample)) -> usize {
    let group = match groups.iter().position(|group| group.of == of && group.path == path) {
        Some(index) => groups.get_mut(index),
        None if groups.len() < GROUPS_MAX => {
            groups.push(Group { of, path, count: 0, samples: Vec::new(), last: 0 });
            groups.last_mut()
        }
        None => None,
    };
    let Some(group) = group else { return 1 };
    if group.last != telling {
        group.last = telling;
        group.count += 1;
        if group.samples.len() < SAMPLES_MAX {
            group.samples.push(sample);
        }
    }
    0
}

/// A JSON Pointer whose places in lists are `*`; any other path as it is.
fn generalised(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let token = |token: &str| {
        let is_place = !token.is_empty() && token.bytes().all(|digit| digit.is_ascii_digit());
        if is_place { "*".to_owned() } else { token.to_owned() }
    };
    path.split('/').map(token).collect::<Vec<_>>().join("/")
}

/// What a change is of, with ids in the path of a request as one.
fn one_path(of: &str) -> String {
    let Some((request, path)) = of.rsplit_once(' ').filter(|(_, path)| path.starts_with('/')) else { return of.to_owned() };
    let is_id = |part: &str| {
        let is_hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        !part.is_empty() && (part.bytes().all(|digit| digit.is_ascii_digit()) || (part.len() >= 16 && part.bytes().all(is_hex)))
    };
    let parts: Vec<&str> = path.split('/').map(|part| if is_id(part) { "*" } else { part }).collect();
    format!("{request} {}", parts.join("/"))
}

/// A name or a path whose end is left out where it is long.
fn shortened(text: String) -> String {
    if text.len() <= VALUE_BYTES_MAX {
        return text;
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(VALUE_BYTES_MAX)], text.len())
}

fn cut(value: Value) -> Value {
    let written = value.to_string();
    if written.len() <= VALUE_BYTES_MAX {
        return value;
    }
    let end = written.floor_char_boundary(VALUE_BYTES_MAX);
    Value::from(format!("{}… ({} bytes)", &written[..end], written.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_lists_are_one_place() {
        assert_eq!(generalised("/lines/12/price"), "/lines/*/price");
        assert_eq!(generalised("/a~1b/0"), "/a~1b/*");
        assert_eq!(generalised("header x-1"), "header x-1");
        assert_eq!(generalised("/"), "/");
    }

    #[test]
    fn requests_for_several_records_are_one_kind() {
        assert_eq!(one_path("request crm PUT /orders/1001/lines/2"), "request crm PUT /orders/*/lines/*");
        assert_eq!(one_path("request crm GET /v2/6f9619ff-8b86-d011-b42d-00cf4fc964ff"), "request crm GET /v2/*");
        assert_eq!(one_path("the value of `a/1`"), "the value of `a/1`");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = cut(Value::from("é".repeat(1_000)));
        assert!(long.as_str().unwrap().ends_with("… (2002 bytes)"), "{long}");
    }
}
