//! What a rate lets through: never more than its limits, whatever is asked of it and however the host ends.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: i64) -> Timestamp {
    Timestamp(1_700_000_000_000 + ms)
}

fn limit(requests: u32, period_s: u64) -> RateLimit {
    RateLimit { requests, period: Duration::from_secs(period_s) }
}

fn name(number: u8) -> Arc<str> {
    format!("integration-{number}").into()
}

/// The most requests that lie within any span of the limit's period.
fn most_in_a_period(sent: &[Timestamp], limit: RateLimit) -> usize {
    let mut sent = sent.to_vec();
    sent.sort_unstable();
    let within = |start: usize| sent[start..].iter().take_while(|at| at.since(sent[start]) < limit.period).count();
    (0..sent.len()).map(within).max().unwrap_or(0)
}

#[test]
fn a_request_over_the_limit_is_told_when_it_could_go() {
    let mut rate = Rate::new(&[limit(2, 1), limit(3, 60)]);
    let orders = name(0);
    assert_eq!(rate.send(&orders, at(0), SECOND), Ok(at(0)));
    assert_eq!(rate.send(&orders, at(10), SECOND), Ok(at(10)));
    assert_eq!(rate.send(&orders, at(20), SECOND / 10), Err(Refused::Until(Some(at(1_000)))), "over the second's limit");
    assert_eq!(rate.send(&orders, at(20), SECOND), Ok(at(1_000)), "it waits that long, and has its place");
    assert_eq!(rate.send(&orders, at(5_000), SECOND), Err(Refused::Until(Some(at(60_000)))), "over the minute's limit");
    assert_eq!(rate.used_up_until(at(5_000)).map(|(at, limit)| (at, limit.to_string())), Some((at(60_000), "3/m".into())));
    assert_eq!(rate.send(&orders, at(60_000), SECOND), Ok(at(60_000)));
}

#[test]
fn without_limits_everything_goes() {
    let mut rate = Rate::new(&[]);
    assert!(!rate.is_limited());
    assert_eq!(rate.send(&name(0), at(0), Duration::ZERO), Ok(at(0)));
}

#[test]
fn what_is_held_for_deliveries_under_way_is_nobody_elses() {
    let mut rate = Rate::new(&[limit(3, 1)]);
    let (orders, other) = (name(0), name(1));
    assert_eq!(rate.seats(&orders, at(0)), 3);
    rate.hold(&orders, 3);
    assert_eq!(rate.seats(&other, at(0)), 0);
    assert_eq!(rate.next_seat(&other, at(0)), None, "one of those under way has to end first");
    assert_eq!(rate.send(&other, at(0), SECOND), Err(Refused::Until(None)));
    assert_eq!(rate.send(&orders, at(0), Duration::ZERO), Ok(at(0)));
    // The second ended without a request: what was held for it is free.
    rate.give_back(&orders, 1, true);
    rate.give_back(&orders, 1, true);
    assert_eq!(rate.send(&other, at(0), Duration::ZERO), Ok(at(0)));
    assert_eq!(rate.send(&other, at(0), Duration::ZERO), Err(Refused::Until(Some(at(1_000)))), "one is still under way");
}

#[test]
fn deliveries_that_send_several_requests_are_given_room_for_all_of_them() {
    let mut rate = Rate::new(&[limit(12, 1)]);
    let orders = name(0);
    let mut now = at(0);
    for _ in 0..40 {
        now = now.plus(10 * SECOND);
        rate.hold(&orders, 1);
        for _ in 0..5 {
            rate.send(&orders, now, SECOND).unwrap();
        }
        rate.give_back(&orders, 1, true);
    }
    now = now.plus(10 * SECOND);
    assert_eq!(rate.seats(&orders, now), 2, "two times five of twelve");
    assert_eq!(rate.seats(&name(1), now), 12, "others send one");
}

#[test]
fn a_delivery_that_needs_more_than_the_whole_rate_gets_the_whole_rate() {
    let mut rate = Rate::new(&[limit(2, 1)]);
    let orders = name(0);
    let mut now = at(0);
    rate.hold(&orders, 1);
    for _ in 0..40 {
        now = rate.send(&orders, now, SECOND).unwrap();
    }
    rate.give_back(&orders, 1, true);
    assert_eq!(rate.seats(&orders, now.plus(SECOND)), 1);
}

/// Rounds of as many deliveries as there is room for, each of which stops at the first request that is turned away. Gives the
/// round in which one was done, or the limit that none will ever meet.
fn rounds_until_one_is_done(limits: &[RateLimit], requests: u32, timeout: Duration) -> Result<usize, RateLimit> {
    let (mut rate, orders, mut now) = (Rate::new(limits), name(0), at(0));
    for round in 1..50 {
        let mut under_way = vec![0; rate.seats(&orders, now).min(8)];
        rate.hold(&orders, under_way.len() as u32);
        let mut next = rate.next_seat(&orders, now).unwrap_or(now);
        while !under_way.is_empty() {
            for index in (0..under_way.len()).rev() {
                match rate.send(&orders, now, timeout) {
                    Ok(_) if under_way[index] + 1 == requests => return Ok(round),
                    Ok(at) => (under_way[index], now) = (under_way[index] + 1, at),
                    Err(Refused::Never(limit)) => return Err(limit),
                    Err(Refused::Until(until)) => {
                        under_way.remove(index);
                        rate.give_back(&orders, 1, true);
                        next = next.max(until.unwrap_or(now));
                    }
                }
            }
        }
        now = next.max(rate.next_seat(&orders, now).unwrap_or(now));
    }
    panic!("the rate is spent on the same first requests again and again");
}

#[test]
fn deliveries_that_were_turned_away_half_way_find_room_for_all_of_it_soon() {
    for requests in 2..=20 {
        let round = rounds_until_one_is_done(&[limit(20, 60)], requests, Duration::ZERO);
        assert!(round.is_ok_and(|round| round <= 6), "{requests} of 20: {round:?}");
    }
}

#[test]
fn a_delivery_that_wants_more_than_the_whole_rate_waits_for_it_while_it_may_and_is_told_otherwise() {
    assert!(rounds_until_one_is_done(&[limit(5, 10)], 12, 15 * SECOND).is_ok(), "the window passes while it waits");
    assert_eq!(rounds_until_one_is_done(&[limit(5, 3_600)], 6, 15 * SECOND), Err(limit(5, 3_600)));
    assert_eq!(rounds_until_one_is_done(&[limit(1, 60)], 2, SECOND), Err(limit(1, 60)));
    let limits = [limit(5, 1), limit(30, 86_400)];
    assert_eq!(rounds_until_one_is_done(&limits, 40, SECOND), Err(limit(30, 86_400)), "the limit that stands in its way");
    // What others have sent is no fault of its own.
    let (mut rate, orders) = (Rate::new(&[limit(1, 1), limit(3, 60)]), name(0));
    for second in 0..2 {
        rate.send(&name(1), at(second * 1_000), SECOND).unwrap();
    }
    rate.hold(&orders, 1);
    assert_eq!(rate.send(&orders, at(2_000), SECOND), Ok(at(2_000)));
    assert_eq!(rate.send(&orders, at(3_000), SECOND), Err(Refused::Until(Some(at(60_000)))));
}

#[test]
fn a_full_load_is_let_through_almost_up_to_the_limit() {
    let mut rate = Rate::new(&[limit(20, 1)]);
    let mut now = at(0);
    let mut sent = 0;
    while now < at(60_000) {
        now = rate.send(&name(0), now, SECOND).unwrap();
        sent += 1;
    }
    assert!(sent > 20 * 60 * 95 / 100, "{sent}");
}

#[test]
fn a_window_takes_as_much_memory_however_much_it_lets_through() {
    let mut rate = Rate::new(&[limit(90_000, 86_400)]);
    let mut now = at(0);
    for _ in 0..200_000 {
        now = now.plus(Duration::from_millis(431));
        let _ = rate.send(&name(0), now, SECOND);
    }
    assert!(rate.windows[0].grains.len() <= 2 * GRAINS as usize + 2, "{}", rate.windows[0].grains.len());
    assert!(serde_json::to_string(&rate.kept(now)).unwrap().len() < 8_192);
}

#[test]
fn what_is_kept_may_say_anything_and_breaks_nothing() {
    let mut rate = Rate::new(&[limit(10, 60)]);
    let grains = vec![(at(i64::MAX / 2), at(0), 3), (at(0), at(i64::MAX / 2), u32::MAX), (Timestamp(i64::MIN), Timestamp(i64::MIN), 7)];
    rate.restore(&[KeptWindow { period_ms: 60_000, grains }], true, at(0));
    assert_eq!(rate.send(&name(0), at(1), SECOND), Err(Refused::Until(Some(at(60_000)))), "at most a whole period from now");
    assert_eq!(rate.send(&name(0), at(60_000), SECOND), Ok(at(60_000)));
}

#[test]
fn what_was_sent_before_a_crash_counts_from_when_it_may_have_been_sent() {
    let mut rate = Rate::new(&[limit(256, 60)]);
    let kept = rate.kept_ahead(at(0));
    assert_eq!(rate.send(&name(0), at(50_000), SECOND), Ok(at(50_000)));
    assert!(!rate.is_to_be_kept(), "it is covered by what was kept at first");
    let mut after = Rate::new(&[limit(256, 60)]);
    after.restore(&kept, false, at(55_000));
    let used = |rate: &mut Rate, ms| rate.shown(at(ms))[0].used;
    assert_eq!((used(&mut after, 61_000), used(&mut after, 114_000), used(&mut after, 115_000)), (4, 4, 0));
}

#[test]
fn a_limit_that_was_lowered_counts_what_was_sent_under_the_old_one() {
    let mut before = Rate::new(&[limit(100, 60)]);
    for _ in 0..50 {
        before.send(&name(0), at(0), SECOND).unwrap();
    }
    let mut after = Rate::new(&[limit(20, 60), limit(5, 1)]);
    after.restore(&before.kept(at(10)), true, at(10));
    assert_eq!(after.send(&name(0), at(10), SECOND), Err(Refused::Until(Some(at(60_000)))));
}

/// What can happen to a rate.
#[derive(Clone, Debug)]
enum Step {
    Pass(u16),
    Start { integration: u8, wanted: u8 },
    Send { integration: u8, patience_ms: u16 },
    End { integration: u8 },
    Crash,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u16..2_000).prop_map(Step::Pass),
        3 => (0_u8..3, 1_u8..9).prop_map(|(integration, wanted)| Step::Start { integration, wanted }),
        8 => (0_u8..3, 0_u16..1_500).prop_map(|(integration, patience_ms)| Step::Send { integration, patience_ms }),
        3 => (0_u8..3).prop_map(|integration| Step::End { integration }),
        1 => Just(Step::Crash),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_window_ever_sees_more_than_its_limit(steps in proptest::collection::vec(step(), 1..300), few in 1_u32..12, more in 12_u32..200) {
        let limits = [limit(few, 1), limit(more, 20)];
        let mut rate = Rate::new(&limits);
        let mut now = at(0);
        let mut sent: Vec<Timestamp> = Vec::new();
        let mut under_way = [0_u32; 3];
        let mut written = rate.kept_ahead(now);
        for step in steps {
            match step {
                Step::Pass(ms) => now = now.plus(Duration::from_millis(ms.into())),
                Step::Start { integration, wanted } => {
                    let seats = rate.seats(&name(integration), now).min(wanted.into()) as u32;
                    rate.hold(&name(integration), seats);
                    under_way[usize::from(integration)] += seats;
                }
                Step::Send { integration, patience_ms } => {
                    sent.extend(rate.send(&name(integration), now, Duration::from_millis(patience_ms.into())));
                }
                Step::End { integration } => {
                    let ended = under_way[usize::from(integration)].min(1);
                    rate.give_back(&name(integration), ended, true);
                    under_way[usize::from(integration)] -= ended;
                }
                Step::Crash | Step::Stop => {
                    let cleanly = matches!(step, Step::Stop);
                    let kept = if cleanly { rate.kept(now) } else { written.clone() };
                    // What waited for its time was not sent.
                    sent.retain(|at| *at <= now);
                    under_way = [0; 3];
                    rate = Rate::new(&limits);
                    rate.restore(&kept, cleanly, now);
                }
            }
            if rate.is_to_be_kept() {
                written = rate.kept_ahead(now);
            }
        }
        for limit in limits {
            prop_assert!(most_in_a_period(&sent, limit) <= limit.requests as usize, "{limit}: {sent:?}");
        }
        // Nothing is held for deliveries that are gone.
        for (integration, count) in (0_u8..).zip(under_way) {
            rate.give_back(&name(integration), count, true);
        }
        prop_assert_eq!(rate.held, 0);
    }
}
