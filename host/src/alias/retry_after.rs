//! `Retry-After` (RFC 9110 section 10.2.3), read from an answer. Pure.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// The longest wait a target can ask for; one that asks for longer has made a mistake.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long the answer asks to wait. A date is read relative to the answer's own `Date`, so a target's clock may be wrong;
/// without one, relative to `now_ms`, milliseconds since 1970.
pub fn parse(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at = httpdate::parse_http_date(value).ok()?;
        let from = date(headers, header::DATE).unwrap_or(std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)));
        at.duration_since(from).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        // 1994-11-06T08:49:37Z
        parse(&headers, 784_111_777_000).map(|wait| wait.as_secs())
    }

    #[test]
    fn reads_seconds_and_dates_and_ignores_the_rest() {
        assert_eq!(wait("120", None), Some(120));
        assert_eq!(wait("0", None), Some(0));
        assert_eq!(wait("99999999999999999999999", None), Some(RETRY_AFTER_MAX.as_secs()));
        for bad in ["", "-1", "1.5", "soon", "1 2", "+5"] {
            assert_eq!(wait(bad, None), None, "{bad:?}");
        }
        assert_eq!(parse(&HeaderMap::new(), 0), None);
    }

    #[test]
    fn a_date_is_relative_to_the_answers_own_date() {
        let at = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(wait(at, None), Some(60));
        // The target's clock is a year behind ours; it still asks for ten seconds.
        assert_eq!(wait("Sat, 06 Nov 1993 08:50:37 GMT", Some("Sat, 06 Nov 1993 08:50:27 GMT")), Some(10));
        assert_eq!(wait(at, Some("Sun, 06 Nov 1994 09:00:00 GMT")), Some(0));
        assert_eq!(wait("Sunday, 06-Nov-94 08:50:37 GMT", None), Some(60));
    }
}
