//! What the end-to-end tests share: the binary and the plugins, built once; a workspace in a fresh folder; a running
//! host; HTTP; waiting for a condition.

pub mod browser;
pub mod build;
pub mod database;
pub mod host;
pub mod http;
pub mod odd;
pub mod shop;
pub mod shop_to_crm;
pub mod stamped;
pub mod wat;
pub mod workspace;

use std::io::Write;
use std::time::{Duration, Instant};

/// How long a condition may take to come true before the test fails. Generous: it is a limit, not an expectation.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something, looking every 20 ms; fails with `what` if it never does.
#[track_caller]
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, condition)
}

/// The same for what may take longer.
#[track_caller]
pub fn eventually_within<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < patience, "it did not happen within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The files below `folder` that hold `text`.
pub fn holding(folder: &std::path::Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).unwrap_or_default().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// The folder with real data to test against, or none: then a line says that the test is skipped.
pub fn corpus(test: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("LOCKGATE_CORPUS").map(std::path::PathBuf::from).map(|folder| build::root().join(folder));
    if folder.is_none() {
        skipped(test, "LOCKGATE_CORPUS names no folder with real payloads");
    }
    folder
}

/// Says that a test did not run, past the harness, which keeps what tests print to itself.
pub fn skipped(test: &str, why: &str) {
    // Nobody may be there to read it.
    drop(writeln!(std::io::stderr(), "SKIPPED {test}: {why}"));
}
