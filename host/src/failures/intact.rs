//! Samples, and those of them that are delivered as they are: [`Intact`], found by [`intact`]. What is tried is held against these.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde_json::Value;

use super::follow::Follows;
use super::play::{Play, Ran, play};
use super::report::Sampled;
use super::target::{Good, Target};
use crate::problem::{Code, Problem, Problems};
use crate::scenario::chamber::{Incoming, Setting};
use crate::scenario::content::Content;
use crate::scenario::file::{Answer, Fate};

/// Samples that are told where none is delivered.
const TOLD_MAX: usize = 5;

/// A message as somebody would send it, and what its targets would answer.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub incoming: Incoming,
    /// Answers that may be good ones, the likeliest first.
    pub answers: Vec<Vec<Answer>>,
}

/// What a target answers where nobody says what: the first with which the message is delivered.
pub const OTHERWISE: [(u16, &str); 5] =
    [(200, "{}"), (201, "{\"id\":\"1\"}"), (204, ""), (200, "[]"), (200, "{\"id\":\"1\",\"success\":true}")];

/// A sample that is delivered as it is.
#[derive(Debug)]
pub struct Intact {
    pub name: String,
    pub incoming: Incoming,
    pub good: Good,
    pub ran: Ran,
    /// The body, if it is JSON with fields.
    pub document: Option<Value>,
    pub follows: Follows,
}

/// Who hears what is done: what, how many of how many.
pub type Hears<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

impl Intact {
    /// The same message with this body.
    pub fn with_body(&self, body: Vec<u8>) -> Incoming {
        let content = Content { body: body.into(), ..self.incoming.content.clone() };
        Incoming { content, ..self.incoming.clone() }
    }

    /// The same message with this for its body.
    pub fn with_document(&self, document: &Value) -> Incoming {
        self.with_body(document.to_string().into_bytes())
    }

    /// The same message, so that nobody takes it for the same: a space more in it is no difference.
    pub fn again(&self, number: usize) -> Incoming {
        let mut body = self.incoming.content.body.to_vec();
        body.extend(std::iter::repeat_n(b' ', number));
        Incoming { id: self.incoming.id.as_ref().map(|id| format!("{id}-{number}")), ..self.with_body(body) }
    }
}

/// The first `most` samples that are delivered as they are, each with the first answers with which it is; and what is to be said of all.
///
/// # Errors
/// None of them is: then nothing can be said of what is another.
pub fn intact(
    about: &str,
    setting: &Setting,
    samples: Vec<Sample>,
    most: usize,
    hears: Hears<'_>,
) -> Result<(Vec<Intact>, Vec<Sampled>), Problems> {
    let (all, so_far) = (samples.len(), AtomicUsize::new(0));
    let try_sample = |sample: Sample| {
        let found = as_it_is(setting, sample);
        hears("Trying messages as they are", so_far.fetch_add(1, Ordering::SeqCst) + 1, all);
        found
    };
    let found: Vec<Result<(Sampled, Option<Intact>), Problems>> = samples.into_par_iter().map(try_sample).collect();
    let (mut intact, mut sampled) = (Vec::new(), Vec::new());
    for found in found {
        let (mut told, one) = found?;
        match one {
            Some(one) if intact.len() < most => intact.push(one),
            Some(_) => {
                told.used = false;
                told.intact = format!("left out: {}, and {most} others are used", told.intact);
            }
            None => {}
        }
        sampled.push(told);
    }
    if intact.is_empty() {
        return Err(none_delivered(about, &sampled).into());
    }
    Ok((intact, sampled))
}

fn none_delivered(about: &str, sampled: &[Sampled]) -> Problem {
    let why: Vec<String> = sampled.iter().take(TOLD_MAX).map(|sample| format!("{}: {}", sample.name, sample.intact)).collect();
    let message = match why.as_slice() {
        [] => format!("there is no sample message for {about}"),
        why => format!("no sample message of {about} is delivered as it is: {}", why.join("; ")),
    };
    let fix = "write a scenario with a message that is delivered and the answers of its systems in tests/<name>.toml, or name a folder of messages: --samples DIR";
    Problem::new(Code::NotFound, message).fix(fix)
}

fn as_it_is(setting: &Setting, sample: Sample) -> Result<(Sampled, Option<Intact>), Problems> {
    let Sample { name, incoming, answers } = sample;
    let left_out = |why: String| Sampled { name: name.clone(), intact: format!("left out: {why}"), used: false };
    let mut seen = String::new();
    for answers in answers.into_iter().chain([Vec::new()]) {
        for otherwise in OTHERWISE {
            let good = Good { answers: answers.clone(), otherwise };
            let ran = play(setting, &[(name.clone(), incoming.clone())], Target::new(good.clone(), None, setting.start), Play::Plain)?;
            let Some(came) = ran.came.first() else { continue };
            let told = came.code.as_ref().map_or_else(|| came.fate.as_str().to_owned(), |code| format!("{} ({code})", came.fate.as_str()));
            if came.fate == Fate::Delivered && !came.is_retried() {
                let document = serde_json::from_slice(&incoming.content.body).ok();
                let document = document.filter(|value: &Value| value.is_object() || value.is_array());
                let sampled = Sampled { name: name.clone(), intact: told, used: true };
                return Ok((sampled, Some(Intact { name, incoming, good, ran, document, follows: Follows::default() })));
            }
            if seen.is_empty() {
                seen = told;
            }
            // It never came to a target: another answer changes nothing.
            if ran.asked == 0 {
                return Ok((left_out(seen), None));
            }
        }
    }
    Ok((left_out(format!("{seen}, whatever its systems answer")), None))
}
