//! `/audit`: who changed what, newest first. The page's address is the question.

use std::sync::Arc;

use axum::extract::{Request, State};
use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::Console;
use super::messages::{address, in_figures, span_of_time};
use super::page::{Page, Section, Wrong};
use super::parts::{self, Row, Tone, column};
use crate::admin::audit::query;
use crate::admin::parameters::Parameters;
use crate::admin::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::message_store::audit::Came;
use crate::message_store::sqlite::{AuditPage, AuditRow};
use crate::moment;

/// Characters shown of what was before and after; all of it is there for who rests on it.
const VALUE_SHOWN: usize = 160;
/// The same names as in the API.
const NAMES: [&str; 4] = ["who", "since", "until", "before"];

/// What the address asks for, as it was given.
type Asked = Vec<(&'static str, String)>;

/// `GET /audit`
pub async fn show(State(console): State<Arc<Console>>, request: Request) -> Result<Page, Wrong> {
    let asked = read(Parameters::parse(request.uri().query()))?;
    let now = console.now();
    let (status, found) = match find(&console, &asked, now).await {
        Ok(found) => (StatusCode::OK, found_markup(&asked, &found, now)),
        // A question that is put wrongly is answered below its own fields.
        Err(refusal) if refusal.status.is_client_error() => {
            (refusal.status, parts::banner(Tone::Bad, html! { p { (parts::outside(&refusal.detail)) } }))
        }
        Err(refusal) => return Err(refusal.into()),
    };
    Ok(Page::new(Section::Audit, "Audit trail", html! { (form(&asked)) (found) }).status(status))
}

fn read(given: Parameters) -> Result<Asked, Refusal> {
    let mut given = given.filled();
    let mut asked = Asked::new();
    for name in NAMES {
        asked.extend(given.one(name)?.map(|value| (name, value.trim().to_owned())));
    }
    given.finish()?;
    Ok(asked)
}

fn value<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
}

async fn find(console: &Console, asked: &Asked, now: Timestamp) -> Result<AuditPage, Refusal> {
    let mut given: Vec<(String, String)> = Vec::new();
    for (name, value) in asked {
        given.push(((*name).to_owned(), in_figures(name, value, now)?));
    }
    let query = query(given.into_iter().collect())?;
    console.api.parts.store.audit().page(query).await.map_err(|error| refusal(&error))
}

fn form(asked: &Asked) -> Markup {
    parts::search(
        Section::Audit.path(),
        html! {
            label.wide {
                span { "Who: the name of a token, or local" }
                input type="search" name="who" value=[value(asked, "who")] data-search autocomplete="off" spellcheck="false";
            }
            (span_of_time(value(asked, "since"), value(asked, "until")))
            div.actions {
                button.primary { "Search" }
                @if !asked.is_empty() { a.button href=(Section::Audit.path()) { "Clear" } }
            }
        },
    )
}

fn found_markup(asked: &Asked, found: &AuditPage, now: Timestamp) -> Markup {
    let first = value(asked, "before").map(|_| address(Section::Audit, None, asked, None));
    let next = found.next.map(|next| address(Section::Audit, None, asked, Some(next)));
    html! {
        @if found.entries.is_empty() {
            (parts::empty("No entry fits", html! { p { "Every change that somebody makes is entered here, for good." } }))
        } @else {
            (table(&found.entries, now))
        }
        (parts::pager(first.as_deref(), next.as_deref().map(|next| ("Older", next))))
        p.muted { "Whether the entries are those that were written: " code { "lockgate audit verify" } }
    }
}

fn table(entries: &[AuditRow], now: Timestamp) -> Markup {
    let columns = [column("Entry"), column("When"), column("Who"), column("What"), column("To"), column("Was"), column("Is")];
    let side = |value: &Option<Value>| {
        html! { @match value { Some(value) => span.mono { (parts::beginning(&value.to_string(), VALUE_SHOWN)) }, None => (parts::none()) } }
    };
    let row = |entry: &AuditRow| {
        let when = moment::parsed(&entry.at).map_or_else(|| parts::outside(&entry.at), |at| parts::ago(at, now));
        let cells = vec![
            html! { span title=(entry.hash) { (entry.seq) } },
            when,
            html! { (parts::outside(&entry.who)) span.muted { " · " (parts::outside(&entry.way)) } },
            html! { (parts::outside(&entry.act)) @if entry.came != Came::Done.as_str() { span.muted { " · " (parts::outside(&entry.came)) } } },
            parts::outside(&entry.subject),
            side(&entry.before),
            side(&entry.after),
        ];
        let stands_out = entry.came == Came::Refused.as_str() || entry.came == Came::Failed.as_str();
        Row::new(cells).tone(if stands_out { Tone::Warn } else { Tone::Plain })
    };
    parts::table("Entries, newest first", &columns, &entries.iter().map(row).collect::<Vec<_>>())
}
