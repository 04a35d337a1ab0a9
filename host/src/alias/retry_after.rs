//! `Retry-After` (RFC 9110 section 10.2.3), read from an answer. Pure.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// The longest wait a target can ask for; one that asks for longer has made a mistake.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What is shown of a value that makes no sense.
const SHOWN_CHARS_MAX: usize = 40;

/// What an answer asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How long to wait; none where it does not say, or says nothing that can be understood.
    pub wait: Option<Duration>,
    /// What is odd about it, for people.
    pub oddity: Option<String>,
}

/// How long the answer asks to wait. A date is read relative to the answer's own `Date`, so a target's clock may be wrong;
/// without one, relative to `now_ms`, milliseconds since 1970.
pub fn parse(headers: &HeaderMap, now_ms: i64) -> Asked {
    let Some(value) = headers.get(header::RETRY_AFTER) else { return Asked::default() };
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.trim();
    let odd = |wait, what: &str| {
        let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        Asked { wait, oddity: Some(format!("Retry-After {shown:?} {what}")) }
    };
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let Ok(at) = httpdate::parse_http_date(text) else { return odd(None, "is neither a number of seconds nor a date") };
        let from = date(headers, header::DATE).unwrap_or(std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)));
        let Ok(wait) = at.duration_since(from) else { return odd(Some(Duration::ZERO), "lies in the past") };
        wait
    };
    if wait > RETRY_AFTER_MAX {
        return odd(Some(RETRY_AFTER_MAX), "is more than 30 days, the longest wait there is");
    }
    Asked { wait: Some(wait), oddity: None }
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(retry_after: &str, date: Option<&str>) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        // 1994-11-06T08:49:37Z
        parse(&headers, 784_111_777_000)
    }

    fn wait(retry_after: &str, date: Option<&str>) -> Option<u64> {
        asked(retry_after, date).wait.map(|wait| wait.as_secs())
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (bad, wait, what) in [
            ("-1", None, "Retry-After \"-1\" is neither a number of seconds nor a date"),
            ("", None, "Retry-After \"\" is neither a number of seconds nor a date"),
            ("1.5", None, "is neither"),
            ("soon", None, "is neither"),
            ("1 2", None, "is neither"),
            ("+5", None, "is neither"),
            ("99999999999999999999999", Some(RETRY_AFTER_MAX), "is more than 30 days"),
            ("1754049600", Some(RETRY_AFTER_MAX), "is more than 30 days"),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(Duration::ZERO), "lies in the past"),
        ] {
            let asked = asked(bad, None);
            assert_eq!(asked.wait, wait, "{bad:?}");
            assert!(asked.oddity.as_ref().is_some_and(|oddity| oddity.contains(what)), "{bad:?}: {asked:?}");
        }
        let endless = asked(&"x".repeat(5_000), None).oddity.unwrap();
        assert!(endless.len() < 120, "{endless}");
    }

    #[test]
    fn reads_seconds_and_dates() {
        assert_eq!(asked("120", None), Asked { wait: Some(Duration::from_secs(120)), oddity: None });
        assert_eq!(wait("0", None), Some(0));
        assert_eq!(parse(&HeaderMap::new(), 0), Asked::default());
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
