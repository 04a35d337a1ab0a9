//! What happened to a message so far: the part of its page that keeps up. Bodies are not in it: they do not change, and are not to be
//! sent again every second.

use maud::{Markup, html};

use super::live::View;
use super::page::{Section, Wrong};
use super::parts::{self, Tone};
use super::{Console, history, message, messages, operate, words};
use crate::admin::Session;
use crate::admin::parameters::Parameters;
use crate::admin::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::message::MessageId;
use crate::message_store::AttemptId;
use crate::message_store::sqlite::ledger::{DeadLetterRow, Status, Timeline, TimelineQuery};
use crate::moment;

/// Characters shown of a key or a tracked value.
pub const VALUE_SHOWN: usize = 120;

/// Which story, and what stands beside it in the page.
#[derive(Clone, Debug)]
pub struct Story {
    pub session: Session,
    pub id: MessageId,
    /// Only attempts before this one.
    pub attempts_before: Option<AttemptId>,
    /// The one whose bodies are shown.
    pub shown: Option<AttemptId>,
    /// The last one with requests when the page was loaded: of a later one the page has no bodies.
    pub seen: Option<AttemptId>,
}

impl View for Story {
    async fn now(&self, console: &Console) -> Result<Markup, Wrong> {
        let query = TimelineQuery { body_bytes_max: 0, attempts_before: self.attempts_before, ..TimelineQuery::of(self.id) };
        let found = console.api.parts.store.ledger().message(query).await.map_err(|error| refusal(&error))?;
        let timeline = found.ok_or_else(|| message::unknown(message::missing(&self.id.to_string())))?;
        Ok(self.told(&timeline, console))
    }
}

impl Story {
    /// What [`path`](Self::path) asks for.
    pub fn read(session: Session, id: MessageId, mut given: Parameters) -> Result<Self, Refusal> {
        let mut attempt = |name| Ok::<_, Refusal>(given.read(name, "the number of an attempt")?.map(AttemptId));
        let (attempts_before, shown, seen) = (attempt("attempts-before")?, attempt("shown")?, attempt("seen")?);
        given.finish()?;
        Ok(Self { session, id, attempts_before, shown, seen })
    }

    /// Where it is kept up.
    pub fn path(&self) -> String {
        let number = |attempt: Option<AttemptId>| attempt.map(|attempt| attempt.0.to_string()).unwrap_or_default();
        let fields = [("attempts-before", number(self.attempts_before)), ("shown", number(self.shown)), ("seen", number(self.seen))];
        parts::query(&format!("/live/messages/{}", self.id), &fields.each_ref().map(|(name, value)| (*name, value.as_str())))
    }

    /// As of `timeline`.
    pub fn told(&self, timeline: &Timeline, console: &Console) -> Markup {
        let now = console.now();
        let is_paused = |integration: &str| console.api.parts.pauses.of(integration).is_some();
        let open = self.shown.or(timeline.attempts.last().map(|row| row.id));
        html! {
            (facts(timeline, now))
            @for letter in timeline.dead_letters.iter().filter(|letter| letter.status == Status::Open) { (dead_letter(&self.session, letter)) }
            @if let Some(attempt) = timeline.earlier_attempts {
                p { a href=(format!("/messages/{}?attempts-before={}", timeline.message.id, attempt.0)) { "Earlier attempts" } " are on a page of their own." }
            }
            @for standing in &timeline.message.integrations { (history::way(timeline, standing, open, is_paused(&standing.integration), now)) }
            (children(timeline))
            (self.later(timeline))
        }
    }

    /// A way to the bodies of what was sent since the page was loaded.
    fn later(&self, timeline: &Timeline) -> Markup {
        html! {
            @if let Some(last) = last_sent(timeline).filter(|last| self.seen.is_none_or(|seen| last.0 > seen.0)) {
                p role="status" {
                    "More was sent since this page was loaded. " a href=(history::bodies_address(timeline, last)) { "Show what the last attempt sent" }
                }
            }
        }
    }
}

/// The last attempt that sent anything.
pub fn last_sent(timeline: &Timeline) -> Option<AttemptId> {
    timeline.attempts.iter().rev().find(|row| history::has_requests(row)).map(|row| row.id)
}

fn facts(timeline: &Timeline, now: Timestamp) -> Markup {
    let message = &timeline.message;
    let accepted = moment::parsed(&message.accepted_at);
    let mut facts = vec![
        ("Id", html! { span.mono { (message.id) } }),
        (
            "Accepted",
            html! { (parts::stamp(&message.accepted_at, &moment::long(&message.accepted_at))) @if let Some(at) = accepted { span.muted { " · " (parts::ago(at, now)) } } },
        ),
        ("From", html! { (parts::outside(&message.origin)) }),
    ];
    if let Some(key) = &message.key {
        facts.push(("Key", html! { a.mono href=(found_by("key", key)) { (parts::beginning(key, VALUE_SHOWN)) } }));
    }
    if let Some(parent) = &message.parent {
        let parent = parent.to_string();
        facts.push(("Made of", html! { a.mono href=(format!("/messages/{parent}")) title=(parent) { (messages::short(&parent)) } }));
    }
    for tracked in &timeline.message.tracked {
        let pair = format!("{}={}", tracked.name, tracked.value);
        facts.push(("Tracked", html! { a.mono href=(found_by("track", &pair)) { (parts::beginning(&pair, VALUE_SHOWN)) } }));
    }
    parts::facts(&facts)
}

/// Messages like this one.
fn found_by(name: &str, value: &str) -> String {
    parts::query(Section::Messages.path(), &[(name, value)])
}

fn dead_letter(session: &Session, letter: &DeadLetterRow) -> Markup {
    parts::banner(
        Tone::Bad,
        html! {
            p #{ "dead-letter-" (letter.id.0) } { strong { "Dead letter " (letter.id.0) " in " (parts::outside(&letter.integration)) } ": " (parts::outside(&letter.detail)) }
            p { (words::remedy(letter.class)) " " a href=(format!("/dead-letters/{}", letter.fingerprint)) { "Others of the same cause" } }
            (operate::one(session, letter))
        },
    )
}

fn children(timeline: &Timeline) -> Markup {
    let all = format!("/messages?parent={}", timeline.message.id);
    html! {
        @if !timeline.children.is_empty() {
            section {
                h2 { "Made of it" }
                ul.children {
                    @for child in &timeline.children {
                        @let id = child.id.to_string();
                        li { a.mono href=(format!("/messages/{id}")) title=(id) { (messages::short(&id)) } " " (messages::standings(child)) }
                    }
                }
                @if timeline.more_children { p { "These are the first. " a href=(all) { "All of them" } } }
            }
        }
    }
}
