//! A small durable map that belongs to the integration.
//!
//! This call sees its writes at once, others when the delivery settles; if it does not settle, they never were.

use std::time::Duration;

use crate::{Failure, imports};

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The key is empty, longer than 512 bytes or holds a NUL.
    InvalidKey,
    /// The value is larger than 1 MiB.
    ValueTooLarge,
    /// The integration's quota is used up.
    QuotaExceeded,
    /// The stored value is not a decimal integer, or the sum does not fit.
    NotANumber,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (code, detail) = match error {
            Error::InvalidKey => ("key-value-invalid-key", "a key is empty, longer than 512 bytes or holds a NUL"),
            Error::ValueTooLarge => ("key-value-too-large", "a value is larger than 1 MiB"),
            Error::QuotaExceeded => ("key-value-quota-exceeded", "the integration's key-value quota is used up: delete keys, or set a TTL"),
            Error::NotANumber => ("key-value-not-a-number", "the value to count on is no decimal integer, or the sum does not fit"),
        };
        Failure::permanent(code, detail)
    }
}

/// One page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// In byte order.
    pub keys: Vec<String>,
    /// Hand this back to get the next page; none when this was the last.
    pub cursor: Option<String>,
}

/// The value of `key`, or none.
///
/// # Errors
///
/// See [`Error`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    imports::key_value_get(key)
}

/// Sets `key`.
///
/// # Errors
///
/// See [`Error`].
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    imports::key_value_set(key, value, None)
}

/// Sets `key`; the value is gone when `ttl` is over, counted from the moment the delivery settled.
///
/// # Errors
///
/// See [`Error`].
pub fn set_for(key: &str, value: &[u8], ttl: Duration) -> Result<(), Error> {
    imports::key_value_set(key, value, Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
}

/// Deletes `key`; that it was not there is no error.
///
/// # Errors
///
/// See [`Error`].
pub fn delete(key: &str) -> Result<(), Error> {
    imports::key_value_delete(key)
}

/// Keys that start with `prefix`, at most `limit` (1 to 1,000).
///
/// # Errors
///
/// See [`Error`].
pub fn list(prefix: &str, cursor: Option<&str>, limit: u32) -> Result<KeyPage, Error> {
    imports::key_value_list(prefix, cursor, limit)
}

/// Sets `key` to `value` if it now holds `expected` (none: if it is absent); tells whether it did.
///
/// # Errors
///
/// See [`Error`].
pub fn compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Error> {
    imports::key_value_compare_and_swap(key, expected, value)
}

/// Adds `delta` to the decimal integer at `key` (0 if absent) and gives the sum.
///
/// # Errors
///
/// See [`Error`].
pub fn increment(key: &str, delta: i64) -> Result<i64, Error> {
    imports::key_value_increment(key, delta)
}
