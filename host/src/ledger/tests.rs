//! What is recorded is found and read again as it was, whatever becomes of the files meanwhile.

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::integration::ReleaseId;
use crate::message::{Headers, Key, Message, MessageId};
use crate::message_store::Stage;
use crate::random::SeededRandom;
use crate::telemetry::Metrics;

const START: Timestamp = Timestamp(1_700_000_000_000);

/// Of another message for each number.
pub(crate) fn record(number: u32, body: usize) -> Record {
    let at = START.plus(Duration::from_millis(number.into()));
    let message = Message {
        id: MessageId::new(at, &SeededRandom::new(number.into())),
        parent: None,
        key: Some(Key(format!("customer-{number}"))),
        content_type: "application/json".into(),
        headers: Headers(vec![("x-n".into(), number.to_string())]),
        body: Bytes::from(vec![b'x'; body]),
        tracked: Vec::new(),
        origin: "test".into(),
        accepted_at: at,
    };
    Record {
        integration: if number.is_multiple_of(2) { "even".into() } else { "odd".into() },
        release: ReleaseId("00".repeat(32)),
        message: Arc::new(message),
        stage: Stage::Steps,
        replay: 0,
        attempt: number,
        clock_at: at,
        started_at: at,
        ended_at: at,
        ended: Ended::Delivered,
        calls: Vec::new(),
        key_values: Vec::new(),
        sends: Vec::new(),
        cut: None,
    }
}

/// A data folder with a recorder on it.
struct Scene {
    data: tempfile::TempDir,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    recorder: Recorder,
}

fn scene(settings: Settings) -> Scene {
    on(tempfile::tempdir().unwrap(), settings)
}

fn on(data: tempfile::TempDir, settings: Settings) -> Scene {
    let (clock, metrics) = (Arc::new(ManualClock::at(START)), Arc::new(Metrics::new()));
    let recorder = Recorder::start(data.path(), settings, clock.clone(), metrics.clone());
    Scene { data, clock, metrics, recorder }
}

impl Scene {
    /// Records them and ends, as a host does.
    async fn written(self, numbers: std::ops::Range<u32>) -> tempfile::TempDir {
        numbers.for_each(|number| self.recorder.offer(record(number, 100), 100));
        self.recorder.close().await;
        self.data
    }
}

fn files(data: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder(data)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The numbers of what is found, and what was passed over.
fn found(data: &Path, integration: &str) -> (Vec<u32>, Vec<Passed>) {
    let reader = Reader::open(&folder(data)).unwrap();
    let (found, passed) = reader.find(START, 100_000, |entry| entry.integration == integration);
    let read = found.iter().filter_map(|located| Some((reader.read(located).ok()?, located)));
    let number = |(read, located): (Record, &Located)| {
        assert_eq!(read, record(located.entry.attempt, read.message.body.len()));
        read.attempt
    };
    (read.map(number).collect(), passed)
}

#[test]
fn a_folder_that_is_not_there_holds_nothing() {
    let data = tempfile::tempdir().unwrap();
    assert_eq!(found(data.path(), "even"), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn what_was_recorded_is_found_by_integration_and_time_and_is_what_it_was() {
    let data = scene(Settings::default()).written(0..1_000).await;
    let (numbers, passed) = found(data.path(), "even");
    assert_eq!((numbers.len(), passed), (500, Vec::new()));
    assert!(numbers.is_sorted());
    let reader = Reader::open(&folder(data.path())).unwrap();
    let since = START.plus(Duration::from_millis(990));
    assert_eq!(reader.find(since, 100, |_| true).0.len(), 10);
    let latest = reader.find(START, 3, |_| true).0;
    assert_eq!(latest.iter().map(|located| located.entry.attempt).collect::<Vec<_>>(), [997, 998, 999]);
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    let data = scene(Settings::default()).written(0..10).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder(data.path())), 0o700);
    assert!(files(data.path()).iter().all(|file| mode(file) == 0o600));
}

#[tokio::test]
async fn a_torn_or_damaged_end_costs_what_was_in_it_and_nothing_before() {
    for damage in ["cut", "zeroed", "flipped", "followed by rubbish"] {
        let data = scene(Settings::default()).written(0..10).await;
        let first = files(data.path())[0].clone();
        let whole = std::fs::metadata(&first).unwrap().len();
        let again = on(data, Settings::default()).written(10..20).await;
        let last = files(again.path())[1].clone();
        let mut bytes = std::fs::read(&last).unwrap();
        match damage {
            "cut" => bytes.truncate(bytes.len() - 7),
            "zeroed" => bytes[40..].fill(0),
            "flipped" => *bytes.last_mut().unwrap() ^= 1,
            _ => {
                bytes = std::fs::read(&first).unwrap();
                bytes.extend_from_slice(b"BLCK, and then no more");
            }
        }
        std::fs::write(&last, bytes).unwrap();
        let (numbers, passed) = found(again.path(), "even");
        assert!(numbers.starts_with(&[0, 2, 4, 6, 8]) && numbers.iter().all(|number| *number < 10), "{damage}: {numbers:?}");
        assert_eq!(std::fs::metadata(&first).unwrap().len(), whole, "what is written is not touched");
        let name = last.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            passed.iter().map(|passed| passed.file.as_str()).collect::<Vec<_>>(),
            if damage == "flipped" { vec![] } else { vec![name] },
            "{damage}"
        );
    }
}

#[tokio::test]
async fn a_file_of_another_version_is_passed_over_and_said() {
    let data = scene(Settings::default()).written(0..2).await;
    let later = folder(data.path()).join(keep::name(START.plus(Duration::from_secs(1))));
    std::fs::write(&later, b"LGLEDGER\x02\0\0\0").unwrap();
    let (numbers, passed) = found(data.path(), "even");
    assert_eq!((numbers, passed.len()), (vec![0], 1));
    assert!(passed[0].why.contains("this version"), "{passed:?}");
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_more_than_may_be_goes_oldest_first() {
    let data = scene(Settings::default()).written(0..2).await;
    let data = on(data, Settings::default()).written(2..4).await;
    let old = files(data.path());
    let hour = Duration::from_secs(60 * 60);
    let at = |time: Timestamp| std::time::UNIX_EPOCH + Duration::from_millis(time.0 as u64);
    for (file, time) in old.iter().zip([START.minus(3 * hour), START.minus(hour)]) {
        OpenOptions::new().write(true).open(file).unwrap().set_modified(at(time)).unwrap();
    }
    let kept = Settings { keep: Some(2 * hour), ..Settings::default() };
    assert_eq!(keep::sweep(&folder(data.path()), &kept, None, START).unwrap(), 1);
    assert_eq!(files(data.path()), [old[1].clone()]);

    let data = on(data, Settings::default()).written(4..6).await;
    let two = files(data.path());
    let small = Settings { bytes_max: std::fs::metadata(&two[1]).unwrap().len(), ..Settings::default() };
    assert_eq!(keep::sweep(&folder(data.path()), &small, Some(&two[0]), START).unwrap(), 1, "what is being written stays");
    assert_eq!(files(data.path()), [two[0].clone()]);
}

#[tokio::test]
async fn what_there_is_no_room_for_is_dropped_and_counted_and_nobody_waits() {
    let scene = scene(Settings::default());
    // As if so much were waiting already.
    scene.recorder.offer(record(0, 1), usize::MAX / 2);
    scene.recorder.offer(record(1, 1), 1);
    scene.recorder.close().await;
    let figures = scene.metrics.encode();
    assert!(figures.contains("lockgate_ledger_dropped_total{reason=\"queue-full\"} 1"), "{figures}");
    assert!(figures.contains("lockgate_ledger_recorded_total 1"), "{figures}");
    assert_eq!(found(scene.data.path(), "odd").0, [1]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_the_records_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(folder(data.path()), "a file in its place").unwrap();
    let scene = on(data, Settings::default());
    scene.recorder.offer(record(0, 1), 1);
    scene.recorder.close().await;
    assert!(scene.metrics.encode().contains("lockgate_ledger_dropped_total{reason=\"not-written\"} 1"));
}

#[tokio::test]
async fn failures_alone_are_recorded_where_that_is_asked_for() {
    let wants = |records: Records| {
        let scene = scene(Settings { records, ..Settings::default() });
        let failed = Ended::Failed { code: "x".into(), detail: String::new(), is_dead: false };
        [Ended::Delivered, failed].map(|ended| scene.recorder.wants(&ended))
    };
    assert_eq!(wants(Records::All), [true, true]);
    assert_eq!(wants(Records::Failures), [false, true]);
    assert_eq!(wants(Records::Nothing), [false, false]);
}

#[tokio::test]
async fn a_segment_that_has_been_open_for_an_hour_is_followed_by_another() {
    let scene = scene(Settings::default());
    scene.recorder.offer(record(0, 1), 1);
    let clock = scene.clock.clone();
    // Written before the clock moves: a block waits for no more than it is given.
    while files_or_none(scene.data.path()).is_empty() || found(scene.data.path(), "even").0.is_empty() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(60 * 60));
    scene.recorder.offer(record(1, 1), 1);
    scene.recorder.close().await;
    assert_eq!(files(scene.data.path()).len(), 2);
}

fn files_or_none(data: &Path) -> Vec<PathBuf> {
    if folder(data).exists() { files(data) } else { Vec::new() }
}
