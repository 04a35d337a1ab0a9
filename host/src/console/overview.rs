//! `/`: every integration and alias at a glance, what needs a person first, and one cause under many of them said once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use maud::{Markup, html};

use super::Console;
use super::access::SignedIn;
use super::aliases;
use super::curve;
use super::integration;
use super::live::{self, View};
use super::page::{Page, Section, Wrong};
use super::parts::{self, Row, Tone, column, counted, figures, number};
use super::standing::{self, Standing};
use crate::admin::overview::{AliasOverview, IntegrationOverview, IntegrationState, Overview};
use crate::admin::parameters::Parameters;
use crate::ingress::answer::Refusal;
use crate::moment;

/// Integrations on a page.
const ROWS: usize = 50;
/// Aliases shown here; `/aliases` has all of them.
const ALIASES_SHOWN: usize = 10;
/// Causes told above everything else.
const CAUSES_SHOWN: usize = 5;

/// Which integrations are asked for; what is none does not matter.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// A part of the name.
    name: Option<String>,
    show: Option<Standing>,
    /// Those that send through it.
    alias: Option<String>,
    /// Counted from 1.
    page: usize,
}

/// `GET /`
pub async fn show(State(console): State<Arc<Console>>, request: Request) -> Result<Page, Wrong> {
    let asked = Asked::parse(request.uri().query())?;
    let body = live::region(&format!("/live/overview{}", asked.query()), asked.now(&console).await?);
    Ok(Page::new(Section::Overview, "Overview", body).tools(asked.form()))
}

/// `GET /live/overview`
pub async fn watch(State(console): State<Arc<Console>>, SignedIn(session): SignedIn, request: Request) -> Result<Response, Wrong> {
    live::stream(console, session, Asked::parse(request.uri().query())?).await
}

impl View for Asked {
    async fn now(&self, console: &Console) -> Result<Markup, Wrong> {
        Ok(shown(self, &*console.overview().await?))
    }
}

fn shown(asked: &Asked, overview: &Overview) -> Markup {
    let rows = standing::worst_first(overview);
    let fitting: Vec<_> = rows.iter().filter(|(_, one)| asked.fits(one, overview)).copied().collect();
    let wanted: Vec<_> = fitting.iter().filter(|(standing, _)| asked.show.is_none_or(|show| show == *standing)).copied().collect();
    html! {
        (sums(overview))
        (news(overview))
        section aria-labelledby="integrations" {
            h2 #integrations { "Integrations" }
            (chips(asked, &fitting))
            (integrations(asked, &wanted, overview))
        }
        @if !overview.aliases.is_empty() {
            section aria-labelledby="aliases" {
                h2 #aliases { "Aliases" }
                (some_aliases(overview))
            }
        }
    }
}

/// The whole in five figures.
fn sums(overview: &Overview) -> Markup {
    let all = &overview.integrations;
    let waiting: u64 = all.iter().map(|one| one.waiting).sum();
    let dead: u64 = all.iter().map(|one| one.dead_letters).sum();
    let per_minute: f64 = all.iter().map(|one| one.per_minute).sum();
    let oldest = all.iter().filter_map(|one| one.oldest_waiting).max();
    html! {
        dl.sums {
            div { dt { "Integrations" } dd { (number(all.len() as u64)) } }
            div { dt { "Waiting" } dd { (number(waiting)) } }
            div { dt { "Oldest" } dd { (parts::age(oldest)) } }
            div { dt { "Per minute" } dd { (parts::rate(per_minute)) } }
            div .bad[dead > 0] { dt { "Dead letters" } dd { @if dead > 0 { a href="/dead-letters" { (number(dead)) } } @else { "0" } } }
        }
    }
}

/// What is worth a word: causes, each with all that hangs on it, and what only a person mends.
fn news(overview: &Overview) -> Markup {
    let ill: Vec<_> = standing::worst_aliases_first(overview).into_iter().filter(|alias| !alias.is_healthy()).collect();
    let those = |which: fn(&IntegrationOverview) -> bool| overview.integrations.iter().filter(|one| which(one)).collect::<Vec<_>>();
    let kept_back = those(|one| one.paused.is_some());
    let draining = those(|one| one.state == IntegrationState::Retiring);
    let left_over = those(|one| one.state == IntegrationState::Inactive && one.waiting > 0);
    let failing = overview.integrations.iter().flat_map(|one| one.sources.iter().map(move |source| (one, source)));
    let failing: Vec<_> = failing.filter_map(|(one, source)| Some((one, source, source.failing()?))).collect();
    let needs_a_person = Asked { show: Some(Standing::NeedsPerson), ..Asked::default() }.path();
    html! {
        @if !overview.intake_open {
            (parts::banner(Tone::Warn, html! { p { strong { "Intake is closed: the host is going down." } " Senders are told to come back." } }))
        }
        @if overview.intake_full {
            (parts::banner(Tone::Bad, html! {
                p { strong { "Intake is full: as much waits in all integrations together as may." } " Every sender gets 503 and is told to come back." }
                p { "Mend what the messages wait for, below; or raise " code { "limits.waiting-in-all" } "." }
            }))
        }
        @for alias in ill.iter().take(CAUSES_SHOWN) { (cause(alias, overview)) }
        (more(ill.len(), "alias is not healthy", "aliases are not healthy", "/aliases"))
        @for one in kept_back.iter().take(CAUSES_SHOWN) { (paused(one, overview)) }
        (more(kept_back.len(), "integration is paused", "integrations are paused", "#integrations"))
        @for one in draining.iter().take(CAUSES_SHOWN) { (retiring(one, overview)) }
        (more(draining.len(), "integration is being retired", "integrations are being retired", "#integrations"))
        @for (one, source, state) in failing.iter().take(CAUSES_SHOWN) {
            (parts::banner(Tone::Bad, html! {
                p {
                    strong { (source.source) " of " a href=(super::integration::path(&one.name)) { (one.name) } " fails: " (state.last.code.as_deref().unwrap_or_default()) }
                    ". It is asked again by itself."
                }
                @if let Some(detail) = &state.last.detail { p.muted.small { (parts::outside(detail)) } }
            }))
        }
        (more(failing.len(), "source fails", "sources fail", &needs_a_person))
        @for one in left_over.iter().take(CAUSES_SHOWN) {
            (parts::banner(Tone::Bad, html! {
                p { strong { (counted(one.waiting, "message", "messages")) " in " (one.name) ", which is not active any more." } }
                p { "Bring its file back, then " code { "lockgate deploy" } "." }
            }))
        }
        (more(left_over.len(), "integration is not active, and messages wait in it", "integrations are not active, and messages wait in them", &needs_a_person))
    }
}

/// That there are others than those that are told of.
fn more(all: usize, one: &str, several: &str, href: &str) -> Markup {
    html! {
        @if all > CAUSES_SHOWN {
            p { a href=(href) { "And " (counted((all - CAUSES_SHOWN) as u64, &format!("more {one}"), &format!("more {several}"))) } }
        }
    }
}

/// `12 messages wait`.
fn waits(count: u64) -> Markup {
    html! {
        strong { (counted(count, "message", "messages")) }
        @if count == 1 { " waits" } @else { " wait" }
    }
}

/// An integration that a person keeps back.
pub fn paused(one: &IntegrationOverview, overview: &Overview) -> Markup {
    let Some(pause) = &one.paused else { return Markup::default() };
    parts::banner(
        Tone::Warn,
        html! {
            p {
                strong { (one.name) " has been paused by a person" } " for " (parts::elapsed(pause.since, overview.at)) ". "
                (waits(one.waiting)) "; none is lost."
            }
            p.muted.small { (parts::outside(&pause.reason)) }
            p.small { "To go on: " code { "lockgate resume " (one.name) " --integration" } }
        },
    )
}

/// An integration that drains to be retired.
fn retiring(one: &IntegrationOverview, overview: &Overview) -> Markup {
    let Some(retirement) = &one.retirement else { return Markup::default() };
    parts::banner(
        Tone::Warn,
        html! {
            p {
                strong { (one.name) " is being retired" } " for " (parts::elapsed(retirement.since, overview.at)) ": it takes nothing new. "
                (waits(one.waiting)) "; when none does it is inactive."
            }
            @if let Some(reason) = &retirement.reason { p.muted.small { (parts::outside(reason)) } }
            p.small {
                "To take it back: " code { "lockgate resume " (one.name) " --integration" }
                @if one.paused.is_some() { ", twice: the first ends the pause" }
            }
        },
    )
}

fn cause(alias: &AliasOverview, overview: &Overview) -> Markup {
    let name = &alias.status.name;
    let hanging = counted(alias.integrations.len() as u64, "integration", "integrations");
    let tone = standing::alias_tone(alias);
    parts::banner(
        tone,
        html! {
            p {
                strong { (condition(alias)) } " for "
                (parts::elapsed(alias.status.since, overview.at)) ". "
                @if alias.integrations.is_empty() {
                    "No integration sends through it."
                } @else {
                    a href=(Asked { alias: Some(name.clone()), ..Asked::default() }.path()) { (hanging) }
                    @if alias.integrations.len() == 1 { " sends" } @else { " send" }
                    " through it, "
                    (waits(alias.waiting)) "; none is lost."
                }
            }
            @if let Some(detail) = &alias.status.detail { p.muted.small { (parts::outside(detail)) } }
            @if alias.status.state == standing::PAUSED {
                p.small { "To go on: " code { "lockgate resume " (name) " --alias" } }
            } @else if tone == Tone::Bad {
                p.small { "Mend the credential, then " a href=(aliases::path(name)) { "test the alias" } "; what waits goes on by itself." }
            }
        },
    )
}

/// What ails an alias, as the beginning of a sentence.
fn condition(alias: &AliasOverview) -> Markup {
    let name = html! { a href=(aliases::path(&alias.status.name)) { (alias.status.name) } };
    html! {
        @match alias.status.state {
            "credential-refused" => { (name) " has refused the host's credential" },
            "open" => { (name) " has been failing" },
            standing::PAUSED => { (name) " has been paused by a person" },
            state => { (name) " has been " (state) },
        }
    }
}

/// Links that narrow down, each with how many it leads to.
fn chips(asked: &Asked, fitting: &[(Standing, &IntegrationOverview)]) -> Markup {
    let chip = |name: &str, show: Option<Standing>, many: usize| {
        html! {
            a.chip href=(Asked { show, page: 1, ..asked.clone() }.path()) aria-current=[(asked.show == show).then_some("true")] {
                (name) " " span.muted { (number(many as u64)) }
            }
        }
    };
    html! {
        nav.chips aria-label="Narrow down" {
            (chip("All", None, fitting.len()))
            @for show in Standing::ALL {
                (chip(show.name(), Some(show), fitting.iter().filter(|(standing, _)| *standing == show).count()))
            }
        }
        @if let Some(alias) = &asked.alias {
            p { "Those that send through " strong { (parts::outside(alias)) } ". " a href=(Asked { alias: None, page: 1, ..asked.clone() }.path()) { "Show all" } }
        }
    }
}

fn integrations(asked: &Asked, wanted: &[(Standing, &IntegrationOverview)], overview: &Overview) -> Markup {
    if wanted.is_empty() {
        return nothing(overview);
    }
    let first = (asked.page - 1) * ROWS;
    let rows: Vec<Row> = wanted.iter().skip(first).take(ROWS).map(|(standing, one)| row(*standing, one, overview)).collect();
    if rows.is_empty() {
        return parts::empty(
            "There is no such page",
            html! { p { a href=(Asked { page: 1, ..asked.clone() }.path()) { "Go to the first" } } },
        );
    }
    let columns = [
        column("Integration"),
        column("State"),
        figures("Waiting"),
        figures("Oldest"),
        figures("Per minute"),
        figures("p99"),
        column("Last hour"),
        figures("Dead letters"),
    ];
    let turned = |page: usize| Asked { page, ..asked.clone() }.path();
    let before = (asked.page > 1).then(|| turned(asked.page - 1));
    let after = (first + ROWS < wanted.len()).then(|| turned(asked.page + 1));
    html! {
        (parts::table("Integrations, what needs a person first", &columns, &rows))
        (parts::pages(before.as_deref(), after.as_deref(), &format!("{}–{} of {}", first + 1, first + rows.len(), wanted.len())))
    }
}

fn nothing(overview: &Overview) -> Markup {
    if overview.integrations.is_empty() {
        return parts::empty(
            "No integration is active",
            html! {
                p { "Write one in " code { "integrations/" } ", then " code { "lockgate deploy" } "." }
            },
        );
    }
    parts::empty("No integration fits", html! { p { a href="/" { "Show all" } } })
}

fn row(standing: Standing, one: &IntegrationOverview, overview: &Overview) -> Row {
    let dead = html! {
        @if one.dead_letters > 0 {
            a.bad href=(parts::query("/dead-letters", &[("integration", &one.name)])) { (number(one.dead_letters)) }
        } @else { (parts::many(0)) }
    };
    let cells = vec![
        html! { a href=(super::integration::path(&one.name)) { (one.name) } },
        html! { (state(one, overview)) },
        parts::many(one.waiting),
        parts::age(one.oldest_waiting),
        parts::rate(one.per_minute),
        p99(one),
        curve::draw(one.curve.as_ref()),
        dead,
    ];
    Row::new(cells).id(format!("integration-{}", one.name)).tone(standing.tone())
}

/// The state with its reason.
pub fn state(one: &IntegrationOverview, overview: &Overview) -> Markup {
    html! {
        (parts::badge(standing::state_tone(one, overview), one.state.as_str()))
        @if one.state == IntegrationState::Held {
            span.reason {
                "by "
                @for (index, name) in one.held_by.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href=(aliases::path(name)) { (name) }
                }
                @for (index, name) in one.held_by_readers.iter().enumerate() {
                    @if index > 0 || !one.held_by.is_empty() { ", " }
                    a href=(integration::path(name)) { (name) } ", which is full"
                }
            }
        }
    }
}

/// From accepted to delivered; since when is said for who rests on it.
pub fn p99(one: &IntegrationOverview) -> Markup {
    html! {
        @match &one.latency {
            Some(latency) => span title=(format_args!(
                "of {} since {}", counted(latency.delivered, "delivery", "deliveries"), moment::long(&latency.since.to_string())
            )) { (parts::duration_of(latency.p99)) },
            None => (parts::none()),
        }
    }
}

fn some_aliases(overview: &Overview) -> Markup {
    let all = standing::worst_aliases_first(overview);
    let rows: Vec<Row> = all.iter().take(ALIASES_SHOWN).map(|alias| aliases::row(alias, overview.at)).collect();
    html! {
        (parts::table("Aliases, those that are not healthy first", &aliases::COLUMNS, &rows))
        @if all.len() > ALIASES_SHOWN {
            p { a href="/aliases" { "All " (number(all.len() as u64)) " aliases" } }
        }
    }
}

impl Asked {
    fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let mut given = Parameters::parse(query);
        let filled = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let asked = Self {
            name: filled(given.one("name")?),
            show: given.word("show", Standing::parse, &Standing::ALL)?,
            alias: filled(given.one("alias")?),
            page: given.read::<usize>("page", "a number")?.unwrap_or(1).clamp(1, usize::MAX / ROWS),
        };
        given.finish()?;
        Ok(asked)
    }

    fn fits(&self, one: &IntegrationOverview, overview: &Overview) -> bool {
        let named = self.name.as_ref().is_none_or(|part| one.name.to_lowercase().contains(&part.to_lowercase()));
        let sends_through = |wanted: &String| {
            overview.aliases.iter().any(|alias| alias.status.name == *wanted && alias.integrations.binary_search(&one.name).is_ok())
        };
        named && self.alias.as_ref().is_none_or(sends_through)
    }

    /// `?name=…`, or nothing.
    fn query(&self) -> String {
        let page = if self.page > 1 { self.page.to_string() } else { String::new() };
        let show = self.show.map_or("", Standing::word);
        let (name, alias) = (self.name.as_deref().unwrap_or(""), self.alias.as_deref().unwrap_or(""));
        parts::query("", &[("name", name), ("show", show), ("alias", alias), ("page", &page)])
    }

    fn path(&self) -> String {
        format!("/{}", self.query())
    }

    fn form(&self) -> Markup {
        parts::search(
            "/",
            html! {
                @if let Some(show) = self.show { input type="hidden" name="show" value=(show.word()); }
                @if let Some(alias) = &self.alias { input type="hidden" name="alias" value=(alias); }
                input type="search" name="name" value=[self.name.as_deref()] placeholder="Filter by name" aria-label="Filter by name" data-search;
                button { "Filter" }
            },
        )
    }
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
