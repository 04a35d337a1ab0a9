//! What pages are put together from: tables, badges, times, facts, forms, empty places, pagers.
//!
//! Markup only; what is shown is computed elsewhere.

use std::time::Duration;

use maud::{Markup, html};

use super::page::form_token;
use crate::admin::Session;
use crate::clock::Timestamp;
use crate::moment;
use crate::printable::on_one_line;

/// How good or bad something is. Never said by colour alone: what has a tone has a word beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing to say.
    Plain,
    Good,
    /// Mends itself, but is worth knowing.
    Warn,
    /// Needs a person.
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A word for a state, with a mark in the colour of its tone.
pub fn badge(tone: Tone, word: &str) -> Markup {
    html! { span.badge.(tone.class()) { (word) } }
}

/// One line of news above everything else; `body` says what to do.
pub fn banner(tone: Tone, body: Markup) -> Markup {
    html! { div.banner.(tone.class()) role="status" { (body) } }
}

/// A column of a [`table`].
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    numeric: bool,
}

/// A column of text.
pub const fn column(name: &'static str) -> Column {
    Column { name, numeric: false }
}

/// A column of figures, set flush right.
pub const fn figures(name: &'static str) -> Column {
    Column { name, numeric: true }
}

/// A row of a [`table`].
#[derive(Debug)]
pub struct Row {
    /// Stays the same while a live page changes round it.
    id: Option<String>,
    tone: Tone,
    cells: Vec<Markup>,
}

impl Row {
    pub fn new(cells: Vec<Markup>) -> Self {
        Self { id: None, tone: Tone::Plain, cells }
    }

    /// What tells this row from others when the table changes under the reader's eyes; unique in the page.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// A table. The first column names its row. On a phone a row becomes a card, with the columns' names over the values; what is
/// [`none`] is left out there.
pub fn table(caption: &str, columns: &[Column], rows: &[Row]) -> Markup {
    html! {
        table.cards {
            caption.unseen { (caption) }
            thead {
                tr { @for column in columns { th scope="col" .num[column.numeric] { (column.name) } } }
            }
            tbody {
                @for row in rows {
                    tr id=[row.id.as_deref()] class=(row.tone.class()) {
                        @for (index, (column, cell)) in columns.iter().zip(&row.cells).enumerate() {
                            @if index == 0 {
                                th scope="row" { (cell) }
                            } @else {
                                td .num[column.numeric] data-label=(column.name) { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Names and values.
pub fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
    }
}

/// What stands where there is nothing: that there is nothing, and what to do next.
pub fn empty(title: &str, next: Markup) -> Markup {
    html! { div.empty { p { strong { (title) } } (next) } }
}

/// Links to the pages before and after of a list that is counted, and where one is: `51–100 of 230`.
pub fn pages(before: Option<&str>, after: Option<&str>, place: &str) -> Markup {
    html! {
        @if before.is_some() || after.is_some() {
            nav.pager aria-label="Pages" {
                @if let Some(before) = before { a.button href=(before) rel="prev" { "← Before" } }
                span.muted { (place) }
                @if let Some(after) = after { a.button href=(after) rel="next" { "After →" } }
            }
        }
    }
}

/// Links to the first page and to the next one; what is none is not there. `next` is a word for what comes there: `Older`.
pub fn pager(first: Option<&str>, next: Option<(&str, &str)>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav.pager aria-label="Pages" {
                @if let Some(first) = first { a.button href=(first) { "← First page" } }
                @if let Some((word, next)) = next { a.button href=(next) rel="next" { (word) " →" } }
            }
        }
    }
}

/// A form that changes something: posted, and carrying what proves that it was made for `session`.
pub fn form(session: &Session, action: &str, body: Markup) -> Markup {
    html! { form method="post" action=(action) { (form_token(session)) (body) } }
}

/// A form that asks: its fields become the page's query, so that the page can be shared.
pub fn search(action: &str, body: Markup) -> Markup {
    html! { form.search role="search" method="get" action=(action) { (body) } }
}

/// How long ago `at` was, with the time itself for who rests on it: `3 min ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! { (time(at, &format!("{} ago", between(at, now)))) }
}

/// How far away `at` is: `in 3 min`.
pub fn until(at: Timestamp, now: Timestamp) -> Markup {
    html! { (time(at, &format!("in {}", between(now, at)))) }
}

/// For how long it has been so since `at`: `3 min`.
pub fn elapsed(at: Timestamp, now: Timestamp) -> Markup {
    html! { (time(at, &between(at, now))) }
}

/// The time of day of `at`, in UTC as everywhere.
pub fn clock_time(at: Timestamp) -> Markup {
    let text = at.to_string();
    html! { (time(at, &moment::short(&text, at))) }
}

/// Day and time of `at`.
pub fn day(at: Timestamp) -> Markup {
    html! { (time(at, &moment::short(&at.to_string(), Timestamp(0)))) }
}

fn time(at: Timestamp, shown: &str) -> Markup {
    stamp(&at.to_string(), shown)
}

/// A time as the ledger has it, shown as `shown`.
pub fn stamp(time: &str, shown: &str) -> Markup {
    html! { time datetime=(time) title=(moment::long(time)) { (shown) } }
}

fn between(from: Timestamp, to: Timestamp) -> String {
    coarse(to.since(from).max(Duration::from_secs(1)))
}

/// How long something has waited: to the second where seconds matter, then in steps; what is shown live should not change for its own
/// sake.
pub fn coarse(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return "< 1 s".to_owned();
    }
    duration_of(Duration::from_secs(if (60..120).contains(&seconds) { seconds / 10 * 10 } else { seconds }))
}

/// How long something took.
pub fn duration_of(duration: Duration) -> String {
    moment::duration_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// `0.4`, `12`, `3 600`.
pub fn rate(per_minute: f64) -> Markup {
    if per_minute > 0.0 && per_minute < 9.95 {
        html! { (format_args!("{per_minute:.1}")) }
    } else {
        many(per_minute.round() as u64)
    }
}

/// Text from outside, on one line: what would turn it round or break it is shown as an escape.
pub fn outside(text: &str) -> Markup {
    html! { (on_one_line(text)) }
}

/// [`outside`], of a long text its beginning: one value must not fill a page. All of it is there for who rests on it.
pub fn beginning(text: &str, chars_max: usize) -> Markup {
    let line = on_one_line(text);
    html! {
        @match line.char_indices().nth(chars_max) {
            Some((end, _)) => span title=(line) { (line[..end]) "…" },
            None => (line),
        }
    }
}

/// `path` with the pairs that have a value as its query.
pub fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// `name` as one part of a path.
pub fn part_of_path(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Where there is no figure.
pub fn none() -> Markup {
    html! { span.none { "–" } }
}

/// [`number`], out of the way where it is 0.
pub fn many(figure: u64) -> Markup {
    html! { @if figure == 0 { span.none { "0" } } @else { (number(figure)) } }
}

/// [`coarse`], or [`none`].
pub fn age(duration: Option<Duration>) -> Markup {
    duration.map_or_else(none, |duration| html! { (coarse(duration)) })
}

/// A figure with its thousands set apart: `1 204 311`.
pub fn number(figure: u64) -> String {
    let digits = figure.to_string();
    let first = digits.len() % 3;
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == first {
            // A thin space that does not break.
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// Many or one: `1 dead letter`, `2 dead letters`.
pub fn counted(figure: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(figure), if figure == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_thousands_apart() {
        for (figure, shown) in [(0, "0"), (999, "999"), (1_000, "1 000"), (12_345, "12 345"), (1_234_567, "1 234 567")] {
            assert_eq!(number(figure).replace('\u{202f}', " "), shown);
        }
        assert_eq!(counted(1, "letter", "letters"), "1 letter");
        assert_eq!(counted(0, "letter", "letters"), "0 letters");
    }

    #[test]
    fn shows_an_age_to_the_second_under_a_minute_and_in_steps_beyond() {
        let now = Timestamp(1_772_400_000_000);
        for (age_s, shown) in
            [(0, "1 s ago"), (9, "9 s ago"), (19, "19 s ago"), (59, "59 s ago"), (69, "60 s ago"), (130, "2 min ago"), (7_300, "2 h ago")]
        {
            let markup = ago(Timestamp(now.0 - age_s * 1_000), now).into_string();
            assert!(markup.contains(&format!(">{shown}<")), "{markup}");
            assert!(markup.contains("datetime=\"2026-"), "{markup}");
        }
    }

    #[test]
    fn shows_the_beginning_of_what_is_long() {
        assert_eq!(beginning("<é>", 3).into_string(), "&lt;é&gt;");
        assert_eq!(beginning("<é>!", 3).into_string(), "<span title=\"&lt;é&gt;!\">&lt;é&gt;…</span>");
        assert_eq!(beginning("\u{202e}a", 8).into_string(), "<span title=\"\\u{202e}a\">\\u{202e}…</span>");
    }

    #[test]
    fn shows_a_name_with_script_in_it_as_text() {
        let row = Row::new(vec![html! { ("<script>alert(1)</script>") }]).id("\"><b");
        let markup = table("t", &[column("Name")], &[row]).into_string();
        assert!(!markup.contains("<script") && !markup.contains("<b"), "{markup}");
    }
}
