//! HTTP to the systems the integration bound to this plugin's slots.
//!
//! The host adds endpoint, credential and idempotency key: a plugin gives a slot and a path, and sees neither a host name nor
//! a secret.
//!
//! ```no_run
//! # use lockgate_sdk::{http, Failure};
//! # fn f() -> Result<(), Failure> {
//! let answer = http::Request::post("/v2/quote").json(&["a"])?.label("quote").send("tax")?.success()?;
//! let rate: serde_json::Value = answer.json()?;
//! # Ok(()) }
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::to_json;
use crate::{Failure, Header, header, imports};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a request goes out when `send` is called"]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE` or `HEAD`.
    pub method: String,
    /// Path and query under the alias's base URL, starting with `/`.
    pub path: String,
    pub headers: Vec<Header>,
    /// Empty for none.
    pub body: Vec<u8>,
    /// Names the request for its idempotency key.
    pub label: Option<String>,
    /// How long it may take in all, in milliseconds; the host has its own limits besides.
    pub timeout_ms: Option<u32>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, path: impl Into<String>) -> Request {
        Request { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new(), label: None, timeout_ms: None }
    }

    /// `GET path`.
    pub fn get(path: impl Into<String>) -> Request {
        Request::new("GET", path)
    }

    /// `POST path`.
    pub fn post(path: impl Into<String>) -> Request {
        Request::new("POST", path)
    }

    /// `PUT path`.
    pub fn put(path: impl Into<String>) -> Request {
        Request::new("PUT", path)
    }

    /// `PATCH path`.
    pub fn patch(path: impl Into<String>) -> Request {
        Request::new("PATCH", path)
    }

    /// `DELETE path`.
    pub fn delete(path: impl Into<String>) -> Request {
        Request::new("DELETE", path)
    }

    /// `HEAD path`.
    pub fn head(path: impl Into<String>) -> Request {
        Request::new("HEAD", path)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Request {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Sets the body and its media type.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sets the body to `value` as JSON.
    ///
    /// # Errors
    ///
    /// Permanent, `not-serializable`: `value` cannot be written as JSON.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Result<Request, Failure> {
        let body = to_json(value)?;
        Ok(self.body("application/json", body))
    }

    /// Names the request for its idempotency key. Give one where the order of requests may change between attempts.
    pub fn label(mut self, label: impl Into<String>) -> Request {
        self.label = Some(label.into());
        self
    }

    /// Limits how long the request may take in all.
    pub fn timeout(mut self, timeout: Duration) -> Request {
        self.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Sends the request through the alias bound to `slot` and waits for the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// There was no answer. `?` turns it into the fitting [`Failure`].
    pub fn send(self, slot: &str) -> Result<Response, Error> {
        imports::http_send(slot, self)
    }
}

/// Sends several requests at once (at most 6 are under way); answers come in the order of the requests.
pub fn send_all(slot: &str, requests: Vec<Request>) -> Vec<Result<Response, Error>> {
    imports::http_send_all(slot, requests)
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer if its status is 2xx.
    ///
    /// # Errors
    ///
    /// [`Response::failure`] for any other status.
    pub fn success(self) -> Result<Response, Failure> {
        if self.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    ///
    /// Transient, `answer-invalid`: something between here and the target may have answered in its place.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::transient("answer-invalid", format!("HTTP {} with a body of another shape ({error}): {}", self.status, self.excerpt()))
        })
    }

    /// The first value of the header `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The start of the body as text, for people: at most 512 characters.
    pub fn excerpt(&self) -> String {
        const EXCERPT_CHARS_MAX: usize = 512;
        // A character takes at most four bytes, so no more of a long body needs decoding.
        let start = &self.body[..self.body.len().min(EXCERPT_CHARS_MAX * 4)];
        String::from_utf8_lossy(start).chars().take(EXCERPT_CHARS_MAX).collect()
    }

    /// The failure this answer means where a target says nothing better: 408, 425, 429 and 5xx are transient, with the
    /// answer's `Retry-After`; everything else is permanent. Codes are `http-408`, `http-404`, ….
    ///
    /// 408 and 425 ask to be repeated (RFC 9110 §15.5.9, RFC 8470 §5.2), 429 to be slowed down (RFC 6585 §4).
    pub fn failure(&self) -> Failure {
        let code = format!("http-{}", self.status);
        let detail = match self.excerpt() {
            excerpt if excerpt.is_empty() => format!("the target answered HTTP {}", self.status),
            excerpt => format!("the target answered HTTP {}: {excerpt}", self.status),
        };
        match self.status {
            408 | 425 | 429 | 500..=599 => {
                let failure = Failure::transient(code, detail);
                match self.retry_after() {
                    Some(wait) => failure.retry_after(wait),
                    None => failure,
                }
            }
            _ => Failure::permanent(code, detail),
        }
    }

    /// How long the target asks to be left alone: `Retry-After` in seconds, or a date read relative to the answer's own
    /// `Date` (RFC 9110 §10.2.3), since the clocks of host and target may differ. None where it says nothing readable.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = httpdate::parse_http_date(value).ok()?;
        let now = httpdate::parse_http_date(self.header("date")?).ok()?;
        Some(until.duration_since(now).unwrap_or_default())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The integration does not allow this; the text says which rule.
    Denied(String),
    /// No answer in time. The target may have done the work.
    TimedOut,
    /// The target could not be reached, or the connection broke.
    Unreachable(String),
    /// The answer was over the limit on body (10 MiB) or headers (100).
    TooLarge,
    /// The host has stopped sending to this alias for now.
    BreakerOpen,
    /// The alias's rate is used up, or its target asked the host to wait; with how long, if known.
    RateLimited { retry_after_ms: Option<u64> },
    /// The target refused the alias's credential even after a refresh.
    CredentialRefused,
    /// This call has sent as many requests as it may (32).
    TooManyRequests,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Denied(rule) => Failure::permanent("http-denied", rule),
            Error::TimedOut => Failure::transient("http-timed-out", "no answer in time; the target may have done the work"),
            Error::Unreachable(why) => Failure::transient("http-unreachable", why),
            Error::TooLarge => Failure::permanent("http-answer-too-large", "the answer was over 10 MiB or 100 headers"),
            Error::BreakerOpen => Failure::transient("http-breaker-open", "the host has stopped sending to this alias for now"),
            Error::RateLimited { retry_after_ms } => {
                let failure = Failure::transient("http-rate-limited", "the alias's rate is used up, or its target asked to wait");
                match retry_after_ms {
                    Some(wait_ms) => failure.retry_after(Duration::from_millis(wait_ms)),
                    None => failure,
                }
            }
            Error::CredentialRefused => {
                Failure::transient("http-credential-refused", "the target refused the alias's credential even after a refresh")
            }
            Error::TooManyRequests => Failure::permanent("http-too-many-requests", "more than 32 requests in one call"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
        Response { status, headers: headers.iter().map(|(name, value)| Header::new(name, *value)).collect(), body: Vec::new() }
    }

    #[test]
    fn statuses_are_sorted_into_what_may_pass_and_what_will_not() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(answer(status, &[]).failure().is_transient(), "{status}");
        }
        for status in [301, 304, 400, 401, 403, 404, 409, 410, 413, 415, 422, 600] {
            assert!(!answer(status, &[]).failure().is_transient(), "{status}");
        }
        assert_eq!(answer(404, &[]).failure().code(), "http-404");
        assert_eq!(answer(204, &[]).success(), Ok(answer(204, &[])));
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_relative_to_the_answers_date() {
        type Case = (&'static [(&'static str, &'static str)], Option<u64>);
        const UNTIL: (&str, &str) = ("Retry-After", "Wed, 21 Oct 2015 07:28:30 GMT");
        let table: [Case; 7] = [
            (&[], None),
            (&[("Retry-After", "120")], Some(120)),
            (&[("Retry-After", "soon")], None),
            (&[("Retry-After", "-1")], None),
            (&[UNTIL], None),
            (&[UNTIL, ("Date", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(30)),
            (&[UNTIL, ("Date", "Wed, 21 Oct 2015 07:29:00 GMT")], Some(0)),
        ];
        for (headers, seconds) in table {
            assert_eq!(answer(429, headers).retry_after(), seconds.map(Duration::from_secs), "{headers:?}");
        }
        assert!(matches!(answer(503, &[("retry-after", "2")]).failure(), Failure::Transient { retry_after_ms: Some(2000), .. }));
        assert!(matches!(answer(404, &[("retry-after", "2")]).failure(), Failure::Permanent { .. }));
    }

    #[test]
    fn what_stands_in_the_way_is_transient_and_what_the_plugin_did_wrong_is_not() {
        let passing = [
            Error::TimedOut,
            Error::Unreachable("refused".into()),
            Error::BreakerOpen,
            Error::RateLimited { retry_after_ms: None },
            Error::CredentialRefused,
        ];
        let lasting = [Error::Denied("no".into()), Error::TooLarge, Error::TooManyRequests];
        assert!(passing.into_iter().all(|error| Failure::from(error).is_transient()));
        assert!(lasting.into_iter().all(|error| !Failure::from(error).is_transient()));
        let limited = Failure::from(Error::RateLimited { retry_after_ms: Some(1500) });
        assert!(matches!(limited, Failure::Transient { retry_after_ms: Some(1500), .. }));
    }

    #[test]
    fn an_answer_that_is_no_json_may_pass() {
        let response = Response { body: b"<html>maintenance</html>".to_vec(), ..answer(200, &[]) };
        let failure = response.json::<serde_json::Value>().unwrap_err();
        assert!(failure.is_transient() && failure.detail().contains("maintenance"), "{failure}");
    }

    #[test]
    fn an_excerpt_never_cuts_a_character() {
        let response = Response { body: "😀".repeat(1000).into_bytes(), ..answer(500, &[]) };
        assert_eq!(response.excerpt(), "😀".repeat(512));
    }
}
