//! [`Stories`]: which recorded attempts belong together, and which of several is the one to be held against.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::clock::Timestamp;
use crate::ledger::{Located, Passed, Reader};
use crate::message::MessageId;
use crate::message_store::Stage;

/// Records that are looked at, the latest.
const RECORDS_MAX: usize = 1_000_000;

/// What is to be rehearsed.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub integration: String,
    /// Attempts that ended since.
    pub since: Timestamp,
    /// Messages at most, the latest.
    pub most: usize,
    /// Nothing but these.
    pub dead_letters: Option<Vec<DeadLetter>>,
}

/// A message whose delivery is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetter {
    pub message: MessageId,
    pub replay: u32,
}

/// A message, and what is recorded of its way.
#[derive(Clone, Debug)]
pub struct Story {
    /// None where nothing is.
    pub root: Option<Located>,
    pub message: MessageId,
}

/// Every story that is to be told, in the order in which they were recorded.
#[derive(Debug)]
pub struct Stories {
    pub all: Vec<Story>,
    /// Messages beyond those.
    pub left_out: usize,
    /// The attempt of every message that was made of another.
    parts: HashMap<MessageId, Located>,
    /// What could not be read.
    pub passed: Vec<Passed>,
}

impl Stories {
    /// What is recorded of the way of a part.
    pub fn part(&self, message: MessageId) -> Option<&Located> {
        self.parts.get(&message)
    }
}

/// Finds what is `wanted`.
pub fn stories(reader: &Reader, wanted: &Wanted) -> Stories {
    let (found, passed) = reader.find(wanted.since, RECORDS_MAX, |entry| entry.integration == wanted.integration);
    let mut last: HashMap<MessageId, (usize, Located)> = HashMap::new();
    for (order, located) in found.into_iter().enumerate() {
        match last.get(&located.entry.message) {
            Some((_, known)) if rank(known) > rank(&located) => {}
            _ => drop(last.insert(located.entry.message, (order, located))),
        }
    }
    let (mut all, parts) = match &wanted.dead_letters {
        Some(letters) => (of_dead_letters(letters, &last), HashMap::new()),
        None => by_message(last),
    };
    let left_out = all.len().saturating_sub(wanted.most);
    Stories { all: all.split_off(left_out), left_out, parts, passed }
}

/// Of several attempts the one that ended the way counts: the last of the last replay, but none that only waited.
fn rank(located: &Located) -> (bool, u32, Timestamp) {
    let entry = &located.entry;
    (!entry.has_waited, entry.replay, entry.ended_at)
}

/// A part whose whole is there is told with it, others by themselves.
fn by_message(last: HashMap<MessageId, (usize, Located)>) -> (Vec<Story>, HashMap<MessageId, Located>) {
    let whole: HashSet<MessageId> = last.keys().copied().collect();
    let mut roots = BTreeMap::new();
    let mut parts = HashMap::new();
    for (message, (order, located)) in last {
        let is_part = located.entry.stage == Stage::Sink && located.entry.parent.is_some_and(|parent| whole.contains(&parent));
        if is_part {
            parts.insert(message, located);
        } else {
            roots.insert(order, Story { root: Some(located), message });
        }
    }
    (roots.into_values().collect(), parts)
}

/// A dead letter is replayed from where it died, a part by itself.
fn of_dead_letters(letters: &[DeadLetter], last: &HashMap<MessageId, (usize, Located)>) -> Vec<Story> {
    let letters: BTreeSet<_> = letters.iter().copied().collect();
    let told = letters.into_iter().map(|DeadLetter { message, replay }| {
        let root = last.get(&message).map(|(_, located)| located).filter(|located| located.entry.replay == replay);
        Story { root: root.cloned(), message }
    });
    told.collect()
}
