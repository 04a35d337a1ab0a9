//! Replaying and discarding dead letters: the forms, and what became of each. What is done is decided in `admin::operate`; doing it
//! twice has one effect, and the second time says so.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use maud::{Markup, html};

use super::access::{Form, SignedIn};
use super::page::{Page, Section, Wrong};
use super::parts::{self, Row, Tone, column};
use super::{Console, edit};
use crate::admin::operate::{Action, Became, Done, Results, Selection, act};
use crate::admin::parameters::{Parameters, wrong};
use crate::admin::{Role, Session};
use crate::ingress::answer::Refusal;
use crate::message_store::sqlite::ledger::{DeadLetterGroupRow, DeadLetterRow};
use crate::message_store::{DeadLetterId, Superseded};
use crate::moment;
use crate::printable::on_one_line;

const REPLAY: &str = "/dead-letters/replay";
const DISCARD: &str = "/dead-letters/discard";
/// Dead letters whose fate is told one by one.
const TOLD_MAX: usize = 200;

/// What to do about one dead letter; nothing for who may only look.
pub fn one(session: &Session, letter: &DeadLetterRow) -> Markup {
    if !session.may(Role::Operator) {
        return html! {};
    }
    html! {
        div.actions {
            (parts::form(session, REPLAY, html! { (id(letter.id)) button.primary { "Replay" } }))
            a.button href=(edit::address(letter.id)) { "Edit…" }
            (parts::form(session, DISCARD, html! { (id(letter.id)) button.danger { "Discard…" } }))
        }
    }
}

/// What to do about all of a cause; nothing for who may only look.
pub fn all(session: &Session, group: &DeadLetterGroupRow) -> Markup {
    if !session.may(Role::Operator) {
        return html! {};
    }
    let many = parts::number(group.count);
    let fingerprint = html! { input type="hidden" name="fingerprint" value=(group.fingerprint); };
    html! {
        div.actions {
            (parts::form(session, REPLAY, html! { (fingerprint) button.primary { "Replay all " (many) } }))
            (parts::form(session, DISCARD, html! { (fingerprint) button.danger { "Discard all " (many) "…" } }))
        }
    }
}

/// `table`, and what to do about those that are ticked in it; nothing for who may only look.
pub fn chosen(session: &Session, here: &str, table: Markup) -> Markup {
    if !session.may(Role::Operator) {
        return table;
    }
    parts::form(
        session,
        REPLAY,
        html! {
            input type="hidden" name="back" value=(here);
            (table)
            div.actions.below {
                button.quiet.needs-script type="button" data-ticks="id" { "Tick all on this page" }
                button { "Replay ticked" }
                button.danger formaction=(DISCARD) { "Discard ticked…" }
            }
        },
    )
}

fn id(id: DeadLetterId) -> Markup {
    html! { input type="hidden" name="id" value=(id.0); }
}

/// What a form asks for.
struct Asked {
    ids: Vec<DeadLetterId>,
    fingerprint: Option<String>,
    superseded: Superseded,
    reason: Option<String>,
    /// The page it was on.
    back: String,
}

impl Asked {
    fn read(mut given: Parameters) -> Result<Self, Refusal> {
        let numbers = given.many("id").into_iter().map(|id| id.parse().map(DeadLetterId));
        let ids = numbers.collect::<Result<Vec<_>, _>>().map_err(|_| wrong("`id`: expected the numbers of dead letters"))?;
        let fingerprint = given.one("fingerprint")?;
        let superseded = match given.one("superseded")?.as_deref() {
            None => Superseded::Ask,
            Some("skip") => Superseded::Skip,
            Some("anyway") => Superseded::Anyway,
            Some(other) => return Err(wrong(format!("`superseded={other}`: expected skip or anyway"))),
        };
        let reason = given.one("reason")?;
        let back = given.one("back")?.filter(|path| is_own(path));
        given.finish()?;
        if ids.is_empty() && fingerprint.is_none() {
            return Err(wrong("Nothing was ticked, so nothing was done. Go back and tick the dead letters that are meant."));
        }
        let of_cause = fingerprint.as_ref().map(|fingerprint| format!("{}/{fingerprint}", Section::DeadLetters.path()));
        let back = back.or(of_cause).unwrap_or_else(|| Section::DeadLetters.path().to_owned());
        Ok(Self { ids, fingerprint, superseded, reason, back })
    }

    fn selection(&self) -> Selection {
        let ids = self.fingerprint.is_none().then(|| self.ids.clone());
        Selection { ids, fingerprint: self.fingerprint.clone(), ..Selection::default() }
    }

    /// The fields that say which.
    fn fields(&self) -> Markup {
        html! {
            @match &self.fingerprint {
                Some(fingerprint) => input type="hidden" name="fingerprint" value=(fingerprint);,
                None => @for each in &self.ids { (id(*each)) },
            }
            input type="hidden" name="back" value=(self.back);
        }
    }
}

/// A page of dead letters, and no other site's.
fn is_own(path: &str) -> bool {
    let Some(rest) = path.strip_prefix(Section::DeadLetters.path()) else { return false };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A search is written as a form is (URL Standard, section 5.2).
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-'))
        && query.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*' | b'%' | b'+' | b'&' | b'='))
}

/// `POST /dead-letters/replay`
pub async fn replay(State(console): State<Arc<Console>>, SignedIn(session): SignedIn, Form(given): Form) -> Result<Page, Wrong> {
    let asked = Asked::read(given)?;
    let results =
        act(&console.api.parts, asked.selection(), Action::Replay { superseded: asked.superseded, rate: None }, session.who()).await?;
    let superseded: Vec<DeadLetterId> =
        results.results.iter().filter(|done| matches!(done.became, Became::Superseded { .. })).map(|done| done.id).collect();
    let more = html! { (asked.fields()) button.primary { "Replay more" } };
    let body = html! {
        (told(&results))
        @if !superseded.is_empty() { (ask_about_superseded(&session, &superseded, &asked.back)) }
        @if results.more { (parts::form(&session, REPLAY, more)) }
        (back(&asked.back))
    };
    Ok(Page::new(Section::DeadLetters, "Replay", body))
}

/// `POST /dead-letters/discard`: without a reason, it is asked for.
pub async fn discard(State(console): State<Arc<Console>>, SignedIn(session): SignedIn, Form(given): Form) -> Result<Page, Wrong> {
    let asked = Asked::read(given)?;
    let Some(reason) = asked.reason.clone().filter(|reason| !reason.trim().is_empty()) else { return Ok(ask_why(&session, &asked)) };
    let results = act(&console.api.parts, asked.selection(), Action::Discard { reason: reason.clone() }, session.who()).await?;
    let more = html! { (asked.fields()) input type="hidden" name="reason" value=(reason); button.danger { "Discard more" } };
    let body = html! {
        (told(&results))
        @if results.more { (parts::form(&session, DISCARD, more)) }
        (back(&asked.back))
    };
    Ok(Page::new(Section::DeadLetters, "Discard", body))
}

fn ask_why(session: &Session, asked: &Asked) -> Page {
    let which = match &asked.fingerprint {
        Some(fingerprint) => html! { "All open dead letters of the cause " span.mono { (parts::outside(fingerprint)) } },
        None => html! { (parts::counted(u64::try_from(asked.ids.len()).unwrap_or(u64::MAX), "dead letter", "dead letters")) },
    };
    let body = html! {
        p { (which) " will be given up for good: nothing of them is delivered any more." }
        (parts::form(session, DISCARD, html! {
            (asked.fields())
            label.field { span { "Why? Kept with each of them." } textarea name="reason" rows="3" maxlength="1000" required autofocus {} }
            div.actions { button.danger { "Discard" } a.button href=(asked.back) { "Keep them" } }
        }))
    };
    // Where a reason was sent and is empty, nothing was done, and the answer says so.
    let status = if asked.reason.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Page::new(Section::DeadLetters, "Discard?", body).status(status)
}

fn ask_about_superseded(session: &Session, ids: &[DeadLetterId], back: &str) -> Markup {
    let fields = |how: &str| {
        html! {
            @for each in ids { (id(*each)) }
            input type="hidden" name="superseded" value=(how);
            input type="hidden" name="back" value=(back);
        }
    };
    let many = parts::counted(u64::try_from(ids.len()).unwrap_or(u64::MAX), "was not replayed", "were not replayed");
    parts::banner(
        Tone::Warn,
        html! {
            p { strong { (many) } ": newer messages of the same key were delivered since. A replay would bring the older state after the newer." }
            div.actions {
                (parts::form(session, REPLAY, html! { (fields("skip")) button { "Discard them as superseded" } }))
                (parts::form(session, REPLAY, html! { (fields("anyway")) button.danger { "Replay them all the same" } }))
            }
        },
    )
}

/// What became of each; of very many, those first that need a look.
fn told(results: &Results) -> Markup {
    let Results { results, .. } = results;
    if results.is_empty() {
        return parts::empty("Nothing was done", html! { p { "No open dead letter fits: somebody may have been faster." } });
    }
    let done = results.iter().filter(|done| done.became.is_done()).count();
    let mut shown: Vec<&Done> = results.iter().collect();
    shown.sort_by_key(|done| done.became.is_done());
    let left = shown.split_off(shown.len().min(TOLD_MAX));
    let left_undone = left.iter().filter(|done| !done.became.is_done()).count();
    let row = |done: &&Done| {
        let tone = if done.became.is_done() { Tone::Plain } else { Tone::Warn };
        let link = html! { a href=(format!("/dead-letters/{}", done.id.0)) { "Dead letter " (done.id.0) } };
        Row::new(vec![link, html! { (became(&done.became)) }]).tone(tone)
    };
    let figure = |count: usize| parts::number(u64::try_from(count).unwrap_or(u64::MAX));
    html! {
        p role="status" { "Done: " strong { (figure(done)) } " of " (figure(results.len())) "." }
        (parts::table("What became of each", &[column("Which"), column("What became of it")], &shown.iter().map(row).collect::<Vec<_>>()))
        @if !left.is_empty() { p.muted { "And " (figure(left.len())) " others, of which " (figure(left_undone)) " were not done." } }
    }
}

pub fn became(became: &Became) -> String {
    match became {
        Became::Queued { replay } => format!("On its way again, as replay {replay}"),
        Became::Superseded { newer } => format!("Not replayed: {newer} newer of its key delivered since"),
        Became::Skipped => "Discarded: newer ones of its key were delivered since".to_owned(),
        Became::Discarded => "Discarded".to_owned(),
        Became::WouldBeQueued => "Nothing was done".to_owned(),
        Became::AlreadyReplayed { at, replay, edited_as: None } => {
            format!("Already replayed at {} as replay {replay}; nothing was done now", moment::long(at))
        }
        Became::AlreadyReplayed { at, edited_as: Some(message), .. } => {
            format!("Already edited at {} as {message}; nothing was done now", moment::long(at))
        }
        Became::AlreadyDiscarded { at, reason } => {
            format!("Already discarded at {}: {}; nothing was done now", moment::long(at), on_one_line(reason))
        }
        Became::IntegrationRetired { integration } => {
            format!("Not replayed: {integration} is retired, and nobody would deliver it. Deploy its file first, or discard it.")
        }
        Became::NotFound => "There is no such dead letter".to_owned(),
        Became::Failed => "Failed; the host's log says why. Try again.".to_owned(),
    }
}

fn back(path: &str) -> Markup {
    html! {
        p { a href=(path) { "Back to the dead letters" } }
    }
}
