//! `/messages`: what came, found by what people know of it. The page's address is the question, so it can be shared.

use std::sync::Arc;

use axum::extract::{Request, State};
use http::StatusCode;
use maud::{Markup, html};

use super::Console;
use super::page::{Page, Section, Wrong};
use super::parts::{self, Tone, column};
use super::words;
use crate::admin::messages::query;
use crate::admin::parameters::{Parameters, wrong};
use crate::admin::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::message::ID_CHARS_SHOWN;
use crate::message::IdPrefix;
use crate::message_store::sqlite::Ledger;
use crate::message_store::sqlite::ledger::{MessagePage, MessageRow, State as Standing};
use crate::moment::Moment;

/// Integrations offered in a list; of more, the name is typed.
const OFFERED_MAX: usize = 50;
/// Tracked values a list shows of a message.
const TRACKED_SHOWN: usize = 3;
/// Characters a list shows of a key or a tracked value.
pub const VALUE_SHOWN: usize = 48;
/// What is asked for beside `find`. The same names as in the API.
const NAMES: [&str; 9] = ["id", "key", "track", "parent", "integration", "outcome", "since", "until", "before"];

/// What the address asks for, as it was given.
#[derive(Debug, Default)]
struct Asked {
    /// An id, a key, or a tracked value: whichever it is.
    find: Option<String>,
    /// Which of them it was taken for.
    meaning: Option<&'static str>,
    given: Vec<(&'static str, String)>,
}

/// `GET /messages`
pub async fn show(State(console): State<Arc<Console>>, request: Request) -> Result<Page, Wrong> {
    let mut asked = Asked::read(Parameters::parse(request.uri().query()))?;
    let now = console.now();
    let (status, found) = match find(&console.api.parts.store.ledger(), &mut asked, now).await {
        Ok(found) => (StatusCode::OK, found_markup(&asked, &found, now)),
        // A question that is put wrongly is answered above its own fields.
        Err(refusal) if refusal.status.is_client_error() => {
            (refusal.status, parts::banner(Tone::Bad, html! { p { (parts::outside(&refusal.detail)) } }))
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let body = html! { (form(&console, &asked)) (found) };
    Ok(Page::new(Section::Messages, "Messages", body).status(status))
}

impl Asked {
    fn read(given: Parameters) -> Result<Self, Refusal> {
        let mut given = given.filled();
        let mut asked = Self { find: given.one("find")?.map(|text| text.trim().to_owned()), ..Self::default() };
        for name in NAMES {
            asked.given.extend(given.one(name)?.map(|value| (name, value.trim().to_owned())));
        }
        given.finish()?;
        Ok(asked)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// What stands in the field to search by.
    fn shown_find(&self) -> &str {
        self.find.as_deref().or_else(|| ["id", "key", "track"].iter().find_map(|name| self.value(name))).unwrap_or_default()
    }

    /// Whether anything but a page is asked for.
    fn is_filtered(&self) -> bool {
        self.find.is_some() || self.given.iter().any(|(name, _)| *name != "before")
    }

    /// The address of the page that starts before `before`; none is the first page.
    fn address(&self, before: Option<i64>) -> String {
        address(Section::Messages, self.find.as_deref(), &self.given, before)
    }
}

/// The address of a search, of its page that starts before `before`.
pub fn address(section: Section, find: Option<&str>, given: &[(&'static str, String)], before: Option<i64>) -> String {
    let before = before.map(|before| before.to_string());
    let given = given.iter().filter(|(name, _)| *name != "before").map(|(name, value)| (*name, value.as_str()));
    let find = find.into_iter().map(|find| ("find", find));
    let fields: Vec<_> = find.chain(given).chain(before.iter().map(|before| ("before", before.as_str()))).collect();
    parts::query(section.path(), &fields)
}

/// What `text` is: a tracked value if it has `=` in it, an id if a message's id starts so, else a key.
async fn meaning(ledger: &Ledger, text: &str) -> Result<&'static str, Refusal> {
    if text.contains('=') {
        return Ok("track");
    }
    let Ok(prefix) = text.parse::<IdPrefix>() else { return Ok("key") };
    let found = ledger.ids_starting(prefix).await.map_err(|error| refusal(&error))?;
    Ok(if found.ids.is_empty() { "key" } else { "id" })
}

async fn find(ledger: &Ledger, asked: &mut Asked, now: Timestamp) -> Result<MessagePage, Refusal> {
    let mut given: Vec<(String, String)> = Vec::new();
    if let Some(find) = &asked.find {
        let meaning = meaning(ledger, find).await?;
        given.push((meaning.to_owned(), find.clone()));
        asked.meaning = Some(meaning);
    }
    for (name, value) in &asked.given {
        given.push(((*name).to_owned(), in_figures(name, value, now)?));
    }
    let query = query(ledger, given.into_iter().collect()).await?;
    ledger.messages(query).await.map_err(|error| refusal(&error))
}

/// The `value` of the field `name`, a time as figures.
///
/// # Errors
/// 400 for what is meant as a time and is none.
pub fn in_figures(name: &str, value: &str, now: Timestamp) -> Result<String, Refusal> {
    if !matches!(name, "since" | "until") {
        return Ok(value.to_owned());
    }
    let moment: Moment = value.parse().map_err(|expected| wrong(format!("`{value}`: {expected}")))?;
    Ok(moment.at(now).0.to_string())
}

/// Fields for a span of time.
pub fn span_of_time(since: Option<&str>, until: Option<&str>) -> Markup {
    html! {
        label {
            span { "Since" }
            input.short type="text" name="since" value=[since] placeholder="24h" list="times" autocomplete="off";
        }
        label {
            span { "Until" }
            input.short type="text" name="until" value=[until] placeholder="2026-03-01 08:00" list="times" autocomplete="off";
        }
        datalist #times { @for time in ["15m", "1h", "24h", "7d"] { option value=(time) {} } }
    }
}

fn form(console: &Console, asked: &Asked) -> Markup {
    let routes = console.api.parts.intake.routes();
    let integrations: Vec<&str> = routes.integrations().map(|integration| integration.name.as_str()).collect();
    let standings: Vec<&str> = Standing::ALL.iter().map(|state| state.as_str()).collect();
    parts::search(
        Section::Messages.path(),
        html! {
            label.wide {
                span { "Id, key, or tracked value such as order=#1001" }
                input type="search" name="find" value=(asked.shown_find()) data-search autocomplete="off" spellcheck="false";
            }
            label {
                span { "Integration" }
                @if integrations.len() > OFFERED_MAX {
                    input type="text" name="integration" value=[asked.value("integration")] autocomplete="off" spellcheck="false";
                } @else {
                    (select("integration", &integrations, asked.value("integration")))
                }
            }
            label { span { "Outcome" } (select("outcome", &standings, asked.value("outcome"))) }
            (span_of_time(asked.value("since"), asked.value("until")))
            @if let Some(parent) = asked.value("parent") { input type="hidden" name="parent" value=(parent); }
            div.actions {
                button.primary { "Search" }
                @if asked.is_filtered() { a.button href=(Section::Messages.path()) { "Clear" } }
            }
        },
    )
}

/// One of `words`, or any. What was asked for is offered even if it is none of them.
fn select(name: &str, words: &[&str], chosen: Option<&str>) -> Markup {
    let other = chosen.filter(|chosen| !words.contains(chosen));
    html! {
        select name=(name) {
            option value="" { "any" }
            @for word in words.iter().copied().chain(other) {
                option value=(word) selected[chosen == Some(word)] { (word) }
            }
        }
    }
}

fn found_markup(asked: &Asked, found: &MessagePage, now: Timestamp) -> Markup {
    let first = asked.value("before").map(|_| asked.address(None));
    let next = found.next.map(|next| asked.address(Some(next)));
    let word = if found.searched_to.is_some() { "Search on" } else { "Older" };
    html! {
        @if let Some(parent) = asked.value("parent") {
            p { "Made of message " a.mono href=(format!("/messages/{parent}")) { (parts::outside(parent)) } "." }
        }
        @if found.messages.is_empty() { (nothing(asked, found)) } @else { (table(&found.messages, now)) }
        @if let Some(searched_to) = &found.searched_to { (searched_back(searched_to)) }
        (parts::pager(first.as_deref(), next.as_deref().map(|next| (word, next))))
    }
}

/// How far a search came.
pub fn searched_back(to: &str) -> Markup {
    html! {
        p.muted role="status" {
            "Searched back to " (parts::stamp(to, &crate::moment::long(to)))
            ". What is asked for is rare among many; the search goes on where it stopped."
        }
    }
}

/// Why there is nothing here, and what to do next.
fn nothing(asked: &Asked, found: &MessagePage) -> Markup {
    if found.searched_to.is_some() {
        return parts::empty(
            "None so far",
            html! { p { "Search on, or narrow the time: " code { "since" } " and " code { "until" } "." } },
        );
    }
    if asked.value("before").is_some() {
        let first = asked.address(None);
        return parts::empty("No more messages", html! { p { "That was the last page. " a href=(first) { "Back to the first" } "." } });
    }
    if asked.is_filtered() {
        let hint = html! {
            @if asked.meaning == Some("key") { p { "It was looked for as a key: no id starts so, and it is no name=value." } }
            p { "Ids are found by their first 8 digits or more; keys and tracked values are compared whole, with upper and lower case." }
            p { a href=(Section::Messages.path()) { "All messages" } }
        };
        return parts::empty("No message fits", hint);
    }
    let hint = html! {
        p { "Messages come through the integrations' sources. To put one in by hand:" }
        pre { code { "lockgate send INTEGRATION FILE" } }
    };
    parts::empty("No messages yet", hint)
}

/// Messages in a list.
pub fn table(messages: &[MessageRow], now: Timestamp) -> Markup {
    let columns = [column("Message"), column("Accepted"), column("Known as"), column("From"), column("Outcome")];
    let row = |message: &MessageRow| {
        let id = message.id.to_string();
        parts::Row::new(vec![
            html! { a.mono href=(format!("/messages/{id}")) title=(id) { (short(&id)) } },
            html! { (accepted(&message.accepted_at, now)) },
            known_as(message),
            html! { span.words { (parts::outside(&message.origin)) } },
            standings(message),
        ])
        .tone(worst(message))
    };
    parts::table("Messages, newest first", &columns, &messages.iter().map(row).collect::<Vec<_>>())
}

/// The beginning of an id.
pub fn short(id: &str) -> &str {
    id.get(..ID_CHARS_SHOWN).unwrap_or(id)
}

/// The key and the tracked values, of which a list has room for a few.
fn known_as(message: &MessageRow) -> Markup {
    html! {
        ul.known {
            @if let Some(key) = &message.key { li.mono { (parts::beginning(key, VALUE_SHOWN)) } }
            @for tracked in message.tracked.iter().take(TRACKED_SHOWN) { li.mono { (parts::beginning(&format!("{}={}", tracked.name, tracked.value), VALUE_SHOWN)) } }
        }
    }
}

fn accepted(time: &str, now: Timestamp) -> Markup {
    crate::moment::parsed(time).map_or_else(|| html! { (time) }, |at| parts::ago(at, now))
}

/// How a message stands with each integration that reads it.
pub fn standings(message: &MessageRow) -> Markup {
    html! {
        ul.standings {
            @for standing in &message.integrations {
                li { (words::integration(&standing.integration)) " " (words::standing(standing)) }
            }
        }
    }
}

fn worst(message: &MessageRow) -> Tone {
    let tones = || message.integrations.iter().map(|standing| words::tone_of(standing.state));
    [Tone::Bad, Tone::Warn].into_iter().find(|bad| tones().any(|tone| tone == *bad)).unwrap_or(Tone::Plain)
}
