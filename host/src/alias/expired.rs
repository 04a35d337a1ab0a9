//! Answers that say "your credential has expired" in another way than by a 401: the rule an alias may have. Pure.

use http::StatusCode;
use serde_json::Value;

use super::upstream::UpstreamResponse;
use super::{ExpiredWhen, Holds};

/// Longer bodies are not searched: what says that a session has expired is short.
const SEARCHED_BYTES_MAX: usize = 64 * 1024;

/// Whether `answer` says that the credential is not, or not any more, good.
pub fn is_expired(rule: Option<&ExpiredWhen>, answer: &UpstreamResponse) -> bool {
    answer.status == StatusCode::UNAUTHORIZED || rule.is_some_and(|rule| rule.fits(answer))
}

impl ExpiredWhen {
    fn fits(&self, answer: &UpstreamResponse) -> bool {
        if answer.status.as_u16() != self.status || answer.body.len() > SEARCHED_BYTES_MAX {
            return false;
        }
        match &self.holds {
            Holds::Text(text) => answer.body.windows(text.len()).any(|window| window == text.as_bytes()),
            Holds::Json { pointer, is } => {
                let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else { return false };
                let found = match body.pointer(pointer) {
                    Some(Value::String(text)) => text.clone(),
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                    _ => return false,
                };
                is.contains(&found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(pointer: &str, is: &[&str]) -> ExpiredWhen {
        let is = is.iter().map(|text| (*text).to_owned()).collect();
        ExpiredWhen { status: 200, holds: Holds::Json { pointer: pointer.to_owned(), is } }
    }

    fn fits(rule: &ExpiredWhen, status: u16, body: &str) -> bool {
        is_expired(Some(rule), &UpstreamResponse::new(StatusCode::from_u16(status).unwrap(), body.to_owned()))
    }

    #[test]
    fn an_answer_that_does_not_say_so_is_an_answer() {
        let rule = json("/error/code", &["TOKEN_EXPIRED", "7"]);
        for body in [
            "",
            "TOKEN_EXPIRED",
            "{}",
            r#"{"error":"TOKEN_EXPIRED"}"#,
            r#"{"error":{"code":"OTHER"}}"#,
            r#"{"error":{"code":null}}"#,
            r#"{"error":{"code":["TOKEN_EXPIRED"]}}"#,
            r#"[{"error":{"code":"TOKEN_EXPIRED"}}]"#,
        ] {
            assert!(!fits(&rule, 200, body), "{body}");
        }
        assert!(!fits(&rule, 201, r#"{"error":{"code":"TOKEN_EXPIRED"}}"#), "another status");
        let long = format!(r#"{{"error":{{"code":"TOKEN_EXPIRED"}},"x":"{}"}}"#, "x".repeat(SEARCHED_BYTES_MAX));
        assert!(!fits(&rule, 200, &long));
    }

    #[test]
    fn finds_what_the_rule_names_and_every_401() {
        let rule = json("/error/code", &["TOKEN_EXPIRED", "7"]);
        assert!(fits(&rule, 200, r#"{"error":{"code":"TOKEN_EXPIRED"}}"#));
        assert!(fits(&rule, 200, r#"{"error":{"code":7}}"#));
        assert!(fits(&rule, 401, ""));
        let text = ExpiredWhen { status: 403, holds: Holds::Text("session expired".into()) };
        assert!(fits(&text, 403, "<p>Your session expired.</p>") && !fits(&text, 403, "no"));
        assert!(is_expired(None, &UpstreamResponse::new(StatusCode::UNAUTHORIZED, "")));
    }
}
