//! Lines in the host's log, marked with integration, message and plugin: `log::info!("sent {n} records")`.
//!
//! 64 KiB a call; what is over is counted and dropped.

use crate::imports;

pub use crate::{__log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes one line with names and values beside the text.
pub fn write(level: Level, text: &str, fields: &[(&str, &str)]) {
    imports::log_write(level, text, fields);
}

/// Writes a line at level `trace`; takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($text)+), &[]) }; }

/// Writes a line at level `debug`; takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)+), &[]) }; }

/// Writes a line at level `info`; takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($text)+), &[]) }; }

/// Writes a line at level `warn`; takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($text)+), &[]) }; }

/// Writes a line at level `error`; takes what `format!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error { ($($text:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($text)+), &[]) }; }
