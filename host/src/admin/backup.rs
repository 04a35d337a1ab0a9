//! `GET /api/v1/backup`: everything of the data folder that cannot be made again, as one archive (see [`crate::backup`]).

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tokio::sync::mpsc;

use super::api::{Api, ApiParts};
use super::audit;
use super::parameters::Parameters;
use super::who::Who;
use crate::backup;
use crate::clock::Clock;
use crate::ingress::answer::Refusal;
use crate::message_store::audit::{Act, Came};
use crate::problem::{Code, Problem};
use crate::telemetry::events::{Event, Kind, Level};

/// Pieces that wait for a slow reader.
const PIECES_AHEAD: usize = 8;
const PIECE_BYTES: usize = 256 * 1024;

/// Copies the database and streams the archive. One at a time: each needs the database's size on disk once more.
/// Ends where the token does with which it was asked for.
pub async fn make(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let permit = api.backups.clone().try_acquire_owned().map_err(|_| under_way())?;
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
    let body = Body::from_stream(stream::unfold(Some((arriving, who, api.parts.clock.clone())), next));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}

type Open = (mpsc::Receiver<io::Result<Bytes>>, Who, Arc<dyn Clock>);

/// The next piece, as long as the token is good.
async fn next(open: Option<Open>) -> Option<(io::Result<Bytes>, Option<Open>)> {
    let (mut arriving, who, clock) = open?;
    let piece = tokio::select! {
        biased;
        () = who.ended(&*clock) => return Some((Err(io::Error::other("the token has ended")), None)),
        piece = arriving.recv() => piece?,
    };
    Some((piece, Some((arriving, who, clock))))
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

fn under_way() -> Refusal {
    Refusal::new(StatusCode::CONFLICT, Code::BackupUnderWay, "a backup is being made; try again when it is done")
}

fn failed(why: &Problem) -> Refusal {
    tracing::error!(%why, "a backup could not be made");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why.code, "the backup could not be made; the host's log says why").because(why)
}
