//! How deliveries ended in the last hour, minute by minute: [`Curve`]. Read from the tally, so the cost is bounded by minutes and
//! integrations, never by messages.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::word;
use crate::clock::Timestamp;
use crate::message::Outcome;
use crate::message_store::sqlite::failure::Done;
use crate::message_store::sqlite::outcome;
use crate::message_store::sqlite::rows::count;

/// Points of a curve: an hour.
pub const CURVE_MINUTES: usize = 60;

/// An integration's last hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    /// When the first minute began; the last one is under way.
    pub from: Timestamp,
    pub minutes: [Minute; CURVE_MINUTES],
}

/// Deliveries that ended in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    pub delivered: u64,
    pub skipped: u64,
    pub dead_lettered: u64,
}

impl Curve {
    /// The hour that ends with the minute of `now`, in which nothing ended.
    pub fn flat(now: Timestamp) -> Self {
        Self { from: Timestamp(first_minute(now) * 60_000), minutes: [Minute::default(); CURVE_MINUTES] }
    }
}

fn first_minute(now: Timestamp) -> i64 {
    outcome::minute(now) - CURVE_MINUTES as i64 + 1
}

/// What was read of the tally. Minutes that are over do not change, so a look reads only those since the last look: a page that
/// keeps up would else read an hour of a thousand integrations every second.
#[derive(Debug, Default)]
pub(super) struct Hour {
    first_minute: i64,
    /// Read up to here, for good.
    settled_before: i64,
    curves: BTreeMap<String, Curve>,
}

impl Hour {
    /// The curves of the hour that ends with the minute of `now`.
    pub(super) fn look(&mut self, connection: &Connection, now: Timestamp) -> Done<BTreeMap<String, Curve>> {
        self.roll_to(now);
        let mut find = connection.prepare_cached("SELECT integration, outcome, minute - ?1, count FROM tally WHERE minute >= ?2")?;
        let mut found = find.query([self.first_minute, self.settled_before.max(self.first_minute)])?;
        while let Some(row) = found.next()? {
            let integration = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            // There are up to 180 rows for each: a name is copied once.
            if !self.curves.contains_key(integration) {
                self.curves.insert(integration.to_owned(), Curve::flat(now));
            }
            let (curve, at) = (self.curves.get_mut(integration), count::<usize>(row, 2)?);
            // What an earlier run with a later clock counted lies in minutes to come, which are not shown.
            if let Some(minute) = curve.and_then(|curve| curve.minutes.get_mut(at)) {
                note(minute, word(row, 1, Outcome::parse)?, count(row, 3)?);
            }
        }
        // What ended a minute ago may still be on its way to the disk.
        self.settled_before = outcome::minute(now) - 1;
        Ok(self.curves.clone())
    }

    /// Forgets what is older than the hour before `now`.
    fn roll_to(&mut self, now: Timestamp) {
        let (first_minute, from) = (first_minute(now), Curve::flat(now).from);
        let passed = usize::try_from(first_minute - self.first_minute).ok().filter(|passed| *passed < CURVE_MINUTES);
        match passed {
            Some(0) => return,
            Some(passed) => {
                for curve in self.curves.values_mut() {
                    curve.from = from;
                    curve.minutes.rotate_left(passed);
                    curve.minutes[CURVE_MINUTES - passed..].fill(Minute::default());
                }
                self.curves.retain(|_, curve| curve.minutes.iter().any(|minute| *minute != Minute::default()));
            }
            // More than an hour ago, or the clock is another: all of it is read again.
            None => *self = Self::default(),
        }
        self.first_minute = first_minute;
    }
}

fn note(minute: &mut Minute, outcome: Outcome, count: u64) {
    match outcome {
        Outcome::Delivered => minute.delivered = count,
        Outcome::Skipped => minute.skipped = count,
        Outcome::DeadLettered => minute.dead_lettered = count,
        Outcome::FannedOut | Outcome::Discarded => {}
    }
}
