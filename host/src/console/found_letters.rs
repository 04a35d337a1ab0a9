//! `/dead-letters` where it is searched: by key, tracked value and time, as messages are. What is found is listed one by one, and chosen from.

use http::StatusCode;
use maud::{Markup, html};

use super::page::{Page, Section, Wrong};
use super::parts::{self, Tone};
use super::{Console, dead_letters, messages, operate};
use crate::admin::Session;
use crate::admin::dead_letters::query;
use crate::admin::parameters::Parameters;
use crate::admin::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::message_store::sqlite::Ledger;
use crate::message_store::sqlite::ledger::DeadLetterPage;

/// What is asked for beside `find`. The same names as in the API.
const NAMES: [&str; 7] = ["key", "track", "integration", "class", "since", "until", "before"];
/// Those that make a search of it; without one of them causes are shown.
const SEARCHED: [&str; 4] = ["key", "track", "since", "until"];

/// What the address asks for, as it was given.
#[derive(Debug, Default)]
pub struct Asked {
    /// A key or a tracked value: whichever it is.
    find: Option<String>,
    given: Vec<(&'static str, String)>,
}

impl Asked {
    /// None where nothing is searched for.
    ///
    /// # Errors
    /// 400 for what is not known.
    pub fn read(given: &Parameters) -> Result<Option<Self>, Refusal> {
        let mut given = given.clone().filled();
        let mut asked = Self { find: given.one("find")?.map(|text| text.trim().to_owned()), ..Self::default() };
        for name in NAMES {
            asked.given.extend(given.one(name)?.map(|value| (name, value.trim().to_owned())));
        }
        if !asked.is_search() {
            return Ok(None);
        }
        given.finish()?;
        Ok(Some(asked))
    }

    fn is_search(&self) -> bool {
        self.find.is_some() || SEARCHED.iter().any(|name| self.value(name).is_some())
    }

    /// Nothing so far, of an integration or a class.
    pub fn within(integration: Option<String>, class: Option<String>) -> Self {
        let given = [("integration", integration), ("class", class)];
        Self { find: None, given: given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect() }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    fn shown_find(&self) -> &str {
        self.find.as_deref().or_else(|| ["key", "track"].iter().find_map(|name| self.value(name))).unwrap_or_default()
    }

    /// The address of the page that starts before `before`; none is the first page.
    fn address(&self, before: Option<i64>) -> String {
        messages::address(Section::DeadLetters, self.find.as_deref(), &self.given, before)
    }
}

/// What is found.
pub async fn page(console: &Console, session: &Session, asked: &Asked) -> Result<Page, Wrong> {
    let now = console.now();
    let (status, found) = match find(&console.api.parts.store.ledger(), asked, now).await {
        Ok(found) => (StatusCode::OK, found_markup(session, asked, &found, now)),
        // A question that is put wrongly is answered below its own fields.
        Err(refusal) if refusal.status.is_client_error() => {
            (refusal.status, parts::banner(Tone::Bad, html! { p { (parts::outside(&refusal.detail)) } }))
        }
        Err(refusal) => return Err(refusal.into()),
    };
    Ok(Page::new(Section::DeadLetters, "Dead letters", html! { (form(asked)) (found) }).status(status))
}

async fn find(ledger: &Ledger, asked: &Asked, now: Timestamp) -> Result<DeadLetterPage, Refusal> {
    let find = asked.find.iter().map(|find| (if find.contains('=') { "track" } else { "key" }, find.clone()));
    let mut given: Vec<(String, String)> = find.map(|(name, value)| (name.to_owned(), value)).collect();
    for (name, value) in &asked.given {
        given.push(((*name).to_owned(), messages::in_figures(name, value, now)?));
    }
    ledger.dead_letters(query(given.into_iter().collect())?).await.map_err(|error| refusal(&error))
}

/// Fields to search by; what else was asked for stays.
pub fn form(asked: &Asked) -> Markup {
    parts::search(
        Section::DeadLetters.path(),
        html! {
            label.wide {
                span { "Key, or tracked value such as order=#1001" }
                input type="search" name="find" value=(asked.shown_find()) data-search autocomplete="off" spellcheck="false";
            }
            (messages::span_of_time(asked.value("since"), asked.value("until")))
            @for name in ["integration", "class"] {
                @if let Some(value) = asked.value(name) { input type="hidden" name=(name) value=(value); }
            }
            div.actions {
                button.primary { "Search" }
                @if asked.is_search() { a.button href=(Section::DeadLetters.path()) { "Clear" } }
            }
        },
    )
}

fn found_markup(session: &Session, asked: &Asked, found: &DeadLetterPage, now: Timestamp) -> Markup {
    let first = asked.value("before").map(|_| asked.address(None));
    let next = found.next.map(|next| asked.address(Some(next.0)));
    let word = if found.searched_to.is_some() { "Search on" } else { "Older" };
    html! {
        @if let Some(integration) = asked.value("integration") { p { "Of " strong { (parts::outside(integration)) } "." } }
        @if found.dead_letters.is_empty() {
            (nothing(asked, found))
        } @else {
            (operate::chosen(session, &asked.address(None), dead_letters::letters_table(&found.dead_letters, true, now)))
        }
        @if let Some(searched_to) = &found.searched_to { (messages::searched_back(searched_to)) }
        (parts::pager(first.as_deref(), next.as_deref().map(|next| (word, next))))
    }
}

fn nothing(asked: &Asked, found: &DeadLetterPage) -> Markup {
    if found.searched_to.is_some() {
        return parts::empty("None so far", html! { p { "Search on, or narrow the time." } });
    }
    if asked.value("before").is_some() {
        return parts::empty("No more of these", html! { p { a href=(asked.address(None)) { "Back to the first page" } } });
    }
    let hint = html! {
        p { "Keys and tracked values are compared whole, with upper and lower case. What was replayed or discarded is found among the messages." }
        p { a href=(Section::DeadLetters.path()) { "All dead letters, by cause" } }
    };
    parts::empty("No open dead letter fits", hint)
}
