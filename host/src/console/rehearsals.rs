//! Reports of rehearsals: a list on the page of their integration, and `/integrations/{name}/rehearsals/{id}`, one of them.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use maud::{Markup, html};

use super::page::{Page, Section, Wrong};
use super::parts::{self, Row, column, figures};
use super::{Console, integration, releases};
use crate::admin::parameters::wrong;
use crate::admin::rehearsals::one;
use crate::clock::Timestamp;
use crate::rehearsal::kept::Kept;
use crate::rehearsal::{Verdict, about, told};

/// Reports listed on the page of their integration.
const SHOWN: usize = 10;

/// Those that are kept.
pub fn section(name: &str, kept: &[Kept], now: Timestamp) -> Markup {
    let verdicts = Verdict::ALL.map(|verdict| figures(word(verdict)));
    let columns: Vec<_> = [column("Made"), column("Release"), column("Over")].into_iter().chain(verdicts).collect();
    let rows: Vec<Row> = kept.iter().take(SHOWN).map(|kept| row(name, kept, now)).collect();
    html! {
        section aria-labelledby="rehearsals" {
            h2 #rehearsals { "Rehearsals" }
            @if rows.is_empty() {
                p.muted { "None yet. On the machine of the host, " code { "lockgate rehearse " (name) " --env ENV --since 24h" } " tells what the workspace's release would make of what came." }
            } @else {
                (parts::table("Reports of rehearsals, the latest first", &columns, &rows))
            }
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "Same",
        Verdict::Changed => "Changed",
        Verdict::NewlyFailing => "Newly failing",
        Verdict::NewlyPassing => "Newly passing",
        Verdict::Diverged => "Diverged",
        Verdict::NotComparable => "Not comparable",
    }
}

fn row(name: &str, kept: &Kept, now: Timestamp) -> Row {
    let candidate = &kept.standing.candidate;
    let count = |verdict: Verdict| parts::many(kept.standing.verdicts.get(&verdict).copied().unwrap_or(0) as u64);
    let over = match (candidate.dead_letters, candidate.since.as_str()) {
        (true, _) => "dead letters".to_owned(),
        (false, "") => "all that is kept".to_owned(),
        (false, since) => format!("since {since}"),
    };
    let first = [
        html! { a href={ (integration::path(name)) "/rehearsals/" (kept.id) } { (parts::ago(kept.made_at(), now)) } },
        releases::id(&candidate.release),
        parts::outside(&over),
    ];
    Row::new(first.into_iter().chain(Verdict::ALL.map(count)).collect())
}

/// `GET /integrations/{name}/rehearsals/{id}`
pub async fn show(State(console): State<Arc<Console>>, path: Result<Path<(String, String)>, PathRejection>) -> Result<Page, Wrong> {
    let Path((name, id)) = path.map_err(|_| wrong("the path is not UTF-8"))?;
    let back = html! { p { "Reports go when they are old: " a href=(integration::path(&name)) { (name) } " lists those there are." } };
    let report = one(&console.api.parts, &name, &id).await.map_err(|refusal| Wrong::from(refusal).next(back))?;
    let body = html! {
        p.muted { (about(&report)) }
        (told(&report, Some("/messages/")))
    };
    let tools = html! { div.actions { a.button href=(integration::path(&name)) { (name) } } };
    Ok(Page::new(Section::Overview, format!("Rehearsal of {name}"), body).tools(tools))
}
