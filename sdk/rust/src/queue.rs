//! Appends to channels of the host. What is sent becomes a message when the delivery settles, or never.

use crate::{Draft, Failure, imports};

/// How to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Readers get the message this many milliseconds after the delivery settled.
    pub delay_ms: Option<u64>,
    /// A second message with the same token on the same channel is dropped (kept for 7 days).
    pub dedup_token: Option<String>,
}

/// Why the message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No integration reads such a channel, or the integration may not write to it.
    NoSuchChannel,
    /// The body is over the limit (4 MiB).
    TooLarge,
    /// This call has sent as many messages as it may (1,000).
    TooMany,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (code, detail) = match error {
            Error::NoSuchChannel => ("queue-no-such-channel", "no integration reads the channel, or this one may not write to it"),
            Error::TooLarge => ("queue-too-large", "a body is over 4 MiB"),
            Error::TooMany => ("queue-too-many", "more than 1,000 messages in one call"),
        };
        Failure::permanent(code, detail)
    }
}

/// Sends `draft` to `channel`.
///
/// # Errors
///
/// See [`Error`].
pub fn send(channel: &str, draft: Draft, options: Options) -> Result<(), Error> {
    imports::queue_send(channel, draft, options)
}
