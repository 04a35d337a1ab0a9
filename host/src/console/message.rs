//! `/messages/{id}`: one message, all that happened to it, and what came beside what was sent.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};

use super::access::SignedIn;
use super::page::{Page, Section, Wrong};
use super::story::{Story, last_sent};
use super::{Console, bodies, history, live, messages, parts, words};
use crate::admin::messages::the_one;
use crate::admin::parameters::{Parameters, named};
use crate::admin::store_refusal::refusal;
use crate::ingress::answer::Refusal;
use crate::message_store::AttemptId;
use crate::message_store::sqlite::Ledger;
use crate::message_store::sqlite::ledger::{AttemptRow, ExchangeRow, Timeline, TimelineQuery};
use crate::moment;
use crate::problem::Code;

/// `GET /messages/{id}`; `attempt`: whose bodies are shown; `attempts-before`: earlier attempts.
pub async fn show(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Wrong> {
    let mut given = Parameters::parse(request.uri().query()).filled();
    let chosen = given.read("attempt", "the number of an attempt")?.map(AttemptId);
    let attempts_before = given.read("attempts-before", "the number of an attempt")?.map(AttemptId);
    given.finish()?;
    let text = named(id)?;
    let ledger = console.api.parts.store.ledger();
    let id = match the_one(&ledger, &text).await {
        Ok(id) => id,
        Err(refusal) if refusal.code == Code::Ambiguous => return Ok(to_all_that_start_so(&text)),
        Err(refusal) => return Err(unknown(refusal)),
    };
    let query = TimelineQuery { attempts_before, ..TimelineQuery::of(id) };
    let found = ledger.message(query).await.map_err(|error| refusal(&error))?;
    let timeline = found.ok_or_else(|| unknown(missing(&text)))?;
    let sent = sent(&ledger, &timeline, chosen).await?;
    let story = Story {
        session,
        id: timeline.message.id,
        attempts_before,
        shown: sent.as_ref().map(|(row, _)| row.id),
        seen: last_sent(&timeline),
    };
    let body = html! {
        (live::region(&story.path(), story.told(&timeline, &console)))
        (both_sides(&timeline, sent.as_ref()))
        (headers(&timeline))
    };
    let title = format!("Message {}", messages::short(&timeline.message.id.to_string()));
    Ok(Page::new(Section::Messages, title, body).into_response())
}

pub fn missing(text: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("There is no message {text}."))
}

pub fn unknown(refusal: Refusal) -> Wrong {
    Wrong::from(refusal).next(html! {
        p { "An id has 32 digits; its first 8 or more will do. " a href=(Section::Messages.path()) { "Search messages" } " by key or tracked value." }
    })
}

/// The ids have the same beginning: the list shows them.
fn to_all_that_start_so(text: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, parts::query(Section::Messages.path(), &[("id", text)]))]).into_response()
}

/// `GET /messages/{id}/body`: all of it, as a file: no browser is to show it.
pub async fn download(State(console): State<Arc<Console>>, id: Result<Path<String>, PathRejection>) -> Result<Response, Wrong> {
    let text = named(id)?;
    let ledger = console.api.parts.store.ledger();
    let id = the_one(&ledger, &text).await.map_err(unknown)?;
    let (_, body) = ledger.body(id).await.map_err(|error| refusal(&error))?.ok_or_else(|| unknown(missing(&text)))?;
    let name = HeaderValue::from_str(&format!("attachment; filename=\"message-{id}.bin\""));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // An id is hexadecimal digits and hyphens: always a header value.
    headers.insert(header::CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment")));
    Ok(response)
}

/// `GET /live/messages/{id}`: the [`Story`] of a page; what was sent stands still, and is not sent again every second.
pub async fn watch(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Wrong> {
    let id = the_one(&console.api.parts.store.ledger(), &named(id)?).await.map_err(unknown)?;
    let story = Story::read(session, id, Parameters::parse(request.uri().query()))?;
    live::stream(console, story.session.clone(), story).await
}

/// The attempt whose bodies are shown, and those.
type Sent<'t> = (&'t AttemptRow, Vec<ExchangeRow>);

/// What `chosen` sent; if none is chosen, the last attempt that sent anything.
async fn sent<'t>(ledger: &Ledger, timeline: &'t Timeline, chosen: Option<AttemptId>) -> Result<Option<Sent<'t>>, Refusal> {
    let shown = chosen.or(last_sent(timeline));
    let Some(attempt) = timeline.attempts.iter().find(|row| Some(row.id) == shown) else { return Ok(None) };
    let exchanges = ledger.exchanges(timeline.message.id, attempt.id).await.map_err(|error| refusal(&error))?;
    Ok(Some((attempt, exchanges.unwrap_or_default())))
}

/// What came, and what an attempt sent, side by side.
fn both_sides(timeline: &Timeline, sent: Option<&Sent<'_>>) -> Markup {
    let message = &timeline.message;
    let came = bodies::Shown {
        content_type: Some(&message.content_type),
        body: &timeline.body,
        bytes: message.body_bytes,
        truncated: timeline.body_truncated,
    };
    html! {
        div.sides #bodies {
            section {
                h2 { "What came" }
                (bodies::shown(came, &bodies::download(&message.id.to_string(), message.body_bytes)))
            }
            section {
                h2 { "What was sent" }
                @match sent {
                    Some((attempt, exchanges)) => (what_was_sent(timeline, attempt, exchanges)),
                    None => p.muted { (why_nothing_was_sent(timeline)) },
                }
            }
        }
    }
}

fn why_nothing_was_sent(timeline: &Timeline) -> &'static str {
    match (timeline.attempts.is_empty(), timeline.children.is_empty()) {
        (true, _) if timeline.waiting.is_empty() => "No attempt was made.",
        (true, _) => "No attempt was made yet.",
        (false, false) => "It was made into other messages; what was sent stands with them.",
        (false, true) => "No attempt sent a request.",
    }
}

fn what_was_sent(timeline: &Timeline, attempt: &AttemptRow, exchanges: &[ExchangeRow]) -> Markup {
    let others: Vec<&AttemptRow> = timeline.attempts.iter().filter(|row| row.id != attempt.id && history::has_requests(row)).collect();
    let shown_at = moment::beside(&attempt.started_at, &timeline.message.accepted_at);
    html! {
        p {
            "By the attempt of " (parts::stamp(&attempt.started_at, &shown_at)) " in " (parts::outside(&attempt.integration)) " " (words::result(&attempt.result))
            @if attempt.times > 1 { span.muted { " · the last of " (parts::number(attempt.times)) " times" } }
        }
        @if !others.is_empty() {
            details.others {
                summary { "Other attempts that sent requests: " (parts::number(u64::try_from(others.len()).unwrap_or(u64::MAX))) }
                ul {
                    @for other in others {
                        li {
                            a href=(history::bodies_address(timeline, other.id)) { (moment::beside(&other.started_at, &timeline.message.accepted_at)) }
                            " in " (parts::outside(&other.integration)) " " (words::result(&other.result))
                        }
                    }
                }
            }
        }
        @for (index, request) in history::requests(attempt).enumerate() {
            article.exchange {
                (history::request(request))
                @match exchanges.get(index) {
                    Some(exchange) => (bodies::exchange(exchange)),
                    None => p.muted { "Its bodies were not kept: it was sent by an earlier version of Lockgate." },
                }
            }
        }
        @if !history::has_requests(attempt) { p.muted { "This attempt sent no request." } }
    }
}

fn headers(timeline: &Timeline) -> Markup {
    html! {
        @if !timeline.headers.0.is_empty() {
            details.section {
                summary { "Headers it came with" }
                dl.headers {
                    @for (name, value) in &timeline.headers.0 { div { dt.mono { (parts::outside(name)) } dd.mono { (parts::outside(value)) } } }
                }
            }
        }
    }
}
