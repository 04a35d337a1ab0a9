//! `GET /api/v1/events`: what happens, as server-sent events (HTML Standard, section 9.2).

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::api::Api;
use super::known;
use super::parameters::{Parameters, wrong};
use super::who::Who;
use crate::clock::{Clock, within};
use crate::ingress::answer::Refusal;
use crate::problem::Code;
use crate::telemetry::events::{Batch, Filter, Gap, Kind, Level, Reader, Start};

/// Streams open at once.
pub(super) const EVENT_STREAMS_MAX: usize = 32;
/// When to come back where as many are open as may.
const RETRY_AFTER_STREAMS: Duration = Duration::from_secs(10);
/// How often a stream on which nothing happens is shown to be alive.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How soon a browser asks again after a stream broke.
const RECONNECT_AFTER_MS: u64 = 1000;

/// What a request asks for.
struct Asked {
    filter: Filter,
    start: Start,
    /// Whether it goes on with what happens.
    follow: bool,
}

/// Events that fit, from where the request says, until the other side, the host or the token with which it was asked for ends it.
pub async fn stream(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    let asked = asked(Parameters::parse(request.uri().query()), request.headers())?;
    known::integration(&api.parts, asked.filter.integration.as_deref()).await?;
    let own = who.stream().ok_or_else(too_many)?;
    let permit = api.event_streams.clone().try_acquire_owned().map_err(|_| too_many())?;
    let events = &api.parts.events;
    let reader = events.read(asked.filter, asked.start);
    let until = if asked.follow { u64::MAX } else { events.latest() };
    let open = Open { who, reader, until, clock: api.parts.clock.clone(), begun: false, _permits: [own, permit] };
    let body = Body::from_stream(stream::unfold(open, |mut open| async move {
        let text = open.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), open))
    }));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

fn asked(mut given: Parameters, headers: &HeaderMap) -> Result<Asked, Refusal> {
    let integration = given.one("integration")?;
    let message = given.one("message")?.map(|text| text.parse().map_err(|why| wrong(format!("`message={text}`: {why}")))).transpose()?;
    let level = given.word("level", Level::parse, Level::ALL)?;
    let filter = Filter { level, kinds: given.words("kind", Kind::parse, Kind::ALL)?, integration, message };
    let (count, since) = (given.read("last", "a number")?, given.time("since")?);
    let follow = given.read("follow", "true or false")?.unwrap_or(true);
    given.finish()?;
    let start = match (last_event_id(headers)?, count, since) {
        (Some(id), _, _) => Start::After(id),
        (None, None, None) => Start::Now,
        (None, count, since) => Start::Last { count: count.unwrap_or(usize::MAX), since },
    };
    Ok(Asked { filter, start, follow })
}

/// What a stream that broke had seen; beats `last` and `since`, which a browser sends again.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| wrong("`Last-Event-ID`: expected the id of an event"))
}

fn too_many() -> Refusal {
    let detail = format!(
        "as many streams of events are open as may be, {EVENT_STREAMS_MAX} in all and 8 of a named token; close one, or try again later"
    );
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooManyStreams, detail).retry_after(RETRY_AFTER_STREAMS)
}

/// One stream.
struct Open {
    who: Who,
    reader: Reader,
    /// It ends with this event.
    until: u64,
    clock: Arc<dyn Clock>,
    begun: bool,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Open {
    /// The next piece of the answer; none at its end.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            return Some(format!("retry: {RECONNECT_AFTER_MS}\n{}", place(self.reader.seen())));
        }
        if self.until != u64::MAX {
            return (self.reader.seen() < self.until).then(|| encoded(&self.reader.look()));
        }
        let Self { reader, clock, who, .. } = self;
        let told = within(&**clock, KEEP_ALIVE_EVERY, reader.next());
        let told = tokio::select! {
            biased;
            () = who.ended(&**clock) => return None,
            told = told => told,
        };
        match told {
            Some(batch) => batch.as_ref().map(encoded),
            // With its place, so that what did not fit is not taken for a gap if the stream breaks.
            None => Some(format!(": nothing happened\n{}", place(self.reader.seen()))),
        }
    }
}

/// An id without an event: where a stream that breaks goes on.
fn place(seen: u64) -> String {
    format!("id: {seen}\n\n")
}

fn encoded(batch: &Batch) -> String {
    let mut text = String::new();
    if let Some(Gap { lost }) = batch.gap {
        let _ = write!(text, "event: gap\ndata: {}\n\n", json!({ "lost": lost }));
    }
    for told in &batch.told {
        // A line that is JSON has no line break in it.
        let line = serde_json::to_string(told).unwrap_or_default();
        let _ = write!(text, "id: {}\ndata: {line}\n\n", told.id);
    }
    text + &place(batch.seen)
}
