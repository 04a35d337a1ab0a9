//! The way of one scenario: [`run`]. What happened is [`Happened`], which `judge` holds against what is expected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::book::{Fault, Settled};
use super::chamber::{Chamber, Incoming, Met, Setting, within};
use super::content::Content;
use super::file::{Fate, IDLE_WITHIN, Input, Scenario, Span};
use super::outside::{Request, Script};
use crate::alias::AliasStatus;
use crate::clock::Timestamp;
use crate::message::{FailureClass, Message, MessageId};
use crate::message_store::{AppendedMessage, Settlement};
use crate::problem::Problems;

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Happened {
    /// One for each message that came in, in their order.
    pub messages: Vec<Came>,
    /// What sources brought, if they were asked.
    pub brought: Vec<Came>,
    /// What the outside got, in order; tokens are among it.
    pub requests: Vec<Request>,
    /// By channel, what was written to it.
    pub channels: BTreeMap<String, Vec<Output>>,
    /// Those that are asked about.
    pub key_values: BTreeMap<String, Option<Bytes>>,
    pub aliases: Vec<AliasStatus>,
    pub cursor: Option<String>,
    /// A request that no answer was there for.
    pub unanswered: Option<Request>,
    /// What plugins wrote.
    pub lines: Vec<String>,
    /// How much time passed in it.
    pub took: Duration,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub struct Came {
    pub name: String,
    pub id: Option<MessageId>,
    pub fate: Fate,
    pub class: Option<FailureClass>,
    pub code: Option<String>,
    pub detail: Option<String>,
    /// Why the host stopped one of its calls, also where a later one went well.
    pub fault: Option<Fault>,
    /// Its parts' included.
    pub attempts: u32,
    pub waits: u32,
    /// How long after it came it ended.
    pub took: Option<Duration>,
    /// What its steps made of it, as it went to the sink.
    pub outputs: Vec<Output>,
    /// The ids of it and its parts.
    pub family: Vec<MessageId>,
    /// The idempotency keys under which its requests were sent.
    pub keys: BTreeSet<String>,
    /// What sinks said of it.
    pub receipts: Vec<serde_json::Value>,
}

impl Came {
    /// One that nothing has happened to.
    pub fn waiting(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
            fate: Fate::Waiting,
            class: None,
            code: None,
            detail: None,
            fault: None,
            attempts: 0,
            waits: 0,
            took: None,
            outputs: Vec::new(),
            family: Vec::new(),
            keys: BTreeSet::new(),
            receipts: Vec::new(),
        }
    }

    /// Whether it took more than the one attempt of it, and of each of its parts.
    pub fn is_retried(&self) -> bool {
        self.attempts as usize > self.family.len()
    }
}

/// A message that went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub content: Content,
    pub headers: Vec<(String, String)>,
}

impl Output {
    fn of(message: &Message) -> Self {
        let content = Content { body: message.body.clone(), content_type: message.content_type.clone() };
        Self { content, headers: message.headers.0.clone() }
    }
}

/// Runs a scenario to its end.
///
/// # Errors
/// What keeps it from being run.
pub fn run(scenario: &Scenario, mut setting: Setting) -> Result<Happened, Problems> {
    let script = Arc::new(Script::new(scenario.answers.clone(), scenario.start));
    setting.start = scenario.start;
    setting.polls = scenario.messages.is_empty();
    within(setting, script.clone(), scenario.data.clone(), async |chamber: &Chamber| {
        let mut came = Vec::new();
        for input in &scenario.messages {
            let ends = || script.unanswered().is_some();
            span(chamber, input.after, &ends).await;
            came.push((input, chamber.now(), chamber.put(incoming(input)).await));
        }
        let polled = || !scenario.messages.is_empty() || chamber.book.rounds_count() >= scenario.polls as usize;
        let ends = || script.unanswered().is_some();
        match scenario.clock {
            Span::UntilIdle => chamber.pass(IDLE_WITHIN, || ends() || (polled() && chamber.is_idle())).await,
            Span::For(time) => chamber.pass(time, ends).await,
        }
        let mut happened = happened(chamber, &came).await;
        happened.unanswered = script.unanswered();
        happened.took = chamber.now().since(scenario.start);
        for key in scenario.expects.iter().flat_map(|expect| expect.key_values.keys()) {
            happened.key_values.insert(key.clone(), chamber.key_value(key).await);
        }
        Ok(happened)
    })
}

async fn span(chamber: &Chamber, span: Span, ends: &impl Fn() -> bool) {
    match span {
        Span::UntilIdle => chamber.pass(IDLE_WITHIN, || ends() || chamber.is_idle()).await,
        Span::For(time) if time.is_zero() => {}
        Span::For(time) => chamber.pass(time, ends).await,
    }
}

fn incoming(input: &Input) -> Incoming {
    Incoming { content: input.content.clone(), headers: input.headers.clone(), id: input.id.clone(), key: input.key.clone() }
}

async fn happened(chamber: &Chamber, came: &[(&Input, Timestamp, Met)]) -> Happened {
    let told = Told::of(chamber);
    let messages = came.iter().map(|(input, at, met)| told.came(chamber, &input.name, *at, met)).collect();
    let rounds = chamber.book.rounds();
    let brought = rounds.iter().flat_map(|round| &round.brought).zip(1..);
    let brought = brought.map(|(message, number)| told.came(chamber, &number.to_string(), message.accepted_at, &Met::Taken(message.id)));
    let last = rounds.last().map(|round| &round.state);
    // A round that failed is told as a message that is still to come.
    let failed = last.filter(|state| state.last.code.is_some()).map(|state| Came {
        code: state.last.code.clone(),
        detail: state.last.detail.clone(),
        ..Came::waiting("the source")
    });
    Happened {
        messages,
        brought: brought.chain(failed).collect(),
        requests: chamber.wire.asked(),
        channels: told.channels(),
        key_values: BTreeMap::new(),
        aliases: chamber.alias_states(),
        cursor: last.and_then(|state| state.cursor.clone()),
        unanswered: None,
        lines: chamber.lines(),
        took: Duration::ZERO,
    }
}

/// Every settlement of a chamber.
pub struct Told {
    settled: Vec<Settled>,
    dead: Vec<crate::message_store::memory::DeadLetter>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("settled", &self.settled.len()).finish_non_exhaustive()
    }
}

impl Told {
    pub fn of(chamber: &Chamber) -> Self {
        Self { settled: chamber.book.settled(), dead: chamber.book.store.dead_letters() }
    }

    /// What became of a message that came `at` and was met so.
    pub fn came(&self, chamber: &Chamber, name: &str, at: Timestamp, met: &Met) -> Came {
        let mut came = Came::waiting(name);
        match met {
            Met::Refused { code, detail } => {
                (came.fate, came.code, came.detail) = (Fate::Refused, Some(code.clone()), Some(detail.clone()));
            }
            Met::Duplicate(first) => (came.fate, came.id) = (Fate::Duplicate, Some(*first)),
            Met::Taken(id) => {
                came.id = Some(*id);
                self.follow(chamber, *id, at, &mut came);
            }
        }
        came
    }

    /// A message through the main integration, and the parts it became.
    fn follow(&self, chamber: &Chamber, id: MessageId, at: Timestamp, came: &mut Came) {
        came.family.push(id);
        came.fault = chamber.seen.fault(&chamber.main.name, id);
        let own: Vec<&Settled> =
            self.settled.iter().filter(|settled| settled.message.id == id && settled.integration == chamber.main.name).collect();
        came.attempts += u32::try_from(own.len()).unwrap_or(u32::MAX);
        came.waits += u32::try_from(own.iter().filter(|settled| matches!(settled.settle.settlement, Settlement::Waits { .. })).count())
            .unwrap_or(u32::MAX);
        came.keys.extend(own.iter().flat_map(|settled| keys(&settled.settle.attempt.trace)));
        let Some(last) = own.last() else {
            // One whose key was not found is parked when it comes.
            match self.dead.iter().find(|letter| letter.message == id) {
                Some(letter) => {
                    (came.fate, came.class, came.took) = (Fate::DeadLettered, Some(letter.class), Some(Duration::ZERO));
                    (came.code, came.detail) = (Some(letter.code.clone()), Some(letter.detail.clone()));
                }
                None => came.fate = Fate::Waiting,
            }
            return;
        };
        (came.code, came.detail) = (last.settle.attempt.code.clone(), last.settle.attempt.detail.clone());
        let ended = |came: &mut Came, fate| (came.fate, came.took) = (fate, Some(last.at.since(at)));
        match &last.settle.settlement {
            Settlement::Waits { .. } | Settlement::Retries { .. } => {
                came.fate = Fate::Waiting;
                came.outputs.extend(handed(chamber, id));
            }
            Settlement::Skipped { code, detail } => {
                ended(came, Fate::Skipped);
                (came.code, came.detail) = (Some(code.clone()), Some(detail.clone()));
            }
            Settlement::DeadLettered { class, code, detail, .. } => {
                ended(came, Fate::DeadLettered);
                (came.class, came.code, came.detail) = (Some(*class), Some(code.clone()), Some(detail.clone()));
                came.outputs.extend(handed(chamber, id));
            }
            Settlement::Delivered { receipt } => {
                ended(came, Fate::Delivered);
                came.receipts.push(receipt.clone());
                came.outputs.extend(appended(last).or_else(|| handed(chamber, id)));
            }
            Settlement::FannedOut { children } => {
                let parts: Vec<Came> = children.iter().map(|child| self.part(chamber, child.id, at)).collect();
                came.outputs = children.iter().map(Output::of).collect();
                roll_up(came, parts);
            }
        }
    }

    fn part(&self, chamber: &Chamber, id: MessageId, at: Timestamp) -> Came {
        let mut part = self.came(chamber, "", at, &Met::Taken(id));
        part.outputs.clear();
        part
    }

    /// By channel, what was written to it, in order.
    fn channels(&self) -> BTreeMap<String, Vec<Output>> {
        let mut channels: BTreeMap<String, Vec<Output>> = BTreeMap::new();
        for settled in &self.settled {
            for append in &settled.settle.appends {
                let output = match &append.message {
                    AppendedMessage::New(message) => Output::of(message),
                    AppendedMessage::Existing(_) => Output::of(&settled.message),
                };
                channels.entry(append.channel.clone()).or_default().push(output);
            }
        }
        channels
    }
}

/// A message is what the worst of its parts is, and has ended when all have.
fn roll_up(came: &mut Came, parts: Vec<Came>) {
    let rank = |fate: Fate| match fate {
        Fate::Waiting => 3,
        Fate::DeadLettered => 2,
        Fate::Delivered => 1,
        _ => 0,
    };
    came.attempts += parts.iter().map(|part| part.attempts).sum::<u32>();
    came.waits += parts.iter().map(|part| part.waits).sum::<u32>();
    came.took = parts.iter().map(|part| part.took).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    came.family.extend(parts.iter().flat_map(|part| part.family.iter().copied()));
    came.keys.extend(parts.iter().flat_map(|part| part.keys.iter().cloned()));
    came.fault = came.fault.take().or_else(|| parts.iter().find_map(|part| part.fault.clone()));
    came.receipts.extend(parts.iter().flat_map(|part| part.receipts.iter().cloned()));
    if let Some(worst) = parts.into_iter().rev().max_by_key(|part| rank(part.fate)) {
        (came.fate, came.class, came.code, came.detail) = (worst.fate, worst.class, worst.code, worst.detail);
    }
}

/// The keys of the requests in an attempt's trace.
fn keys(trace: &str) -> Vec<String> {
    let trace: serde_json::Value = serde_json::from_str(trace).unwrap_or_default();
    let calls = trace["calls"].as_array().into_iter().flatten();
    let requests = calls.flat_map(|call| call["requests"].as_array().into_iter().flatten());
    requests.filter_map(|request| Some(request["idempotency-key"].as_str()?.to_owned())).collect()
}

/// What the sink was handed.
fn handed(chamber: &Chamber, id: MessageId) -> Option<Output> {
    chamber.seen.handed(&chamber.main.name, id).map(|message| Output::of(&message))
}

/// What a sink that is a channel got.
fn appended(settled: &Settled) -> Option<Output> {
    let crate::message_store::Settlement::Delivered { receipt } = &settled.settle.settlement else { return None };
    let channel = receipt.get("channel")?.as_str()?;
    let append = settled.settle.appends.iter().rev().find(|append| append.channel == channel)?;
    Some(match &append.message {
        AppendedMessage::New(message) => Output::of(message),
        AppendedMessage::Existing(_) => Output::of(&settled.message),
    })
}
