//! `rate` of an alias: `["20/s", "90000/day"]`. Depends on `config::reader` and `quantity`.

use std::time::Duration;

use super::quantity;
use super::reader::Node;
use crate::alias::RateLimit;
use crate::problem::Code;

const LIMITS_MAX: usize = 8;
const REQUESTS_MAX: u32 = 1_000_000_000;
const PERIOD_MIN: Duration = Duration::from_secs(1);
const PERIOD_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);
const EXAMPLE: &str = "[\"20/s\", \"90000/day\"]";

/// The limits of a list; what is wrong is noted.
pub fn limits(node: &Node<'_>) -> Option<Vec<RateLimit>> {
    let nodes = node.list(LIMITS_MAX, EXAMPLE)?;
    if nodes.is_empty() {
        node.invalid("is empty; leave it out if there is no limit", EXAMPLE);
    }
    let limits: Vec<RateLimit> = nodes.iter().map(|node| node.parsed("\"20/s\"", limit)).collect::<Option<_>>()?;
    for (index, (later, node)) in limits.iter().zip(&nodes).enumerate() {
        for (earlier, number) in limits.iter().take(index).zip(1..) {
            if let Some(why) = contradiction(*earlier, number, *later) {
                let fix = "remove the one that is never reached, or change one of the two";
                node.note(Code::WrongValue, format!("`{}` = \"{later}\" {why}", node.name()), fix);
            }
        }
    }
    Some(limits)
}

/// Why two limits do not go together.
fn contradiction(earlier: RateLimit, number: usize, later: RateLimit) -> Option<String> {
    let (shorter, longer) = if earlier.period < later.period { (earlier, later) } else { (later, earlier) };
    if earlier.period == later.period {
        return Some(format!("is for the same time as entry {number}, \"{earlier}\""));
    }
    if shorter.requests > longer.requests {
        return Some(format!(
            "contradicts entry {number}: \"{shorter}\" is never reached, since \"{longer}\" allows fewer in a longer time"
        ));
    }
    // As many of the shorter time begin within the longer one.
    let times = longer.period.as_secs().div_ceil(shorter.period.as_secs().max(1));
    let at_most = u64::from(shorter.requests).saturating_mul(times);
    (u64::from(longer.requests) >= at_most).then(|| {
        format!("contradicts entry {number}: \"{longer}\" is never reached, since \"{shorter}\" allows at most {at_most} in that time")
    })
}

/// A number of requests, `/`, and a time.
pub fn limit(text: &str) -> Result<RateLimit, String> {
    let rule = || "a rate is a whole number, `/` and a time, such as `20/s`, `600/m`, `5000/h`, `90000/day` or `100/10s`".to_owned();
    let (requests, period) = text.split_once('/').ok_or_else(rule)?;
    if requests.is_empty() || !requests.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(rule());
    }
    let requests = requests.parse().ok().filter(|requests| *requests <= REQUESTS_MAX);
    let requests = requests.ok_or_else(|| format!("more than {REQUESTS_MAX} requests are no limit"))?;
    if requests == 0 {
        return Err("nothing could ever be sent; a pause is not a rate".to_owned());
    }
    let period = match period {
        "day" => quantity::duration("1d"),
        unit if unit.starts_with(|first: char| first.is_ascii_digit()) => quantity::duration(unit),
        unit => quantity::duration(&format!("1{unit}")),
    };
    let period = period.map_err(|_| rule())?;
    if period < PERIOD_MIN || period > PERIOD_MAX || period.subsec_millis() != 0 {
        return Err("the time must be whole seconds, from `1s` to `31d`".to_owned());
    }
    Ok(RateLimit { requests, period })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_number_and_no_time() {
        for bad in
            ["", "20", "/s", "20/", "20/x", "-1/s", "+1/s", "1.5/s", "20 / s", "20/s/s", "0/s", "0/day", "1/0s", "1/500ms", "1/1500ms"]
        {
            assert!(limit(bad).is_err(), "{bad}");
        }
        for endless in ["1/32d", "1/99999999999999999999d", "1000000001/s", "99999999999999999999/s"] {
            assert!(limit(endless).is_err(), "{endless}");
        }
    }

    #[test]
    fn refuses_a_limit_that_another_keeps_from_being_reached() {
        let why = |earlier: &str, later: &str| contradiction(limit(earlier).unwrap(), 1, limit(later).unwrap());
        let never = "contradicts entry 1: \"100/10s\" is never reached, since \"5/s\" allows at most 50 in that time";
        assert_eq!(why("5/s", "100/10s").as_deref(), Some(never));
        assert_eq!(why("100/10s", "5/s").as_deref(), Some(never), "in whatever order");
        assert!(why("5/s", "50/10s").is_some_and(|why| why.contains("\"50/10s\" is never reached")));
        assert!(why("7/4s", "21/10s").is_some(), "three spans of 4 s begin within 10 s");
        for (earlier, later) in [("5/s", "49/10s"), ("7/4s", "20/10s"), ("20/s", "90000/day")] {
            assert_eq!(why(earlier, later), None, "{earlier} {later}");
        }
    }

    #[test]
    fn shows_a_limit_as_it_is_written() {
        for text in ["20/s", "600/m", "5000/h", "90000/day", "100/10s", "7/15m", "3/36h", "1000000000/31d"] {
            assert_eq!(limit(text).unwrap().to_string(), text);
        }
        assert_eq!(limit("5/1d").unwrap(), limit("5/day").unwrap());
        assert_eq!(limit("5/60s").unwrap(), limit("5/m").unwrap());
    }
}
