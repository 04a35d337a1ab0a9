//! `/dead-letters/{id}/edit`: a dead letter's message edited and delivered in its place. First what would be different, then the deed; what is
//! done is decided in `admin::edit`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};

use super::access::{FORM_BYTES_MAX, Form, SignedIn};
use super::page::{Page, Section, Wrong};
use super::parts::{self, Row, Tone, column};
use super::{Console, operate};
use crate::admin::Session;
use crate::admin::dead_letters::{id_of, one};
use crate::admin::edit::{Asked, Edited, act};
use crate::admin::operate::Became;
use crate::admin::parameters::{Parameters, named, wrong};
use crate::admin::store_refusal::refusal;
use crate::difference::Difference;
use crate::ingress::answer::Refusal;
use crate::layout::laid_out;
use crate::message_store::sqlite::ledger::{Body, DeadLetterRow, Status, Timeline, TimelineQuery};
use crate::message_store::{DeadLetterId, Superseded};
use crate::printable::on_one_line;
use crate::problem::Code;

/// The longest body that a form takes, as a browser sends it; a longer one is for the command. The rest of the form is the reason, at most
/// a thousand characters of twelve bytes, and some words.
const BODY_ENCODED_BYTES_MAX: usize = FORM_BYTES_MAX - 16 * 1024;
/// Characters shown of a value on one side of a difference.
const VALUE_SHOWN: usize = 200;

type Named = Result<Path<String>, PathRejection>;

/// Where the form is.
pub fn address(letter: DeadLetterId) -> String {
    format!("/dead-letters/{}/edit", letter.0)
}

/// `GET /dead-letters/{id}/edit`: the body as it came, JSON laid out, to be changed.
pub async fn ask(State(console): State<Arc<Console>>, SignedIn(session): SignedIn, id: Named) -> Result<Page, Wrong> {
    let letter = one(&console.api.parts, id_of(&named(id)?)?).await?;
    if letter.status != Status::Open {
        return Err(gone(&letter));
    }
    let timeline = original(&console, &letter).await?;
    let text = match (&timeline.body, timeline.body_truncated) {
        (Body::Text(text), false) if Ends::of(text) != Ends::Mixed => in_a_form(text),
        _ => None,
    };
    Ok(page(&letter, text.map_or_else(|| not_here(&letter), |text| form(&session, letter.id, &text, "", None))))
}

/// `text` as a form shows it: laid out where there is room for that.
fn in_a_form(text: &str) -> Option<String> {
    let shown = [laid_out(text), Some(text.to_owned())];
    shown.into_iter().flatten().find(|text| encoded_bytes(text) <= BODY_ENCODED_BYTES_MAX)
}

/// How long `text` is as a browser sends it (URL Standard, section 5.2; every line's end is sent as two characters).
fn encoded_bytes(text: &str) -> usize {
    let encoded = |byte: u8| match byte {
        b'\r' => 0,
        b'\n' => 6,
        b' ' | b'*' | b'-' | b'.' | b'_' => 1,
        _ if byte.is_ascii_alphanumeric() => 1,
        _ => 3,
    };
    text.bytes().map(encoded).sum()
}

/// `POST /dead-letters/{id}/edit`: `body`, `reason`; with `sure` it is done, without it is shown.
pub async fn deliver(
    State(console): State<Arc<Console>>,
    SignedIn(session): SignedIn,
    id: Named,
    Form(given): Form,
) -> Result<Page, Wrong> {
    let letter = one(&console.api.parts, id_of(&named(id)?)?).await?;
    let Sent { body, reason, sure, superseded } = Sent::read(given)?;
    // A browser gives all lines the same end (WHATWG HTML, section 4.10.11.6); the message gets back the one it came with.
    let ends = if let Body::Text(text) = &original(&console, &letter).await?.body { Ends::of(text) } else { Ends::Lf };
    let body = if ends == Ends::CrLf { body.replace('\n', "\r\n") } else { body };
    if reason.trim().is_empty() {
        let why = "Nothing was done: say why you change it.";
        return Ok(page(&letter, form(&session, letter.id, &body, &reason, Some(why))).status(StatusCode::BAD_REQUEST));
    }
    let asked = Asked {
        letter: letter.id,
        body: Bytes::from(body.clone()),
        content_type: None,
        reason: sure.then(|| reason.clone()),
        superseded,
        who: session.who().clone(),
    };
    match act(&console.api.parts, asked).await {
        Ok(edited) => Ok(page(&letter, became(&session, &letter, &edited, &body, &reason))),
        Err(refused) if matches!(refused.code, Code::InvalidEdit | Code::BadRequest | Code::BodyTooLarge) => {
            let why = format!("Nothing was done: {}", refused.detail);
            Ok(page(&letter, form(&session, letter.id, &body, &reason, Some(&why))).status(refused.status))
        }
        Err(refused) => Err(refused.into()),
    }
}

/// The message as it came, as far as a form takes it.
async fn original(console: &Console, letter: &DeadLetterRow) -> Result<Timeline, Wrong> {
    let query = TimelineQuery { body_bytes_max: BODY_ENCODED_BYTES_MAX, ..TimelineQuery::of(letter.message) };
    let found = console.api.parts.store.ledger().message(query).await.map_err(|error| refusal(&error))?;
    found.ok_or_else(|| Wrong::not_found(format!("There is no message {}.", letter.message)))
}

/// How the lines of a text end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Lf,
    CrLf,
    /// In more than one way: a form would make them one.
    Mixed,
}

impl Ends {
    fn of(text: &str) -> Self {
        let (all, returns, both) = (text.matches('\n').count(), text.matches('\r').count(), text.matches("\r\n").count());
        match (returns, both) {
            (0, _) => Self::Lf,
            _ if returns == both && both == all => Self::CrLf,
            _ => Self::Mixed,
        }
    }
}

/// What a form sent.
struct Sent {
    body: String,
    reason: String,
    sure: bool,
    superseded: Superseded,
}

impl Sent {
    fn read(mut given: Parameters) -> Result<Self, Refusal> {
        let body = given.one("body")?.ok_or_else(|| wrong("`body`: the edited message is missing"))?.replace("\r\n", "\n");
        let reason = given.one("reason")?.unwrap_or_default();
        let sure = given.one("sure")?.is_some();
        let anyway = given.one("anyway")?.is_some();
        given.finish()?;
        Ok(Self { body, reason, sure, superseded: if anyway { Superseded::Anyway } else { Superseded::Ask } })
    }
}

fn page(letter: &DeadLetterRow, body: Markup) -> Page {
    let about = html! {
        p { "Dead letter " (letter.id.0) " in " strong { (parts::outside(&letter.integration)) } ": " (parts::outside(&letter.detail)) }
    };
    Page::new(Section::DeadLetters, format!("Edit dead letter {}", letter.id.0), html! { (about) (body) (back(letter)) })
}

fn form(session: &Session, letter: DeadLetterId, body: &str, reason: &str, wrong: Option<&str>) -> Markup {
    html! {
        @if let Some(wrong) = wrong { (parts::banner(Tone::Bad, html! { p { (on_one_line(wrong)) } })) }
        p { "The message as it came stays as it is; this is delivered in its place, where it stood among those of its key." }
        (parts::form(session, &address(letter), html! {
            label.field { span { "Message" } textarea.mono name="body" rows="20" spellcheck="false" required { "\n" (body) } }
            label.field { span { "Why? Kept with both messages." } textarea name="reason" rows="2" maxlength="1000" required { "\n" (reason) } }
            div.actions { button.primary { "Show what is different…" } }
        }))
    }
}

/// What would be, or what became of it.
fn became(session: &Session, letter: &DeadLetterRow, edited: &Edited, body: &str, reason: &str) -> Markup {
    let again = |what: Markup| {
        parts::form(
            session,
            &address(letter.id),
            html! {
                input type="hidden" name="body" value=(body);
                input type="hidden" name="reason" value=(reason);
                (what)
            },
        )
    };
    html! {
        @if let Some(difference) = &edited.difference { (changes(difference)) }
        @match &edited.done.became {
            Became::WouldBeQueued => {
                p { "Why: " (parts::outside(reason)) }
                div.actions {
                    (again(html! { button.primary name="sure" value="yes" { "Deliver this in its place" } }))
                }
                details { summary { "Change it further" } (form(session, letter.id, body, reason, None)) }
            },
            Became::Superseded { newer } => {
                (parts::banner(Tone::Warn, html! {
                    p { strong { "Not delivered" } ": " (parts::number(*newer)) " newer of its key were delivered since. It would bring the older state after the newer." }
                    (again(html! { input type="hidden" name="anyway" value="yes"; button.danger name="sure" value="yes" { "Deliver it all the same" } }))
                }))
            },
            Became::Queued { .. } => {
                @if let Some(message) = edited.message {
                    p role="status" { "On its way as " a.mono href=(format!("/messages/{message}")) { (message) } "." }
                }
            },
            other => p role="status" { (operate::became(other)) },
        }
    }
}

fn changes(difference: &Difference) -> Markup {
    let side = |value: &Option<serde_json::Value>| html! { @match value { Some(value) => span.mono { (parts::beginning(&value.to_string(), VALUE_SHOWN)) }, None => span.muted { "nothing" } } };
    let row = |path: Markup, before: Markup, after: Markup| Row::new(vec![path, before, after]);
    let mut rows: Vec<Row> = Vec::new();
    for field in &difference.fields {
        let path = if field.path.is_empty() { "all of it" } else { &field.path };
        rows.push(row(html! { span.mono { (parts::outside(path)) } }, side(&field.before), side(&field.after)));
    }
    for fact in &difference.facts {
        let text =
            |text: &Option<String>| html! { @if let Some(text) = text { (parts::outside(text)) } @else { span.muted { "nothing" } } };
        rows.push(row(html! { (fact.name.replace('-', " ")) }, text(&fact.before), text(&fact.after)));
    }
    html! {
        h2 { "What is different" }
        @if !rows.is_empty() { (parts::table("What is different", &[column("Where"), column("Was"), column("Will be")], &rows)) }
        @if !difference.lines.is_empty() { pre.body tabindex="0" { @for line in &difference.lines { (crate::printable::printable(line)) "\n" } } }
        @if difference.more > 0 { p.muted { "And " (parts::number(u64::try_from(difference.more).unwrap_or(u64::MAX))) " more." } }
    }
}

fn not_here(letter: &DeadLetterRow) -> Markup {
    html! {
        p {
            "This message is not text or ends its lines in more than one way, and a form would bend it; or it is over "
            (BODY_ENCODED_BYTES_MAX / 1024) " KiB as a browser sends it, where a quote or a letter beyond ASCII takes three bytes or more."
        }
        p { "Edit it in a file: " code { "lockgate dead-letters edit " (letter.id.0) " --body FILE --reason WHY" } }
    }
}

fn gone(letter: &DeadLetterRow) -> Wrong {
    Wrong::not_found(format!("Dead letter {} is not open any more.", letter.id.0)).next(back(letter))
}

fn back(letter: &DeadLetterRow) -> Markup {
    html! { p { a href=(format!("/messages/{}", letter.message)) { "Back to the message" } } }
}
