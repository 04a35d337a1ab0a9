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

fn closed(gate: Gate) -> (Hold, i64) {
    match gate {
        Gate::Closed { kind, until: Some(until) } => (kind, until.0),
        gate => panic!("{gate:?}"),
    }
}

#[test]
fn a_wait_is_never_shorter_than_asked_and_never_shortened() {
    let (health, random) = (Health::new(at(0)), random());
    let until = health.throttle(at(0), 60 * SECOND, &random, "429".into());
    assert!((60_000..=66_000).contains(&until.0), "{until:?}");
    assert_eq!(health.throttle(at(1_000), SECOND, &random, "429".into()), until);
    assert_eq!(closed(health.gate(at(59_999))), (Hold::Throttled, until.0));
    assert!(health.enter(at(59_999), SECOND).is_err());
    assert!(!health.answered(at(2_000)), "an answer does not end a wait the target asked for");
    assert!(health.enter(at(59_999), SECOND).is_err());
    assert_eq!(health.gate(until), Gate::Open);
    assert_eq!(health.condition(until), Condition { hold: None, since: until, until: None, detail: None });
}

#[test]
fn an_outage_lets_one_try_through_at_a_time_with_growing_waits() {
    let (health, random) = (Health::new(at(0)), random());
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..40 {
        let ticket = health.enter(now, 5 * SECOND).unwrap();
        if !waits.is_empty() {
            assert!(health.enter(now, 5 * SECOND).is_err(), "a second try while the first is under way");
        }
        assert!(health.failed(ticket, now, &random, "refused".into()));
        let until = match health.gate(now) {
            Gate::Closed { kind: Hold::Unreachable, until: Some(until) } => until,
            _ => now,
        };
        waits.push(until.since(now).as_millis());
        now = until.plus(Duration::from_millis(1));
    }
    assert!(waits[0] <= 250 && waits.iter().all(|wait| *wait <= 10_000), "{waits:?}");
    assert!(waits[8..].iter().sum::<u128>() / 32 > 3_000, "{waits:?}");
    assert_eq!(health.condition(now).hold, Some(Hold::Unreachable), "still down, only due for a try");
    assert!(health.answered(now));
    assert_eq!(health.condition(now), Condition { hold: None, since: now, until: None, detail: None });
    assert!(!health.answered(now));
}

#[test]
fn requests_that_failed_together_count_as_one_failure() {
    let (health, random) = (Health::new(at(0)), random());
    let tickets: Vec<Ticket> = (0..8).map(|_| health.enter(at(0), SECOND).unwrap()).collect();
    let news = tickets.into_iter().filter(|ticket| health.failed(*ticket, at(10), &random, "down".into())).count();
    assert_eq!(news, 1);
    assert!(closed_or_open_until(&health, at(10)) <= 260);
}

fn closed_or_open_until(health: &Health, now: Timestamp) -> i64 {
    match health.gate(now) {
        Gate::Closed { until: Some(until), .. } => until.0,
        _ => now.0,
    }
}

#[test]
fn a_try_that_never_reports_back_blocks_the_others_for_its_lease_only() {
    let (health, random) = (Health::new(at(0)), random());
    let ticket = health.enter(at(0), SECOND).unwrap();
    health.failed(ticket, at(0), &random, "down".into());
    health.enter(at(20_000), 5 * SECOND).unwrap();
    assert_eq!(closed(health.gate(at(24_999))), (Hold::Unreachable, 25_000));
    assert!(health.enter(at(25_000), 5 * SECOND).is_ok());
}

#[test]
fn no_answer_in_time_is_no_outage_but_does_not_end_one() {
    let (health, random) = (Health::new(at(0)), random());
    let ticket = health.enter(at(0), SECOND).unwrap();
    assert!(!health.timed_out(ticket, at(0), &random, "slow".into()));
    assert_eq!(health.gate(at(0)), Gate::Open);
    health.failed(ticket, at(0), &random, "down".into());
    let ticket = health.enter(at(20_000), SECOND).unwrap();
    assert!(health.timed_out(ticket, at(20_500), &random, "slow".into()));
    assert_eq!(health.condition(at(20_500)).hold, Some(Hold::Unreachable));
}

#[test]
fn a_refused_credential_is_news_once_and_is_tried_again_every_five_minutes() {
    let health = Health::new(at(0));
    assert!(health.refuse(at(1_000), Some(Secret::new("old")), "401".into()));
    assert!(!health.refuse(at(2_000), Some(Secret::new("old")), "401".into()));
    assert_eq!(closed(health.gate(at(301_999))), (Hold::CredentialRefused, 302_000));
    assert!(health.enter(at(302_000), SECOND).is_ok());
    assert!(health.enter(at(302_000), SECOND).is_err(), "one try, not all of them");
    assert!(!health.is_refused_with_other_than(&Secret::new("old")));
    assert!(health.is_refused_with_other_than(&Secret::new("new")));
    assert_eq!(health.condition(at(302_000)).since, at(1_000));
    assert!(health.accepted(at(302_100)));
    assert_eq!(health.gate(at(302_100)), Gate::Open);
}

#[test]
fn a_refusal_is_shown_before_an_outage_and_an_outage_before_a_wait() {
    let (health, random) = (Health::new(at(0)), random());
    health.throttle(at(0), 3600 * SECOND, &random, "429".into());
    assert_eq!(health.condition(at(1)).hold, Some(Hold::Throttled));
    health.failed(Ticket { generation: 1 }, at(0), &random, "down".into());
    assert_eq!(health.condition(at(1)).hold, Some(Hold::Unreachable));
    assert_eq!(closed(health.gate(at(11_000))).0, Hold::Throttled, "due for a try, but the target asked to wait");
    health.refuse(at(0), None, "401".into());
    assert_eq!(health.condition(at(1)).hold, Some(Hold::CredentialRefused));
}
