//! How deliveries ended in the last hour, minute by minute: [`Curve`]. Read from the tally, so the cost is bounded by minutes and
//! integrations, never by messages; and what was read once is kept ([`Hour`]).

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{prepared, word};
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

/// Minutes that are read again after they are over: what ended in them may have waited so long for its commit.
const LATE_MINUTES: i64 = 3;
const SINCE: &str = "SELECT integration, outcome, minute - ?1, count FROM tally WHERE minute >= ?2";

/// What was read of the tally. Minutes that are over do not change, so a look reads only those since the last look: a page that
/// keeps up would else read an hour of a thousand integrations every second.
#[derive(Debug, Default)]
pub(super) struct Hour {
    first_minute: i64,
    /// What is older was read for good.
    read_from: i64,
    curves: BTreeMap<String, Curve>,
}

impl Hour {
    /// The curves of the hour that ends with the minute of `now`.
    pub(super) fn look(&mut self, connection: &Connection, now: Timestamp) -> Done<BTreeMap<String, Curve>> {
        self.roll_to(now);
        let mut find = prepared(connection, SINCE)?;
        let mut found = find.query([self.first_minute, self.read_from])?;
        while let Some(row) = found.next()? {
            let Some(figure) = figure(word(row, 1, Outcome::parse)?) else { continue };
            let at: usize = count(row, 2)?;
            // What an earlier run with a later clock counted lies in minutes to come, which are not shown.
            if at >= CURVE_MINUTES {
                continue;
            }
            let integration = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            // There are up to 180 rows for each: a name is copied once.
            if !self.curves.contains_key(integration) {
                self.curves.insert(integration.to_owned(), Curve::flat(now));
            }
            if let Some(minute) = self.curves.get_mut(integration).and_then(|curve| curve.minutes.get_mut(at)) {
                *figure(minute) = count(row, 3)?;
            }
        }
        self.read_from = self.first_minute.max(outcome::minute(now) - LATE_MINUTES);
        Ok(self.curves.clone())
    }

    /// Forgets what is older than the hour before `now`.
    fn roll_to(&mut self, now: Timestamp) {
        let first_minute = first_minute(now);
        let passed = usize::try_from(first_minute - self.first_minute).ok().filter(|passed| *passed < CURVE_MINUTES);
        // More than an hour ago, or the clock is another: all of it is read again.
        let Some(passed) = passed else {
            *self = Self { first_minute, read_from: first_minute, curves: BTreeMap::new() };
            return;
        };
        if passed == 0 {
            return;
        }
        self.curves.retain(|_, curve| {
            curve.from = Timestamp(first_minute * 60_000);
            curve.minutes.rotate_left(passed);
            curve.minutes[CURVE_MINUTES - passed..].fill(Minute::default());
            curve.minutes.iter().any(|minute| *minute != Minute::default())
        });
        self.first_minute = first_minute;
        self.read_from = self.read_from.max(first_minute);
    }
}

/// Where `outcome` is counted; none where it is not shown.
fn figure(outcome: Outcome) -> Option<fn(&mut Minute) -> &mut u64> {
    match outcome {
        Outcome::Delivered => Some(|minute| &mut minute.delivered),
        Outcome::Skipped => Some(|minute| &mut minute.skipped),
        Outcome::DeadLettered => Some(|minute| &mut minute.dead_lettered),
        Outcome::FannedOut | Outcome::Discarded => None,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::message_store::sqlite::schema::migrate;

    const NOW: Timestamp = Timestamp(1_700_000_070_000);

    fn tally() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    fn ended(connection: &Connection, integration: &str, outcome: Outcome, minutes_ago: i64) {
        let add = "INSERT INTO tally VALUES (?1, ?2, ?3, 1) ON CONFLICT DO UPDATE SET count = count + 1";
        connection.execute(add, (integration, outcome.as_str(), outcome::minute(NOW) - minutes_ago)).unwrap();
    }

    fn delivered(curves: &BTreeMap<String, Curve>, minutes_ago: usize) -> u64 {
        curves.get("crm").map_or(0, |curve| curve.minutes[CURVE_MINUTES - 1 - minutes_ago].delivered)
    }

    #[test]
    fn a_second_look_reads_a_few_minutes_and_not_the_hour() {
        let connection = tally();
        for minutes_ago in 0..60 {
            (0..20).for_each(|number| ended(&connection, &format!("flow-{number}"), Outcome::Delivered, minutes_ago));
        }
        let mut hour = Hour::default();
        let mut cost = || {
            hour.look(&connection, NOW).unwrap();
            connection.prepare_cached(SINCE).unwrap().reset_status(StatementStatus::VmStep)
        };
        let (first, second) = (cost(), cost());
        assert!(second * 10 < first, "{first} and then {second} steps");
    }

    #[test]
    fn what_was_committed_minutes_late_is_counted() {
        let connection = tally();
        let mut hour = Hour::default();
        hour.look(&connection, NOW).unwrap();
        ended(&connection, "crm", Outcome::Delivered, LATE_MINUTES);
        assert_eq!(delivered(&hour.look(&connection, NOW).unwrap(), 3), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_has_its_own_hour() {
        let connection = tally();
        ended(&connection, "crm", Outcome::Delivered, 30);
        let mut hour = Hour::default();
        assert_eq!(delivered(&hour.look(&connection, NOW).unwrap(), 30), 1);
        let earlier = Timestamp(NOW.0 - 20 * 60_000);
        assert_eq!(delivered(&hour.look(&connection, earlier).unwrap(), 10), 1);
        assert_eq!(delivered(&hour.look(&connection, NOW).unwrap(), 30), 1);
    }

    #[test]
    fn where_only_what_is_not_shown_ended_there_is_no_curve() {
        let connection = tally();
        ended(&connection, "crm", Outcome::FannedOut, 0);
        ended(&connection, "crm", Outcome::Delivered, -1);
        assert!(Hour::default().look(&connection, NOW).unwrap().is_empty());
    }
}
