//! What goes wrong outside: [`Trouble`].

use std::time::Duration;

/// For how long a target is down.
pub const DOWN_FOR: Duration = Duration::from_secs(30 * 60);
/// What a target asks to wait.
pub const RETRY_AFTER: Duration = Duration::from_secs(600);
/// How often a target errs before it is well again.
pub const TIMES: u32 = 2;

/// What a target does in the place of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nobody takes a connection for half an hour.
    Down,
    /// 503 for half an hour.
    Unavailable,
    /// A status, twice, then all is well.
    Status(u16),
    /// 429, once, and when to come back.
    RetryAfter,
    /// No answer, once.
    Silence,
    /// The connection breaks in the middle of an answer, once: the work is done.
    Reset,
    /// Half of an answer's body, once: the work is done.
    Truncated,
    /// A page of HTML with a good status, once: nothing was done.
    Html,
    /// The first token is not taken any more from the second request on.
    TokenExpires,
    /// The work is done and the answer lost, once; the same key is not worked on again.
    LostHonoured,
    /// The same, by a target that does not look at keys.
    LostIgnored,
}

impl Trouble {
    pub const ALL: [Self; 13] = [
        Self::Down,
        Self::Unavailable,
        Self::Status(500),
        Self::Status(502),
        Self::RetryAfter,
        Self::Status(429),
        Self::Silence,
        Self::Reset,
        Self::Truncated,
        Self::Html,
        Self::TokenExpires,
        Self::LostHonoured,
        Self::LostIgnored,
    ];

    /// What it is called in reports.
    pub fn title(self) -> String {
        match self {
            Self::Down => "target down for 30 minutes".into(),
            Self::Unavailable => "503 for 30 minutes".into(),
            Self::Status(429) => "429 without Retry-After".into(),
            Self::Status(status) => format!("{status}, twice"),
            Self::RetryAfter => "429 with Retry-After: 600".into(),
            Self::Silence => "time-out".into(),
            Self::Reset => "connection reset in the middle of an answer".into(),
            Self::Truncated => "answer cut in half".into(),
            Self::Html => "page of HTML for an answer, with status 200".into(),
            Self::TokenExpires => "token expires in mid-batch".into(),
            Self::LostHonoured => "answer lost after it was applied, target honours Idempotency-Key".into(),
            Self::LostIgnored => "answer lost after it was applied, target ignores Idempotency-Key".into(),
        }
    }
}
