//! Why a call did not do its work.

use std::fmt;
use std::time::Duration;

/// What a plugin answers when it could not do its work. It decides between trying again and a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a failure tells the host nothing until it is returned"]
pub enum Failure {
    /// Trying again later may work: the host retries with growing, jittered waits until the integration's `give-up-after`.
    Transient {
        /// Stable, lower-case with hyphens: `row-locked`. Groups dead letters.
        code: String,
        /// What happened, for people. The host keeps 4 KiB.
        detail: String,
        /// Not to be tried again before this many milliseconds, if the target said so.
        retry_after_ms: Option<u64>,
    },
    /// Trying again cannot work: the message becomes a dead letter at once.
    Permanent {
        /// Stable, lower-case with hyphens: `required-field-missing`. Groups dead letters.
        code: String,
        /// What happened and what would mend it, for people. The host keeps 4 KiB.
        detail: String,
    },
}

impl Failure {
    /// A failure that may pass. `code` is lower-case with hyphens.
    pub fn transient(code: impl Into<String>, detail: impl Into<String>) -> Failure {
        Failure::Transient { code: code.into(), detail: detail.into(), retry_after_ms: None }
    }

    /// A failure that will not pass. `code` is lower-case with hyphens.
    pub fn permanent(code: impl Into<String>, detail: impl Into<String>) -> Failure {
        Failure::Permanent { code: code.into(), detail: detail.into() }
    }

    /// The same failure, not to be tried again before `wait` is over. A permanent failure stays as it is.
    pub fn retry_after(self, wait: Duration) -> Failure {
        match self {
            Failure::Transient { code, detail, .. } => {
                let retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
                Failure::Transient { code, detail, retry_after_ms }
            }
            permanent => permanent,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        match self {
            Failure::Transient { code, .. } | Failure::Permanent { code, .. } => code,
        }
    }

    /// What happened, for people.
    pub fn detail(&self) -> &str {
        match self {
            Failure::Transient { detail, .. } | Failure::Permanent { detail, .. } => detail,
        }
    }

    /// Whether the host tries again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Failure::Transient { .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code(), self.detail())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permanent_failure_never_gets_a_time_to_retry_at() {
        let failure = Failure::permanent("nope", "never").retry_after(Duration::from_secs(3));
        assert_eq!(failure, Failure::Permanent { code: "nope".into(), detail: "never".into() });
    }

    #[test]
    fn a_wait_too_long_for_milliseconds_is_the_longest_there_is() {
        let failure = Failure::transient("later", "much").retry_after(Duration::MAX);
        assert!(matches!(failure, Failure::Transient { retry_after_ms: Some(u64::MAX), .. }));
    }
}
