//! `GET /api/v1/backup`: everything of the data folder that cannot be made again, as one archive (see [`crate::backup`]).

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::api::{Api, ApiParts};
use super::audit;
use super::parameters::Parameters;
use super::who::Who;
use crate::backup;
use crate::clock::{Clock, Timestamp};
use crate::ingress::answer::Refusal;
use crate::message_store::audit::{Act, Came};
use crate::problem::{Code, Problem};
use crate::telemetry::events::{Event, Kind, Level};

/// Pieces that wait for a slow reader.
const PIECES_AHEAD: usize = 8;
const PIECE_BYTES: usize = 256 * 1024;
/// Whoever reads more slowly, over so much time that the host waited for them, is cut off: nobody else has a backup meanwhile.
const PACE_BYTES: u64 = 256 * 1024;
const PACE_OVER: Duration = Duration::from_secs(60);

/// One backup at a time, and who is making it.
#[derive(Debug)]
pub struct Backups {
    one: Arc<Semaphore>,
    maker: Mutex<String>,
}

impl Default for Backups {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), maker: Mutex::default() }
    }
}

impl Backups {
    fn begin(&self, who: &str) -> Result<OwnedSemaphorePermit, Refusal> {
        let mut maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
        match self.one.clone().try_acquire_owned() {
            Ok(permit) => {
                who.clone_into(&mut maker);
                Ok(permit)
            }
            Err(_) => {
                let detail = format!("a backup is being made by {maker}; try again when it is done");
                Err(Refusal::new(StatusCode::CONFLICT, Code::BackupUnderWay, detail))
            }
        }
    }
}

/// Copies the database and streams the archive. One at a time: each needs the database's size on disk once more.
/// Ends where the token does with which it was asked for.
pub async fn make(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let permit = api.backups.begin(who.name())?;
    let note = |parts: &ApiParts| who.note(parts.clock.now(), Act::Backup, "the data folder");
    let asked = audit::asked(&api.parts, note(&api.parts)).await?;
    let (data, made_at) = (api.parts.data.clone(), api.parts.clock.now().to_string());
    let copied = tokio::task::spawn_blocking({
        let data = data.clone();
        // The permit goes with the work: who asked may be gone before the copy is made.
        move || backup::snapshot(&data).map(|copy| (copy, permit))
    });
    let copied = copied.await.unwrap_or_else(|stopped| Err(Problem::new(Code::Internal, stopped.to_string())));
    let (copy, permit) = match copied {
        Ok(copied) => copied,
        Err(why) => {
            audit::ended(&api.parts, asked, note(&api.parts).came(Came::Failed).after(json!({ "code": why.code.as_str() }))).await;
            return Err(failed(&why));
        }
    };
    tracing::info!(by = who.name(), "a backup is being made");
    api.parts.events.tell(who.told(Event::new(Kind::Operator, Level::Info, "a backup is being made")));
    let (pieces, arriving) = mpsc::channel::<io::Result<Bytes>>(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let to = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
        if let Err(error) = backup::write(&data, &copy, made_at, to) {
            tracing::warn!(%error, "a backup was not finished");
            // The reader must not take it for whole. Where it is gone, it knows.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let open = Open { arriving, who, pace: Pace::new(api.parts.clock.now()), clock: api.parts.clock.clone() };
    let body = Body::from_stream(stream::unfold(Some(open), next));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}

/// A backup that is being sent.
struct Open {
    arriving: mpsc::Receiver<io::Result<Bytes>>,
    who: Who,
    pace: Pace,
    clock: Arc<dyn Clock>,
}

/// The next piece, as long as the token is good and whoever has it reads.
async fn next(open: Option<Open>) -> Option<(io::Result<Bytes>, Option<Open>)> {
    let Open { mut arriving, who, mut pace, clock } = open?;
    if pace.is_too_slow(clock.now()) {
        tracing::warn!(by = who.name(), "a backup was broken off: it was read too slowly");
        return Some((Err(io::Error::other("it is read too slowly")), None));
    }
    let piece = tokio::select! {
        biased;
        () = who.ended(&*clock) => return Some((Err(io::Error::other("the token has ended")), None)),
        piece = arriving.recv() => piece?,
    };
    pace.gave(piece.as_ref().map_or(0, |piece| piece.len() as u64), clock.now());
    Some((piece, Some(Open { arriving, who, pace, clock })))
}

/// How fast somebody reads: what the host itself takes for a piece does not count.
struct Pace {
    given_at: Timestamp,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(now: Timestamp) -> Self {
        Self { given_at: now, waited: Duration::ZERO, bytes: 0 }
    }

    fn gave(&mut self, bytes: u64, now: Timestamp) {
        self.given_at = now;
        self.bytes += bytes;
    }

    /// To be asked when the next piece is wanted.
    fn is_too_slow(&mut self, now: Timestamp) -> bool {
        self.waited += now.since(self.given_at);
        if self.waited < PACE_OVER {
            return false;
        }
        let enough = PACE_BYTES * self.waited.as_secs();
        let is_too_slow = self.bytes < enough;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        is_too_slow
    }
}

/// What is written goes to who reads the answer.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads it any more");
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(why: &Problem) -> Refusal {
    tracing::error!(%why, "a backup could not be made");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why.code, "the backup could not be made; the host's log says why").because(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Role;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_backup_that_is_read_too_slowly_is_broken_off() {
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let (send, arriving) = mpsc::channel(PIECES_AHEAD);
        for _ in 0..PIECES_AHEAD {
            send.try_send(Ok(Bytes::from(vec![0; PIECE_BYTES]))).unwrap();
        }
        let who = Who::named("anna", Role::Deployer, None);
        let open = Open { arriving, who, pace: Pace::new(clock.now()), clock: clock.clone() };
        let (first, open) = next(Some(open)).await.unwrap();
        assert!(first.is_ok());
        clock.advance(Duration::from_secs(61));
        let (second, open) = next(open).await.unwrap();
        assert!(second.is_err() && open.is_none() && send.is_closed(), "and who makes it is told");
    }

    #[test]
    fn who_reads_too_slowly_over_a_minute_is_cut_off_and_a_slow_disk_is_nobodys_fault() {
        let mut now = Timestamp(0);
        let mut pace = Pace::new(now);
        // What one read of the reader takes, in seconds, and what the host takes for each piece.
        let mut reads = |reader: u64, host: u64, pieces: usize| {
            (0..pieces).any(|_| {
                now = now.plus(Duration::from_secs(reader));
                let is_too_slow = pace.is_too_slow(now);
                now = now.plus(Duration::from_secs(host));
                pace.gave(PACE_BYTES, now);
                is_too_slow
            })
        };
        assert!(!reads(0, 30, 100), "the host is slow");
        assert!(!reads(1, 0, 300), "as slow as may be");
        assert!(reads(2, 0, 61), "half of that");
    }
}
