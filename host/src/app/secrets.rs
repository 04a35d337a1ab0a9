//! The secrets store of a data folder: the vault over its sealed rows, with the key that `lockgate.toml` names.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::ground::open_store;
use crate::admin::LOCAL;
use crate::alias::Environment;
use crate::alias::secret::{Secret, SecretPlace};
use crate::alias::vault::{KeyPlace, SealedKind, SealedRow, SealedRows, Vault};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::HostConfig;
use crate::message_store::audit::{Act, Came, Note, Way};
use crate::message_store::sqlite::{Sealed, SealedEntry, SqliteStore};
use crate::problem::Problem;
use crate::random::{OsRandom, Random};

/// Opens the secrets store of `store`, which is in the data folder of `config`.
///
/// # Errors
/// LG-3010 if the key is in the data folder, or is needed and not there or another; LG-3005 if the rows cannot be read.
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
    let written = rows.all().await.map_err(|why| why.problem("secrets store"))?;
    let row = |entry: SealedEntry| {
        let SealedEntry { kind, name, sealed, written_at } = entry;
        SealedKind::parse(&kind).map(|kind| SealedRow { kind, name, sealed, written_at })
    };
    Vault::open(place, Arc::new(Rows(rows)), written.into_iter().filter_map(row).collect(), random)
}

/// Opens the data folder of a host that does not run, and its secrets store.
///
/// # Errors
/// LG-3002 if a host runs on it; as [`open`].
pub async fn open_stopped(config: &HostConfig) -> Result<(SqliteStore, Vault), Problem> {
    let store = open_folder(config)?;
    let vault = open(config, &store, Arc::new(OsRandom)).await?;
    Ok((store, vault))
}

/// Sets a secret in the data folder of a host that does not run. Gives when.
///
/// # Errors
/// As [`open_stopped`] and [`Vault::set`].
pub async fn set_stopped(config: &HostConfig, name: &str, secret: Secret) -> Result<Timestamp, Problem> {
    let (store, vault) = open_stopped(config).await?;
    let was_set = is_set(&vault, name);
    let note = entry(&store, Act::SetSecret, format!("secret {name}")).before(json!({ "set": was_set }));
    let at = note.at;
    let set = noted(&store, note.after(json!({ "set": true })), vault.set(name, secret, at)).await;
    drop(vault);
    store.close().await;
    set.map(|()| at)
}

/// Forgets a secret in the data folder of a host that does not run. False if it is not set.
///
/// # Errors
/// As [`open_stopped`], and what the store says.
pub async fn unset_stopped(config: &HostConfig, name: &str) -> Result<bool, Problem> {
    let (store, vault) = open_stopped(config).await?;
    let unset = if is_set(&vault, name) {
        let note = entry(&store, Act::UnsetSecret, format!("secret {name}")).before(json!({ "set": true }));
        noted(&store, note.after(json!({ "set": false })), vault.unset(name)).await
    } else {
        Ok(false)
    };
    drop(vault);
    store.close().await;
    unset
}

/// Forgets everything that is sealed in the data folder of a host that does not run; the key is not needed for that.
///
/// # Errors
/// LG-3002 if a host runs on it.
pub async fn forget_all(config: &HostConfig) -> Result<(), Problem> {
    let store = open_folder(config)?;
    let rows = store.sealed();
    let forget = async { rows.remove_all().await.map_err(|why| why.problem("secrets store")) };
    let forgotten = noted(&store, entry(&store, Act::UnsetSecret, "all secrets, and all tokens of aliases"), forget).await;
    drop(rows);
    store.close().await;
    forgotten
}

fn is_set(vault: &Vault, name: &str) -> bool {
    vault.list().iter().any(|set| set.name == name)
}

/// For the audit trail: whoever can open a data folder is as good as who has the token in it.
fn entry(store: &SqliteStore, act: Act, subject: impl Into<String>) -> Note {
    let clock = SystemClock::new();
    clock.not_before(store.last_seen_time());
    Note::new(clock.now(), (LOCAL, Way::Command), act, subject)
}

/// Does `work` between two entries: one that it was asked for, and one of what became of it.
async fn noted<T>(store: &SqliteStore, note: Note, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let enter = async |note: Note| store.audit().append(note).await.map(drop).map_err(|why| why.problem("audit trail"));
    enter(note.clone().came(Came::Asked)).await?;
    let done = work.await;
    enter(match &done {
        Ok(_) => note,
        Err(problem) => note.came(Came::Failed).after(json!({ "code": problem.code.as_str() })),
    })
    .await?;
    done
}

fn open_folder(config: &HostConfig) -> Result<SqliteStore, Problem> {
    open_store(&config.data, &Arc::new(SystemClock::new()))
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
        self.0.put(entry).await.map_err(|why| why.problem("secrets store"))
    }

    async fn remove(&self, kind: SealedKind, name: &str) -> Result<(), Problem> {
        self.0.remove(kind.as_str().to_owned(), name.to_owned()).await.map_err(|why| why.problem("secrets store"))
    }
}
