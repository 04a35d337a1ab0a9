//! Times for people, on the terminal and in the console: UTC, as the log and the API have them, without what everybody knows.
//! Depends on `clock`.

use crate::clock::{Clock, SystemClock, Timestamp};

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

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-03-01T08:05:06.789Z";

    #[test]
    fn leaves_what_is_no_time_as_it_is() {
        assert_eq!(short("-", Timestamp(0)), "-");
        assert_eq!(long("soon"), "soon");
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
