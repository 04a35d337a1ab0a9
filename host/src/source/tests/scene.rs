//! [`Scene`]: an integration `orders` that polls `shop` every minute, and what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::delivery::tests::lab::{Lab, draft, integration, plugin, receipt, step, text};
use crate::integration::{Entry, Integration, Occasion, Poll, Source, WaitingMax};
use crate::message::{Headers, Message, MessageId};
use crate::message_store::memory::MemoryStore;
use crate::message_store::suite::world::{delivered, settled_at};
use crate::message_store::{Accept, Accepted, Lane, Lease, MessageStore, NewDelivery, SourceState};
use crate::plugin::scripted::{Answer, ScriptedInvoker};
use crate::plugin::{Call, Item, Output, Page};
use crate::random::SeededRandom;
use crate::source::{Around, Limits, Sources};
use crate::telemetry::events::{Filter, Kind, Start};

pub const MINUTE: Duration = Duration::from_secs(60);

/// What the plugin `shop` was asked, and when.
pub type Asked = Arc<Mutex<Vec<(Timestamp, Option<String>)>>>;

pub struct Scene {
    pub lab: Lab,
    asked: Asked,
    pub limits: Limits,
}

/// The integration that polls. Its sink takes everything.
pub fn polling() -> Integration {
    let poll = Poll { name: "shop".into(), step: step("shop"), when: Occasion::Every(MINUTE) };
    let mut polling = integration("orders", &[], plugin("audit"));
    polling.sources = vec![Source { entry: Entry::Poll(poll), id: Vec::new(), key: None, track: BTreeMap::new() }];
    polling
}

/// An item whose body is its id.
pub fn item(id: &str) -> Item {
    Item { id: id.into(), key: None, draft: draft(id) }
}

pub fn page(ids: &[&str], cursor: &str, more: bool) -> Answer {
    Output::Page(Page { items: ids.iter().map(|id| item(id)).collect(), cursor: cursor.into(), more }).into()
}

impl Scene {
    /// With a plugin `shop` that answers by `script`.
    pub fn new(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self::over(|store| store, polling(), script)
    }

    /// With something between sources and the store.
    pub fn over(
        before: impl FnOnce(Arc<MemoryStore>) -> Arc<dyn MessageStore>,
        integration: Integration,
        script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let asked = Asked::default();
        let noted = asked.clone();
        let plugins = ScriptedInvoker::default().with("audit", |_| receipt().into()).with("shop", move |call| {
            noted.lock().unwrap().push((call.virtual_now, call.cursor.as_deref().map(str::to_owned)));
            script(call)
        });
        let lab = Lab::over(Arc::new(MemoryStore::new()), before, vec![integration], plugins);
        Self { lab, asked, limits: Limits { body_bytes: 100, waiting: WaitingMax::each(1_000) } }
    }

    /// The sources run from here on.
    pub fn start(&self) -> Sources {
        let delivery = &self.lab.delivery;
        Sources::start(&Around {
            store: delivery.store.clone(),
            plugins: delivery.plugins.clone(),
            catalog: delivery.catalog.clone(),
            aliases: self.lab.aliases.clone(),
            clock: delivery.clock.clone(),
            random: delivery.random.clone(),
            metrics: delivery.metrics.clone(),
            events: delivery.events.clone(),
            pauses: delivery.pauses.clone(),
            limits: self.limits,
        })
    }

    /// When the plugin was asked, in seconds since the start of the test, and with which cursor.
    pub fn asked(&self) -> Vec<(u64, Option<String>)> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(at, cursor)| (at.since(crate::delivery::tests::lab::START).as_secs(), cursor.clone())).collect()
    }

    /// The seconds alone.
    pub fn times(&self) -> Vec<u64> {
        self.asked().into_iter().map(|(at, _)| at).collect()
    }

    pub async fn state(&self) -> SourceState {
        self.lab.store.source("orders", "shop").await.unwrap().unwrap()
    }

    /// The bodies that wait, in order.
    pub async fn waiting(&self) -> Vec<String> {
        let lease =
            crate::message_store::Lease { integration: "orders".into(), now: self.lab.clock.now(), limit: 1_000, bytes_max: usize::MAX };
        let leased = self.lab.store.lease(lease).await.unwrap();
        for leased in &leased {
            self.lab.store.release(leased.id).await.unwrap();
        }
        leased.iter().map(|leased| text(&leased.message)).collect()
    }

    /// So many deliveries of an integration that nobody runs come to wait.
    pub async fn fill(&self, count: u64) {
        for number in 0..count {
            let now = self.lab.clock.now();
            let message = Message {
                id: MessageId::new(now, &SeededRandom::new(number)),
                parent: None,
                key: None,
                content_type: "text/plain".into(),
                headers: Headers::default(),
                body: bytes::Bytes::new(),
                tracked: Vec::new(),
                origin: "test".into(),
                accepted_at: now,
            };
            let delivery = NewDelivery { integration: "full".into(), lane: Lane::Free, ordering: 0, due_at: now, record: None };
            let waiting_max = WaitingMax::each(count);
            let accept = Accept { message: Arc::new(message), dedup: None, deliveries: vec![delivery], waiting_max };
            assert_eq!(self.lab.store.accept(accept).await.unwrap(), Accepted::New);
        }
    }

    /// One of them goes.
    pub async fn drain_one(&self) {
        let leased = self
            .lab
            .store
            .lease(Lease { integration: "full".into(), now: self.lab.clock.now(), limit: 1, bytes_max: usize::MAX })
            .await
            .unwrap();
        let now = self.lab.clock.now();
        self.lab.store.settle(Arc::new(settled_at(leased[0].id, delivered(), now))).await.unwrap();
    }

    /// Codes and words of what was told of the source, whether somebody listened or not.
    pub fn told(&self) -> Vec<String> {
        let filter = Filter { kinds: vec![Kind::Source], ..Filter::default() };
        let told = self.lab.events.read(filter, Start::Last { count: 100, since: None }).look().told;
        let word = |told: &crate::telemetry::events::Told| {
            let told = serde_json::to_value(told).unwrap();
            told["fields"]["code"].as_str().or(told["text"].as_str()).unwrap().to_owned()
        };
        told.iter().map(word).collect()
    }
}
