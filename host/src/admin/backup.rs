//! `GET /api/v1/backup`: everything of the data folder that cannot be made again, as one archive (see [`crate::backup`]).

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use tokio::sync::mpsc;

use super::api::Api;
use super::operate::BY_API;
use super::parameters::Parameters;
use crate::backup;
use crate::ingress::answer::Refusal;
use crate::problem::{Code, Problem};
use crate::telemetry::events::{Event, Kind, Level};

/// Pieces that wait for a slow reader.
const PIECES_AHEAD: usize = 8;
const PIECE_BYTES: usize = 256 * 1024;

/// Copies the database and streams the archive. One at a time: each needs the database's size on disk once more.
pub async fn make(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let permit = api.backups.clone().try_acquire_owned().map_err(|_| under_way())?;
    let (data, made_at) = (api.parts.data.clone(), api.parts.clock.now().to_string());
    let copied = tokio::task::spawn_blocking({
        let data = data.clone();
        // The permit goes with the work: who asked may be gone before the copy is made.
        move || backup::snapshot(&data).map(|copy| (copy, permit))
    });
    let (copy, permit) =
        copied.await.map_err(|stopped| failed(&Problem::new(Code::Internal, stopped.to_string())))?.map_err(|why| failed(&why))?;
    tracing::info!(by = BY_API, "a backup is being made");
    api.parts.events.tell(Event::new(Kind::Operator, Level::Info, "a backup is being made").with("by", BY_API));
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
    let body = Body::from_stream(stream::unfold(arriving, |mut arriving| async move { Some((arriving.recv().await?, arriving)) }));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
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
