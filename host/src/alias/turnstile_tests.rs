//! Who gets seats when there are fewer than are wanted: one to find out, a few after an outage, shares of a rate.

use tokio::sync::Notify;

use super::*;
use crate::random::SeededRandom;

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: i64) -> Timestamp {
    Timestamp(1_700_000_000_000 + ms)
}

fn who(integration: &str) -> Who {
    Who { integration: integration.into(), bell: Arc::new(Notify::new()) }
}

fn random() -> SeededRandom {
    SeededRandom::new(7)
}

/// A request that is sent, and what comes of it.
fn request(turnstile: &Turnstile, now: Timestamp, sign: Sign) -> News {
    let ticket = turnstile.enter(now, SECOND).unwrap();
    let news = turnstile.note(ticket, sign, now, &random(), "down");
    turnstile.leave(ticket, now);
    news
}

/// The gate of an alias whose breaker has just opened.
fn open(rate: &[RateLimit]) -> Turnstile {
    let turnstile = Turnstile::new(rate, at(0));
    let tickets: Vec<_> = (0..5).map(|_| turnstile.enter(at(0), SECOND).unwrap()).collect();
    for ticket in tickets {
        turnstile.note(ticket, Sign::Down, at(0), &random(), "down");
    }
    turnstile
}

fn half_open(turnstile: &Turnstile) -> Timestamp {
    let Gate::Closed { kind: Hold::Open, until: Some(until) } = turnstile.gate(at(0)) else { panic!() };
    until
}

fn rang(who: &Who) -> bool {
    futures_util::FutureExt::now_or_never(who.bell.notified()).is_some()
}

fn seats(turnstile: &Turnstile, who: &Who, wanted: usize, now: Timestamp) -> usize {
    turnstile.admit(who, wanted, now).map_or(0, |granted| granted.seats)
}

fn end(turnstile: &Turnstile, who: &Who, granted: Granted, now: Timestamp) {
    if let Some(counted) = granted.counted {
        turnstile.give_back(&who.integration, granted.seats, counted, true, now);
    }
}

#[test]
fn an_open_breaker_lets_those_start_for_whom_answers_are_kept_but_none_in_a_circle() {
    let (kept, orders) = (open(&[]), who("orders"));
    assert_eq!(seats(&kept, &orders, 8, at(1)), 0, "nothing is kept");
    kept.let_pass_while_open(true);
    assert_eq!(seats(&kept, &orders, 8, at(1)), 8);
    let half_open = half_open(&kept);
    assert_eq!(seats(&kept, &orders, 8, half_open), 8, "who asks finds out, the others are answered meanwhile");
    (0..100).for_each(|_| kept.missed(&orders.integration, half_open));
    assert_eq!(seats(&kept, &orders, 8, half_open), 1, "now it takes its turn as ever");
    assert_eq!(request(&kept, half_open, Sign::Answers), News::Closed);
    assert_eq!(seats(&kept, &orders, 8, half_open), 1, "a target that is back is met slowly");
}

#[test]
fn no_more_pass_than_may_find_nothing_however_slow_they_are_to_find_it_out() {
    let (kept, orders, others) = (open(&[]), who("orders"), who("others"));
    kept.let_pass_while_open(true);
    let passed: Vec<Granted> = (0..4).map(|_| kept.admit(&orders, 10, at(1)).unwrap()).collect();
    assert_eq!(passed.iter().map(|granted| granted.seats).collect::<Vec<_>>(), [10, 10, 10, 2]);
    assert!(kept.admit(&orders, 10, at(1)).is_err(), "all of these may miss");
    assert_eq!(seats(&kept, &others, 10, at(1)), 10, "which is no business of the others");
    end(&kept, &orders, passed[0], at(2));
    assert!(rang(&orders), "who comes back makes room");
    assert_eq!(seats(&kept, &orders, 20, at(2)), 10);
    (0..22).for_each(|_| kept.missed(&orders.integration, at(3)));
    passed[1..].iter().for_each(|granted| end(&kept, &orders, *granted, at(3)));
    assert!(kept.admit(&orders, 10, at(3)).is_err(), "twenty-two missed, and ten are under way still");
}

#[test]
fn those_who_passed_count_at_the_slow_start_of_a_target_that_is_back() {
    let (kept, orders, others) = (open(&[]), who("orders"), who("others"));
    kept.let_pass_while_open(true);
    let half_open = half_open(&kept);
    let passed = kept.admit(&orders, 8, half_open).unwrap();
    assert_eq!(request(&kept, half_open, Sign::Answers), News::Closed);
    (0..20).for_each(|_| assert_eq!(request(&kept, half_open, Sign::Answers), News::Nothing));
    let later = half_open.plus(3 * SECOND);
    assert_eq!(seats(&kept, &others, 10, later), 1, "eight at once, and they meet it; one other goes on");
    assert_eq!(seats(&kept, &others, 10, later), 0);
    end(&kept, &orders, passed, later);
    assert_eq!(seats(&kept, &others, 10, later), 7);
}

#[test]
fn another_rate_forgets_nobody_who_is_under_way_and_holds_no_more_than_it_has() {
    let limits = |requests| [RateLimit { requests, period: 60 * SECOND }];
    let (turnstile, a, b) = (Turnstile::new(&limits(20), at(0)), who("a"), who("b"));
    let under_way = turnstile.admit(&a, 6, at(0)).unwrap();
    assert_eq!(under_way.seats, 6);
    turnstile.limit(&limits(8), at(0));
    let of_b = turnstile.admit(&b, 8, at(0)).unwrap();
    assert_eq!(of_b.seats, 2, "six are held for those under way");
    for _ in 0..6 {
        assert_eq!(turnstile.slot(&a.integration, at(1), Duration::ZERO), Ok(at(1)));
    }
    for _ in 0..2 {
        assert_eq!(turnstile.slot(&b.integration, at(1), Duration::ZERO), Ok(at(1)));
    }
    assert!(turnstile.slot(&b.integration, at(1), Duration::ZERO).is_err());

    let (turnstile, a) = (Turnstile::new(&limits(20), at(0)), who("a"));
    let under_way = turnstile.admit(&a, 6, at(0)).unwrap();
    turnstile.limit(&limits(4), at(0));
    let sent = (0..6).filter(|_| turnstile.slot(&a.integration, at(1), Duration::ZERO).is_ok()).count();
    assert_eq!(sent, 4, "what was held under the old one breaks no new one");
    end(&turnstile, &a, under_way, at(1));
    assert_eq!(seats(&turnstile, &a, 6, at(60_001)), 4);
}

#[test]
fn nobody_passes_a_gate_that_is_closed_for_another_reason() {
    let orders = who("orders");
    let (paused, refused, throttled) = (open(&[]), open(&[]), Turnstile::new(&[], at(0)));
    paused.pause(at(0), "moving house".to_owned(), at(0));
    refused.refuse(refused.force(), at(0), None, "401".to_owned());
    let asked = Asked { wait: Some(60 * SECOND), oddity: None };
    throttled.throttle(throttled.force(), at(0), &asked, &random(), "429".to_owned());
    for turnstile in [paused, refused, throttled] {
        turnstile.let_pass_while_open(true);
        assert_eq!(seats(&turnstile, &orders, 8, at(1)), 0);
    }
}

#[test]
fn starts_exactly_one_delivery_of_all_integrations_when_a_target_may_be_back() {
    let turnstile = open(&[]);
    let (a, b) = (who("a"), who("b"));
    let until = half_open(&turnstile);
    assert_eq!(turnstile.admit(&a, 8, at(0)), Err(until));
    assert_eq!(turnstile.admit(&b, 8, at(0)), Err(until));
    let trial = turnstile.admit(&a, 8, until).unwrap();
    assert_eq!(trial.seats, 1);
    for again in [&a, &b] {
        assert_eq!(seats(&turnstile, again, 8, until), 0);
    }
    assert_eq!(request(&turnstile, until, Sign::Down), News::StillOpen);
    end(&turnstile, &a, trial, until);
    let Gate::Closed { until: Some(next), .. } = turnstile.gate(until) else { panic!("open after a try that failed") };
    assert_eq!(seats(&turnstile, &a, 8, next), 0, "it is the turn of the other");
    assert_eq!(seats(&turnstile, &b, 8, next), 1);
}

#[test]
fn a_delivery_that_was_to_find_out_and_asks_nothing_makes_room_for_the_next() {
    let turnstile = open(&[]);
    let (a, b) = (who("a"), who("b"));
    let until = half_open(&turnstile);
    let trial = turnstile.admit(&a, 1, until).unwrap();
    assert_eq!(seats(&turnstile, &b, 1, until), 0);
    assert!(!rang(&b));
    end(&turnstile, &a, trial, until);
    assert!(rang(&b));
    assert_eq!(seats(&turnstile, &b, 1, until), 1);
    // One that hangs elsewhere holds the others up for a while only.
    assert_eq!(seats(&turnstile, &a, 1, until.plus(9 * SECOND)), 0);
    assert_eq!(seats(&turnstile, &a, 1, until.plus(10 * SECOND)), 1);
}

#[test]
fn what_was_under_way_when_the_breaker_opened_takes_no_seat_of_those_who_come_after() {
    let turnstile = Turnstile::new(&[], at(0));
    let a = who("a");
    let before = turnstile.admit(&a, 8, at(0)).unwrap();
    assert_eq!(before, Granted { seats: 8, counted: None });
    let ticket = turnstile.force();
    turnstile.note(ticket, Sign::Down, at(0), &random(), "down");
    let until = half_open(&turnstile);
    let trial = turnstile.admit(&a, 8, until).unwrap();
    assert_eq!(request(&turnstile, until, Sign::Answers), News::Closed);
    assert_eq!(seats(&turnstile, &a, 8, until), 1, "the trial's seat is of the time before");
    end(&turnstile, &a, trial, until);
    assert_eq!(seats(&turnstile, &a, 8, until), 0, "and makes no room when it is given back");
    assert_eq!(seats(&turnstile, &a, 8, until.plus(SECOND)), 1, "two at once");
}

#[test]
fn everybody_who_waits_hears_when_the_gate_is_open_for_all() {
    let turnstile = Turnstile::new(&[], at(0));
    let (a, b) = (who("a"), who("b"));
    turnstile.refuse(turnstile.force(), at(0), None, "401".into());
    assert!(turnstile.admit(&a, 8, at(0)).is_err() && turnstile.admit(&b, 8, at(0)).is_err());
    assert!(turnstile.accepted(turnstile.force(), at(1_000)));
    assert!(rang(&a) && !rang(&b), "one after the other, since it starts slowly");
    assert_eq!(seats(&turnstile, &a, 8, at(1_000)), 1);
    for second in 1..12 {
        for _ in 0..20 {
            request(&turnstile, at(1_000 + second * 1_000), Sign::Answers);
        }
    }
    assert_eq!(turnstile.admit(&a, 8, at(13_000)), Ok(Granted { seats: 8, counted: None }));
    assert!(rang(&b));
}

#[test]
fn a_rate_gives_no_more_seats_than_requests_may_go() {
    let turnstile = Turnstile::new(&[RateLimit { requests: 5, period: SECOND }], at(0));
    let a = who("a");
    let granted = turnstile.admit(&a, 8, at(0)).unwrap();
    assert_eq!(granted.seats, 5);
    assert!(turnstile.admit(&a, 8, at(0)).is_err());
    for _ in 0..5 {
        assert_eq!(turnstile.slot(&a.integration, at(10), Duration::ZERO), Ok(at(10)));
    }
    assert_eq!(turnstile.admit(&a, 8, at(20)), Err(at(1_010)), "it knows when the next may go");
    end(&turnstile, &a, granted, at(500));
    assert_eq!(seats(&turnstile, &a, 8, at(1_009)), 0);
    assert_eq!(seats(&turnstile, &a, 8, at(1_010)), 5);
}

#[test]
fn a_rate_is_shared_in_turns_however_much_one_of_them_wants() {
    let turnstile = Turnstile::new(&[RateLimit { requests: 6, period: SECOND }], at(0));
    let names = [who("greedy"), who("b"), who("c")];
    let mut sent = [0; 3];
    let mut now = at(0);
    while now < at(60_000) {
        // The greedy one always comes first; who got seats comes back for more.
        let mut asking = vec![0, 1, 2];
        while !asking.is_empty() {
            asking.retain(|number| {
                let who = &names[*number];
                let Ok(granted) = turnstile.admit(who, 1_000, now) else { return false };
                for _ in 0..granted.seats {
                    turnstile.slot(&who.integration, now, Duration::ZERO).unwrap();
                }
                sent[*number] += granted.seats;
                end(&turnstile, who, granted, now);
                true
            });
        }
        now = now.plus(Duration::from_millis(20));
    }
    assert!(sent.iter().sum::<usize>() > 330, "{sent:?}");
    assert!(sent.iter().all(|share| share.abs_diff(120) < 20), "{sent:?}");
}

#[test]
fn an_alias_whose_rate_is_used_up_for_long_is_shown_as_throttled() {
    let limits = [RateLimit { requests: 2, period: SECOND }, RateLimit { requests: 3, period: 60 * SECOND }];
    let turnstile = Turnstile::new(&limits, at(0));
    for _ in 0..2 {
        turnstile.slot(&"a".into(), at(0), SECOND).unwrap();
    }
    let Standing { condition, rate, limited_by } = turnstile.standing(at(10));
    assert_eq!((condition.hold, condition.detail, limited_by), (None, None, None), "full for a moment");
    assert_eq!(rate.iter().map(|rate| format!("{} of {}", rate.used, rate.limit)).collect::<Vec<_>>(), ["2 of 2/s", "2 of 3/m"]);
    turnstile.slot(&"a".into(), at(1_000), SECOND).unwrap();
    let Standing { condition, limited_by, .. } = turnstile.standing(at(1_010));
    assert_eq!(limited_by, Some(limits[1]));
    assert_eq!((condition.hold, condition.until), (Some(Hold::Throttled), Some(at(60_000))));
    assert_eq!(condition.detail.as_deref(), Some("its rate of 3/m is used up"));
    assert_eq!(turnstile.gate(at(1_010)), Gate::Open, "the target itself is well");
}

#[test]
fn a_rate_outlives_the_host_and_a_crash_gives_nothing_away() {
    let limits = [RateLimit { requests: 2, period: SECOND }, RateLimit { requests: 640, period: 86_400 * SECOND }];
    let turnstile = Turnstile::new(&limits, at(0));
    let first = turnstile.changed_to_keep(at(0)).expect("from the start");
    assert_eq!(turnstile.changed_to_keep(at(0)), None);
    let mut written = first;
    let mut writes = 0;
    for number in 0..100 {
        turnstile.slot(&"a".into(), at(number * 500), SECOND).unwrap();
        if let Some(kept) = turnstile.changed_to_keep(at(number * 500)) {
            (written, writes) = (kept, writes + 1);
        }
    }
    assert!((5..=25).contains(&writes), "not at every request: {writes}");
    let again = |kept: &Kept| {
        let turnstile = Turnstile::new(&limits, at(50_000));
        turnstile.restore(serde_json::from_str(&serde_json::to_string(kept).unwrap()).unwrap(), at(50_000));
        turnstile.standing(at(50_000)).rate.iter().map(|rate| rate.used).collect::<Vec<_>>()
    };
    let after_crash = again(&written);
    assert!((100..=120).contains(&after_crash[1]) && after_crash[0] == 2, "{after_crash:?}");
    assert_eq!(again(&turnstile.kept(at(50_000))), [1, 100], "exactly, if it ended by itself");
}

#[test]
fn a_rate_that_those_who_wait_wait_for_is_named_while_it_sends() {
    let limits = [RateLimit { requests: 2, period: SECOND }, RateLimit { requests: 90_000, period: 86_400 * SECOND }];
    let turnstile = Turnstile::new(&limits, at(0));
    let a = who("a");
    for second in 0..20 {
        let now = at(second * 1_000);
        let granted = turnstile.admit(&a, 8, now).unwrap();
        for _ in 0..granted.seats {
            turnstile.slot(&a.integration, now, SECOND).unwrap();
        }
        end(&turnstile, &a, granted, now);
        assert_eq!(seats(&turnstile, &a, 8, now), 0);
        let Standing { condition, limited_by, .. } = turnstile.standing(now.plus(SECOND));
        assert_eq!((condition.hold, condition.since, condition.until, limited_by), (Some(Hold::Throttled), at(0), None, Some(limits[0])));
        assert_eq!(condition.detail.as_deref(), Some("its rate of 2/s is the bottleneck"));
    }
    assert_eq!(turnstile.standing(at(24_000)).limited_by, None, "nobody has asked for more since");
}

#[test]
fn says_how_long_what_waits_takes_by_the_rate_at_least() {
    let limits = [RateLimit { requests: 2, period: SECOND }, RateLimit { requests: 100, period: 3_600 * SECOND }];
    let turnstile = Turnstile::new(&limits, at(0));
    for (deliveries, seconds) in [(0, 0), (2, 0), (22, 10), (100, 49), (150, 1_800)] {
        assert_eq!(turnstile.time_for("a", deliveries, at(0)), seconds * SECOND, "{deliveries}");
    }
    assert_eq!(Turnstile::new(&[], at(0)).time_for("a", 1_000, at(0)), Duration::ZERO);
    assert!(turnstile.time_for("a", u64::MAX, at(0)) > 1_000_000 * SECOND);
}
