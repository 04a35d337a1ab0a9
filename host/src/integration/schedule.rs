//! [`Schedule`]: times by a line of cron in a time zone. Pure.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

/// A line that has no time from here on never fires. (It is looked for up to the year 5000.)
const CHECKED_FROM: Timestamp = Timestamp(1_735_689_600_000);

/// When something is to happen. Where clocks are put forward, a time that does not exist is the first one after it; where they are put
/// back, a time that exists twice is the first of both, unless the line fires every hour or more often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    line: String,
    zone_name: String,
    cron: Cron,
    zone: TimeZone,
}

/// Why something is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASchedule {
    #[error("{0}")]
    Line(String),
    #[error("it never fires: there is no such day")]
    Never,
    #[error("there is no such time zone")]
    Zone,
}

impl Schedule {
    /// Five fields of cron (minute, hour, day of the month, month, day of the week) in a time zone of the IANA database.
    pub fn new(line: &str, zone_name: &str) -> Result<Self, NotASchedule> {
        let zone = TimeZone::get(zone_name).map_err(|_| NotASchedule::Zone)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(line).map_err(|why| NotASchedule::Line(why.to_string()))?;
        let schedule = Self { line: line.to_owned(), zone_name: zone_name.to_owned(), cron, zone };
        if schedule.after(CHECKED_FROM).is_none() { Err(NotASchedule::Never) } else { Ok(schedule) }
    }

    /// The first time after `at`.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&at, false).ok()?;
        Some(Timestamp(next.timestamp().as_millisecond()))
    }

    /// The last time that is not after `at`.
    pub fn not_after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone());
        let last = self.cron.find_previous_occurrence(&at, true).ok()?;
        Some(Timestamp(last.timestamp().as_millisecond()))
    }

    /// A time as people read it there: RFC 3339 with the zone's offset.
    pub fn shown(&self, at: Timestamp) -> String {
        let Ok(time) = jiff::Timestamp::from_millisecond(at.0) else { return at.to_string() };
        let offset = self.zone.to_offset(time);
        time.display_with_offset(offset).to_string()
    }
}

impl fmt::Display for Schedule {
    /// `0 2 * * * Europe/Berlin`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.line, self.zone_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn times(line: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::new(line, "Europe/Berlin").unwrap();
        let mut now = at(from);
        let mut next = || {
            now = schedule.after(now).unwrap();
            schedule.shown(now)
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn refuses_what_never_fires_and_what_is_no_line_or_zone() {
        assert_eq!(Schedule::new("0 0 30 2 *", "UTC"), Err(NotASchedule::Never));
        assert_eq!(Schedule::new("0 2 * * *", "Europe/Nowhere"), Err(NotASchedule::Zone));
        for line in ["", "* * *", "61 * * * *", "* * * * * *", "0 2 * * * 2030", "tomorrow", "\u{0}"] {
            assert!(matches!(Schedule::new(line, "UTC"), Err(NotASchedule::Line(_))), "{line}");
        }
    }

    #[test]
    fn a_time_that_clocks_skip_is_the_first_after_and_one_that_comes_twice_is_once() {
        let spring = times("30 2 * * *", "2026-03-28T12:00:00Z", 2);
        assert_eq!(spring, ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]);
        let autumn = times("30 2 * * *", "2026-10-24T12:00:00Z", 2);
        assert_eq!(autumn, ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]);
        let hourly = times("0 * * * *", "2026-10-24T23:30:00Z", 3);
        assert_eq!(hourly, ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]);
    }

    #[test]
    fn knows_the_last_time_that_was_missed() {
        let schedule = Schedule::new("0 2 * * 1-5", "Europe/Berlin").unwrap();
        assert_eq!(schedule.not_after(at("2026-11-22T12:00:00Z")), Some(at("2026-11-20T01:00:00Z")));
        assert_eq!(schedule.not_after(at("2026-11-20T01:00:00Z")), Some(at("2026-11-20T01:00:00Z")));
    }
}
