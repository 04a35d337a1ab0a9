//! `key-value`: a small durable map of the integration. Writes are buffered, read back by the call itself, and committed with
//! the settlement or never.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::Unavailable;
use super::over::{Over, count};
use super::rows::RowLocks;
use crate::clock::{Clock, Timestamp};
use crate::integration::Limit;
use crate::message_store::{KeyValueRead, KeyValueWrite};
use crate::plugin::limits::Limits;

/// The most keys of one page.
const PAGE_KEYS_MAX: u32 = 1_000;

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvError {
    InvalidKey,
    ValueTooLarge,
    QuotaExceeded,
    NotANumber,
}

/// What an operation gives: the host's own trouble outside, the plugin's inside.
pub type Answer<T> = Result<Result<T, KvError>, Unavailable>;

/// What every call's key-value data hangs on.
#[derive(Clone)]
pub struct Stored {
    pub reads: Arc<dyn KeyValueRead>,
    pub locks: Arc<RowLocks>,
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("locks", &self.locks).finish_non_exhaustive()
    }
}

/// One integration's data as one call sees it.
#[derive(Debug)]
pub struct KeyValue {
    stored: Stored,
    integration: String,
    key_bytes_max: usize,
    value_bytes_max: usize,
    quota_bytes: u64,
    buffered: BTreeMap<String, Buffered>,
    held: Vec<OwnedMutexGuard<()>>,
    /// What the integration has stored, asked once.
    used_bytes: Option<u64>,
    /// Something that the delivery wrote itself was asked for when its time was over: what the call saw depends on how long it took.
    saw_time_pass: AtomicBool,
    over: Over,
}

#[derive(Clone, Debug)]
struct Buffered {
    value: Option<Vec<u8>>,
    expires_at: Option<Timestamp>,
    /// Bytes of the committed row it replaces; asked when the quota gets tight.
    replaces_bytes: Option<u64>,
}

impl Buffered {
    fn new(value: Option<Vec<u8>>, expires_at: Option<Timestamp>) -> Self {
        Self { value, expires_at, replaces_bytes: None }
    }

    fn value_at(&self, now: Timestamp) -> Option<&Vec<u8>> {
        self.value.as_ref().filter(|_| self.expires_at.is_none_or(|at| at > now))
    }
}

impl KeyValue {
    /// With the writes and row locks of the calls before it in the same delivery.
    pub fn new(stored: Stored, integration: &str, limits: &Limits, carried: Vec<KeyValueWrite>, held: Vec<OwnedMutexGuard<()>>) -> Self {
        let buffered = carried.into_iter().map(|write| (write.key, Buffered::new(write.value, write.expires_at))).collect();
        Self {
            stored,
            integration: integration.to_owned(),
            key_bytes_max: limits.key_bytes,
            value_bytes_max: limits.value_bytes,
            quota_bytes: limits.key_value_quota_bytes,
            buffered,
            held,
            used_bytes: None,
            saw_time_pass: AtomicBool::new(false),
            over: Over::default(),
        }
    }

    /// What is to be written, and the locks to be held until it is.
    pub fn into_effects(self) -> (Vec<KeyValueWrite>, Vec<OwnedMutexGuard<()>>) {
        let integration = self.integration;
        let writes = self.buffered.into_iter().map(|(key, buffered)| KeyValueWrite {
            integration: integration.clone(),
            key,
            value: buffered.value,
            expires_at: buffered.expires_at,
        });
        (writes.collect(), self.held)
    }

    /// Whether the call saw how much time passed in it: made again, it may see something else.
    pub fn saw_time_pass(&self) -> bool {
        self.saw_time_pass.load(Ordering::Relaxed)
    }

    /// The limits it ran into.
    pub fn over(&self) -> &Over {
        &self.over
    }

    /// The value of `key`: what this delivery wrote, else what is committed.
    pub async fn get(&mut self, key: &str) -> Answer<Option<Vec<u8>>> {
        if !self.valid(key) {
            return Ok(Err(KvError::InvalidKey));
        }
        Ok(Ok(self.read(key).await?))
    }

    pub async fn set(&mut self, key: String, value: Vec<u8>, ttl: Option<Duration>) -> Answer<()> {
        if !self.valid(&key) {
            return Ok(Err(KvError::InvalidKey));
        }
        if !self.fits(&value) {
            return Ok(Err(KvError::ValueTooLarge));
        }
        let expires_at = ttl.map(|ttl| self.stored.clock.now().plus(ttl));
        self.write(key, Buffered::new(Some(value), expires_at)).await
    }

    pub async fn delete(&mut self, key: String) -> Answer<()> {
        if !self.valid(&key) {
            return Ok(Err(KvError::InvalidKey));
        }
        self.write(key, Buffered::new(None, None)).await
    }

    /// One page of keys in byte order, and where the next one starts.
    pub async fn list(&self, prefix: &str, cursor: Option<String>, limit: u32) -> Answer<(Vec<String>, Option<String>)> {
        let too_long = |text: &str| text.len() > self.key_bytes_max;
        if too_long(prefix) || cursor.as_deref().is_some_and(too_long) {
            return Ok(Err(KvError::InvalidKey));
        }
        let limit = usize::try_from(limit.clamp(1, PAGE_KEYS_MAX)).unwrap_or(1);
        let now = self.stored.clock.now();
        let after = cursor.as_deref();
        let inside = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let own: Vec<(&String, bool)> =
            self.buffered.iter().filter(|(key, _)| inside(key)).map(|(key, buffered)| (key, self.own(buffered, now).is_some())).collect();
        // So many that with every one of our own taken away a page and one key are left, if there are that many.
        let ask = limit.saturating_add(own.len()).saturating_add(1);
        let committed = self.stored.reads.list(&self.integration, prefix, after, ask, now).await?;
        let mut keys: std::collections::BTreeSet<String> = committed.into_iter().collect();
        for (key, there) in own {
            if there {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
        }
        let more = keys.len() > limit;
        let page: Vec<String> = keys.into_iter().take(limit).collect();
        let cursor = if more { page.last().cloned() } else { None };
        Ok(Ok((page, cursor)))
    }

    /// Sets `key` if it holds `expected`. From here to the settlement nobody else compares or increments it.
    pub async fn compare_and_swap(&mut self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Answer<bool> {
        if !self.valid(&key) {
            return Ok(Err(KvError::InvalidKey));
        }
        if !self.fits(&value) {
            return Ok(Err(KvError::ValueTooLarge));
        }
        self.lock(&key).await;
        if self.read(&key).await? != expected {
            return Ok(Ok(false));
        }
        Ok(self.write(key, Buffered::new(Some(value), None)).await?.map(|()| true))
    }

    /// Adds to the decimal integer at `key`, under the same lock.
    pub async fn increment(&mut self, key: String, delta: i64) -> Answer<i64> {
        if !self.valid(&key) {
            return Ok(Err(KvError::InvalidKey));
        }
        self.lock(&key).await;
        let Some(sum) = number(self.read(&key).await?.as_deref()).and_then(|stored| stored.checked_add(delta)) else {
            return Ok(Err(KvError::NotANumber));
        };
        let value = Some(sum.to_string().into_bytes());
        Ok(self.write(key, Buffered::new(value, None)).await?.map(|()| sum))
    }

    async fn lock(&mut self, key: &str) {
        let locks = self.stored.locks.clone();
        locks.lock(&self.integration, key, &mut self.held).await;
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        let now = self.stored.clock.now();
        match self.buffered.get(key) {
            Some(buffered) => Ok(self.own(buffered, now).cloned()),
            None => Ok(self.stored.reads.get(&self.integration, key, now).await?),
        }
    }

    fn own<'b>(&self, buffered: &'b Buffered, now: Timestamp) -> Option<&'b Vec<u8>> {
        let value = buffered.value_at(now);
        if value.is_none() && buffered.value.is_some() {
            self.saw_time_pass.store(true, Ordering::Relaxed);
        }
        value
    }

    async fn write(&mut self, key: String, buffered: Buffered) -> Answer<()> {
        let replaces_bytes = self.buffered.get(&key).and_then(|before| before.replaces_bytes);
        let before = self.buffered.insert(key.clone(), Buffered { replaces_bytes, ..buffered });
        if self.within_quota().await? {
            return Ok(Ok(()));
        }
        let buffered = self.buffered.iter().map(|(key, buffered)| row_bytes(key, buffered.value.as_deref())).sum::<u64>();
        self.over.note(Limit::KeyValue, self.used_bytes.unwrap_or(0).saturating_add(buffered), self.quota_bytes);
        match before {
            Some(before) => self.buffered.insert(key, before),
            None => self.buffered.remove(&key),
        };
        Ok(Err(KvError::QuotaExceeded))
    }

    /// Whether everything committed and buffered fits. Cheap while it fits even if nothing buffered replaced anything.
    async fn within_quota(&mut self) -> Result<bool, Unavailable> {
        let used = match self.used_bytes {
            Some(used) => used,
            None => *self.used_bytes.insert(self.stored.reads.used_bytes(&self.integration).await?),
        };
        let added: u64 = self.buffered.iter().map(|(key, buffered)| row_bytes(key, buffered.value.as_deref())).sum();
        if used.saturating_add(added) <= self.quota_bytes {
            return Ok(true);
        }
        // Nothing may be added beyond the quota whatever it replaces: what is buffered is in memory.
        if added > self.quota_bytes {
            return Ok(false);
        }
        let now = self.stored.clock.now();
        let mut replaced = 0_u64;
        for (key, buffered) in &mut self.buffered {
            let bytes = match buffered.replaces_bytes {
                Some(bytes) => bytes,
                None => {
                    let committed = self.stored.reads.get(&self.integration, key, now).await?;
                    *buffered.replaces_bytes.insert(row_bytes(key, committed.as_deref()))
                }
            };
            replaced = replaced.saturating_add(bytes);
        }
        Ok(used.saturating_sub(replaced).saturating_add(added) <= self.quota_bytes)
    }

    fn valid(&mut self, key: &str) -> bool {
        if key.len() > self.key_bytes_max {
            self.over.note(Limit::Key, count(key.len()), count(self.key_bytes_max));
        }
        !key.is_empty() && key.len() <= self.key_bytes_max && !key.contains('\0')
    }

    fn fits(&mut self, value: &[u8]) -> bool {
        let fits = value.len() <= self.value_bytes_max;
        if !fits {
            self.over.note(Limit::Value, count(value.len()), count(self.value_bytes_max));
        }
        fits
    }
}

fn row_bytes(key: &str, value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| u64::try_from(key.len().saturating_add(value.len())).unwrap_or(u64::MAX))
}

/// 0 where nothing is stored; none where what is stored is no decimal integer.
fn number(value: Option<&[u8]>) -> Option<i64> {
    let Some(value) = value else { return Some(0) };
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "key_value_tests.rs"]
mod tests;
