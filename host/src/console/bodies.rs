//! Bodies as text, never as anything a browser would run: JSON laid out, other text as it is, the rest as a dump of bytes.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::layout::{laid_out, laid_out_beginning};
use crate::message_store::sqlite::ledger::{Body, ExchangeRow, KeptRow};
use crate::printable::{on_one_line, printable};

/// Bytes of a dump.
const DUMPED_BYTES_MAX: usize = 4 * 1024;
const DUMPED_PER_LINE: usize = 16;

/// A body and what is to be said of it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'b> {
    pub content_type: Option<&'b str>,
    pub body: &'b Body,
    /// Bytes of all of it.
    pub bytes: u64,
    /// `body` is only the beginning.
    pub truncated: bool,
}

impl<'b> From<&'b KeptRow> for Shown<'b> {
    fn from(kept: &'b KeptRow) -> Self {
        Self { content_type: kept.content_type.as_deref(), body: &kept.body, bytes: kept.bytes, truncated: kept.truncated }
    }
}

/// The body under a line that says what it is. `all`: where all of it is, or why it is nowhere.
pub fn shown(shown: Shown<'_>, all: &Markup) -> Markup {
    let (text, kind, whole) = as_text(shown);
    html! {
        p.small.muted {
            (size(shown.bytes))
            @if let Some(content_type) = shown.content_type { ", " (on_one_line(content_type)) }
            @if let Some(kind) = kind { " · " (kind) }
        }
        @if shown.bytes == 0 {
            p.muted { "Empty." }
        } @else {
            pre.body tabindex="0" { (text) }
        }
        @if !whole { p.small { "This is the beginning. " (all) } }
    }
}

/// Text for a body, what was done to it, and whether it is all of the body.
fn as_text(shown: Shown<'_>) -> (String, Option<&'static str>, bool) {
    match shown.body {
        Body::Text(text) => {
            let laid = match shown.content_type {
                Some(content_type) if shown.truncated => laid_out_beginning(text, content_type),
                _ => laid_out(text),
            };
            let kind = laid.as_deref().filter(|laid| *laid != text.trim()).map(|_| "laid out here");
            (printable(laid.as_deref().unwrap_or(text)), kind, !shown.truncated)
        }
        Body::Binary(bytes) => {
            let part = bytes.get(..DUMPED_BYTES_MAX).unwrap_or(bytes);
            (dump(part), Some("not text"), !shown.truncated && part.len() == bytes.len())
        }
    }
}

/// `00000010  7b 22 69 64 …  {"id…`
fn dump(bytes: &[u8]) -> String {
    let mut dump = String::with_capacity(bytes.len() * 5);
    for (line, chunk) in bytes.chunks(DUMPED_PER_LINE).enumerate() {
        let _ = write!(dump, "{:08x} ", line * DUMPED_PER_LINE);
        for place in 0..DUMPED_PER_LINE {
            if place == DUMPED_PER_LINE / 2 {
                dump.push(' ');
            }
            match chunk.get(place) {
                Some(byte) => drop(write!(dump, " {byte:02x}")),
                None => dump.push_str("   "),
            }
        }
        let seen = chunk.iter().map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' });
        dump.extend("  ".chars().chain(seen).chain(std::iter::once('\n')));
    }
    dump
}

/// `512 bytes`, `64 KiB`, `4.0 MiB`.
pub fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        1 => "1 byte".to_owned(),
        0..KIB => format!("{bytes} bytes"),
        KIB..MIB => format!("{} KiB", bytes.div_ceil(KIB)),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

/// Both sides of a request.
pub fn exchange(exchange: &ExchangeRow) -> Markup {
    let not_kept = html! { "The rest was not kept." };
    html! {
        h4 { "Sent" }
        (shown((&exchange.sent).into(), &not_kept))
        h4 { "Answered" }
        @match &exchange.answer {
            Some(answer) => (shown(answer.into(), &not_kept)),
            None => p.muted { "No answer came." },
        }
    }
}

/// A link to all of a message's body.
pub fn download(id: &str, bytes: u64) -> Markup {
    html! { a href=(format!("/messages/{id}/body")) download { "Download all " (size(bytes)) } "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(body: &Body, content_type: &str, truncated: bool) -> (String, Option<&'static str>, bool) {
        let bytes = u64::try_from(body.as_bytes().len()).unwrap();
        as_text(Shown { content_type: Some(content_type), body, bytes, truncated })
    }

    #[test]
    fn shows_script_and_what_turns_text_round_as_text() {
        let body = Body::Text("<script>alert(1)</script>\u{202e}\u{0}".into());
        let markup =
            shown(Shown { content_type: Some("text/html\"><b>"), body: &body, bytes: 30, truncated: false }, &html! {}).into_string();
        assert!(!markup.contains("<script") && !markup.contains("<b>"), "{markup}");
        assert!(markup.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}\\u{0}"), "{markup}");
    }

    #[test]
    fn rounds_no_number_and_reorders_no_key() {
        let (text, kind, whole) = text_of(&Body::Text(r#"{"z":820982911946154508.10,"a":1}"#.into()), "application/json", false);
        assert_eq!(text, "{\n  \"z\": 820982911946154508.10,\n  \"a\": 1\n}");
        assert_eq!((kind, whole), (Some("laid out here"), true));
        let (text, kind, whole) = text_of(&Body::Text(r#"{"z":["#.into()), "application/json", true);
        assert_eq!((text.as_str(), kind, whole), ("{\n  \"z\": [\n    ", Some("laid out here"), false));
        assert_eq!(text_of(&Body::Text("<a>1.00</a>".into()), "text/xml", false).0, "<a>1.00</a>");
    }

    #[test]
    fn dumps_what_is_not_text_and_no_more_than_a_screen_or_two() {
        let (text, kind, whole) = text_of(&Body::Binary(bytes::Bytes::from_static(b"\xff\x00{\"id\":1}<b>~")), "image/png", false);
        assert_eq!(text, "00000000  ff 00 7b 22 69 64 22 3a  31 7d 3c 62 3e 7e        ..{\"id\":1}<b>~\n");
        assert_eq!((kind, whole), (Some("not text"), true));
        let long = Body::Binary(vec![0xff; 100_000].into());
        let (text, _, whole) = text_of(&long, "image/png", false);
        assert_eq!((text.lines().count(), whole), (256, false));
    }

    #[test]
    fn says_sizes_as_people_do() {
        let sizes = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (65_537, "65 KiB"),
            (4_194_304, "4.0 MiB"),
            (4_700_000, "4.4 MiB"),
        ];
        for (bytes, said) in sizes {
            assert_eq!(size(bytes), said);
        }
    }
}
