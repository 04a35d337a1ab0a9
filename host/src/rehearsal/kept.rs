//! Reports of rehearsals, kept in `<data>/rehearsals/` for whoever looks later: a file each, its first line says what is in it, its second is
//! the report.
//!
//! Values of messages are in them, so they are their owner's alone, and go when the ledger's records would.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::report::{Report, Standing};
use crate::clock::Timestamp;
use crate::partial;

const FOLDER: &str = "rehearsals";
const SUFFIX: &str = ".json";
/// Digits of a report's id: the milliseconds at which it was made.
const DIGITS: usize = 16;
/// Reports that are kept of an integration, the latest.
const REPORTS_MAX: usize = 50;
/// What was being written for longer belongs to somebody who has ended.
const HALF_WRITTEN_MAX: Duration = Duration::from_secs(60 * 60);
/// For `open(2)`: no link is followed, and nobody is waited for.
const NO_WAITING: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();
/// Of the first line, and of a whole file.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A report that is kept, without what it tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// Where it is found, beside the integration.
    pub id: String,
    #[serde(flatten)]
    pub standing: Standing,
}

impl Kept {
    /// When it was made.
    pub fn made_at(&self) -> Timestamp {
        made_at(&self.id).unwrap_or(Timestamp(0))
    }
}

/// Keeps `report`, made `now`, in the data folder `data`; the oldest go where there are too many. Gives its id.
///
/// # Errors
/// What the file system says.
pub fn keep(data: &Path, report: &Report, now: Timestamp) -> std::io::Result<String> {
    let folder = folder(data, &report.candidate.integration);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let id = format!("{:0DIGITS$}", now.0.max(0));
    let head = serde_json::to_string(&Kept { id: id.clone(), standing: report.standing() })?;
    let mut file = partial::in_folder(&folder)?;
    writeln!(file, "{head}")?;
    serde_json::to_writer(&mut file, report)?;
    file.persist(path(&folder, &id)).map_err(|error| error.error)?;
    let mut all = ids(&folder)?;
    // What was made by a clock that was ahead goes first, and never what was made just now.
    all.sort_by_key(|one| (*one <= id, one.clone()));
    for id in all.iter().take(all.len().saturating_sub(REPORTS_MAX)) {
        std::fs::remove_file(path(&folder, id))?;
    }
    Ok(id)
}

/// Those of `integration`, the latest first. One that cannot be read is passed over.
pub fn list(data: &Path, integration: &str) -> Vec<Kept> {
    let folder = folder(data, integration);
    let ids = ids(&folder).unwrap_or_default();
    let kept = |id: &String| Some(Kept { id: id.clone(), ..head(&mut open(&folder, id)?)? });
    ids.iter().rev().filter_map(kept).collect()
}

/// One of them.
pub fn read(data: &Path, integration: &str, id: &str) -> Option<Report> {
    made_at(id)?;
    let mut reader = open(&folder(data, integration), id)?;
    head(&mut reader)?;
    serde_json::from_reader(reader.take(FILE_BYTES_MAX)).ok()
}

/// Forgets what was made longer ago than `keep`.
///
/// # Errors
/// What the file system says; the rest is forgotten the next time.
pub fn forget(data: &Path, keep: Duration, now: Timestamp) -> std::io::Result<()> {
    let folders = match std::fs::read_dir(data.join(FOLDER)) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut first = Ok(());
    // What cannot be removed keeps nothing else from being so.
    for folder in folders.flatten().map(|entry| entry.path()).filter(|folder| folder.is_dir()) {
        if let Err(error) = forget_in(&folder, keep, now) {
            first = first.and(Err(error));
        }
    }
    first
}

fn forget_in(folder: &Path, keep: Duration, now: Timestamp) -> std::io::Result<()> {
    partial::clear_older(folder, HALF_WRITTEN_MAX);
    let is_old = |id: &&String| made_at(id).is_some_and(|made_at| made_at < now.minus(keep));
    let mut first = Ok(());
    for id in ids(folder)?.iter().filter(is_old) {
        if let Err(error) = std::fs::remove_file(path(folder, id)) {
            first = first.and(Err(error));
        }
    }
    first
}

fn folder(data: &Path, integration: &str) -> PathBuf {
    data.join(FOLDER).join(integration)
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}{SUFFIX}"))
}

/// Oldest first; none where there is no such folder.
fn ids(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).filter(|id| made_at(id).is_some());
        ids.extend(id.map(str::to_owned));
    }
    ids.sort();
    Ok(ids)
}

fn made_at(id: &str) -> Option<Timestamp> {
    let is_one = id.len() == DIGITS && id.bytes().all(|digit| digit.is_ascii_digit());
    is_one.then(|| id.parse().ok().map(Timestamp)).flatten()
}

fn open(folder: &Path, id: &str) -> Option<BufReader<File>> {
    // Nothing but a file: whatever else somebody put there might never end.
    let file = OpenOptions::new().read(true).custom_flags(NO_WAITING).open(path(folder, id)).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then(|| BufReader::new(file))
}

fn head(reader: &mut BufReader<File>) -> Option<Kept> {
    let mut line = Vec::new();
    reader.take(HEAD_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice(&line).ok()
}

#[cfg(test)]
mod tests {
    use super::super::report::Candidate;
    use super::*;
    use crate::integration::ReleaseId;

    fn report(since: &str) -> Report {
        Report::of(Candidate {
            integration: "orders".into(),
            release: ReleaseId("00".repeat(32)),
            environment: "test".into(),
            plugins: Vec::new(),
            since: since.into(),
            dead_letters: false,
            shadow: false,
        })
    }

    #[test]
    fn the_latest_are_kept_and_go_when_they_are_old() {
        let data = tempfile::tempdir().unwrap();
        assert!(list(data.path(), "orders").is_empty() && read(data.path(), "orders", "1").is_none());
        forget(data.path(), Duration::ZERO, Timestamp(1)).unwrap();
        for number in 0..i64::try_from(REPORTS_MAX).unwrap() + 5 {
            keep(data.path(), &report(&number.to_string()), Timestamp(number)).unwrap();
        }
        let kept = list(data.path(), "orders");
        assert_eq!((kept.len(), kept[0].standing.candidate.since.as_str()), (REPORTS_MAX, "54"));
        assert_eq!(read(data.path(), "orders", &kept[1].id).unwrap().candidate.since, "53");
        for id in ["../orders/0000000000000053", "53", "000000000000005x"] {
            assert!(read(data.path(), "orders", id).is_none(), "{id}");
        }
        // A clock that was ahead has made as many: what is made now is kept all the same.
        let ahead = tempfile::tempdir().unwrap();
        for number in 0..i64::try_from(REPORTS_MAX).unwrap() {
            keep(ahead.path(), &report("ahead"), Timestamp(9_000_000 + number)).unwrap();
        }
        for number in [7, 8] {
            let id = keep(ahead.path(), &report("now"), Timestamp(number)).unwrap();
            assert!(read(ahead.path(), "orders", &id).is_some_and(|kept| kept.candidate.since == "now"));
        }
        assert!(list(ahead.path(), "orders").iter().filter(|kept| kept.standing.candidate.since == "now").count() == 2);
        std::fs::write(data.path().join("rehearsals/orders/0000000000000054.json"), "half").unwrap();
        std::fs::write(data.path().join("rehearsals/NOTES.txt"), "").unwrap();
        std::fs::create_dir(data.path().join("rehearsals/orders/0000000000000001.json")).unwrap();
        assert_eq!(list(data.path(), "orders").len(), REPORTS_MAX - 1, "what cannot be read is passed over");
        forget(data.path(), Duration::from_millis(10), Timestamp(60)).unwrap();
        assert_eq!(list(data.path(), "orders").last().unwrap().made_at(), Timestamp(50));
    }
}
