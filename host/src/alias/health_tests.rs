//! What an alias's health lets through, and when.

use super::*;
use crate::random::SeededRandom;

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: i64) -> Timestamp {
    Timestamp(ms)
}

fn random() -> SeededRandom {
    SeededRandom::new(7)
}

fn asked(seconds: u64) -> Asked {
    Asked { wait: Some(Duration::from_secs(seconds)), oddity: None }
}

fn throttle(health: &mut Health, now: Timestamp, asked: &Asked) -> Timestamp {
    let ticket = Ticket { era: 0, credential_era: 0, generation: 0, is_try: false, try_number: None };
    health.throttle(ticket, now, asked, &random(), "429".into())
}

/// A health whose breaker has just opened.
fn open(now: Timestamp) -> Health {
    let mut health = Health::new(now);
    let tickets: Vec<_> = (0..5).map(|_| health.enter(now, SECOND).unwrap()).collect();
    let news: Vec<_> = tickets.into_iter().map(|ticket| health.note(ticket, Sign::Down, now, &random(), "refused")).collect();
    assert_eq!(news[3..], [News::Nothing, News::Opened]);
    health
}

#[test]
fn a_wait_is_never_shorter_than_asked_and_never_shortened() {
    let mut health = Health::new(at(0));
    let until = throttle(&mut health, at(0), &asked(60));
    assert!((60_000..=66_000).contains(&until.0), "{until:?}");
    assert_eq!(throttle(&mut health, at(1_000), &asked(1)), until);
    assert_eq!(health.closed(at(59_999)), Some(Closed { kind: Hold::Throttled, until }));
    assert!(health.enter(at(59_999), SECOND).is_err());
    let ticket = health.force();
    health.note(ticket, Sign::Answers, at(2_000), &random(), "");
    assert!(health.enter(at(59_999), SECOND).is_err(), "an answer does not end a wait the target asked for");
    assert_eq!(health.closed(until), None);
    let condition = health.condition(until);
    assert_eq!((condition.hold, condition.since, condition.breaker), (None, until, "closed"));
}

#[test]
fn a_target_that_asks_for_no_wait_again_and_again_is_left_alone_for_longer_and_longer() {
    for asks in [Asked::default(), asked(0)] {
        let mut health = Health::new(at(0));
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let until = throttle(&mut health, now, &asks);
            waits.push(until.since(now).as_millis());
            now = until;
        }
        for (wait, ceiling) in waits.iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
            assert!((ceiling / 2..=ceiling).contains(wait), "{waits:?}");
        }
        let ticket = health.enter(now, SECOND).unwrap();
        health.note(ticket, Sign::Answers, now, &random(), "");
        let until = throttle(&mut health, now, &asks);
        assert!(until.since(now) <= SECOND, "an answer in between, and it begins anew");
    }
}

#[test]
fn a_person_who_sees_it_answer_can_end_a_wait_the_target_asked_for() {
    let mut health = Health::new(at(0));
    assert!(!health.end_throttle(at(0)), "there is none");
    throttle(&mut health, at(0), &asked(30 * 86_400));
    assert!(health.end_throttle(at(5_000)));
    assert_eq!(health.limit(at(5_000)), Limit::Ramp(1));
}

#[test]
fn a_target_that_is_down_is_tried_by_one_at_a_time() {
    let mut health = open(at(0));
    let until = health.closed(at(0)).unwrap().until;
    assert!(health.enter(at(0), SECOND).is_err());
    assert_eq!(health.limit(until), Limit::Trial);
    let ticket = health.enter(until, 5 * SECOND).unwrap();
    assert_eq!(health.enter(until, 5 * SECOND).unwrap_err(), Closed { kind: Hold::Open, until: until.plus(5 * SECOND) });
    assert_eq!(health.note(ticket, Sign::Down, until, &random(), "refused"), News::StillOpen);
    assert!(matches!(health.limit(until), Limit::None(Closed { kind: Hold::Open, .. })));
    assert_eq!(health.condition(until).since, at(0), "one outage");
}

#[test]
fn a_try_that_never_reports_back_blocks_the_others_for_its_lease_and_one_that_leaves_not_at_all() {
    let mut health = open(at(0));
    let ticket = health.enter(at(20_000), 5 * SECOND).unwrap();
    assert_eq!(health.closed(at(24_999)), Some(Closed { kind: Hold::Open, until: at(25_000) }));
    assert!(health.enter(at(25_000), 5 * SECOND).is_ok(), "its lease is over");
    health.leave(ticket, at(25_001));
    assert!(health.enter(at(25_001), SECOND).is_err(), "the second try is another's");
    let mut health = open(at(0));
    let ticket = health.enter(at(20_000), 5 * SECOND).unwrap();
    health.leave(ticket, at(20_001));
    assert!(health.enter(at(20_001), SECOND).is_ok());
}

#[test]
fn who_waited_for_a_credential_hears_that_the_gate_has_closed_meanwhile() {
    let mut health = Health::new(at(0));
    let tickets: Vec<_> = (0..6).map(|_| health.enter(at(0), SECOND).unwrap()).collect();
    tickets.iter().for_each(|ticket| assert_eq!(health.recheck(*ticket, at(0)), Ok(())));
    for ticket in &tickets[..5] {
        health.note(*ticket, Sign::Down, at(0), &random(), "down");
    }
    assert!(health.recheck(tickets[5], at(0)).is_err());
    let until = health.closed(at(0)).unwrap().until;
    let own = health.enter(until, SECOND).unwrap();
    assert_eq!(health.recheck(own, until), Ok(()), "a try is not stopped by the outage it is to end");
}

#[test]
fn a_target_that_is_back_is_met_by_one_then_two_then_four() {
    let mut health = open(at(0));
    let ticket = health.enter(at(20_000), SECOND).unwrap();
    assert_eq!(health.note(ticket, Sign::Answers, at(20_000), &random(), ""), News::Closed);
    let answer = |health: &mut Health, now| {
        let ticket = health.enter(now, SECOND).unwrap();
        health.note(ticket, Sign::Answers, now, &random(), "");
    };
    assert_eq!(health.limit(at(60_000)), Limit::Ramp(2), "time alone does not widen it");
    (0..10).for_each(|_| answer(&mut health, at(20_100)));
    assert_eq!(health.limit(at(20_999)), Limit::Ramp(1), "answers alone do not widen it");
    let widths: Vec<_> = (0..5).map(|second| health.limit(at(20_000 + second * 1_000))).collect();
    assert_eq!(widths, [1, 2, 4, 8, 12].map(Limit::Ramp));
    (0..60).for_each(|_| answer(&mut health, at(26_000)));
    assert_eq!(health.limit(at(26_000)), Limit::Free);
}

#[test]
fn one_that_comes_back_for_a_moment_only_is_left_alone_for_longer() {
    let mut health = open(at(0));
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..4 {
        now = health.closed(now).unwrap().until;
        let ticket = health.enter(now, SECOND).unwrap();
        health.note(ticket, Sign::Answers, now, &random(), "");
        let ticket = health.force();
        assert_eq!(health.note(ticket, Sign::Down, now, &random(), "down"), News::Opened, "a person's test says it at once");
        waits.push(health.closed(now).unwrap().until.since(now).as_millis());
    }
    for (wait, ceiling) in waits.iter().zip([1_000, 2_000, 4_000, 8_000]) {
        assert!((ceiling / 2..=ceiling).contains(wait), "{waits:?}");
    }
    // A minute without trouble, and it is trusted again.
    now = health.closed(now).unwrap().until;
    let ticket = health.enter(now, SECOND).unwrap();
    health.note(ticket, Sign::Answers, now, &random(), "");
    now = now.plus(60 * SECOND);
    let ticket = health.force();
    health.note(ticket, Sign::Down, now, &random(), "down");
    assert!(health.closed(now).unwrap().until.since(now) <= SECOND / 2);
}

#[test]
fn after_a_wait_the_target_asked_for_it_is_met_slowly_too() {
    let mut health = Health::new(at(0));
    let until = throttle(&mut health, at(0), &asked(60));
    assert_eq!(health.limit(until), Limit::Ramp(1));
}

#[test]
fn a_slow_start_ends_by_itself_where_few_ask_unless_requests_fail() {
    for fails in [false, true] {
        let mut health = open(at(0));
        let ticket = health.enter(at(20_000), SECOND).unwrap();
        health.note(ticket, Sign::Answers, at(20_000), &random(), "");
        if fails {
            let ticket = health.enter(at(70_000), SECOND).unwrap();
            health.note(ticket, Sign::Failed(1), at(70_000), &random(), "500");
        }
        assert_eq!(health.limit(at(79_999)), Limit::Ramp(2));
        assert_eq!(health.limit(at(80_000)), if fails { Limit::Ramp(2) } else { Limit::Free });
        assert_eq!(health.limit(at(100_000)), Limit::Free, "what failed is forgotten");
    }
}

#[test]
fn a_slow_start_goes_on_after_a_restart() {
    let mut health = open(at(0));
    let ticket = health.enter(at(20_000), SECOND).unwrap();
    health.note(ticket, Sign::Answers, at(20_000), &random(), "");
    assert_eq!(over_a_restart(&health, at(30_000)).limit(at(30_000)), Limit::Ramp(1));
    assert_eq!(over_a_restart(&health, at(80_000)).limit(at(80_000)), Limit::Free, "it is long over");
}

#[test]
fn a_refused_credential_is_news_once_and_is_tried_again_every_five_minutes() {
    let mut health = Health::new(at(0));
    assert!(health.refuse(health.force(), at(1_000), Some(Secret::new("old")), "401".into()));
    assert!(!health.refuse(health.force(), at(2_000), Some(Secret::new("old")), "401".into()));
    assert_eq!(health.closed(at(301_999)), Some(Closed { kind: Hold::CredentialRefused, until: at(302_000) }));
    assert_eq!(health.limit(at(302_000)), Limit::Trial);
    assert!(health.enter(at(302_000), SECOND).is_ok());
    assert!(health.enter(at(302_000), SECOND).is_err(), "one try, not all of them");
    assert!(!health.is_refused_with_other_than(&Secret::new("old")));
    assert!(health.is_refused_with_other_than(&Secret::new("new")));
    assert_eq!(health.condition(at(302_000)).since, at(1_000));
    assert!(health.accepted(health.force(), at(302_100)));
    assert_eq!(health.closed(at(302_100)), None);
}

#[test]
fn a_refusal_is_shown_before_an_outage_and_an_outage_before_a_wait() {
    let mut health = open(at(0));
    throttle(&mut health, at(0), &asked(3_600));
    assert_eq!(health.condition(at(1)).hold, Some(Hold::Open));
    assert_eq!(health.closed(at(11_000)).unwrap().kind, Hold::Throttled, "due for a try, but the target asked to wait");
    health.refuse(health.force(), at(0), None, "401".into());
    assert_eq!(health.condition(at(1)).hold, Some(Hold::CredentialRefused));
}

fn over_a_restart(health: &Health, now: Timestamp) -> Health {
    let written = serde_json::to_string(&health.kept()).unwrap();
    let mut again = Health::new(now);
    again.restore(serde_json::from_str(&written).unwrap(), now);
    again
}

#[test]
fn what_a_target_asked_for_and_an_open_breaker_outlive_the_host() {
    let mut health = Health::new(at(0));
    let until = throttle(&mut health, at(0), &asked(3_600));
    let again = over_a_restart(&health, at(10_000));
    assert_eq!(again.closed(at(10_000)), Some(Closed { kind: Hold::Throttled, until }));
    assert_eq!(again.condition(at(10_000)), health.condition(at(10_000)));
    assert_eq!(over_a_restart(&again, until.plus(SECOND)).limit(until.plus(SECOND)), Limit::Ramp(1), "met slowly");
    let long_after = until.plus(3_600 * SECOND);
    assert_eq!(over_a_restart(&again, long_after).limit(long_after), Limit::Free);

    let health = open(at(0));
    let mut again = over_a_restart(&health, at(60_000));
    assert_eq!(again.limit(at(60_000)), Limit::Trial, "one finds out, not all");
    assert_eq!(again.condition(at(60_000)).since, at(0));
    let ticket = again.enter(at(60_000), SECOND).unwrap();
    again.note(ticket, Sign::Down, at(60_000), &random(), "down");
    assert!(again.closed(at(60_000)).unwrap().until.since(at(60_000)) >= SECOND / 2, "the waits go on growing");
    assert_eq!(over_a_restart(&Health::new(at(0)), at(5)).limit(at(5)), Limit::Free);
}

#[test]
fn nothing_that_was_kept_holds_longer_than_a_target_may_ask_for() {
    let kept =
        r#"{"throttle": {"since": 9223372036854775807, "until": 9223372036854775807, "detail": "x"}, "openings": 4000000000, "later": 1}"#;
    let mut health = Health::new(at(0));
    health.restore(serde_json::from_str(kept).unwrap(), at(0));
    assert_eq!(health.closed(at(0)).unwrap().until, at(0).plus(RETRY_AFTER_MAX));
    assert_eq!(health.condition(at(0)).since, at(0));
    let kept = r#"{"breaker": {"since": -1, "until": 9223372036854775807, "detail": "x"}, "slowly-since": 9223372036854775807}"#;
    let mut health = Health::new(at(0));
    health.restore(serde_json::from_str(kept).unwrap(), at(0));
    assert_eq!(health.limit(at(10_000)), Limit::Trial, "a breaker never waits longer than ten seconds");
}
