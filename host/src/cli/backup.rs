//! `lockgate backup` and `lockgate restore`: a data folder as one file, and back.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use http_body_util::BodyExt;
use serde_json::json;

use super::client::Client;
use super::progress::Progress;
use super::signals::{Signals, until_a_signal};
use super::{Common, Failure, output};
use crate::backup::{self, Manifest};
use crate::config::workspace::read_files;
use crate::problem::{Code, Problem};

/// Write everything of a running host that cannot be made again into one file
///
/// Messages, deliveries, dead letters, releases with their plugins, key-values, and the host's key, as they were at one moment; the
/// host goes on meanwhile. Whoever has the file can read what is in it: keep it as you keep the data folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate backup /backups/lockgate-2026-11-22.tar
  lockgate restore /backups/lockgate-2026-11-22.tar --check")]
pub struct BackupCommand {
    /// The file to write; it must not be there yet
    file: PathBuf,
}

/// Make a data folder of a backup, or check one
///
/// The workspace's data folder must not be there, or be empty. Ctrl-C leaves it as it was. Nothing else may run on the backup's messages: a host that was restored
/// delivers again what was delivered after the backup was made, under the same idempotency keys.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate restore /backups/lockgate-2026-11-22.tar            into the workspace's data folder
  lockgate restore FILE --data /var/lib/lockgate
  lockgate restore FILE --check                                only look whether it is whole")]
pub struct RestoreCommand {
    /// A file that `lockgate backup` wrote
    file: PathBuf,
    /// The data folder to make [default: that of the workspace's lockgate.toml]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Read the backup to its end and check it, and make nothing
    #[arg(long, conflicts_with = "data")]
    check: bool,
}

impl BackupCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        if self.file.exists() {
            let message = format!("{} is there already", self.file.display());
            return Err(Problem::new(Code::WrongUsage, message).fix("choose another name, or move it aside").into());
        }
        let mut signals = Signals::new()?;
        let progress = Progress::new(common.json);
        // What is not whole goes with its handle: it is dropped where a signal ends this.
        let written = tokio::select! {
            written = self.write(common, &progress) => written,
            signal = signals.next() => Err(Failure::Interrupted(signal)),
        };
        drop(progress);
        let (manifest, bytes) = written?;
        told(common, &self.file, &manifest, bytes, "wrote");
        Ok(())
    }

    async fn write(&self, common: &Common, progress: &Progress) -> Result<(Manifest, u64), Failure> {
        let unwritable = |error: std::io::Error| unwritable(&self.file, &error);
        progress.detail("the host copies its database");
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        clear_partial(folder);
        let partial = tempfile::Builder::new().prefix(PARTIAL).suffix(PARTIAL_END).tempfile_in(folder).map_err(unwritable)?;
        // Says that somebody is at it. A file system that knows no locks says so to nobody, and then nothing is cleared there either.
        drop(partial.as_file().try_lock());
        let bytes = download(common, partial.path(), progress).await?;
        progress.detail("checking it");
        let path = partial.path().to_owned();
        let checked = tokio::task::spawn_blocking(move || backup::verify(&path)).await;
        let manifest = checked.map_err(|error| Problem::new(Code::Internal, format!("the check panicked: {error}")))??;
        partial.persist_noclobber(&self.file).map_err(|error| unwritable(error.error))?;
        // The name, too, is on the disk when this ends with 0.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
        Ok((manifest, bytes))
    }
}

/// How a backup is called while it is not whole.
const PARTIAL: &str = ".lockgate-backup-";
/// So that nobody calls a backup so.
const PARTIAL_END: &str = ".partial";

/// What a command left that was killed, and that nobody holds any more.
fn clear_partial(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_ours =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PARTIAL) && name.ends_with(PARTIAL_END));
        if is_ours && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            // A new backup does not fail for it.
            drop(std::fs::remove_file(path));
        }
    }
}

/// The host's answer, into `file`. How many bytes there were.
async fn download(common: &Common, file: &Path, progress: &Progress) -> Result<u64, Problem> {
    let client = Client::find(common)?;
    let mut body = client.download("/api/v1/backup").await?;
    let wrong = |error: std::io::Error| unwritable(file, &error);
    let mut to = std::fs::OpenOptions::new().write(true).mode(0o600).open(file).map_err(wrong)?;
    let (mut bytes, mut shown) = (0_u64, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| client.broke_off(&error))?;
        let Some(piece) = frame.data_ref() else { continue };
        to.write_all(piece).map_err(wrong)?;
        bytes += piece.len() as u64;
        if bytes / MIB > shown {
            shown = bytes / MIB;
            progress.detail(&format!("{shown} MiB"));
        }
    }
    to.sync_all().map_err(wrong)?;
    Ok(bytes)
}

const MIB: u64 = 1024 * 1024;

impl RestoreCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let progress = Progress::new(common.json);
        progress.detail("reading the backup");
        let bytes = std::fs::metadata(&self.file).map_or(0, |file| file.len());
        if self.check {
            let manifest = backup::verify(&self.file)?;
            drop(progress);
            told(common, &self.file, &manifest, bytes, "is whole:");
            return Ok(());
        }
        let data = match self.data {
            Some(data) => data,
            None => read_files(&common.directory)?.0.data,
        };
        let (file, to) = (self.file, data.clone());
        let manifest = until_a_signal(move |stop| backup::restore(&file, &to, stop)).await?;
        drop(progress);
        told(common, &data, &manifest, bytes, "restored");
        if !common.json {
            output::line("start the host on it: lockgate run --env ENV; what was delivered after the backup was made is delivered again");
        }
        Ok(())
    }
}

fn told(common: &Common, what: &Path, manifest: &Manifest, bytes: u64, did: &str) {
    if common.json {
        let Manifest { lockgate, schema, made_at, files, .. } = manifest;
        return output::json(
            &json!({ "path": what, "bytes": bytes, "made-at": made_at, "lockgate": lockgate, "schema": schema, "files": files }),
        );
    }
    let mib = bytes.div_ceil(MIB);
    output::line(format_args!("{did} {}: {} files, {mib} MiB, as of {}", what.display(), manifest.files.len(), manifest.made_at));
}

fn unwritable(file: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", file.display()))
        .fix("choose another place, or free some space")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_backup_left_is_cleared_and_one_under_way_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let held = File::create(folder.path().join(".lockgate-backup-held.partial")).unwrap();
        held.try_lock().unwrap();
        for name in [".lockgate-backup-left.partial", ".lockgate-backup-mine.tar", "lockgate-backup.tar"] {
            File::create(folder.path().join(name)).unwrap();
        }
        clear_partial(folder.path());
        let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".lockgate-backup-held.partial", ".lockgate-backup-mine.tar", "lockgate-backup.tar"]);
    }
}
