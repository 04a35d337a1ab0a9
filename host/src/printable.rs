//! Text from outside made harmless to look at: what would move a cursor or turn text round is shown as an escape.
//!
//! For the terminal and for the console alike. Depends on nothing.

/// Control characters escaped but for line breaks and tabs.
pub fn printable(text: &str) -> String {
    escaped(text, |c| (c.is_control() && c != '\n' && c != '\t') || turns_text_round(c))
}

/// [`printable`] without line breaks, so that a text cannot add lines that look like the host's own.
pub fn on_one_line(text: &str) -> String {
    escaped(text, |c| c.is_control() || turns_text_round(c))
}

fn escaped(text: &str, bad: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if bad(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// The characters that show text in another order than it has, and the line separators of Unicode (UAX #9 §2, UAX #14).
fn turns_text_round(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_would_move_the_cursor_or_turn_text_round_as_escapes() {
        assert_eq!(printable("a\u{1b}[2J\u{9b}\u{202e}\nb"), "a\\u{1b}[2J\\u{9b}\\u{202e}\nb");
        assert_eq!(on_one_line("a\nfake  delivered"), "a\\nfake  delivered");
    }
}
