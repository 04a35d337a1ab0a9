//! The secrets store over rows in memory.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::random::{OsRandom, SeededRandom};

/// Rows in memory, that fail when a test says so.
#[derive(Debug, Default)]
pub struct MemoryRows {
    pub rows: Mutex<BTreeMap<(SealedKind, String), SealedRow>>,
    pub fails: AtomicBool,
}

impl MemoryRows {
    pub fn all(&self) -> Vec<SealedRow> {
        lock(&self.rows).values().cloned().collect()
    }
}

#[async_trait]
impl SealedRows for MemoryRows {
    async fn put(&self, row: SealedRow) -> Result<(), Problem> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Problem::new(Code::DiskFull, "the disk is full"));
        }
        lock(&self.rows).insert((row.kind, row.name.clone()), row);
        Ok(())
    }

    async fn remove(&self, kind: SealedKind, name: &str) -> Result<(), Problem> {
        lock(&self.rows).remove(&(kind, name.to_owned()));
        Ok(())
    }
}

/// A store in memory, with a key that is nowhere else.
pub fn vault_over(rows: &Arc<MemoryRows>) -> Arc<Vault> {
    let key = SealKey::new(zeroize::Zeroizing::new([7; 32]));
    let vault = Vault::open(KeyPlace::Nowhere, Arc::clone(rows) as _, Vec::new(), Arc::new(SeededRandom::new(7))).unwrap();
    for row in rows.all() {
        let opened = key.open((row.kind.as_str(), &row.name), &row.sealed).unwrap();
        match row.kind {
            SealedKind::Secret => drop(write(&vault.secrets).insert(row.name, (opened, row.written_at))),
            SealedKind::Token => drop(lock(&vault.tokens).insert(row.name, opened)),
        }
    }
    *lock(&vault.key) = Some(Arc::new(key));
    Arc::new(vault)
}

/// A store in memory that nobody looks into.
pub fn vault() -> Arc<Vault> {
    vault_over(&Arc::new(MemoryRows::default()))
}

const NOW: Timestamp = Timestamp(5);

fn at(folder: &tempfile::TempDir, name: &str) -> KeyPlace {
    KeyPlace::File(folder.path().join(name))
}

fn open(place: KeyPlace, rows: &Arc<MemoryRows>) -> Result<Vault, Problem> {
    Vault::open(place, Arc::clone(rows) as _, rows.all(), Arc::new(OsRandom))
}

#[tokio::test]
async fn a_key_that_is_lost_or_another_stops_a_start_and_says_what_to_do() {
    let (folder, rows) = (tempfile::tempdir().unwrap(), Arc::new(MemoryRows::default()));
    open(at(&folder, "key"), &rows).unwrap().set("crm.password", Secret::new("hunter2"), NOW).await.unwrap();
    let lost = open(at(&folder, "elsewhere"), &rows).unwrap_err();
    assert_eq!(lost.code, Code::SecretsKey);
    assert!(lost.fix.unwrap().contains("lockgate secret unset --all"));
    assert!(!folder.path().join("elsewhere").exists(), "no new key is made in the place of a lost one");
    at(&folder, "other").load_or_create(&OsRandom).unwrap();
    let other = open(at(&folder, "other"), &rows).unwrap_err();
    assert!(other.message.contains("is not the one that sealed"), "{other}");
}

#[tokio::test]
async fn what_could_not_be_written_is_not_used() {
    let rows = Arc::new(MemoryRows::default());
    let vault = vault_over(&rows);
    rows.fails.store(true, Ordering::SeqCst);
    assert_eq!(vault.set("crm.password", Secret::new("hunter2"), NOW).await.unwrap_err().code, Code::DiskFull);
    assert_eq!(vault.get("crm.password"), None);
    for bad in [Vec::new(), vec![0; SECRET_BYTES_MAX + 1]] {
        assert_eq!(vault.set("crm.password", Secret::new(bad), NOW).await.unwrap_err().code, Code::WrongValue);
    }
}

#[tokio::test]
async fn a_full_store_takes_another_value_of_what_is_set_and_nothing_else() {
    let vault = vault();
    write(&vault.secrets).extend((0..SECRETS_MAX).map(|number| (number.to_string(), (Secret::new("old"), NOW))));
    assert_eq!(vault.set("more", Secret::new("new"), NOW).await.unwrap_err().code, Code::WrongValue);
    vault.set("7", Secret::new("new"), NOW).await.unwrap();
    assert_eq!((vault.get("7"), vault.get("more")), (Some(Secret::new("new")), None));
}

/// Rows of which the first is on disk long before whoever wrote it hears of it.
#[derive(Debug, Default)]
struct Slow {
    rows: Arc<MemoryRows>,
    puts: std::sync::atomic::AtomicUsize,
    may_end: tokio::sync::Notify,
}

#[async_trait]
impl SealedRows for Slow {
    async fn put(&self, row: SealedRow) -> Result<(), Problem> {
        self.rows.put(row).await?;
        if self.puts.fetch_add(1, Ordering::SeqCst) == 0 {
            self.may_end.notified().await;
        }
        Ok(())
    }

    async fn remove(&self, kind: SealedKind, name: &str) -> Result<(), Problem> {
        self.rows.remove(kind, name).await
    }
}

#[tokio::test]
async fn of_two_who_set_a_secret_at_once_one_is_on_disk_and_used() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Arc::new(Slow::default()));
    let vault = Arc::new(Vault::open(at(&folder, "key"), Arc::clone(&slow) as _, Vec::new(), Arc::new(OsRandom)).unwrap());
    let set = |value: &'static str| {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { vault.set("crm.password", Secret::new(value), NOW).await.unwrap() })
    };
    let (first, second) = (set("first"), set("second"));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    slow.may_end.notify_one();
    first.await.unwrap();
    second.await.unwrap();
    let used = vault.get("crm.password");
    drop(vault);
    assert_eq!(open(at(&folder, "key"), &slow.rows).unwrap().get("crm.password"), used);
}

#[tokio::test]
async fn keeps_what_was_set_over_a_restart_and_puts_it_before_what_files_say() {
    let (folder, rows) = (tempfile::tempdir().unwrap(), Arc::new(MemoryRows::default()));
    let vault = open(at(&folder, "key"), &rows).unwrap();
    vault.set("crm.password", Secret::new("hunter2"), NOW).await.unwrap();
    vault.keep_token("crm", &Secret::new("token-1"), NOW).await.unwrap();
    assert!(rows.all().iter().all(|row| !String::from_utf8_lossy(&row.sealed).contains("hunter2")));

    let vault = Arc::new(open(at(&folder, "key"), &rows).unwrap());
    assert_eq!(vault.list(), [SetSecret { name: "crm.password".into(), set_at: NOW }]);
    assert_eq!((vault.take_token("crm"), vault.take_token("crm")), (Some(Secret::new("token-1")), None));
    let machine = Arc::new(super::super::secret::MachineSecrets::new(folder.path()));
    std::fs::write(folder.path().join("password"), "of the file").unwrap();
    let secrets = SetBefore { vault: Arc::clone(&vault), otherwise: machine };
    let reference = SecretRef::file("crm.password", "password");
    assert_eq!(secrets.read(&reference), Ok(Secret::new("hunter2")));
    assert!(vault.unset("crm.password").await.unwrap());
    assert!(!vault.unset("crm.password").await.unwrap());
    assert_eq!(secrets.read(&reference), Ok(Secret::new("of the file")));
    let only = SecretRef { name: "crm.password".into(), place: SecretPlace::Store };
    assert_eq!(secrets.read(&only).unwrap_err().fix.unwrap(), "lockgate secret set crm.password");
    assert!(!format!("{vault:?}").contains("hunter2"));
}
