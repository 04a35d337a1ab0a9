//! Sources that fail, lie, go round in circles or bring too much; stores and hosts that fail them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::scene::*;
use crate::clock::Timestamp;
use crate::delivery::tests::lab::{DOWN_FOR, draft, permanent, transient};
use crate::integration::Order;
use crate::message_store::memory::MemoryStore;
use crate::message_store::{
    Accept, Accepted, Advance, Advanced, DeliveryId, Discard, KeyValueRead, KeyValueWrite, Lease, Leased, MessageStore, Replay, Replayed,
    Settle, SourceState, StoreError,
};
use crate::plugin::scripted::Answer;
use crate::plugin::{Call, CallFailure, Effects, Item, Output, Page};
use crate::source::page::CURSOR_BYTES_MAX;

#[tokio::test]
async fn a_failed_poll_is_tried_again_later_and_later_and_told_once() {
    let scene = Scene::new(|_| transient().into());
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(35)).await;
    assert_eq!(scene.times(), [0, 1, 3, 7, 15, 31]);
    assert_eq!(scene.told(), ["row-locked"]);
    let last = scene.state().await.last;
    assert_eq!((last.result.as_str(), last.code.as_deref(), last.detail.as_deref()), ("failed", Some("row-locked"), Some("locked")));
}

#[tokio::test]
async fn a_source_that_fails_for_another_reason_or_is_well_again_is_told() {
    let scene = Scene::new(|call| match call.attempt {
        0 => transient().into(),
        1 => permanent().into(),
        _ => page(&[], "a", false),
    });
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(30)).await;
    assert_eq!((scene.told(), scene.times()), (vec!["row-locked".into(), "bad-value".into(), "well again".into()], vec![0, 1, 3]));
}

#[tokio::test]
async fn a_source_that_asks_to_wait_is_not_polled_earlier() {
    let asks = CallFailure::Transient { code: "busy".into(), detail: String::new(), retry_after: Some(Duration::from_secs(600)) };
    let scene = Scene::new(move |_| asks.clone().into());
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(605)).await;
    assert_eq!(scene.times(), [0, 600]);
}

#[tokio::test]
async fn what_cannot_be_taken_leaves_the_cursor_where_it_was_and_nothing_behind() {
    let large = || Item { draft: draft(&"x".repeat(101)), ..item("large") };
    let pages = [
        ("cursor-too-large", Page { items: vec![item("1")], cursor: "c".repeat(CURSOR_BYTES_MAX + 1), more: false }),
        ("item-too-large", Page { items: vec![item("1"), large()], cursor: "b".into(), more: true }),
        ("item-without-id", Page { items: vec![item("1"), item("")], cursor: "b".into(), more: false }),
    ];
    for (code, page) in pages {
        let given = page.clone();
        let scene = Scene::new(move |call| match &call.cursor {
            None => super::scene::page(&["0"], "a", false),
            Some(_) => {
                Answer { effects: Effects { key_values: vec![write("seen")], ..Effects::default() }, ..Output::Page(given.clone()).into() }
            }
        });
        let _sources = scene.start();
        scene.lab.pass(MINUTE + Duration::from_secs(8)).await;
        assert_eq!(scene.times(), [0, 60, 61, 63, 67], "{code}");
        assert_eq!((scene.told(), scene.state().await.cursor.as_deref()), (vec![code.to_owned()], Some("a")));
        assert_eq!(scene.waiting().await, ["0"], "{code}");
        assert_eq!(scene.lab.store.get("orders", "seen", Timestamp(0)).await.unwrap(), None);
    }
}

fn write(key: &str) -> KeyValueWrite {
    KeyValueWrite { integration: "orders".into(), key: key.into(), value: Some(b"1".to_vec()), expires_at: None }
}

#[tokio::test]
async fn a_cursor_that_goes_round_in_circles_is_told_once_and_left_until_the_next_time() {
    // The same cursor for ever; the same items for ever; two cursors in turns.
    let circles: [fn(Option<&str>) -> Answer; 3] = [
        |_| page(&[], "a", true),
        |_| page(&["1", "2"], "a", true),
        |cursor| page(&["1"], if cursor == Some("a") { "b" } else { "a" }, true),
    ];
    for circle in circles {
        let scene = Scene::new(move |call| circle(call.cursor.as_deref()));
        let _sources = scene.start();
        scene.lab.pass(Duration::from_secs(185)).await;
        let times = scene.times();
        assert!((4..=16).contains(&times.len()) && times.iter().all(|at| at % 60 == 0), "{times:?}");
        assert_eq!(scene.told(), ["stuck-cursor"]);
        assert!(scene.waiting().await.len() <= 2);
        assert_eq!(scene.state().await.last.code.as_deref(), Some("stuck-cursor"));
    }
}

#[tokio::test]
async fn nothing_is_polled_while_the_gate_of_its_alias_is_closed() {
    let scene = Scene::over(|store| store, sending_through_crm(), |_| page(&["1"], "a", false));
    assert!(!scene.lab.request().await, "it is down");
    while !matches!(scene.lab.aliases.gate("crm"), crate::alias::Gate::Closed { .. }) {
        scene.lab.request().await;
        scene.lab.clock.advance(Duration::from_millis(1));
    }
    let _sources = scene.start();
    scene.lab.idle().await;
    assert_eq!(scene.times(), Vec::<u64>::new());
    scene.lab.pass(2 * DOWN_FOR).await;
    assert!(!scene.times().is_empty(), "when it opens again");
}

fn sending_through_crm() -> crate::integration::Integration {
    let mut polling = polling();
    let crate::integration::Entry::Poll(poll) = &mut polling.sources[0].entry else { unreachable!() };
    poll.step.bindings = crate::delivery::tests::lab::step("crm").bindings;
    polling
}

#[tokio::test]
async fn nothing_is_polled_while_as_many_deliveries_wait_as_may() {
    let mut scene = Scene::new(|call| {
        let next = call.cursor.as_deref().map_or(0, |cursor| cursor.parse::<u32>().unwrap()) + 2;
        page(&[&format!("{}", next - 1), &format!("{next}")], &next.to_string(), true)
    });
    scene.limits.waiting = crate::integration::WaitingMax::each(3);
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(10)).await;
    assert_eq!(
        (scene.waiting().await, scene.told()),
        (["1", "2", "3", "4"].map(str::to_owned).to_vec(), vec!["too-many-waiting".to_owned()])
    );
    assert_eq!(scene.state().await.last.result, "held");
    let dispatcher = scene.lab.start();
    scene.lab.pass(Duration::from_secs(3)).await;
    assert!(scene.lab.store.outcomes().len() > 4, "it goes on when there is room");
    drop(dispatcher);
}

#[tokio::test]
async fn nothing_is_polled_while_all_integrations_together_have_as_many_deliveries_waiting_as_may() {
    let mut scene = Scene::new(|_| page(&["1"], "a", false));
    scene.limits.waiting = crate::integration::WaitingMax { integration: 100, host: 3 };
    scene.fill(3).await;
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(30)).await;
    assert_eq!((scene.times(), scene.told()), (vec![], vec!["too-many-waiting".to_owned()]));
    let last = scene.state().await.last;
    assert!(last.result == "held" && last.detail.as_ref().unwrap().contains("deliveries of this host"), "{last:?}");
    scene.drain_one().await;
    scene.lab.pass(Duration::from_secs(2)).await;
    assert_eq!((scene.times().len(), scene.waiting().await), (1, vec!["1".to_owned()]));
}

#[tokio::test]
async fn a_source_whose_pages_the_store_refuses_is_asked_later_and_later() {
    for why in [StoreError::Full, StoreError::Busy] {
        let scene = Scene::over(
            |store| Arc::new(Losing { store, left: AtomicU32::new(5), lost: Lost::Refused(why) }),
            polling(),
            |call| page(&["1"], "a", call.cursor.is_none()),
        );
        let _sources = scene.start();
        scene.lab.pass(Duration::from_secs(40)).await;
        assert_eq!(scene.times(), [0, 1, 3, 7, 15, 31, 31], "at once again when it is taken");
        assert_eq!(scene.waiting().await, ["1"]);
    }
}

#[tokio::test]
async fn a_host_that_dies_between_poll_and_commit_polls_again_and_brings_everything_once() {
    for lost in [Lost::Command, Lost::Answer] {
        let scene = Scene::over(
            |store| Arc::new(Losing { store, left: AtomicU32::new(3), lost: lost.clone() }),
            polling(),
            |call| page(&["1", "2"], call.cursor.as_deref().unwrap_or("a"), false),
        );
        let _dispatcher = scene.lab.start();
        let _sources = scene.start();
        scene.lab.pass(Duration::from_secs(200)).await;
        assert_eq!(scene.state().await.cursor.as_deref(), Some("a"));
        assert_eq!(scene.lab.store.outcomes().len(), 2, "{lost:?}");
    }
}

#[tokio::test]
async fn a_panic_of_the_host_is_no_end_of_the_source() {
    let scene = Scene::new(|call| if call.attempt == 0 { panic!("a fault of the host") } else { page(&["1"], "a", false) });
    let _sources = scene.start();
    scene.lab.pass(Duration::from_secs(5)).await;
    assert_eq!((scene.told(), scene.waiting().await), (vec!["host-panicked".into(), "well again".into()], vec!["1".to_owned()]));
}

#[tokio::test]
async fn a_key_that_is_too_long_parks_its_message_and_not_the_source() {
    for order in [Order::Key, Order::Strict] {
        let mut ordered = polling();
        ordered.delivery.order = order;
        let keyed = |id: &str, key: String| Item { key: Some(key), ..item(id) };
        let items = move || vec![keyed("1", "k".repeat(2_000)), keyed("2", "k".into())];
        let page = move |_: &Call| Output::Page(Page { items: items(), cursor: "a".into(), more: false }).into();
        let scene = Scene::over(|store| store, ordered, page);
        let _sources = scene.start();
        scene.lab.idle().await;
        assert_eq!(scene.waiting().await, ["2"]);
        assert_eq!(scene.lab.store.dead_letters()[0].detail, "the item's key has 2000 bytes; 1024 are the most");
    }
}

/// What becomes of the first advances.
#[derive(Clone, Debug)]
enum Lost {
    /// They are not done.
    Command,
    /// The same, for this reason.
    Refused(StoreError),
    /// They are done, and nobody is told.
    Answer,
}

/// A store that loses advances.
struct Losing {
    store: Arc<MemoryStore>,
    left: AtomicU32,
    lost: Lost,
}

#[async_trait]
impl MessageStore for Losing {
    async fn accept(&self, accept: Accept) -> Result<Accepted, StoreError> {
        self.store.accept(accept).await
    }

    async fn lease(&self, lease: Lease) -> Result<Vec<Leased>, StoreError> {
        self.store.lease(lease).await
    }

    async fn release(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        self.store.release(delivery).await
    }

    async fn settle(&self, settle: Arc<Settle>) -> Result<(), StoreError> {
        self.store.settle(settle).await
    }

    async fn source(&self, integration: &str, source: &str) -> Result<Option<SourceState>, StoreError> {
        self.store.source(integration, source).await
    }

    async fn advance(&self, advance: Arc<Advance>) -> Result<Advanced, StoreError> {
        let loses = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        match (loses, &self.lost) {
            (false, _) => self.store.advance(advance).await,
            (true, Lost::Command) => Err(StoreError::Busy),
            (true, Lost::Refused(why)) => Err(why.clone()),
            (true, Lost::Answer) => self.store.advance(advance).await.and(Err(StoreError::Busy)),
        }
    }

    fn waiting(&self, integration: &str) -> u64 {
        MessageStore::waiting(&*self.store, integration)
    }

    fn waiting_in_all(&self) -> u64 {
        self.store.waiting_in_all()
    }

    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_due(integration).await
    }

    async fn replay(&self, replay: Replay) -> Result<Replayed, StoreError> {
        self.store.replay(replay).await
    }

    async fn discard(&self, discard: Discard) -> Result<(), StoreError> {
        self.store.discard(discard).await
    }
}
