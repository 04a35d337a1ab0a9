//! [`CrashPoint`]: places in the host at which a test can have the process end as by SIGKILL, so that a proof ends it where it
//! hurts and not only where chance has it. Each is reached by one line in its room.
//!
//! Only builds with debug assertions have them, which are those that `cargo test` makes: in a released binary [`reached`] is empty and
//! [`arm`] refuses. A Cargo feature would have had the host built twice, once for its own tests and once for those that run it.
//! Depends on `problem`.

use crate::problem::{Code, Problem};

/// Names the point at which the process ends, and at the how-manyth time: `before-commit`, `before-commit:3`.
pub const CRASH_VARIABLE: &str = "LOCKGATE_CRASH_AT";
/// Names what is broken on purpose, to show that a proof notices: `acknowledge-before-commit`.
pub const CONTROL_VARIABLE: &str = "LOCKGATE_NEGATIVE_CONTROL";
/// The one thing that can be broken.
const ACKNOWLEDGE_BEFORE_COMMIT: &str = "acknowledge-before-commit";

macro_rules! points {
    ($($(#[$doc:meta])+ $name:ident = $word:literal),+ $(,)?) => {
        /// Where the process can be made to end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CrashPoint { $($(#[$doc])+ $name),+ }

        impl CrashPoint {
            /// Every point.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in [`CRASH_VARIABLE`].
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

points! {
    /// The writer has commands and has not begun their transaction.
    BeforeBegin = "before-begin",
    /// All commands of a group are done, and nothing of it is on disk.
    BeforeCommit = "before-commit",
    /// COMMIT has returned, and nobody knows.
    Committed = "committed",
    /// A message is on disk, and its sender has no 202.
    BeforeAnswer = "before-202",
    /// A delivery is handed out, and its way has not begun.
    Leased = "leased",
    /// A plugin is running: it has called the host.
    GuestRunning = "guest-running",
    /// A plugin has returned, and what it wants written is in memory only.
    GuestDone = "guest-done",
    /// A target has a request and begins to answer; the host knows nothing of the answer.
    RequestSent = "request-sent",
    /// A target has answered, and that is in memory only.
    ResponseReceived = "response-received",
    /// The parent of a fan-out is gone and a child of it is there, in an open transaction.
    FanOut = "fan-out",
    /// A delivery is gone and is no dead letter yet, in an open transaction.
    DeadLetter = "dead-letter",
    /// A token endpoint gave a token that nobody has used yet.
    TokenRefreshed = "token-refreshed",
    /// A component that was sent is kept, and no release pins it.
    PluginKept = "plugin-kept",
    /// A release is stored, and nothing says that it is to be active.
    ReleaseStored = "release-stored",
    /// A release is active, and others that go with it are not, in an open transaction.
    ReleaseSwitching = "release-switching",
    /// Releases are active on disk, and nothing in memory knows.
    ReleaseSwitched = "release-switched",
    /// A start has brought the database to another version, in an open transaction.
    Migration = "migration",
    /// Compiled code is in a file that nobody would find.
    CompileCacheWriting = "compile-cache-writing",
    /// Compiled code is in its place in the cache.
    CompileCacheWritten = "compile-cache-written",
}

/// Ends the process if this is the point, and the time, that it was armed for.
#[inline]
pub fn reached(point: CrashPoint) {
    #[cfg(debug_assertions)]
    armed::reached(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

/// Whether a message is acknowledged before it is on disk, which nobody wants but the proof that would notice.
#[inline]
pub fn acknowledges_early() -> bool {
    #[cfg(debug_assertions)]
    return armed::acknowledges_early();
    #[cfg(not(debug_assertions))]
    false
}

/// Reads the two variables, once, when a host starts.
///
/// # Errors
/// LG-7006 if one of them names what there is not. A build without crash points has none.
pub fn arm() -> Result<(), Problem> {
    for variable in [CRASH_VARIABLE, CONTROL_VARIABLE] {
        let Some(value) = std::env::var_os(variable) else { continue };
        let value = value.to_string_lossy();
        if !set(variable, &value) {
            let known = if cfg!(debug_assertions) { known(variable) } else { "none in this build".to_owned() };
            return Err(Problem::new(Code::WrongUsage, format!("{variable} names {value:?}, which there is not: {known}"))
                .fix(format!("unset {variable}: it is for the tests of Lockgate itself")));
        }
    }
    Ok(())
}

#[cfg(debug_assertions)]
fn set(variable: &str, value: &str) -> bool {
    if variable == CONTROL_VARIABLE { armed::control(value) } else { armed::crash(value) }
}

#[cfg(not(debug_assertions))]
fn set(_: &str, _: &str) -> bool {
    false
}

fn known(variable: &str) -> String {
    if variable == CONTROL_VARIABLE {
        return ACKNOWLEDGE_BEFORE_COMMIT.to_owned();
    }
    let names: Vec<&str> = CrashPoint::ALL.iter().map(|point| point.as_str()).collect();
    format!("{}, each with :<nth time> if not the first", names.join(", "))
}

#[cfg(debug_assertions)]
mod armed {
    use std::num::NonZeroU64;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{ACKNOWLEDGE_BEFORE_COMMIT, CrashPoint};

    static CRASH: OnceLock<Crash> = OnceLock::new();
    static CONTROL: OnceLock<()> = OnceLock::new();

    struct Crash {
        point: CrashPoint,
        /// Times it is still to be reached.
        left: AtomicU64,
    }

    pub(super) fn crash(value: &str) -> bool {
        parse(value).is_some_and(|(point, nth)| CRASH.set(Crash { point, left: AtomicU64::new(nth.get()) }).is_ok())
    }

    pub(super) fn control(value: &str) -> bool {
        value == ACKNOWLEDGE_BEFORE_COMMIT && CONTROL.set(()).is_ok()
    }

    pub(super) fn acknowledges_early() -> bool {
        CONTROL.get().is_some()
    }

    pub(super) fn reached(point: CrashPoint) {
        let Some(crash) = CRASH.get().filter(|crash| crash.point == point) else { return };
        if crash.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            die();
        }
    }

    /// No destructor runs and nothing is flushed.
    fn die() -> ! {
        // It does not return.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort()
    }

    pub(super) fn parse(value: &str) -> Option<(CrashPoint, NonZeroU64)> {
        let (name, nth) = value.split_once(':').unwrap_or((value, "1"));
        let point = CrashPoint::ALL.iter().find(|point| point.as_str() == name)?;
        Some((*point, nth.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_with_or_without_the_time_at_which_it_ends_the_process() {
        let parsed = |text| armed::parse(text).map(|(point, nth)| (point, nth.get()));
        assert_eq!(parsed("before-commit"), Some((CrashPoint::BeforeCommit, 1)));
        assert_eq!(parsed("fan-out:12"), Some((CrashPoint::FanOut, 12)));
        for wrong in ["", "before", "before-commit:", "before-commit:0", "before-commit:-1", "before-commit:1:1"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
