//! `lockgate backup` and `lockgate restore`: a data folder as one file, and back.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use http_body_util::BodyExt;
use serde_json::json;

use super::client::Client;
use super::progress::Progress;
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
/// The workspace's data folder must not be there, or be empty. Nothing else may run on the backup's messages: a host that was restored
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
        let progress = Progress::new(common.json);
        progress.detail("the host copies its database");
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let partial =
            tempfile::Builder::new().prefix(".lockgate-backup-").tempfile_in(folder).map_err(|error| unwritable(&self.file, &error))?;
        let bytes = download(common, partial.path(), &progress).await?;
        progress.detail("checking it");
        let manifest = backup::verify(partial.path())?;
        partial.persist_noclobber(&self.file).map_err(|error| unwritable(&self.file, &error.error))?;
        drop(progress);
        told(common, &self.file, &manifest, bytes, "wrote");
        Ok(())
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
    pub fn run(self, common: &Common) -> Result<(), Failure> {
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
        let manifest = backup::restore(&self.file, &data)?;
        drop(progress);
        told(common, &data, &manifest, bytes, "restored");
        if !common.json {
            output::line("start the host on it: lockgate run; what was delivered after the backup was made is delivered again");
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
