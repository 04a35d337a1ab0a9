//! Opening a data folder: the folder itself, the lock on it, the database file and its settings.
//!
//! One host per data folder: `<data>/lock` is locked for the life of the store. What stands in the way is a [`Problem`].

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::group::LogLimits;
use super::{failure, schema};
use crate::clock::Timestamp;
use crate::message_store::DeliveryId;
use crate::problem::{Code, Problem};

/// The database file in the data folder.
pub const DATABASE_FILE: &str = "lockgate.db";
/// The file whose lock says that a host uses the folder.
pub const LOCK_FILE: &str = "lock";

/// Set when the file is made; SQLite cannot change it in WAL mode.
const PAGE_BYTES: i64 = 4096;
/// How long a statement waits for a lock that another process (a backup, a shell) holds.
const BUSY_TIMEOUT_MS: i64 = 5_000;
const WRITER_CACHE_KIB: i64 = 64 * 1024;
const READER_CACHE_KIB: i64 = 8 * 1024;
/// The write-ahead log is cut back to this when it is reset.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// Files up to this size are checked at every start; it takes some tens of milliseconds.
const QUICK_CHECK_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Prepared statements a connection keeps.
const STATEMENTS_KEPT: usize = 128;

/// A data folder that is ours.
#[derive(Debug)]
pub(super) struct Opened {
    /// Locked as long as it is open.
    pub lock: Held,
    pub database: PathBuf,
    pub writer: Connection,
    /// How many processes have opened the folder, this one counted.
    pub generation: i64,
    pub last_seen_time: Timestamp,
    /// The last delivery there was when a host on this folder last ended without a word.
    pub interrupted_until: Option<DeliveryId>,
}

/// What the database stands on. Tests put something else than the machine's own disk under it.
#[derive(Clone, Debug)]
pub(super) struct Medium {
    /// The name of the SQLite VFS that reaches the files; none: SQLite's own.
    pub vfs: Option<String>,
    /// What a COMMIT waits for (<https://www.sqlite.org/pragma.html#pragma_synchronous>). All but `FULL` may lose what was acknowledged.
    pub synchronous: &'static str,
    pub log: LogLimits,
}

impl Default for Medium {
    fn default() -> Self {
        Self { vfs: None, synchronous: "FULL", log: LogLimits::default() }
    }
}

impl Medium {
    fn connect(&self, database: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
        match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(database, flags, vfs.as_str()),
            None => Connection::open_with_flags(database, flags),
        }
    }
}

/// Opens `folder`, making it if need be.
pub(super) fn open(folder: &Path, medium: &Medium) -> Result<Opened, Problem> {
    let lock = claim(folder)?;
    let database = folder.join(DATABASE_FILE);
    let mut writer = open_writer(&database, medium).map_err(|error| told(folder, &error))?;
    refuse_newer(folder, &writer)?;
    prepare(&database, &mut writer, medium)?;
    let Raised { generation, last_seen_time, interrupted_until } = raise_generation(&mut writer).map_err(|error| told(folder, &error))?;
    Ok(Opened { lock, database, writer, generation, last_seen_time, interrupted_until })
}

/// The data folder `folder`, made if need be, for this process alone as long as what is given back is open.
///
/// # Errors
/// LG-3001 where it cannot be made, LG-3002 where another process has it, LG-3004 on a network file system.
pub fn claim(folder: &Path) -> Result<Held, Problem> {
    make(folder)?;
    refuse_network(folder)?;
    lock(folder)
}

/// A connection that can only read.
pub(super) fn open_reader(database: &Path, medium: &Medium) -> rusqlite::Result<Connection> {
    let connection = medium.connect(database, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// A connection that copies the log into the database, with what that has to do with durability set as for the writer.
pub(super) fn open_checkpointer(database: &Path, medium: &Medium) -> rusqlite::Result<Connection> {
    let connection = open_writer(database, medium)?;
    make_durable(&connection, medium)?;
    Ok(connection)
}

/// Statements are prepared once and stay as they were prepared. Otherwise SQLite plans a statement anew whenever a bound value
/// might change its plan (<https://www.sqlite.org/queryplanner-ng.html#qpstab>), which was a sixth of the writer's time.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The folder, for its owner alone: what is in it is business data. A new one is on disk before anything is in it.
fn make(folder: &Path) -> Result<(), Problem> {
    let unwritable = |error: &std::io::Error| unwritable(folder, error);
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| unwritable(&error))?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| unwritable(&error))?;
    }
    let mode = std::fs::metadata(folder).map_err(|error| unwritable(&error))?.permissions().mode();
    if mode & 0o077 != 0
        && let Err(error) = std::fs::set_permissions(folder, Permissions::from_mode(0o700))
    {
        tracing::warn!(folder = %folder.display(), %error, "others on this machine may read the data folder");
    }
    Ok(())
}

fn unwritable(folder: &Path, error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::DataFolderUnwritable, format!("the data folder {} cannot be written: {error}", folder.display()))
        .fix("give the user the host runs as write permission, or choose another folder in lockgate.toml")
}

/// Locks and shared memory do not hold across machines (<https://www.sqlite.org/wal.html>, disadvantage 2).
fn refuse_network(folder: &Path) -> Result<(), Problem> {
    #[cfg(target_os = "linux")]
    if let Ok(stat) = rustix::fs::statfs(folder)
        && let Some(kind) = network_kind(u64::from_ne_bytes(stat.f_type.to_ne_bytes()))
    {
        return Err(Problem::new(
            Code::DataFolderNetwork,
            format!("the data folder {} is on a network file system ({kind})", folder.display()),
        )
        .fix("put it on a disk of this machine"));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = folder;
    Ok(())
}

/// The name of a network file system by its magic number (statfs(2), linux/magic.h).
#[cfg(target_os = "linux")]
fn network_kind(magic: u64) -> Option<&'static str> {
    match magic & 0xFFFF_FFFF {
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x00C3_6400 => Some("Ceph"),
        0x5346_414F | 0x6B41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636F => Some("OCFS2"),
        _ => None,
    }
}

/// The data folder's lock, held until it is dropped. It is let go by name: closing the file alone would leave it to a child process that is
/// just being started, and has not closed its copy yet.
#[derive(Debug)]
pub struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(why) = self.0.unlock() {
            tracing::warn!(%why, "the data folder's lock is let go by closing it only");
        }
    }
}

fn lock(folder: &Path) -> Result<Held, Problem> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(folder.join(LOCK_FILE))
        .map_err(|error| unwritable(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Held(file)),
        Err(TryLockError::WouldBlock) => {
            Err(Problem::new(Code::DataFolderInUse, format!("another host uses the data folder {}", folder.display()))
                .fix("stop it, or give this host a data folder of its own in lockgate.toml"))
        }
        Err(TryLockError::Error(error)) => Err(unwritable(folder, &error)),
    }
}

fn open_writer(database: &Path, medium: &Medium) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = medium.connect(database, flags)?;
    connection.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
    keep_statements(&connection)?;
    Ok(connection)
}

fn refuse_newer(folder: &Path, writer: &Connection) -> Result<(), Problem> {
    let version = schema::version(writer).map_err(|error| told(folder, &error))?;
    if version <= schema::NEWEST {
        return Ok(());
    }
    let text = format!(
        "the data folder {} was written by a newer version (its format is {version}, this version knows up to {})",
        folder.display(),
        schema::NEWEST
    );
    Err(Problem::new(Code::DataFolderNewer, text).fix("run the newer version, or restore a backup that this one wrote"))
}

/// Settings, migrations, the checkpoint of what the last process left, and a look at a small file's health.
fn prepare(database: &Path, writer: &mut Connection, medium: &Medium) -> Result<(), Problem> {
    let told = |error: rusqlite::Error| told(database, &error);
    settle_in(writer, medium).map_err(told)?;
    // Before anything is written that it could turn into something else.
    schema::refuse_foreign(&format!("the message store {}", database.display()), writer)?;
    schema::migrate(writer).map_err(told)?;
    writer.pragma_update(None, "foreign_keys", true).map_err(told)?;
    let busy: i64 = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(told)?;
    if busy != 0 {
        return Err(Problem::new(Code::DataFolderInUse, format!("another program has {} open", database.display()))
            .fix("close it (a database shell, a backup) and start again"));
    }
    if std::fs::metadata(database).is_ok_and(|file| file.len() <= QUICK_CHECK_BYTES_MAX) {
        check(database, writer)?;
    }
    Ok(())
}

/// Page size and auto-vacuum take effect in an empty file only; the rest counts for this connection.
fn settle_in(writer: &Connection, medium: &Medium) -> rusqlite::Result<()> {
    writer.pragma_update(None, "page_size", PAGE_BYTES)?;
    writer.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    writer.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    make_durable(writer, medium)?;
    writer.pragma_update(None, "cell_size_check", true)?;
    writer.pragma_update(None, "trusted_schema", false)?;
    writer.pragma_update(None, "temp_store", "MEMORY")?;
    writer.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    writer.query_row(&format!("PRAGMA journal_size_limit = {LOG_BYTES_KEPT}"), [], |_| Ok(()))?;
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

fn make_durable(connection: &Connection, medium: &Medium) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", medium.synchronous)?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // Checkpoints are asked for: SQLite's own after a COMMIT swallows a failed fsync.
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))
}

fn check(database: &Path, writer: &Connection) -> Result<(), Problem> {
    let verdict: String = writer.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| told(database, &error))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Problem::new(Code::StoreDamaged, format!("the message store {} is damaged: {verdict}", database.display()))
        .fix("keep a copy of the data folder and restore the last backup"))
}

/// What a folder knows of the processes that opened it.
struct Raised {
    generation: i64,
    last_seen_time: Timestamp,
    interrupted_until: Option<DeliveryId>,
}

/// A transaction of its own, on disk before anything else is written. If the last process did not say that it has ended, what was there
/// then may have been under way.
fn raise_generation(writer: &mut Connection) -> rusqlite::Result<Raised> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT OR REPLACE INTO meta (name, value) SELECT 'interrupted-until', seq FROM sqlite_sequence WHERE name = 'delivery'
         AND (SELECT value FROM meta WHERE name = 'generation') IS NOT (SELECT value FROM meta WHERE name = 'ended-generation')",
        [],
    )?;
    transaction.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'", [])?;
    let value = |name: &str| transaction.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0));
    let raised = Raised {
        generation: value("generation")?,
        last_seen_time: Timestamp(value("last-seen-time")?),
        interrupted_until: value("interrupted-until").optional()?.map(DeliveryId),
    };
    transaction.commit()?;
    Ok(raised)
}

/// The process with this generation has nothing under way any more: its successor need not ask what it had.
pub(super) fn note_end(writer: &Connection, generation: i64) -> rusqlite::Result<()> {
    writer.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('ended-generation', ?1)", [generation]).map(drop)
}

fn told(place: &Path, error: &rusqlite::Error) -> Problem {
    use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    match error.sqlite_error_code() {
        Some(CannotOpen | PermissionDenied | ReadOnly) => unwritable(place, error),
        _ => failure::problem(error),
    }
}
