//! The one writer: a thread of its own that owns the connection that writes.
//!
//! Commands wait in a bounded queue. A group commit takes all that waited while the last one ran and answers them once COMMIT
//! has returned; one that fails takes only itself back. A failed commit or fsync ends the process: nobody knows then
//! what is on disk, so nothing may be acknowledged and nothing may be tried again.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::failure::Done;
use super::group::Committer;
use super::writing::Writing;
use crate::clock::{Clock, Timestamp, within};
use crate::message_store::{CLAIM_WITHIN, StoreError};
use crate::problem::{Code, Problem};

/// Commands that wait for the writer at most; more wait for room.
const QUEUED_COMMANDS_MAX: usize = 4096;
/// Kilobytes of bodies in the queue at most.
const QUEUED_KILOBYTES_MAX: u32 = 64 * 1024;
/// Commands in a group commit at most.
const GROUP_COMMANDS_MAX: usize = 1024;
/// A group commit takes no further command once it has this many bytes of bodies.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a start waits to be noted with a commit that comes anyway, where one came that lately: under load there always is one.
/// Otherwise a start gets a commit of its own at once, so that a delivery that brings the host down is counted.
const NOTED_WITHIN: Duration = Duration::from_millis(2);

/// The sending side.
pub(super) struct Writer {
    sender: Mutex<Option<mpsc::Sender<Queued>>>,
    kilobytes: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
    clock: Arc<dyn Clock>,
    commits: Arc<AtomicU64>,
    committed_at: Arc<AtomicI64>,
    /// Somebody waits to say that there are starts to be noted.
    poked: Arc<AtomicBool>,
}

/// What waits in the queue.
pub(super) enum Queued {
    /// There is a start to be noted.
    Poke,
    Command(Command),
}

pub(super) struct Command {
    claim: Arc<Claim>,
    pub bytes: usize,
    pub job: Box<dyn Job>,
    /// The room it takes in the queue.
    _room: OwnedSemaphorePermit,
}

/// A command and who waits for its answer.
pub(super) trait Job: Send {
    /// Does the work in the open transaction. Called again if what it did was rolled back for another command's sake.
    fn run(&mut self, writing: &mut Writing<'_>) -> Done<()>;

    /// Answers: with the work's own result where the group was committed, with the group's error where it was not.
    fn answer(self: Box<Self>, group: Result<(), StoreError>);
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(mut committer: Committer, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUED_COMMANDS_MAX);
        let (commits, committed_at) = (committer.commits(), committer.committed_at());
        let thread = std::thread::Builder::new().name("message-store".into()).spawn(move || serve(&mut committer, receiver))?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            kilobytes: Arc::new(Semaphore::new(QUEUED_KILOBYTES_MAX as usize)),
            thread: Mutex::new(Some(thread)),
            clock,
            commits,
            committed_at,
            poked: Arc::default(),
        })
    }

    /// Has `work` done in a group commit and gives its result once that has returned. It may be done twice: what the first time
    /// wrote is rolled back then.
    /// `bytes`: how much memory it holds, roughly.
    pub(super) async fn run<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Writing<'_>) -> Done<T> + Send + 'static,
    {
        let sender = self.sender().ok_or(StoreError::Closed)?;
        let claim = Arc::new(Claim::default());
        let (reply, mut answer) = oneshot::channel();
        let job = Box::new(Task { work, result: None, reply });
        let queued = async {
            let room = Arc::clone(&self.kilobytes).acquire_many_owned(kilobytes(bytes)).await.map_err(|_| StoreError::Closed)?;
            let command = Command { claim: Arc::clone(&claim), bytes, job, _room: room };
            sender.send(Queued::Command(command)).await.map_err(|_| StoreError::Closed)?;
            (&mut answer).await.unwrap_or(Err(StoreError::Closed))
        };
        match within(&*self.clock, CLAIM_WITHIN, queued).await {
            Some(result) => result,
            None if claim.give_up() => Err(StoreError::Busy),
            None => answer.await.unwrap_or(Err(StoreError::Closed)),
        }
    }

    /// Makes sure that a group commit comes soon. To be called in a runtime.
    pub(super) fn poke(&self) {
        let committed_at = Timestamp(self.committed_at.load(Ordering::Relaxed));
        if self.clock.now().since(committed_at) > NOTED_WITHIN {
            if let Some(sender) = self.sender() {
                // A full queue means that one is coming.
                let _ = sender.try_send(Queued::Poke);
            }
            return;
        }
        if self.poked.swap(true, Ordering::SeqCst) {
            return;
        }
        // Held weakly: a writer that is told to close waits for nobody.
        let (sender, poked) = (self.sender().map(|sender| sender.downgrade()), Arc::clone(&self.poked));
        let wait = self.clock.sleep(NOTED_WITHIN);
        tokio::spawn(async move {
            wait.await;
            poked.store(false, Ordering::SeqCst);
            if let Some(sender) = sender.and_then(|sender| sender.upgrade()) {
                let _ = sender.try_send(Queued::Poke);
            }
        });
    }

    /// Whether it takes commands.
    pub(super) fn is_open(&self) -> bool {
        self.sender().is_some_and(|sender| !sender.is_closed())
    }

    /// How many group commits there were.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Takes no more commands; those queued are still done.
    pub(super) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits until the thread has ended. Blocks.
    pub(super) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread itself may be the last to hold the store.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // If it panicked it has said so itself.
            let _ = thread.join();
        }
    }

    fn sender(&self) -> Option<mpsc::Sender<Queued>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn kilobytes(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(QUEUED_KILOBYTES_MAX)
}

/// The thread: group after group until nobody can send any more, or nothing may be written any more.
fn serve(committer: &mut Committer, mut receiver: mpsc::Receiver<Queued>) {
    let _watch = EndsTheProcess(committer.on_fatal());
    while let Some(first) = receiver.blocking_recv() {
        let commands = gather(first, &mut receiver);
        // A start may have been noted with the commit before.
        let is_idle = commands.is_empty() && !committer.has_notes();
        if !is_idle && committer.commit(commands).is_err() {
            return;
        }
    }
    committer.finish();
}

/// All that waits, up to the limits of a group.
fn gather(first: Queued, receiver: &mut mpsc::Receiver<Queued>) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(queued) = next {
        if let Queued::Command(command) = queued
            && command.claim.claim()
        {
            bytes += command.bytes;
            commands.push(command);
        }
        let room = commands.len() < GROUP_COMMANDS_MAX && bytes < GROUP_BYTES_MAX;
        next = if room { receiver.try_recv().ok() } else { None };
    }
    commands
}

/// What is done when nothing may be written any more. It should end the process.
pub type OnFatal = Arc<dyn Fn(Problem) + Send + Sync>;

/// A writer that panicked must not leave a host behind that answers but stores nothing.
struct EndsTheProcess(OnFatal);

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)(
                Problem::new(Code::Internal, "the message store's writer has failed; what was accepted is on disk")
                    .fix("start the host again and report this"),
            );
        }
    }
}

/// Who has a command: nobody, the writer, or nobody ever.
#[derive(Debug, Default)]
struct Claim(AtomicU8);

impl Claim {
    const OPEN: u8 = 0;
    const CLAIMED: u8 = 1;
    const GIVEN_UP: u8 = 2;

    /// The writer takes it. False if it was given up.
    fn claim(&self) -> bool {
        self.turn(Self::CLAIMED)
    }

    /// The caller gives it up. False if the writer has it.
    fn give_up(&self) -> bool {
        self.turn(Self::GIVEN_UP)
    }

    fn turn(&self, into: u8) -> bool {
        self.0.compare_exchange(Self::OPEN, into, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

struct Task<T, F> {
    work: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Writing<'_>) -> Done<T> + Send + 'static,
{
    fn run(&mut self, writing: &mut Writing<'_>) -> Done<()> {
        match (self.work)(writing) {
            Ok(value) => self.result = Some(Ok(value)),
            Err(failure) => {
                self.result = Some(Err(failure.told()));
                return Err(failure);
            }
        }
        Ok(())
    }

    fn answer(self: Box<Self>, group: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let result = group.and_then(|()| result.unwrap_or(Err(StoreError::Closed)));
        // Whoever asked may be gone; what was done stays done.
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_never_claimed_and_what_was_claimed_is_never_given_up() {
        let claim = Claim::default();
        assert!(claim.give_up());
        assert!(!claim.claim());
        let claim = Claim::default();
        assert!(claim.claim());
        assert!(!claim.give_up());
    }
}
