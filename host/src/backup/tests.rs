//! Backups that are whole, and those that are not.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::ManualClock;
use crate::message_store::MessageStore;
use crate::message_store::sqlite::{DATABASE_FILE, LOCK_FILE, Options, SqliteStore};
use crate::message_store::suite::world::{InMemory, START, World};
use crate::message_store::{Accept, Lane, Lease, WaitingMax};
use crate::problem::{Code, Problem};

fn restore(file: &Path, data: &Path) -> Result<Manifest, Problem> {
    Ok(super::restore(file, data, &CancellationToken::new())?.unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

struct Place {
    folder: tempfile::TempDir,
    store: SqliteStore,
    /// Makes messages.
    world: World,
}

fn options() -> Options {
    Options { reserve_bytes: 0, ..Options::new(Arc::new(ManualClock::at(START))) }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let store = SqliteStore::open(&data, options()).unwrap();
        fs::write(data.join("host.key"), [7; 32]).unwrap();
        fs::create_dir(data.join("plugins")).unwrap();
        fs::write(data.join("plugins").join(format!("{}.wasm", "ab".repeat(32))), "component").unwrap();
        fs::write(data.join("plugins").join(format!("{}.wasm.sig", "ab".repeat(32))), "signature").unwrap();
        fs::write(data.join("plugins/stray.tmp"), "not one").unwrap();
        Self { folder, store, world: World::new(InMemory::default()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn accept(&self, body: &str) {
        let (message, deliveries) = (Arc::new(self.world.message(body, None)), self.world.deliveries(&[("crm", Lane::Free)]));
        self.store.accept(Accept { message, dedup: None, deliveries, waiting_max: WaitingMax::each(100) }).await.unwrap();
    }

    fn back_up(&self) -> PathBuf {
        let (data, file) = (self.path("data"), self.path("backup.tar"));
        let copy = snapshot(&data).unwrap();
        write(&data, &copy, "2026-01-01T00:00:00Z".into(), fs::File::create(&file).unwrap()).unwrap();
        file
    }
}

async fn waiting(data: &Path) -> usize {
    let store = SqliteStore::open(data, options()).unwrap();
    let leased = store.lease(Lease { integration: "crm".into(), now: START, limit: 100, bytes_max: usize::MAX }).await.unwrap();
    store.close().await;
    leased.len()
}

#[tokio::test]
async fn holds_what_was_acknowledged_when_it_was_made_and_nothing_later() {
    let place = Place::new();
    for body in ["1", "2", "3"] {
        place.accept(body).await;
    }
    let file = place.back_up();
    place.accept("4").await;
    assert!(fs::read_dir(place.path("data")).unwrap().all(|entry| !entry.unwrap().file_name().to_string_lossy().starts_with("backup-")));

    let manifest = restore(&file, &place.path("restored")).unwrap();
    let names: Vec<&str> = manifest.files.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(
        names,
        ["host.key", DATABASE_FILE, &format!("plugins/{}.wasm", "ab".repeat(32)), &format!("plugins/{}.wasm.sig", "ab".repeat(32))]
    );
    assert_eq!(waiting(&place.path("restored")).await, 3);
    assert_eq!(fs::read(place.path("restored/host.key")).unwrap(), [7; 32]);
    assert_eq!(verify(&file).unwrap(), manifest);
}

#[tokio::test]
async fn nothing_is_restored_over_a_folder_in_use_and_an_empty_one_is_filled() {
    let place = Place::new();
    let file = place.back_up();
    assert_eq!(restore(&file, &place.path("data")).unwrap_err().code, Code::DataFolderInUse);
    fs::create_dir(place.path("other")).unwrap();
    fs::write(place.path("other/host.key"), "of somebody").unwrap();
    assert_eq!(restore(&file, &place.path("other")).unwrap_err().code, Code::DataFolderInUse);
    assert_eq!(names(&place.path("other")), ["host.key"], "and nothing is put there");
    fs::create_dir(place.path("empty")).unwrap();
    restore(&file, &place.path("empty")).unwrap();
    assert_eq!(names(&place.path("empty")), ["host.key", LOCK_FILE, DATABASE_FILE, "plugins"]);
}

/// A disk of its own, mounted there: it cannot be renamed over, and nothing may be written beside it.
#[tokio::test]
async fn a_folder_in_a_place_where_nothing_else_may_be_written_is_filled() {
    let place = Place::new();
    place.accept("1").await;
    let file = place.back_up();
    let mount = place.path("mnt/data");
    fs::create_dir_all(mount.join("lost+found")).unwrap();
    let inode = fs::metadata(&mount).unwrap().ino();
    fs::set_permissions(place.path("mnt"), fs::Permissions::from_mode(0o500)).unwrap();
    let restored = restore(&file, &mount);
    fs::set_permissions(place.path("mnt"), fs::Permissions::from_mode(0o700)).unwrap();
    restored.unwrap();
    assert_eq!(fs::metadata(&mount).unwrap().ino(), inode, "the folder is the one that was there");
    assert_eq!(waiting(&mount).await, 1);
}

#[tokio::test]
async fn one_that_is_stopped_leaves_nothing_and_the_next_clears_what_a_killed_one_left() {
    let place = Place::new();
    place.accept("1").await;
    let file = place.back_up();
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert_eq!(super::restore(&file, &place.path("restored"), &stopped).unwrap(), None);
    assert!(!place.path("restored").exists());
    fs::create_dir(place.path("restored")).unwrap();
    assert_eq!(super::restore(&file, &place.path("restored"), &stopped).unwrap(), None);
    assert!(names(&place.path("restored")).is_empty());

    // Killed while it moved things to their places, and before.
    fs::create_dir_all(place.path("restored/.restoring-x1")).unwrap();
    fs::create_dir_all(place.path("restored/plugins")).unwrap();
    for name in ["host.key", LOCK_FILE, ".restoring-x1/lockgate.db", "plugins/old.wasm"] {
        fs::write(place.path("restored").join(name), "half").unwrap();
    }
    restore(&file, &place.path("restored")).unwrap();
    assert_eq!(names(&place.path("restored")), ["host.key", LOCK_FILE, DATABASE_FILE, "plugins"]);
    assert_eq!(names(&place.path("restored/plugins")), ["wasm", "wasm.sig"].map(|end| format!("{}.{end}", "ab".repeat(32))));
    assert_eq!(waiting(&place.path("restored")).await, 1);
}

#[tokio::test]
async fn a_backup_cut_off_or_changed_anywhere_is_refused_and_leaves_nothing() {
    let place = Place::new();
    place.accept("1").await;
    let file = place.back_up();
    let whole = fs::read(&file).unwrap();
    let left = |place: &Place| fs::read_dir(place.folder.path()).unwrap().count();
    let before = left(&place) + 1;
    let bad = place.path("bad.tar");
    for cut in (0..whole.len() - 1024).step_by(whole.len() / 40) {
        fs::write(&bad, &whole[..cut]).unwrap();
        assert_eq!(restore(&bad, &place.path("restored")).unwrap_err().code, Code::BadBackup, "cut at {cut}");
    }
    for at in (0..whole.len() - 2048).step_by(whole.len() / 40) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        fs::write(&bad, changed).unwrap();
        // The padding between files is nothing.
        if let Err(why) = restore(&bad, &place.path("restored")) {
            assert_eq!(why.code, Code::BadBackup, "changed at {at}");
        } else {
            fs::remove_dir_all(place.path("restored")).unwrap();
        }
    }
    assert_eq!(left(&place), before, "nothing else is left");
}

#[tokio::test]
async fn a_name_that_leads_out_of_the_folder_is_refused() {
    let place = Place::new();
    for name in ["../lockgate.db", "plugins/../../x.wasm", "lock", "/etc/passwd"] {
        let file = place.path("evil.tar");
        let mut archive = tar::Builder::new(fs::File::create(&file).unwrap());
        let mut header = tar::Header::new_ustar();
        header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(1);
        header.set_mode(0o600);
        header.set_cksum();
        archive.append(&header, &b"x"[..]).unwrap();
        archive.into_inner().unwrap();
        assert_eq!(restore(&file, &place.path("restored")).unwrap_err().code, Code::BadBackup, "{name}");
    }
}

/// Half of it is enough: what it is is known by its header.
#[tokio::test]
async fn a_name_of_gigabytes_is_refused_before_any_of_it_is_read() {
    let place = Place::new();
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader, tar::EntryType::XGlobalHeader] {
        let file = place.path("evil.tar");
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path("host.key").unwrap();
        header.set_size(4 << 30);
        header.set_cksum();
        fs::write(&file, header.as_bytes()).unwrap();
        let problem = restore(&file, &place.path("restored")).unwrap_err();
        assert!(problem.code == Code::BadBackup && problem.message.contains("has no place in a backup"), "{kind:?}: {problem}");
    }
}

#[tokio::test]
async fn a_newer_versions_backup_is_refused() {
    let place = Place::new();
    let (data, file) = (place.path("data"), place.path("newer.tar"));
    let copy = snapshot(&data).unwrap();
    rusqlite::Connection::open(&copy).unwrap().pragma_update(None, "user_version", 999).unwrap();
    write(&data, &copy, "2026-01-01T00:00:00Z".into(), fs::File::create(&file).unwrap()).unwrap();
    assert_eq!(restore(&file, &place.path("restored")).unwrap_err().code, Code::DataFolderNewer);
}

#[test]
fn what_a_killed_host_left_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["backup-x1.db", "lockgate.db", "backup-notes.txt"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    fs::create_dir(folder.path().join(".restoring-x1")).unwrap();
    clear_leftovers(folder.path());
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["backup-notes.txt", "lockgate.db"]);
}

#[tokio::test]
async fn a_disk_that_is_full_is_no_fault_of_the_backup() {
    let place = Place::new();
    let file = place.back_up();
    let full = super::read::walk(&file, &CancellationToken::new(), |_, from| {
        std::io::copy(from, &mut std::io::sink())?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    let problem = full.unwrap_err();
    assert_eq!(problem.code, Code::DiskFull);
    assert!(problem.fix.unwrap().contains("nothing is wrong with the backup"));
}
