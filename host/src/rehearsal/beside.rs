//! [`Beside`]: a release beside the active one. What it would have made of each message is told when the active release has settled it, with
//! the outside answered from what that one got.
//!
//! A message that became several is told when all of them are settled; [`Families`] keeps them until then, within bounds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::compare::Told;
use super::report::Report;
use super::stage::Stage;
use crate::clock::Timestamp;
use crate::delivery::{Configs, Seen, family};
use crate::ledger::{Ended, Record};
use crate::message::MessageId;

/// Messages that wait for what they became, and bytes of all that: of more, the oldest is given up.
const FAMILIES_MAX: usize = 1_000;
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Messages of which it is remembered that nothing more is to be told.
const DONE_MAX: usize = 1_000;
/// A part may be settled before its whole is known to have become several; one whose whole is not known by then was replayed by itself, or
/// is of a message that became several before anybody looked.
pub const ORPHAN_WITHIN: Duration = Duration::from_secs(10);

/// A release, and what is known of it so far.
#[derive(Debug)]
pub struct Beside {
    stage: Stage,
    report: Mutex<Report>,
    families: Mutex<Families>,
}

/// A message, and those that it became, as the active release settled them.
#[derive(Debug)]
pub struct Settled {
    root: Seen,
    parts: BTreeMap<usize, Seen>,
}

/// What follows from what was seen.
#[derive(Debug, Default)]
pub struct Due {
    /// What can be told now.
    pub told: Vec<Settled>,
    /// Messages that there is no room to wait for.
    pub missed: u64,
}

impl Beside {
    /// Nothing is known yet; `report` will have it.
    pub fn new(stage: Stage, report: Report) -> Self {
        Self { stage, report: Mutex::new(report), families: Mutex::default() }
    }

    /// What can be told now that this was seen; without any, now that so much time has passed.
    pub fn take(&self, seen: Option<Seen>, now: Timestamp) -> Due {
        let mut families = self.families();
        let mut due = seen.map(|seen| families.take(seen, now)).unwrap_or_default();
        due.told.extend(families.overdue(now));
        due
    }

    /// Gives up messages of which something was not shown. Gives how many that are.
    pub fn give_up(&self, broken: impl IntoIterator<Item = MessageId>) -> u64 {
        let mut families = self.families();
        broken.into_iter().filter(|family| families.give_up(*family)).count() as u64
    }

    /// Runs the candidate on it, whose plugins are configured with `configs` now, and adds what differs to the report.
    pub async fn tell(&self, settled: Settled, configs: &Configs) {
        let Settled { root, parts } = settled;
        let is_as_then = |seen: &Seen| seen.configs == *configs;
        let told = if std::iter::once(&root).chain(parts.values()).all(is_as_then) {
            let parts: BTreeMap<usize, Record> = parts.into_iter().map(|(place, seen)| (place, seen.record)).collect();
            self.stage.tell(&root.record, &parts).await
        } else {
            Told::not_comparable("values of the environment have become others since it began")
        };
        self.lock().add(root.record.message.id, told);
    }

    /// What is known so far.
    pub fn report(&self) -> Report {
        self.lock().clone().sorted()
    }

    /// A part of that.
    pub fn look<T>(&self, at: impl FnOnce(&Report) -> T) -> T {
        at(&self.lock())
    }

    /// Messages that wait for what they became.
    pub fn under_way(&self) -> usize {
        self.families().all.len()
    }

    fn families(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages that became several, by their id.
#[derive(Debug, Default)]
struct Families {
    all: HashMap<MessageId, Family>,
    bytes: usize,
    /// Counts families, so that the oldest is known.
    begun: u64,
    /// Those that were told of, or given up, before all of them was there: what comes of them later says nothing more. The oldest first.
    done: VecDeque<MessageId>,
}

#[derive(Debug)]
struct Family {
    number: u64,
    since: Timestamp,
    root: Option<Root>,
    parts: HashMap<MessageId, Seen>,
}

/// The message, and the place of each that it became.
#[derive(Debug)]
struct Root {
    seen: Seen,
    places: HashMap<MessageId, usize>,
}

impl Families {
    /// What can be told with `seen`.
    fn take(&mut self, seen: Seen, now: Timestamp) -> Due {
        let Some(family) = family(&seen.record) else { return Due { told: vec![Settled::alone(seen)], missed: 0 } };
        // Of a replay it becomes others.
        let is_whole = family == seen.record.message.id;
        let mut due = Due { told: if is_whole { self.told_before(family) } else { Vec::new() }, missed: 0 };
        if is_whole && seen.record.replay > 0 {
            self.done.retain(|done| *done != family);
        }
        if self.done.contains(&family) {
            return due;
        }
        self.bytes = self.bytes.saturating_add(seen.bytes());
        let begun = &mut self.begun;
        let entry = self.all.entry(family).or_insert_with(|| {
            *begun += 1;
            Family { number: *begun, since: now, root: None, parts: HashMap::new() }
        });
        let replaced = entry.add(seen).map_or(0, |before| before.bytes());
        self.bytes = self.bytes.saturating_sub(replaced);
        if entry.is_whole() {
            due.told.extend(self.remove(family));
        }
        // Of a part that is still open nobody knows how it would go: what waits for one cannot be told without it.
        while self.all.len() > FAMILIES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.all.iter().min_by_key(|(_, family)| family.number).map(|(id, _)| *id) else { break };
            due.missed += u64::from(self.give_up(oldest));
        }
        due
    }

    /// Nothing more is told of it. False if that was so before.
    fn give_up(&mut self, family: MessageId) -> bool {
        drop(self.remove(family));
        let is_new = !self.done.contains(&family);
        if is_new {
            self.is_done(family);
        }
        is_new
    }

    fn is_done(&mut self, family: MessageId) {
        if self.done.len() >= DONE_MAX {
            self.done.pop_front();
        }
        self.done.push_back(family);
    }

    /// A family whose root is known, before another root takes its place.
    fn told_before(&mut self, family: MessageId) -> Vec<Settled> {
        if self.all.get(&family).is_some_and(|family| family.root.is_some()) { self.remove(family) } else { Vec::new() }
    }

    /// Parts that nobody's root came for: of those the ones that were replayed by themselves. The others are of a message whose steps ran
    /// before anybody looked, and of such a message nothing is told.
    fn overdue(&mut self, now: Timestamp) -> Vec<Settled> {
        let is_due = |family: &Family| family.root.is_none() && now.since(family.since) >= ORPHAN_WITHIN;
        let due: Vec<MessageId> = self.all.iter().filter(|(_, family)| is_due(family)).map(|(id, _)| *id).collect();
        due.into_iter().flat_map(|id| self.remove(id)).collect()
    }

    fn remove(&mut self, family: MessageId) -> Vec<Settled> {
        let Some(family) = self.all.remove(&family) else { return Vec::new() };
        self.bytes = self.bytes.saturating_sub(family.bytes());
        family.told()
    }
}

impl Family {
    /// Gives what it takes the place of.
    fn add(&mut self, seen: Seen) -> Option<Seen> {
        match seen.record.ended {
            Ended::FannedOut { children } => {
                let places = (0..children).zip(0..).map(|(ordinal, place)| (seen.record.part(ordinal), place)).collect();
                self.root.replace(Root { seen, places }).map(|root| root.seen)
            }
            _ => self.parts.insert(seen.record.message.id, seen),
        }
    }

    fn is_whole(&self) -> bool {
        self.root.as_ref().is_some_and(|root| root.places.keys().all(|part| self.parts.contains_key(part)))
    }

    fn bytes(&self) -> usize {
        let root = self.root.as_ref().map_or(0, |root| root.seen.bytes());
        self.parts.values().fold(root, |bytes, part| bytes.saturating_add(part.bytes()))
    }

    /// Parts that are none of the root's are told by themselves, where they were replayed so.
    fn told(mut self) -> Vec<Settled> {
        let root = self.root.take().map(|Root { seen, places }| {
            let parts = places.into_iter().filter_map(|(part, place)| Some((place, self.parts.remove(&part)?))).collect();
            Settled { root: seen, parts }
        });
        let replayed = self.parts.into_values().filter(|part| part.record.replay > 0);
        root.into_iter().chain(replayed.map(Settled::alone)).collect()
    }
}

impl Settled {
    fn alone(root: Seen) -> Self {
        Self { root, parts: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::delivery::Shadow;
    use crate::delivery::tests::lab;
    use crate::ledger::tests::record;
    use crate::message::Message;
    use crate::message_store::Stage as Leg;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn seen(record: Record) -> Seen {
        let (shadow, mut to_see) = Shadow::new(Arc::new(lab::runnable(lab::integration("crm", &[], lab::plugin("sink")))));
        shadow.offer(record, shadow.configs(), 1);
        to_see.try_recv().unwrap()
    }

    /// The `number`-th message, which became `children`.
    fn root(number: u32, children: u32) -> Record {
        Record { ended: Ended::FannedOut { children }, ..record(number, 1) }
    }

    fn part(root: &Record, ordinal: u32) -> Record {
        let message = Message { id: root.part(ordinal), parent: Some(root.message.id), ..Message::clone(&root.message) };
        Record { message: Arc::new(message), stage: Leg::Sink, ended: Ended::Delivered, ..root.clone() }
    }

    /// What each that is told is told with: the places of its parts.
    fn places(told: &[Settled]) -> Vec<Vec<usize>> {
        told.iter().map(|settled| settled.parts.keys().copied().collect()).collect()
    }

    #[test]
    fn a_whole_is_told_once_all_its_parts_are_there_in_whatever_order() {
        let (root, mut families) = (root(1, 2), Families::default());
        assert!(families.take(seen(part(&root, 1)), NOW).told.is_empty());
        assert!(families.take(seen(root.clone()), NOW).told.is_empty());
        assert_eq!(places(&families.take(seen(part(&root, 0)), NOW).told), [[0, 1]]);
        assert_eq!((families.all.len(), families.bytes), (0, 0));
        assert_eq!(places(&families.take(seen(record(2, 1)), NOW).told), [[0; 0]], "one that became no others is told at once");
    }

    #[test]
    fn of_parts_without_their_whole_only_what_was_replayed_by_itself_is_told() {
        let (root, mut families) = (root(1, 2), Families::default());
        let replayed = Record { replay: 1, ..part(&root, 1) };
        assert!(families.take(seen(part(&root, 0)), NOW).told.is_empty() && families.take(seen(replayed), NOW).told.is_empty());
        assert!(families.overdue(NOW.plus(ORPHAN_WITHIN / 2)).is_empty());
        let told = families.overdue(NOW.plus(ORPHAN_WITHIN));
        let told: Vec<_> = told.iter().map(|settled| (settled.root.record.message.id, settled.parts.len())).collect();
        assert_eq!(told, [(root.part(1), 0)], "the steps of the other's message ran before anybody looked");
        assert_eq!((families.all.len(), families.bytes), (0, 0));
    }

    #[test]
    fn a_whole_whose_parts_wait_for_ever_makes_room_for_others() {
        let mut families = Families::default();
        let mut missed = 0;
        for number in 0..=u32::try_from(FAMILIES_MAX).unwrap() {
            let root = root(number, 2);
            for due in [families.take(seen(root.clone()), NOW), families.take(seen(part(&root, 0)), NOW)] {
                assert!(due.told.is_empty(), "a part of it is open: nobody knows how that would go");
                missed += due.missed;
            }
        }
        assert_eq!((missed, families.all.len()), (1, FAMILIES_MAX), "the oldest is given up, and counted");
        // What comes of that one later says nothing more, and neither does what comes of one that is given up.
        let late = root(0, 2);
        assert!(families.take(seen(part(&late, 1)), NOW).told.is_empty() && families.all.len() == FAMILIES_MAX);
        assert!(families.give_up(root(2, 2).message.id) && !families.give_up(root(2, 2).message.id));
        assert!(families.take(seen(part(&root(2, 2), 1)), NOW).told.is_empty() && families.all.len() == FAMILIES_MAX - 1);
        // Replayed, it becomes others, and what was known is told before that.
        let again = Record { replay: 1, ..root(1, 2) };
        assert_eq!(places(&families.take(seen(again), NOW).told), [[0]]);
    }
}
