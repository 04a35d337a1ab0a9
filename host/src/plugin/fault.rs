//! Why a call was stopped, and how it is told: from wasmtime's errors to [`CallFailure`].

use std::fmt::Write;
use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};

use super::CallFailure;
use super::limits::Limits;
use crate::capability::Unavailable;
use crate::integration::Limit;
use crate::message::FailureClass;

/// Frames of a trap that are told.
const FRAMES_MAX: usize = 6;
const FRAME_BYTES_MAX: usize = 120;
/// The longest detail of a failure that is kept.
pub const DETAIL_BYTES_MAX: usize = 4 * 1024;
/// The longest code of a failure that is kept.
pub const CODE_BYTES_MAX: usize = 64;

/// The host ends a call. Travels through wasmtime as its error.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error("over the limit on CPU time: {} ms used of {} ms a call ({})", .used.as_millis(), .limit.as_millis(), Limit::Cpu.setting())]
    CpuExceeded { limit: Duration, used: Duration },
    #[error("over the limit on host calls: {} made of {limit} a call ({})", .limit.saturating_add(1), Limit::HostCalls.setting())]
    HostCallsExceeded { limit: u64 },
    #[error("over the limit on {}: {used} of {max} a call ({})", .limit.what(), .limit.setting())]
    OutputTooLarge { limit: Limit, used: usize, max: usize },
    #[error("the component's export {0} is not of the type its interface has: {1}")]
    WrongType(&'static str, String),
    #[error("the plugin ended itself with exit status {0}")]
    Exited(u8),
    #[error("{0} is called in setup, where nothing of the host is there but config and log")]
    InSetup(&'static str),
    #[error("random bytes asked for at once: {asked}, of {limit} at most")]
    RandomTooLong { asked: u64, limit: u64 },
}

/// The failure behind an error of a call. `refused_bytes` is what the memory limiter refused, `said` the guest's last line
/// on stderr.
pub fn failure(error: &wasmtime::Error, limits: &Limits, refused_bytes: Option<usize>, said: Option<&str>) -> CallFailure {
    if let Some(unavailable) = error.downcast_ref::<Unavailable>() {
        return CallFailure::Transient { code: unavailable.code().to_owned(), detail: unavailable.to_string(), retry_after: None };
    }
    let (class, mut detail) = match error.downcast_ref::<Stop>() {
        Some(stop @ Stop::CpuExceeded { .. }) => (FailureClass::CpuExceeded, stop.to_string()),
        Some(stop @ Stop::HostCallsExceeded { .. }) => (FailureClass::HostCallsExceeded, stop.to_string()),
        Some(stop @ Stop::OutputTooLarge { .. }) => (FailureClass::OutputTooLarge, stop.to_string()),
        Some(stop @ Stop::WrongType(..)) => (FailureClass::Unrunnable, stop.to_string()),
        Some(stop) => (FailureClass::Trapped, stop.to_string()),
        None => trapped(error, limits, refused_bytes),
    };
    if let Some(said) = said.filter(|_| class == FailureClass::Trapped) {
        let _ = write!(detail, "; it said: {said}");
    }
    add_frames(&mut detail, error);
    CallFailure::Fault { class, detail: cut(detail, DETAIL_BYTES_MAX) }
}

/// The call took longer than it may.
pub fn timed_out(limits: &Limits, used: Duration) -> CallFailure {
    let (used_ms, limit_ms) = (used.as_millis(), limits.wall.as_millis());
    let detail = format!("over the limit on wall time: {used_ms} ms of {limit_ms} ms a call, waiting included ({})", Limit::Wall.setting());
    CallFailure::Fault { class: FailureClass::TimedOut, detail }
}

/// A panic in the host's own code while it served the call. Not the plugin's fault, so it is tried again.
pub fn host_panicked() -> CallFailure {
    let detail = "the host panicked while it served this call; its log says where".to_owned();
    CallFailure::Transient { code: "host-panicked".to_owned(), detail, retry_after: None }
}

fn trapped(error: &wasmtime::Error, limits: &Limits, refused_bytes: Option<usize>) -> (FailureClass, String) {
    if is_hostcall_fuel(error) {
        let (most, setting) = (limits.hostcall_bytes, Limit::Output.setting());
        let detail = format!("over the limit on output: more than {most} bytes handed to the host at once (twice {setting})");
        return (FailureClass::OutputTooLarge, detail);
    }
    if let Some(asked) = refused_bytes {
        let (most, setting) = (limits.memory_bytes, Limit::Memory.setting());
        let detail = format!("over the limit on memory: {asked} bytes asked for of {most} a call ({setting})");
        return (FailureClass::OutOfMemory, detail);
    }
    let detail = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    (FailureClass::Trapped, detail)
}

/// wasmtime's error for this is private; a test sees to it that its text still says so.
fn is_hostcall_fuel(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls")
}

fn add_frames(detail: &mut String, error: &wasmtime::Error) {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return };
    for (index, frame) in trace.frames().iter().take(FRAMES_MAX).enumerate() {
        let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled);
        let _ = write!(detail, "{} {name}", if index == 0 { "; in" } else { " <" });
    }
}

/// A readable name. Rust's end with a hash that changes with every build; without it equal traps look equal.
fn demangled(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    cut(name.chars().map(|c| if c.is_control() { '?' } else { c }).collect(), FRAME_BYTES_MAX)
}

/// `text`, at most `bytes_max` long, cut between characters.
pub fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_functions_are_readable_and_the_same_after_another_build() {
        assert_eq!(demangled("_ZN9guest_odd4trap17h0123456789abcdefE"), "guest_odd::trap");
        assert_eq!(demangled("plain\u{1b}name"), "plain?name");
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(cut("aüb".to_owned(), 2), "a");
        assert_eq!(cut("aüb".to_owned(), 3), "aü");
        assert_eq!(cut("ab".to_owned(), 3), "ab");
    }
}
