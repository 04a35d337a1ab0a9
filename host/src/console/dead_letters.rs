//! `/dead-letters`: open dead letters by cause; `/dead-letters/{fingerprint}`: those of one cause, to be chosen from.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::uri::PathAndQuery;
use http::{StatusCode, header};
use maud::{Markup, html};

use super::access::SignedIn;
use super::live::{self, View};
use super::page::{Page, Section, Wrong};
use super::parts::{self, column, figures};
use super::{Console, found_letters, messages, operate, words};
use crate::admin::Session;
use crate::admin::dead_letters::{group_query, query};
use crate::admin::parameters::{Parameters, named};
use crate::admin::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::message_store::DeadLetterId;
use crate::message_store::sqlite::ledger::{DeadLetterGroupRow, DeadLetterPage, DeadLetterRow, GroupPage, GroupQuery};
use crate::moment;
use crate::printable::on_one_line;

/// Digits of a fingerprint. A shorter number is the id of one dead letter.
const FINGERPRINT_DIGITS: usize = 16;

/// `GET /dead-letters`; `integration`: only its. Where it is searched: see `found_letters`.
pub async fn causes(State(console): State<Arc<Console>>, SignedIn(session): SignedIn, request: Request) -> Result<Page, Wrong> {
    if let Some(asked) = found_letters::Asked::read(&Parameters::parse(request.uri().query()))? {
        return found_letters::page(&console, &session, &asked).await;
    }
    let causes = Causes::asked(&request)?;
    let path = format!("/live{}", request.uri().path_and_query().map_or(Section::DeadLetters.path(), PathAndQuery::as_str));
    // Above what keeps up, which would take from under somebody's hands what they type.
    let body = html! { (found_letters::form(&causes.search())) (live::region(&path, causes.now(&console).await?)) };
    Ok(Page::new(Section::DeadLetters, "Dead letters", body))
}

/// `GET /live/dead-letters`
pub async fn watch(State(console): State<Arc<Console>>, SignedIn(session): SignedIn, request: Request) -> Result<Response, Wrong> {
    live::stream(console, session, Causes::asked(&request)?).await
}

/// Causes, as they are asked for.
struct Causes(GroupQuery);

impl Causes {
    fn asked(request: &Request) -> Result<Self, Refusal> {
        Ok(Self(group_query(Parameters::parse(request.uri().query()).filled())?))
    }

    /// What a search begins with here.
    fn search(&self) -> found_letters::Asked {
        found_letters::Asked::within(self.0.integration.clone(), self.0.class.map(|class| class.to_string()))
    }
}

impl View for Causes {
    async fn now(&self, console: &Console) -> Result<Markup, Wrong> {
        let Self(query) = self;
        let found = console.api.parts.store.ledger().dead_letter_groups(query.clone()).await.map_err(|error| refusal(&error))?;
        Ok(html! {
            @if let Some(integration) = &query.integration {
                p { "Of " strong { (parts::outside(integration)) } ". " a href=(Section::DeadLetters.path()) { "Of all integrations" } }
            }
            @if found.groups.is_empty() { (no_causes(query)) } @else { (table(&found.groups, console.now())) }
            (pager(query, &found))
        })
    }
}

fn no_causes(query: &GroupQuery) -> Markup {
    if query.before.is_some() {
        return parts::empty("No more causes", html! { p { a href=(Section::DeadLetters.path()) { "Back to the first page" } } });
    }
    let hint = html! { p { "What cannot be delivered is parked here, grouped by its cause, until somebody replays or discards it." } };
    parts::empty("No dead letters", hint)
}

fn pager(query: &GroupQuery, found: &GroupPage) -> Markup {
    let class = query.class.map(|class| class.to_string()).unwrap_or_default();
    let address = |before: &str| {
        let fields = [("integration", query.integration.as_deref().unwrap_or_default()), ("class", &class), ("before", before)];
        parts::query(Section::DeadLetters.path(), &fields)
    };
    let first = query.before.as_ref().map(|_| address(""));
    let next = found.next.as_ref().map(|next| address(&next.to_string()));
    parts::pager(first.as_deref(), next.as_deref().map(|next| ("Smaller ones", next)))
}

/// Causes in a list.
pub fn table(groups: &[DeadLetterGroupRow], now: Timestamp) -> Markup {
    let columns = [column("For example"), column("Integration"), figures("Count"), column("Last"), column("First")];
    let row = |group: &DeadLetterGroupRow| {
        parts::Row::new(vec![
            html! {
                a.cause href=(format!("/dead-letters/{}", group.fingerprint)) { (parts::outside(&group.example_detail)) }
                p.small.muted { (group.class) @if group.code != group.class.as_str() { " · " (parts::outside(&group.code)) } }
            },
            words::integration(&group.integration),
            html! { (parts::number(group.count)) },
            ago(&group.last_at, now),
            ago(&group.first_at, now),
        ])
        .id(format!("cause-{}", group.fingerprint))
    };
    parts::table("Dead letters by cause, most first", &columns, &groups.iter().map(row).collect::<Vec<_>>())
}

fn ago(time: &str, now: Timestamp) -> Markup {
    moment::parsed(time).map_or_else(|| html! { (time) }, |at| parts::ago(at, now))
}

/// `GET /dead-letters/{cause}`: a fingerprint; or the id of a dead letter, which leads to its message.
pub async fn of_cause(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    cause: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Wrong> {
    let cause = named(cause)?;
    if let Ok(id) = cause.parse::<i64>()
        && cause.len() < FINGERPRINT_DIGITS
    {
        return to_message(&console, DeadLetterId(id)).await;
    }
    let mut query = query(Parameters::parse(request.uri().query()).filled())?;
    query.fingerprint = Some(cause.clone());
    let first_page = query.beyond.is_none();
    let ledger = console.api.parts.store.ledger();
    let letters = ledger.dead_letters(query).await.map_err(|error| refusal(&error))?;
    let group = GroupQuery { fingerprint: Some(cause.clone()), ..GroupQuery::default() };
    let group = ledger.dead_letter_groups(group).await.map_err(|error| refusal(&error))?.groups.pop();
    let Some(group) = group else { return Err(gone(&cause)) };
    let body = cause_markup(&session, &group, &letters, first_page, console.now());
    Ok(Page::new(Section::DeadLetters, on_one_line(&group.code), body).into_response())
}

async fn to_message(console: &Console, id: DeadLetterId) -> Result<Response, Wrong> {
    let found = console.api.parts.store.ledger().dead_letter(id).await.map_err(|error| refusal(&error))?;
    let letter = found.ok_or_else(|| Wrong::not_found(format!("There is no dead letter {}.", id.0)).next(to_open_ones()))?;
    let location = format!("/messages/{}#dead-letter-{}", letter.message, letter.id.0);
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

fn gone(cause: &str) -> Wrong {
    let detail = format!("No open dead letter has the cause {cause}. Those it had were replayed or discarded, or it never had any.");
    Wrong::not_found(detail).next(to_open_ones())
}

fn to_open_ones() -> Markup {
    html! { p { a href=(Section::DeadLetters.path()) { "Dead letters that are open" } } }
}

fn cause_markup(session: &Session, group: &DeadLetterGroupRow, letters: &DeadLetterPage, first_page: bool, now: Timestamp) -> Markup {
    let here = format!("/dead-letters/{}", group.fingerprint);
    let next = letters.next.map(|next| format!("{here}?before={}", next.0));
    let first = (!first_page).then_some(here.as_str());
    html! {
        p.lead { (parts::outside(&group.example_detail)) }
        (parts::facts(&[
            ("Open", html! { (parts::number(group.count)) }),
            ("Integration", words::integration(&group.integration)),
            ("Class", html! { (group.class) }),
            ("Last", ago(&group.last_at, now)),
            ("First", ago(&group.first_at, now)),
            ("Fingerprint", html! { span.mono { (group.fingerprint) } }),
        ]))
        p { strong { "What to do: " } (words::remedy(group.class)) }
        (operate::all(session, group))
        @if letters.dead_letters.is_empty() {
            (parts::empty("No more of this cause", html! { p { a href=(here) { "Back to the first page" } } }))
        } @else {
            (operate::chosen(session, &here, letters_table(&letters.dead_letters, false, now)))
        }
        (parts::pager(first, next.as_deref().map(|next| ("Older", next))))
    }
}

/// Dead letters to be ticked; `of_many`: of more than one cause.
pub fn letters_table(letters: &[DeadLetterRow], of_many: bool, now: Timestamp) -> Markup {
    let mut columns = vec![column("Dead letter"), column("Message"), column("Key"), column("Died"), column("Why"), figures("Attempts")];
    if of_many {
        columns.push(column("Integration"));
    }
    let row = |letter: &DeadLetterRow| {
        let message = letter.message.to_string();
        let mut cells = vec![
            html! { label { input type="checkbox" name="id" value=(letter.id.0); " " (letter.id.0) } },
            html! { a.mono href=(format!("/messages/{message}")) title=(message) { (messages::short(&message)) } },
            html! { @if let Some(lane) = &letter.lane { span.mono { (parts::beginning(lane, messages::VALUE_SHOWN)) } } },
            ago(&letter.died_at, now),
            html! { (parts::outside(&letter.detail)) @if letter.replay > 0 { span.muted { " · at replay " (letter.replay) } } },
            html! { (parts::number(letter.attempts)) },
        ];
        if of_many {
            cells.push(words::integration(&letter.integration));
        }
        parts::Row::new(cells)
    };
    let title = if of_many { "Dead letters, newest first" } else { "Dead letters of this cause, newest first" };
    parts::table(title, &columns, &letters.iter().map(row).collect::<Vec<_>>())
}
