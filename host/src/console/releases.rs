//! The releases of an integration on its page: which is active, who brought it when, what was another, what waits for approval and what
//! it newly asks for; and how both sides do where one is tried.

use maud::{Markup, html};

use super::parts::{self, Row, Tone, column, figures};
use crate::admin::release_list::{Changed, Listed, Listing, Tried, Waiting};
use crate::clock::Timestamp;
use crate::delivery::SideFigures;
use crate::integration::ReleaseId;

/// Releases shown; `lockgate releases` lists more.
const SHOWN: usize = 10;

/// What is tried, as it goes.
pub fn canary(tried: &Tried, now: Timestamp) -> Markup {
    let columns = [column("Side"), figures("Attempts"), figures("Failed"), figures("Nine in ten within")];
    let side = |name: &str, figures: &SideFigures| {
        let SideFigures { attempts, failed, p90_ms } = figures;
        Row::new(vec![html! { (name) }, parts::many(*attempts), parts::many(*failed), html! { (parts::number(*p90_ms)) " ms" }])
    };
    let rows = [side("active release", &tried.figures.active), side("candidate", &tried.figures.candidate)];
    html! {
        section aria-labelledby="canary" {
            h2 #canary { "Tried on a share of the keys" }
            p {
                "Release " (id(&tried.release)) " runs on " (tried.share_per_mille / 10) "." (tried.share_per_mille % 10) " % of the keys"
                @if let Some(since) = tried.since { ", begun " (parts::ago(since, now)) }
                @if let Some(by) = &tried.by { ", by " (parts::outside(by)) }
                ". It ends by itself where it fails more or takes longer."
            }
            (parts::table("How both sides do", &columns, &rows))
        }
    }
}

/// What was, what is and what waits.
pub fn section(listing: &Listing, now: Timestamp) -> Markup {
    let columns = [column("Release"), column("State"), column("Activated"), column("By"), column("Changed")];
    let rows: Vec<Row> = listing.releases.iter().take(SHOWN).map(|listed| row(listed, now)).collect();
    html! {
        section aria-labelledby="releases" {
            h2 #releases { "Releases" }
            @if let Some(waiting) = &listing.waits_for_approval { (waits(waiting, now)) }
            @if rows.is_empty() {
                (parts::empty("No release is stored", html! { p { "Deploy one: " code { "lockgate deploy" } } }))
            } @else {
                (parts::table("Releases, the newest first", &columns, &rows))
            }
            p.muted { "Back to the one before: " code { "lockgate rollback " (listing.integration) } }
        }
    }
}

fn row(listed: &Listed, now: Timestamp) -> Row {
    let tone = if listed.state == "waits-for-approval" { Tone::Warn } else { Tone::Plain };
    let badge = match listed.state {
        "active" => Tone::Good,
        "tried" | "shadow" | "waits-for-approval" => Tone::Warn,
        _ => Tone::Plain,
    };
    let who = listed.activated_by.as_ref().or(listed.author.as_ref());
    let cells = vec![
        id(&listed.release),
        parts::badge(badge, &listed.state.replace('-', " ")),
        listed.activated_at.map_or_else(parts::none, |at| parts::ago(at, now)),
        html! {
            @match who { Some(who) => (parts::outside(who)), None => (parts::none()) }
            @if let Some(how) = &listed.how { span.muted { " · " (parts::outside(how)) } }
        },
        changed(listed.changed.as_ref()),
    ];
    Row::new(cells).tone(tone)
}

fn changed(changed: Option<&Changed>) -> Markup {
    let Some(Changed { file, plugins, .. }) = changed else { return html! { span.muted { "the first" } } };
    let plugins = plugins.iter().map(|plugin| format!("{} {}", plugin.name, plugin.version));
    let all: Vec<String> = plugins.chain(file.iter().cloned()).collect();
    if all.is_empty() {
        html! { span.muted { "comments or spaces only" } }
    } else {
        parts::beginning(&all.join(", "), CHANGED_SHOWN)
    }
}

/// Characters of what changed.
const CHANGED_SHOWN: usize = 200;

fn waits(waiting: &Waiting, now: Timestamp) -> Markup {
    let Waiting { integration, release, asks, by, at, to_be, approval, .. } = waiting;
    parts::banner(
        Tone::Warn,
        html! {
            p {
                "Release " (id(release)) ", brought by " (parts::outside(by)) " " (parts::ago(*at, now)) ", waits for approval"
                @if *to_be != "active" { " to run as a " (to_be) "; once approved, it may be made the active one without another approval" }
                ": " (approval.given.len()) " of " (approval.needed) " given."
            }
            @if !asks.is_empty() {
                p { "It newly asks:" }
                ul { @for asked in asks { li { (parts::outside(asked)) } } }
            }
            p { code { "lockgate approve " (integration) " " (release.short()) " --note TEXT" } ", or " code { "lockgate reject" } " in the same way" }
        },
    )
}

/// A release's id, as people read it.
pub fn id(release: &ReleaseId) -> Markup {
    html! { span.mono title=(release) { (release.short()) } }
}
