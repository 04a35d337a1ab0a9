//! A store to be tried, with its clock and short words for what is done to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::integration::ReleaseId;
use crate::message::{FailureClass, Headers, Key, Message, MessageId, Outcome, Tracked};
use crate::message_store::memory::MemoryStore;
use crate::message_store::sqlite::ledger::{DeadLetterQuery, MessageQuery, State, TimelineQuery};
use crate::message_store::sqlite::{Options, SqliteStore};
use crate::message_store::{
    Accept, Accepted, Append, AppendedMessage, Attempt, DeadLetterId, Dedup, DeliveryId, Discard, Edit, KeyValueRead, Lane, Lease, Leased,
    MessageStore, NewDelivery, Replay, Replayed, Settle, Settlement, StoreError, Superseded, WaitingMax, Wake,
};
use crate::random::SeededRandom;

pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// How to reach into a store from outside.
#[async_trait]
pub trait Subject: Send + Sync {
    fn store(&self) -> Arc<dyn MessageStore>;
    fn key_values(&self) -> Arc<dyn KeyValueRead>;
    fn wake_through(&self, wake: Arc<dyn Wake>);
    /// The host dies and comes back.
    async fn crash(&mut self);
    async fn dead_letters(&self) -> Vec<SeenDeadLetter>;
    async fn outcomes(&self, message: MessageId) -> Vec<(String, Outcome, u32)>;
    async fn tracked(&self, message: MessageId) -> Vec<Tracked>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenDeadLetter {
    pub id: DeadLetterId,
    pub message: MessageId,
    pub integration: String,
    pub class: FailureClass,
    pub code: String,
    pub detail: String,
    pub fingerprint: String,
    pub replay: u32,
}

#[derive(Default)]
pub struct InMemory(Arc<MemoryStore>);

#[async_trait]
impl Subject for InMemory {
    fn store(&self) -> Arc<dyn MessageStore> {
        self.0.clone()
    }

    fn key_values(&self) -> Arc<dyn KeyValueRead> {
        self.0.clone()
    }

    fn wake_through(&self, wake: Arc<dyn Wake>) {
        self.0.wake_through(wake);
    }

    async fn crash(&mut self) {
        self.0.crash();
    }

    async fn dead_letters(&self) -> Vec<SeenDeadLetter> {
        let open = self.0.dead_letters().into_iter().filter(|letter| letter.closed.is_none());
        let seen = open.map(|letter| SeenDeadLetter {
            id: letter.id,
            message: letter.message,
            integration: letter.integration().to_owned(),
            class: letter.class,
            replay: letter.replay(),
            code: letter.code,
            detail: letter.detail,
            fingerprint: letter.fingerprint,
        });
        seen.collect()
    }

    async fn outcomes(&self, message: MessageId) -> Vec<(String, Outcome, u32)> {
        let ended = self.0.outcomes().into_iter().filter(|ended| ended.message == message);
        ended.map(|ended| (ended.integration, ended.outcome, ended.replay)).collect()
    }

    async fn tracked(&self, message: MessageId) -> Vec<Tracked> {
        self.0.tracked(message)
    }
}

pub struct OnDisk {
    pub store: Option<SqliteStore>,
    pub folder: tempfile::TempDir,
}

impl OnDisk {
    pub fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Some(SqliteStore::open(folder.path(), options()).unwrap()), folder }
    }

    pub fn sqlite(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }
}

/// A clock that stands, so that nothing is ever called busy, and no word of the disk's room.
pub fn options() -> Options {
    Options { reserve_bytes: 0, ..Options::new(Arc::new(ManualClock::at(START))) }
}

#[async_trait]
impl Subject for OnDisk {
    fn store(&self) -> Arc<dyn MessageStore> {
        Arc::new(self.sqlite().clone())
    }

    fn key_values(&self) -> Arc<dyn KeyValueRead> {
        Arc::new(self.sqlite().key_value())
    }

    fn wake_through(&self, wake: Arc<dyn Wake>) {
        self.sqlite().wake_through(wake);
    }

    async fn crash(&mut self) {
        drop(self.store.take());
        self.store = Some(SqliteStore::open(self.folder.path(), options()).unwrap());
    }

    async fn dead_letters(&self) -> Vec<SeenDeadLetter> {
        let query = DeadLetterQuery { limit: 1000, ..DeadLetterQuery::default() };
        let mut rows = self.sqlite().ledger().dead_letters(query).await.unwrap().dead_letters;
        rows.reverse();
        let seen = rows.into_iter().map(|row| SeenDeadLetter {
            id: row.id,
            message: row.message,
            integration: row.integration,
            class: row.class,
            code: row.code,
            detail: row.detail,
            fingerprint: row.fingerprint,
            replay: u32::try_from(row.replay).unwrap(),
        });
        seen.collect()
    }

    async fn outcomes(&self, message: MessageId) -> Vec<(String, Outcome, u32)> {
        let Some(timeline) = self.sqlite().ledger().message(TimelineQuery::of(message)).await.unwrap() else { return Vec::new() };
        let outcome = |state: State| Outcome::parse(state.as_str()).unwrap();
        let rows = timeline.outcomes.into_iter();
        rows.map(|row| (row.integration, outcome(row.outcome), u32::try_from(row.replay).unwrap())).collect()
    }

    async fn tracked(&self, message: MessageId) -> Vec<Tracked> {
        let shown = self.sqlite().ledger().message(TimelineQuery::of(message)).await.unwrap().unwrap().message.tracked;
        for Tracked { name, value } in &shown {
            let query = MessageQuery { tracked: Some((name.clone(), value.clone())), ..MessageQuery::default() };
            let found = self.sqlite().ledger().messages(query).await.unwrap().messages;
            assert!(found.iter().any(|row| row.id == message), "what is shown is what it is found by");
        }
        shown
    }
}

/// A store, its clock, and what it woke.
pub struct World {
    subject: Box<dyn Subject>,
    clock: ManualClock,
    random: SeededRandom,
    pub woken: Arc<Woken>,
}

#[derive(Default)]
pub struct Woken(Mutex<Vec<String>>);

impl Wake for Woken {
    fn wake(&self, integration: &str) {
        self.0.lock().unwrap().push(integration.to_owned());
    }
}

impl Woken {
    /// Who was woken since this was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl World {
    pub fn new(subject: impl Subject + 'static) -> Self {
        let woken = Arc::new(Woken::default());
        subject.wake_through(woken.clone());
        Self { subject: Box::new(subject), clock: ManualClock::at(START), random: SeededRandom::new(7), woken }
    }

    pub fn store(&self) -> Arc<dyn MessageStore> {
        self.subject.store()
    }

    pub fn key_values(&self) -> Arc<dyn KeyValueRead> {
        self.subject.key_values()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    /// Its time is that of `clock`, which must not have gone back.
    pub fn follow(&self, clock: &dyn Clock) {
        assert!(clock.now() >= self.now(), "time went back");
        self.clock.advance(clock.now().since(self.now()));
    }

    pub async fn crash(&mut self) {
        self.subject.crash().await;
    }

    pub fn message(&self, body: &str, key: Option<&str>) -> Message {
        Message {
            id: MessageId::new(self.now(), &self.random),
            parent: None,
            key: key.map(|key| Key(key.to_owned())),
            content_type: "application/json".into(),
            headers: Headers(vec![("x-topic".into(), "orders/create".into()), ("x-topic".into(), "again".into())]),
            body: Bytes::copy_from_slice(body.as_bytes()),
            tracked: vec![Tracked { name: "order".into(), value: format!("#{body}") }],
            origin: "webhook /shop/orders".into(),
            accepted_at: self.now(),
        }
    }

    /// A message for `crm`, in the lane of its key.
    pub async fn accept(&self, body: &str, key: Option<&str>) -> MessageId {
        let lane = key.map_or(Lane::Free, |key| Lane::Key(key.into()));
        self.accept_for(body, &[("crm", lane)]).await
    }

    pub async fn accept_for(&self, body: &str, readers: &[(&str, Lane)]) -> MessageId {
        let message = self.message(body, None);
        let id = message.id;
        assert_eq!(self.accept_as(message, None, readers).await.unwrap(), Accepted::New);
        id
    }

    pub async fn accept_as(&self, message: Message, dedup: Option<Dedup>, readers: &[(&str, Lane)]) -> Result<Accepted, StoreError> {
        let deliveries = self.deliveries(readers);
        self.store().accept(Accept { message: Arc::new(message), dedup, deliveries, waiting_max: WaitingMax::each(100) }).await
    }

    /// A message for `crm`, of which so many may wait.
    pub async fn accept_at_most(&self, body: &str, key: Option<&str>, waiting_max: WaitingMax) -> Accepted {
        let lane = key.map_or(Lane::Free, |key| Lane::Key(key.into()));
        let (message, deliveries) = (Arc::new(self.message(body, None)), self.deliveries(&[("crm", lane)]));
        self.store().accept(Accept { message, dedup: None, deliveries, waiting_max }).await.unwrap()
    }

    pub fn deliveries(&self, readers: &[(&str, Lane)]) -> Vec<NewDelivery> {
        let due_at = self.now();
        let deliver = |(integration, lane): &(&str, Lane)| NewDelivery {
            integration: (*integration).into(),
            lane: lane.clone(),
            ordering: 0,
            due_at,
            record: None,
        };
        readers.iter().map(deliver).collect()
    }

    /// All that is due for `integration`.
    pub async fn lease(&self, integration: &str) -> Vec<Leased> {
        self.store().lease(Lease { integration: integration.into(), now: self.now(), limit: 100, bytes_max: usize::MAX }).await.unwrap()
    }

    /// The one delivery that is due for `crm`.
    pub async fn lease_one(&self) -> Leased {
        let mut leased = self.lease("crm").await;
        assert_eq!(leased.len(), 1, "{leased:?}");
        leased.remove(0)
    }

    pub fn settlement(&self, delivery: DeliveryId, settlement: Settlement) -> Settle {
        settled_at(delivery, settlement, self.now())
    }

    pub async fn settle(&self, delivery: DeliveryId, settlement: Settlement) {
        self.store().settle(Arc::new(self.settlement(delivery, settlement))).await.unwrap();
    }

    pub async fn deliver(&self, delivery: DeliveryId) {
        self.settle(delivery, delivered()).await;
    }

    /// Dead-letters it and gives the dead letter.
    pub async fn kill(&self, delivery: DeliveryId) -> DeadLetterId {
        self.settle(delivery, dead()).await;
        self.dead_letters().await.last().unwrap().id
    }

    pub async fn dead_letters(&self) -> Vec<SeenDeadLetter> {
        self.subject.dead_letters().await
    }

    pub async fn outcomes(&self, message: MessageId) -> Vec<(String, Outcome, u32)> {
        self.subject.outcomes(message).await
    }

    /// What the message is found by, in order: `name=value`.
    pub async fn tracked(&self, message: MessageId) -> Vec<String> {
        let mut tracked = self.subject.tracked(message).await;
        tracked.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
        tracked.into_iter().map(|tracked| format!("{}={}", tracked.name, tracked.value)).collect()
    }

    pub async fn replay(&self, dead_letter: DeadLetterId, superseded: Superseded) -> Result<Replayed, StoreError> {
        self.store().replay(Replay { dead_letter, now: self.now(), due_at: self.now(), superseded, edit: None }).await
    }

    /// Replays it with `body` in place of what it carried, in `lane`.
    pub async fn edit(&self, letter: &SeenDeadLetter, body: &str, lane: Option<&str>) -> Result<Replayed, StoreError> {
        let id = Edit::id(letter.message, &letter.integration, letter.id, letter.replay + 1);
        let message = Arc::new(Message { id, parent: Some(letter.message), ..self.message(body, None) });
        let edit = Edit { message, lane: lane.map(str::to_owned), reason: "a typing error".into() };
        self.store()
            .replay(Replay { dead_letter: letter.id, now: self.now(), due_at: self.now(), superseded: Superseded::Ask, edit: Some(edit) })
            .await
    }

    pub async fn discard(&self, dead_letter: DeadLetterId) -> Result<(), StoreError> {
        self.store().discard(Discard { dead_letter, now: self.now(), reason: "a test order".into() }).await
    }

    pub fn append(&self, message: AppendedMessage, readers: &[(&str, Lane)]) -> Append {
        Append { message, channel: "orders.canonical".into(), dedup: None, due_at: self.now(), deliveries: self.deliveries(readers) }
    }

    /// The children `crm` makes of a message.
    pub fn children(&self, parent: &Message, bodies: &[&str]) -> Vec<Message> {
        let child = |(ordinal, body): (usize, &&str)| Message {
            id: parent.id.derive("crm", "child", u32::try_from(ordinal).unwrap(), 0),
            parent: Some(parent.id),
            ..self.message(body, None)
        };
        bodies.iter().enumerate().map(child).collect()
    }
}

/// A settlement with nothing beside it.
pub fn settled_at(delivery: DeliveryId, settlement: Settlement, at: Timestamp) -> Settle {
    let result = match &settlement {
        Settlement::Delivered { .. } => "delivered",
        Settlement::Skipped { .. } => "skipped",
        Settlement::FannedOut { .. } => "fanned-out",
        Settlement::Waits { .. } => "waited",
        Settlement::Retries { .. } | Settlement::DeadLettered { .. } => "failed",
    };
    let attempt = Attempt {
        release: ReleaseId("00".repeat(32)),
        started_at: at,
        ended_at: at,
        result,
        code: None,
        detail: None,
        trace: json!({"calls": []}).to_string().into(),
        exchanges: Vec::new(),
    };
    Settle { delivery, attempt, settlement, appends: Vec::new(), key_values: Vec::new(), tracked: Vec::new() }
}

pub fn delivered() -> Settlement {
    Settlement::Delivered { receipt: json!({"remote-id": "001"}) }
}

pub fn dead() -> Settlement {
    died(false)
}

/// Of an integration that orders strictly.
pub fn dead_and_stopping() -> Settlement {
    died(true)
}

fn died(stops_lane: bool) -> Settlement {
    Settlement::DeadLettered {
        class: FailureClass::Permanent,
        code: "REQUIRED_FIELD_MISSING".into(),
        detail: "no name".into(),
        fingerprint: "f00d".into(),
        stops_lane,
    }
}

pub fn body(leased: &Leased) -> &str {
    std::str::from_utf8(&leased.message.body).unwrap()
}

pub fn bodies(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(body).collect()
}

pub fn key(lane: &str) -> Lane {
    Lane::Key(lane.into())
}
