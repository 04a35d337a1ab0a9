//! [`Stage`]: where the candidate goes the way of a message again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::{Bounded, Bounds};
use super::compare::{Told, compare};
use super::gone::{Asking, Content, Failure, Gone, SinkEnd, Steps, Sunk, sink_calls, sink_heard, step_calls};
use super::outside::{Outside, Rules};
use crate::alias::secret::Secret;
use crate::capability::heard::Heard;
use crate::capability::queue::Channels;
use crate::clock::ManualClock;
use crate::delivery::{Gathered, Made, Runnable, Stopped, Way, children};
use crate::integration::{ReleaseId, Sink};
use crate::ledger::{Cut, Ended, Record};
use crate::message::Message;
use crate::message_store::{DeliveryId, Leased, Stage as Leg};
use crate::plugin::invoke::{Around, WasmInvoker};
use crate::plugin::registry::Plugins;
use crate::telemetry::Metrics;
use crate::telemetry::events::Events;

/// The code of what became a dead letter since the host crashed with it.
const HOST_CRASHED: &str = "host-crashed";

/// The candidate, and all that its calls work on.
pub struct Stage {
    pub runnable: Arc<Runnable>,
    pub plugins: Arc<Plugins>,
    pub channels: Channels,
    /// The host's, from which the random bytes of its calls follow.
    pub host_key: Secret,
    /// The channels that earlier releases write to, of those that are known.
    pub channels_before: BTreeMap<ReleaseId, String>,
    /// Of the environment that the candidate is for.
    pub rules: Rules,
    pub metrics: Arc<Metrics>,
    pub events: Arc<Events>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("runnable", &self.runnable).finish_non_exhaustive()
    }
}

/// A part of the way: which call it is of, and what was heard on it.
struct Going<'a> {
    record: &'a Record,
    message: Arc<Message>,
    leg: Leg,
}

impl Stage {
    /// What differs between how a message went, as `root` and its `parts` have it, and how the candidate would have it go.
    pub async fn tell(&self, root: &Record, parts: &BTreeMap<usize, Record>) -> Told {
        if let Some(why) = std::iter::once(root).chain(parts.values()).find_map(unfit) {
            return Told::not_comparable(why);
        }
        if !is_whole(root, parts) {
            return Told::not_comparable("a message that it became is not settled, or nothing is recorded of it");
        }
        // What a batch sink does with a message depends on the others in its batch.
        let sink_alone = self.runnable.sink.is_some() && self.runnable.batching().is_none() && !has_batch(root, parts);
        let before = Gone::of(root, parts, sink_alone);
        let bounds = Bounds::of(std::iter::once(root).chain(parts.values()));
        let after = self.go((root, parts), sink_alone, &bounds).await;
        if let Some(why) = bounds.over() {
            return Told::not_comparable(why);
        }
        if before.ran_out_of_time(&after) {
            return Told::not_comparable("it ran out of time, and time does not pass in a rehearsal");
        }
        let mut told = compare(&before, &after, root.release.clone());
        told.sink_left_out = self.runnable.sink.is_some() && !sink_alone;
        if !after.made.is_empty() {
            self.where_it_goes(&mut told, root, parts);
        }
        told
    }

    /// What the steps make may go to another end than it went to: to a plugin, or to another channel.
    fn where_it_goes(&self, told: &mut Told, root: &Record, parts: &BTreeMap<usize, Record>) {
        let plugin = || "the plugin of the sink".to_owned();
        let went_to_plugin = std::iter::once(root).chain(parts.values()).any(|record| sink_calls(record).next().is_some());
        let channel = self.channels_before.get(&root.release);
        let before = if went_to_plugin { Some(plugin()) } else { channel.map(|channel| in_words(channel)) };
        let after = if let Sink::Channel(channel) = &self.runnable.integration.sink { in_words(channel) } else { plugin() };
        if let Some(before) = before {
            told.goes_to(before, after);
        }
    }

    /// The candidate's way.
    async fn go(&self, (root, parts): (&Record, &BTreeMap<usize, Record>), sink_alone: bool, bounds: &Arc<Bounds>) -> Gone {
        let mut gone = Gone::default();
        let leased = leased(&Going { record: root, message: root.message.clone(), leg: root.stage });
        let mut gathered = Gathered::default();
        let made = match root.stage {
            Leg::Sink => Ok(Made::Messages(vec![root.message.clone()])),
            Leg::Steps => {
                let heard = step_calls(root).map(|call| &call.heard);
                let (outside, invoker) = self.outside(root, heard, bounds);
                let way = Way { plugins: &invoker, metrics: &self.metrics };
                let made = way.steps(&self.runnable, &leased, &mut gathered).await;
                gone.steps_asked = Asking { noted: outside.noted(), outside: Some(outside) };
                made
            }
        };
        let messages = match made {
            Ok(Made::Messages(messages)) => messages,
            Ok(Made::Nothing { code, detail }) => {
                gone.steps = Steps::Skipped { code, detail };
                Vec::new()
            }
            Err(stopped) => {
                gone.steps = Steps::Failed(failure(&gathered, &stopped));
                Vec::new()
            }
        };
        gone.made = messages.iter().map(|message| Content::of(message)).collect();
        match messages.as_slice() {
            [one] if sink_alone => {
                // Where it became several then, the first of them was asked about what this one is.
                let heard: Vec<&Heard> = parts.get(&0).into_iter().chain([root]).flat_map(sink_heard).collect();
                self.sink(&mut gone, (0, &leased), one, (root, heard), (&mut gathered, bounds)).await;
            }
            many => {
                let made = if many.len() > 1 { children(&leased, many, root.ended_at) } else { Vec::new() };
                for (place, child) in made.into_iter().enumerate().filter(|_| sink_alone) {
                    self.child(&mut gone, place, child, (root, parts), bounds).await;
                }
            }
        }
        gone.tracked = std::mem::take(&mut gathered.tracked);
        gone.key_values.splice(0..0, std::mem::take(&mut gathered.effects.key_values));
        gone.sends.splice(0..0, std::mem::take(&mut gathered.effects.sends));
        gone
    }

    /// A message that the candidate made beside others.
    async fn child(
        &self,
        gone: &mut Gone,
        place: usize,
        mut child: Message,
        (root, parts): (&Record, &BTreeMap<usize, Record>),
        bounds: &Arc<Bounds>,
    ) {
        let part = parts.get(&place);
        // A single one went to the sink under the message's own id.
        let record = part.unwrap_or(root);
        child.accepted_at = part.map_or(child.accepted_at, |part| part.message.accepted_at);
        let heard: Vec<&Heard> = if part.is_some() || place == 0 { sink_heard(record).collect() } else { Vec::new() };
        let child = Arc::new(child);
        let leased = leased(&Going { record, message: child.clone(), leg: Leg::Sink });
        let mut gathered = Gathered::default();
        self.sink(gone, (place, &leased), &child, (record, heard), (&mut gathered, bounds)).await;
        gone.key_values.append(&mut gathered.effects.key_values);
        gone.sends.append(&mut gathered.effects.sends);
    }

    async fn sink(
        &self,
        gone: &mut Gone,
        (place, leased): (usize, &Leased),
        message: &Arc<Message>,
        (record, heard): (&Record, Vec<&Heard>),
        (gathered, bounds): (&mut Gathered, &Arc<Bounds>),
    ) {
        let Some(sink) = &self.runnable.sink else { return };
        let (outside, invoker) = self.outside(record, heard, bounds);
        let way = Way { plugins: &invoker, metrics: &self.metrics };
        let end = match way.sink(sink, leased, message, gathered).await {
            Ok(taken) => SinkEnd::from(taken),
            Err(stopped) => SinkEnd::Failed(failure(gathered, &stopped)),
        };
        let asked = Asking { noted: outside.noted(), outside: Some(outside) };
        gone.sinks.insert(place, Sunk { end, asked });
    }

    /// The outside as it was heard, and what calls the candidate's plugins in it. Time stands still there: plugins have clocks of their own.
    fn outside<'a>(&self, record: &Record, heard: impl IntoIterator<Item = &'a Heard>, bounds: &Arc<Bounds>) -> (Arc<Outside>, Bounded) {
        let clock = Arc::new(ManualClock::at(record.started_at));
        let outside = Outside::of(heard, &self.rules, bounds, &clock);
        let around = Around {
            plugins: self.plugins.clone(),
            egress: outside.clone(),
            key_values: outside.clone(),
            channels: self.channels.clone(),
            clock,
            host_key: self.host_key.clone(),
            metrics: self.metrics.clone(),
            events: self.events.clone(),
        };
        (outside, Bounded { invoker: WasmInvoker::new(around, 1), bounds: bounds.clone() })
    }
}

/// Whether it is known how each ended that it became.
fn is_whole(root: &Record, parts: &BTreeMap<usize, Record>) -> bool {
    let Ended::FannedOut { children } = root.ended else { return true };
    parts.len() >= children as usize
}

/// Why a record says too little to be held against.
fn unfit(record: &Record) -> Option<&'static str> {
    match (&record.cut, &record.ended) {
        (Some(Cut::TooLarge), _) => Some("it saw more than is recorded of one attempt"),
        (Some(Cut::Unrepeatable), _) => Some("it saw what cannot be shown to it again"),
        (None, Ended::Waited { .. }) => Some("it was still waiting for its target"),
        (None, Ended::Failed { code, .. }) if code == HOST_CRASHED => Some("the host crashed with it"),
        (None, _) => None,
    }
}

fn in_words(channel: &str) -> String {
    format!("channel {channel}")
}

fn has_batch(root: &Record, parts: &BTreeMap<usize, Record>) -> bool {
    std::iter::once(root).chain(parts.values()).flat_map(|record| &record.calls).any(|call| call.messages > 1)
}

/// As it was handed out for the recorded attempt.
fn leased(of: &Going<'_>) -> Leased {
    let Record { integration, replay, attempt, clock_at, .. } = of.record;
    Leased {
        id: DeliveryId(0),
        integration: integration.clone(),
        message: of.message.clone(),
        stage: of.leg,
        attempts: *attempt,
        waits: 0,
        replay: *replay,
        first_started_at: *clock_at,
        failing_since: None,
        unsettled_starts: 0,
        may_repeat: false,
    }
}

/// Why the way ended, and in which call.
fn failure(gathered: &Gathered, stopped: &Stopped) -> Failure {
    let place = gathered.trace.calls.last().map_or("", |call| call.place.as_str());
    match stopped {
        Stopped::Failed { failure, .. } => Failure::new(place, failure),
        Stopped::Interrupted => Failure { place: place.to_owned(), code: stopped.why().0, ..Failure::default() },
    }
}
