//! Reading a request's body: never more than the limit, never longer than the deadline, and never more bodies at once
//! than memory is set aside for. Where memory is short the slowest gives way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;
use crate::clock::{self, Clock, Timestamp};
use crate::problem::Code;

/// Memory is set aside for bodies in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;
/// A sender that was refused for lack of memory may come back after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A body that has been under way for as long is slow, and gives way where memory is short.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Memory for the bodies of all requests under way. Where none is left the slowest of them gives way: what stands still does not hold up what
/// moves, whoever sends it.
#[derive(Clone, Debug)]
pub struct BodyMemory {
    pieces: Arc<Semaphore>,
    under_way: Arc<Mutex<Bodies>>,
}

/// The bodies under way, by number, and how many pieces are waited for that those have who give way.
#[derive(Debug, Default)]
struct Bodies {
    by_number: BTreeMap<u64, UnderWay>,
    last: u64,
    awaited: usize,
}

/// A body that has memory and is not whole.
#[derive(Clone, Debug)]
struct UnderWay {
    since: Timestamp,
    bytes: Arc<AtomicUsize>,
    gives_way: CancellationToken,
}

impl UnderWay {
    /// Pieces that are free as soon as who has them knows; none of one that goes on.
    fn given_up(&self) -> usize {
        if self.gives_way.is_cancelled() { self.bytes.load(Ordering::Relaxed).div_ceil(PIECE_BYTES) } else { 0 }
    }

    /// Bytes a second; none for one that is not old enough to tell.
    fn rate(&self, now: Timestamp) -> Option<u128> {
        let age = now.since(self.since);
        (age >= SLOW_AFTER).then(|| self.bytes.load(Ordering::Relaxed) as u128 * 1_000 / age.as_millis().max(1))
    }
}

impl BodyMemory {
    /// Room for `bytes` in all, rounded up to 64 KiB.
    pub fn new(bytes: usize) -> Self {
        Self { pieces: Arc::new(pieces(bytes)), under_way: Arc::default() }
    }

    /// Bytes that are free.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.pieces.available_permits() * PIECE_BYTES
    }

    /// One piece, for which the slowest body gives way if need be.
    async fn piece(&self, now: Timestamp) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(piece) = self.pieces.clone().try_acquire_owned() {
            return Ok(piece);
        }
        let _awaited = self.make_room(now).ok_or_else(busy)?;
        // It is free once who had it knows, which is at once; the deadline holds for this wait, too.
        self.pieces.clone().acquire_owned().await.map_err(|_| busy())
    }

    /// A place among those who wait for what others give up; none where nobody is slow.
    fn make_room(&self, now: Timestamp) -> Option<Awaited<'_>> {
        let mut bodies = self.lock();
        let given_up: usize = bodies.by_number.values().map(UnderWay::given_up).sum();
        if given_up <= bodies.awaited {
            let going_on = bodies.by_number.values().filter(|body| !body.gives_way.is_cancelled());
            let (_, slowest) = going_on.filter_map(|body| Some((body.rate(now)?, body))).min_by_key(|(rate, _)| *rate)?;
            slowest.gives_way.cancel();
        }
        bodies.awaited += 1;
        Some(Awaited(self))
    }

    fn enter(&self, body: UnderWay) -> Entered<'_> {
        let mut bodies = self.lock();
        bodies.last += 1;
        let number = bodies.last;
        bodies.by_number.insert(number, body);
        Entered { memory: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body is under way until this is dropped.
struct Entered<'m> {
    memory: &'m BodyMemory,
    number: u64,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.memory.lock().by_number.remove(&self.number);
    }
}

/// A piece is waited for until this is dropped.
struct Awaited<'m>(&'m BodyMemory);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.lock().awaited -= 1;
    }
}

/// What of the memory one token may have. Whoever asks for more is refused; nobody else gives way.
#[derive(Clone, Debug)]
pub struct BodyShare(Arc<Semaphore>);

impl BodyShare {
    /// A share of `bytes`, rounded up to 64 KiB.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(pieces(bytes)))
    }

    fn piece(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.0.clone().try_acquire_owned().map_err(|_| busy())
    }
}

fn pieces(bytes: usize) -> Semaphore {
    Semaphore::new(bytes.div_ceil(PIECE_BYTES).min(Semaphore::MAX_PERMITS))
}

fn busy() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::IntakeBusy, "too many requests at once; try again").retry_after(RETRY_AFTER)
}

/// Memory that is held for a body.
#[derive(Debug, Default)]
struct Held {
    memory: Option<OwnedSemaphorePermit>,
    share: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * PIECE_BYTES
    }

    async fn more(&mut self, memory: &BodyMemory, share: Option<&BodyShare>, now: Timestamp) -> Result<(), Refusal> {
        let of_share = share.map(BodyShare::piece).transpose()?;
        let piece = memory.piece(now).await?;
        add(&mut self.memory, Some(piece));
        add(&mut self.share, of_share);
        Ok(())
    }
}

fn add(held: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (held.as_mut(), more) {
        (Some(held), Some(more)) => held.merge(more),
        (None, more) => *held = more,
        (Some(_), None) => {}
    }
}

/// A body, and the memory set aside for it until this is dropped.
#[derive(Debug)]
pub struct ReadBody {
    pub bytes: Bytes,
    _memory: Held,
}

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    pub bytes: usize,
    /// From the first byte to the last.
    pub within: Duration,
}

/// Where memory for a body comes from.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    pub memory: &'a BodyMemory,
    /// That of who sends it, where that is known.
    pub share: Option<&'a BodyShare>,
}

/// Reads `body` whole. A declared length over the limit is refused before anything is read.
///
/// # Errors
/// 413 over the limit, 408 over the deadline, 503 where no memory is left for it or it was the slowest when others needed some, 400 where it
/// breaks off or is malformed.
pub async fn read<B>(headers: &HeaderMap, body: B, limits: BodyLimits, room: Room<'_>, clock: &dyn Clock) -> Result<ReadBody, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    if declared_length(headers).is_some_and(|declared| declared > limits.bytes as u64) {
        return Err(too_large(limits.bytes));
    }
    let gives_way = CancellationToken::new();
    let reading = gives_way.run_until_cancelled(collect(body, limits.bytes, room, clock, &gives_way));
    match clock::within(clock, limits.within, reading).await {
        Some(Some(read)) => read,
        Some(None) => Err(Refusal { detail: "the body came too slowly while many came at once; try again".to_owned(), ..busy() }),
        None => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::TooSlow, "the body did not arrive in time")),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

async fn collect<B>(
    mut body: B,
    bytes_max: usize,
    room: Room<'_>,
    clock: &dyn Clock,
    gives_way: &CancellationToken,
) -> Result<ReadBody, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut bytes = BytesMut::new();
    let mut held = Held::default();
    let received = Arc::new(AtomicUsize::new(0));
    let mut entered = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "a body broke off");
            Refusal::new(StatusCode::BAD_REQUEST, Code::BadRequest, "the body broke off or is malformed")
        })?;
        // Trailers are not kept.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        while held.bytes() < bytes.len() + data.len() {
            held.more(room.memory, room.share, clock.now()).await?;
        }
        bytes.extend_from_slice(&data);
        received.store(bytes.len(), Ordering::Relaxed);
        entered.get_or_insert_with(|| {
            room.memory.enter(UnderWay { since: clock.now(), bytes: received.clone(), gives_way: gives_way.clone() })
        });
    }
    Ok(ReadBody { bytes: bytes.freeze(), _memory: held })
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, format!("a body may have at most {bytes_max} bytes"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::ManualClock;

    type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

    const LIMITS: BodyLimits = BodyLimits { bytes: 10 * PIECE_BYTES, within: Duration::from_secs(30) };

    /// A body that is being read, and what sends it.
    fn begin(
        clock: &Arc<ManualClock>,
        memory: &BodyMemory,
        share: Option<&BodyShare>,
    ) -> (Sender, tokio::task::JoinHandle<Result<ReadBody, Refusal>>) {
        let (send, arriving) = mpsc::unbounded_channel();
        let arriving = stream::unfold(arriving, async |mut arriving| arriving.recv().await.map(|frame| (frame, arriving))).boxed();
        let (clock, memory, share) = (clock.clone(), memory.clone(), share.cloned());
        let reading = tokio::spawn(async move {
            let room = Room { memory: &memory, share: share.as_ref() };
            read(&HeaderMap::new(), StreamBody::new(arriving), LIMITS, room, &*clock).await
        });
        (send, reading)
    }

    fn send(to: &Sender, pieces: usize) {
        to.send(Ok(Frame::data(Bytes::from(vec![b'x'; pieces * PIECE_BYTES])))).unwrap();
    }

    async fn taken(memory: &BodyMemory, bodies: usize, pieces_left: usize) {
        while memory.lock().by_number.len() != bodies || memory.pieces.available_permits() != pieces_left {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_stands_still_gives_way_to_what_moves_and_not_before_it_is_slow() {
        let (clock, memory) = (Arc::new(ManualClock::at(Timestamp(0))), BodyMemory::new(4 * PIECE_BYTES));
        let (still, stands) = begin(&clock, &memory, None);
        send(&still, 1);
        taken(&memory, 1, 3).await;
        let (moving, moves) = begin(&clock, &memory, None);
        send(&moving, 3);
        taken(&memory, 2, 0).await;
        let (early, refused) = begin(&clock, &memory, None);
        send(&early, 1);
        assert_eq!(refused.await.unwrap().unwrap_err().code, Code::IntakeBusy, "both may only just have begun");
        clock.advance(SLOW_AFTER);
        let (late, read) = begin(&clock, &memory, None);
        send(&late, 1);
        drop(late);
        assert_eq!(read.await.unwrap().unwrap().bytes.len(), PIECE_BYTES);
        let gave_way = stands.await.unwrap().unwrap_err();
        assert_eq!((gave_way.code, gave_way.status), (Code::IntakeBusy, StatusCode::SERVICE_UNAVAILABLE));
        drop(moving);
        assert_eq!(moves.await.unwrap().unwrap().bytes.len(), 3 * PIECE_BYTES);
        taken(&memory, 0, 4).await;
    }

    #[tokio::test]
    async fn no_more_give_way_than_is_needed() {
        let (clock, memory) = (Arc::new(ManualClock::at(Timestamp(0))), BodyMemory::new(4 * PIECE_BYTES));
        let (first, stands) = begin(&clock, &memory, None);
        send(&first, 2);
        taken(&memory, 1, 2).await;
        clock.advance(SLOW_AFTER);
        let (second, goes_on) = begin(&clock, &memory, None);
        send(&second, 2);
        taken(&memory, 2, 0).await;
        clock.advance(SLOW_AFTER);
        let others = [(); 2].map(|()| {
            let (other, read) = begin(&clock, &memory, None);
            send(&other, 1);
            drop(other);
            read
        });
        for read in others {
            assert!(read.await.unwrap().is_ok());
        }
        assert!(stands.await.unwrap().is_err());
        drop(second);
        assert!(goes_on.await.unwrap().is_ok(), "two pieces were needed, and the slowest had them");
    }

    #[tokio::test]
    async fn a_share_is_all_that_one_has_of_the_memory() {
        let (clock, memory) = (Arc::new(ManualClock::at(Timestamp(0))), BodyMemory::new(4 * PIECE_BYTES));
        let mine = BodyShare::new(2 * PIECE_BYTES);
        let (first, _reading) = begin(&clock, &memory, Some(&mine));
        send(&first, 2);
        taken(&memory, 1, 2).await;
        clock.advance(SLOW_AFTER);
        let (more, refused) = begin(&clock, &memory, Some(&mine));
        send(&more, 1);
        assert_eq!(refused.await.unwrap().unwrap_err().code, Code::IntakeBusy);
        let (other, read) = begin(&clock, &memory, Some(&BodyShare::new(2 * PIECE_BYTES)));
        send(&other, 2);
        drop(other);
        assert_eq!(read.await.unwrap().unwrap().bytes.len(), 2 * PIECE_BYTES);
        assert_eq!(memory.lock().by_number.len(), 1, "who has its share goes on");
    }
}
