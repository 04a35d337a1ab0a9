//! The secrets store of a data folder: the vault over its sealed rows, with the key that `lockgate.toml` names.

use std::sync::Arc;

use async_trait::async_trait;

use crate::alias::Environment;
use crate::alias::secret::SecretPlace;
use crate::alias::vault::{KeyPlace, SealedKind, SealedRow, SealedRows, Vault};
use crate::config::HostConfig;
use crate::message_store::StoreError;
use crate::message_store::sqlite::{Sealed, SealedEntry, SqliteStore};
use crate::problem::{Code, Problem};
use crate::random::Random;

/// Opens the secrets store of `store`, which is in the data folder of `config`.
///
/// # Errors
/// LG-3008 if the key is in the data folder, or is needed and not there or another; LG-3005 if the rows cannot be read.
pub async fn open(config: &HostConfig, store: &SqliteStore, random: Arc<dyn Random>) -> Result<Vault, Problem> {
    let place = match &config.secrets_key {
        Some(SecretPlace::Env(name)) => KeyPlace::Env(name.clone()),
        Some(SecretPlace::File(path)) => KeyPlace::File(path.clone()),
        Some(SecretPlace::Store) | None => KeyPlace::of_user(),
    };
    if place.is_within(&config.data) {
        let fix = "name a file elsewhere in lockgate.toml: [secrets] key = { file = \"/etc/lockgate/secrets.key\" }";
        return Err(place.problem("is in the data folder, so that a copy of the folder would open what is sealed in it").fix(fix));
    }
    let rows = store.sealed();
    let written = rows.all().await.map_err(|why| failed(&why))?;
    let row = |entry: SealedEntry| {
        let SealedEntry { kind, name, sealed, written_at } = entry;
        SealedKind::parse(&kind).map(|kind| SealedRow { kind, name, sealed, written_at })
    };
    Vault::open(place, Arc::new(Rows(rows)), written.into_iter().filter_map(row).collect(), random)
}

/// Finds out now whether tokens could be kept, where an alias has any.
pub fn prepare(vault: &Vault, environment: &Environment) -> Result<(), Problem> {
    let has_tokens = environment.aliases.values().any(|alias| alias.auth.token_url().is_some());
    if has_tokens { vault.prepare() } else { Ok(()) }
}

/// The rows in the database.
#[derive(Debug)]
struct Rows(Sealed);

#[async_trait]
impl SealedRows for Rows {
    async fn put(&self, row: SealedRow) -> Result<(), Problem> {
        let SealedRow { kind, name, sealed, written_at } = row;
        let entry = SealedEntry { kind: kind.as_str().to_owned(), name, sealed, written_at };
        self.0.put(entry).await.map_err(|why| failed(&why))
    }

    async fn remove(&self, kind: SealedKind, name: &str) -> Result<(), Problem> {
        self.0.remove(kind.as_str().to_owned(), name.to_owned()).await.map_err(|why| failed(&why))
    }
}

fn failed(why: &StoreError) -> Problem {
    match why {
        StoreError::Failed(problem) => problem.clone(),
        StoreError::Full => Problem::new(Code::DiskFull, "the disk of the data folder is full").fix("free space on it"),
        other => Problem::new(Code::StoreFailed, format!("secrets store: {other}")).fix("look at the disk and the host's log"),
    }
}
