//! `/aliases` and one of them: endpoints, how they stand, and all that hangs on each.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use maud::{Markup, html};

use super::Console;
use super::access::{Form, SignedIn};
use super::page::{Page, Section, Wrong};
use super::parts::{self, Column, Row, Tone, column, counted, figures, number};
use super::{integration, live, overview, standing};
use crate::admin::overview::{AliasOverview, IntegrationOverview, Overview};
use crate::admin::parameters::{Parameters, named};
use crate::admin::{Role, Session, test_alias};
use crate::alias::AliasTest;
use crate::clock::Timestamp;

/// Integrations shown with an alias; the overview has all of them.
const HANGING_SHOWN: usize = 50;

/// Of [`row`].
pub const COLUMNS: [Column; 5] = [column("Alias"), column("State"), column("For"), figures("Integrations"), figures("Waiting")];

/// Where an alias is shown.
pub fn path(name: &str) -> String {
    format!("/aliases/{}", parts::part_of_path(name))
}

/// An alias in a table.
pub fn row(alias: &AliasOverview, now: Timestamp) -> Row {
    let status = &alias.status;
    let tone = standing::alias_tone(alias);
    let cells = vec![
        html! { a href=(path(&status.name)) { (status.name) } },
        html! {
            (parts::badge(tone, status.state))
            @if let Some(detail) = &status.detail { span.reason { (parts::outside(detail)) } }
        },
        parts::elapsed(status.since, now),
        parts::many(alias.integrations.len() as u64),
        html! { @if alias.is_healthy() { (parts::none()) } @else { (number(alias.waiting)) } },
    ];
    Row::new(cells).id(format!("alias-{}", status.name)).tone(if alias.is_healthy() { Tone::Plain } else { tone })
}

/// `GET /aliases`
pub async fn list(State(console): State<Arc<Console>>, request: Request) -> Result<Page, Wrong> {
    Parameters::parse(request.uri().query()).finish()?;
    let body = live::region("/live/aliases", all(&console).await?);
    Ok(Page::new(Section::Aliases, "Aliases", body))
}

/// `GET /live/aliases`
pub async fn watch_list(State(console): State<Arc<Console>>, SignedIn(session): SignedIn) -> Result<Response, Wrong> {
    live::stream(console, session, All).await
}

/// [`all`].
struct All;

impl live::View for All {
    async fn now(&self, console: &Console) -> Result<Markup, Wrong> {
        all(console).await
    }
}

async fn all(console: &Console) -> Result<Markup, Wrong> {
    let overview = console.overview().await?;
    if overview.aliases.is_empty() {
        return Ok(parts::empty(
            "This environment has no alias",
            html! {
                p { "An alias is a name for an endpoint and how to authenticate there: " code { "[alias.NAME]" } " in " code { "environments/ENV.toml" } "." }
            },
        ));
    }
    let rows: Vec<Row> = standing::worst_aliases_first(&overview).into_iter().map(|alias| row(alias, overview.at)).collect();
    Ok(parts::table("Aliases, those that are not healthy first", &COLUMNS, &rows))
}

/// `GET /aliases/{name}`
pub async fn show(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    name: Result<Path<String>, PathRejection>,
) -> Result<Page, Wrong> {
    page(&console, &session, &named(name)?, None).await
}

/// `GET /live/aliases/{name}`
pub async fn watch(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Wrong> {
    live::stream(console, session, One(named(name)?)).await
}

/// [`one`], of that name.
struct One(String);

impl live::View for One {
    async fn now(&self, console: &Console) -> Result<Markup, Wrong> {
        one(console, &self.0).await
    }
}

/// `POST /aliases/{name}/test`: the page again, with what was found.
pub async fn test(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    name: Result<Path<String>, PathRejection>,
    Form(fields): Form,
) -> Result<Page, Wrong> {
    fields.finish()?;
    let name = named(name)?;
    let test = test_alias(&console.api.parts, &name, session.who()).await?;
    page(&console, &session, &name, Some(&test)).await
}

async fn page(console: &Console, session: &Session, name: &str, test: Option<&AliasTest>) -> Result<Page, Wrong> {
    let shown = one(console, name).await?;
    let ask = parts::form(session, &format!("{}/test", path(name)), html! { button { "Test now" } });
    let body = html! {
        @if let Some(test) = test { (found(test)) }
        (live::region(&format!("/live{}", path(name)), shown))
    };
    let page = Page::new(Section::Aliases, format!("Alias {name}"), body);
    Ok(if session.may(Role::Operator) { page.tools(ask) } else { page })
}

fn found(test: &AliasTest) -> Markup {
    let (tone, standing) = match (test.reachable, test.authenticated) {
        (None, _) => (Tone::Warn, "Not asked"),
        (Some(false), _) => (Tone::Bad, "No answer"),
        (Some(true), Some(true)) => (Tone::Good, "Answers, and takes the credential"),
        (Some(true), Some(false)) => (Tone::Bad, "Answers, and refuses the credential"),
        (Some(true), None) => (Tone::Good, "Answers; it says nothing about the credential"),
    };
    parts::banner(tone, html! { p { strong { (standing) } " (" (parts::outside(&test.detail)) ", " (test.took_ms) " ms)" } })
}

async fn one(console: &Console, name: &str) -> Result<Markup, Wrong> {
    let overview = console.overview().await?;
    let found = overview.aliases.iter().find(|alias| alias.status.name == name);
    let alias = found.ok_or_else(|| {
        Wrong::not_found(format!("There is no alias {name} in this environment.")).next(html! { p { a href="/aliases" { "All aliases" } } })
    })?;
    Ok(html! {
        (facts(alias, overview.at))
        section aria-labelledby="hanging" {
            h2 #hanging { "What sends through it" }
            (hanging(alias, &overview))
        }
    })
}

fn facts(alias: &AliasOverview, now: Timestamp) -> Markup {
    let status = &alias.status;
    let mut facts = vec![("State", parts::badge(standing::alias_tone(alias), status.state)), ("For", parts::elapsed(status.since, now))];
    if let Some(until) = status.until.filter(|until| *until > now) {
        facts.push(("Next request", parts::until(until, now)));
    }
    if let Some(detail) = &status.detail {
        facts.push(("Why", parts::outside(detail)));
    }
    if !status.rate.is_empty() {
        let used: Vec<String> = status.rate.iter().map(|rate| format!("{} of {}", rate.used, rate.limit)).collect();
        facts.push(("Rate used", html! { (used.join(", ")) }));
    }
    facts.push((
        "Address",
        status.url.as_deref().map_or_else(|| html! { "none: it verifies webhooks" }, |url| html! { span.mono { (parts::outside(url)) } }),
    ));
    facts.push(("Authenticates with", html! { (status.auth) }));
    facts.push(("Owner", integration::owner(status.owner.as_ref())));
    parts::facts(&facts)
}

fn hanging(alias: &AliasOverview, overview: &Overview) -> Markup {
    let mut all: Vec<&IntegrationOverview> =
        overview.integrations.iter().filter(|one| alias.integrations.binary_search(&one.name).is_ok()).collect();
    all.sort_by_key(|one| (std::cmp::Reverse(one.waiting), &one.name));
    if all.is_empty() {
        return parts::empty("No active integration sends through this alias", html! { p { "Webhooks may still be verified by it." } });
    }
    let row = |one: &&IntegrationOverview| {
        let cells = vec![
            html! { a href=(integration::path(&one.name)) { (one.name) } },
            overview::state(one, overview),
            parts::many(one.waiting),
            parts::age(one.oldest_waiting),
        ];
        Row::new(cells).id(format!("integration-{}", one.name))
    };
    let rows: Vec<Row> = all.iter().take(HANGING_SHOWN).map(row).collect();
    html! {
        p.muted {
            (counted(all.len() as u64, "integration", "integrations")) ", "
            (counted(alias.waiting, "message waits", "messages wait")) " in "
            @if all.len() == 1 { "it" } @else { "them" } "."
        }
        (parts::table("Integrations that send through it, most waiting first", &[column("Integration"), column("State"), figures("Waiting"), figures("Oldest")], &rows))
        @if all.len() > HANGING_SHOWN {
            p { a href=(parts::query("/", &[("alias", &alias.status.name)])) { "All " (number(all.len() as u64)) } }
        }
    }
}
