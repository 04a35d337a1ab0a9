//! Durations (`250ms`, `1s`, `5m`, `24h`, `7d`) and sizes (`512KiB`, `4MiB`) as people write them.
//!
//! Depends on nothing. A number and a unit, nothing else: no fractions, no sums, no bare numbers.

use std::time::Duration;

/// Longer durations are mistakes.
const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let rule = || "a duration is a whole number and `ms`, `s`, `m`, `h` or `d`".to_owned();
    let (number, unit) = split(text).ok_or_else(rule)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(rule()),
    };
    let found = number.checked_mul(unit_ms).map(Duration::from_millis);
    found.filter(|duration| *duration <= DURATION_MAX).ok_or_else(|| "is longer than ten years".to_owned())
}

/// A duration as people write it, in the largest unit that holds it whole.
pub fn shown(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.into_iter().find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms)) {
        Some((unit_ms, unit)) => format!("{}{unit}", ms / unit_ms),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

/// A size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let rule = || "a size is a whole number and `B`, `KiB`, `MiB` or `GiB`".to_owned();
    let (number, unit) = split(text).ok_or_else(rule)?;
    let unit_bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(rule()),
    };
    number.checked_mul(unit_bytes).ok_or_else(|| "is too large".to_owned())
}

/// A size as people write it, in the largest unit that holds it whole.
pub fn shown_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_a_number_and_a_unit() {
        for bad in ["", "5", "s", "-1s", "1.5h", "1 s", "1S", "1h30m", "99999999999999999999s", "4000d", "18446744073709551615d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "4", "4MB", "4mib", "MiB", "-1B", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shows_a_duration_as_it_is_written() {
        for text in ["0s", "10ms", "1500ms", "90s", "5m", "1h", "25h", "365d"] {
            assert_eq!(shown(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn reads_every_unit() {
        let all = ["250ms", "1s", "5m", "24h", "7d", "0s"].map(|text| duration(text).unwrap().as_millis());
        assert_eq!(all, [250, 1_000, 300_000, 86_400_000, 604_800_000, 0]);
        assert_eq!(["7B", "512KiB", "4MiB", "1GiB"].map(|text| size(text).unwrap()), [7, 524_288, 4_194_304, 1_073_741_824]);
    }
}
