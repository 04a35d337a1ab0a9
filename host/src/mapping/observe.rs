//! Observes a mapping: [`observe`]. Samples as they are, then each field of each with other values in it, each in a chamber of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::differ::{Place, differing};
use super::how::{How, Pair, how};
use super::observation::{Becomes, Constant, FieldSeen, Observation, REMARK, gathered, shown};
use crate::failures::field::{Field, ITEMS_MAX, fields, shape, varied};
use crate::failures::intact::{Hears, Intact, Sample, intact};
use crate::failures::play::place;
use crate::failures::vanish::leaves;
use crate::failures::vary::{Variation, vary};
use crate::problem::{Code, Problem, Problems};
use crate::scenario::chamber::Setting;

/// Samples that are used at most: the first that are delivered.
const SAMPLES_MAX: usize = 5;

/// Observes what `setting` runs.
///
/// # Errors
/// No sample is delivered as it is, or none of those that are is JSON.
pub fn observe(about: &str, setting: &Setting, samples: Vec<Sample>, hears: Hears<'_>) -> Result<Observation, Problems> {
    let plugins = setting.actives.iter().flat_map(|active| active.release.plugins.clone()).collect();
    let (intact, samples) = intact(about, setting, samples, SAMPLES_MAX, hears)?;
    if intact.iter().all(|one| one.document.is_none()) {
        let problem = Problem::new(Code::NotFound, format!("no sample of {about} is JSON, and only fields of JSON are observed"));
        return Err(problem.fix("name a folder of messages that are: --samples DIR").into());
    }
    let found: Vec<(usize, Field, Found)> = vary(setting, &intact, others, Found::of, hears)?;
    let followed: BTreeSet<(usize, String)> =
        found.iter().flat_map(|(sample, _, found)| found.links.iter().map(|link| (*sample, link.output.pointer.clone()))).collect();
    let (constants, unexplained) = unmoved(&intact, &followed);
    let fields = gathered(seen(&intact, &found));
    Ok(Observation { about: about.to_owned(), plugins, samples, fields, constants, unexplained, remark: REMARK })
}

/// What is put in the place of a value; the last is nothing.
fn others(value: &Value) -> Vec<Option<Value>> {
    if value.is_null() {
        return Vec::new();
    }
    let mut others = varied(value);
    if let Some(text) = value.as_str() {
        others.extend(
            [text.to_uppercase(), text.to_lowercase(), format!(" {text} ")].into_iter().filter(|other| other != text).map(Value::from),
        );
    }
    others.into_iter().map(Some).chain([None]).collect()
}

/// What was found of one field of one sample.
#[derive(Debug, Default)]
struct Found {
    links: Vec<Link>,
    decides: BTreeSet<String>,
    missing: BTreeSet<String>,
}

#[derive(Debug)]
struct Link {
    output: Place,
    how: How,
    example: (String, String),
    missing: Option<String>,
}

impl Found {
    fn of(one: &Intact, field: &Field, variations: &[Variation]) -> Self {
        let (without, others): (Vec<&Variation>, Vec<&Variation>) = variations.iter().partition(|variation| variation.value.is_none());
        let made: Vec<(&Value, &Value, BTreeSet<Place>)> = others
            .iter()
            .filter_map(|other| Some((other.value.as_ref()?, other.made()?)))
            .map(|(value, made)| (value, made, differing(&one.ran.made, made)))
            .collect();
        let (ended_without, missing) = when_missing(one, &without);
        let all: BTreeSet<&Place> = made.iter().flat_map(|(.., places)| places).chain(missing.keys()).collect();
        let link = |output: &Place| {
            // Of what is inside of something that is not there, or of a list of another length, nothing can be said.
            let comparable = made.iter().filter(|(.., places)| !places.iter().any(|other| output.is_inside(other)));
            let outputs: Vec<(&Value, Option<Value>)> = comparable.map(|(value, made, _)| (*value, output.of(made))).collect();
            let intact = output.of(&one.ran.made);
            let pairs: Vec<Pair<'_>> = outputs.iter().map(|(value, output)| (*value, output.as_ref())).collect();
            let missing = missing.get(output).cloned();
            let how = how((&field.value, intact.as_ref()), &pairs).or_else(|| missing.is_some().then_some(How::OnlyMissing))?;
            Some(Link { output: output.clone(), how, example: (shown(Some(&field.value)), shown(intact.as_ref())), missing })
        };
        Self {
            links: all.into_iter().filter_map(link).collect(),
            decides: others.iter().filter(|other| other.made().is_none()).map(|other| ended(other)).collect(),
            missing: ended_without,
        }
    }
}

/// How a message ended that was not delivered.
fn ended(variation: &Variation) -> String {
    let Some(came) = variation.ran.came.first() else { return "nothing came".to_owned() };
    came.code.as_ref().map_or_else(|| came.fate.as_str().to_owned(), |code| format!("{} ({code})", came.fate.as_str()))
}

/// How a message without the field ended; or what is another where it was delivered.
fn when_missing(one: &Intact, without: &[&Variation]) -> (BTreeSet<String>, BTreeMap<Place, String>) {
    let (mut ends, mut becomes) = (BTreeSet::new(), BTreeMap::new());
    for variation in without {
        match variation.made() {
            None => drop(ends.insert(ended(variation))),
            Some(made) => {
                let places = differing(&one.ran.made, made).into_iter();
                becomes.extend(places.map(|place| (place.clone(), shown(place.of(made).as_ref()))));
            }
        }
    }
    (ends, becomes)
}

/// A place of what was made, as it is called over all samples: where a message becomes several, they are alike.
fn spot(one: &Intact, pointer: &str) -> String {
    let count = |of: &str| one.ran.made[of].as_array().map_or(0, Vec::len);
    let mut parts = pointer.splitn(4, '/').skip(1);
    let (of, index, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
    let rest = rest.map(|rest| format!("/{rest}")).unwrap_or_default();
    if count("output") > 1 || count(of) == 1 { place(&format!("/{of}/{rest}")) } else { place(&format!("/{of}/{index}{rest}")) }
}

/// Every field of every sample, by its shape.
fn seen(intact: &[Intact], found: &[(usize, Field, Found)]) -> Vec<FieldSeen> {
    let of: BTreeMap<(usize, &str), &Found> =
        found.iter().map(|(sample, field, found)| ((*sample, field.pointer.as_str()), found)).collect();
    let mut all = Vec::new();
    for (sample, one) in intact.iter().enumerate() {
        let outputs = |field: &str| -> Vec<&str> {
            of.get(&(sample, field)).iter().flat_map(|found| &found.links).map(|link| link.output.pointer.as_str()).collect()
        };
        for field in one.document.iter().flat_map(fields).filter(Field::is_leaf) {
            let shape = shape(&field.pointer);
            all.push(match of.get(&(sample, field.pointer.as_str())) {
                None => FieldSeen { field: shape, not_varied: true, ..FieldSeen::default() },
                Some(found) => FieldSeen {
                    field: shape,
                    becomes: found.links.iter().map(|link| becomes(one, &field, link, &outputs)).collect(),
                    decides: found.decides.clone(),
                    missing: found.missing.clone(),
                    not_varied: false,
                },
            });
        }
    }
    all
}

fn becomes<'l>(one: &Intact, field: &Field, link: &Link, outputs: &dyn Fn(&str) -> Vec<&'l str>) -> Becomes {
    let output = spot(one, &in_list(&field.pointer, &link.output.pointer, outputs));
    let output = if link.output.is_count { format!("{output}, how many") } else { output };
    Becomes { output, how: link.how, example: link.example.clone(), missing: link.missing.iter().cloned().collect() }
}

/// `output` with `*` for its place in a list where that goes with the field's place in its own: what is made of a neighbour of the field is a
/// neighbour of the output. `outputs` are those that follow a field.
pub(super) fn in_list<'l>(field: &str, output: &str, outputs: &dyn Fn(&str) -> Vec<&'l str>) -> String {
    let is_place = |segment: &str| segment.parse::<usize>().is_ok();
    let (segments, made): (Vec<&str>, Vec<&str>) = (field.split('/').collect(), output.split('/').collect());
    let last = |segments: &[&str]| segments.iter().rposition(|segment| is_place(segment));
    // Behind `/output/0` or `/request/0`, which are no lists of the message's.
    let (Some(own), Some(place)) = (last(&segments), last(&made).filter(|place| *place > 2)) else { return output.to_owned() };
    let with = |segments: &[&str], at: usize, name: &str| {
        segments.iter().enumerate().map(|(index, segment)| if index == at { name } else { segment }).collect::<Vec<_>>().join("/")
    };
    let listed = with(&made, place, "*");
    let is_neighbour = |other: &str| {
        let other: Vec<&str> = other.split('/').collect();
        let is_at_place = other.get(place).is_some_and(|segment| is_place(segment) && *segment != made[place]);
        is_at_place && with(&other, place, "*") == listed
    };
    let neighbours = (0..ITEMS_MAX).map(|item| item.to_string()).filter(|item| item != segments[own]);
    let mut made_of_neighbours = neighbours.flat_map(|item| outputs(&with(&segments, own, &item)));
    if made_of_neighbours.any(is_neighbour) { listed } else { output.to_owned() }
}

/// The outputs that no field changes: those that are the same in all samples that have them, and the others.
fn unmoved(intact: &[Intact], followed: &BTreeSet<(usize, String)>) -> (Vec<Constant>, Vec<String>) {
    let mut values: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    let mut moved = BTreeSet::new();
    for (sample, one) in intact.iter().enumerate() {
        for (pointer, value) in leaves(&one.ran.made) {
            let spot = spot(one, &pointer);
            if followed.contains(&(sample, pointer)) {
                moved.insert(shape(&spot));
            } else {
                let known = values.entry(spot).or_default();
                if !known.contains(&value) {
                    known.push(value);
                }
            }
        }
    }
    // Of a list only the first places were varied; the others are like them.
    values.retain(|spot, _| !moved.contains(&shape(spot)));
    let (mut constants, mut unexplained) = (Vec::new(), Vec::new());
    for (output, values) in values {
        match values.as_slice() {
            [value] => constants.push(Constant { output, value: (*value).clone() }),
            _ => unexplained.push(output),
        }
    }
    (constants, unexplained)
}
