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

pub(super) fn find(connection: &Connection, now: Timestamp) -> Done<BTreeMap<String, Curve>> {
    let mut curves = BTreeMap::<String, Curve>::new();
    let mut find = connection.prepare_cached("SELECT integration, outcome, minute - ?1, count FROM tally WHERE minute >= ?1")?;
    let mut found = find.query([first_minute(now)])?;
    while let Some(row) = found.next()? {
        let integration = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        // There are up to 180 rows for each integration: names are copied once.
        if !curves.contains_key(integration) {
            curves.insert(integration.to_owned(), Curve::flat(now));
        }
        let Some(curve) = curves.get_mut(integration) else { continue };
        // What an earlier run with a later clock counted lies in minutes to come, which are not shown.
        let Some(minute) = curve.minutes.get_mut(count::<usize>(row, 2)?) else { continue };
        match word(row, 1, Outcome::parse)? {
            Outcome::Delivered => minute.delivered = count(row, 3)?,
            Outcome::Skipped => minute.skipped = count(row, 3)?,
            Outcome::DeadLettered => minute.dead_lettered = count(row, 3)?,
            Outcome::FannedOut | Outcome::Discarded => {}
        }
    }
    Ok(curves)
}
