//! The hub as those who tell and those who read see it.

use super::*;
use crate::clock::{ManualClock, Timestamp};

const START: Timestamp = Timestamp(1_700_000_000_000);

fn hub() -> (Arc<ManualClock>, Arc<Events>) {
    let clock = Arc::new(ManualClock::at(START));
    (clock.clone(), Events::new(clock))
}

fn line(text: impl Into<String>) -> Event {
    Event::new(Kind::Log, Level::Info, text.into())
}

fn texts(batch: &Batch) -> Vec<&str> {
    batch.told.iter().map(|told| told.event.text.as_ref()).collect()
}

#[test]
fn a_reader_that_is_too_slow_is_told_how_much_it_missed_and_goes_on() {
    let (_, events) = hub();
    let mut reader = events.read(Filter::default(), Start::Now);
    (0..ring::EVENTS_MAX + 5).for_each(|n| events.tell(line(n.to_string())));
    let batch = reader.look();
    assert_eq!(batch.gap, Some(Gap { lost: Some(5) }));
    assert_eq!(texts(&batch)[0], "5");
    let rest = std::iter::from_fn(|| Some(reader.look()).filter(|batch| !batch.told.is_empty()));
    let (gaps, told): (Vec<_>, Vec<_>) = rest.map(|batch| (batch.gap, batch.told.len())).unzip();
    assert_eq!(told.iter().sum::<usize>() + batch.told.len(), ring::EVENTS_MAX);
    assert!(gaps.iter().all(Option::is_none));
}

#[test]
fn what_comes_with_every_message_is_told_only_while_somebody_listens() {
    let (clock, events) = hub();
    let made = std::cell::Cell::new(0);
    let deliver = || {
        events.detail(Detail::Routine, || {
            made.set(made.get() + 1);
            line("delivered")
        });
    };
    deliver();
    assert_eq!(made.get(), 0, "nobody listens");
    drop(events.read(Filter { level: Some(Level::Warn), ..Filter::default() }, Start::Now));
    deliver();
    assert_eq!(made.get(), 0, "who listens for warnings does not hear it");
    drop(events.read(Filter::default(), Start::Now));
    deliver();
    clock.advance(LISTENED_FOR - Duration::from_millis(1));
    deliver();
    assert_eq!(made.get(), 2, "a stream that broke may come back");
    clock.advance(Duration::from_millis(1));
    deliver();
    assert_eq!(made.get(), 2);
}

#[test]
fn lines_below_info_are_told_only_to_who_asks_for_them() {
    let (_, events) = hub();
    let _info = events.read(Filter::default(), Start::Now);
    assert!(!events.listens(Detail::Debug) && !events.listens(Detail::Trace));
    let _debug = events.read(Filter { level: Some(Level::Debug), ..Filter::default() }, Start::Now);
    assert!(events.listens(Detail::Debug) && !events.listens(Detail::Trace));
}

#[test]
fn a_stream_that_broke_goes_on_where_it_was() {
    let (clock, events) = hub();
    let mut reader = events.read(Filter::default(), Start::Now);
    events.tell(line("1"));
    let seen = reader.look().seen;
    drop(reader);
    events.tell(line("2"));
    let batch = events.read(Filter::default(), Start::After(seen)).look();
    assert_eq!((texts(&batch), batch.gap), (vec!["2"], None));

    clock.advance(LISTENED_FOR);
    let batch = events.read(Filter::default(), Start::After(seen)).look();
    let unknown = Some(Gap { lost: None });
    assert_eq!((texts(&batch), batch.gap), (vec!["2"], unknown), "nobody listened, so deliveries were not told");
    let warnings = || Filter { level: Some(Level::Warn), ..Filter::default() };
    clock.advance(LISTENED_FOR);
    assert_eq!(events.read(warnings(), Start::After(seen)).look().gap, None, "warnings are always told");
}

#[test]
fn a_stream_of_an_earlier_run_gets_all_there_is_and_is_told_that_something_is_missing() {
    let (_, events) = hub();
    events.tell(line("1"));
    let other_runs = [0, 7, START.0 as u64 * IDS_PER_MS - 2, u64::MAX];
    for id in other_runs {
        let batch = events.read(Filter::default(), Start::After(id)).look();
        assert_eq!((texts(&batch), batch.gap), (vec!["1"], Some(Gap { lost: None })), "{id}");
    }
}

#[test]
fn ids_grow_over_restarts() {
    let (clock, events) = hub();
    (0..50).for_each(|n| events.tell(line(n.to_string())));
    clock.advance(Duration::from_millis(1));
    let next_run = Events::new(clock);
    assert!(next_run.latest() > events.latest());
    assert!(next_run.latest() < 1 << 53, "it is exact in JavaScript");
}

#[tokio::test]
async fn a_reader_waits_for_news_and_ends_with_the_host_once_it_has_read_all() {
    let (clock, events) = hub();
    let mut reader = events.read(Filter { integration: Some("orders".into()), ..Filter::default() }, Start::Now);
    let (batch, ()) = tokio::join!(reader.next(), async {
        events.tell(line("of nobody"));
        clock.advance(GATHERED);
        tokio::task::yield_now().await;
        events.tell(line("1").of("orders"));
        events.tell(line("2").of("orders"));
        for _ in 0..10 {
            tokio::task::yield_now().await;
            clock.advance(GATHERED);
        }
    });
    assert_eq!(texts(&batch.unwrap()), ["1", "2"], "what gathered comes together");
    events.tell(line("3").of("orders"));
    events.close();
    assert_eq!(texts(&reader.next().await.unwrap()), ["3"]);
    assert!(reader.next().await.is_none());
}

/// Long enough for what gathers.
const GATHERED: Duration = Duration::from_secs(1);
