//! [`Vault`]: the secrets store. What people set ([`Vault::set`]) and the tokens aliases hold, sealed before they are written.
//!
//! Depends on `secret`; `seal` makes the seals, `key` finds what they are made with, and whoever keeps rows ([`SealedRows`]) sees
//! sealed bytes only.

mod key;
mod seal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;

pub use key::KeyPlace;
use seal::{SealKey, Unopened};

use super::secret::{Secret, SecretPlace, SecretRef, SecretSource, missing};
use crate::clock::Timestamp;
use crate::problem::{Code, Problem};
use crate::random::{Random, SeededRandom};

/// The longest secret that is taken.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// More are not kept.
pub const SECRETS_MAX: usize = 10_000;

/// What a sealed row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SealedKind {
    /// A secret a person set.
    Secret,
    /// A token an alias was given.
    Token,
}

impl SealedKind {
    /// The word in the database, and in what a seal is bound to.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Token => "token",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Secret, Self::Token].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A row as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    pub kind: SealedKind,
    pub name: String,
    pub sealed: Vec<u8>,
    pub written_at: Timestamp,
}

/// Where sealed rows are kept: the database of the data folder, or a test's memory.
#[async_trait]
pub trait SealedRows: Send + Sync + std::fmt::Debug + 'static {
    /// Writes a row in the place of the one of its kind and name; it is on disk when this returns.
    async fn put(&self, row: SealedRow) -> Result<(), Problem>;
    /// Removes a row, if it is there.
    async fn remove(&self, kind: SealedKind, name: &str) -> Result<(), Problem>;
}

/// Rows that are forgotten.
#[derive(Debug)]
struct NoRows;

#[async_trait]
impl SealedRows for NoRows {
    async fn put(&self, _row: SealedRow) -> Result<(), Problem> {
        Ok(())
    }

    async fn remove(&self, _kind: SealedKind, _name: &str) -> Result<(), Problem> {
        Ok(())
    }
}

/// A secret that was set, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSecret {
    pub name: String,
    pub set_at: Timestamp,
}

/// The secrets store of a host. Share it as an `Arc`.
#[derive(Debug)]
pub struct Vault {
    place: KeyPlace,
    rows: Arc<dyn SealedRows>,
    random: Arc<dyn Random>,
    /// None until something is sealed or opened.
    key: Mutex<Option<Arc<SealKey>>>,
    /// Held while a secret is set or unset: of two at once what is on disk and what is used are the same one's.
    changing: tokio::sync::Mutex<()>,
    secrets: RwLock<BTreeMap<String, (Secret, Timestamp)>>,
    /// As they were written before this start; an alias takes up its own.
    tokens: Mutex<BTreeMap<String, Secret>>,
}

impl Vault {
    /// The store over `written`, which is what `rows` holds, with the key at `place`.
    ///
    /// # Errors
    /// LG-3010 if there is something to open, and the key is not there or does not open it.
    pub fn open(place: KeyPlace, rows: Arc<dyn SealedRows>, written: Vec<SealedRow>, random: Arc<dyn Random>) -> Result<Self, Problem> {
        let (key, changing, secrets, tokens) = (Mutex::default(), tokio::sync::Mutex::default(), RwLock::default(), Mutex::default());
        let vault = Self { place, rows, random, key, changing, secrets, tokens };
        if written.is_empty() {
            return Ok(vault);
        }
        let key = vault.place.load()?.ok_or_else(|| vault.lost("is not there"))?;
        for SealedRow { kind, name, sealed, written_at } in written {
            let opened = key.open((kind.as_str(), &name), &sealed).map_err(|why| vault.unopened(why, kind, &name))?;
            match kind {
                SealedKind::Secret => drop(write(&vault.secrets).insert(name, (opened, written_at))),
                SealedKind::Token => drop(lock(&vault.tokens).insert(name, opened)),
            }
        }
        *lock(&vault.key) = Some(Arc::new(key));
        Ok(vault)
    }

    /// A store that keeps nothing, for a host that lives in memory alone.
    pub fn in_memory() -> Self {
        let key = SealKey::new(zeroize::Zeroizing::new([7; seal::KEY_BYTES]));
        Self {
            place: KeyPlace::Nowhere,
            rows: Arc::new(NoRows),
            // Nobody ever sees what is sealed.
            random: Arc::new(SeededRandom::new(7)),
            key: Mutex::new(Some(Arc::new(key))),
            changing: tokio::sync::Mutex::default(),
            secrets: RwLock::default(),
            tokens: Mutex::default(),
        }
    }

    /// Finds the key, or makes it, so that nothing that can be found out now is found out at the first token.
    pub fn prepare(&self) -> Result<(), Problem> {
        self.key().map(drop)
    }

    /// The secret that was set under `name`.
    pub fn get(&self, name: &str) -> Option<Secret> {
        read(&self.secrets).get(name).map(|(secret, _)| secret.clone())
    }

    /// What was set, and when; never the values.
    pub fn list(&self) -> Vec<SetSecret> {
        read(&self.secrets).iter().map(|(name, (_, set_at))| SetSecret { name: name.clone(), set_at: *set_at }).collect()
    }

    /// Keeps `secret` under `name`. It is on disk, sealed, before anybody reads it.
    ///
    /// # Errors
    /// LG-1005 for a secret that is empty or over 64 KiB, LG-3010, and what the store says.
    pub async fn set(&self, name: &str, secret: Secret, now: Timestamp) -> Result<(), Problem> {
        let size = secret.expose().len();
        if !(1..=SECRET_BYTES_MAX).contains(&size) {
            return Err(Problem::new(Code::WrongValue, format!("a secret has 1 byte to 64 KiB; this one has {size} bytes")));
        }
        let _changing = self.changing.lock().await;
        let is_one_more = |secrets: &BTreeMap<_, _>| !secrets.contains_key(name) && secrets.len() >= SECRETS_MAX;
        if is_one_more(&read(&self.secrets)) {
            return Err(Problem::new(Code::WrongValue, format!("{SECRETS_MAX} secrets are set already")).fix("lockgate secret unset NAME"));
        }
        self.put(SealedKind::Secret, name, &secret, now).await?;
        write(&self.secrets).insert(name.to_owned(), (secret, now));
        Ok(())
    }

    /// Forgets what was set under `name`. False if nothing was.
    pub async fn unset(&self, name: &str) -> Result<bool, Problem> {
        let _changing = self.changing.lock().await;
        self.rows.remove(SealedKind::Secret, name).await?;
        Ok(write(&self.secrets).remove(name).is_some())
    }

    /// The token of `alias` that was kept before this start, once.
    pub fn take_token(&self, alias: &str) -> Option<Secret> {
        lock(&self.tokens).remove(alias)
    }

    /// Keeps the token of `alias`. It is on disk, sealed, when this returns.
    pub async fn keep_token(&self, alias: &str, token: &Secret, now: Timestamp) -> Result<(), Problem> {
        self.put(SealedKind::Token, alias, token, now).await
    }

    async fn put(&self, kind: SealedKind, name: &str, content: &Secret, written_at: Timestamp) -> Result<(), Problem> {
        let sealed = self.key()?.seal((kind.as_str(), name), content, &*self.random);
        let sealed = sealed.ok_or_else(|| Problem::new(Code::Internal, "a secret could not be sealed"))?;
        self.rows.put(SealedRow { kind, name: name.to_owned(), sealed, written_at }).await
    }

    fn key(&self) -> Result<Arc<SealKey>, Problem> {
        let mut key = lock(&self.key);
        if let Some(key) = &*key {
            return Ok(Arc::clone(key));
        }
        let made = Arc::new(self.place.load_or_create(&*self.random)?);
        *key = Some(Arc::clone(&made));
        Ok(made)
    }

    fn unopened(&self, why: Unopened, kind: SealedKind, name: &str) -> Problem {
        match why {
            Unopened::AnotherKey => self.lost("is not the one that sealed what the data folder holds"),
            Unopened::Damaged => self.lost(&format!("does not open the {} of {name}: {why}", kind.as_str())),
        }
    }

    /// Without the key nothing can be done but forget.
    fn lost(&self, what: &str) -> Problem {
        let problem = self.place.problem(what);
        let fix = problem.fix.clone().unwrap_or_default();
        problem.fix(format!("{fix}; if it is lost for good: lockgate secret unset --all, then set the secrets anew"))
    }
}

/// Where a host's secrets come from: what was set goes before what the environment's files name.
#[derive(Debug)]
pub struct SetBefore {
    pub vault: Arc<Vault>,
    pub otherwise: Arc<dyn SecretSource>,
}

impl SecretSource for SetBefore {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        match (self.vault.get(&reference.name), &reference.place) {
            (Some(secret), _) => Ok(secret),
            (None, SecretPlace::Store) => Err(missing(reference)),
            (None, _) => self.otherwise.read(reference),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(shared: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(shared: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    shared.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub mod tests;
