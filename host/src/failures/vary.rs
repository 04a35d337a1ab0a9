//! Every field of every sample with other values in it, one after the other: [`vary`]. What is made of which field is seen from that.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde_json::Value;

use super::field::{Field, fields, with};
use super::intact::{Hears, Intact};
use super::play::{Play, Ran, play};
use super::target::Target;
use crate::problem::Problems;
use crate::scenario::chamber::Setting;
use crate::scenario::file::Fate;

/// What came of a sample with another value in a field.
#[derive(Debug)]
pub struct Variation {
    /// None: the field is not there.
    pub value: Option<Value>,
    pub ran: Ran,
}

impl Variation {
    /// What was made of it; none where it was not delivered.
    pub fn made(&self) -> Option<&Value> {
        let is_delivered = self.ran.came.first().is_some_and(|came| came.fate == Fate::Delivered);
        is_delivered.then_some(&self.ran.made)
    }
}

/// Has `note` look at what comes of each field below which nothing is, with each of `values`; gives what it says, by sample.
///
/// # Errors
/// What keeps a chamber from being made.
pub fn vary<T: Send>(
    setting: &Setting,
    intact: &[Intact],
    values: impl Fn(&Value) -> Vec<Option<Value>> + Sync,
    note: impl Fn(&Intact, &Field, &[Variation]) -> T + Sync,
    hears: Hears<'_>,
) -> Result<Vec<(usize, Field, T)>, Problems> {
    let mut varying: Vec<(usize, Field)> = Vec::new();
    for (index, one) in intact.iter().enumerate() {
        let leaves = one.document.iter().flat_map(fields).filter(|field| field.is_leaf() && !values(&field.value).is_empty());
        varying.extend(leaves.map(|field| (index, field)));
    }
    let (all, so_far) = (varying.len(), AtomicUsize::new(0));
    let each = |(index, field): (usize, Field)| {
        let one = &intact[index];
        let variations = values(&field.value).into_iter().map(|value| variation(setting, one, &field, value));
        let variations = variations.collect::<Result<Vec<_>, _>>()?;
        hears("Finding out what is made of what", so_far.fetch_add(1, Ordering::SeqCst) + 1, all);
        let noted = note(one, &field, &variations);
        Ok((index, field, noted))
    };
    varying.into_par_iter().map(each).collect()
}

fn variation(setting: &Setting, one: &Intact, field: &Field, value: Option<Value>) -> Result<Variation, Problems> {
    let document = one.document.clone().unwrap_or_default();
    let incoming = one.with_document(&with(&document, &field.pointer, value.clone()));
    let target = Target::new(one.good.clone(), None, setting.start);
    let ran = play(setting, &[(one.name.clone(), incoming)], target, Play::Plain)?;
    Ok(Variation { value, ran })
}
