//! Metric names, labels and buckets, in one place. The names are the ones in the documentation; alerts rely on them.
//!
//! Every label value is a name from the configuration or a word from a fixed list, never something a sender chose: the
//! number of series is bounded by the workspace.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::last_hour::{LastHour, Latency};
use crate::clock::Timestamp;
use crate::message::FailureClass;

/// The content type of [`Metrics::encode`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From 5 ms, a message that met nothing, to a day, the default of `give-up-after`.
const DELIVERY_BUCKETS_SECONDS: [f64; 18] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21_600.0, 86_400.0];
/// Up to 30 s, the wall time of a call.
const HTTP_BUCKETS_SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// From a tenth of a millisecond up: most transformations take well under one.
const PLUGIN_BUCKETS_SECONDS: [f64; 13] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0];

/// Why an attempt is not recorded; there from the start, so that a rate over the first is not lost.
const LEDGER_DROPPED: [&str; 3] = ["queue-full", "not-written", "too-large"];

type Count<Labels> = Family<Labels, Counter>;
type Times<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByIntegration {
    integration: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    integration: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    integration: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPath {
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAlias {
    alias: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByAnswer {
    alias: String,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPlugin {
    plugin: String,
    version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPluginFailure {
    plugin: String,
    class: String,
}

/// The figures of one host. Cheap to share behind an `Arc`; every method may be called from anywhere.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    accepted: Count<ByIntegration>,
    duplicate: Count<ByIntegration>,
    ignored: Count<ByPath>,
    refused: Count<ByReason>,
    delivered: Count<ByIntegration>,
    skipped: Count<ByIntegration>,
    dead_lettered: Count<ByClass>,
    attempts: Count<ByResult>,
    polls: Count<ByResult>,
    delivery: Times<ByIntegration>,
    http_out: Times<ByAnswer>,
    plugin: Times<ByPlugin>,
    plugin_failures: Count<ByPluginFailure>,
    queue_depth: Family<ByIntegration, Gauge>,
    oldest_waiting: Family<ByIntegration, Gauge<f64, AtomicU64>>,
    alias_state: Family<ByAlias, Gauge>,
    ledger_recorded: Counter,
    ledger_dropped: Count<ByReason>,
    last_hour: LastHour,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("lockgate"),
            accepted: Family::default(),
            duplicate: Family::default(),
            ignored: Family::default(),
            refused: Family::default(),
            delivered: Family::default(),
            skipped: Family::default(),
            dead_lettered: Family::default(),
            attempts: Family::default(),
            polls: Family::default(),
            delivery: Family::new_with_constructor(|| Histogram::new(DELIVERY_BUCKETS_SECONDS)),
            http_out: Family::new_with_constructor(|| Histogram::new(HTTP_BUCKETS_SECONDS)),
            plugin: Family::new_with_constructor(|| Histogram::new(PLUGIN_BUCKETS_SECONDS)),
            plugin_failures: Family::default(),
            queue_depth: Family::default(),
            oldest_waiting: Family::default(),
            alias_state: Family::default(),
            ledger_recorded: Counter::default(),
            ledger_dropped: Family::default(),
            last_hour: LastHour::default(),
        };
        metrics.register();
        metrics
    }

    /// Names them. `_total` is appended to counters by the encoder, the full stop to the help text as well.
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("messages_accepted", "Messages taken, per integration that reads them", self.accepted.clone());
        to.register("messages_duplicate", "Messages that had been taken before", self.duplicate.clone());
        to.register("messages_ignored", "Verified requests whose headers match no integration's `when`", self.ignored.clone());
        to.register("requests_refused", "Requests that intake answered with an error", self.refused.clone());
        to.register("messages_delivered", "Deliveries that reached their sink", self.delivered.clone());
        to.register("messages_skipped", "Deliveries a plugin had nothing to do for", self.skipped.clone());
        to.register("messages_dead_lettered", "Deliveries parked for people", self.dead_lettered.clone());
        to.register("attempts", "Attempts at a delivery", self.attempts.clone());
        to.register("polls", "Polls of an integration's sources", self.polls.clone());
        to.register("delivery_seconds", "From accepted to delivered", self.delivery.clone());
        to.register("http_out_seconds", "Requests sent to targets, by answer", self.http_out.clone());
        to.register("plugin_seconds", "Wall time of plugin calls", self.plugin.clone());
        to.register("plugin_failures", "Plugin calls that failed", self.plugin_failures.clone());
        to.register("queue_depth", "Deliveries waiting", self.queue_depth.clone());
        to.register("oldest_waiting_seconds", "Age of the oldest delivery waiting", self.oldest_waiting.clone());
        let states = "0 healthy, 1 throttled, 2 open, 3 credential-refused, 4 paused, -1 not known";
        to.register("alias_state", states, self.alias_state.clone());
        to.register("ledger_recorded", "Attempts written to the ledger", self.ledger_recorded.clone());
        to.register("ledger_dropped", "Attempts that the ledger had no room for", self.ledger_dropped.clone());
        for reason in LEDGER_DROPPED {
            drop(self.ledger_dropped.get_or_create(&ByReason { reason }));
        }
    }

    /// Makes the series of `integration` appear at zero, so that a rate over the first message is not lost.
    pub fn introduce(&self, integration: &str) {
        let by = by(integration);
        for count in [&self.accepted, &self.duplicate, &self.delivered, &self.skipped] {
            drop(count.get_or_create(&by));
        }
        for class in FailureClass::ALL {
            drop(self.dead_lettered.get_or_create(&ByClass { integration: integration.to_owned(), class: class.as_str() }));
        }
        drop(self.delivery.get_or_create(&by));
        drop(self.queue_depth.get_or_create(&by));
        drop(self.oldest_waiting.get_or_create(&by));
    }

    /// A message was taken that `integration` reads.
    pub fn accepted(&self, integration: &str) {
        self.accepted.get_or_create(&by(integration)).inc();
    }

    /// A message came that had been taken before.
    pub fn duplicate(&self, integration: &str) {
        self.duplicate.get_or_create(&by(integration)).inc();
    }

    /// A verified request came at a webhook's path that no integration's `when` matches.
    pub fn ignored(&self, path: &str) {
        self.ignored.get_or_create(&ByPath { path: path.to_owned() }).inc();
    }

    /// Intake answered a request with an error; `reason` is the error's stable code.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ByReason { reason }).inc();
    }

    /// A delivery reached its sink at `at`, this long after its message was accepted.
    pub fn delivered(&self, integration: &str, at: Timestamp, accepted_to_delivered: Duration) {
        let by = by(integration);
        self.delivered.get_or_create(&by).inc();
        self.delivery.get_or_create(&by).observe(accepted_to_delivered.as_secs_f64());
        self.last_hour.record(integration, at, accepted_to_delivered);
    }

    /// How long deliveries of `integration` took in the hour before `now`; none if there were none since the start.
    pub fn latency(&self, integration: &str, now: Timestamp) -> Option<Latency> {
        self.last_hour.latency(integration, now)
    }

    /// A plugin had nothing to do for a delivery.
    pub fn skipped(&self, integration: &str) {
        self.skipped.get_or_create(&by(integration)).inc();
    }

    /// A delivery was parked for people.
    pub fn dead_lettered(&self, integration: &str, class: FailureClass) {
        let by = ByClass { integration: integration.to_owned(), class: class.as_str() };
        self.dead_lettered.get_or_create(&by).inc();
    }

    /// An attempt ended; `result` is the ledger's word for it.
    pub fn attempt(&self, integration: &str, result: &'static str) {
        self.attempts.get_or_create(&ByResult { integration: integration.to_owned(), result }).inc();
    }

    /// A source was asked; `result` is `polled`, `waited` or `failed`.
    pub fn polled(&self, integration: &str, result: &'static str) {
        self.polls.get_or_create(&ByResult { integration: integration.to_owned(), result }).inc();
    }

    /// A request went out; `answer` is the status, or what stood in the way: `200`, `unreachable`.
    pub fn http_out(&self, alias: &str, answer: &str, took: Duration) {
        let by = ByAnswer { alias: alias.to_owned(), status: answer.to_owned() };
        self.http_out.get_or_create(&by).observe(took.as_secs_f64());
    }

    /// A plugin was called; `took` is wall time.
    pub fn plugin_call(&self, plugin: &str, version: &str, took: Duration) {
        let by = ByPlugin { plugin: plugin.to_owned(), version: version.to_owned() };
        self.plugin.get_or_create(&by).observe(took.as_secs_f64());
    }

    /// A plugin's call failed: `transient`, `permanent` or the word of a [`FailureClass`].
    pub fn plugin_failure(&self, plugin: &str, class: &str) {
        let by = ByPluginFailure { plugin: plugin.to_owned(), class: class.to_owned() };
        self.plugin_failures.get_or_create(&by).inc();
    }

    /// So many attempts were written to the ledger.
    pub fn ledger_recorded(&self, attempts: usize) {
        self.ledger_recorded.inc_by(attempts as u64);
    }

    /// So many were not: `queue-full`, `not-written`, `too-large`.
    pub fn ledger_dropped(&self, reason: &'static str, attempts: usize) {
        self.ledger_dropped.get_or_create(&ByReason { reason }).inc_by(attempts as u64);
    }

    /// How many deliveries of `integration` wait, and how long the oldest has.
    pub fn set_queue(&self, integration: &str, depth: u64, oldest_waiting: Duration) {
        let by = by(integration);
        self.queue_depth.get_or_create(&by).set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.oldest_waiting.get_or_create(&by).set(oldest_waiting.as_secs_f64());
    }

    /// The state of an alias, by its word.
    pub fn set_alias_state(&self, alias: &str, state: &str) {
        let figure = match state {
            "healthy" => 0,
            "throttled" => 1,
            "open" => 2,
            "credential-refused" => 3,
            "paused" => 4,
            _ => -1,
        };
        self.alias_state.get_or_create(&ByAlias { alias: alias.to_owned() }).set(figure);
    }

    /// All figures as OpenMetrics text, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = text::encode(&mut text, &self.registry) {
            // Writing to a string does not fail; should an encoder, half a page is worse than none.
            tracing::error!(%error, "the metrics could not be encoded");
            text.clear();
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn by(integration: &str) -> ByIntegration {
    ByIntegration { integration: integration.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_every_documented_name_once_something_happened() {
        let metrics = Metrics::new();
        metrics.accepted("orders");
        metrics.duplicate("orders");
        metrics.delivered("orders", Timestamp(0), Duration::from_millis(20));
        metrics.skipped("orders");
        metrics.dead_lettered("orders", FailureClass::GaveUp);
        metrics.attempt("orders", "failed");
        metrics.polled("orders", "polled");
        metrics.http_out("crm", "200", Duration::from_millis(3));
        metrics.plugin_call("shop-order", "1.2.0", Duration::from_micros(200));
        metrics.plugin_failure("shop-order", "permanent");
        metrics.set_queue("orders", 3, Duration::from_millis(1500));
        metrics.set_alias_state("crm", "open");
        metrics.ledger_recorded(3);
        metrics.ledger_dropped("queue-full", 2);
        let text = metrics.encode();
        for line in [
            "lockgate_messages_accepted_total{integration=\"orders\"} 1",
            "lockgate_messages_duplicate_total{integration=\"orders\"} 1",
            "lockgate_messages_delivered_total{integration=\"orders\"} 1",
            "lockgate_messages_skipped_total{integration=\"orders\"} 1",
            "lockgate_messages_dead_lettered_total{integration=\"orders\",class=\"gave-up\"} 1",
            "lockgate_attempts_total{integration=\"orders\",result=\"failed\"} 1",
            "lockgate_polls_total{integration=\"orders\",result=\"polled\"} 1",
            "lockgate_delivery_seconds_count{integration=\"orders\"} 1",
            "lockgate_http_out_seconds_count{alias=\"crm\",status=\"200\"} 1",
            "lockgate_plugin_seconds_count{plugin=\"shop-order\",version=\"1.2.0\"} 1",
            "lockgate_plugin_failures_total{plugin=\"shop-order\",class=\"permanent\"} 1",
            "lockgate_queue_depth{integration=\"orders\"} 3",
            "lockgate_oldest_waiting_seconds{integration=\"orders\"} 1.5",
            "lockgate_alias_state{alias=\"crm\"} 2",
            "lockgate_ledger_recorded_total 3",
            "lockgate_ledger_dropped_total{reason=\"queue-full\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn shows_an_integration_at_zero_before_its_first_message() {
        let metrics = Metrics::new();
        metrics.introduce("orders");
        let text = metrics.encode();
        assert!(text.contains("lockgate_messages_accepted_total{integration=\"orders\"} 0"), "{text}");
        assert!(text.contains("lockgate_messages_dead_lettered_total{integration=\"orders\",class=\"gave-up\"} 0"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
