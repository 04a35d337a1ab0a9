//! The terminal's other screen: what is shown again and again leaves what stood there before as it was. The codes are xterm's
//! (`ctlseqs`, DECSET 1049) and ECMA-48's.

use std::io::Write;

use super::table;

const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
/// To the first line, then everything from there on is cleared.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// The other screen, until it is dropped.
#[derive(Debug)]
pub struct Screen<W: Write>(W);

impl<W: Write> Screen<W> {
    pub fn enter(mut out: W) -> Self {
        // A terminal that is gone shows nothing either way.
        drop(out.write_all(ENTER.as_bytes()).and_then(|()| out.flush()));
        Self(out)
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        drop(self.0.write_all(LEAVE.as_bytes()).and_then(|()| self.0.flush()));
    }
}

/// Columns and lines of the terminal on standard output.
pub fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or((usize::MAX, usize::MAX), |(width, height)| (usize::from(width.0), usize::from(height.0)))
}

/// `shown`, each of which may be several lines, on an empty screen of `width` columns and `height` lines, which does not scroll: what is too long
/// is cut, and what has no room is counted. A terminal would else go on in the next line, and the first ones leave the screen.
pub fn frame(shown: &[String], (width, height): (usize, usize)) -> String {
    let mut lines: Vec<String> = shown.iter().flat_map(|shown| shown.split('\n')).map(|line| table::cut(line, width)).collect();
    // The last line is where the cursor stays.
    let room = height.saturating_sub(1).max(2);
    if lines.len() > room {
        let more = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(format!("… {more} more lines: lockgate status"));
    }
    format!("{CLEAR}{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_the_screen_it_found() {
        let mut written = Vec::new();
        let screen = Screen::enter(&mut written);
        drop(screen);
        assert_eq!(String::from_utf8(written).unwrap(), "\u{1b}[?1049h\u{1b}[?1049l");
    }

    #[test]
    fn shows_the_top_of_what_is_too_long() {
        let lines = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(frame(&lines(3), (80, 4)), "\u{1b}[H\u{1b}[J1\n2\n3");
        assert_eq!(frame(&lines(9), (80, 4)), "\u{1b}[H\u{1b}[J1\n2\n… 7 more lines: lockgate status");
        let of_two = ["1\n2".to_owned(), "3\n4".to_owned()];
        assert_eq!(frame(&of_two, (80, 4)), "\u{1b}[H\u{1b}[J1\n2\n… 2 more lines: lockgate status");
    }

    #[test]
    fn cuts_what_is_wider_than_the_terminal() {
        assert_eq!(frame(&["123456789".to_owned(), "1234567\näöüäöüäöü".to_owned()], (7, 9)), "\u{1b}[H\u{1b}[J123456…\n1234567\näöüäöü…");
    }
}
