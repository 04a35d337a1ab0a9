//! [`Trouble`]: why a poll brought nothing, in a word for programs and a sentence for people.

use std::time::Duration;

use crate::plugin::{CallFailure, Obstacle};
use crate::problem::Code;

/// The longest wait a plugin may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a poll brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub problem: Code,
    /// A plugin's code, a limit's class, an obstacle, or one of the words of `page`.
    pub code: String,
    pub detail: String,
    /// Not to be asked again before this has passed.
    pub retry_after: Duration,
    /// A target that is down is no failure of the plugin's.
    pub is_obstacle: bool,
}

impl Trouble {
    /// What the source gave cannot be taken.
    pub fn page(code: &str, detail: String) -> Self {
        Self { problem: Code::BadPage, code: code.to_owned(), detail, retry_after: Duration::ZERO, is_obstacle: false }
    }

    /// The call failed. What the host itself saw comes first.
    pub fn call(failure: CallFailure, obstacle: Option<Obstacle>) -> Self {
        let is_obstacle = obstacle.is_some();
        let (code, detail, retry_after) = match (failure, obstacle) {
            (_, Some(obstacle)) => (obstacle.kind.as_str().to_owned(), format!("alias {}: {}", obstacle.alias, obstacle.detail), None),
            (CallFailure::Transient { code, detail, retry_after }, None) => (code, detail, retry_after),
            (CallFailure::Permanent { code, detail }, None) => (code, detail, None),
            (CallFailure::Fault { class, detail }, None) => (class.as_str().to_owned(), detail, None),
        };
        let retry_after = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        Self { problem: Code::PollFailed, code, detail, retry_after, is_obstacle }
    }

    /// A fault in the host's own code.
    pub fn panicked() -> Self {
        let detail = "the host panicked while it polled this source; its log says where".to_owned();
        let code = "host-panicked".to_owned();
        Self { problem: Code::PollFailed, code, detail, retry_after: Duration::ZERO, is_obstacle: false }
    }
}
