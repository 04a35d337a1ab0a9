//! What is kept: the segments of the folder, oldest first, and which of them go because they are old or too many.
//!
//! Whole segments go, never a part of one: nothing that is kept is ever rewritten.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Settings;
use crate::clock::Timestamp;

/// How the names of segments end. Before it stand the milliseconds at which it was begun, in as many digits for each.
const SUFFIX: &str = ".segment";
const DIGITS: usize = 16;
/// Segments that are kept: each start of a host begins one, and there are hosts that start every few seconds.
const SEGMENTS_MAX: usize = 10_000;

/// The name of a segment that is begun at `at`.
pub fn name(at: Timestamp) -> String {
    format!("{:0DIGITS$}{SUFFIX}", at.0.max(0))
}

/// A segment in its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    pub begun_at: Timestamp,
    pub path: PathBuf,
}

/// The segments of `folder`, oldest first; none where there is no such folder.
pub fn segments(folder: &Path) -> std::io::Result<Vec<Kept>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut kept = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let begun_at = path.file_name().and_then(|name| begun_at(name.to_str()?));
        kept.extend(begun_at.map(|begun_at| Kept { begun_at, path }));
    }
    kept.sort();
    Ok(kept)
}

fn begun_at(name: &str) -> Option<Timestamp> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    digits.parse().ok().map(Timestamp)
}

/// Removes what is older than `settings` says, and the oldest of what is more. `open` is being written, and stays. Gives how many went.
///
/// A segment is as old as the latest that is in it, which was written when the file was last changed.
pub fn sweep(folder: &Path, settings: &Settings, open: Option<&Path>, now: Timestamp) -> std::io::Result<usize> {
    let mut kept = Vec::new();
    for segment in segments(folder)? {
        // One that somebody has removed is gone as it should be.
        let Ok(metadata) = segment.path.metadata() else { continue };
        kept.push((segment, metadata.len(), metadata.modified().ok().map(since_epoch)));
    }
    let mut bytes = kept.iter().fold(0_u64, |bytes, (_, length, _)| bytes.saturating_add(*length));
    let (mut removed, surplus) = (0, kept.len().saturating_sub(SEGMENTS_MAX));
    for (segment, length, changed_at) in kept.into_iter().filter(|(segment, ..)| Some(segment.path.as_path()) != open) {
        let is_old = |keep: Duration| changed_at.is_none_or(|changed_at| changed_at < now.minus(keep));
        if removed < surplus || bytes > settings.bytes_max || settings.keep.is_some_and(is_old) {
            std::fs::remove_file(&segment.path)?;
            bytes = bytes.saturating_sub(length);
            removed += 1;
        }
    }
    Ok(removed)
}

fn since_epoch(at: SystemTime) -> Timestamp {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
