//! Times for people, on the terminal and in the console: UTC, as the log and the API have them, without what everybody knows.
//! Depends on `clock`, and on `config`'s way to write durations.

use std::str::FromStr;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::quantity;

/// A time as people give it, or how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Ago(Duration),
    At(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    /// `30m`, `24h`, `7d`; `2026-03-01T08:00:00Z`, `2026-03-01T09:00+01:00`; `2026-03-01 08:00` and `2026-03-01`, in UTC.
    fn from_str(text: &str) -> Result<Self, String> {
        let at = |at: jiff::Timestamp| Self::At(Timestamp(at.as_millisecond()));
        let in_utc = |text: &str| text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
        let ago = quantity::duration(text).ok().map(Self::Ago);
        ago.or_else(|| text.parse().ok().map(at))
            .or_else(|| in_utc(text).map(|zoned| at(zoned.timestamp())))
            .ok_or_else(|| "expected 30m, 24h, 7d, or a time such as 2026-03-01T08:00:00Z".to_owned())
    }
}

impl Moment {
    /// The time it is at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => Timestamp(now.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))),
            Self::At(at) => at,
        }
    }
}

/// A time that the API or the ledger wrote.
pub fn parsed(time: &str) -> Option<Timestamp> {
    time.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
}

/// Now, to tell today from other days.
pub fn now() -> Timestamp {
    SystemClock::new().now()
}

/// For lists: `23:54:47Z` if it is on the day of `now`, else `2026-11-20 23:54Z`. What is no RFC 3339 time in UTC stays as it is.
pub fn short(time: &str, now: Timestamp) -> String {
    match parts(time) {
        Some((day, clock)) if now.to_string().starts_with(day) => format!("{}Z", clock.get(..8).unwrap_or(clock)),
        Some((day, clock)) => format!("{day} {}Z", clock.get(..5).unwrap_or(clock)),
        None => time.to_owned(),
    }
}

/// For one thing: `2026-11-20 23:54:47.467Z`.
pub fn long(time: &str) -> String {
    parts(time).map_or_else(|| time.to_owned(), |(day, clock)| format!("{day} {clock}Z"))
}

/// With milliseconds, and with the day only if it is another than that of `beside`.
pub fn beside(time: &str, beside: &str) -> String {
    match (parts(time), parts(beside)) {
        (Some((day, clock)), Some((other, _))) if day == other => format!("{clock}Z"),
        _ => long(time),
    }
}

/// Day and time of day of `2026-11-20T23:54:47.467Z`.
fn parts(time: &str) -> Option<(&str, &str)> {
    time.strip_suffix('Z')?.split_once('T')
}

/// `350 ms`, `4 s`, `12 min`, `3 h`, `2 d`.
pub fn duration_ms(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// Microseconds as [`duration_ms`] has it, or `412 µs`.
pub fn duration_us(us: u64) -> String {
    if us < 1_000 { format!("{us} µs") } else { duration_ms(us / 1_000) }
}

/// From one time to another, neither before the first nor between what are no times.
pub fn between(start: &str, end: &str) -> Option<String> {
    between_ms(start, end).map(duration_ms)
}

/// The same in milliseconds.
pub fn between_ms(start: &str, end: &str) -> Option<u64> {
    u64::try_from(parsed(end)?.0.checked_sub(parsed(start)?.0)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-03-01T08:05:06.789Z";

    #[test]
    fn takes_a_time_or_how_long_ago_and_nothing_else() {
        for text in ["yesterday", "", "7", "2026-13-01", "08:00"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        let now = Timestamp(1_772_352_000_000);
        let at = |text: &str| text.parse::<Moment>().unwrap().at(now).to_string();
        assert_eq!(at("30m"), "2026-03-01T07:30:00.000Z");
        for text in ["2026-03-01T08:00:00Z", "2026-03-01T09:00:00+01:00", "2026-03-01T08:00", "2026-03-01 08:00:00"] {
            assert_eq!(at(text), "2026-03-01T08:00:00.000Z", "{text}");
        }
        assert_eq!(at("2026-03-01"), "2026-03-01T00:00:00.000Z");
    }

    #[test]
    fn leaves_what_is_no_time_as_it_is() {
        assert_eq!(short("-", Timestamp(0)), "-");
        assert_eq!(long("soon"), "soon");
    }

    #[test]
    fn says_how_long_something_took_if_it_did() {
        assert_eq!(between(TIME, "2026-03-01T08:05:07.139Z").as_deref(), Some("350 ms"));
        assert_eq!(between(TIME, "2026-03-01T08:05:06.000Z"), None);
        assert_eq!(between(TIME, "-"), None);
        assert_eq!((duration_us(999).as_str(), duration_us(35_999).as_str()), ("999 µs", "35 ms"));
    }

    #[test]
    fn names_the_day_only_where_it_is_another() {
        let same_day = Timestamp(jiff::Timestamp::from_second(1_772_400_000).unwrap().as_millisecond());
        assert!(same_day.to_string().starts_with("2026-03-01"));
        assert_eq!(short(TIME, same_day), "08:05:06Z");
        assert_eq!(short(TIME, same_day.plus(std::time::Duration::from_hours(24))), "2026-03-01 08:05Z");
        assert_eq!(beside(TIME, "2026-03-01T00:00:00.000Z"), "08:05:06.789Z");
        assert_eq!(beside(TIME, "2026-02-28T00:00:00.000Z"), "2026-03-01 08:05:06.789Z");
    }
}
