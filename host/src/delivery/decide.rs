//! What follows from a failed call: wait, try again, or park the message. Pure.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::integration::{Backoff, DeliveryPolicy, Jitter};
use crate::message::FailureClass;
use crate::plugin::{CallFailure, Obstacle, ObstacleKind};
use crate::random::{Random, uniform};

/// The longest wait of a delivery whose target answered 503 or 429; its alias's gate may stay closed for longer.
const WAIT_CAP: Duration = Duration::from_secs(30);
/// Waits of a delivery whose own request found no connection, or broke it: a target that answers all others would meet it again and
/// again without end. As long as those of the alias's gate.
const BROKEN: Backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(10), jitter: Jitter::Full };
/// Waits of a delivery that an open breaker let start, for the sake of answers that are kept, and that wanted another: the gate does not
/// hold it back, so it must not be due at once.
const NOT_KEPT_MIN: Duration = Duration::from_secs(1);
const NOT_KEPT_MAX: Duration = Duration::from_secs(10);
/// The longest wait a plugin may ask for: its message holds up all others of its key.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a delivery has behind it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    /// Attempts that failed, not counting the one being decided.
    pub attempts: u32,
    /// Waits, not counting the one being decided.
    pub waits: u32,
    /// When its first failed attempt ended, moved later by the time it waited for targets.
    pub failing_since: Option<Timestamp>,
    /// Whether the call sent requests: without any, the same call would fail the same way again.
    pub sent_requests: bool,
}

/// What becomes of a delivery whose call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The target cannot take it now; no attempt is used.
    Waits { due_at: Timestamp },
    /// Try again.
    Retries { due_at: Timestamp },
    /// Park it.
    DeadLetters { class: FailureClass, code: String, detail: String },
}

/// Decides after a failed call that ended at `now`.
///
/// What the host itself saw comes first: a delivery that met an obstacle waits, whatever the plugin made of it.
pub fn decide(
    failure: &CallFailure,
    obstacle: Option<&Obstacle>,
    tries: Tries,
    policy: &DeliveryPolicy,
    now: Timestamp,
    random: &dyn Random,
) -> Decision {
    if let Some(obstacle) = obstacle {
        return Decision::Waits { due_at: after_obstacle(obstacle, tries.waits, policy, now, random) };
    }
    match failure {
        CallFailure::Permanent { code, detail } => dead(FailureClass::Permanent, code, detail),
        CallFailure::Fault { class, detail } if repeats_itself(*class, tries) => dead(*class, class.as_str(), detail),
        CallFailure::Fault { class, detail } => retry(*class, class.as_str(), detail, None, tries, policy, now, random),
        CallFailure::Transient { code, detail, retry_after } => {
            retry(FailureClass::GaveUp, code, detail, *retry_after, tries, policy, now, random)
        }
    }
}

/// A call that asked nobody anything is the same bit for bit when repeated; only wall time depends on the machine.
fn repeats_itself(class: FailureClass, tries: Tries) -> bool {
    !tries.sent_requests && class != FailureClass::TimedOut
}

#[expect(clippy::too_many_arguments, reason = "a pure rule over plain values; a struct would only rename them")]
fn retry(
    class: FailureClass,
    code: &str,
    detail: &str,
    retry_after: Option<Duration>,
    tries: Tries,
    policy: &DeliveryPolicy,
    now: Timestamp,
    random: &dyn Random,
) -> Decision {
    let failed = tries.attempts.saturating_add(1);
    let failing_for = tries.failing_since.map_or(Duration::ZERO, |since| now.since(since));
    if failing_for >= policy.give_up_after || policy.attempts.is_some_and(|most| failed >= most) {
        return dead(class, code, &format!("{detail} (given up after {failed} attempts)"));
    }
    let retry_after = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    let wait = backoff(tries.attempts, policy, random).max(retry_after);
    // The last attempt is not put off past the moment at which the delivery is given up.
    let left = policy.give_up_after.saturating_sub(failing_for).max(retry_after);
    Decision::Retries { due_at: now.plus(wait.min(left)) }
}

/// Full jitter: `uniform(0, min(cap, base·2^n))`
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
fn backoff(failed: u32, policy: &DeliveryPolicy, random: &dyn Random) -> Duration {
    let ceiling = policy.backoff.ceiling(failed);
    match policy.backoff.jitter {
        Jitter::Full => uniform(random, ceiling),
        Jitter::None => ceiling,
    }
}

/// When it is due again. The alias's gate holds back what must not be sent, and may open earlier than it said, since a person can
/// end a wait that was asked for by mistake: a delivery that never got past it is due at once, and one that was asked to wait is
/// due soon, and both go when the gate opens.
fn after_obstacle(obstacle: &Obstacle, waits: u32, policy: &DeliveryPolicy, now: Timestamp, random: &dyn Random) -> Timestamp {
    match (obstacle.kind, obstacle.not_before) {
        (ObstacleKind::BreakerOpen | ObstacleKind::CredentialRefused, _) => now,
        (ObstacleKind::NotKept, until) => until.unwrap_or(now).clamp(now.plus(NOT_KEPT_MIN), now.plus(NOT_KEPT_MAX)),
        (ObstacleKind::Unreachable, _) => now.plus(uniform(random, BROKEN.ceiling(waits))),
        (ObstacleKind::Unavailable | ObstacleKind::RateLimited, Some(not_before)) => not_before.clamp(now, now.plus(WAIT_CAP)),
        (ObstacleKind::Unavailable | ObstacleKind::RateLimited, None) => {
            now.plus(uniform(random, policy.backoff.ceiling(waits).min(WAIT_CAP)))
        }
    }
}

fn dead(class: FailureClass, code: &str, detail: &str) -> Decision {
    Decision::DeadLetters { class, code: code.to_owned(), detail: detail.to_owned() }
}
