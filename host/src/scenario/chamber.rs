//! [`Chamber`]: a host over virtual time, a scripted outside and a store in memory. Dispatcher, delivery, sources, plugins with their limits,
//! aliases with breaker, rate and credentials are the ones of a host that runs, put together as `app` does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::book::{Book, Seen, Watched};
use super::content::Content;
use super::outside::{Answers, REQUESTS_MAX, Wire};
use super::secrets::MadeUp;
use crate::alias::secret::Secret;
use crate::alias::{AliasStatus, Aliases, Environment};
use crate::capability::queue::Channels;
use crate::clock::{Clock, Timestamp};
use crate::delivery::{Bells, Catalog, Delivery, Dispatcher, Pauses};
use crate::ingress::{ByHand, DEDUP_KEPT, Intake, IntakeLimits, IntakeParts, ReceiptStatus, Routes};
use crate::integration::select::Selector;
use crate::integration::{CallLimits, Entry, Integration, Source, WaitingMax};
use crate::message::{Headers, Key, Message, MessageId};
use crate::message_store::{Accept, Accepted, Dedup, MessageStore, routing};
use crate::plugin::invoke::{Around, WasmInvoker};
use crate::plugin::registry::Plugins;
use crate::problem::{Code, Problem, Problems};
use crate::random::SeededRandom;
use crate::releases::Active;
use crate::releases::ready::runnable;
use crate::source;
use crate::telemetry::Metrics;
use crate::telemetry::events::{Events, Filter, Kind, Level, Start};
use crate::virtual_time::{Idle, VirtualClock};

/// Of every chamber: the same scenario goes the same way.
const SEED: u64 = 7;
/// Lines of plugins that are told at most.
const LINES_MAX: usize = 20;

/// What a chamber is made of.
#[derive(Clone, Debug)]
pub struct Setting {
    pub plugins: Arc<Plugins>,
    /// Its plugin calls at once.
    pub calls_at_once: u32,
    /// What runs; messages come into the first.
    pub actives: Vec<Active>,
    pub environment: Environment,
    pub ceiling: CallLimits,
    /// The channels that somebody reads.
    pub channels: BTreeSet<String>,
    pub body_bytes_max: usize,
    pub start: Timestamp,
    /// Whether sources are asked that the host asks itself.
    pub polls: bool,
}

/// A message as it comes in.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub content: Content,
    pub headers: Vec<(String, String)>,
    pub id: Option<String>,
    pub key: Option<String>,
}

/// How a message was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    Taken(MessageId),
    /// It was taken before, as this one.
    Duplicate(MessageId),
    Refused {
        code: String,
        detail: String,
    },
}

/// A host in virtual time.
pub struct Chamber {
    pub clock: VirtualClock,
    pub book: Arc<Book>,
    pub seen: Arc<Seen>,
    pub wire: Arc<Wire>,
    pub aliases: Arc<Aliases>,
    pub main: Arc<Integration>,
    idle: Idle,
    intake: Arc<Intake>,
    random: Arc<SeededRandom>,
    events: Arc<Events>,
    body_bytes_max: usize,
    delivery: Delivery,
    bells: Arc<Bells>,
    dispatcher: Mutex<Option<Dispatcher>>,
    _sources: Option<source::Sources>,
}

impl std::fmt::Debug for Chamber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chamber").field("main", &self.main.name).finish_non_exhaustive()
    }
}

/// Runs what `script` does with a chamber, on this thread, to its end.
///
/// # Errors
/// What keeps a chamber from being made, and what `script` says.
pub fn within<T>(
    setting: Setting,
    answers: Arc<dyn Answers>,
    data: Vec<(String, Vec<u8>)>,
    script: impl AsyncFnOnce(&Chamber) -> Result<T, Problems>,
) -> Result<T, Problems> {
    let idle = Idle::default();
    let runtime = idle.runtime().map_err(|why| Problem::new(Code::Internal, format!("no runtime: {why}")))?;
    runtime.block_on(async {
        let chamber = Chamber::start(setting, answers, data, idle)?;
        script(&chamber).await
    })
    // The runtime is dropped here, with whatever was under way.
}

impl Chamber {
    fn start(setting: Setting, answers: Arc<dyn Answers>, data: Vec<(String, Vec<u8>)>, idle: Idle) -> Result<Self, Problems> {
        let Setting { plugins, calls_at_once, actives, mut environment, ceiling, channels, body_bytes_max, start, polls } = setting;
        let virtual_clock = VirtualClock::at(start);
        let clock: Arc<dyn Clock> = Arc::new(virtual_clock.clone());
        let random = Arc::new(SeededRandom::new(SEED));
        let (metrics, events) = (Arc::new(Metrics::new()), Events::new(clock.clone()));
        let secrets = Arc::new(MadeUp::of(&mut environment)?);
        let wire = Arc::new(Wire::new(&environment, answers, clock.clone()));
        let aliases = Arc::new(Aliases::in_memory(&environment, secrets.clone(), wire.clone(), clock.clone(), random.clone()));
        let runnables: Vec<_> = actives.iter().map(|active| runnable(active, &environment, &ceiling)).collect::<Result<_, _>>()?;
        let integrations: Vec<_> = actives.iter().map(|active| Arc::new(active.integration.clone())).collect();
        let main = integrations.first().cloned().ok_or_else(|| Problem::new(Code::Internal, "a chamber with nothing in it"))?;
        let read = Channels::default();
        read.set(channels);
        let book = Arc::new(Book::default());
        book.store.begin_with(&main.name, data);
        let around = Around {
            plugins,
            egress: aliases.clone(),
            key_values: book.store.clone(),
            channels: read,
            clock: clock.clone(),
            host_key: Secret::new([0; 32]),
            metrics: metrics.clone(),
            events: events.clone(),
        };
        let seen = Arc::<Seen>::default();
        let invoker = Watched::new(WasmInvoker::new(around, calls_at_once), seen.clone());
        let bells = Arc::new(Bells::default());
        book.store.wake_through(bells.clone());
        let waiting_max = WaitingMax::default();
        let delivery = Delivery {
            store: book.clone(),
            plugins: Arc::new(invoker),
            catalog: Arc::new(Catalog::new(runnables)),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
            events: events.clone(),
            waiting_max,
            pauses: Arc::new(Pauses::new(bells.clone())),
            recorder: None,
        };
        let routes = Routes::build(&integrations, &environment)?;
        let parts = IntakeParts {
            store: book.clone(),
            secrets,
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
            events: events.clone(),
        };
        let intake = Intake::new(parts, IntakeLimits::default(), routes);
        let dispatcher = Dispatcher::start(&delivery, &aliases, &bells);
        let limits = source::Limits { body_bytes: body_bytes_max, waiting: waiting_max };
        let sources = polls.then(|| source::Sources::start(&around_sources(&delivery, &aliases, limits)));
        tokio::spawn({
            let aliases = aliases.clone();
            async move { aliases.watch_refused().await }
        });
        Ok(Self {
            clock: virtual_clock,
            book,
            seen,
            wire,
            aliases,
            main,
            idle,
            intake,
            random,
            events,
            body_bytes_max,
            delivery,
            bells,
            dispatcher: Mutex::new(Some(dispatcher)),
            _sources: sources,
        })
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether all that came has ended.
    pub fn is_idle(&self) -> bool {
        self.book.store.waiting_in_all() == 0
    }

    /// Lets time pass until `at_most` has, or `done` says so. Everything that happens in it has happened when this returns.
    pub async fn pass(&self, at_most: Duration, done: impl Fn() -> bool) {
        let end = self.now().plus(at_most);
        loop {
            self.idle.wait().await;
            if done() || self.wire.count() >= REQUESTS_MAX {
                return;
            }
            match self.clock.next().filter(|next| *next <= end) {
                Some(next) => self.clock.advance_to(next),
                None => {
                    self.clock.advance_to(end);
                    return self.idle.wait().await;
                }
            }
        }
    }

    /// Stops the host without waiting for what is under way, and starts it again.
    pub async fn restart(&self) {
        let before = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before {
            before.stop(&self.clock, Duration::ZERO).await;
        }
        let again = Dispatcher::start(&self.delivery, &self.aliases, &self.bells);
        *self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
    }

    /// Puts a message in, as a person would with `lockgate send`: through the first source of the integration, unverified.
    pub async fn put(&self, incoming: Incoming) -> Met {
        if incoming.content.body.len() > self.body_bytes_max {
            let detail = format!("the body has {} bytes; {} are the most", incoming.content.body.len(), self.body_bytes_max);
            return Met::Refused { code: Code::BodyTooLarge.as_str().to_owned(), detail };
        }
        match self.main.sources.first() {
            Some(source) if matches!(source.entry, Entry::Webhook { .. }) => self.post(source, incoming).await,
            Some(source) => self.append(source, incoming).await,
            None => Met::Refused { code: Code::NotFound.as_str().to_owned(), detail: "the integration has no source".to_owned() },
        }
    }

    async fn post(&self, source: &Source, incoming: Incoming) -> Met {
        let Incoming { content, headers: given, id, .. } = incoming;
        let mut headers = HeaderMap::new();
        let named = source.id.iter().find_map(|selector| if let Selector::Header(name) = selector { Some(name.clone()) } else { None });
        let id = named.zip(id);
        let content_type = ("content-type".to_owned(), content.content_type);
        for (name, value) in std::iter::once(content_type).chain(id).chain(given) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        let by_hand = ByHand { integration: self.main.name.clone(), headers, body: content.body, dedup: true };
        match self.intake.put_by_hand(by_hand).await {
            Ok(receipt) if receipt.status == ReceiptStatus::Duplicate => Met::Duplicate(receipt.id),
            Ok(receipt) => Met::Taken(receipt.id),
            Err(refusal) => {
                let detail = refusal.why.map_or(refusal.detail.clone(), |why| format!("{}: {why}", refusal.detail));
                Met::Refused { code: refusal.code.as_str().to_owned(), detail }
            }
        }
    }

    /// What a channel, a poll or a schedule brings.
    async fn append(&self, source: &Source, incoming: Incoming) -> Met {
        let now = self.now();
        let Incoming { content, headers, id, key } = incoming;
        let headers = Headers(headers);
        let ruled = source.key.as_ref().and_then(|rule| rule.find_key(&headers, &content.body).ok());
        let message = Message {
            id: MessageId::new(now, &*self.random),
            parent: None,
            key: ruled.or(key.map(Key)),
            content_type: content.content_type,
            headers,
            body: content.body,
            tracked: Vec::new(),
            origin: source.entry.origin(),
            accepted_at: now,
        };
        let dedup = id.map(|id| Dedup {
            scope: source.entry.origin(),
            token: Sha256::digest(id.as_bytes()).into(),
            expires_at: now.plus(DEDUP_KEPT),
        });
        let id = message.id;
        let deliveries = vec![routing::delivery_for(&self.main, source, &message, now)];
        let accept = Accept { message: Arc::new(message), dedup, deliveries, waiting_max: WaitingMax::default() };
        match self.book.accept(accept).await {
            Ok(Accepted::New | Accepted::Partly(_)) => Met::Taken(id),
            Ok(Accepted::Duplicate(first)) => Met::Duplicate(first),
            Ok(Accepted::Full(_) | Accepted::HostFull) => {
                Met::Refused { code: Code::TooManyWaiting.as_str().to_owned(), detail: "as many deliveries wait as may".to_owned() }
            }
            Err(why) => Met::Refused { code: Code::IntakeBusy.as_str().to_owned(), detail: why.to_string() },
        }
    }

    /// What plugins wrote, the latest lines.
    pub fn lines(&self) -> Vec<String> {
        let filter = Filter { kinds: vec![Kind::Log], level: Some(Level::Info), ..Filter::default() };
        let mut reader = self.events.read(filter, Start::Last { count: LINES_MAX, since: None });
        let mut lines = Vec::new();
        loop {
            let told = reader.look().told;
            if told.is_empty() {
                return lines;
            }
            lines.extend(told.into_iter().map(|told| format!("{} {}", told.event.level.as_str(), told.event.text)));
        }
    }

    /// The aliases as they are now.
    pub fn alias_states(&self) -> Vec<AliasStatus> {
        self.aliases.states()
    }

    /// What is stored under `key` now.
    pub async fn key_value(&self, key: &str) -> Option<Bytes> {
        use crate::message_store::KeyValueRead;
        self.book.store.get(&self.main.name, key, self.now()).await.ok().flatten().map(Bytes::from)
    }
}

fn around_sources(delivery: &Delivery, aliases: &Arc<Aliases>, limits: source::Limits) -> source::Around {
    source::Around {
        store: delivery.store.clone(),
        plugins: delivery.plugins.clone(),
        catalog: delivery.catalog.clone(),
        aliases: aliases.clone(),
        clock: delivery.clock.clone(),
        random: delivery.random.clone(),
        metrics: delivery.metrics.clone(),
        events: delivery.events.clone(),
        pauses: delivery.pauses.clone(),
        limits,
    }
}
