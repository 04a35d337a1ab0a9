//! Whether what came of a case is sound: [`Held::judge`]. `docs/testing.md` has the rules for people. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cases::Case;
use super::field::{Bent, Field};
use super::follow::{Follows, as_text};
use super::play::{Ran, place};
use super::report::{Defect, Verdict};
use super::target::Done;
use super::trouble::Trouble;
use super::vanish::{Lost, is_empty, leaves, lost};
use crate::config::quantity;
use crate::message::FailureClass;
use crate::scenario::file::Fate;
use crate::scenario::run::Came;

/// Values of an output that are told of one case.
const TOLD_MAX: usize = 3;
/// Characters of a value that are told.
const VALUE_CHARS_MAX: usize = 60;

/// What is said of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What happened, in a few words that are the same for all that went the same way.
    pub happened: String,
    pub verdict: Verdict,
    /// The field that it is about, where it is about one.
    pub field: Option<String>,
    /// Where to look.
    pub look: String,
}

/// A case and what it is held against.
#[derive(Debug)]
pub struct Held<'a> {
    pub case: &'a Case,
    pub intact: &'a Ran,
    pub ran: &'a Ran,
    pub follows: &'a Follows,
}

/// A verdict, and where to look.
type Said = (Verdict, String);

fn sound() -> Said {
    (Verdict::Sound, String::new())
}

impl Held<'_> {
    pub fn judge(&self) -> Judged {
        let field = if let Case::Field(field, _) = self.case { Some(field.pointer.clone()) } else { None };
        let (verdict, look) = self.verdict();
        Judged { happened: self.happened(), verdict, field, look }
    }

    /// The message that went worst.
    fn worst(&self) -> Option<&Came> {
        let rank = |came: &&Came| match came.fate {
            Fate::DeadLettered => 3,
            Fate::Waiting => 2,
            Fate::Refused | Fate::Skipped => 1,
            Fate::Delivered | Fate::Duplicate => 0,
        };
        self.ran.came.iter().rev().max_by_key(rank)
    }

    fn happened(&self) -> String {
        let Some(came) = self.worst() else { return "nothing came".into() };
        let code = came.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        match came.fate {
            Fate::Delivered if came.is_retried() => {
                let took = came.took.filter(|took| took.as_secs() >= 60).map(|took| {
                    let minutes = std::time::Duration::from_secs(took.as_secs() / 60 * 60);
                    format!(", after {}", quantity::shown(minutes))
                });
                format!("retried, then delivered{}", took.unwrap_or_default())
            }
            Fate::DeadLettered => {
                let class = came.class.map_or("", FailureClass::as_str);
                if came.code.as_deref() == Some(class) {
                    format!("dead-lettered: {class}")
                } else {
                    format!("dead-lettered: {class}{code}")
                }
            }
            Fate::Delivered if self.is_without_it() => "delivered, without what is made of it".into(),
            Fate::Skipped => format!("skipped{code}"),
            Fate::Refused => format!("refused{code}"),
            fate => fate.as_str().to_owned(),
        }
    }

    /// Whether a field was taken away, and what is made of it went with it.
    fn is_without_it(&self) -> bool {
        let Case::Field(field, bent) = self.case else { return false };
        let below = format!("{}/", field.pointer);
        let is_of_it = |source: &str| source == field.pointer || source.starts_with(&below);
        bent.takes_away() && lost(&self.intact.made, &self.ran.made).iter().any(|lost| self.follows.sources(&lost.leaf).any(is_of_it))
    }

    fn verdict(&self) -> Said {
        if let Some(told) = self.ran.came.iter().find_map(|came| self.fault(came)) {
            return told;
        }
        if let Some(key) = &self.ran.other_body {
            let sent = self.ran.done.iter().find(|done| done.key == *key);
            let of = sent.map_or_else(|| "a request".to_owned(), |done| format!("{} {}", done.method, done.path));
            let look = format!("{of}: the body is another one at another attempt, under the same Idempotency-Key");
            return (Verdict::Defect(Defect::Unrepeatable), look);
        }
        match self.case {
            Case::Field(field, bent) => self.of_field(field, *bent),
            Case::Outside(trouble) => self.of_trouble(Some(*trouble)),
            Case::SentTwice | Case::Stopped => self.of_trouble(None),
            Case::Reordered => self.of_order(),
            Case::SizeLimit => self.of_end(),
            Case::Body(_) => self.of_body(),
        }
    }

    /// A call that trapped, or was stopped by its limits, also where a later one went well.
    fn fault(&self, came: &Came) -> Option<Said> {
        let (class, look) = came.fault.clone()?;
        match class {
            FailureClass::Trapped | FailureClass::Unrunnable | FailureClass::HostCrashed => Some((Verdict::Defect(Defect::Trapped), look)),
            FailureClass::OutOfMemory
            | FailureClass::CpuExceeded
            | FailureClass::TimedOut
            | FailureClass::OutputTooLarge
            | FailureClass::HostCallsExceeded => {
                // A message of four megabytes may ask for more than a plugin is given.
                let verdict = if *self.case == Case::SizeLimit { Verdict::Note } else { Verdict::Defect(Defect::OverLimits) };
                Some((verdict, look))
            }
            FailureClass::Permanent | FailureClass::GaveUp | FailureClass::Unkeyed => None,
        }
    }

    /// How it ended, where nothing outside is wrong.
    fn of_end(&self) -> Said {
        let Some(came) = self.worst() else { return sound() };
        let detail = || came.detail.clone().unwrap_or_default();
        match (came.fate, came.class) {
            (Fate::DeadLettered, Some(FailureClass::GaveUp)) => {
                let look = format!("retried for a day, and nothing outside is wrong: say that it is permanent. {}", detail());
                (Verdict::Note, look)
            }
            (Fate::Waiting, _) => (Verdict::Note, format!("it still waits: {}", detail())),
            _ => sound(),
        }
    }

    /// A message that is none: what makes an output of it all the same makes one with nothing in it.
    fn of_body(&self) -> Said {
        if self.worst().is_none_or(|came| came.fate != Fate::Delivered) {
            return self.of_end();
        }
        let gone: BTreeSet<String> = lost(&self.intact.made, &self.ran.made)
            .iter()
            // What was handed on as it is has no fields any more.
            .filter(|lost| is_within(&lost.gone))
            .map(|lost| place(&lost.gone))
            .collect();
        match gone.first() {
            Some(first) => (Verdict::Defect(Defect::SilentlyNull), format!("{first} becomes nothing{}", and_more(gone.len(), 1))),
            None => sound(),
        }
    }

    fn of_field(&self, field: &Field, bent: Bent) -> Said {
        if self.worst().is_none_or(|came| came.fate != Fate::Delivered) {
            return self.of_end();
        }
        let (silent, with_it) = self.gone(field, bent);
        let told = |all: &[Lost]| {
            let first: Vec<String> = all.iter().take(TOLD_MAX).map(|lost| self.told(lost, field)).collect();
            format!("{}{}", first.join("; "), and_more(all.len(), TOLD_MAX))
        };
        if !silent.is_empty() {
            return (Verdict::Defect(Defect::SilentlyNull), told(&silent));
        }
        if !with_it.is_empty() {
            return (Verdict::Note, format!("goes with it, though the message still has what it is made of: {}", told(&with_it)));
        }
        self.altered(field, bent).map_or_else(sound, |look| (Verdict::Note, look))
    }

    /// The values of the output that are gone, though what they are made of is still in the message: by themselves; and with a record or a
    /// list in which there was something that was taken away. Each place that is gone once.
    fn gone(&self, field: &Field, bent: Bent) -> (Vec<Lost>, Vec<Lost>) {
        let all = lost(&self.intact.made, &self.ran.made);
        let (below, is_replaced) = (format!("{}/", field.pointer), self.has_in_its_place(field, bent));
        let taken = |source: &str| {
            let is_below = source.starts_with(&below);
            if bent.takes_away() { source == field.pointer || is_below } else { is_replaced && is_below }
        };
        let mut seen = BTreeSet::new();
        let (mut silent, mut with_it) = (Vec::new(), Vec::new());
        for one in &all {
            // Nobody knows what it is made of, or all of that was taken away.
            if self.follows.sources(&one.leaf).all(taken) || !seen.insert(one.gone.clone()) {
                continue;
            }
            let goes_with_it = one.with_its_container()
                && all.iter().filter(|other| other.gone == one.gone).any(|other| self.follows.sources(&other.leaf).any(taken));
            if goes_with_it { with_it.push(one.clone()) } else { silent.push(one.clone()) }
        }
        (silent, with_it)
    }

    /// Whether an object or a list became another value, and the output has that.
    fn has_in_its_place(&self, field: &Field, bent: Bent) -> bool {
        let Some(Some(now)) = bent.of(&field.value) else { return false };
        !field.is_leaf() && leaves(&self.ran.made).into_iter().any(|(_, value)| *value == now)
    }

    fn told(&self, lost: &Lost, field: &Field) -> String {
        let is_of_it = self.follows.follows(&lost.leaf, &field.pointer);
        let from = self.follows.sources(&lost.leaf).find(|source| *source != field.pointer).filter(|_| !is_of_it);
        let from = from.map(|source| format!(" (made of {source})")).unwrap_or_default();
        format!("{} becomes nothing{from}", place(&lost.gone))
    }

    /// A copy of the field that is another value now than the field, and not nothing.
    fn altered(&self, field: &Field, bent: Bent) -> Option<String> {
        let was = as_text(&field.value);
        let is = bent.of(&field.value)?;
        let is_text = is.as_ref().map(as_text);
        let copies = leaves(&self.intact.made)
            .into_iter()
            .filter(|(pointer, value)| as_text(value) == was && self.follows.follows(pointer, &field.pointer));
        let mut altered = copies.filter_map(|(pointer, before)| {
            let now = self.ran.made.pointer(&pointer).filter(|now| *now != before && !is_empty(Some(now)))?;
            let now_text = as_text(now);
            // Cut to what there is room for: the beginning is what it was.
            let beginning = now_text.trim_end_matches(['…', '.']).trim_end();
            let is_copy = is_text.as_ref().is_some_and(|is| *is == now_text || is.starts_with(beginning));
            (!is_copy).then(|| format!("{} is a copy of it, and becomes {}", place(&pointer), shown(now)))
        });
        field.is_leaf().then(|| altered.next())?
    }

    fn of_trouble(&self, trouble: Option<Trouble>) -> Said {
        let Some(came) = self.worst() else { return sound() };
        let detail = || came.detail.clone().unwrap_or_default();
        match came.fate {
            Fate::Delivered | Fate::Duplicate => self.of_work(trouble),
            Fate::Skipped if self.undone().is_none() => (Verdict::Note, format!("it counts as skipped, and was done. {}", detail())),
            Fate::Skipped => {
                (Verdict::Defect(Defect::Lost), format!("skipped for what would have passed: nobody will look at it. {}", detail()))
            }
            Fate::DeadLettered => (Verdict::Note, format!("parked for what would have passed: a person has to replay it. {}", detail())),
            Fate::Waiting => (Verdict::Note, format!("it still waits, and all is well: {}", detail())),
            Fate::Refused => sound(),
        }
    }

    /// Something that was done for the intact message, where less was done than for that.
    fn undone(&self) -> Option<Done> {
        let (before, now) = (writes(self.intact), keys(&writes(self.ran)));
        let is_less = now.len() < keys(&before).len();
        before.into_iter().find(|done| is_less && !now.contains(&done.key))
    }

    /// Whether targets did once what they did for the intact message.
    fn of_work(&self, trouble: Option<Trouble>) -> Said {
        let (before, now) = (keys(&writes(self.intact)), writes(self.ran));
        if let Some(Done { method, path, .. }) = self.undone() {
            return match trouble {
                // Nobody knows whether the system would have answered with JSON.
                Some(Trouble::Html) if !self.knows_json() => {
                    (Verdict::Note, format!("{method} {path}: it goes by the status alone, so any page with 200 counts as done"))
                }
                Some(Trouble::Html) => {
                    let look =
                        format!("{method} {path}: a page instead of the JSON it is answered with otherwise, and it counts as delivered");
                    (Verdict::Defect(Defect::Lost), look)
                }
                _ => (
                    Verdict::Defect(Defect::Lost),
                    format!("{method} {path} was answered with a failure, and the message counts as delivered"),
                ),
            };
        }
        let is_more = keys(&now).len() > before.len();
        let done = writes(self.intact);
        // Something else that it asks when a request went wrong, such as whether that was done, is no second time.
        let is_second = |other: &&Done| !before.contains(&other.key) && done.iter().any(|done| done.is_like(other));
        if let Some(Done { method, path, .. }) = now.iter().find(|done| is_more && is_second(done)) {
            let look = format!("{method} {path} was done again under another Idempotency-Key: give it a label that stays the same");
            return (Verdict::Defect(Defect::Duplicated), look);
        }
        let is_again = |index: usize, done: &Done| now[..index].iter().any(|other| other.key == done.key && !done.is_repeatable());
        match now.iter().enumerate().find(|(index, done)| is_again(*index, done)) {
            Some((_, Done { method, path, .. })) => {
                let look = format!(
                    "{method} {path} came twice, the same: the target must know the Idempotency-Key, or take it for one (an upsert)"
                );
                (Verdict::Note, look)
            }
            None => sound(),
        }
    }

    /// Whether it is known that its systems answer with JSON.
    fn knows_json(&self) -> bool {
        self.intact.done.iter().any(|done| done.is_json_known)
    }

    /// Whether each message gives what it gives in the usual order.
    fn of_order(&self) -> Said {
        let made = |came: &Came| (came.fate, came.outputs.clone());
        let is_other = |came: &&Came| self.intact.came.iter().any(|other| other.name == came.name && made(other) != made(came));
        match self.ran.came.iter().find(is_other) {
            Some(came) => (Verdict::Note, format!("what becomes of {} depends on what came before it", came.name)),
            None => self.of_end(),
        }
    }
}

fn writes(ran: &Ran) -> Vec<Done> {
    ran.done.iter().filter(|done| done.is_write()).cloned().collect()
}

fn keys(all: &[Done]) -> BTreeSet<String> {
    all.iter().map(|done| done.key.clone()).collect()
}

/// Whether a pointer into [`Ran::made`] leads to a field of an output or of a request's body, and not to all of it.
fn is_within(pointer: &str) -> bool {
    let depth = pointer.split('/').count();
    if pointer.starts_with("/request/") { depth > 4 } else { depth > 3 }
}

/// How many there are behind those that are told.
fn and_more(all: usize, told: usize) -> String {
    let more = all.saturating_sub(told);
    if more > 0 { format!(", and {more} more") } else { String::new() }
}

/// A value as it is told, cut.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS_MAX { text } else { text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect() }
}
