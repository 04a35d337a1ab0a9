//! What processes use, as Linux tells it in `/proc`; nothing elsewhere.

use std::time::Duration;

/// Ticks a second in `/proc/PID/stat` (proc(5), `USER_HZ`), on every architecture there is a host for.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time of a process so far, user and system.
pub fn of_process(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&stat).map_or(Duration::ZERO, |ticks| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Of this process.
pub fn own() -> Duration {
    of_process(std::process::id())
}

/// Memory in use by a process.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(|rest| rest.trim().trim_end_matches(" kB"));
    kilobytes.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Fields 14 and 15, counted behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0";
        assert_eq!(ticks(stat), Some(200));
        assert_eq!(ticks(""), None);
    }
}
