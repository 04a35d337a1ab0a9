//! Dates as they stand in messages, checked and never converted.

/// The day of an RFC 3339 time, `2026-03-14` of `2026-03-14T09:26:53+01:00`: in the offset it was written in, which is the
/// sender's own day. None where there is no such day.
pub fn day(time: &str) -> Option<&str> {
    time.split_once('T').map(|(day, _)| day).filter(|day| is_day(day))
}

fn is_day(text: &str) -> bool {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return false };
    let number =
        |digits: &[&u8]| digits.iter().try_fold(0_u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(**digit - b'0')));
    let (Some(year), Some(month), Some(day)) = (number(&[y1, y2, y3, y4]), number(&[m1, m2]), number(&[d1, d2])) else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_day_is_none() {
        for time in [
            "",
            "2026-03-14",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T",
            "2026-04-31T",
        ] {
            assert_eq!(day(time), None, "{time}");
        }
        assert_eq!(day("26-03-14T00:00:00Z"), None);
        assert_eq!(day("2026-3-14T00:00:00Z"), None);
        assert_eq!(day("+026-03-14T00:00:00Z"), None);
    }

    #[test]
    fn the_day_is_the_one_that_was_written() {
        assert_eq!(day("2026-03-14T00:30:00+01:00"), Some("2026-03-14"));
        assert_eq!(day("2024-02-29T00:00:00Z"), Some("2024-02-29"));
        assert_eq!(day("2000-02-29T00:00:00Z"), Some("2000-02-29"));
        assert_eq!(day("2026-12-31T23:59:59Z"), Some("2026-12-31"));
    }
}
