//! Reading a request's body: never more than the limit, never longer than the deadline, and never more bodies at once
//! than memory is set aside for.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;
use crate::clock::{self, Clock};
use crate::problem::Code;

/// Memory is set aside for bodies in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;
/// A sender that was refused for lack of memory may come back after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Memory for the bodies of all requests under way.
#[derive(Clone, Debug)]
pub struct BodyMemory(Arc<Semaphore>);

impl BodyMemory {
    /// Room for `bytes` in all, rounded up to 64 KiB.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(PIECE_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    fn piece(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.0.clone().try_acquire_owned().map_err(|_| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::IntakeBusy, "too many requests at once; try again").retry_after(RETRY_AFTER)
        })
    }
}

/// A body, and the memory set aside for it until this is dropped.
#[derive(Debug)]
pub struct ReadBody {
    pub bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    pub bytes: usize,
    /// From the first byte to the last.
    pub within: Duration,
}

/// Reads `body` whole. A declared length over the limit is refused before anything is read.
///
/// # Errors
/// 413 over the limit, 408 over the deadline, 503 where no memory is left for it, 400 where it breaks off or is malformed.
pub async fn read<B>(headers: &HeaderMap, body: B, limits: BodyLimits, memory: &BodyMemory, clock: &dyn Clock) -> Result<ReadBody, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    if declared_length(headers).is_some_and(|declared| declared > limits.bytes as u64) {
        return Err(too_large(limits.bytes));
    }
    match clock::within(clock, limits.within, collect(body, limits.bytes, memory)).await {
        Some(read) => read,
        None => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::TooSlow, "the body did not arrive in time")),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

async fn collect<B>(mut body: B, bytes_max: usize, memory: &BodyMemory) -> Result<ReadBody, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut bytes = BytesMut::new();
    let mut held: Option<OwnedSemaphorePermit> = None;
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
        while held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * PIECE_BYTES < bytes.len() + data.len() {
            let piece = memory.piece()?;
            match &mut held {
                Some(held) => held.merge(piece),
                None => held = Some(piece),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok(ReadBody { bytes: bytes.freeze(), _memory: held })
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, format!("a body may have at most {bytes_max} bytes"))
}
