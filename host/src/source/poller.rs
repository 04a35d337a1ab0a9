//! [`Poller`]: one source, asked when it is due. [`Poller::poll`] is the way of one poll.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tracing::{Instrument, info_span, warn};

use super::Around;
use super::page::Polled;
use super::progress::Progress;
use super::telling::Told;
use super::trouble::Trouble;
use crate::alias::{Admission, Entrance, Seat};
use crate::clock::Timestamp;
use crate::delivery::{PollUse, Runnable, Sending, idempotency_base, queue_appends};
use crate::integration::{Jitter, Occasion, Source};
use crate::message::{Headers, Message, MessageId};
use crate::message_store::{Advance, Advanced, SourceResult, SourceState, StoreError};
use crate::plugin::{Call, Effects, Export, Output, Page};
use crate::random::uniform;

/// How long a source rests when the store does not answer.
pub(super) const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How often it is looked whether fewer deliveries wait.
pub(super) const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(1);
/// The longest it sleeps without looking, whatever it was told.
pub(super) const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// The words of a source's last result.
pub(super) const POLLED: &str = "polled";
const FAILED: &str = "failed";
/// A target is down, or asks to wait: it goes on by itself.
const WAITED: &str = "waited";
const HELD: &str = "held";
/// It has not been asked yet.
pub(super) const NOT_ASKED: &str = "not-asked";
/// Who has as many deliveries waiting as may, where it is all integrations together.
pub(super) const THIS_HOST: &str = "this host";
/// Why a source is held.
pub(super) const FULL: &str = "too-many-waiting";
/// Why a source that says that there is more is not asked at once.
const STUCK: &str = "stuck-cursor";

/// One source's loop and what it needs.
pub struct Poller {
    around: Around,
    runnable: Arc<Runnable>,
    poll: PollUse,
    source: Source,
    /// To the aliases of the source's plugin. It rings the bell when a gate opens earlier than it said.
    entrance: Entrance,
    bell: Arc<Notify>,
    stop: watch::Receiver<bool>,
    started_at: Timestamp,
    failures: u32,
    /// Rounds in a row whose end the store did not take, and the time before which it is not asked again for that: nothing of them is
    /// on disk.
    refusals: u32,
    not_before: Timestamp,
    progress: Progress,
    told: Told,
}

/// Which source it is about.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    pub integration: &'a str,
    pub source: &'a str,
}

/// What a poll brought.
struct Brought {
    page: Page,
    effects: Effects,
    about: Arc<Message>,
}

impl Poller {
    /// The poller of the source at `poll` in the polls of `runnable`.
    pub fn new(around: Around, runnable: Arc<Runnable>, poll: usize, stop: watch::Receiver<bool>) -> Option<Self> {
        let poll = runnable.polls.get(poll)?.clone();
        let source = runnable.integration.sources.get(poll.source)?.clone();
        let bell = Arc::new(Notify::new());
        let entrance = around.aliases.entrance(&runnable.integration.name, poll.used.aliases(), bell.clone());
        let started_at = around.clock.now();
        let (progress, told) = (Progress::default(), Told::default());
        let (failures, refusals, not_before) = (0, 0, started_at);
        Some(Self { around, runnable, poll, source, entrance, bell, stop, started_at, failures, refusals, not_before, progress, told })
    }

    /// Asks until the host stops.
    pub async fn run(mut self) {
        // Whoever could say so may be gone, too.
        while !*self.stop.borrow() && self.stop.has_changed().is_ok() {
            if self.around.keeps_still(&self.runnable.integration.name) {
                self.rest(LOOK_FOR_ROOM_EVERY).await;
                continue;
            }
            let state = match self.around.store.source(&self.runnable.integration.name, &self.poll.poll.name).await {
                Ok(state) => state,
                Err(StoreError::Closed) => return,
                Err(why) => {
                    let integration = &self.runnable.integration.name;
                    warn!(code = "LG-3005", %why, integration, source = self.poll.poll.name, "where a source stands could not be read; looking again");
                    self.rest(LOOK_AGAIN_AFTER).await;
                    continue;
                }
            };
            if let (None, Occasion::At(_)) = (&state, &self.poll.poll.when) {
                // Its time is written down, so that it is late, not forgotten, where the host is down then.
                if self.wait_for_the_first_time().await.is_err_and(|why| matches!(why, StoreError::Closed)) {
                    return;
                }
                continue;
            }
            let wait = self.due_at(state.as_ref()).max(self.not_before).since(self.around.clock.now());
            if !wait.is_zero() {
                self.rest(wait).await;
                continue;
            }
            let seat = match self.entrance.admit(1) {
                Admission::Seats(mut seats) => seats.next(),
                Admission::NotBefore(at) => {
                    self.rest(at.since(self.around.clock.now()).max(Duration::from_millis(1))).await;
                    continue;
                }
            };
            if self.go(state, seat).await.is_err_and(|why| matches!(why, StoreError::Closed)) {
                return;
            }
        }
    }

    async fn wait_for_the_first_time(&mut self) -> Result<(), StoreError> {
        let now = self.around.clock.now();
        let last = SourceResult { at: now, result: NOT_ASKED.to_owned(), code: None, detail: None, items: 0, fresh: 0 };
        let advance = self.advance(None, SourceState { cursor: None, due_at: self.next_after(now), last });
        let noted = self.around.store.advance(Arc::new(advance)).await.map(|_| ());
        match &noted {
            Ok(()) => self.refusals = 0,
            Err(why) => {
                self.refused(why, "when a source is to be asked first could not be written down; trying again");
                self.rest(self.not_before.since(now)).await;
            }
        }
        noted
    }

    /// When it is to be asked: as it was said when it was asked last, or by its rule where that has changed since.
    fn due_at(&self, state: Option<&SourceState>) -> Timestamp {
        let Some(state) = state else { return self.around.clock.now() };
        // Longer than a changed rule says it does not wait for what an earlier run of the host said.
        if state.last.at < self.started_at { state.due_at.min(self.started_at.max(self.next_after(state.last.at))) } else { state.due_at }
    }

    fn next_after(&self, asked_at: Timestamp) -> Timestamp {
        self.poll.poll.when.after(asked_at)
    }

    /// One round: unless too much waits, a poll and what follows from it.
    async fn go(&mut self, state: Option<SourceState>, seat: Option<Seat>) -> Result<(), StoreError> {
        let cursor = state.and_then(|state| state.cursor);
        if let Some(by) = self.held_by() {
            drop(seat);
            return self.hold(cursor, &by).await;
        }
        let asked_at = self.around.clock.now();
        let integration = self.runnable.integration.name.clone();
        let span = info_span!("poll", integration, source = self.poll.poll.name);
        let polled = AssertUnwindSafe(self.poll(cursor.as_deref(), asked_at).instrument(span)).catch_unwind().await;
        drop(seat);
        let done = match polled.unwrap_or_else(|_panic| Err(Trouble::panicked())) {
            Ok(brought) => self.take(cursor, brought, asked_at).await,
            Err(trouble) => self.fail(cursor, trouble, asked_at).await,
        };
        match &done {
            Ok(()) => self.refusals = 0,
            Err(why) => self.refused(why, "a source was polled, and the store did not take what came of it; it is asked again later"),
        }
        done
    }

    /// Calls the plugin, in a fresh instance and under the limits of any call.
    async fn poll(&self, cursor: Option<&str>, asked_at: Timestamp) -> Result<Brought, Trouble> {
        let call = self.call(cursor, asked_at);
        let about = call.message.clone();
        let plugin = call.plugin.clone();
        let report = self.around.plugins.invoke(call, Effects::default()).await;
        self.around.metrics.plugin_call(&plugin.name, &plugin.version.to_string(), report.wall);
        match report.result {
            Ok(Output::Page(page)) => Ok(Brought { page, effects: report.effects, about }),
            Ok(_) => Err(Trouble::page("wrong-output", format!("{} gave back what a source does not", plugin.name))),
            Err(failure) => {
                if report.obstacle.is_none() {
                    self.around.metrics.plugin_failure(&plugin.name, failure.class_word());
                }
                Err(Trouble::call(failure, report.obstacle))
            }
        }
    }

    fn call(&self, cursor: Option<&str>, asked_at: Timestamp) -> Call {
        let (used, integration) = (&self.poll.used, &self.runnable.integration.name);
        let id = MessageId::new(asked_at, &*self.around.random);
        let message = Message {
            id,
            parent: None,
            key: None,
            content_type: String::new(),
            headers: Headers::default(),
            body: Bytes::new(),
            tracked: Vec::new(),
            origin: self.source.entry.origin(),
            accepted_at: asked_at,
        };
        Call {
            plugin: used.plugin.clone(),
            export: Export::Poll,
            integration: integration.clone(),
            message: Arc::new(message),
            others: Vec::new(),
            cursor: cursor.map(Arc::from),
            attempt: self.failures,
            replay: 0,
            idempotency_base: idempotency_base(integration, id, 0, Some((&used.place, 0))),
            place: used.place.clone(),
            config: used.config.now(),
            grants: used.grants.clone(),
            bindings: used.bindings.clone(),
            limits: used.limits.clone(),
            virtual_now: asked_at,
        }
    }

    /// Commits what a poll brought.
    async fn take(&mut self, from: Option<String>, brought: Brought, asked_at: Timestamp) -> Result<(), StoreError> {
        let Brought { page, effects, about } = brought;
        let now = self.around.clock.now();
        let polled = Polled { integration: &self.runnable.integration, source: &self.source, now };
        let (cursor, more, items) = (page.cursor.clone(), page.more, page.items.len());
        let found = match polled.messages(page, self.around.limits, &*self.around.random) {
            Ok(found) => found,
            Err(trouble) => return self.fail(from, trouble, asked_at).await,
        };
        let by = Sending { integration: &self.runnable.integration.name, about: &about, parent: None, replay: 0 };
        let due_at = if more { now } else { self.next_after(asked_at).max(now) };
        let last = SourceResult { at: asked_at, result: POLLED.to_owned(), code: None, detail: None, items: items as u64, fresh: 0 };
        let mut advance = self.advance(from.clone(), SourceState { cursor: Some(cursor.clone()), due_at, last });
        advance.appends = queue_appends(&self.around.catalog, by, effects.sends, now);
        advance.key_values = effects.key_values;
        advance.found = found;
        self.runnable.feeds.see(&advance.appends);
        let advance = Arc::new(advance);
        let advanced = self.around.store.advance(advance.clone()).await;
        // The row locks end here, with what they guard on disk.
        drop(effects.locks);
        match advanced? {
            Advanced::Done(fresh) => {
                let round = Round { integration: &self.runnable.integration.name, source: &self.poll.poll.name };
                self.told.page(&self.around, round, &advance.found, &fresh);
                self.failures = 0;
                self.after_page(from.as_deref(), cursor, more, !fresh.is_empty(), asked_at).await
            }
            // There was room when it was asked.
            Advanced::Full => self.hold(from, THIS_HOST).await,
            Advanced::Moved => {
                warn!(
                    integration = self.runnable.integration.name,
                    source = self.poll.poll.name,
                    "a cursor moved while its source was polled; polling again"
                );
                Ok(())
            }
        }
    }

    /// A page is on disk. A source that says that there is more and gets nowhere is not asked at once.
    async fn after_page(
        &mut self,
        from: Option<&str>,
        cursor: String,
        more: bool,
        news: bool,
        asked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let round = Round { integration: &self.runnable.integration.name, source: &self.poll.poll.name };
        if !more {
            self.progress.end();
            self.told.well(&self.around, round);
            return Ok(());
        }
        let Err(why) = self.progress.page(from, &cursor, news) else {
            if news {
                self.told.well(&self.around, round);
            }
            return Ok(());
        };
        self.progress.end();
        let due_at = self.next_after(asked_at).max(self.around.clock.now());
        self.note(Some(cursor), Trouble::page(STUCK, why), asked_at, due_at).await
    }

    /// Asked again later and later, and never earlier than it asked for. The cursor stays where it was.
    async fn fail(&mut self, cursor: Option<String>, trouble: Trouble, asked_at: Timestamp) -> Result<(), StoreError> {
        let wait = self.backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        let due_at = self.around.clock.now().plus(wait.max(trouble.retry_after));
        self.progress.end();
        self.note(cursor, trouble, asked_at, due_at).await
    }

    async fn note(&mut self, cursor: Option<String>, trouble: Trouble, asked_at: Timestamp, due_at: Timestamp) -> Result<(), StoreError> {
        let (code, detail) = (Some(trouble.code.clone()), Some(trouble.detail.clone()));
        let result = if trouble.is_obstacle { WAITED } else { FAILED };
        let last = SourceResult { at: asked_at, result: result.to_owned(), code, detail, items: 0, fresh: 0 };
        let advance = self.advance(cursor.clone(), SourceState { cursor, due_at, last });
        self.around.store.advance(Arc::new(advance)).await?;
        let round = Round { integration: &self.runnable.integration.name, source: &self.poll.poll.name };
        self.told.trouble(&self.around, round, &trouble, due_at);
        Ok(())
    }

    /// How long it rests after so many rounds in a row that came to nothing, and one more.
    fn backoff(&self, rounds: u32) -> Duration {
        let backoff = self.runnable.integration.delivery.backoff;
        let ceiling = backoff.ceiling(rounds);
        match backoff.jitter {
            Jitter::Full => uniform(&*self.around.random, ceiling),
            Jitter::None => ceiling,
        }
    }

    /// Whoever has as many deliveries waiting as may: the integration, one that its plugin sends to, or all of them together.
    fn held_by(&self) -> Option<String> {
        let (store, most) = (&self.around.store, self.around.limits.waiting);
        let name = &self.runnable.integration.name;
        let own = (store.waiting(name) >= most.integration).then(|| name.clone());
        let fed = || self.runnable.feeds.full(&**store, most.integration);
        own.or_else(fed).or_else(|| (store.waiting_in_all() >= most.host).then(|| THIS_HOST.to_owned()))
    }

    /// Not asked while as many deliveries wait as may; that is written once.
    async fn hold(&mut self, cursor: Option<String>, by: &str) -> Result<(), StoreError> {
        let round = Round { integration: &self.runnable.integration.name, source: &self.poll.poll.name };
        if self.told.held(&self.around, round, by) {
            let now = self.around.clock.now();
            let detail = Some(format!("as many deliveries of {by} wait as may; the source is asked again when there are fewer"));
            let last = SourceResult { at: now, result: HELD.to_owned(), code: Some(FULL.to_owned()), detail, items: 0, fresh: 0 };
            let advance = self.advance(cursor.clone(), SourceState { cursor, due_at: now, last });
            self.around.store.advance(Arc::new(advance)).await?;
        }
        self.rest(LOOK_FOR_ROOM_EVERY).await;
        Ok(())
    }

    fn advance(&self, from: Option<String>, to: SourceState) -> Advance {
        Advance {
            integration: self.runnable.integration.name.clone(),
            source: self.poll.poll.name.clone(),
            from,
            to,
            found: Vec::new(),
            appends: Vec::new(),
            key_values: Vec::new(),
            waiting_max: self.around.limits.waiting,
            now: self.around.clock.now(),
        }
    }

    /// The store did not take how a round ended. It is asked later and later: what the store has no room for is not to be fetched
    /// twice a second.
    fn refused(&mut self, why: &StoreError, what: &'static str) {
        if matches!(why, StoreError::Closed) {
            return;
        }
        let not_before = self.around.clock.now().plus(self.backoff(self.refusals).max(LOOK_AGAIN_AFTER));
        self.refusals = self.refusals.saturating_add(1);
        self.not_before = not_before;
        let (integration, source) = (&self.runnable.integration.name, &self.poll.poll.name);
        warn!(code = "LG-3005", %why, integration, source, again_at = %not_before, "{what}");
    }

    /// Until the bell rings, `at_most` has passed or the host stops.
    async fn rest(&mut self, at_most: Duration) {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => {}
            () = self.bell.notified() => {}
            () = self.around.clock.sleep(at_most.min(LOOK_AT_LEAST_EVERY)) => {}
        }
    }
}
