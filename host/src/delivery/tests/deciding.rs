//! The rules of [`decide`].

use std::time::Duration;

use crate::clock::Timestamp;
use crate::delivery::{Decision, Tries, decide};
use crate::integration::{Backoff, DeliveryPolicy, Jitter};
use crate::message::FailureClass;
use crate::plugin::{CallFailure, Obstacle, ObstacleKind};
use crate::random::SeededRandom;

const NOW: Timestamp = Timestamp(1_000_000);

fn policy() -> DeliveryPolicy {
    let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300), jitter: Jitter::None };
    DeliveryPolicy { backoff, ..DeliveryPolicy::default() }
}

fn transient(retry_after: Option<Duration>) -> CallFailure {
    CallFailure::Transient { code: "row-locked".into(), detail: "locked".into(), retry_after }
}

fn permanent() -> CallFailure {
    CallFailure::Permanent { code: "bad-value".into(), detail: "bad".into() }
}

fn obstacle(kind: ObstacleKind, not_before: Option<Timestamp>) -> Obstacle {
    Obstacle { kind, alias: "crm".into(), not_before, detail: "down".into() }
}

fn after(failure: &CallFailure, obstacle: Option<Obstacle>, tries: Tries, policy: &DeliveryPolicy) -> Decision {
    decide(failure, obstacle.as_ref(), tries, policy, NOW, &SeededRandom::new(1))
}

#[test]
fn waits_without_using_an_attempt_for_what_the_host_saw_whatever_the_plugin_made_of_it() {
    for failure in [transient(None), permanent()] {
        let long_failing = Tries { attempts: 99, failing_since: Some(Timestamp(0)), ..Tries::default() };
        let bounded = DeliveryPolicy { attempts: Some(1), give_up_after: Duration::ZERO, ..policy() };
        let decision = after(&failure, Some(obstacle(ObstacleKind::BreakerOpen, None)), long_failing, &bounded);
        assert_eq!(decision, Decision::Waits { due_at: NOW });
    }
}

#[test]
fn is_due_at_once_behind_a_gate_which_may_open_earlier_than_it_said() {
    for kind in [ObstacleKind::BreakerOpen, ObstacleKind::CredentialRefused] {
        let said = NOW.plus(Duration::from_secs(300));
        let decision = after(&transient(None), Some(obstacle(kind, Some(said))), Tries::default(), &policy());
        assert_eq!(decision, Decision::Waits { due_at: NOW });
    }
}

#[test]
fn is_not_due_at_once_where_its_gate_let_it_start_for_an_answer_that_is_not_kept() {
    for (until_s, due_s) in [(None, 1), (Some(0), 1), (Some(7), 7), (Some(90), 10)] {
        let at = |seconds: u64| NOW.plus(Duration::from_secs(seconds));
        let decision = after(&permanent(), Some(obstacle(ObstacleKind::NotKept, until_s.map(at))), Tries::default(), &policy());
        assert_eq!(decision, Decision::Waits { due_at: at(due_s) });
    }
}

#[test]
fn a_message_whose_own_connection_always_breaks_comes_back_later_and_later() {
    let latest = |waits| {
        let random = SeededRandom::new(7);
        let tries = Tries { waits, ..Tries::default() };
        let unreachable = obstacle(ObstacleKind::Unreachable, None);
        let due = (0..200).map(|_| match decide(&transient(None), Some(&unreachable), tries, &policy(), NOW, &random) {
            Decision::Waits { due_at } => due_at.since(NOW),
            other => panic!("{other:?}"),
        });
        due.max().unwrap()
    };
    assert!(latest(0) <= Duration::from_millis(250));
    assert!(latest(20) > Duration::from_secs(9) && latest(20) <= Duration::from_secs(10));
}

#[test]
fn a_plugin_cannot_put_a_message_off_for_ever() {
    let asked = Some(Duration::from_millis(u64::MAX));
    let decision = after(&transient(asked), None, Tries::default(), &policy());
    assert_eq!(decision, Decision::Retries { due_at: NOW.plus(Duration::from_secs(24 * 60 * 60)) });
}

#[test]
fn never_comes_back_earlier_than_a_plugin_asked_and_leaves_what_the_target_asked_for_to_its_gate() {
    for (asked_s, due_s) in [(-5, 0), (20, 20), (30 * 86_400, 30)] {
        let at = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000);
        let decision = after(&transient(None), Some(obstacle(ObstacleKind::RateLimited, Some(at(asked_s)))), Tries::default(), &policy());
        assert_eq!(decision, Decision::Waits { due_at: at(due_s) }, "a person may end a wait of days");
    }
    let asked = NOW.plus(Duration::from_secs(90));
    let plugin_asked = Some(Duration::from_secs(90));
    assert_eq!(after(&transient(plugin_asked), None, Tries::default(), &policy()), Decision::Retries { due_at: asked });
}

#[test]
fn waits_double_up_to_the_cap() {
    let waits: Vec<u128> = (0..12)
        .map(|attempts| match after(&transient(None), None, Tries { attempts, ..Tries::default() }, &policy()) {
            Decision::Retries { due_at } => due_at.since(NOW).as_secs().into(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[test]
fn full_jitter_stays_between_zero_and_the_doubling() {
    let mut policy = policy();
    policy.backoff.jitter = Jitter::Full;
    let random = SeededRandom::new(7);
    let mut seen = Vec::new();
    for _ in 0..1_000 {
        let tries = Tries { attempts: 3, ..Tries::default() };
        match decide(&transient(None), None, tries, &policy, NOW, &random) {
            Decision::Retries { due_at } => seen.push(due_at.since(NOW)),
            other => panic!("{other:?}"),
        }
    }
    assert!(seen.iter().all(|wait| *wait <= Duration::from_secs(8)));
    assert!(seen.iter().any(|wait| *wait < Duration::from_secs(1)) && seen.iter().any(|wait| *wait > Duration::from_secs(7)));
}

#[test]
fn gives_up_after_the_time_the_attempts_have_failed() {
    let policy = DeliveryPolicy { give_up_after: Duration::from_secs(60), ..policy() };
    let failing = |seconds: u64| Tries {
        attempts: 4,
        failing_since: Some(Timestamp(NOW.0 - 1_000 * i64::try_from(seconds).unwrap())),
        ..Tries::default()
    };
    assert!(matches!(after(&transient(None), None, failing(60), &policy), Decision::DeadLetters { class: FailureClass::GaveUp, .. }));
    // The last attempt is made when the time is up, not a doubled wait later.
    assert_eq!(after(&transient(None), None, failing(55), &policy), Decision::Retries { due_at: NOW.plus(Duration::from_secs(5)) });
}

#[test]
fn gives_up_after_the_number_of_attempts_where_one_is_set() {
    let policy = DeliveryPolicy { attempts: Some(3), ..policy() };
    let tried = |attempts| Tries { attempts, ..Tries::default() };
    assert!(matches!(after(&transient(None), None, tried(1), &policy), Decision::Retries { .. }));
    assert!(matches!(after(&transient(None), None, tried(2), &policy), Decision::DeadLetters { class: FailureClass::GaveUp, .. }));
}

#[test]
fn parks_at_once_what_a_plugin_calls_permanent() {
    let decision = after(&permanent(), None, Tries::default(), &policy());
    assert_eq!(decision, Decision::DeadLetters { class: FailureClass::Permanent, code: "bad-value".into(), detail: "bad".into() });
}

#[test]
fn parks_at_once_a_fault_that_would_repeat_itself_and_retries_one_that_may_not() {
    let fault = |class| CallFailure::Fault { class, detail: "stopped".into() };
    let sent = |sent_requests| Tries { sent_requests, ..Tries::default() };
    let parked = |decision| matches!(decision, Decision::DeadLetters { .. });
    assert!(parked(after(&fault(FailureClass::Trapped), None, sent(false), &policy())));
    assert!(!parked(after(&fault(FailureClass::Trapped), None, sent(true), &policy())));
    assert!(!parked(after(&fault(FailureClass::TimedOut), None, sent(false), &policy())));
}
