//! `/integrations/{name}`: one integration, what it is made of and how it goes.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::Console;
use super::access::SignedIn;
use super::page::{Page, Section, Wrong};
use super::parts;
use super::{aliases, curve, live, overview, rehearsals, releases, shadow};
use crate::admin::overview::{IntegrationOverview, Overview};
use crate::admin::parameters::named;
use crate::admin::release_list::{listing, shadowed, tried};
use crate::admin::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::config::quantity;
use crate::integration::{
    Beginning, DeliveryPolicy, Entry, Integration, Jitter, Occasion, Order, Owner, PinnedPlugin, Poll, Release, ReleaseId, Sink, Source,
    Step,
};
use crate::message_store::sqlite::ledger::{DeadLetterGroupRow, GroupQuery};

/// Groups of dead letters shown here; their own page has all of them.
const GROUPS_SHOWN: usize = 5;

/// Where an integration is shown.
pub fn path(name: &str) -> String {
    format!("/integrations/{}", parts::part_of_path(name))
}

/// Who answers for something.
pub fn owner(owner: Option<&Owner>) -> Markup {
    html! {
        @match owner {
            Some(Owner { team: Some(team), contact }) => { (parts::outside(team)) " (" (parts::outside(contact)) ")" },
            Some(Owner { team: None, contact }) => (parts::outside(contact)),
            None => "–",
        }
    }
}

/// `GET /integrations/{name}`
pub async fn show(State(console): State<Arc<Console>>, name: Result<Path<String>, PathRejection>) -> Result<Page, Wrong> {
    let name = named(name)?;
    let figures = going(&console, &name).await?;
    let active = console.api.parts.intake.routes().integration(&name).cloned();
    let release = console.api.parts.store.releases().active_of(&name).await.map_err(|error| refusal(&error))?;
    let listing = listing(&console.api.parts, &name).await.map_err(|error| refusal(&error))?;
    let rehearsed = crate::admin::rehearsals::of(&console.api.parts, &name).await;
    let body = html! {
        (live::region(&format!("/live{}", path(&name)), figures))
        @match &active {
            Some(integration) => (made_of(integration, release.as_ref())),
            None => (parts::empty("It is not active any more", html! {
                p { "Bring its file back, then " code { "lockgate deploy" } "." }
            })),
        }
        (releases::section(&listing, console.now()))
        (rehearsals::section(&name, &rehearsed, console.now()))
    };
    let tools = html! {
        div.actions {
            a.button href=(parts::query("/messages", &[("integration", &name)])) { "Latest messages" }
            a.button href=(parts::query("/dead-letters", &[("integration", &name)])) { "Dead letters" }
        }
    };
    Ok(Page::new(Section::Overview, name, body).tools(tools))
}

/// `GET /live/integrations/{name}`
pub async fn watch(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Wrong> {
    live::stream(console, session, Going(named(name)?)).await
}

/// [`going`], of the integration of that name.
struct Going(String);

impl live::View for Going {
    async fn now(&self, console: &Console) -> Result<Markup, Wrong> {
        going(console, &self.0).await
    }
}

/// What changes: state, figures, dead letters.
async fn going(console: &Console, name: &str) -> Result<Markup, Wrong> {
    let overview = console.overview().await?;
    let one = overview.integrations.iter().find(|one| one.name == name).ok_or_else(|| {
        Wrong::not_found(format!("No integration {name} is active, and nothing waits of one."))
            .next(html! { p { a href="/" { "All integrations" } } })
    })?;
    let tried = tried(&console.api.parts, name).await.map_err(|error| refusal(&error))?;
    let shadowed = shadowed(&console.api.parts, name).await.map_err(|error| refusal(&error))?;
    let groups = if one.dead_letters == 0 { Vec::new() } else { groups(console, name).await? };
    Ok(html! {
        (overview::paused(one, &overview))
        (standing(one, &overview))
        (curve::figure(one.curve.as_ref()))
        @if let Some(tried) = &tried { (releases::canary(tried, overview.at)) }
        @if let Some(shadowed) = &shadowed { (shadow::section(name, shadowed, overview.at)) }
        @if !groups.is_empty() { (dead_letters(one, &groups, overview.at)) }
    })
}

async fn groups(console: &Console, name: &str) -> Result<Vec<DeadLetterGroupRow>, Wrong> {
    let query = GroupQuery { integration: Some(name.to_owned()), limit: GROUPS_SHOWN, ..GroupQuery::default() };
    let page = console.api.parts.store.ledger().dead_letter_groups(query).await.map_err(|error| refusal(&error))?;
    Ok(page.groups)
}

fn standing(one: &IntegrationOverview, overview: &Overview) -> Markup {
    let mut facts = vec![
        ("State", overview::state(one, overview)),
        ("Waiting", parts::many(one.waiting)),
        ("Oldest", parts::age(one.oldest_waiting)),
        ("Drained in", parts::age(one.drained_in)),
        ("Per minute", parts::rate(one.per_minute)),
        ("p99, accepted to delivered", overview::p99(one)),
        ("Delivered in the last hour", parts::many(one.delivered_last_hour)),
        ("Skipped in the last hour", parts::many(one.skipped_last_hour)),
        ("Dead letters", parts::many(one.dead_letters)),
    ];
    if one.stopped > 0 {
        facts.push(("Keys stopped by dead letters", parts::many(one.stopped)));
    }
    parts::facts(&facts)
}

fn dead_letters(one: &IntegrationOverview, groups: &[DeadLetterGroupRow], now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="dead" {
            h2 #dead { "Dead letters" }
            (super::dead_letters::table(groups, now))
            p { a href=(parts::query("/dead-letters", &[("integration", &one.name)])) { "All dead letters of " (one.name) } }
        }
    }
}

/// What does not change until the next release.
fn made_of(integration: &Integration, release: Option<&(Release, ReleaseId, Timestamp)>) -> Markup {
    let pinned = release.map_or(&[][..], |(release, _, _)| &release.plugins);
    let shown = |(index, (place, step)): (usize, (String, &Step))| {
        let shown = plugin(&place, step, pinned.get(index));
        (place, shown)
    };
    let uses: Vec<(String, Markup)> = integration.uses().enumerate().map(shown).collect();
    html! {
        section aria-labelledby="way" {
            h2 #way { "The way of a message" }
            @if !integration.description.is_empty() { p { (parts::outside(&integration.description)) } }
            ol.way {
                @for (index, entry) in integration.sources.iter().enumerate() {
                    li {
                        (source(entry))
                        @for (_, shown) in uses.iter().filter(|(place, _)| *place == format!("source {}", index + 1)) { (shown) }
                    }
                }
                @for (_, shown) in uses.iter().filter(|(place, _)| !place.starts_with("source ")) { li { (shown) } }
                @if let Sink::Channel(name) = &integration.sink {
                    li { h3 { "sink" } p { "channel " strong { (name) } } }
                }
            }
        }
        section aria-labelledby="rules" {
            h2 #rules { "Rules" }
            (rules(integration, release))
        }
    }
}

fn source(source: &Source) -> Markup {
    let selectors = |list: Vec<String>| html! { span.mono { (list.join(", ")) } };
    let mut facts = Vec::new();
    if let Entry::Webhook { verify, when, .. } = &source.entry {
        facts.push((
            "Verified by",
            verify
                .as_deref()
                .map_or_else(|| html! { "nothing: anybody may post" }, |alias| html! { a href=(aliases::path(alias)) { (alias) } }),
        ));
        for (selector, values) in when {
            facts.push(("Only when", html! { span.mono { (selector.to_string()) " = " (values.join(", ")) } }));
        }
    }
    let id: Vec<String> = source.id.iter().map(ToString::to_string).collect();
    match &source.entry {
        _ if !id.is_empty() => facts.push(("Same message if same", selectors(id))),
        Entry::Webhook { .. } => facts.push(("Same message if same", html! { "body" })),
        Entry::Poll(_) => facts.push(("Same message if same", html! { "id of the item" })),
        Entry::Channel { .. } | Entry::Schedule(_) => {}
    }
    if let Some(key) = &source.key {
        facts.push(("In order by", selectors(vec![key.to_string()])));
    }
    if !source.track.is_empty() {
        let tracked = source.track.iter().map(|(name, selector)| format!("{name} = {selector}")).collect();
        facts.push(("Found by", selectors(tracked)));
    }
    html! {
        h3 { "source" }
        p {
            @match &source.entry {
                Entry::Webhook { path, .. } => { "webhook " strong.mono { (path) } },
                Entry::Channel { name, from: Beginning::Now } => { "channel " strong { (name) } },
                Entry::Channel { name, from: Beginning::Earliest } => { "channel " strong { (name) } " from its beginning" },
                Entry::Poll(Poll { name, when: Occasion::Every(every), .. }) => { "poll " strong { (name) } " every " (quantity::shown(*every)) },
                Entry::Poll(Poll { name, when: Occasion::At(schedule), .. }) => { "poll " strong { (name) } " at " span.mono { (schedule) } },
                Entry::Schedule(schedule) => { "schedule " strong.mono { (schedule) } },
            }
        }
        (parts::facts(&facts))
    }
}

/// Slots and grants, but not the config: it may hold what an operator need not see.
fn plugin(place: &str, step: &Step, pinned: Option<&PinnedPlugin>) -> Markup {
    let mut facts = Vec::new();
    if let Some(pinned) = pinned {
        facts.push(("Version", html! { (pinned.version) }));
        facts.push(("Digest", html! { span.mono title=(pinned.digest) { (pinned.digest.get(..12).unwrap_or(&pinned.digest)) } }));
    }
    for (slot, binding) in &step.bindings {
        let allow: Vec<String> = binding.allow.iter().map(|allow| format!("{} {}", allow.method, allow.path)).collect();
        facts.push((
            "Sends through",
            html! {
                (slot) " → " a href=(aliases::path(&binding.alias)) { (binding.alias) }
                @if !allow.is_empty() { ", only " span.mono { (allow.join(", ")) } }
            },
        ));
    }
    let grants: Vec<&str> = step.grants.iter().map(|grant| grant.as_str()).collect();
    facts.push(("Granted", html! { @if grants.is_empty() { "log, config" } @else { "log, config, " (grants.join(", ")) } }));
    html! {
        h3 { (place) }
        p { "plugin " strong { (step.plugin) } " " span.muted { "asked for: " (step.version.to_string()) } }
        (parts::facts(&facts))
    }
}

fn rules(integration: &Integration, release: Option<&(Release, ReleaseId, Timestamp)>) -> Markup {
    let DeliveryPolicy { order, concurrency, give_up_after, attempts, backoff, batch } = &integration.delivery;
    let jitter = match backoff.jitter {
        Jitter::Full => "drawn at random up to that",
        Jitter::None => "exactly that",
    };
    let mut facts = vec![
        ("Owner", owner(Some(&integration.owner))),
        (
            "Order",
            html! { @match order { Order::Key => "by key: one of a key at a time", Order::Strict => "strict: one of a key at a time, and a dead letter stops its key", Order::None => "none" } },
        ),
        (
            "At once",
            html! {
                (concurrency)
                @if let Some(batch) = batch { " batches, each of at most " (batch.max) " messages within " (parts::duration_of(batch.within)) }
            },
        ),
        (
            "Gives up after",
            html! { (parts::duration_of(*give_up_after)) @if let Some(attempts) = attempts { ", or " (attempts) " attempts" } },
        ),
        ("Retries after", html! { (parts::duration_of(backoff.base)) ", doubled up to " (parts::duration_of(backoff.cap)) ", " (jitter) }),
    ];
    if let Some((_, id, activated_at)) = release {
        facts.push(("Release", html! { span.mono title=(id) { (id.short()) } ", active since " (parts::day(*activated_at)) }));
    }
    parts::facts(&facts)
}
