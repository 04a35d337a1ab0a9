//! Pages that change under the reader's eyes: a region of a page is rendered again and sent as a server-sent event (HTML
//! Standard, section 9.2) when it is another than before. The page without scripts is the same, and stands still.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};
use tokio_util::sync::CancellationToken;

use super::Console;
use super::page::Wrong;
use crate::admin::Session;
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::problem::Code;

/// A region is rendered this often.
const EVERY: Duration = Duration::from_secs(1);
/// A region that does not change is said to be up to date this often. As an event and not as a comment, since a page is not told of
/// comments: by their absence it knows that a connection is dead which nobody closed.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// Streams at once; each is a connection and a page rendered every second.
const STREAMS_MAX: usize = 64;
/// Streams of one session. A browser opens six connections to a host at most, and hidden pages let theirs go.
const STREAMS_PER_SESSION_MAX: usize = 6;
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The streams that are open.
#[derive(Debug, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<[u8; 32], usize>>>,
    ended: CancellationToken,
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Place {
    open: Arc<Mutex<HashMap<[u8; 32], usize>>>,
    session: [u8; 32],
}

impl Streams {
    /// All of them end, and so does any that is opened from now on: the host goes down and does not wait for who looks on.
    pub fn end(&self) {
        self.ended.cancel();
    }

    fn take_place(&self, session: &Session) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.entry(session.id()).or_default();
        if all >= STREAMS_MAX || *own >= STREAMS_PER_SESSION_MAX {
            return None;
        }
        *own += 1;
        Some(Place { open: self.open.clone(), session: session.id() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.session) {
            *own = own.saturating_sub(1);
        }
        open.retain(|_, own| *own > 0);
    }
}

/// What a region shows, looked at again and again.
pub trait View: Send + Sync + 'static {
    fn now(&self, console: &Console) -> impl Future<Output = Result<Markup, Wrong>> + Send;
}

/// The region of a page that `path` keeps up to date; at most one in a page.
pub fn region(path: &str, now: Markup) -> Markup {
    html! { div.region #region data-live=(path) { (now) } }
}

/// Answers for the path of a [`region`].
///
/// # Errors
/// What is wrong with the first look; 503 where as many streams are open as may be.
pub async fn stream(console: Arc<Console>, session: Session, view: impl View) -> Result<Response, Wrong> {
    let place = console.streams.take_place(&session).ok_or_else(too_many)?;
    let first = Some(view.now(&console).await?);
    let watch = Watch { console, session, view, first, shown: None, said_at: None, _place: place };
    let body = Body::from_stream(stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(event)), watch))
    }));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

fn too_many() -> Refusal {
    let detail = format!("{STREAMS_PER_SESSION_MAX} live pages of one session are open, or {STREAMS_MAX} in all. Close one.");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooManyStreams, detail).retry_after(RETRY_AFTER)
}

/// One reader of one region.
struct Watch<V> {
    console: Arc<Console>,
    session: Session,
    view: V,
    /// The first look, until it is sent.
    first: Option<Markup>,
    shown: Option<String>,
    said_at: Option<Timestamp>,
    _place: Place,
}

impl<V: View> Watch<V> {
    /// The next event; none when the session or the host ends.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.said_at.is_some() {
                let pause = self.console.api.parts.clock.sleep(EVERY);
                self.console.streams.ended.run_until_cancelled(pause).await?;
            }
            if self.console.streams.ended.is_cancelled() || !self.console.api.parts.sessions.lasts(&self.session) {
                return None;
            }
            let looked = match self.first.take() {
                Some(first) => Ok(first),
                None => self.view.now(&self.console).await,
            };
            let now = self.console.now();
            if let Some(event) = self.event(looked, now) {
                self.said_at = Some(now);
                return Some(event);
            }
        }
    }

    fn event(&mut self, looked: Result<Markup, Wrong>, now: Timestamp) -> Option<String> {
        match looked {
            Ok(markup) => {
                let html = markup.into_string();
                if self.shown.as_ref() != Some(&html) {
                    let event = event("page", &html, now);
                    self.shown = Some(html);
                    return Some(event);
                }
                let silent = self.said_at.is_none_or(|at| now.since(at) >= ALIVE_EVERY);
                silent.then(|| event("alive", "", now))
            }
            // Told once, and again whenever what is shown would have been said to be up to date.
            Err(wrong) => {
                let silent = self.shown.take().is_some() || self.said_at.is_none_or(|at| now.since(at) >= ALIVE_EVERY);
                silent.then(|| event("wrong", wrong.detail(), now))
            }
        }
    }
}

/// One event, its time as its id. A carriage return would end a line too.
fn event(name: &str, data: &str, at: Timestamp) -> String {
    let mut event = format!("event: {name}\nid: {at}\n");
    for line in data.replace('\r', "&#13;").split('\n') {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_a_text_with_line_breaks_as_one_event() {
        let event = event("page", "a\nb\rid: 7\n\nevent: x", Timestamp(0));
        assert_eq!(event, "event: page\nid: 1970-01-01T00:00:00.000Z\ndata: a\ndata: b&#13;id: 7\ndata: \ndata: event: x\n\n");
    }
}
