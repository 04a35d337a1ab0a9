//! `stale-if-error` (RFC 5861 section 4): where the target gives no answer, an alias that asks for it gives the last good one.
//!
//! What is kept is `answers`' business. Depends on the other files of this room.

use std::sync::Arc;

use http::{Method, header};
use serde::{Deserialize, Serialize};

use super::answers::{Found, Question};
use super::endpoint::{Endpoint, Prepared};
use super::health::Hold;
use super::registry::{EgressError, EgressResponse};

/// Says in an answer that it is a kept one, and in place of what: `unreachable`, `timed-out`, `breaker-open`, or the target's status.
pub const STALE_HEADER: &str = "lockgate-stale";

/// That an answer is a kept one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stale {
    /// Seconds since the target gave it.
    pub age_s: u64,
    /// What came of the request itself.
    pub instead_of: String,
}

impl Stale {
    /// What the ledger has of `request`, if it was answered so.
    pub fn of(request: &serde_json::Value) -> Option<Self> {
        Self::deserialize(request.get("stale")?).ok()
    }

    /// For people: to the second, and never none.
    pub fn age_ms(&self) -> u64 {
        self.age_s.max(1).saturating_mul(1_000)
    }
}

impl Endpoint {
    /// Sends `request`. What fails is learned from as ever; then an answer that is kept stands in, where the alias asks for that.
    pub async fn answer(self: &Arc<Self>, request: Prepared) -> Result<EgressResponse, EgressError> {
        let Some(at_most) = self.alias.stale_if_error else { return self.exchange(request).await };
        let question = Question::of(&request);
        let is_safe = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let changes = (!is_safe).then(|| request.url.as_str().to_owned());
        let integration = Arc::clone(&request.sender.integration);
        let (asked_at, era) = (self.now(), self.answers.era());
        let answer = self.exchange(request).await;
        let Some(instead_of) = failure(&answer) else {
            if let Ok(answer) = &answer {
                match (&question, changes) {
                    (Some(question), _) if says_what_is(answer) => self.answers.keep(question, answer, asked_at, era),
                    (_, Some(url)) if answer.status < 400 => self.answers.forget(&url),
                    _ => {}
                }
            }
            return answer;
        };
        match (question.and_then(|question| self.answers.find(&question, self.now(), at_most)), answer) {
            (Some(found), _) => Ok(marked(found, instead_of)),
            (None, Err(EgressError::Held { until, .. })) => {
                self.turnstile.missed(&integration, self.now());
                Err(EgressError::NotKept { until })
            }
            (None, answer) => answer,
        }
    }
}

/// What an answer may stand in for, in the ledger's word. A target that asks to wait, or refuses the credential, is there and has said what it
/// wants; a paused alias was paused by a person.
fn failure(answer: &Result<EgressResponse, EgressError>) -> Option<String> {
    match answer {
        Ok(answer) if matches!(answer.status, 500 | 502 | 503 | 504) && answer.retry_after.is_none() => Some(answer.status.to_string()),
        Err(EgressError::TimedOut) => Some("timed-out".to_owned()),
        Err(EgressError::Unreachable(_)) => Some("unreachable".to_owned()),
        Err(EgressError::Held { kind: Hold::Open, .. }) => Some("breaker-open".to_owned()),
        _ => None,
    }
}

/// Whether the target said what there is, rather than that it cannot say so now.
fn says_what_is(answer: &EgressResponse) -> bool {
    answer.status < 500 && !matches!(answer.status, 408 | 429)
}

fn marked(found: Found, instead_of: String) -> EgressResponse {
    let Found { mut answer, age } = found;
    let age_s = age.as_secs();
    answer.headers.push((header::AGE.as_str().to_owned(), age_s.to_string()));
    answer.headers.push((STALE_HEADER.to_owned(), instead_of.clone()));
    EgressResponse { stale: Some(Stale { age_s, instead_of }), ..answer }
}

#[cfg(test)]
#[path = "stale_tests.rs"]
mod tests;
