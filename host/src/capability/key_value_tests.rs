//! The key-value capability: what a call sees of its own writes, paging, quotas, row locks.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::clock::ManualClock;
use crate::message_store::StoreError;

/// Committed rows of one integration.
#[derive(Default)]
struct Committed(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl KeyValueRead for Committed {
    async fn get(&self, integration: &str, key: &str, _: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        assert_eq!(integration, "orders");
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn list(&self, _: &str, prefix: &str, after: Option<&str>, limit: usize, _: Timestamp) -> Result<Vec<String>, StoreError> {
        let rows = self.0.lock().unwrap();
        let inside = |key: &&String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        Ok(rows.keys().filter(inside).take(limit).cloned().collect())
    }

    async fn used_bytes(&self, _: &str) -> Result<u64, StoreError> {
        Ok(self.0.lock().unwrap().iter().map(|(key, value)| row_bytes(key, Some(value))).sum())
    }
}

struct Fixture {
    stored: Stored,
    clock: Arc<ManualClock>,
}

fn fixture(rows: &[(&str, &str)]) -> Fixture {
    let committed = Committed::default();
    committed.0.lock().unwrap().extend(rows.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())));
    let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
    Fixture { stored: Stored { reads: Arc::new(committed), locks: Arc::default(), clock: clock.clone() }, clock }
}

impl Fixture {
    fn data(&self, limits: &Limits) -> KeyValue {
        KeyValue::new(self.stored.clone(), "orders", limits, Vec::new(), Vec::new())
    }
}

#[tokio::test]
async fn refuses_bad_keys_and_large_values() {
    let fixture = fixture(&[]);
    let mut data = fixture.data(&Limits { value_bytes: 3, key_bytes: 3, ..Limits::default() });
    for key in ["", "a\0", "long"] {
        assert_eq!(data.get(key).await.unwrap(), Err(KvError::InvalidKey));
        assert_eq!(data.set(key.to_owned(), vec![], None).await.unwrap(), Err(KvError::InvalidKey));
        assert_eq!(data.increment(key.to_owned(), 1).await.unwrap(), Err(KvError::InvalidKey));
    }
    assert_eq!(data.set("a".into(), vec![0; 4], None).await.unwrap(), Err(KvError::ValueTooLarge));
    assert_eq!(data.compare_and_swap("a".into(), None, vec![0; 4]).await.unwrap(), Err(KvError::ValueTooLarge));
}

#[tokio::test]
async fn refuses_what_is_over_the_quota_and_counts_what_is_replaced() {
    let fixture = fixture(&[("a", "123456789")]);
    let mut data = fixture.data(&Limits { key_value_quota_bytes: 15, ..Limits::default() });
    assert_eq!(data.set("b".into(), vec![0; 5], None).await.unwrap(), Err(KvError::QuotaExceeded));
    assert_eq!(data.get("b").await.unwrap(), Ok(None));
    assert_eq!(data.set("a".into(), vec![0; 13], None).await.unwrap(), Ok(()), "replaces the old value");
    assert_eq!(data.delete("a".into()).await.unwrap(), Ok(()));
    assert_eq!(data.set("b".into(), vec![0; 13], None).await.unwrap(), Ok(()), "the deleted row counts no more");
}

#[tokio::test]
async fn reads_back_its_own_writes_and_gives_them_as_effects() {
    let fixture = fixture(&[("kept", "old"), ("gone", "x")]);
    let mut data = fixture.data(&Limits::default());
    data.set("new".into(), b"1".to_vec(), Some(Duration::from_millis(500))).await.unwrap().unwrap();
    data.delete("gone".into()).await.unwrap().unwrap();
    assert_eq!(data.get("new").await.unwrap(), Ok(Some(b"1".to_vec())));
    assert_eq!(data.get("gone").await.unwrap(), Ok(None));
    assert_eq!(data.get("kept").await.unwrap(), Ok(Some(b"old".to_vec())));
    fixture.clock.advance(Duration::from_millis(500));
    assert_eq!(data.get("new").await.unwrap(), Ok(None), "its time is over");
    let (writes, locks) = data.into_effects();
    assert!(locks.is_empty());
    let written: Vec<_> = writes.iter().map(|w| (w.key.as_str(), w.value.as_deref(), w.expires_at)).collect();
    assert_eq!(written, [("gone", None, None), ("new", Some(b"1".as_slice()), Some(Timestamp(1_500)))]);
}

#[tokio::test]
async fn carries_the_writes_and_locks_of_the_calls_before() {
    let fixture = fixture(&[]);
    let mut first = fixture.data(&Limits::default());
    first.increment("n".into(), 2).await.unwrap().unwrap();
    let (writes, held) = first.into_effects();
    let mut second = KeyValue::new(fixture.stored.clone(), "orders", &Limits::default(), writes, held);
    assert_eq!(second.increment("n".into(), 3).await.unwrap(), Ok(5));
    let (writes, held) = second.into_effects();
    assert_eq!((writes.len(), held.len()), (1, 1));
}

#[tokio::test]
async fn pages_through_committed_and_own_keys_in_order() {
    let fixture = fixture(&[("p/a", ""), ("p/c", ""), ("p/e", ""), ("p/g", ""), ("q", "")]);
    let mut data = fixture.data(&Limits::default());
    for key in ["p/b", "p/z"] {
        data.set(key.into(), vec![], None).await.unwrap().unwrap();
    }
    for key in ["p/c", "p/e"] {
        data.delete(key.into()).await.unwrap().unwrap();
    }
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = data.list("p/", cursor, 2).await.unwrap().unwrap();
        assert!(page.len() <= 2);
        keys.extend(page);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["p/a", "p/b", "p/g", "p/z"]);
}

#[tokio::test]
async fn counts_under_a_lock_that_lasts_until_the_effects_are_dropped() {
    let fixture = fixture(&[("n", "40"), ("text", "x"), ("max", &i64::MAX.to_string())]);
    let mut first = fixture.data(&Limits::default());
    assert_eq!(first.increment("n".into(), 2).await.unwrap(), Ok(42));
    assert_eq!(first.increment("text".into(), 1).await.unwrap(), Err(KvError::NotANumber));
    assert_eq!(first.increment("max".into(), 1).await.unwrap(), Err(KvError::NotANumber));
    let effects = first.into_effects();
    let mut second = fixture.data(&Limits::default());
    {
        let mut waiting = std::pin::pin!(second.compare_and_swap("n".into(), Some(b"40".to_vec()), b"1".to_vec()));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "the first call has not settled");
        drop(effects);
        assert_eq!(waiting.await.unwrap(), Ok(true), "it never settled, so the committed value holds");
    }
    assert_eq!(second.compare_and_swap("n".into(), Some(b"40".to_vec()), b"2".to_vec()).await.unwrap(), Ok(false));
}
