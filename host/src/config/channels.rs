//! Whether channels have writers and readers, across all integrations of a workspace.
//!
//! Depends on `integration`'s types and `problem`.

use std::collections::BTreeSet;

use super::integration::IntegrationFile;
use super::reader::nearest;
use crate::integration::{Entry, Grant, Sink};
use crate::problem::{Code, Location, Problem, Problems};

/// Reports channels that are written and never read, or read and never written.
pub fn check_channels(integrations: &[IntegrationFile], problems: &mut Problems) {
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
        if !written.contains(channel) && !plugin_may_write {
            let example = format!("[sink] with `channel = \"{channel}\"`");
            problems.push(lonely(channel, "no integration writes", &example, &written, place));
        }
    }
    for file in integrations {
        if let Sink::Channel(channel) = &file.integration.sink
            && file.integration.reads(channel).is_some()
        {
            let message = format!(
                "integration {} writes to channel {channel}, which it reads: its messages would go round forever",
                file.integration.name
            );
            problems.push(Problem::new(Code::WrongValue, message).at(file.places.at("sink/channel")).fix("write to another channel"));
        }
    }
}

fn reads_of(file: &IntegrationFile) -> Vec<(&str, Location)> {
    let mut reads = Vec::new();
    for (index, source) in file.integration.sources.iter().enumerate() {
        if let Entry::Channel { name } = &source.entry {
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
