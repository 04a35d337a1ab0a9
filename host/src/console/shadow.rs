//! `/integrations/{name}/shadow`: what a release that runs beside the active one would make otherwise.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use maud::{Markup, html};

use super::page::{Page, Section, Wrong};
use super::{Console, integration, parts, releases};
use crate::admin::parameters::named;
use crate::admin::release_list::ShadowStanding;
use crate::clock::Timestamp;
use crate::rehearsal::{Verdict, about, told};

/// How it stands, as it goes.
pub fn section(name: &str, standing: &ShadowStanding, now: Timestamp) -> Markup {
    let ShadowStanding { release, since, by, counted_since, messages, verdicts, missed, .. } = standing;
    let count = |verdict: Verdict| verdicts.get(&verdict).copied().unwrap_or(0);
    html! {
        section aria-labelledby="shadow" {
            h2 #shadow { "Runs beside the active release, without effect" }
            p {
                "Release " (releases::id(release))
                @if let Some(since) = since { ", begun " (parts::ago(*since, now)) }
                @if let Some(by) = by { ", by " (parts::outside(by)) }
                ". " (parts::counted(*messages as u64, "message", "messages")) " told, counted for " (parts::elapsed(*counted_since, now))
                @if *missed > 0 { "; " (parts::counted(*missed, "message was", "messages were")) " not shown to it for want of room" }
                "."
            }
            ul.verdicts { @for verdict in Verdict::ALL { li { b { (count(verdict)) } (verdict.as_str().replace('-', " ")) } } }
            p { a href={ (integration::path(name)) "/shadow" } { "What differs, field by field" } }
            p.muted { code { "lockgate shadow finish " (name) " " (release.short()) } " makes it the active release, " code { "lockgate shadow abort " (name) " " (release.short()) } " gives it up." }
        }
    }
}

/// `GET /integrations/{name}/shadow`
pub async fn show(State(console): State<Arc<Console>>, name: Result<Path<String>, PathRejection>) -> Result<Page, Wrong> {
    let name = named(name)?;
    let shadowed = console.api.parts.releases.shadowed(&name).ok_or_else(|| {
        Wrong::not_found(format!("{name} has no shadow.")).next(
            html! { p { "Begin one: " code { "lockgate deploy " (name) " --shadow" } } p { a href=(integration::path(&name)) { (name) } } },
        )
    })?;
    let report = shadowed.beside.report();
    let body = html! {
        p.muted { (about(&report)) }
        (told(&report, Some("/messages/")))
    };
    let tools = html! { div.actions { a.button href=(integration::path(&name)) { (name) } } };
    Ok(Page::new(Section::Overview, format!("Shadow of {name}"), body).tools(tools))
}
