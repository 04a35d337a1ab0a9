//! The terminal's other screen: what is shown again and again leaves what stood there before as it was. The codes are xterm's
//! (`ctlseqs`, DECSET 1049) and ECMA-48's.

use std::io::Write;

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

/// Lines of the terminal on standard output.
pub fn height() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(usize::MAX, |(_, height)| usize::from(height.0))
}

/// `lines` on an empty screen of `height` lines, which does not scroll: what has no room is counted.
pub fn frame(mut lines: Vec<String>, height: usize) -> String {
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
        assert_eq!(frame(lines(3), 4), "\u{1b}[H\u{1b}[J1\n2\n3");
        assert_eq!(frame(lines(9), 4), "\u{1b}[H\u{1b}[J1\n2\n… 7 more lines: lockgate status");
    }
}
