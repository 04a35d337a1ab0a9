//! What is done to a store, step by step, the same for the same seed; and what was promised at which point: [`History`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;

use super::disk::Disk;
use super::machine::{Machine, State};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::integration::ReleaseId;
use crate::message::{Headers, Message, MessageId, Tracked};
use crate::message_store::exchange::{Exchange, KeptBody};
use crate::message_store::sqlite::tests::groups::hold;
use crate::message_store::sqlite::writing::Writing;
use crate::message_store::sqlite::{Options, SqliteStore, accept};
use crate::message_store::suite::world::{START, dead, delivered};
use crate::message_store::{
    Accept, Accepted, Append, AppendedMessage, Attempt, DeadLetterId, Dedup, DeliveryId, Discard, KeyValueWrite, Lane, Lease, Leased,
    MessageStore, NewDelivery, Replay, Settle, Settlement, Stage, StoreError, Superseded, WaitingMax,
};
use crate::problem::Problem;
use crate::random::SeededRandom;
use crate::random::dice::Dice;

const INTEGRATIONS: [&str; 3] = ["crm", "erp", "warehouse"];
const KEYS: [&str; 3] = ["anna", "bert", "carl"];
/// Commands of one group commit at most.
const TOGETHER_MAX: usize = 4;

/// When a sender is told that its message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    AfterCommit,
    /// What a negative control does.
    BeforeCommit,
}

/// A command of the writer.
#[derive(Clone, Debug)]
pub enum Command {
    Accept(Accept),
    Settle(Arc<Settle>),
    Release(DeliveryId),
    Replay(DeadLetterId),
    Discard(DeadLetterId),
    Clean,
}

/// What is done at once.
#[derive(Clone, Debug)]
pub enum Step {
    /// In one group commit.
    Group(Vec<Command>),
    Lease(Lease),
}

/// What the database said after each step, and from which change of the disk on that was promised.
#[derive(Debug)]
pub struct History {
    states: Vec<Passed>,
    /// Deliveries that were handed out without a read.
    pub from_memory: usize,
}

#[derive(Debug)]
struct Passed {
    state: State,
    /// Changes of the disk before the step began.
    begun: usize,
    /// Changes of the disk when it was acknowledged.
    promised: usize,
}

impl History {
    /// Of a store that said `state` when it was opened: nothing may be lost of that, nor of what follows.
    pub fn new(state: State) -> Self {
        Self { states: vec![Passed { state, begun: 0, promised: 0 }], from_memory: 0 }
    }

    pub fn steps(&self) -> usize {
        self.states.len() - 1
    }

    /// What is said after `step` steps.
    pub fn state(&self, step: usize) -> &State {
        &self.states[step].state
    }

    /// Whether a database that says `left` after the power went at `cut` has all that was promised, and nothing half.
    pub fn allows(&self, left: &State, cut: usize) -> Result<(), String> {
        let promised = self.states.iter().rposition(|passed| passed.promised <= cut).unwrap_or(0);
        let begun = self.states.iter().rposition(|passed| passed.begun <= cut).unwrap_or(0);
        self.allows_between(left, promised, begun)
    }

    /// Whether `left` is what was said after one of the steps from `promised` to `begun`.
    pub fn allows_between(&self, left: &State, promised: usize, begun: usize) -> Result<(), String> {
        let begun = begun.min(self.steps());
        if self.states[promised..=begun].iter().any(|passed| passed.state == *left) {
            return Ok(());
        }
        let difference = left.difference(&self.states[promised].state);
        match self.states[..promised].iter().rposition(|passed| passed.state == *left) {
            Some(older) => Err(format!("step {promised} was acknowledged, and only {older} are left: {difference}")),
            None => Err(format!("what is left was never there; after step {promised} it differs in: {difference}")),
        }
    }
}

/// A store in use.
pub struct Run<'a> {
    pub store: SqliteStore,
    pub history: History,
    pub clock: Arc<ManualClock>,
    disk: Arc<Disk>,
    look: Connection,
    acknowledge: Acknowledge,
    random: SeededRandom,
    dice: &'a Dice,
    leased: Vec<Leased>,
    /// Something was accepted in the last step.
    came: bool,
    tokens: usize,
}

/// What the store said when nothing may be written any more.
pub type Ended = Arc<Mutex<Vec<Problem>>>;

impl<'a> Run<'a> {
    /// Opens a store. What is done to it follows from `dice`.
    pub fn start(machine: &Machine, dice: &'a Dice) -> Result<Self, Problem> {
        Self::with(machine, dice, Acknowledge::AfterCommit).map(|(run, _)| run)
    }

    pub fn with(machine: &Machine, dice: &'a Dice, acknowledge: Acknowledge) -> Result<(Self, Ended), Problem> {
        let clock = Arc::new(ManualClock::at(START));
        let ended = Ended::default();
        let on_fatal = {
            let ended = ended.clone();
            Arc::new(move |problem| ended.lock().unwrap().push(problem))
        };
        let store = machine.open(Options { on_fatal, reserve_bytes: 0, ..Options::new(clock.clone()) })?;
        clock.advance(store.last_seen_time().since(START));
        let look = machine.look();
        let history = History::new(State::of(&look).unwrap());
        let mut seed = [0; 8];
        dice.fill(&mut seed);
        let random = SeededRandom::new(u64::from_le_bytes(seed));
        let disk = machine.disk.clone();
        Ok((Self { store, history, clock, disk, look, acknowledge, random, dice, leased: Vec::new(), came: false, tokens: 0 }, ended))
    }

    /// Does `steps` steps.
    pub async fn go(&mut self, steps: usize) -> Result<(), StoreError> {
        for _ in 0..steps {
            let step = self.next();
            self.take(&step).await?;
        }
        Ok(())
    }

    /// What the database says now.
    pub fn state(&self) -> State {
        State::of(&self.look).unwrap()
    }

    /// Does a step and notes what is promised by it.
    pub async fn take(&mut self, step: &Step) -> Result<(), StoreError> {
        let begun = self.disk.changes();
        let promised = self.act(step).await?;
        self.come_to_rest().await?;
        self.note(begun, promised);
        Ok(())
    }

    /// Notes what the database says after a step that began at `begun`.
    pub fn note(&mut self, begun: usize, promised: Option<usize>) {
        let promised = promised.unwrap_or_else(|| self.disk.changes());
        self.history.states.push(Passed { state: self.state(), begun, promised });
    }

    /// Does a step. Gives the point at which something was promised by it.
    pub async fn act(&mut self, step: &Step) -> Result<Option<usize>, StoreError> {
        match step {
            Step::Group(commands) => self.together(commands).await.map(Some),
            Step::Lease(lease) => {
                self.lease(lease).await?;
                Ok(None)
            }
        }
    }

    /// Leases, and holds what is handed out against the database: all that is ready, due and not handed out yet, the oldest first.
    async fn lease(&mut self, lease: &Lease) -> Result<usize, StoreError> {
        let from_memory = self.store.inner.leases.lock().ready().take(&lease.integration, lease.now, 0, usize::MAX).is_some();
        let leased = self.store.lease(lease.clone()).await?;
        let (due, mut handed_out) = (self.due(lease), Vec::new());
        for leased in &leased {
            handed_out.push((leased.id, leased.message.id, leased.message.body.clone()));
        }
        assert_eq!(handed_out, due, "of {} from memory: {from_memory}", lease.integration);
        self.history.from_memory += if from_memory { leased.len() } else { 0 };
        let count = leased.len();
        self.leased.extend(leased);
        Ok(count)
    }

    /// What the database has for `lease`.
    fn due(&self, lease: &Lease) -> Vec<(DeliveryId, MessageId, Bytes)> {
        let sql = "SELECT d.id, m.id, m.body FROM delivery d JOIN message m ON m.seq = d.message
             WHERE d.state = 'ready' AND d.integration = ?1 AND d.due_at <= ?2 ORDER BY d.due_at, d.origin, d.ordinal";
        let mut find = self.look.prepare_cached(sql).unwrap();
        let found = find.query_map((&lease.integration, lease.now.0), |row| {
            let (id, body): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            Ok((DeliveryId(row.get(0)?), MessageId(uuid::Uuid::from_slice(&id).unwrap()), Bytes::from(body)))
        });
        let free = |id: &DeliveryId| !self.leased.iter().any(|leased| leased.id == *id);
        found.unwrap().map(Result::unwrap).filter(|(id, ..)| free(id)).take(lease.limit).collect()
    }

    /// Waits for what the writer does after an answer, and for the note that something was handed out.
    pub async fn come_to_rest(&self) -> Result<(), StoreError> {
        self.store.inner.writer.run(0, |_| Ok(())).await
    }

    /// All commands in one group commit. Gives the point at which the first was answered.
    async fn together(&mut self, commands: &[Command]) -> Result<usize, StoreError> {
        let answered = Arc::new(AtomicUsize::new(usize::MAX));
        let held = if commands.len() > 1 { Some(hold(&self.store).await) } else { None };
        let tasks: Vec<_> = commands.iter().map(|command| tokio::spawn(self.command(command.clone(), answered.clone()))).collect();
        // On this one thread each of them runs until it waits for its answer before this goes on.
        tokio::task::yield_now().await;
        if let Some((release, held)) = held {
            drop(release);
            held.await.unwrap()?;
        }
        let mut failed = None;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) | Err(StoreError::NotLeased | StoreError::NoSuchDeadLetter | StoreError::NotOpen(_)) => {}
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        for command in commands {
            let ended = match command {
                Command::Settle(settle) => settle.delivery,
                Command::Release(delivery) => *delivery,
                _ => continue,
            };
            self.leased.retain(|leased| leased.id != ended);
        }
        Ok(answered.load(Ordering::SeqCst))
    }

    fn command(&self, command: Command, answered: Arc<AtomicUsize>) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (store, disk, acknowledge, now) = (self.store.clone(), self.disk.clone(), self.acknowledge, self.clock.now());
        async move {
            let answer = {
                let (answered, disk) = (answered.clone(), disk.clone());
                move || {
                    answered.fetch_min(disk.changes(), Ordering::SeqCst);
                }
            };
            match command {
                Command::Accept(accept) if acknowledge == Acknowledge::BeforeCommit => {
                    let early = move |writing: &mut Writing<'_>| {
                        accept::accept(writing, &accept)?;
                        answer();
                        Ok(())
                    };
                    return store.inner.writer.run(0, early).await;
                }
                Command::Accept(accept) => drop::<Accepted>(store.accept(accept).await?),
                Command::Settle(settle) => store.settle(settle).await?,
                Command::Release(delivery) => store.release(delivery).await?,
                Command::Replay(dead_letter) => {
                    store.replay(Replay { dead_letter, now, due_at: now, superseded: Superseded::Anyway, edit: None }).await.map(drop)?;
                }
                Command::Discard(dead_letter) => {
                    store.discard(Discard { dead_letter, now, reason: "a test order".into() }).await?;
                }
                Command::Clean => store.clean(now).await.map(drop)?,
            }
            answer();
            Ok(())
        }
    }

    /// The step that comes next.
    pub fn next(&mut self) -> Step {
        if std::mem::take(&mut self.came) && self.dice.chance(70) {
            // At once, as a host does: where nothing else is due this needs no read.
            return Step::Lease(Lease { integration: INTEGRATIONS[0].to_owned(), now: self.clock.now(), limit: 20, bytes_max: usize::MAX });
        }
        self.clock.advance(Duration::from_millis(self.dice.below(3_000) as u64));
        match self.dice.below(10) {
            0..=2 => {
                self.came = true;
                Step::Group((0..=self.dice.below(TOGETHER_MAX)).map(|_| Command::Accept(self.accept())).collect())
            }
            3..=4 => {
                let (integration, limit) = ((*self.dice.pick(&INTEGRATIONS)).to_owned(), *self.dice.pick(&[1, 3, 20]));
                Step::Lease(Lease { integration, now: self.clock.now(), limit, bytes_max: usize::MAX })
            }
            5..=8 => Step::Group(self.settlements()),
            _ => Step::Group(vec![self.by_hand()]),
        }
    }

    fn accept(&mut self) -> Accept {
        let body = *self.dice.pick(&[0, 30, 300, 3_000, 12_000]);
        let lane = match self.dice.below(10) {
            0 => Lane::Unkeyed("key: nothing there".into()),
            1..=2 => Lane::Free,
            _ => Lane::Key((*self.dice.pick(&KEYS)).to_owned()),
        };
        let due_at = self.clock.now();
        let deliveries = INTEGRATIONS[..=self.dice.below(2)]
            .iter()
            .map(|integration| NewDelivery {
                integration: (*integration).to_owned(),
                lane: lane.clone(),
                ordering: 0,
                due_at,
                record: None,
            })
            .collect();
        // Some are sent twice.
        self.tokens += usize::from(self.dice.chance(80));
        let mut token = [0; 32];
        token[..8].copy_from_slice(&self.tokens.to_be_bytes());
        let dedup = Dedup { scope: "webhook /shop".into(), token, expires_at: due_at.plus(Duration::from_secs(20)) };
        let message = self.message(body);
        Accept { message: Arc::new(message), dedup: self.dice.chance(80).then_some(dedup), deliveries, waiting_max: WaitingMax::each(30) }
    }

    fn message(&self, body_bytes: usize) -> Message {
        let now = self.clock.now();
        let mut body = vec![0; body_bytes];
        self.dice.fill(&mut body);
        Message {
            id: MessageId::new(now, &self.random),
            parent: None,
            key: None,
            content_type: "application/octet-stream".into(),
            headers: Headers(vec![("x-topic".into(), "orders/create".into())]),
            body: Bytes::from(body),
            tracked: vec![Tracked { name: "order".into(), value: format!("#{}", self.dice.below(50)) }],
            origin: "webhook /shop".into(),
            accepted_at: now,
        }
    }

    /// One that was made from what is handed out.
    fn made(&self, of: &Leased, purpose: &str, ordinal: u32) -> Message {
        let id = of.message.id.derive(&of.integration, purpose, ordinal, of.replay);
        Message { id, parent: Some(of.message.id), ..self.message(40) }
    }

    /// Of some that are handed out; a clean-up where none is.
    fn settlements(&self) -> Vec<Command> {
        let some = self.dice.below(TOGETHER_MAX) + 1;
        let settle = self.leased.iter().take(some).map(|leased| Command::Settle(Arc::new(self.settle(leased))));
        let settle: Vec<_> = settle.collect();
        if settle.is_empty() { vec![Command::Clean] } else { settle }
    }

    fn settle(&self, leased: &Leased) -> Settle {
        let now = self.clock.now();
        let due_at = now.plus(Duration::from_secs(1 + self.dice.below(10) as u64));
        let (result, settlement) = match self.dice.below(8) {
            0 => ("waited", Settlement::Waits { due_at }),
            1 => ("failed", Settlement::Retries { due_at }),
            2 => ("failed", dead()),
            3 if leased.stage == Stage::Steps => {
                ("fanned-out", Settlement::FannedOut { children: (0..3).map(|ordinal| self.made(leased, "child", ordinal)).collect() })
            }
            4 => ("skipped", Settlement::Skipped { code: "not-ours".into(), detail: "a test order".into() }),
            _ => ("delivered", delivered()),
        };
        let done = matches!(settlement, Settlement::Delivered { .. });
        let attempt = Attempt {
            release: ReleaseId("00".repeat(32)),
            started_at: now,
            ended_at: now,
            result,
            code: None,
            detail: None,
            trace: r#"{"calls":[]}"#.into(),
            exchanges: (0..self.dice.below(3)).map(|_| self.exchange()).collect(),
        };
        let key_values = if done { vec![self.key_value(&leased.integration)] } else { Vec::new() };
        let appends = if done && leased.integration == "crm" { vec![self.append(leased)] } else { Vec::new() };
        Settle { delivery: leased.id, attempt, settlement, appends, key_values, tracked: Vec::new() }
    }

    fn exchange(&self) -> Exchange {
        let body = |bytes| KeptBody::of(&[], &Bytes::from(vec![b'x'; bytes]));
        Exchange { sent: body(self.dice.below(600)), answer: self.dice.chance(80).then(|| body(self.dice.below(100))) }
    }

    fn key_value(&self, integration: &str) -> KeyValueWrite {
        let expires_at = self.dice.chance(30).then(|| self.clock.now().plus(Duration::from_secs(10)));
        let value = self.dice.chance(80).then(|| vec![7; self.dice.below(500)]);
        KeyValueWrite { integration: integration.to_owned(), key: format!("row-{}", self.dice.below(9)), value, expires_at }
    }

    fn append(&self, leased: &Leased) -> Append {
        let (message, lane) = if self.dice.chance(50) {
            (AppendedMessage::New(Arc::new(self.made(leased, "channel", 0))), Lane::Key("one".into()))
        } else {
            // Where it stands among others is its age, and those that are older may come later.
            (AppendedMessage::Existing(leased.message.id), Lane::Free)
        };
        let deliveries = vec![NewDelivery { integration: "warehouse".into(), lane, ordering: 0, due_at: self.clock.now(), record: None }];
        Append { message, channel: "orders.canonical".into(), dedup: None, due_at: START, deliveries }
    }

    fn by_hand(&self) -> Command {
        let newest = "SELECT max(id) FROM dead_letter WHERE status = 'open'";
        let letter: Option<i64> = self.look.query_row(newest, [], |row| row.get(0)).unwrap();
        match (letter, self.leased.first()) {
            (Some(letter), _) if self.dice.chance(40) => Command::Replay(DeadLetterId(letter)),
            (Some(letter), _) if self.dice.chance(30) => Command::Discard(DeadLetterId(letter)),
            (_, Some(leased)) => Command::Release(leased.id),
            _ => Command::Clean,
        }
    }

    /// What the store counts as waiting beside what the database says, by integration.
    pub async fn waiting(&self) -> Vec<(u64, u64)> {
        let counted = |writing: &mut Writing<'_>| Ok(INTEGRATIONS.map(|integration| writing.waiting(integration)));
        let counted = self.store.inner.writer.run(0, counted).await.unwrap();
        let there = |integration: &&str| {
            let count = "SELECT count(*) FROM delivery WHERE integration = ?1";
            self.look.query_row(count, [integration], |row| row.get::<_, i64>(0)).map(|count| u64::try_from(count).unwrap()).unwrap()
        };
        counted.into_iter().zip(INTEGRATIONS.iter().map(there)).collect()
    }

    /// Delivers all that waits, until nothing does.
    pub async fn drain(&mut self) {
        let now = Timestamp(self.clock.now().0 + 1_000_000);
        loop {
            for leased in std::mem::take(&mut self.leased) {
                let settle = Settle { settlement: delivered(), appends: Vec::new(), ..self.settle(&leased) };
                self.store.settle(Arc::new(settle)).await.unwrap();
            }
            let mut handed_out = 0;
            for integration in INTEGRATIONS {
                handed_out +=
                    self.lease(&Lease { integration: integration.to_owned(), now, limit: 100, bytes_max: usize::MAX }).await.unwrap();
            }
            if handed_out == 0 {
                break;
            }
        }
        let left: i64 = self.look.query_row("SELECT count(*) FROM delivery", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "deliveries that nobody is given");
    }

    /// Whether the database is whole.
    pub fn sound(&self) -> Result<(), String> {
        super::machine::sound(&self.look)
    }

    /// The end of the process, in order.
    pub fn stop(self) -> History {
        drop(self.look);
        drop(self.store);
        self.history
    }
}
