//! The way of a suite: [`run`]. Samples as they are, then what is made of their fields, then every case, each in a chamber of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde_json::Value;

use super::cases::{Case, Spoilt};
use super::field::{Bent, Field, fields, shape, varied, with};
use super::follow::following;
use super::intact::{Hears, Intact, Sample, intact};
use super::judge::{Held, Judged};
use super::play::{Play, play};
use super::report::{NotTried, Report, Tried};
use super::target::{Good, Target};
use super::trouble::Trouble;
use super::vanish::is_empty;
use super::vary::{Variation, vary};
use crate::integration::Entry;
use crate::problem::Problems;
use crate::scenario::chamber::{Incoming, Setting};

/// Samples that are used at most: the first that are delivered.
const SAMPLES_MAX: usize = 5;
/// Samples with which everything outside is tried.
const OUTSIDE_SAMPLES_MAX: usize = 2;
/// Messages of which the token expires in the middle.
const MID_BATCH: usize = 3;

/// One case on one sample.
struct Job {
    sample: usize,
    case: Case,
}

/// Puts what `setting` runs through everything.
///
/// # Errors
/// Where no sample is delivered as it is: then nothing can be said of what goes wrong.
pub fn run(about: &str, setting: &Setting, samples: Vec<Sample>, hears: Hears<'_>) -> Result<Report, Problems> {
    let plugins = setting.actives.iter().flat_map(|active| active.release.plugins.clone()).collect();
    let (mut intact, sampled) = intact(about, setting, samples, SAMPLES_MAX, hears)?;
    observe(setting, &mut intact, hears)?;
    let (jobs, not_tried) = jobs(setting, &intact);
    let (all, so_far) = (jobs.len(), AtomicUsize::new(0));
    let try_job = |Job { sample, case }: Job| {
        let judged = try_one(setting, &intact, sample, &case);
        hears("Trying what goes wrong", so_far.fetch_add(1, Ordering::SeqCst) + 1, all);
        Ok(Tried { case: case.title(), sample: intact[sample].name.clone(), judged: judged? })
    };
    let tried: Vec<Result<Tried, Problems>> = jobs.into_par_iter().map(try_job).collect();
    let tried = tried.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Report::of(about.to_owned(), plugins, sampled, tried, not_tried))
}

/// Which values of the outputs are made of which fields.
fn observe(setting: &Setting, intact: &mut [Intact], hears: Hears<'_>) -> Result<(), Problems> {
    let values = |value: &Value| varied(value).into_iter().map(Some).collect();
    let note = |one: &Intact, field: &Field, variations: &[Variation]| {
        let outputs: Vec<Option<&Value>> = variations.iter().map(Variation::made).collect();
        following(field, &one.ran.made, &outputs)
    };
    for (index, field, found) in vary(setting, intact, values, note, hears)? {
        intact[index].follows.insert(&field, found);
    }
    Ok(())
}

/// Everything that is to be tried, and what cannot be.
fn jobs(setting: &Setting, intact: &[Intact]) -> (Vec<Job>, Vec<NotTried>) {
    let (mut jobs, mut not_tried) = (Vec::new(), Vec::new());
    let mut skip = |case: &Case, why: &str| not_tried.push(NotTried { case: case.title(), why: why.to_owned() });
    let asks: Vec<usize> = (0..intact.len()).filter(|index| intact[*index].ran.asked > 0).take(OUTSIDE_SAMPLES_MAX).collect();
    let has_tokens = intact.iter().any(|one| one.ran.tokens > 0);
    for trouble in Trouble::ALL {
        let case = Case::Outside(trouble);
        if asks.is_empty() {
            skip(&case, "it asks no system");
        } else if trouble == Trouble::TokenExpires && !has_tokens {
            skip(&case, "its aliases have no token that could expire");
        } else {
            jobs.extend(asks.iter().map(|sample| Job { sample: *sample, case: case.clone() }));
        }
    }
    let main = setting.actives.first().map(|active| &active.integration);
    let entry = main.and_then(|main| main.sources.first()).map(|source| &source.entry);
    if matches!(entry, Some(Entry::Webhook { .. })) {
        jobs.push(Job { sample: 0, case: Case::SentTwice });
    } else {
        skip(&Case::SentTwice, "its messages come from a channel, where whoever writes says what is the same");
    }
    match asks.first() {
        Some(sample) => jobs.push(Job { sample: *sample, case: Case::Stopped }),
        None => skip(&Case::Stopped, "it asks no system"),
    }
    if intact.len() > 1 {
        jobs.push(Job { sample: 0, case: Case::Reordered });
    } else {
        skip(&Case::Reordered, "there is one sample only");
    }
    jobs.push(Job { sample: 0, case: Case::SizeLimit });
    jobs.extend(Spoilt::ALL.into_iter().map(|spoilt| Job { sample: 0, case: Case::Body(spoilt) }));
    if intact.iter().all(|one| one.document.is_none()) {
        let nothing = Field { pointer: String::new(), value: Value::Null };
        Bent::ALL.into_iter().for_each(|bent| skip(&Case::Field(nothing.clone(), bent), "no sample is JSON"));
    }
    jobs.extend(field_jobs(intact));
    (jobs, not_tried)
}

/// Each field, once for all that are alike, in the first sample in which there is something in it.
fn field_jobs(intact: &[Intact]) -> Vec<Job> {
    let mut all: Vec<(usize, Field)> = Vec::new();
    for (sample, one) in intact.iter().enumerate() {
        all.extend(one.document.iter().flat_map(fields).map(|field| (sample, field)));
    }
    // What is there goes before what is not.
    all.sort_by_key(|(_, field)| is_empty(Some(&field.value)));
    let mut jobs = Vec::new();
    for bent in Bent::ALL {
        let mut seen = BTreeSet::new();
        let one_of_each = all.iter().filter(|(_, field)| bent.of(&field.value).is_some() && seen.insert(shape(&field.pointer)));
        jobs.extend(one_of_each.map(|(sample, field)| Job { sample: *sample, case: Case::Field(field.clone(), bent) }));
    }
    jobs
}

fn try_one(setting: &Setting, intact: &[Intact], sample: usize, case: &Case) -> Result<Judged, Problems> {
    let one = &intact[sample];
    let named = |incoming: Incoming| (one.name.clone(), incoming);
    let target = |trouble| Target::new(one.good.clone(), trouble, setting.start);
    let (incoming, target, how) = match case {
        Case::Outside(Trouble::TokenExpires) => {
            let several: Vec<_> = (0..MID_BATCH).map(|number| named(one.again(number))).collect();
            let intact = play(setting, &several, target(None), Play::Plain)?;
            let ran = play(setting, &several, target(Some(Trouble::TokenExpires)), Play::Plain)?;
            return Ok(Held { case, intact: &intact, ran: &ran, follows: &one.follows }.judge());
        }
        Case::Reordered => return reordered(setting, intact, case),
        Case::Outside(trouble) => (vec![named(one.incoming.clone())], target(Some(*trouble)), Play::Plain),
        Case::SentTwice => (vec![named(one.incoming.clone()); 2], target(None), Play::Plain),
        Case::Stopped => (vec![named(one.incoming.clone())], target(None).slow(), Play::Stopped),
        Case::SizeLimit => (vec![named(largest(setting, one))], target(None), Play::Plain),
        Case::Body(spoilt) => (vec![named(one.with_body(spoilt.of(&one.incoming.content.body)))], target(None), Play::Plain),
        Case::Field(field, bent) => {
            let document = one.document.clone().unwrap_or_default();
            let changed = bent.of(&field.value).map_or_else(|| document.clone(), |value| with(&document, &field.pointer, value));
            (vec![named(one.with_document(&changed))], target(None), Play::Plain)
        }
    };
    let ran = play(setting, &incoming, target, how)?;
    Ok(Held { case, intact: &one.ran, ran: &ran, follows: &one.follows }.judge())
}

/// All samples, in their order and the other way round, with the answers of all of them.
fn reordered(setting: &Setting, intact: &[Intact], case: &Case) -> Result<Judged, Problems> {
    let good = Good { answers: intact.iter().flat_map(|one| one.good.answers.clone()).collect(), otherwise: intact[0].good.otherwise };
    let target = || Target::new(good.clone(), None, setting.start);
    let mut all: Vec<(String, Incoming)> = intact.iter().map(|one| (one.name.clone(), one.incoming.clone())).collect();
    let usual = play(setting, &all, target(), Play::Plain)?;
    all.reverse();
    let ran = play(setting, &all, target(), Play::Plain)?;
    Ok(Held { case, intact: &usual, ran: &ran, follows: &intact[0].follows }.judge())
}

/// The message with as much in its longest text as a message may have; with spaces behind it, where it has none.
fn largest(setting: &Setting, one: &Intact) -> Incoming {
    let texts = one.document.iter().flat_map(fields).filter(|field| field.value.is_string());
    let longest = texts.max_by_key(|field| field.value.as_str().map(str::len));
    if let (Some(document), Some(field)) = (&one.document, longest) {
        // What is around it may be written shorter than it was.
        let room = setting.body_bytes_max.saturating_sub(document.to_string().len());
        let text = field.value.as_str().unwrap_or_default();
        return one.with_document(&with(document, &field.pointer, Some(Value::from(format!("{text}{}", "x".repeat(room))))));
    }
    let mut body = one.incoming.content.body.to_vec();
    body.resize(setting.body_bytes_max.max(body.len()), b' ');
    one.with_body(body)
}
