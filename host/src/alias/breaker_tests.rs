//! When a breaker opens, whom it lets try, and when it closes.

use super::*;
use crate::random::SeededRandom;

fn at(ms: i64) -> Timestamp {
    Timestamp(ms)
}

/// A breaker and what it is told, one request a tick.
struct Bench {
    breaker: Breaker,
    random: SeededRandom,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::default(), random: SeededRandom::new(7), now: at(0) }
    }

    fn see(&mut self, sign: Sign) -> News {
        self.now = self.now.plus(Duration::from_millis(10));
        self.breaker.note(sign, false, self.now, &self.random, "down")
    }

    fn see_all(&mut self, signs: impl IntoIterator<Item = Sign>) -> Vec<News> {
        signs.into_iter().map(|sign| self.see(sign)).collect()
    }

    fn is_open(&self) -> bool {
        self.breaker.opening().is_some()
    }
}

#[test]
fn opens_when_half_of_at_least_five_requests_failed() {
    for (answers, failures, opens) in [(0, 4, false), (0, 5, true), (3, 2, false), (3, 3, true), (5, 4, false), (5, 5, true)] {
        let mut bench = Bench::new();
        bench.see_all(std::iter::repeat_n(Sign::Answers, answers));
        let news = bench.see_all(std::iter::repeat_n(Sign::Down, failures));
        assert_eq!(bench.is_open(), opens, "{answers} answers, {failures} failures");
        assert_eq!(news.last() == Some(&News::Opened), opens);
    }
}

#[test]
fn one_message_that_fails_again_and_again_is_not_a_target_that_is_down() {
    let mut bench = Bench::new();
    bench.see_all(std::iter::repeat_n(Sign::Failed(7), 500));
    assert!(!bench.is_open());
    bench.see_all((0..4).map(Sign::Failed));
    assert!(bench.is_open(), "five messages are");
}

#[test]
fn what_lies_back_half_a_minute_is_forgotten() {
    let mut bench = Bench::new();
    bench.see_all((0..4).map(Sign::Failed));
    bench.now = bench.now.plus(WINDOW);
    // Other messages: one that was seen before would not count twice however long ago that was.
    bench.see_all((10..14).map(Sign::Failed));
    assert!(!bench.is_open(), "four of late");
    bench.see(Sign::Failed(14));
    assert!(bench.is_open());

    let mut bench = Bench::new();
    bench.see_all((0..4).map(Sign::Failed));
    bench.now = bench.now.plus(WINDOW - Duration::from_millis(100));
    bench.see(Sign::Failed(10));
    assert!(bench.is_open(), "not quite as long ago");
}

/// A timed-out request of each of `keys` messages, over and over: how many rounds until it opens.
fn rounds_of_time_outs(keys: u128) -> usize {
    let mut bench = Bench::new();
    let mut round = || {
        bench.now = bench.now.plus(Duration::from_secs(29));
        bench.see_all((0..keys).map(Sign::Silent)).contains(&News::Opened)
    };
    (1..100).find(|_| round()).unwrap()
}

#[test]
fn opens_at_a_target_that_hangs_however_few_ask_it() {
    assert_eq!([1, 2, 3, 4, 5].map(rounds_of_time_outs), [5, 3, 2, 2, 1]);
}

#[test]
fn opens_soon_where_nothing_is_answered_any_more_though_much_was_answered_before() {
    let mut bench = Bench::new();
    for _ in 0..90 {
        bench.now = bench.now.plus(Duration::from_millis(300));
        bench.see(Sign::Answers);
    }
    let mut failing = || {
        bench.now = bench.now.plus(Duration::from_millis(300));
        bench.see(Sign::Down)
    };
    assert_eq!((1..).find(|_| failing() == News::Opened), Some(5));
}

#[test]
fn a_row_ends_with_whatever_the_target_says() {
    for said in [Sign::Answers, Sign::Failed(7)] {
        let mut bench = Bench::new();
        bench.see_all(std::iter::repeat_n(Sign::Answers, 100));
        for _ in 0..20 {
            bench.see_all([Sign::Down, Sign::Silent(7), Sign::Down, Sign::Silent(7)]);
            bench.now = bench.now.plus(ROW_LASTS);
            bench.see(said);
        }
        assert!(!bench.is_open(), "{said:?}");
    }
}

#[test]
fn requests_that_are_cut_off_together_are_no_row() {
    let mut bench = Bench::new();
    bench.see_all(std::iter::repeat_n(Sign::Answers, 100));
    bench.see_all(std::iter::repeat_n(Sign::Down, 32));
    assert!(!bench.is_open());
    bench.now = bench.now.plus(ROW_LASTS);
    bench.see(Sign::Down);
    assert!(bench.is_open(), "nobody was answered since");
}

#[test]
fn only_the_latest_requests_count_so_that_a_busy_alias_notices_soon() {
    let mut bench = Bench::new();
    bench.now = at(0);
    for _ in 0..5_000 {
        bench.breaker.note(Sign::Answers, false, at(0), &bench.random, "");
    }
    let needed = (1..).find(|_| bench.see(Sign::Down) == News::Opened).unwrap();
    assert_eq!(needed, WINDOW_REQUESTS_MAX / 2);
}

#[test]
fn an_open_one_learns_from_its_tries_only() {
    let mut bench = Bench::new();
    bench.see_all(std::iter::repeat_n(Sign::Down, 5));
    assert_eq!(bench.see_all([Sign::Answers, Sign::Down, Sign::Failed(1)]), [News::Nothing; 3], "sent before it opened");
    let number = bench.breaker.begin_try(at(20_000), Duration::from_secs(5)).unwrap();
    assert_eq!(bench.breaker.opening().unwrap().until, at(25_000), "the others wait for what the try finds");
    bench.breaker.end_try(number + 1, at(21_000));
    assert_eq!(bench.breaker.opening().unwrap().until, at(25_000), "the end of another try is not its end");
    bench.breaker.end_try(number, at(21_000));
    assert_eq!(bench.breaker.opening().unwrap().until, at(21_000), "it ended and nobody knows how: the next");
    assert_eq!(bench.breaker.note(Sign::Answers, true, at(22_000), &bench.random, ""), News::Closed);
    assert!(!bench.is_open());
    bench.now = at(22_000);
    bench.see_all(std::iter::repeat_n(Sign::Down, 4));
    assert!(!bench.is_open(), "what was before is forgotten");
}

#[test]
fn waits_grow_to_ten_seconds_are_never_short_and_differ() {
    let mut bench = Bench::new();
    bench.see_all(std::iter::repeat_n(Sign::Down, 5));
    let mut waits = vec![bench.breaker.opening().unwrap().until.since(bench.now).as_millis()];
    for _ in 0..40 {
        let now = bench.breaker.opening().unwrap().until;
        bench.breaker.begin_try(now, Duration::from_secs(5));
        assert_eq!(bench.breaker.note(Sign::Failed(1), true, now, &bench.random, "down"), News::StillOpen);
        waits.push(bench.breaker.opening().unwrap().until.since(now).as_millis());
    }
    for (wait, ceiling) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000].into_iter().chain(std::iter::repeat(10_000))) {
        assert!((ceiling / 2..=ceiling).contains(wait), "{wait} of {ceiling}: {waits:?}");
    }
    let late: std::collections::BTreeSet<_> = waits[6..].iter().collect();
    assert!(late.len() > 20, "{waits:?}");
    assert_eq!(bench.breaker.opening().unwrap().since, at(50), "one outage");
}

#[test]
fn says_whether_somebody_may_try() {
    let mut bench = Bench::new();
    bench.see_all(std::iter::repeat_n(Sign::Down, 5));
    let opening = bench.breaker.opening().unwrap();
    assert_eq!((opening.as_str(at(50)), opening.as_str(opening.until)), ("open", "half-open"));
    bench.breaker.begin_try(at(20_000), Duration::from_secs(5));
    assert_eq!(bench.breaker.opening().unwrap().as_str(at(20_001)), "half-open");
}
