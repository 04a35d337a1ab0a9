//! Which channels would be left without a reader, or a writer, if an integration were gone. Pure.

use crate::ingress::Routes;
use crate::integration::{Entry, Grant, Integration, Sink};

/// Why `name` is not to be retired: others write to a channel that nobody else would read.
pub(super) fn by_retiring(routes: &Routes, name: &str) -> Option<String> {
    let others = || routes.integrations().filter(|other| other.name != name);
    let channels = reads(routes.integration(name)?);
    let unread = channels.filter(|channel| !others().any(|other| routes.leaving(&other.name).is_none() && other.reads(channel).is_some()));
    for channel in unread {
        // One that is being retired writes until nothing of it waits.
        let writers: Vec<&str> = others().filter(|other| writes(other, channel)).map(|other| other.name.as_str()).collect();
        let senders: Vec<&str> = others().filter(|other| may_send(other)).map(|other| other.name.as_str()).collect();
        let (who, how) = match (writers.as_slice(), senders.as_slice()) {
            ([], []) => continue,
            ([], senders) => (senders.join(", "), "may write"),
            ([writer], _) => ((*writer).to_owned(), "writes"),
            (writers, _) => (writers.join(", "), "write"),
        };
        return Some(format!(
            "nobody but {name} reads channel {channel}: what {who} {how} to it would go to nobody; retire {who} first, deploy another \
             reader, or say that this is meant (--anyway)"
        ));
    }
    None
}

/// What becomes of those who read what `name` alone writes.
pub(super) fn unwritten_by_retiring(routes: &Routes, name: &str) -> Vec<String> {
    let Some(Sink::Channel(channel)) = routes.integration(name).map(|integration| &integration.sink) else { return Vec::new() };
    let stays = || routes.integrations().filter(|other| other.name != name && routes.leaving(&other.name).is_none());
    if stays().any(|other| writes(other, channel) || may_send(other)) {
        return Vec::new();
    }
    let readers: Vec<&str> = stays().filter(|other| other.reads(channel).is_some()).map(|other| other.name.as_str()).collect();
    if readers.is_empty() {
        return Vec::new();
    }
    vec![format!("nothing else writes to channel {channel}: {} will get nothing more through it", readers.join(", "))]
}

fn reads(integration: &Integration) -> impl Iterator<Item = &str> {
    let entries = integration.sources.iter().map(|source| &source.entry);
    entries.filter_map(|entry| if let Entry::Channel { name, .. } = entry { Some(name.as_str()) } else { None })
}

fn writes(integration: &Integration, channel: &str) -> bool {
    matches!(&integration.sink, Sink::Channel(name) if name == channel)
}

/// Its plugins may send to any channel; to which is not known before they do.
fn may_send(integration: &Integration) -> bool {
    integration.uses().any(|(_, step)| step.grants.contains(&Grant::Queue))
}
