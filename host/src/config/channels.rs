//! Whether channels have writers and readers, across all integrations of a workspace.
//!
//! Depends on `integration`'s types and `problem`.

use std::collections::{BTreeMap, BTreeSet};

use super::integration::IntegrationFile;
use super::reader::nearest;
use crate::integration::{Entry, Grant, Sink};
use crate::problem::{Code, Location, Problem, Problems};

/// Reports channels that are written and never read, or read and never written, and circles. Where they are deployed one after the other
/// (`is_whole` is false), who writes may come later; who reads may not, or messages would go to nobody.
pub fn check_channels(integrations: &[IntegrationFile], is_whole: bool, problems: &mut Problems) {
    let reads: Vec<_> = integrations.iter().flat_map(reads_of).collect();
    let writes: Vec<_> = integrations.iter().filter_map(write_of).collect();
    let read: BTreeSet<&str> = reads.iter().map(|(channel, _)| *channel).collect();
    let written: BTreeSet<&str> = writes.iter().map(|(channel, _)| *channel).collect();

    for (channel, place) in &writes {
        if !read.contains(channel) {
            let example = format!("[[source]] with `channel = \"{channel}\"`");
            problems.push(lonely(channel, "no integration reads", &example, &read, place));
        }
    }
    // A plugin that may use the queue can write to any channel; which ones is not known before it runs.
    let plugin_may_write = integrations.iter().any(|file| file.integration.uses().any(|(_, step)| step.grants.contains(&Grant::Queue)));
    for (channel, place) in &reads {
        if is_whole && !written.contains(channel) && !plugin_may_write {
            let example = format!("[sink] with `channel = \"{channel}\"`");
            problems.push(lonely(channel, "no integration writes", &example, &written, place));
        }
    }
    refuse_circles(integrations, problems);
}

/// What an integration writes to a channel must not come back to it: its messages would go round forever.
fn refuse_circles(integrations: &[IntegrationFile], problems: &mut Problems) {
    let mut told = BTreeSet::new();
    for file in integrations {
        let Some(way) = way_back(file, integrations) else { continue };
        // Each circle once, at the first of its integrations.
        if way.iter().any(|name| told.contains(name)) {
            continue;
        }
        told.extend(way.iter().copied());
        let Some((channel, place)) = write_of(file) else { continue };
        let name = &file.integration.name;
        let what = match way.as_slice() {
            [_] => format!("integration {name} writes to channel {channel}, which it reads"),
            way => {
                format!("integration {name} writes to channel {channel}, and what it writes comes back to it: {} → {name}", way.join(" → "))
            }
        };
        let message = format!("{what}: its messages would go round forever");
        problems.push(Problem::new(Code::WrongValue, message).at(place).fix("write to another channel"));
    }
}

/// The integrations a message of `start` passes, `start` first, until it is back; none if it never is.
fn way_back<'a>(start: &'a IntegrationFile, integrations: &'a [IntegrationFile]) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &IntegrationFile> = BTreeMap::new();
    let mut to_visit = vec![start];
    while let Some(file) = to_visit.pop() {
        let Sink::Channel(channel) = &file.integration.sink else { continue };
        for reader in integrations.iter().filter(|reader| reader.integration.reads(channel).is_some()) {
            if came_from.contains_key(reader.integration.name.as_str()) {
                continue;
            }
            came_from.insert(&reader.integration.name, file);
            to_visit.push(reader);
        }
    }
    let mut way = Vec::new();
    let mut at = *came_from.get(start.integration.name.as_str())?;
    while at.integration.name != start.integration.name {
        way.push(at.integration.name.as_str());
        at = came_from.get(at.integration.name.as_str())?;
    }
    way.push(start.integration.name.as_str());
    way.reverse();
    Some(way)
}

fn reads_of(file: &IntegrationFile) -> Vec<(&str, Location)> {
    let mut reads = Vec::new();
    for (index, source) in file.integration.sources.iter().enumerate() {
        if let Entry::Channel { name, .. } = &source.entry {
            reads.push((name.as_str(), file.places.at(&format!("source/{index}/channel"))));
        }
    }
    reads
}

fn write_of(file: &IntegrationFile) -> Option<(&str, Location)> {
    match &file.integration.sink {
        Sink::Channel(name) => Some((name, file.places.at("sink/channel"))),
        Sink::Plugin(_) => None,
    }
}

fn lonely(channel: &str, what: &str, example: &str, others: &BTreeSet<&str>, place: &Location) -> Problem {
    let fix = match nearest(channel, others.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Otherwise add an integration that has {example}"),
        None => format!("add an integration that has {example}"),
    };
    Problem::new(Code::UnreadChannel, format!("{what} channel {channel}")).at(place.clone()).fix(fix)
}
