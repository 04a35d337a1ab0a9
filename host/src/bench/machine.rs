//! What the figures were taken on: machine, disk, versions.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::figures::median;
use super::stopwatch;

/// Syncs whose middle is told.
const SYNCS: usize = 50;
/// What is written before each.
const PAGE: [u8; 4096] = [0x5a; 4096];
/// Dependencies whose versions are told.
const TOLD: [&str; 3] = ["wasmtime", "hyper", "tokio"];

/// Machine and disk.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    /// Of the folder the data was in.
    pub file_system: String,
    /// How long it takes until 4 KiB are on disk: the middle of some.
    pub sync_ms: f64,
}

impl Machine {
    /// This one, with the disk of `folder`.
    pub fn of(folder: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (memory.unwrap_or(0.0) / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            kernel: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            file_system: file_system(folder).unwrap_or_else(|| "unknown".to_owned()),
            sync_ms: sync_ms(folder).unwrap_or(f64::NAN),
        }
    }
}

/// The kind of file system `folder` is on: of the mounts above it the lowest (proc_pid_mountinfo(5)).
pub fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let place = line.split(' ').nth(4)?;
        let (_, rest) = line.split_once(" - ")?;
        folder.starts_with(place).then(|| (place.len(), rest.split(' ').next().unwrap_or_default().to_owned()))
    });
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

fn sync_ms(folder: &Path) -> std::io::Result<f64> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&PAGE)?;
        let started = stopwatch::now();
        file.sync_data()?;
        took.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path)?;
    Ok(median(took.into_iter()))
}

/// Versions of what does the work: Lockgate, SQLite, and what `Cargo.lock` of the project says.
pub fn versions(project: &Path) -> Vec<(String, String)> {
    let mut versions =
        vec![("lockgate".to_owned(), env!("CARGO_PKG_VERSION").to_owned()), ("sqlite".to_owned(), rusqlite::version().to_owned())];
    let lock = std::fs::read_to_string(project.join("Cargo.lock")).unwrap_or_default();
    versions.extend(TOLD.into_iter().filter_map(|name| locked(&lock, name).map(|version| (name.to_owned(), version))));
    versions
}

fn locked(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next().map(str::to_owned)
}
